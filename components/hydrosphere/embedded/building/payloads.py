"""A model's files: unpacked from the tar.gz that a client sent, none of them outside their folder."""

from __future__ import annotations

import asyncio
import posixpath
import tarfile
from dataclasses import dataclass
from pathlib import Path

from components.hydrosphere.embedded.storage import Claim, Storage
from components.hydrosphere.embedded.wire.errors import invalid
from runner.emulation.archives import BROKEN, shortened, unpack
from runner.emulation.paths import UnsafeKeyError

MOST_BYTES = 1024**3
"""Of all files and folders of a payload."""
MOST_MEMBERS = 10_000
"""Files and folders of a payload, also those that only lie on the way to a file."""
MOST_CHARACTERS = 4 * 1024**2
"""Of all names in a payload."""


@dataclass(frozen=True, slots=True)
class Payload:
    """Files on the disk, for as long as the build needs them."""

    claim: Claim
    members: tuple[str, ...]
    """The names as they stand in the archive, in its order."""
    links: frozenset[str]
    """Links that lead to another file of the payload; they are not on the disk."""

    @property
    def folder(self) -> Path:
        """Where the files lie."""
        return self.claim.folder

    async def close(self) -> None:
        """Delete the files."""
        await asyncio.to_thread(self.claim.close)


async def unpacked(packed: Path, storage: Storage) -> Payload:
    """Unpack a payload. Raises `ApiError` that says what is wrong with it."""
    claim = storage.claim(MOST_BYTES, "the unpacked payload")
    look = _Look()
    async with claim.unless_kept():
        try:
            await claim.filled(_unpack, packed, claim, look)
        except BROKEN as error:
            raise invalid(f"Couldn't unpack the payload: {_why(error)}") from error
    return Payload(claim, tuple(look.members), frozenset(look.links))


def _unpack(packed: Path, claim: Claim, look: _Look) -> None:
    with packed.open("rb") as file:
        unpack(file, claim.folder, claim, look.special, look.seen, MOST_MEMBERS)


class _Look:
    """What is noticed of an archive's members."""

    def __init__(self) -> None:
        self.members: list[str] = []
        self.links: list[str] = []
        self._left = MOST_CHARACTERS

    def seen(self, member: tarfile.TarInfo) -> None:
        """Note a name. Raises ValueError when all of them become too long."""
        self._left -= len(member.name)
        if self._left < 0:
            raise ValueError(f"its names have more than {MOST_CHARACTERS} characters together")
        self.members.append(member.name)

    def special(self, name: str, member: tarfile.TarInfo) -> None:
        """Note a link that stays inside. Raises `UnsafeKeyError` for all else."""
        if not (member.issym() or member.islnk()):
            raise UnsafeKeyError(f"{shortened(name)!a} is a device or a pipe, which is not unpacked")
        base = posixpath.dirname(name) if member.issym() else ""
        target = posixpath.normpath(posixpath.join(base, member.linkname))
        if posixpath.isabs(target) or target == ".." or target.startswith("../"):
            raise UnsafeKeyError(
                f"{shortened(name)!a} is a link that leads out of the payload, to {shortened(member.linkname)!a}"
            )
        self.links.append(name)


def _why(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error)[:1000] or type(error).__name__
