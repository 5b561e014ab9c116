"""Cases that run side by side while their tests report one by one.

A process test mostly waits. All selected cases of a module are started on one event loop in a thread, a few at a time;
each test then waits for the case of its own.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager


class Background:
    """The loop in its thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, at_a_time: int) -> None:
        self._loop = loop
        self._places = asyncio.Semaphore(at_a_time)
        self.futures: dict[str, Future[None]] = {}

    def start(self, name: str, case: Callable[[], Awaitable[None]], *, light: bool = False) -> None:
        """Start a case when there is a place; a `light` one, which only waits, needs none."""

        async def placed() -> None:
            if light:
                await case()
            else:
                async with self._places:
                    await case()

        self.futures[name] = asyncio.run_coroutine_threadsafe(placed(), self._loop)

    def result(self, name: str, seconds: float) -> None:
        """Wait for a case; raises what it raised."""
        self.futures[name].result(seconds)


@contextmanager
def background(at_a_time: int = 4) -> Iterator[Background]:
    """Run the loop for the length of the block; cases that still run at its end are cancelled."""
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        made = Background(loop, at_a_time)
        done = asyncio.Event()
        thread = threading.Thread(target=runner.run, args=(done.wait(),), daemon=True)
        thread.start()
        try:
            yield made
        finally:
            for future in made.futures.values():
                future.cancel()
            loop.call_soon_threadsafe(done.set)
            thread.join()
