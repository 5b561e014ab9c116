"""What becomes of a version whose step is cancelled: it is built to its end, or, on demand and harming nobody, deleted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from components.hydrosphere.errors import Unread
from components.hydrosphere.versions import ASSEMBLING, Version, Versions
from runner.errors import NotFound, ServiceError, Transient
from runner.job import StopAnswer

LOOK_SECONDS = 3.0
"""How long a version is looked for that an upload without an answer may have made."""
_BETWEEN = 0.3


class Leaving:
    """The end of one step. Everything answers with what became of the version, and with that in words."""

    def __init__(self, versions: Versions, name: str, *, delete: bool) -> None:
        self._versions = versions
        self._name = name
        self._delete = delete

    async def found(self, look: Callable[[], Awaitable[Version | None]]) -> Version | None:
        """Return the version, if it can be seen in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                while True:
                    try:
                        if version := await look():
                            return version
                    except ServiceError:
                        if self._delete:
                            raise
                    await asyncio.sleep(_BETWEEN)
        return None

    def unseen(self) -> tuple[StopAnswer, str]:
        """Tell of an upload that was sent whole, and of which no version can be seen."""
        if self._delete:
            return (
                StopAnswer.UNKNOWN,
                "",
            )  # What ought to be deleted, and may yet appear, is a stop that failed.
        return StopAnswer.GOES_ON, (
            f"all of {self._name} was uploaded, but not answered, and no version of it can be seen; if one appears, the "
            "server goes on building it (a build can't be cancelled there)"
        )

    async def of(self, version: Version | None) -> tuple[StopAnswer, str]:
        """Delete the version if that was asked for, and harms nobody; else say that it goes on."""
        if version is None:
            return StopAnswer.GOES_ON, f"{self._name} goes on without us"
        goes_on = (
            f"the server goes on building {version.name} (a build can't be cancelled there)"
            if version.status == ASSEMBLING
            else f"{version.name} has been built, and stays"
        )
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
        if version.number not in {each.number for each in known}:
            await self._versions.model_exists(version.model_id)  # If it does not, nor does the version.
            raise Unread(f"{version.name} can't be seen at the moment")
        if others := [each.name for each in known if each.number != version.number]:
            return f"only whole models can be, and this one has {', '.join(others)} as well"
        if used := known[0].applications:
            return f"it is used by {', '.join(used)}"
        try:
            await self._versions.delete_model(version.model_id)
        except (NotFound, Transient):
            raise
        except ServiceError as error:
            return str(error)
        return ""
