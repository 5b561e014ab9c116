"""The upload by our own client: packed beforehand, streamed, and known to the byte how far it got."""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import IO, BinaryIO, cast

from components.hydrosphere.api import Api
from components.hydrosphere.release._eras import Era
from components.hydrosphere.release._plan import Plan
from components.hydrosphere.release.payload.members import pack
from components.hydrosphere.upload import Body, multipart
from components.hydrosphere.versions import Version
from runner.errors import RunnerError, ServiceError, Transient
from runner.sinks.pump import aside

LIMIT = 200_000_000
"""Bytes that the manager takes at most (its `akka.http.parsing.max-content-length`)."""
_ROOM = 10_000
"""Of these, what is kept for all that is no payload, beside the metadata."""
_UPLOAD, _EXTERNAL = "/api/v2/model/upload", "/api/v2/externalmodel"


class NativeUpload:
    """Sends one release. `archive` is the packed payload; an external model has none."""

    def __init__(self, api: Api, plan: Plan, era: Era, archive: IO[bytes] | None, size: int) -> None:
        self._api = api
        self._request = plan.request(era)
        self._archive = archive
        self._size = size
        self._body: Body | None = None
        self._registered = False

    @property
    def whole(self) -> bool:
        """Whether all of it was handed over."""
        return self._registered or (self._body is not None and self._body.whole)

    @property
    def progress(self) -> str:
        """How far it got."""
        if self._body is None:
            return "it was sent" if self._registered else "nothing was uploaded"
        sent, size = f"{self._body.sent:,}", f"{self._body.size:,}"
        return (
            f"all {size} bytes were uploaded"
            if self._body.whole
            else f"the upload was broken off after {sent} of {size} bytes, of which the server makes no version"
        )

    async def __call__(self) -> Version:
        """Send it; return the version that it made."""
        if self._archive is None:
            self._registered = True
            return _read(await self._api.call("POST", _EXTERNAL, self._request))
        self._archive.seek(0)
        self._body, headers = multipart(self._archive, self._size, self._request)
        return _read(await self._api.send(_UPLOAD, self._body, headers))


def _read(answer: object) -> Version:
    """Read the version that an upload was answered with. An answer that tells none, a proxy's perhaps, is lost."""
    try:
        return Version.of(answer)
    except ServiceError as error:
        raise Transient(f"{error}: the version may have been made all the same") from error


@asynccontextmanager
async def packed(plan: Plan) -> AsyncIterator[tuple[IO[bytes] | None, int]]:
    """Pack the payload into a file that is gone afterwards; give it with its size. Raises `InputError` if it is too large.

    Packing takes seconds for a large model: it goes on beside the loop, and ends with a cancellation.
    """
    if plan.external:
        yield None, 0
        return
    stopped, size = threading.Event(), 0
    overhead = _ROOM + len(json.dumps(plan.request(Era.TWO)))
    with _temporary() as archive:

        def work() -> None:
            nonlocal size
            size = pack(plan.members, archive, LIMIT - overhead, stopped.is_set)

        try:
            await aside(work)
        finally:
            stopped.set()
        yield archive, size


def _temporary() -> BinaryIO:
    try:
        return cast("BinaryIO", tempfile.TemporaryFile(prefix="kfp-runner-"))
    except OSError as error:
        raise RunnerError(
            f"can't make a temporary file for the archive of --payload: {error.strerror}"
        ) from error
