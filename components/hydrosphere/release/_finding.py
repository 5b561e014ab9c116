"""Finding the version that is this step's: an earlier start's, or what an upload without an answer has made."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from components.hydrosphere.errors import Answered
from components.hydrosphere.release._plan import Plan
from components.hydrosphere.versions import FAILED, Version, Versions
from runner.errors import ServiceError, Transient
from runner.identity import OWNER_TAG

APPEAR_SECONDS = 60.0
"""How long a version is looked for after an upload that was never answered."""
SETTLE_SECONDS = 10.0
"""The same after one of which the server itself said that it failed: then it has made the version, or never will."""


class Finder:
    """Looks for one step's version, and remembers whether an upload may have made one."""

    def __init__(self, versions: Versions, plan: Plan) -> None:
        self._versions = versions
        self._plan = plan
        self._baseline: int | None = None
        """The latest version there was before our first upload; None before we looked."""
        self._asked: float | None = None
        """When an upload went out that was not accepted, and may have been taken, by the loop's clock."""
        self._answered = False
        """Whether the server itself said that it failed."""

    @property
    def doubtful(self) -> bool:
        """Whether an upload may have made a version that was not seen yet."""
        return self._asked is not None

    async def look(self) -> Version | None:
        """Return the version if it can be seen. Raises `ServiceError` if one of several may be it."""
        known = await self._versions.of_model(self._plan.release.model)
        if self._baseline is None:
            return self._first(known)
        ours = [v for v in known if v.number > (self._baseline or 0) and self._is_ours(v)]
        if len(ours) > 1 and not self._plan.owner:
            names = ", ".join(v.name for v in ours)
            raise ServiceError(
                f"the answer to the upload was lost, and {names} may each be what it made: somebody else releases the same "
                "at this moment; look which is yours (with --run-key it could be told)"
            )
        return ours[-1] if ours else None

    def _first(self, known: list[Version]) -> Version | None:
        """Return an earlier start's version; from now on only later ones than there are count."""
        ours = [v for v in known if self._plan.owner and self._is_ours(v)]
        # A build that failed is done with: the step that is tried again builds anew.
        adopted = ours[-1] if ours and ours[-1].status != FAILED else None
        self._baseline = known[-1].number if known and adopted is None else 0
        return adopted

    def _is_ours(self, version: Version) -> bool:
        """By the run key; without one, because it is what we asked for."""
        if self._plan.owner:
            return version.metadata.get(OWNER_TAG) == self._plan.owner
        release = self._plan.release
        runtime = f"{release.runtime.name}:{release.runtime.tag}" if release.runtime else ""
        signature = release.signature
        fields = tuple(field.name for side in (signature.inputs, signature.outputs) for field in side)
        asked = (runtime, dict(release.metadata or {}), fields)
        alike = (version.runtime, dict(version.metadata), version.fields) == asked
        return alike and version.install_command in (None, release.install_command or "")

    async def twins(self, made: Version) -> list[str]:
        """Say it if an earlier start's upload has made a version as well, after we looked."""
        if not self._plan.owner:
            return []
        with suppress(ServiceError):
            known = await self._versions.of_model(made.model)
            twins = [v.name for v in known if v.id != made.id and v.status != FAILED and self._is_ours(v)]
            return [
                f"an earlier start of this step has made {name}, which is the same as {made.name}"
                for name in twins
            ]
        return []

    def uploading(self) -> None:
        """An upload begins: what became of earlier ones is settled."""
        self._asked = None

    def lost(self, error: Transient) -> None:
        """An upload that was sent whole ended so, and may have made a version all the same."""
        self._asked = asyncio.get_running_loop().time()
        self._answered = isinstance(error, Answered)

    def settle(self, command: str) -> None:
        """Return once an upload that was lost can't have made a version any more, so that it may be sent again.

        Raises `Transient` as long as one may appear, and `ServiceError` if that can never be told. `command` shows what
        there is.
        """
        if self._asked is None:
            return
        waited = asyncio.get_running_loop().time() - self._asked
        model = self._plan.release.model
        text = f"the upload of {model} was not answered, and no version that it made can be seen"
        if waited < (SETTLE_SECONDS if self._answered else APPEAR_SECONDS):
            raise Transient(f"{text} yet; it is not repeated, for that might make a second one")
        if not self._answered:
            raise ServiceError(
                f"{text} {APPEAR_SECONDS:g} s later. It was not repeated, for that might make a second one; "
                f"look with: {command}"
            )
