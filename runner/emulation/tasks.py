"""The owner of the work that goes on behind the answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

CLOSING_SECONDS = 10.0
"""How long work may take to end once it is cancelled: less than whoever waits for the process gives it."""
T = TypeVar("T")
_log = logging.getLogger(__name__)


class Tasks:
    """Owns tasks: none outlives it, unless it heeds no cancellation."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Let it go on by itself, until it ends or `close` cancels it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self, seconds: float = CLOSING_SECONDS) -> None:
        """Cancel what runs, and wait until it is gone, but no longer than so many seconds: the process has to end."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if not tasks:
            return
        ended, left = await asyncio.wait(tasks, timeout=seconds)
        for task in ended:
            if not task.cancelled() and (error := task.exception()) is not None:
                _log.error("work behind an answer broke", exc_info=error)
        if left:
            _log.warning("%d tasks have not ended within %g s; they are left alone", len(left), seconds)
