"""`asyncio.run`, whose end is bounded: nothing that hangs in the background holds up the exit."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from runner.signals import MOMENT

T = TypeVar("T")

_deaf: set[asyncio.Task[Any]] = set()
"""Tasks that heeded no cancellation; kept, since asyncio complains of those that vanish."""


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` as `asyncio.run` does; then end what it left, within about two moments.

    `asyncio.run` waits without bound for tasks that ignore cancellation, and five minutes for threads of the default
    executor, where a broken resolver hangs. Here those threads are left alone; whoever owns the process has to leave it
    by `os._exit`, for the interpreter would join them as well.
    """
    runner = asyncio.Runner()
    loop = runner.get_loop()
    try:
        return runner.run(main)
    finally:
        try:
            loop.run_until_complete(_end_leftovers())
        finally:
            asyncio.set_event_loop(None)
            loop.close()


async def _end_leftovers() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        _, left = await asyncio.wait(tasks, timeout=MOMENT)
        _deaf.update(left)
    with suppress(TimeoutError):
        async with asyncio.timeout(MOMENT):
            await asyncio.get_running_loop().shutdown_asyncgens()
