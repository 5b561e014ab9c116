"""Unpacking a tar.gz that somebody else packed: nothing in it may lie outside the folder, or be more than it seems."""

from __future__ import annotations

import gzip
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from runner.emulation.paths import UnsafeKeyError, created, inside

_CHUNK = 1024**2
MOST_MEMBERS = 100_000
"""Files and folders of an archive."""
LONGEST_HEADER = 512 * 1024
"""Bytes of all headers of one member; paths have at most 4096."""

# ValueError: numbers in a header that are none, and UnsafeKeyError. The last one: sizes beyond all numbers.
BROKEN = (tarfile.TarError, zlib.error, EOFError, OSError, ValueError, RecursionError, OverflowError)
"""What `unpack` raises."""


class Room(Protocol):
    """How much may be unpacked."""

    def take(self, size: int) -> None:
        """Use up `size` bytes, before they are written. Raises OSError when they are not there, or nobody waits."""


def refuse(name: str, _: tarfile.TarInfo) -> None:
    """Raise `UnsafeKeyError` for any link or device."""
    raise UnsafeKeyError(f"{name!a} is a link or a device, which is not unpacked")


def unpack(
    packed: IO[bytes],
    folder: Path,
    room: Room,
    special: Callable[[str, tarfile.TarInfo], None] = refuse,
    seen: Callable[[tarfile.TarInfo], None] = lambda _: None,
) -> None:
    """Unpack a tar.gz into a folder. Raises what `BROKEN` lists.

    `special` is told of each link and device, with its name in the folder; they are not unpacked. `seen` is told of
    every member before it is unpacked. Both may raise ValueError.
    """
    stream = _Stream(gzip.GzipFile(fileobj=packed))
    with tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]  # all it needs is read()
        for _ in range(MOST_MEMBERS):
            with stream.header():
                member = archive.next()
            # What it keeps of earlier members is memory that an archive could fill.
            archive.members.clear()
            archive.pax_headers.clear()
            if member is None:
                return
            seen(member)
            _member(archive, member, folder, room, special)
    raise OSError(f"it holds more than {MOST_MEMBERS} files and folders")


def _member(
    archive: tarfile.TarFile,
    member: tarfile.TarInfo,
    folder: Path,
    room: Room,
    special: Callable[[str, tarfile.TarInfo], None],
) -> None:
    name = member.name.removeprefix("./").removesuffix("/")
    room.take(0)  # ends here, too, when nobody waits for it any more
    if member.issparse():
        # Its size is a claim: what it does not hold would be written as zeros.
        raise UnsafeKeyError(f"{name!a} is a sparse file, which is not unpacked")
    if member.isdir():
        if name not in ("", "."):
            inside(folder, name).mkdir(parents=True, exist_ok=True)
    elif member.isfile():
        _extract(archive, member, folder, inside(folder, name), room)
    else:
        special(name, member)


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, path: Path, room: Room) -> None:
    source = archive.extractfile(member)
    if source is None:
        raise OSError(f"{member.name!a} can't be read")
    with created(folder, path) as descriptor, os.fdopen(descriptor, "wb", closefd=False) as file:
        while piece := source.read(_CHUNK):
            room.take(len(piece))
            file.write(piece)
        os.fchmod(descriptor, (member.mode & 0o755) | 0o600)


class _Stream:
    """What a tar file is read from. Headers are read into memory whole, so there is a bound for them apart."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream = stream
        # The first member's are read when the archive is opened.
        self._left: int | None = LONGEST_HEADER

    def read(self, size: int) -> bytes:
        piece = self._stream.read(size)
        if self._left is not None:
            self._left -= len(piece)
            if self._left < 0:
                raise OSError(f"a header is longer than {LONGEST_HEADER} bytes")
        return piece

    @contextmanager
    def header(self) -> Iterator[None]:
        """The next member's headers are read, and nothing else."""
        self._left = LONGEST_HEADER
        yield
        self._left = None
