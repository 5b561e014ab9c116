"""The release of a model version behind the engine's five verbs.

**Never a second version** by one start of a step. An upload whose answer was lost is not repeated: the version is looked
for, by the run key in its metadata, or, outside a pipeline run, as the only new one that is what we asked for. Only what the
cluster can't have taken, because it was cut off, or refused, is sent again. A start that was killed while the cluster still
unpacked its upload can't be known to the next one; that one says so as soon as both can be seen.

**Never released while it is not.** What the cluster says of the version when it is read counts, and nothing else: no event,
and no end of a stream.

**No stop.** A build can't be cancelled: leaving says that it goes on.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from components.hydrosphere.api import Api
from components.hydrosphere.errors import Unread
from components.hydrosphere.release._events import Events
from components.hydrosphere.release._finding import Finder
from components.hydrosphere.release._inputs import ReleaseOutputs
from components.hydrosphere.release._leaving import Leaving, few
from components.hydrosphere.release._log import BuildLog
from components.hydrosphere.release._plan import Plan
from components.hydrosphere.release._training import Stage, Training
from components.hydrosphere.versions import FAILED, RELEASED, VERSIONS, Version, Versions
from runner.errors import NotFound, ServiceError, Transient
from runner.events import Launched, Level, Notice, Phase, Status
from runner.inputs import Outputs
from runner.job import Ended, Feed, FeedEvent, StopAnswer

COMPONENT = "hydrosphere.release"
VISIBLE_SECONDS = 30.0
"""How long a version may be missing before it counts as deleted."""


class Uploader(Protocol):
    """Sends one release to one cluster, once."""

    @property
    def whole(self) -> bool:
        """Whether all of it was handed over: until then, the cluster can't have taken it."""
        ...

    @property
    def progress(self) -> str:
        """How far it got, in words."""
        ...

    async def __call__(self) -> Version:
        """Send it; return the version that it made. Raises the engine's errors; may be cancelled."""
        ...


@dataclass(frozen=True, slots=True)
class Order:
    """What one start of a step is to do."""

    plan: Plan
    uploader: Uploader
    training: Training | None = None
    remarks: Sequence[str] = ()
    """Told as soon as there is somebody to hear them."""
    delete_on_cancel: bool = False


class ReleaseJob:
    """One release. Without an order it is a version that exists, to be watched."""

    breaks_off = True

    def __init__(
        self,
        api: Api,
        model: str,
        number: int | None = None,
        order: Order | None = None,
        news: asyncio.Event | None = None,
    ) -> None:
        """`news`: what the training data sets as well."""
        self._api = api
        self._versions = Versions(api)
        self._model = model
        self._number = number
        self._plan = order.plan if order else None
        self._finder = Finder(self._versions, order.plan) if order else None
        self._uploader = order.uploader if order else None
        self._training = order.training if order else None
        self._remarks = order.remarks if order else ()
        self._delete = order.delete_on_cancel if order else False
        self._version: Version | None = None
        self._missing: float | None = None
        """Since when the version has been missing, by the loop's clock."""
        self._gone = False
        self._log: BuildLog | None = None
        self._built = asyncio.Event()
        self.news = news or asyncio.Event()
        self.outcome = ""

    @property
    def name(self) -> str:
        """`model:number`, as soon as there is a number."""
        return f"{self._model}:{self._number}" if self._number is not None else self._model

    @property
    def resumes(self) -> bool:
        """Whether an earlier start of this step may have made a version that leaving has to delete."""
        return self._delete and self._owner != ""

    @property
    def _owner(self) -> str:
        return self._plan.owner if self._plan else ""

    @property
    def stop_command(self) -> str:
        """The nearest there is: a build can't be stopped, but its model be deleted, or looked at."""
        if self._delete and self._version is not None:
            words = ["curl", "-X", "DELETE", f"{self._api.url}/api/v2/model/{self._version.model_id}"]
            return shlex.join(words) + f"   # deletes the model {self._model} with all its versions"
        return (
            shlex.join(["curl", f"{self._api.url}{VERSIONS}"]) + f"   # lists what there is of {self._model}"
        )

    # ── launch ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def launch(self) -> Launched:
        """Make one attempt to upload; adopt the version that an earlier one, or an earlier start, has made."""
        if self._uploader is None or self._finder is None:
            return self._launched(await self._watched(), adopted=True)
        found = await self._finder.look()
        if found is not None:
            return self._launched(found, adopted=True)
        self._finder.settle(self.stop_command)
        made = await self._upload(self._uploader, self._finder)
        self._remarks = [*self._remarks, *await self._finder.twins(made)]
        return self._launched(made, adopted=False)

    async def _watched(self) -> Version:
        """Return the version that is to be watched. Raises `NotFound`, with those that there are."""
        try:
            return await self._existing()
        except NotFound as error:
            known = await self._versions.of_model(self._model)
            there = f"there are {few([v.name for v in known])}" if known else "nor any other of that model"
            raise NotFound(f"there is no {self.name} at {self._api.url}; {there}") from error

    async def _existing(self) -> Version:
        if self._number is not None:
            return await self._versions.get(self._model, self._number)
        known = await self._versions.of_model(self._model)
        if not known:
            raise NotFound(f"there is no version of the model {self._model} at {self._api.url}")
        return known[-1]

    async def _upload(self, uploader: Uploader, finder: Finder) -> Version:
        finder.uploading()
        try:
            return await uploader()
        except Transient as error:
            if error.ambiguous and uploader.whole:
                finder.lost(error)
                raise
            raise Unread(f"{error}; {uploader.progress}") from error

    def _launched(self, version: Version, *, adopted: bool) -> Launched:
        self._note(version)
        self._log = BuildLog(self._api, version.id, self._built, self.news)
        if self._training is not None:
            self._training.of(version.id)
        links = {} if self._api.embedded else {"cluster": self._api.url}
        return Launched(self.name, COMPONENT, adopted, links)

    def _note(self, version: Version) -> None:
        self._version, self._number = version, version.number

    # ── the other verbs ─────────────────────────────────────────────────────────────────────────────────────────────

    async def describe(self) -> Status:
        """Read the version, and see how far its training data is. What goes missing for a moment comes back."""
        version = await self._present()
        self._note(version)
        if version.status not in {RELEASED, FAILED}:
            return Status(
                Phase.RUNNING, version.status
            )  # Whatever else a cluster may say: it is not released.
        self._built.set()
        if version.status == FAILED:
            return await self._failed(version)
        return self._released(version)

    async def _present(self) -> Version:
        """Return the version as it is. Raises `NotFound` once it is certain that it is gone."""
        now = asyncio.get_running_loop().time()
        try:
            version = await self._existing()
        except NotFound as error:
            self._missing = now if self._missing is None else self._missing
            if now - self._missing < VISIBLE_SECONDS:
                raise Unread(f"{self.name} can't be seen at the moment: {error}") from error
            self._gone = True
            raise NotFound(f"{self.name} is gone: somebody deleted it ({error})") from error
        self._missing = None
        if self._version is not None and version.id != self._version.id:
            self._gone = True
            raise NotFound(f"{self.name} is gone: somebody deleted it, and made another of that name")
        return version

    async def _failed(self, version: Version) -> Status:
        last = await self._log.last_line() if self._log else ""
        reason = f"the build failed; its log ends with: {last}" if last else "the build failed"
        return Status(Phase.FAILED, version.status, reason=reason)

    def _released(self, version: Version) -> Status:
        facts = {"version": version.name}
        if version.image:
            facts |= {"image": version.image, "runtime": version.runtime}
        training = self._training
        if training is not None and training.awaited:
            stage = "Uploading training data" if training.stage is Stage.UPLOADING else "Profiling"
            return Status(Phase.RUNNING, version.status, stage)
        if training is not None and training.required and training.stage is Stage.FAILED:
            return Status(
                Phase.FAILED, version.status, reason=f"{version.name} is released, but {training.reason}"
            )
        return Status(Phase.SUCCEEDED, version.status, facts=facts)

    async def stop(self) -> StopAnswer:
        """Say what becomes of the version; delete it where that was asked for, and harms nobody."""
        embedded = self._api.embedded
        leaving = Leaving(self._versions, self.name, delete=self._delete, embedded=embedded)
        if self._gone:
            self.outcome = f"{self.name} does not exist any more"
            return StopAnswer.ENDED
        if self._version is None and self._uploader is not None and self._finder is not None:
            sent = self._finder.doubtful or self._uploader.whole
            found = await leaving.found(self._finder.look) if sent or self.resumes else None
            if found is None:
                progress = self._uploader.progress
                answer, self.outcome = leaving.unseen(progress) if sent else (StopAnswer.ENDED, progress)
                return answer
            self._note(found)
        answer, self.outcome = await leaving.of(self._version)
        return answer

    async def outputs(self) -> Outputs:
        """Read the number of the version."""
        if self._version is None:
            raise ServiceError(f"no version of {self._model} is known")
        return ReleaseOutputs(version=self._version.number)

    def feeds(self) -> Sequence[Feed]:
        """The build log, the cluster's events, the training data, and what we have to say."""
        feeds: list[Feed] = [self._remark] if self._remarks else []
        if self._version is not None:
            feeds.append(Events(self._api, self._version.id, self.news))
            if self._version.runtime and self._log is not None:
                feeds.append(self._log)
        return feeds + ([self._training] if self._training else [])

    async def _remark(self, _: Ended) -> AsyncIterator[FeedEvent]:
        for remark in self._remarks:
            yield Notice(remark, Level.WARNING)
