"""The one retry policy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise

import pytest

from runner.errors import ServiceError, Throttled, Transient, Unreachable
from runner.retry import Patience, retrying
from tests.unit.doubles import now

pytestmark = pytest.mark.looptime


class Flaky:
    """Fails as told, and writes down when it was tried."""

    def __init__(self, *errors: BaseException, takes: float = 0.0) -> None:
        self._errors = list(errors)
        self._takes = takes
        self.times: list[float] = []

    async def __call__(self) -> str:
        self.times.append(now())
        await asyncio.sleep(self._takes)
        if self._errors:
            raise self._errors.pop(0)
        return "worked"

    @property
    def pauses(self) -> list[float]:
        return [b - a for a, b in pairwise(self.times)]


async def retried(
    work: Flaky,
    patience: Patience = lambda _: float("inf"),
    told: Callable[[Transient, int], None] = lambda _e, _n: None,
    *,
    first: float = 0.5,
    longest: float = 30.0,
) -> str:
    async for attempt in retrying(patience, first=first, longest=longest, told=told):
        with attempt:
            result = await work()
    return result


async def test_what_works_is_done_once(looptime: float) -> None:
    work = Flaky()
    assert await retried(work) == "worked"
    assert work.times == [0]
    assert looptime == 0


async def test_it_goes_on_until_it_works_and_tells_of_each_failure_once() -> None:
    errors = [Transient("a"), Throttled("b"), Unreachable("c")]
    work, told = Flaky(*errors), []
    assert await retried(work, told=lambda e, n: told.append((e, n))) == "worked"
    assert told == list(zip(errors, (1, 2, 3), strict=True))
    assert len(work.times) == 4


@pytest.mark.parametrize(
    "error", [ServiceError("denied"), ValueError("x"), asyncio.CancelledError(), KeyboardInterrupt()]
)
async def test_what_will_not_pass_is_raised_as_it_is_and_not_told(error: BaseException) -> None:
    work, told = Flaky(error), []
    with pytest.raises(type(error)) as raised:
        await retried(work, told=lambda e, n: told.append((e, n)))
    assert raised.value is error
    assert len(work.times) == 1
    assert told == []


@pytest.mark.parametrize(("first", "longest"), [(0.5, 30.0), (0.1, 2.0), (1.0, 1.0)])
async def test_pauses_double_up_to_the_longest_and_are_jittered_all_along(
    first: float, longest: float
) -> None:
    work = Flaky(*[Transient("x")] * 60)
    await retried(work, first=first, longest=longest)
    for number, pause in enumerate(work.pauses):
        whole = min(first * 2**number, longest)
        assert whole / 2 - 1e-5 <= pause <= whole + 1e-5
    assert (
        len({round(pause, 4) for pause in work.pauses[10:]}) > 30
    )  # A hundred pods must not come back in step.


async def test_however_long_it_fails() -> None:
    work = Flaky(*[Transient("x")] * 2000)
    assert await retried(work) == "worked"
    assert max(work.pauses) <= 30.001


async def test_patience_is_counted_from_the_first_try_and_the_last_failure_is_raised(looptime: float) -> None:
    errors = [Transient(str(n)) for n in range(1000)]
    work, told = Flaky(*errors, takes=1), []
    with pytest.raises(Transient) as raised:
        await retried(work, lambda _: 100.0, told=lambda e, n: told.append(e))
    assert raised.value is errors[len(work.times) - 1]
    assert raised.value not in told
    assert work.times[-2] + 1 < 100 <= looptime <= 100 + 30 + 1


async def test_each_kind_of_failure_has_its_own_patience() -> None:
    def patience(error: BaseException) -> float:
        return 10.0 if isinstance(error, Unreachable) else 1000.0

    short = Flaky(*[Unreachable("x")] * 100)
    with pytest.raises(Unreachable):
        await retried(short, patience)
    assert short.times[-1] <= 10 + 30
    began = now()
    long = Flaky(*[Transient("x")] * 30, Unreachable("y"))
    with pytest.raises(Unreachable):
        await retried(long, patience)
    assert len(long.times) == 31
    assert long.times[-1] - began > 10


async def test_no_patience_is_one_try() -> None:
    work = Flaky(Transient("x"))
    with pytest.raises(Transient):
        await retried(work, lambda _: 0.0)
    assert len(work.times) == 1


async def test_cancelled_in_a_pause_there_is_no_further_try(looptime: float) -> None:
    work = Flaky(*[Transient("x")] * 100)
    task = asyncio.create_task(retried(work, first=10))
    await asyncio.sleep(2)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert work.times == [0]
    assert looptime == 2
