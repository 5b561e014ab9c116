"""SIGTERM, SIGINT, SIGHUP or the time limit → one stop reason, as a context manager that restores the handlers.

The first reason is recorded, with its moment, and cancels the task that entered the context. The reason is never inferred
from an exception's type: a cancellation that meets a failing child may surface as something else.

SIGTERM is idempotent: the back ends of Kubeflow Pipelines may deliver it more than once, and a second one must not break
off the stopping. Only a second Ctrl-C forces the way out.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from types import FrameType

DEFAULT_GRACE = 25.0
"""Seconds from the stop reason to giving up: below the 30 s that a pod is given by default."""
MOMENT = 1.0
"""Seconds that what is given up is still given to end in order."""


NOTHING_SENT, NO_JOB = "nothing had been sent", "no job was made"
"""The outcomes of a job that there is none of: an error that says what went wrong need not tell them."""


class Reason(Enum):
    """Why everything has to end."""

    TERMINATED = signal.SIGTERM
    INTERRUPTED = signal.SIGINT
    HUNG_UP = signal.SIGHUP
    TIME_LIMIT = None

    @property
    def text(self) -> str:
        """The reason in a user's words."""
        return _TEXTS[self]


_TEXTS = {
    Reason.TERMINATED: "terminated (SIGTERM)",
    Reason.INTERRUPTED: "interrupted (Ctrl-C)",
    Reason.HUNG_UP: "the terminal was closed (SIGHUP)",
    Reason.TIME_LIMIT: "the time limit was reached",
}


@dataclass
class _Cause:
    """What all that has to end together has in common."""

    grace: float
    reason: Reason | None = None
    since: float | None = None
    forced: bool = False
    listeners: list[Callable[[], None]] = field(default_factory=list)


class Stopping:
    """Whether, why and since when everything has to end, and what became of one job. Starts as "go on".

    Several jobs in one process have one each, all branches of one: they share the reason, its moment and the deadline.
    """

    def __init__(self, grace: float = DEFAULT_GRACE) -> None:
        self._cause = _Cause(grace)
        self.outcome = NOTHING_SENT
        """What became of the remote job, for the last word."""
        self.launched = False
        """Whether there was a job to decide about."""
        self.arm: Callable[[], None] = _nothing
        """Start the time limit, if there is one: the job is being launched."""
        self.disarm: Callable[[], None] = _nothing
        """Lift the time limit: the job has ended."""

    def branch(self) -> Stopping:
        """Return the same for another job: with an outcome of its own, and no time limit of its own."""
        other = Stopping()
        other._cause = self._cause
        return other

    @property
    def reason(self) -> Reason | None:
        """Why everything has to end."""
        return self._cause.reason

    @property
    def since(self) -> float | None:
        """The moment of the reason, on the event loop's clock."""
        return self._cause.since

    @property
    def grace(self) -> float:
        """Seconds from the reason to giving up."""
        return self._cause.grace

    @property
    def forced(self) -> bool:
        """True once the user insisted: give up waiting at once."""
        return self._cause.forced

    @forced.setter
    def forced(self, forced: bool) -> None:
        self._cause.forced = forced

    @property
    def listeners(self) -> list[Callable[[], None]]:
        """Called when there is a reason, and again when the user insists; before anything is cancelled."""
        return self._cause.listeners

    def begin(self, reason: Reason) -> None:
        """Record why, and when; the first reason and its moment stay."""
        if self.reason is None:
            self._cause.reason, self._cause.since = reason, asyncio.get_running_loop().time()


@contextmanager
def stop_signals(
    time_limit: float | None = None, grace: float = DEFAULT_GRACE, *, last: bool = False
) -> Iterator[Stopping]:
    """Cancel the current task on the first stop reason, for the length of the context.

    `time_limit` is in seconds from the launch to the job's end. A SIGHUP that was ignored before (nohup) stays ignored.
    `last`: this is the last that the process does, so a signal that comes afterwards must change neither its exit code
    nor its last word.
    """
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    if task is None:
        raise RuntimeError("stop_signals() needs a running task to cancel")
    stopping = Stopping(grace)
    keystrokes = 0

    def on(reason: Reason) -> None:
        nonlocal keystrokes
        keystrokes += reason is Reason.INTERRUPTED
        insisted = reason is Reason.INTERRUPTED and keystrokes > 1
        if stopping.reason is None or insisted:
            stopping.forced = insisted
            stopping.begin(reason)
            for listener in tuple(stopping.listeners):
                listener()
            task.cancel(reason.text)

    with _handlers(loop, on, last=last), _limit(loop, time_limit, on, stopping):
        yield stopping


@contextmanager
def _limit(
    loop: asyncio.AbstractEventLoop, seconds: float | None, on: Callable[[Reason], None], stopping: Stopping
) -> Iterator[None]:
    timer: asyncio.TimerHandle | None = None

    def arm() -> None:
        nonlocal timer
        if timer is None and seconds is not None:
            timer = loop.call_later(seconds, on, Reason.TIME_LIMIT)

    def disarm() -> None:
        if timer is not None:
            timer.cancel()

    stopping.arm, stopping.disarm = arm, disarm
    try:
        yield
    finally:
        disarm()
        stopping.arm = stopping.disarm = _nothing


@contextmanager
def _handlers(loop: asyncio.AbstractEventLoop, on: Callable[[Reason], None], *, last: bool) -> Iterator[None]:
    previous = {}
    for reason in (Reason.TERMINATED, Reason.INTERRUPTED, Reason.HUNG_UP):
        number = signal.Signals(reason.value)
        handler = signal.getsignal(number)
        if number is signal.SIGHUP and handler is signal.SIG_IGN:
            continue
        previous[number] = handler
        loop.add_signal_handler(number, on, reason)
    try:
        yield
    finally:
        # Held back meanwhile: between the two calls a signal would have its default effect.
        held = signal.pthread_sigmask(signal.SIG_BLOCK, previous)
        try:
            for number, handler in previous.items():
                loop.remove_signal_handler(number)
                signal.signal(number, _too_late() if last else handler)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)


def _too_late() -> Callable[[int, FrameType | None], None]:
    """Return a handler that lets the process end as it was about to, unless that takes long."""
    until = time.monotonic() + MOMENT

    def on(number: int, _frame: FrameType | None) -> None:
        if time.monotonic() > until:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    return on


def _nothing() -> None:
    """There is no time limit."""
