"""One deadline for everything, and work that is finished though we are cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from runner.signals import MOMENT, Stopping

T = TypeVar("T")

_TICK = 1e-3
"""Seconds that are none: a clock's own steps may keep it from ever reaching a moment exactly."""


class Deadline:
    """When one scope gives up: counted from the stop reason if there is one, else from when the scope began to end.

    Each scope has its own, so that one that is left without a reason does not use up the time of the next.
    """

    def __init__(self, stopping: Stopping) -> None:
        self.stopping = stopping
        """Whether, and why, everything has to end: shared by scopes."""
        self._since: float | None = None

    @property
    def runs(self) -> bool:
        """Whether the clock was started."""
        return self._since is not None or self.stopping.reason is not None

    def begin(self) -> None:
        """Start the clock; the first moment stays."""
        if self._since is None:
            reasoned = self.stopping.since
            self._since = asyncio.get_running_loop().time() if reasoned is None else reasoned

    def left(self) -> float:
        """Seconds until everything has to be given up; starts the clock if nothing has."""
        self.begin()
        if self.stopping.forced or self._since is None:
            return 0.0
        return max(0.0, self._since + self.stopping.grace - asyncio.get_running_loop().time())

    def spare(self, wanted: float) -> float:
        """Seconds to wait for something that only ought to be done: `wanted`, less if the clock runs, at least a moment."""
        return min(wanted, max(MOMENT, self.left())) if self.runs else wanted


async def finish(
    work: Coroutine[Any, Any, T] | asyncio.Task[T],
    deadline: Deadline,
    *,
    reserve: float = 0.0,
    least: float = 0.0,
) -> tuple[asyncio.Task[T], asyncio.CancelledError | None]:
    """Run `work` to its end though we are cancelled; return it as a task, and the cancellation that came meanwhile.

    Once the deadline's clock runs, which a cancellation starts, wait until `reserve` seconds before its end, but `least`
    seconds in any case; then give up: the task is cancelled, or does not even heed that. An `asyncio.shield` inside
    `asyncio.timeout` would not do: it waits without bound for what it shields.
    """
    task, cancelled = asyncio.ensure_future(work), None
    clock = asyncio.get_running_loop().time
    began = clock()
    while not task.done():
        left = max(deadline.left() - reserve, began + least - clock()) if deadline.runs else None
        given_up = left is not None and left < _TICK
        if given_up:
            task.cancel()
        try:
            await asyncio.wait({task}, timeout=MOMENT if given_up else left)
        except asyncio.CancelledError as error:
            cancelled = error
            deadline.begin()
        if given_up:
            break
    return task, cancelled
