"""The writing thread: order, back-pressure, errors, and readers that stall or go."""

from __future__ import annotations

import asyncio
import io
import os
import threading
import time
from collections.abc import Sequence

import pytest

from runner.sinks.pump import Out, Pump, aside, weight, write_all


class Gate:
    """A screen whose every batch waits for `open`."""

    def __init__(self, *, opened: bool = False, error: Exception | None = None) -> None:
        self.open = threading.Event()
        self.entered = threading.Event()
        self.ticked = threading.Event()
        self.shown: list[int] = []
        self.closed = False
        self.error = error
        self.progress = 0
        if opened:
            self.open.set()

    def show(self, batch: Sequence[int], /) -> None:
        self.entered.set()
        self.open.wait()
        if self.error:
            raise self.error
        self.shown += batch

    def tick(self) -> None:
        self.ticked.set()

    def close(self) -> None:
        self.closed = True


async def turns(number: int = 100) -> None:
    """Let everything run that can run on the loop."""
    for _ in range(number):
        await asyncio.sleep(0)


async def test_all_is_shown_in_order() -> None:
    screen = Gate(opened=True)
    pump = Pump(screen)
    for number in range(3_000):
        await pump.put(number)
    await pump.close()
    assert screen.shown == list(range(3_000))
    assert screen.closed


async def test_a_stalled_screen_holds_up_only_who_has_too_much_pending() -> None:
    screen = Gate()
    pump = Pump(screen, limit=10)
    for number in range(10):
        await pump.put(number)  # returns although nothing can be shown
    eleventh = asyncio.create_task(pump.put(10))
    await turns()
    assert not eleventh.done()
    screen.open.set()
    await eleventh
    await pump.close()
    assert screen.shown == list(range(11))


async def test_a_heavy_item_counts_for_more() -> None:
    assert weight("") == 1
    assert weight("x" * 2**20) == 1025
    screen = Gate()
    pump = Pump(screen, limit=10)
    heavy = asyncio.create_task(pump.put(1, weight=11))
    await turns()
    assert not heavy.done()
    screen.open.set()
    await heavy
    await pump.close()


async def test_an_item_is_not_lost_when_its_wait_is_cancelled() -> None:
    screen = Gate()
    pump = Pump(screen, limit=0)
    waiting = asyncio.create_task(pump.put(1))
    await turns()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    screen.open.set()
    await pump.close()
    assert screen.shown == [1]


async def test_an_error_is_raised_by_the_put_that_waits_and_by_the_next() -> None:
    screen = Gate(error=BrokenPipeError())
    pump = Pump(screen, limit=0)
    waiting = asyncio.create_task(pump.put(1))
    await turns()
    screen.open.set()
    with pytest.raises(BrokenPipeError):
        await waiting
    with pytest.raises(BrokenPipeError):
        await pump.put(2)
    await pump.close()
    assert screen.closed


async def test_close_gives_up_on_a_stalled_screen() -> None:
    screen = Gate()
    pump = Pump(screen)
    await pump.put(1)
    await pump.close(patience=0.01)
    assert not screen.closed
    screen.open.set()


@pytest.mark.looptime
async def test_virtual_time_does_not_cut_the_close_short() -> None:
    screen = Gate()
    pump = Pump(screen)
    for number in range(1_000):
        await pump.put(number)
    async with asyncio.TaskGroup() as group:
        closing = group.create_task(pump.close())
        await asyncio.sleep(60)  # virtual: a minute passes at once
        assert not closing.done()
        screen.open.set()
    assert screen.shown == list(range(1_000))


async def test_close_without_anything_written() -> None:
    screen = Gate()
    await Pump(screen).close()
    assert screen.closed


async def test_nothing_goes_in_after_close() -> None:
    pump = Pump(Gate(opened=True))
    await pump.close()
    with pytest.raises(RuntimeError, match="after close"):
        await pump.put(1)


async def test_silence_is_told() -> None:
    screen = Gate(opened=True)
    pump = Pump(screen, tick=0.001)
    await pump.put(1)
    assert await asyncio.to_thread(screen.ticked.wait, 10)
    await pump.close()


def test_a_loop_that_is_gone_ends_no_thread() -> None:
    screen = Gate()
    pump = Pump(screen, limit=0)

    async def stall() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pump.put(1), 0.01)

    asyncio.run(stall())
    screen.open.set()
    asyncio.run(pump.close())
    assert screen.shown == [1]


def test_a_non_blocking_pipe_gets_everything() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    data = os.urandom(2**20)
    got: list[bytes] = []

    def read() -> None:
        while chunk := os.read(reader, 2**16):
            got.append(chunk)

    thread = threading.Thread(target=read)
    thread.start()
    moved: list[int] = []
    write_all(writer, data, moved.append)
    os.close(writer)
    thread.join()
    assert sum(moved) == len(data)
    os.close(reader)
    assert b"".join(got) == data


def test_out_writes_to_streams_without_a_descriptor() -> None:
    stream = io.StringIO()
    out = Out(stream)
    assert not out.isatty()
    out.write("héllo\udcff\n")
    out.flush()
    assert stream.getvalue() == "héllo\\udcff\n"
    assert Out(None).write("nobody") == 6


async def test_closing_waits_as_long_as_something_gets_through() -> None:
    reader, writer = os.pipe()
    screen = Through(writer)
    pump = Pump(screen)
    for _ in range(60):
        await pump.put(b"x" * 4096)

    def read() -> None:
        while os.read(reader, 4096):
            time.sleep(0.01)

    thread = threading.Thread(target=read)
    thread.start()
    await pump.close(0.2)
    assert pump.unshown == []
    os.close(writer)
    thread.join()
    os.close(reader)


async def test_what_a_stalled_reader_has_not_seen_is_known() -> None:
    screen = Gate()
    pump = Pump(screen)
    for number in range(3):
        await pump.put(number)
    await pump.close(0.05)
    assert pump.unshown == [0, 1, 2]
    screen.open.set()


class Through(Gate):
    """Writes to a descriptor."""

    def __init__(self, fd: int) -> None:
        super().__init__(opened=True)
        self._fd = fd

    def show(self, batch: Sequence[bytes], /) -> None:  # type: ignore[override]
        write_all(self._fd, b"".join(batch), self.moved)

    def moved(self, count: int) -> None:
        self.progress += count


async def test_work_aside_raises_what_it_raised() -> None:
    def work() -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        await aside(work)


def test_work_aside_that_hangs_holds_up_nothing() -> None:
    """Not even the end of the loop, nor that of the interpreter: its thread is a daemon."""
    never = threading.Event()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(aside(lambda: never.wait() and None), 0.05)

    began = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - began < 2
    assert all(t.daemon for t in threading.enumerate() if t.name == "runner-sink-aside")
    never.set()
