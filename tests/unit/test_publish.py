"""Sinks are isolated, in order, never in the way; and leaving is bounded."""

from __future__ import annotations

import asyncio

import pytest

from runner.events import Event, Level, LogLine, Notice
from runner.publish import FLUSH_SECONDS, MOST, ROOM, STALLED_SECONDS, Publisher
from runner.signals import MOMENT
from runner.testing import MemorySink
from tests.unit.doubles import HangingSink, RaisingSink

pytestmark = pytest.mark.looptime


class SlowSink(MemorySink):
    """Takes a second for each event."""

    async def write(self, event: Event) -> None:
        await asyncio.sleep(1)
        await super().write(event)


class ClosingFails(MemorySink):
    async def close(self) -> None:
        raise OSError("no space left")


def lines(number: int) -> list[LogLine]:
    return [LogLine(f"line {n}") for n in range(number)]


async def test_every_sink_gets_every_event_in_order_then_is_closed() -> None:
    sinks = [MemorySink(), SlowSink()]
    async with Publisher(sinks) as publisher:
        for line in lines(4):
            publisher.publish(line)
    assert [sink.events for sink in sinks] == [lines(4)] * 2
    assert all(sink.closed for sink in sinks)


async def test_publishing_never_waits_nor_writes_in_the_callers_turn(looptime: float) -> None:
    sink = MemorySink()
    async with Publisher([sink, HangingSink()]) as publisher:
        for line in lines(10 * ROOM):
            publisher.publish(line)
        assert sink.events == []
        assert looptime == 0
        await asyncio.sleep(1)
        assert len(sink.events) == 10 * ROOM


@pytest.mark.parametrize(
    ("error", "told"),
    [(OSError("disk full"), "disk full"), (ValueError(), "ValueError"), (TimeoutError(), "TimeoutError")],
)
async def test_a_sink_that_raises_is_switched_off_with_one_warning_to_the_others(
    error: Exception, told: str
) -> None:
    bad, good = RaisingSink(error), MemorySink()
    async with Publisher([bad, good]) as publisher:
        for line in lines(5):
            publisher.publish(line)
            await asyncio.sleep(1)
    warning = Notice(f"RaisingSink is switched off after an error ({told}); the job goes on", Level.WARNING)
    assert [e for e in good.events if isinstance(e, Notice)] == [warning]
    assert [e for e in good.events if isinstance(e, LogLine)] == lines(5)
    assert bad.writes == 1


async def test_sinks_that_all_raise_fail_nothing() -> None:
    sinks = [RaisingSink(), RaisingSink(), ClosingFails()]
    async with Publisher(sinks) as publisher:
        publisher.publish(LogLine("a"))
        await asyncio.sleep(1)
        publisher.publish(LogLine("b"))
    assert [sink.writes for sink in sinks[:2]] == [1, 1]


async def test_room_is_what_the_slowest_sink_has(looptime: float) -> None:
    async with Publisher([MemorySink(), SlowSink()], lambda: 1e9) as publisher:
        await publisher.room()
        assert looptime == 0
        for line in lines(ROOM + 5):
            publisher.publish(line)
        await publisher.room()
        assert 5 <= looptime <= 8
    assert looptime == ROOM + 5


@pytest.mark.parametrize("error", [OSError("disk full"), asyncio.CancelledError()])
async def test_nobody_waits_for_a_sink_that_is_gone(error: BaseException) -> None:
    """Not even where it ended in a way that no sink should: cancelled from within."""

    class Goes(MemorySink):
        async def write(self, event: Event) -> None:
            await asyncio.sleep(1)
            raise error

    async with Publisher([Goes()]) as publisher:
        for line in lines(2 * ROOM):
            publisher.publish(line)
        async with asyncio.timeout(2):
            await publisher.room()
            await asyncio.sleep(0)
        for line in lines(2 * ROOM):
            publisher.publish(line)
        async with asyncio.timeout(2):
            await publisher.room()


async def test_leaving_waits_for_a_slow_sink_but_not_for_ever(looptime: float) -> None:
    slow, stalled = SlowSink(), HangingSink()
    async with Publisher([slow, stalled]) as publisher:
        for line in lines(3):
            publisher.publish(line)
    assert slow.events == lines(3)
    assert slow.closed
    assert looptime == FLUSH_SECONDS


async def test_a_sink_that_heeds_no_cancellation_is_abandoned(looptime: float) -> None:
    async with Publisher([HangingSink(deaf=50)], lambda: 2.0) as publisher:
        publisher.publish(LogLine("a"))
        await asyncio.sleep(0)
    assert looptime == 2 + MOMENT
    await asyncio.sleep(100)


async def test_a_cancellation_cuts_the_flush_short_and_comes_up(looptime: float) -> None:
    async def leaving() -> None:
        async with Publisher([HangingSink()]) as publisher:
            publisher.publish(LogLine("a"))

    task = asyncio.create_task(leaving())
    await asyncio.sleep(2)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert looptime == 2


async def test_a_cancellation_never_takes_the_place_of_an_error() -> None:
    async def failing() -> None:
        async with Publisher([HangingSink()]) as publisher:
            publisher.publish(LogLine("a"))
            raise ValueError("the reason")

    task = asyncio.create_task(failing())
    await asyncio.sleep(2)
    task.cancel()
    await asyncio.wait({task})
    assert isinstance(task.exception(), ValueError)


async def test_without_sinks_nothing_waits(looptime: float) -> None:
    async with Publisher([]) as publisher:
        publisher.publish(LogLine("a"))
        await publisher.room()
    assert looptime == 0


async def test_a_slow_sink_gets_everything_where_nothing_urges(looptime: float) -> None:
    slow = SlowSink()
    async with Publisher([slow]) as publisher:
        for line in lines(30):
            publisher.publish(line)
    assert slow.events == lines(30)
    assert slow.closed
    assert looptime == 30


async def test_a_slow_sink_has_no_longer_than_the_deadline(
    looptime: float, capsys: pytest.CaptureFixture[str]
) -> None:
    slow, loop = SlowSink(), asyncio.get_running_loop()
    async with Publisher([slow], lambda: min(FLUSH_SECONDS, max(MOMENT, 12 - loop.time()))) as publisher:
        for line in lines(30):
            publisher.publish(line)
    assert slow.events == lines(12)
    assert 11.5 <= looptime <= 12
    assert (
        "up to 17 log lines were not shown: the reader of SlowSink did not keep up" in capsys.readouterr().err
    )


class Draining(MemorySink):
    """Takes everything at once, and shows it in its own time once it is closed: a line in two seconds."""

    def __init__(self, many: int) -> None:
        super().__init__()
        self.progress, self.unshown = 0, lines(many)

    async def close(self) -> None:
        while self.unshown:
            await asyncio.sleep(2)
            self.progress += 1
            self.unshown.pop()


async def test_progress_that_a_sink_tells_counts(looptime: float) -> None:
    sink = Draining(10)
    async with Publisher([sink]):
        await asyncio.sleep(0)
    assert sink.unshown == []
    assert looptime == 20


async def test_what_a_sink_took_but_did_not_show_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    class Stuck(Draining):
        label = "the console"

        async def close(self) -> None:
            await asyncio.sleep(1)

    async with Publisher([Stuck(1200)]):
        await asyncio.sleep(0)
    assert (
        capsys.readouterr().err
        == "up to 1,200 log lines were not shown: the reader of the console did not keep up\n"
    )


async def test_a_sink_that_stands_still_is_not_waited_for(looptime: float) -> None:
    healthy = MemorySink()
    async with Publisher([HangingSink(), healthy]) as publisher:
        for line in lines(3 * ROOM):
            publisher.publish(line)
            await publisher.room()
        assert looptime == STALLED_SECONDS
        await asyncio.sleep(0)
        assert healthy.events == lines(3 * ROOM)


async def test_a_sink_that_stands_still_and_is_far_behind_is_switched_off(
    capsys: pytest.CaptureFixture[str],
) -> None:
    healthy = MemorySink()
    async with Publisher([HangingSink(), healthy]) as publisher:
        publisher.publish(LogLine("first"))
        await asyncio.sleep(STALLED_SECONDS)
        for line in lines(MOST + 5):
            publisher.publish(line)
        await asyncio.sleep(1)
    said = [e.text for e in healthy.events if isinstance(e, Notice)]
    assert said == [
        "HangingSink is switched off after an error (nothing got through for 5 s); the job goes on"
    ]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("many", [1, 2])
async def test_when_all_sinks_are_gone_standard_error_is_told(
    many: int, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Publisher([RaisingSink(OSError("disk full")) for _ in range(many)]) as publisher:
        publisher.publish(LogLine("a"))
        await asyncio.sleep(1)
    warning = "RaisingSink is switched off after an error (disk full); the job goes on\n"
    assert capsys.readouterr().err == warning
