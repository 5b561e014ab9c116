"""What becomes of a version whose step is cancelled: it is built to its end, or, on demand and harming nobody, deleted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from components.hydrosphere.errors import Unread
from components.hydrosphere.versions import ASSEMBLING, Version, Versions
from runner.errors import NotFound, ServiceError, Transient
from runner.job import StopAnswer
from runner.sinks.text import clipped, one_line

LOOK_SECONDS = 3.0
"""How long a version is looked for that an upload without an answer may have made."""
_BETWEEN = 0.3
_NAMED = 3


class Leaving:
    """The end of one step. Everything answers with what became of the version, and with that in words."""

    def __init__(self, versions: Versions, name: str, *, delete: bool, embedded: bool = False) -> None:
        """`embedded`: whether the cluster ends with us, and all that it has with it."""
        self._embedded = embedded
        self._versions = versions
        self._name = name
        self._delete = delete
        self._refusal = ""
        """Why what may be the version can't be told to be it."""

    async def found(self, look: Callable[[], Awaitable[Version | None]]) -> Version | None:
        """Return the version, if it can be seen in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                while True:
                    try:
                        if version := await look():
                            return version
                    except ServiceError as error:
                        if self._delete:
                            raise
                        if not isinstance(error, Transient):
                            self._refusal = str(error)
                            return None
                    await asyncio.sleep(_BETWEEN)
        return None

    def unseen(self, progress: str) -> tuple[StopAnswer, str]:
        """Tell of an upload that may have made a version which can't be seen. `progress`: how far the upload got."""
        if self._delete:
            # What ought to be deleted, and may yet appear, is a stop that failed.
            return StopAnswer.UNKNOWN, ""
        why = self._refusal or (
            f"no version of {self._name} can be seen; if one appears, the server goes on building it (a build can't be "
            "cancelled there)"
        )
        return StopAnswer.GOES_ON, f"{progress}, but {why}"

    async def of(self, version: Version | None) -> tuple[StopAnswer, str]:
        """Delete the version if that was asked for, and harms nobody; else say that it goes on."""
        if version is None:
            return StopAnswer.GOES_ON, f"{self._name} goes on without us"
        goes_on = f"{version.name} is {version.status or 'registered'}, and stays"
        if version.status == ASSEMBLING:
            goes_on = f"the server goes on building {version.name} (a build can't be cancelled there)"
        if self._embedded:
            goes_on = f"{version.name} ends with the embedded Hydrosphere"
        if not self._delete:
            return StopAnswer.GOES_ON, goes_on
        try:
            kept = await self._deleted(version)
        except NotFound:
            return StopAnswer.ENDED, f"{version.name} was gone already"
        if kept:
            return StopAnswer.GOES_ON, f"{goes_on}; it was not deleted: {kept}"
        return (
            StopAnswer.AGREED,
            f"{version.name} was deleted, and its model with it: it had no other version",
        )

    async def _deleted(self, version: Version) -> str:
        """Delete the version's model; return why not if others would lose something. Raises `NotFound`, `Transient`."""
        known = await self._versions.of_model(version.model)
        if not any((each.id, each.model_id) == (version.id, version.model_id) for each in known):
            # If the model does not exist, nor does the version. One of the same name may, and is somebody else's.
            await self._versions.require_model(version.model_id)
            raise Unread(f"{version.name} can't be seen at the moment")
        if others := [each.name for each in known if each.id != version.id]:
            return f"only whole models can be, and this one has {few(others)} as well"
        if used := known[0].applications:
            return f"it is used by {few(used)}"
        try:
            await self._versions.delete_model(version.model_id)
        except (NotFound, Transient):
            raise
        except ServiceError as error:
            return str(error)
        return ""


def few(names: Sequence[str]) -> str:
    """Name a few, and count the others."""
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(clipped(one_line(name), 100) for name in names[:_NAMED]) + more
