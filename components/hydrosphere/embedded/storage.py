"""Room on the disk: folders of their own for what clients send, each with a bound, and one for all of them together.

What takes long in it has threads of its own, so that whoever only writes a piece to a file never waits for it.
"""

from __future__ import annotations

import asyncio
import errno
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

from runner.emulation.paths import remove

P = ParamSpec("P")
T = TypeVar("T")

MOST_BYTES = 4 * 1024**3
"""Of all that lies on the disk at a time."""
MOST_THREADS = 6
"""Two for each of those who keep one busy: payloads, builds and training data."""
_RESERVE = 1024**3
"""Bytes that are left free for everyone else."""


class Claim:
    """A folder that may hold so many bytes. Used from threads, too; after `close` nothing more fits in."""

    def __init__(self, storage: Storage, folder: Path, most: int, what: str) -> None:
        self.folder = folder
        self._storage = storage
        self._most = most
        self._what = what
        self._taken = 0
        self._shut = False
        self._closed = False

    def take(self, size: int) -> None:
        """Use up `size` bytes, before they are written. Raises OSError when they are not there, or as `check` does."""
        self.check()
        if not size:
            return
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
        doing = asyncio.ensure_future(self._storage.aside(partial(work, *arguments, **options)))
        try:
            return await asyncio.shield(doing)
        except asyncio.CancelledError:
            self.shut()
            await asyncio.gather(doing, return_exceptions=True)
            raise

    @asynccontextmanager
    async def unless_kept(self) -> AsyncIterator[None]:
        """Close it if the block is left by an exception; else it is somebody else's."""
        try:
            yield
        except BaseException:
            await asyncio.to_thread(self.close)
            raise

    def close(self) -> None:
        """Delete the folder, and give back what it took up. Once is enough; never raises."""
        self.shut()
        if self._closed:
            return
        self._closed = True
        try:
            remove(self.folder)
        finally:
            self._storage.give(self, self._taken)


class Storage:
    """The folder that everything lies in."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._left = MOST_BYTES
        self._lock = threading.Lock()
        self._claims: set[Claim] = set()
        self._threads = ThreadPoolExecutor(MOST_THREADS, "hydrosphere")

    def claim(self, most: int, what: str) -> Claim:
        """Make a folder for `what`, which may hold `most` bytes."""
        claim = Claim(self, Path(tempfile.mkdtemp(dir=self._folder)), most, what)
        self._claims.add(claim)
        return claim

    async def aside(self, work: Callable[[], T]) -> T:
        """Have work done in one of the threads for what takes long."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def take(self, size: int) -> None:
        """Use up so many bytes. Raises OSError when they are not there."""
        with self._lock:
            if size > self._left or shutil.disk_usage(self._folder).free - size < _RESERVE:
                raise OSError(errno.ENOSPC, "the embedded Hydrosphere has no more room on this disk")
            self._left -= size

    def give(self, claim: Claim, size: int) -> None:
        """Give back what a claim took up."""
        with self._lock:
            self._left += size
        self._claims.discard(claim)

    def shut(self) -> None:
        """Let nothing more be taken: all threads end at their next piece."""
        for claim in list(self._claims):
            claim.shut()

    def close(self) -> None:
        """Delete everything, in this thread: no other may ever get to it. Waits for none, and never raises."""
        self.shut()
        self._threads.shutdown(wait=False, cancel_futures=True)
        remove(self._folder)
