"""One daemon thread that shows things, and a queue before it: a stalled reader never blocks the loop.

The thread holds no lock while it writes, and `Out` writes to the file descriptor rather than to Python's
buffer: a daemon thread that is stuck in a buffer at exit makes the interpreter abort ("could not acquire lock
for <_io.BufferedWriter>").
"""

from __future__ import annotations

import asyncio
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from typing import Generic, Protocol, TextIO, TypeVar

LIMIT = 10_000
"""Weight that may be pending before `put` waits. See `weight`: about 10,000 lines or 10 MiB of them."""

BATCH = 500
"""Items shown at once: few writes in a flood, and a drain that is seen early."""

PATIENCE = 2.0
"""Seconds, of real time, that `close` waits while nothing gets through; a slow reader gets everything."""

CHUNK = 4096
"""Bytes written at a time: a slow reader's progress is seen."""

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


def weight(text: str) -> int:
    """What a pending text counts: one, and one more for each 1,024 characters, so that memory is bounded."""
    return 1 + len(text) // 1024


class Screen(Protocol[T_contra]):
    """Shows things; called from the pump's thread alone. What it raises ends the pump."""

    @property
    def progress(self) -> int:
        """Grows whenever something has got through; read from any thread."""
        ...

    def show(self, batch: Sequence[T_contra], /) -> None:
        """Show these, in order, now."""
        ...

    def tick(self) -> None:
        """Some time has passed without anything to show."""
        ...

    def close(self) -> None:
        """Nothing more will be shown."""
        ...


class Pump(Generic[T]):
    """Takes items on the event loop, shows them on its thread; `put` raises what the screen has raised."""

    def __init__(self, screen: Screen[T], *, tick: float | None = None, limit: int = LIMIT) -> None:
        """`tick`: seconds of silence after which the screen is told; None for never."""
        self._screen = screen
        self._tick = tick
        self._limit = limit
        self._changed = threading.Condition()
        self._queue: deque[tuple[T, int]] = deque()
        self._shows: Sequence[tuple[T, int]] = ()
        self._pending = 0
        self._closing = False
        self._error: Exception | None = None
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
        self._thread: threading.Thread | None = None

    async def put(self, item: T, weight: int = 1) -> None:
        """Accept the item; if more than `limit` is pending, return only when there is room again."""
        self._start()
        room = asyncio.Event()
        with self._changed:
            if self._error:
                raise self._error
            if self._closing:
                raise RuntimeError("written to after close")
            self._queue.append((item, weight))
            self._pending += weight
            self._changed.notify()
            if self._pending <= self._limit:
                return
            self._waiting.append((asyncio.get_running_loop(), room))
        await room.wait()
        if self._error:
            raise self._error

    @property
    def progress(self) -> int:
        """Grows whenever something has got through."""
        return self._screen.progress

    @property
    def unshown(self) -> Sequence[T]:
        """What has not been shown, or not wholly; nothing once an error was told."""
        with self._changed:
            return [item for item, _ in (*self._shows, *self._queue)]

    async def close(self, patience: float = PATIENCE) -> None:
        """Show the rest; give up once nothing has got through for `patience` seconds. Errors are dropped."""
        thread = self._start()
        with self._changed:
            self._closing = True
            self._changed.notify()
        loop, gone = asyncio.get_running_loop(), asyncio.Event()

        # The reader's time is real, and the loop's may be virtual in tests: a thread waits for the thread.
        def wait() -> None:
            seen, since = self.progress, time.monotonic()
            while thread.is_alive() and (left := since + patience - time.monotonic()) > 0:
                thread.join(min(left, 0.1))
                if self.progress != seen:
                    seen, since = self.progress, time.monotonic()
            _wake(loop, gone)

        threading.Thread(target=wait, name="runner-sink-close", daemon=True).start()
        await gone.wait()

    def _start(self) -> threading.Thread:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="runner-sink", daemon=True)
            self._thread.start()
        return self._thread

    def _run(self) -> None:
        try:
            while (batch := self._take()) is not None:
                if batch:
                    self._screen.show([item for item, _ in batch])
                else:
                    self._screen.tick()
                self._shown(sum(weight for _, weight in batch))
        except Exception as error:  # noqa: BLE001 - whatever it is, the loop's side has to hear of it
            self._fail(error)
        # After a failure too: the screen may hold a file or a terminal's mode.
        with suppress(Exception):
            self._screen.close()

    def _take(self) -> Sequence[tuple[T, int]] | None:
        """The next batch; an empty one when the tick has passed; None at the end."""
        with self._changed:
            if not self._queue and not self._closing:
                self._changed.wait(self._tick)
            if not self._queue:
                return None if self._closing else []
            self._shows = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            return self._shows

    def _shown(self, weight: int) -> None:
        with self._changed:
            self._pending -= weight
            self._shows = ()
            if self._pending <= self._limit:
                self._release()

    def _fail(self, error: Exception) -> None:
        with self._changed:
            self._error = error
            self._queue.clear()
            self._shows = ()
            self._release()

    def _release(self) -> None:
        for loop, room in self._waiting:
            _wake(loop, room)
        self._waiting.clear()


def _wake(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody waits
        loop.call_soon_threadsafe(event.set)


async def aside(work: Callable[[], None]) -> None:
    """Do blocking work on a daemon thread; raise what it raises.

    `asyncio.to_thread` would not do: its threads are joined at the end of the loop and of the interpreter, so that work
    that hangs would hang the exit.
    """
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    errors: list[Exception] = []

    def run() -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - raised below, where it is waited for
            errors.append(error)
        _wake(loop, done)

    threading.Thread(target=run, name="runner-sink-aside", daemon=True).start()
    await done.wait()
    if errors:
        raise errors[0]


class Out:
    """A text stream written to at once and whole, past Python's buffers.

    What its encoding lacks is backslash-escaped. Streams without a file descriptor (tests, notebooks) are
    written to as they are; None swallows everything.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._fd: int | None = None
        self.progress = 0
        """Bytes that have got through."""
        self.moved: Callable[[int], None] = _nothing
        """Told of them as well, each time some have; by the thread that writes."""
        self.encoding: str = getattr(stream, "encoding", None) or "utf-8"
        if stream is not None:
            with suppress(OSError, ValueError):  # what was printed before us stays before us
                stream.flush()
            with suppress(OSError, ValueError):
                self._fd = stream.fileno()

    def can(self, text: str) -> bool:
        """Whether the encoding has all of the text's characters."""
        try:
            text.encode(self.encoding)
        except UnicodeEncodeError:
            return False
        return True

    @property
    def file(self) -> Hashable:
        """What tells the file from others, whatever its descriptor; a stream without one is itself."""
        if self._fd is None:
            return self._stream
        there = os.fstat(self._fd)
        return there.st_dev, there.st_ino

    def isatty(self) -> bool:
        """Whether a person's terminal is at the other end."""
        return self._fd is not None and os.isatty(self._fd)

    def write(self, text: str) -> int:
        """Write all of it, waiting as long as it takes."""
        data = text.encode(self.encoding, "backslashreplace")
        if self._fd is not None:
            write_all(self._fd, data, self._moved)
        elif self._stream is not None:
            self._stream.write(data.decode(self.encoding))
            self._stream.flush()
            self._moved(len(data))
        return len(text)

    def _moved(self, count: int) -> None:
        self.progress += count
        self.moved(count)

    def flush(self) -> None:
        """Do nothing: nothing is held back."""


def _nothing(_count: int) -> None:
    """Nobody else counts."""


def write_all(fd: int, data: bytes, moved: Callable[[int], None]) -> None:
    """Write all of the data, in either mode: whoever shares our stdout may have made it non-blocking.

    `moved` is told how many bytes have got through, each time some have.
    """
    rest = memoryview(data)
    while rest:
        try:
            count = os.write(fd, rest[:CHUNK])
            rest = rest[count:]
            moved(count)
        except BlockingIOError:
            poll = select.poll()
            poll.register(fd, select.POLLOUT)
            poll.poll()
