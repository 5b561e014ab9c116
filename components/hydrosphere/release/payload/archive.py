"""The archive of a model's files: a tar.gz that is written block by block, so that memory stays flat."""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from components.hydrosphere.release._words import PATH_SHOWN, shown
from runner.errors import InputError, RunnerError

ARGUMENT = "--payload"
_BLOCK = 64 * 1024
_FAST, _SMALL = 1, 9
"""Levels of gzip. What may be too large is packed as hard as hydrosdk does: what it can send, we can."""
_GZIP = 16 + zlib.MAX_WBITS
_NAMED = 3
"""How many of the largest files an error names."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file or folder of the archive."""

    name: str
    """Its name there."""
    source: Path
    """Where its content lies, links resolved."""
    size: int
    """Bytes; 0 for a folder."""
    folder: bool


class Stopped(Exception):
    """Nobody wants the archive any more."""


def pack(members: Sequence[Member], target: BinaryIO, most: int, stopped: Callable[[], bool]) -> int:
    """Write the archive of `members` to `target`, and return its size in bytes.

    It blocks, so it runs in a thread; when `stopped()` turns true it raises `Stopped` at the next block. Raises
    `InputError` that begins with `--payload` once the archive is larger than `most` bytes, and if a file has changed
    since it was found. What was written until then is worth nothing.
    """
    sink = _Sink(target, most, stopped, members)
    archive = tarfile.open(  # noqa: SIM115  closing it would write to a sink that failed
        fileobj=cast("BinaryIO", sink), mode="w|", bufsize=_BLOCK, encoding="utf-8"
    )
    try:
        for member in members:
            sink.check()
            if member.folder:
                archive.addfile(_header(member, _folder(member)))
            else:
                with _opened(member) as (file, found):
                    archive.addfile(_header(member, found), _Source(file, member, stopped))
        archive.close()
        sink.finish()
    finally:
        sink.over = True
    return sink.written


def digest(members: Sequence[Member], stopped: Callable[[], bool] = lambda: False) -> str:
    """Return the SHA-256 over names and contents. Raises as `pack` does, and blocks as it does."""
    made = hashlib.sha256()
    for member in members:
        name = member.name.encode("utf-8", "surrogateescape")
        made.update(b"%d %d %d " % (member.folder, len(name), member.size) + name)
        if stopped():
            raise Stopped
        if not member.folder:
            with _opened(member) as (file, _):
                source, left = _Source(file, member, stopped), member.size
                while left:
                    block = source.read(min(left, _BLOCK))
                    left -= len(block)
                    made.update(block)
    return made.hexdigest()


def _fits(members: Sequence[Member], most: int) -> bool:
    """Whether the archive is small enough however badly it packs."""
    headers = sum(2048 + 4 * len(member.name) for member in members)
    return (sum(member.size for member in members) + headers) * 1.01 < most


class _Sink:
    """Packs what is written to it, counts it, and passes it on."""

    def __init__(
        self, target: BinaryIO, most: int, stopped: Callable[[], bool], members: Sequence[Member]
    ) -> None:
        self._target = target
        self._most = most
        self._stopped = stopped
        self._members = members
        self._packer = zlib.compressobj(_FAST if _fits(members, most) else _SMALL, zlib.DEFLATED, _GZIP)
        self.written = 0
        self.over = False
        """Whether the archive is finished or given up. A stream of `tarfile` writes its rest when it is collected."""

    def check(self) -> None:
        if self._stopped():
            raise Stopped

    def write(self, data: bytes) -> int:
        if not self.over:
            self.check()
            self._pass_on(self._packer.compress(data))
        return len(data)

    def finish(self) -> None:
        self._pass_on(self._packer.flush())
        with _writing():  # Python may have kept the last of it to itself.
            self._target.flush()

    def _pass_on(self, block: bytes) -> None:
        self.written += len(block)
        if self.written > self._most:
            raise _too_large(self._members, self._most)
        with _writing():
            self._target.write(block)


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunnerError(f"the archive of {ARGUMENT} can't be written: {error.strerror}") from error


class _Source:
    """A member's content, which has to have the size that was found."""

    def __init__(self, file: BinaryIO, member: Member, stopped: Callable[[], bool]) -> None:
        self._file = file
        self._member = member
        self._stopped = stopped

    def read(self, size: int = _BLOCK) -> bytes:
        if self._stopped():
            raise Stopped
        block = self._file.read(size)
        if len(block) < size:
            raise _changed(self._member)
        return block


def _header(member: Member, found: os.stat_result) -> tarfile.TarInfo:
    """Describe a member as nobody's: the owner is a matter of this machine."""
    header = tarfile.TarInfo(member.name)
    header.type = tarfile.DIRTYPE if member.folder else tarfile.REGTYPE
    header.size = member.size
    header.mode = stat.S_IMODE(found.st_mode)
    header.mtime = int(found.st_mtime)
    return header


def _folder(member: Member) -> os.stat_result:
    with _told(member):
        found = member.source.lstat()
    if not stat.S_ISDIR(found.st_mode) or _leads_elsewhere(member):
        raise _changed(member)
    return found


@contextmanager
def _opened(member: Member) -> Iterator[tuple[BinaryIO, os.stat_result]]:
    """Open a member's content; at the end see that it is still the same."""
    with _told(member):
        if _leads_elsewhere(member):
            raise _changed(member)
        # Never a link that has taken the file's place, and no waiting for the writer of a pipe that has.
        number = os.open(member.source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(number, "rb") as file:  # noqa: PTH123
            before = os.fstat(number)
            if not stat.S_ISREG(before.st_mode) or before.st_size != member.size:
                raise _changed(member)
            yield file, before
            after = os.fstat(number)
            if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
                raise _changed(member)


def _leads_elsewhere(member: Member) -> bool:
    return os.path.realpath(member.source) != str(member.source)


@contextmanager
def _told(member: Member) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{ARGUMENT}: {_name(member)} vanished while it was being packed") from None
    except OSError as error:
        raise InputError(f"{ARGUMENT}: {_name(member)} can't be read: {error.strerror}") from None


def _changed(member: Member) -> InputError:
    return InputError(f"{ARGUMENT}: {_name(member)} changed while it was being packed")


def _too_large(members: Sequence[Member], most: int) -> InputError:
    largest = sorted((m for m in members if not m.folder), key=lambda m: m.size, reverse=True)[:_NAMED]
    named = ", ".join(f"{_name(member)} ({member.size:,} bytes)" for member in largest)
    return InputError(
        f"{ARGUMENT}: the packed files are larger than {most:,} bytes, which is the limit"
        + (f"; the largest are {named}" if named else "")
    )


def _name(member: Member) -> str:
    return shown(member.name, PATH_SHOWN)
