"""A running embedded Hydrosphere with a client that talks to it over real sockets, and words for what tests do with it."""

from __future__ import annotations

import asyncio
import copy
import io
import json
import os
import tarfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from components.hydrosphere.embedded import Cloud, serve

DEADLINE = 20.0
CODE = b"def predict(x):\n    return {'y': x}\n"
FILES = {"src/func_main.py": CODE, "requirements.txt": b"numpy==1.18.3\nscipy>=1.4,<2 # for later\n"}
SHAPES: dict[int, dict[str, Any]] = {2: {"dim": [], "unknownRank": False}, 3: {"dims": []}}


def scalar(era: int, name: str, dtype: str = "DT_INT64", profile: str = "NUMERICAL") -> dict[str, Any]:
    return {"name": name, "profile": profile, "shape": copy.deepcopy(SHAPES[era]), "dtype": dtype}


def signature(era: int, **changes: Any) -> dict[str, Any]:
    whole = {
        "signatureName": "predict",
        "inputs": [scalar(era, "x"), scalar(era, "w", "DT_STRING", "CATEGORICAL")],
        "outputs": [scalar(era, "y", "DT_DOUBLE")],
    }
    return whole | changes


def external(era: int, name: str = "adult", **changes: Any) -> dict[str, Any]:
    """What the request for an external model says."""
    if era == 3:
        return {"name": name, "signature": signature(3), "metadata": {"a": "b"}} | changes
    return {
        "name": name,
        "contract": {"modelName": name, "predict": signature(2)},
        "metadata": {"a": "b"},
    } | changes


def metadata(era: int, name: str = "adult", **changes: Any) -> dict[str, Any]:
    """What the metadata of an upload say."""
    body = external(era, name)
    runtime = {"name": "hydrosphere/serving-runtime-python-3.7", "tag": "3.0.3"}
    if era == 3:
        body["modelSignature"] = body.pop("signature")
    else:
        runtime |= {"sha256": None}  # type: ignore[dict-item]
    return body | {"runtime": runtime, "installCommand": None} | changes


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def packed(files: Mapping[str, bytes] = FILES, *special: tarfile.TarInfo) -> bytes:
    """A tar.gz of files, and of members without content."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in special:
            archive.addfile(info)
    return target.getvalue()


def form(payload: bytes | None, meta: Any, *, first: str = "payload") -> aiohttp.FormData:
    """An upload's body; `first`: which part comes first."""
    body = aiohttp.FormData(default_to_multipart=True)
    parts = ["payload", "metadata"] if first == "payload" else ["metadata", "payload"]
    for part in parts:
        if part == "payload" and payload is not None:
            body.add_field("payload", payload, filename="filename", content_type="application/octet-stream")
        if part == "metadata" and meta is not None:
            body.add_field("metadata", meta if isinstance(meta, str) else json.dumps(meta))
    return body


@dataclass(frozen=True, slots=True)
class Row:
    """An event as a client sees it."""

    event: str
    data: str
    id: str = ""


async def events(response: aiohttp.ClientResponse) -> AsyncIterator[Row]:
    """The events of a stream, heartbeats among them; ends with the stream."""
    fields: dict[str, str] = {}
    async for raw in response.content:
        line = raw.decode().rstrip("\n")
        if not line:
            yield Row(fields.get("event", ""), fields.get("data", ""), fields.get("id", ""))
            fields = {}
            continue
        name, _, value = line.partition(":")
        fields[name] = value


@dataclass(slots=True)
class Hydrosphere:
    cloud: Cloud
    http: aiohttp.ClientSession
    era: int

    async def get(self, path: str, status: int = 200, method: str = "GET", **options: Any) -> Any:
        """The JSON of an answer that has this status."""
        async with self.http.request(method, path, **options) as answer:
            text = await answer.text()
            assert answer.status == status, text
            return json.loads(text)

    async def post(self, path: str, status: int = 200, **options: Any) -> Any:
        return await self.get(path, status, "POST", **options)

    async def delete(self, path: str, status: int = 200) -> Any:
        return await self.get(path, status, "DELETE")

    async def upload(
        self, payload: bytes | None = None, meta: Any = None, status: int = 200, **changes: Any
    ) -> Any:
        """Upload a model; keyword arguments change its metadata."""
        body = form(payload or packed(), meta or metadata(self.era, **changes))
        return await self.post("/api/v2/model/upload", status, data=body)

    async def versions(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self.get("/api/v2/model/version")
        return found

    async def log(self, version: int, **headers: str) -> list[Row]:
        """The log, followed to its end."""
        async with asyncio.timeout(DEADLINE):
            async with self.http.get(f"/api/v2/model/version/{version}/logs", headers=headers) as answer:
                assert answer.status == 200
                assert answer.headers["Content-Type"].startswith("text/event-stream")
                return [row async for row in events(answer) if row.event]

    async def lines(self, version: int) -> list[str]:
        rows = await self.log(version)
        assert rows[-1] == Row("EndOfStream", "")
        return [row.data for row in rows[:-1]]

    async def built(self, **changes: Any) -> tuple[str, list[str]]:
        """Upload and wait for the end; how it ended, and the log."""
        payload = changes.pop("payload", None)
        version = await self.upload(payload, **changes)
        lines = await self.lines(version["id"])
        status = next(each["status"] for each in await self.versions() if each["id"] == version["id"])
        return status, lines

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[AsyncIterator[Row]]:
        """Listen to events, for so long as they are waited for."""
        async with asyncio.timeout(DEADLINE), self.http.get("/api/v2/events") as answer:
            assert answer.status == 200
            yield events(answer)


@asynccontextmanager
async def hydrosphere(era: int = 3, build_seconds: float = 0.0, **options: Any) -> AsyncIterator[Hydrosphere]:
    """Serve, with a client."""
    async with (
        serve(era=era, build_seconds=build_seconds, **options) as cloud,
        aiohttp.ClientSession(cloud.url) as http,
    ):
        yield Hydrosphere(cloud, http, era)


def below(folder: Path, name: str) -> list[Path]:
    """Where files of a name lie in a folder. What is deleted meanwhile does not break the walk, as it does `rglob`'s."""
    return [Path(root, name) for root, _, files in os.walk(folder) if name in files]
