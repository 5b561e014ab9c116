"""How much a job may bring to this machine: a bound for what unpacks to far more than it is, and for work in threads."""

from __future__ import annotations

import asyncio
import errno
import io
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, ParamSpec, TypeVar

_DEFAULT_GB = 30
_RESERVE = 1024**3
"""Bytes that are left free for everyone else."""
_LOOK = 64 * 1024**2
"""After so many bytes the disk is looked at again: others fill it, too."""
P = ParamSpec("P")
T = TypeVar("T")


class Space:
    """The volume that the request asked for, or what this disk has left if that is less."""

    def __init__(self, resources: Mapping[str, Any], folder: Path) -> None:
        volume = (resources.get("VolumeSizeInGB") or _DEFAULT_GB) * 1024**3 * resources["InstanceCount"]
        self._folder = folder
        self._left = max(0, min(volume, shutil.disk_usage(folder).free - _RESERVE))
        self._unseen = 0
        self._shut = False

    def take(self, size: int) -> None:
        """Use up `size` bytes, before they are written. Raises OSError when they are not there, or after `shut`."""
        if self._shut:
            raise OSError(errno.ECANCELED, "The job has ended meanwhile")
        self._left -= size
        self._unseen += size
        if self._unseen >= _LOOK:
            self._unseen = 0
            if shutil.disk_usage(self._folder).free < _RESERVE:
                self._left = -1
        if self._left < 0:
            text = "No space left: more than VolumeSizeInGB, or than this disk has to give"
            raise OSError(errno.ENOSPC, text)

    def shut(self) -> None:
        """Let nothing more be taken: a thread that fills the space ends at its next piece."""
        self._shut = True

    async def filled(self, work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """Have `work`, which takes from this space, done in a thread that ends soon after a cancellation."""
        try:
            return await asyncio.to_thread(work, *arguments, **options)
        except asyncio.CancelledError:
            self.shut()
            raise


class _Counted(io.RawIOBase):
    """A stream whose bytes are taken from a space."""

    def __init__(self, stream: IO[bytes], space: Space) -> None:
        self._stream = stream
        self._space = space

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._stream.read(len(buffer))
        self._space.take(len(piece))
        buffer[: len(piece)] = piece
        return len(piece)


def counted(stream: IO[bytes], space: Space) -> io.BufferedReader:
    """The same bytes; reading raises OSError when there are more of them than the space has room for."""
    return io.BufferedReader(_Counted(stream, space), 64 * 1024)
