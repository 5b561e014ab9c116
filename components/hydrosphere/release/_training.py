"""Training data: uploaded while the version is built, and profiled by the cluster's monitoring.

The cluster keeps what it was given each time. So after an answer that was lost, and after a restart of the step, its status
is looked at first: data that it has is not sent again.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from enum import Enum, auto

from components.hydrosphere.api import Api
from components.hydrosphere.errors import Unread
from components.hydrosphere.following import Pauses, unless
from components.hydrosphere.upload import Body, opened
from runner.errors import NotFound, ServiceError, Transient
from runner.events import Level, Notice
from runner.job import Ended, FeedEvent
from runner.retry import retrying
from runner.sinks.text import clipped, one_line

UPLOAD_PATIENCE = 120.0
"""Seconds for which the upload is tried again while the cluster fails."""
REGISTER_SECONDS = 60.0
"""How long the cluster may say that it knows of no training data, after it took some."""
SETTLE_SECONDS = 10.0
"""How long data that were sent without an answer are looked for before they are sent again."""
_TAKEN = frozenset({"Processing", "Success"})


class Stage(Enum):
    """How far the training data is."""

    UPLOADING = auto()
    PROFILING = auto()
    PROFILED = auto()
    FAILED = auto()


class Training:
    """The training data of one version."""

    label = "the training data"

    def __init__(self, api: Api, source: str, news: asyncio.Event, *, required: bool) -> None:
        """`source`: a local CSV file or an S3 URI; `news`: set at every stage's end; `required`: its profile has to be."""
        self._api = api
        self._source = source
        self._news = news
        self._base = ""
        self._why = ""
        """What the cluster last said about a failure, if it did."""
        self.required = required
        self.stage = Stage.UPLOADING
        self.reason = ""
        """Why it failed."""

    @property
    def awaited(self) -> bool:
        """Whether the step has to wait for it: for the upload in any case, for the profile where it is required."""
        return self.stage is Stage.UPLOADING or (self.required and self.stage is Stage.PROFILING)

    def of(self, version_id: int) -> None:
        """Say whose it is, before it is followed."""
        self._base = f"/monitoring/profiles/batch/{version_id}"

    async def __call__(self, ended: Ended) -> AsyncIterator[FeedEvent]:
        """Upload it, then follow its profile until there is one, or nobody waits any more."""
        try:
            sent = await unless(ended, self._upload())
            if sent is None:
                return  # The build failed; there is nothing that the data could belong to.
            self._turn(Stage.PROFILING)
            yield Notice(
                f"training data: {'uploaded' if sent else 'the cluster has it already'}, being profiled"
            )
            kind = await self._profiled(ended)
        except ServiceError as error:
            self._fail(f"training data: {error}")
        except OSError as error:
            self._fail(f"training data: can't read {self._source}: {error.strerror or error}")
        else:
            if kind == "Success":
                self._turn(Stage.PROFILED)
                yield Notice("training data: profiled")
            elif kind:
                why = f": {self._why}" if self._why else ""
                self._fail(f"training data: its profile failed (the cluster says {kind}{why})")
            else:
                yield Notice(
                    "training data: its profile is not ready, and not waited for (--require_training_profile does)"
                )
        finally:
            if (
                self.stage is Stage.UPLOADING
            ):  # Whatever ended it: the step must not wait for what does not go on.
                self._fail("training data: the upload came to no end")
        if self.stage is Stage.FAILED:
            yield Notice(self.reason, Level.ERROR if self.required else Level.WARNING)

    async def _upload(self) -> bool:
        """Hand it to the cluster; False if it was there."""
        sent = lost = False
        async for attempt in retrying(lambda _: UPLOAD_PATIENCE):
            with attempt:
                # The first look is for an earlier start of the step, others for an answer that was lost.
                if await (self._appears() if lost else self._has_it()):
                    return sent
                sent, lost = True, True
                try:
                    await self._send()
                except Transient as error:
                    lost = error.ambiguous
                    raise
        return True

    async def _appears(self) -> bool:
        """Whether what was sent without an answer arrived; it may take a moment until that is known."""
        end = asyncio.get_running_loop().time() + SETTLE_SECONDS
        while not await self._has_it():
            if asyncio.get_running_loop().time() >= end:
                return False
            await asyncio.sleep(1.0)
        return True

    async def _has_it(self) -> bool:
        return await self._kind() in _TAKEN

    async def _send(self) -> None:
        if self._source.startswith("s3://"):
            await self._api.call("POST", f"{self._base}/s3", {"path": self._source})
            return
        with opened(self._source) as content:
            body = Body(content, os.fstat(content.fileno()).st_size)
            try:
                await self._api.send(self._base, body, {"Content-Type": "text/csv"})
            except Transient as error:
                if body.whole:
                    raise
                raise Unread(f"{error}; {body.sent:,} of {body.size:,} bytes were sent") from error

    async def _profiled(self, ended: Ended) -> str:
        """Return the final word on the profile; blank if the job ended first."""
        pauses, now = Pauses(ended), asyncio.get_running_loop().time
        until = now() + REGISTER_SECONDS
        while True:
            async for attempt in retrying(lambda _: float("inf")):
                with attempt:
                    kind = await self._kind()
            if kind in {"Success", "Failure"}:
                return kind
            if kind == "Processing":
                until = now() + REGISTER_SECONDS
            elif now() > until:
                return kind or "nothing of it"
            if ended.is_set():
                return ""
            await pauses.pause()

    async def _kind(self) -> str:
        try:
            told = await self._api.call("GET", f"{self._base}/status")
        except NotFound:
            return "NotRegistered"
        if not isinstance(told, dict):
            return ""
        self._why = clipped(one_line(str(told.get("error") or "")), 300)
        return str(told.get("kind", ""))

    def _turn(self, stage: Stage) -> None:
        self.stage = stage
        self._news.set()

    def _fail(self, reason: str) -> None:
        self.reason = reason
        self._turn(Stage.FAILED)
