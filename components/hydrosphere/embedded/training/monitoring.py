"""The monitoring: training data of versions.

What it knows of S3 is what a test puts into `Cloud.objects`. Any other object can't be read here, so that it ends as it does
on a cluster that is not allowed to read it: with `Failure`, and a word why. Nothing is claimed to have been profiled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from components.hydrosphere.embedded.books import Books, Version
from components.hydrosphere.embedded.storage import Storage
from components.hydrosphere.embedded.training.profiles import Profiles
from components.hydrosphere.embedded.wire import uploads
from components.hydrosphere.embedded.wire.asked import Asked
from components.hydrosphere.embedded.wire.errors import invalid, not_found
from components.hydrosphere.embedded.wire.reading import member, parsed

CSV_BYTES = 1024**3
"""The most that is taken of training data."""
LONGEST_URI = 2048


class Monitoring:
    """Answers what is asked of the monitoring."""

    def __init__(
        self, books: Books, profiles: Profiles, storage: Storage, objects: Mapping[str, bytes]
    ) -> None:
        """`objects`: what can be reached in S3, by URI."""
        self._books = books
        self._profiles = profiles
        self._storage = storage
        self._objects = objects
        self.operations: dict[str, Callable[[Asked], Awaitable[web.Response]]] = {
            "UploadProfile": self._upload,
            "UploadProfileS3": self._upload_s3,
            "ProfileStatus": self._status,
            "TrainingData": self._training_data,
        }

    async def _upload(self, asked: Asked) -> web.Response:
        version = self._version(asked.id)
        claim = self._storage.claim(CSV_BYTES, "the training data")
        csv = claim.folder / "data.csv"
        async with claim.unless_kept():
            await uploads.store(asked.request, csv, claim, CSV_BYTES)
            asked.body = {"(bytes)": csv.stat().st_size}
            self._version(asked.id)  # it may have been deleted meanwhile
        self._profiles.register(version, csv, claim)
        return web.json_response("ok")

    async def _upload_s3(self, asked: Asked) -> web.Response:
        version = self._version(asked.id)
        asked.body = parsed(await uploads.json_body(asked.request), "the body")
        uri: str = member(asked.body, "path", str)
        if not uri.startswith("s3://") or len(uri) > LONGEST_URI:
            raise invalid("The path is no s3:// URI")
        content = self._objects.get(uri)
        if content is None:
            self._profiles.register_unreachable(version, uri)
            return web.json_response("ok")
        claim = self._storage.claim(CSV_BYTES, "the training data")
        csv = claim.folder / "data.csv"
        async with claim.unless_kept():
            uploads.take(claim, len(content))
            await asyncio.to_thread(csv.write_bytes, content)
            self._version(asked.id)  # it may have been deleted meanwhile
        self._profiles.register(version, csv, claim)
        return web.json_response("ok")

    async def _status(self, asked: Asked) -> web.Response:
        return web.json_response(self._profiles.status(self._version(asked.id)))

    async def _training_data(self, asked: Asked) -> web.Response:
        number = asked.request.query.get("modelVersionId", "")
        if not (number.isascii() and number.isdigit() and len(number) <= 18):
            raise invalid("The query needs a modelVersionId, which is a whole number")
        return web.json_response(self._profiles.uris(self._version(int(number))))

    def _version(self, number: int) -> Version:
        version = self._books.version(number)
        if version is None:
            raise not_found(f"Can't find a model version with id {number}")
        return version
