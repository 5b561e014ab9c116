"""The one retry policy: who failed by no fault of ours is asked again, with growing, jittered pauses.

Times are taken from the event loop's clock, so that tests can run them virtually.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from runner.errors import Transient

Patience = Callable[[BaseException], float]
"""How many seconds, counted from the first failure, a given one may go on."""
_DOUBLINGS = 30
"""More would only overflow."""


def retrying(
    patience: Patience,
    *,
    first: float = 0.5,
    longest: float = 30.0,
    told: Callable[[Transient, int], None] = lambda _error, _count: None,
) -> AsyncRetrying:
    """Iterate over attempts at something that may raise `Transient`, until it works or `patience` is used up.

    Pauses double from `first` to `longest` seconds, each then cut by chance by up to a half. `told` is called before each
    with the failure and its number, from 1. The last failure is raised as it is.
    """
    clock = asyncio.get_running_loop().time
    began: float | None = None

    def exhausted(state: RetryCallState) -> bool:
        nonlocal began
        error = state.outcome.exception() if state.outcome else None
        if error is None:
            return False
        if began is None:  # Not from the first try: what took minutes to fail is to be tried again, too.
            began = clock()
        return clock() - began >= patience(error)

    def pause(state: RetryCallState) -> float:
        # The jitter has to outlast the growth: a hundred pods that share an outage must not come back in step.
        whole = min(first * 2.0 ** min(state.attempt_number - 1, _DOUBLINGS), longest)
        return whole * random.uniform(0.5, 1.0)  # noqa: S311  jitter, no secret

    def before_pause(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, Transient):
            told(error, state.attempt_number)

    return AsyncRetrying(
        retry=retry_if_exception_type(Transient),
        wait=pause,
        stop=exhausted,
        before_sleep=before_pause,
        reraise=True,
    )
