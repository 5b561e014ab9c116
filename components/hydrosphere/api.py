"""A Hydrosphere cluster's HTTP interface, natively: every call bounded in time, every stream in silence.

No call repeats itself: who may repeat a read does so by the engine's retry policy, and an upload is never repeated
blindly. The paths, their bodies and answers were read in the manager of versions 2 and 3 and in hydrosdk.
"""

from __future__ import annotations

import json as _json
import os
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self

import aiohttp

import runner
from components.hydrosphere.errors import Unread, of_status, translated, without
from components.hydrosphere.inputs import Where
from components.hydrosphere.sse import ServerSentEvent, parsed
from components.hydrosphere.upload import Body
from runner.embedded import inside
from runner.errors import ServiceError, Transient

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0
"""For the whole of a call without a large body."""
KEEP_ALIVE = 120.0
"""Seconds that an idle connection is kept: longer than the longest pause between two reads of a status."""
LONGEST_ANSWER = 2**20
"""Bytes of one answer, where nothing else is said."""
ADDRESS = "HYDROSPHERE_CLUSTER"
"""Environment variable that names the embedded Hydrosphere's address."""
_READS = frozenset({"GET", "HEAD"})


class Api:
    """A session with one cluster, for the length of its context."""

    def __init__(self, where: Where, secrets: Collection[str] = ()) -> None:
        """`secrets`: what is sent there, and must not be repeated should the cluster quote it in an error."""
        self._secrets = secrets
        self.embedded = inside("hydrosphere")
        """Whether the embedded Hydrosphere stands for the cluster that was named."""
        self.url = os.environ[ADDRESS] if self.embedded else where.cluster

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            base_url=self.url,
            connector=aiohttp.TCPConnector(keepalive_timeout=KEEP_ALIVE),
            timeout=aiohttp.ClientTimeout(ANSWER_SECONDS, sock_connect=CONNECT_SECONDS),
            headers={"User-Agent": f"kfp-runner/{runner.__version__}"},
            trust_env=True,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def call(self, method: str, path: str, body: object = None, most: int = LONGEST_ANSWER) -> Any:  # noqa: ANN401  JSON
        """Make one call, with a JSON body or none; return its JSON answer, of at most `most` bytes.

        Raises the engine's errors.
        """
        return await self._call(method, path, most, json=body)

    async def send(self, path: str, body: Body, headers: Mapping[str, str]) -> Any:  # noqa: ANN401  JSON
        """Post a body piece by piece; return the JSON answer. Whether all of it was handed over, the body tells."""
        no_total = aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS)
        with translated(self.url, f"POST {path}", read=False):
            # One limit, put off by every piece that gets through: a large body on a slow line is no failure.
            async with body.patience() as pieces:
                return await self._call(
                    "POST", path, LONGEST_ANSWER, data=pieces, headers=headers, timeout=no_total
                )

    async def stream(
        self, path: str, silence: float, last_id: str = ""
    ) -> AsyncGenerator[ServerSentEvent | None, None]:
        """Iterate over server-sent events; the first item, None, tells that the stream is open.

        Raises `Unread` when it is broken, or when nothing, not even a heartbeat, came for `silence` seconds.
        """
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if last_id:
            headers["Last-Event-ID"] = last_id
        timeout = aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS, sock_read=silence)
        with translated(self.url, f"GET {path}", read=True):
            async with self._session.get(
                path, headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                await self._require_success(answer, f"GET {path}")
                yield None
                async with aclosing(parsed(answer.content.iter_any())) as events:
                    async for event in events:
                        yield event

    async def _call(self, method: str, path: str, most: int, **more: Any) -> Any:  # noqa: ANN401  aiohttp's
        what, read = f"{method} {path}", method in _READS
        with translated(self.url, what, read=read):
            async with self._session.request(method, path, allow_redirects=False, **more) as answer:
                await self._require_success(answer, what)
                text = await _read(answer, most + 1)
        lost = Unread if read else Transient
        if len(text) > most:
            # Of what was carried out the answer is lost; what is only read would be as long the next time.
            raise (ServiceError if read else lost)(
                f"Hydrosphere: the answer to {what} has more than {most:,} bytes"
            )
        try:
            return _json.loads(text) if text.strip() else None
        except (ValueError, RecursionError) as error:
            raise lost(f"Hydrosphere at {self.url} answered {what} with something that is no JSON") from error

    async def _require_success(self, answer: aiohttp.ClientResponse, what: str) -> None:
        if not 200 <= answer.status < 300:
            said = await _read(answer, 2**16)
            safe = without(said.decode(errors="replace"), self._secrets).encode()
            later = "Retry-After" in answer.headers
            raise of_status(answer.status, safe, what, read=answer.method in _READS, later=later)


async def _read(answer: aiohttp.ClientResponse, most: int) -> bytes:
    """Read an answer, or its beginning: what it has beyond `most` bytes is not waited for."""
    text = bytearray()
    async for chunk in answer.content.iter_any():
        text += chunk
        if len(text) >= most:
            break
    return bytes(text[:most])
