"""Room on the disk: folders of their own for what clients send, each with a bound, and one for all of them together."""

from __future__ import annotations

import asyncio
import errno
import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

MOST_BYTES = 4 * 1024**3
"""Of all that lies on the disk at a time."""
_RESERVE = 1024**3
"""Bytes that are left free for everyone else."""
_ENTRY = 512
"""What a file or folder costs beyond its content."""


class Claim:
    """A folder that may hold so many bytes. Used from threads, too; after `close` nothing more fits in."""

    def __init__(self, storage: Storage, folder: Path, most: int, what: str) -> None:
        self.folder = folder
        self._storage = storage
        self._most = most
        self._what = what
        self._taken = 0
        self._shut = False

    def take(self, size: int) -> None:
        """Use up `size` bytes, before they are written; 0: for an entry. Raises OSError when they are not there."""
        self.check()
        size = size or _ENTRY
        if self._taken + size > self._most:
            raise OSError(errno.EFBIG, f"{self._what} is larger than {self._most} bytes")
        self._storage.take(size)
        self._taken += size

    def check(self) -> None:
        """Raise OSError when nobody waits any more for what is done with the folder."""
        if self._shut:
            raise OSError(errno.ECANCELED, "nobody waits for it any more")

    def shut(self) -> None:
        """Let nothing more be taken: a thread that fills the folder ends at its next piece."""
        self._shut = True

    async def filled(self, work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """Have work that takes or checks done in a thread, which a cancellation ends soon and then waits for."""
        doing = asyncio.ensure_future(asyncio.to_thread(work, *arguments, **options))
        try:
            return await asyncio.shield(doing)
        except asyncio.CancelledError:
            self.shut()
            await asyncio.gather(doing, return_exceptions=True)
            raise

    def close(self) -> None:
        """Delete the folder, and give back what it took up."""
        self.shut()
        shutil.rmtree(self.folder, ignore_errors=True)
        self._storage.give(self._taken)
        self._taken = 0


class Storage:
    """The folder that everything lies in."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._left = MOST_BYTES
        self._lock = threading.Lock()

    def claim(self, most: int, what: str) -> Claim:
        """Make a folder for `what`, which may hold `most` bytes."""
        return Claim(self, Path(tempfile.mkdtemp(dir=self._folder)), most, what)

    def take(self, size: int) -> None:
        """Use up so many bytes. Raises OSError when they are not there."""
        with self._lock:
            if size > self._left or shutil.disk_usage(self._folder).free - size < _RESERVE:
                raise OSError(errno.ENOSPC, "the embedded Hydrosphere has no more room on this disk")
            self._left -= size

    def give(self, size: int) -> None:
        """Give so many bytes back."""
        with self._lock:
            self._left += size
