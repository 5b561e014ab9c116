"""Unpacking a tar.gz that somebody else packed: nothing in it may lie outside the folder, or be more than it seems."""

from __future__ import annotations

import gzip
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol, cast

from runner.emulation.paths import UnsafeKeyError, created, inside, make

_CHUNK = 1024**2
MOST_MEMBERS = 100_000
"""Files and folders of an archive, also those folders that only lie on the way to a file."""
MOST_PARTS = 64
"""Names in a path."""
LONGEST_NAME = 4096
"""Bytes of a path: what the system takes."""
LONGEST_HEADER = 16 * 1024
"""Bytes of all headers of one member: two paths fit. Much more would keep older Pythons busy (CVE-2024-6232)."""
MOST_HEADERS = 16 * 1024**2
"""Bytes of all headers together, beyond four blocks of each member."""
ENTRY_BYTES, FOLDER_BYTES = 512, 4096
"""What a file takes up beyond its content, and what a folder does."""
SLACK_BYTES = 4 * 1024**2
"""Of packed bytes, what may come beyond twice of what they unpack to."""
LONGEST_END = 1024**2
"""Bytes of zeros at an archive's end; tar fills up to 10,240."""

# ValueError: numbers in a header that are none, and UnsafeKeyError. The last one: sizes beyond all numbers.
BROKEN = (tarfile.TarError, zlib.error, EOFError, OSError, ValueError, RecursionError, OverflowError)
"""What `unpack` raises."""


class Room(Protocol):
    """How much may be unpacked."""

    def take(self, size: int) -> None:
        """Use up `size` bytes, before they are written. Raises OSError when they are not there, or nobody waits.

        0: nothing is used up, but it is a moment to raise.
        """


def refuse(name: str, _: tarfile.TarInfo) -> None:
    """Raise `UnsafeKeyError` for any link or device."""
    raise UnsafeKeyError(f"{shortened(name)!a} is a link or a device, which is not unpacked")


def shortened(name: str) -> str:
    """A name as a message may repeat it: about 200 characters of it."""
    return name if len(name) <= 200 else f"{name[:200]}…"


def unpack(
    packed: IO[bytes],
    folder: Path,
    room: Room,
    special: Callable[[str, tarfile.TarInfo], None] = refuse,
    seen: Callable[[tarfile.TarInfo], None] = lambda _: None,
    most: int | None = None,
) -> None:
    """Unpack a tar.gz into a folder, and make sure that it is whole. Raises what `BROKEN` lists.

    `special` is told of each link and device, with its name in the folder; they are not unpacked. `seen` is told of
    every member before it is unpacked. Both may raise ValueError. `most`: files and folders, if not `MOST_MEMBERS`.
    """
    stream = _Stream(_Packed(packed, room))
    unpacking = _Unpacking(folder, room, MOST_MEMBERS if most is None else most)
    with stream.header():
        archive: Any = tarfile.TarFile(fileobj=cast("IO[bytes]", stream))
    while True:
        with stream.header():
            member = archive.next()
        # What it keeps of earlier members is memory that an archive could fill.
        archive.members.clear()
        archive.pax_headers.clear()
        if member is None:
            break
        seen(member)
        unpacking.member(archive, member, special)
    stream.end()


class _Unpacking:
    """Where members go, and how many there may be."""

    def __init__(self, folder: Path, room: Room, most: int) -> None:
        self._folder = folder
        self._room = room
        self._most = self._left = most

    def member(
        self,
        archive: tarfile.TarFile,
        member: tarfile.TarInfo,
        special: Callable[[str, tarfile.TarInfo], None],
    ) -> None:
        name = _name(member)
        self._room.take(ENTRY_BYTES)  # ends here, too, when nobody waits for it any more
        if member.issparse():
            # Its size is a claim: what it does not hold would be written as zeros.
            raise UnsafeKeyError(f"{shortened(name)!a} is a sparse file, which is not unpacked")
        if member.isdir():
            before = self._left
            if name:
                make(self._folder, inside(self._folder, name), self._new_folder)
            if before == self._left:  # it was there, but there could be millions of it
                self._count()
            return
        self._count()
        if member.isfile():
            self._extract(archive, member, inside(self._folder, name))
        else:
            special(name, member)

    def _extract(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
        source = archive.extractfile(member)
        if source is None:
            raise OSError(f"{shortened(member.name)!a} can't be read")
        with (
            created(self._folder, path, self._new_folder) as descriptor,
            os.fdopen(descriptor, "wb", closefd=False) as file,
        ):
            while piece := source.read(_CHUNK):
                self._room.take(len(piece))
                file.write(piece)
            os.fchmod(descriptor, (member.mode & 0o755) | 0o600)

    def _new_folder(self) -> None:
        self._count()
        self._room.take(FOLDER_BYTES)

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise OSError(f"it holds more than {self._most} files and folders")


def _name(member: tarfile.TarInfo) -> str:
    """Where a member lies, without the dots that lead nowhere; empty: the folder itself. Raises `UnsafeKeyError`."""
    for path in (member.name, member.linkname):
        if len(path.encode(errors="replace")) > LONGEST_NAME:
            raise UnsafeKeyError(f"{shortened(path)!a} is longer than {LONGEST_NAME} bytes")
    names = [name for name in member.name.split("/") if name != "."]
    if len(names) > MOST_PARTS:
        raise UnsafeKeyError(f"{shortened(member.name)!a} lies in more than {MOST_PARTS} folders")
    return "/".join(names)


class _Packed:
    """The packed bytes. They may unpack to nothing, so that they have a bound, and their reader ends when nobody waits."""

    def __init__(self, packed: IO[bytes], room: Room) -> None:
        self._packed = packed
        self._room = room
        self._left = SLACK_BYTES

    def unpacked(self, size: int) -> None:
        """So many bytes have come of it."""
        self._left += 2 * size

    def read(self, size: int = -1) -> bytes:
        self._room.take(0)
        piece = self._packed.read(size)
        self._left -= len(piece)
        if self._left < 0:
            raise OSError("it is packed so that it becomes much longer")
        return piece


class _Stream:
    """What a tar file is read from, forwards only. Headers are read into memory whole, so that they have bounds."""

    def __init__(self, packed: _Packed) -> None:
        self._packed = packed
        self._stream = gzip.GzipFile(fileobj=cast("IO[bytes]", packed))
        self._left: int | None = None
        self._all_left = MOST_HEADERS
        self._last = b""

    def tell(self) -> int:
        return self._stream.tell()

    def seek(self, position: int) -> None:
        left = position - self._stream.tell()
        if left < 0:
            raise tarfile.ReadError("its headers lead back")
        while left:
            piece = self._next(min(left, _CHUNK))
            if not piece:
                raise EOFError("it ends too early")
            left -= len(piece)

    def read(self, size: int) -> bytes:
        if self._left is None:
            return self._next(size)
        if size > self._left:
            raise OSError(f"a header is longer than {LONGEST_HEADER} bytes")
        self._last = self._next(size)
        self._left -= len(self._last)
        return self._last

    def _next(self, size: int) -> bytes:
        piece = self._stream.read(size)
        self._packed.unpacked(len(piece))
        return piece

    @contextmanager
    def header(self) -> Iterator[None]:
        """The next member's headers are read, and nothing else."""
        self._left = LONGEST_HEADER
        yield
        self._all_left -= max(0, LONGEST_HEADER - self._left - 4 * tarfile.BLOCKSIZE)
        self._left = None
        if self._all_left < 0:
            raise OSError(f"its headers are longer than {MOST_HEADERS} bytes")

    def end(self) -> None:
        """Read on to the end. Raises `ReadError` unless zeros end the archive, OSError unless its check sum is right."""
        # tarfile takes whatever is no header for the end.
        rest = self._last if len(self._last) == tarfile.BLOCKSIZE else b"?"
        rest += self._next(LONGEST_END)
        if rest.strip(b"\0") or len(rest) < 2 * tarfile.BLOCKSIZE:
            raise tarfile.ReadError("it is cut off or broken: its end is missing")
        if self._next(1):
            raise tarfile.ReadError(f"more than {LONGEST_END} bytes follow its end")
