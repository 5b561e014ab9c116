"""Contract "Rates": one bucket per (account, region, API); a throttle answer halves it, quiet restores it."""

from __future__ import annotations

import asyncio

import pytest

from runner.limits import LOWEST, RESTORE_SECONDS, Bucket, Limits
from tests.unit.doubles import now

pytestmark = pytest.mark.looptime


async def taking(bucket: Bucket, times: list[float], every: float = 0.0, count: int = 1_000_000) -> None:
    for _ in range(count):
        await bucket.take()
        times.append(now())
        await asyncio.sleep(every)


async def taken(bucket: Bucket, callers: int, seconds: float) -> list[float]:
    """Return when calls were let through, to callers that never pause."""
    times: list[float] = []
    tasks = [asyncio.create_task(taking(bucket, times)) for _ in range(callers)]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return times


def busiest(times: list[float], window: float) -> int:
    return max(sum(1 for t in times if start <= t < start + window - 1e-6) for start in times)


@pytest.mark.parametrize("callers", [1, 2, 7, 300])
@pytest.mark.parametrize(("rate", "burst"), [(5.0, 1.0), (5.0, 5.0), (0.5, 1.0), (20.0, 3.0)])
async def test_the_rate_is_bounded_whatever_the_number_of_callers(
    callers: int, rate: float, burst: float
) -> None:
    times = await taken(Bucket(rate, burst), callers, 40)
    assert 40 * rate - 1 <= len(times) <= 40 * rate + burst + 1
    assert busiest(times, 10) <= 10 * rate + burst
    assert busiest(times, 1) <= max(1.0, rate) + burst


async def test_a_burst_is_let_through_at_once_then_no_more(looptime: float) -> None:
    bucket = Bucket(2, burst=4)
    for _ in range(4):
        await bucket.take()
    assert looptime == 0
    await bucket.take()
    assert looptime == 0.5


async def test_after_quiet_there_is_a_burst_again_and_not_more_than_one(looptime: float) -> None:
    bucket = Bucket(2, burst=3)
    await asyncio.sleep(1000)
    for _ in range(3):
        await bucket.take()
    assert looptime == 1000
    await bucket.take()
    assert looptime == 1000.5


async def test_a_throttled_call_halves_the_rate_down_to_a_floor() -> None:
    bucket = Bucket(16)
    seen = []
    for _ in range(8):
        bucket.throttled()
        seen.append(bucket.rate)
    assert seen == [8, 4, 2, 1, 1, 1, 1, 1]
    assert seen[-1] == 16 * LOWEST


async def test_the_halved_rate_is_kept_to() -> None:
    bucket = Bucket(8)
    bucket.throttled()
    times = await taken(bucket, 5, 2)
    assert 8 <= len(times) <= 8 + 2


async def test_quiet_restores_the_rate() -> None:
    bucket = Bucket(16)
    for _ in range(10):
        bucket.throttled()
    await asyncio.sleep(RESTORE_SECONDS / 2)
    await bucket.take()
    assert bucket.rate == pytest.approx(16 * (LOWEST + 0.5))
    await asyncio.sleep(RESTORE_SECONDS / 2)
    await bucket.take()
    assert bucket.rate == 16
    await asyncio.sleep(10 * RESTORE_SECONDS)
    await bucket.take()
    assert bucket.rate == 16


async def test_it_is_restored_while_calls_go_on_too() -> None:
    bucket = Bucket(16)
    for _ in range(10):
        bucket.throttled()
    await taken(bucket, 3, RESTORE_SECONDS + 2)
    assert bucket.rate == 16


async def test_throttling_again_puts_the_recovery_off() -> None:
    bucket = Bucket(16)
    bucket.throttled()
    await asyncio.sleep(RESTORE_SECONDS - 1)
    bucket.throttled()
    await bucket.take()
    assert bucket.rate == pytest.approx(4)


async def test_a_caller_that_is_cancelled_leaves_its_turn_to_the_next(looptime: float) -> None:
    bucket = Bucket(1)
    await bucket.take()
    waiting = asyncio.create_task(bucket.take())
    await asyncio.sleep(0)
    waiting.cancel()
    await bucket.take()
    assert waiting.cancelled()
    assert looptime == 1


async def test_quiet_restores_the_rate_however_many_wait() -> None:
    """Turns that were reckoned ahead, at the rate of a throttled moment, would hold fifty callers back for minutes."""
    bucket = Bucket(5)
    times: list[float] = []
    tasks = [asyncio.create_task(taking(bucket, times)) for _ in range(50)]
    for _ in range(5):
        await asyncio.sleep(1)
        bucket.throttled()
    await asyncio.sleep(RESTORE_SECONDS + 60)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert bucket.rate == 5
    assert sum(1 for t in times if RESTORE_SECONDS + 15 <= t < RESTORE_SECONDS + 65) == pytest.approx(
        250, abs=2
    )


def test_each_event_loop_has_buckets_of_its_own() -> None:
    """They keep time by the loop's clock, and a lock belongs to its loop."""
    limits = Limits()

    async def bucket() -> Bucket:
        return limits.bucket("123456789012", "eu-west-1", "logs", rate=5)

    first, second = asyncio.run(bucket()), asyncio.run(bucket())
    assert first is not second


async def test_a_bucket_for_each_key_and_the_first_to_ask_sets_its_rate() -> None:
    limits = Limits()
    first = limits.bucket("123456789012", "eu-west-1", "logs", rate=5)
    assert limits.bucket("123456789012", "eu-west-1", "logs", rate=50) is first
    assert first.rate == 5
    others = [
        ("123456789012", "us-east-1", "logs"),
        ("210987654321", "eu-west-1", "logs"),
        ("123456789012", "eu-west-1", "s3"),
    ]
    assert all(limits.bucket(*key, rate=5) is not first for key in others)
