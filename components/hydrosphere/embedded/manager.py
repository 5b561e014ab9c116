"""The manager: models, versions and their builds."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import nullcontext

from aiohttp import web

from components.hydrosphere.embedded import events, signatures
from components.hydrosphere.embedded.books import Books, Draft, Model
from components.hydrosphere.embedded.building import logs, payloads
from components.hydrosphere.embedded.building.builds import Builds
from components.hydrosphere.embedded.eras import Era
from components.hydrosphere.embedded.events import Hub
from components.hydrosphere.embedded.faults import Faults
from components.hydrosphere.embedded.storage import Storage
from components.hydrosphere.embedded.training.profiles import Profiles
from components.hydrosphere.embedded.wire import uploads
from components.hydrosphere.embedded.wire.asked import Asked
from components.hydrosphere.embedded.wire.errors import invalid, not_found
from components.hydrosphere.embedded.wire.feeds import Feed
from components.hydrosphere.embedded.wire.reading import parsed
from components.hydrosphere.embedded.wire.sse import Event

Answer = web.Response | Feed
_NAME = re.compile(r"[a-z\-_\d]+", re.ASCII)
LONGEST_NAME = 1000
MOST_UNPACKING = 2
"""Payloads at a time; more wait."""
_SERVICES = {"api": "serving-manager", "gateway": "serving-gateway", "monitoring": "serving-sonar"}


class Manager:
    """Answers what is asked of the manager."""

    def __init__(
        self,
        era: Era,
        books: Books,
        builds: Builds,
        profiles: Profiles,
        hub: Hub,
        storage: Storage,
        faults: Faults,
    ) -> None:
        self._era = era
        self._books = books
        self._builds = builds
        self._profiles = profiles
        self._hub = hub
        self._storage = storage
        self._faults = faults
        self._places = asyncio.Semaphore(MOST_UNPACKING)
        self.operations: dict[str, Callable[[Asked], Awaitable[Answer]]] = {
            "BuildInfo": self._build_info,
            "Upload": self._upload,
            "RegisterExternal": self._register,
            "ListModels": self._list_models,
            "GetModel": self._get_model,
            "DeleteModel": self._delete_model,
            "ListVersions": self._list_versions,
            "GetVersion": self._get_version,
            "Events": self._events,
            "Logs": self._logs,
        }

    async def _build_info(self, asked: Asked) -> Answer:
        service = asked.given["service"]
        return web.json_response(self._era.build_info(_SERVICES.get(service, service)))

    async def _upload(self, asked: Asked) -> Answer:
        """Receive, unpack, check, enter; the build goes on behind the answer."""
        claim = self._storage.claim(uploads.BODY_BYTES, "the payload")
        try:
            uploaded = await uploads.receive(asked.request, claim)
            asked.body = parsed(uploaded.metadata, "the part 'metadata'")
            draft = self._era.upload(asked.body)
            _check_name(draft)
            self._books.check_room(draft)
            async with self._places:
                payload = await payloads.unpacked(uploaded.payload, self._storage)
        finally:
            await asyncio.to_thread(claim.close)
        asked.members = payload.members
        try:
            signatures.check(draft.signature)
            version = self._books.enter(draft)
        except BaseException:
            await payload.close()
            raise
        answer = self._era.view(version)
        self._builds.tell(version)
        self._builds.start(version, payload)
        return web.json_response(answer)

    async def _register(self, asked: Asked) -> Answer:
        asked.body = parsed(await uploads.json_body(asked.request), "the body")
        draft = self._era.external(asked.body)
        _check_name(draft)
        signatures.check(draft.signature)
        version = self._books.enter(draft)
        self._builds.tell(version)
        return web.json_response(self._era.registered(version))

    async def _list_models(self, _: Asked) -> Answer:
        return web.json_response([_shown(model) for model in self._books.models])

    async def _get_model(self, asked: Asked) -> Answer:
        return web.json_response(_shown(self._model(asked.id)))

    async def _delete_model(self, asked: Asked) -> Answer:
        """Delete a model with all its versions, unless something uses one; builds come to nothing."""
        model = self._model(asked.id)
        versions = self._books.of(model)
        users = sorted({name for version in versions for name in version.applications})
        if users:
            raise invalid(f"Can't delete the model. It's used in [{', '.join(users)}].")
        self._books.remove(model, versions)
        for version in versions:
            self._builds.forget(version)
            self._profiles.forget(version)
            self._hub.publish(Event(str(version.id), "ModelRemove"))
        return web.json_response(_shown(model))

    async def _list_versions(self, _: Asked) -> Answer:
        versions = self._books.versions
        if self._faults.missing("ListVersions"):
            versions = versions[:-1]
        return web.json_response([self._era.listed(version) for version in versions])

    async def _get_version(self, asked: Asked) -> Answer:
        name, number = asked.given["name"], int(asked.given["number"])
        version = self._books.find(name, number)
        if version is None or self._faults.missing("GetVersion"):
            raise not_found(f"Can't find a model version {name[:LONGEST_NAME]}:{number}")
        return web.json_response(self._era.alone(version))

    async def _events(self, asked: Asked) -> Answer:
        def cut() -> None:
            if asked.request.transport is not None:
                asked.request.transport.abort()

        return Feed(lambda: self._hub.listening(cut), events.HEARTBEAT_SECONDS, self._faults.stream("Events"))

    async def _logs(self, asked: Asked) -> Answer:
        version = self._books.version(asked.id)
        if version is None or version.log is None:
            raise not_found(f"Can't find a build log of the model version {asked.id}")
        last = asked.request.headers.get("Last-Event-ID", "").strip()
        first = int(last) + 1 if re.fullmatch(r"\d{1,9}", last) else 0
        reading = logs.Reading(version.log, first)
        return Feed(lambda: nullcontext(reading), logs.HEARTBEAT_SECONDS, self._faults.stream("Logs"))

    def _model(self, number: int) -> Model:
        model = self._books.model(number)
        if model is None:
            raise not_found(f"Can't find a model with id {number}")
        return model


def _check_name(draft: Draft) -> None:
    if not _NAME.fullmatch(draft.name):
        raise invalid("Model name contains invalid characters")
    if len(draft.name) > LONGEST_NAME:
        raise invalid(f"Model name is longer than {LONGEST_NAME} characters")


def _shown(model: Model) -> dict[str, object]:
    return {"id": model.id, "name": model.name}
