"""The embedded S3 as the server itself uses it: for channels, artifacts, samples and the folder of buckets.

Requests go through moto's application without the network. An object is held in memory while it is moved.
"""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, unquote, urlencode
from xml.etree import ElementTree as ET

from components.aws.embedded.front import Answer, Front

_HEADERS = {
    "Host": "127.0.0.1",
    "Authorization": "AWS4-HMAC-SHA256 Credential=embedded/20200101/us-east-1/s3/aws4_request, Signature=0",
}
_NOTHING = "\0"
"""No key begins so: who asks for it needs the bucket, but nothing that is made apart from it."""
# Old buckets of us-east-1 have upper case and underscores. Nothing that means something else in a URL.
_URI = re.compile(r"s3://([A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9])(?:/(.*))?", re.DOTALL)
Seed = Callable[[], Awaitable[Mapping[str, bytes]]]
"""Makes the objects of a bucket: key → content."""


@dataclass(slots=True)
class _Lazy:
    """A bucket, or a part of it, that is filled when somebody asks for it."""

    bucket: str
    prefix: str
    seed: Seed
    filling: asyncio.Future[None] | None = None

    def needed(self, asked: str) -> bool:
        """Whether a request for this key or prefix may need it."""
        return asked.startswith(self.prefix) or self.prefix.startswith(asked)


class S3Error(Exception):
    """S3's refusal: its code (`NoSuchBucket`) and its sentence."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


@dataclass(frozen=True, slots=True)
class Location:
    """A bucket with a key or prefix."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, uri: str) -> Location:
        """Read `s3://bucket/key`. Raises ValueError for anything else."""
        match = _URI.fullmatch(uri)
        if match is None or match[1].startswith("moto-api"):  # these are moto's own routes
            raise ValueError(f"not an S3 URI: {uri}")
        (match[2] or "").encode()  # UnicodeEncodeError is a ValueError
        return cls(match[1], match[2] or "")

    def under(self, *parts: str) -> Location:
        """The location of `parts` below this one, whether or not it ends with a slash."""
        base = self.key.rstrip("/")
        return Location(self.bucket, "/".join([base, *parts] if base else parts))

    @property
    def uri(self) -> str:
        """`s3://bucket/key`."""
        return f"s3://{self.bucket}/{self.key}"


class Objects:
    """Reads and writes objects. Every method raises `S3Error`."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._lazy: list[_Lazy] = []

    def lazily(self, bucket: str, seed: Seed, prefix: str = "") -> None:
        """Have `seed` fill `bucket` when it is first mentioned; with a prefix, what begins so when that is asked for."""
        self._lazy.append(_Lazy(bucket, prefix, seed))

    async def mentioned(self, host: str, target: str) -> None:
        """Fill every lazy bucket that a request means by its host or its target; wait until it is there."""
        path, _, query = target.partition("?")
        for bucket in dict.fromkeys(lazy.bucket for lazy in self._lazy):
            if bucket in f"{host} {target}":
                key = unquote(path).lstrip("/")
                if bucket not in host:
                    key = key.removeprefix(bucket).lstrip("/")
                await self._seeded(bucket, key or parse_qs(query).get("prefix", [""])[0])

    async def _seeded(self, bucket: str, asked: str) -> None:
        """Wait until what is asked for in a bucket is there."""
        for lazy in self._lazy:
            if lazy.bucket == bucket and lazy.needed(asked):
                if lazy.filling is None:
                    lazy.filling = asyncio.ensure_future(self._fill(bucket, lazy.seed))
                await asyncio.shield(lazy.filling)

    async def close(self) -> None:
        """Give up filling what is being filled."""
        filling = [lazy.filling for lazy in self._lazy if lazy.filling is not None]
        for future in filling:
            future.cancel()
        await asyncio.gather(*filling, return_exceptions=True)

    async def _fill(self, bucket: str, seed: Seed) -> None:
        contents = await seed()
        await self._call("PUT", f"/{bucket}")
        for key, content in contents.items():
            await self._call("PUT", _path(bucket, key), content)

    async def buckets(self) -> list[str]:
        """The names of all buckets."""
        tree = ET.fromstring((await self._call("GET", "/")).body)  # noqa: S314  moto wrote it, in this process
        return [name.text or "" for name in tree.iterfind(".//{*}Bucket/{*}Name")]

    async def exists(self, bucket: str) -> bool:
        """Whether there is such a bucket."""
        await self._seeded(bucket, _NOTHING)
        return (await self._call("HEAD", f"/{bucket}", refuse=False)).status == 200

    async def create(self, bucket: str) -> None:
        """Make a bucket; one that is there already stays."""
        await self._call("PUT", f"/{bucket}")

    async def list(
        self, bucket: str, prefix: str = "", most: int | None = None, *, present: bool = False
    ) -> list[str]:
        """The keys that begin with `prefix`, sorted; at most `most` of them. `present`: nothing is filled for it."""
        await self._seeded(bucket, _NOTHING if present else prefix)
        keys: list[str] = []
        query = {"list-type": "2", "encoding-type": "url", "prefix": prefix}
        if most is not None:
            query["max-keys"] = str(most)
        while most is None or len(keys) < most:
            answer = await self._call("GET", f"/{bucket}?{urlencode(query)}")
            tree = ET.fromstring(answer.body)  # noqa: S314  moto wrote it, in this process
            keys += [unquote(key.text or "") for key in tree.iterfind("{*}Contents/{*}Key")]
            token = tree.findtext("{*}NextContinuationToken")
            if not token:
                break
            query["continuation-token"] = token
        return keys[:most]

    async def get(self, bucket: str, key: str) -> bytes:
        """An object's content."""
        await self._seeded(bucket, key)
        return (await self._call("GET", _path(bucket, key))).body

    async def put(self, bucket: str, key: str, content: bytes) -> None:
        """Write an object."""
        await self._seeded(bucket, key)
        await self._call("PUT", _path(bucket, key), content)

    async def delete(self, bucket: str, key: str) -> None:
        """Delete an object; one that is not there is no error."""
        await self._seeded(bucket, key)
        await self._call("DELETE", _path(bucket, key))

    async def _call(self, method: str, target: str, content: bytes = b"", *, refuse: bool = True) -> Answer:
        answer = await self._front.call("s3", method, target, _HEADERS, io.BytesIO(content))
        if refuse and answer.status >= 300:
            raise _error(answer)
        return answer


def _path(bucket: str, key: str) -> str:
    return f"/{quote(bucket, safe='')}/{quote(key, safe='/~')}"


def _error(answer: Answer) -> S3Error:
    try:
        tree = ET.fromstring(answer.body)  # noqa: S314  moto wrote it, in this process
    except ET.ParseError:
        return S3Error(str(answer.status), answer.body[:200].decode(errors="replace"))
    return S3Error(tree.findtext("{*}Code") or "", tree.findtext("{*}Message") or "")
