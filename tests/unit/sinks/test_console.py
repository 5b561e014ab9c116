"""The console on real pipes and a real pseudo-terminal."""

from __future__ import annotations

import asyncio
import fcntl
import io
import os
import re
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

import pytest

from runner.events import Event, Finished, Launched, LogLine, LogSummary, Metric, Phase, Status, Trial
from runner.job import Sink
from runner.sinks.console import console, shared
from runner.sinks.console.live import Footer
from runner.sinks.console.shared import Shared
from runner.sinks.pump import Out

T = 1_795_269_727.0  # 2026-11-21 14:02:07 UTC
ROOT = Path(__file__).parents[3]
STAGES = ("Starting", "Training", "Completed")


class Reader:
    """Reads a descriptor on a thread until its other end is closed."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._data: list[bytes] = []
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        try:
            while chunk := os.read(self._fd, 2**16):
                self._data.append(chunk)
        except OSError:
            pass  # a pseudo-terminal whose other side is closed answers EIO

    def text(self, encoding: str = "utf-8") -> str:
        self._thread.join()
        return b"".join(self._data).decode(encoding)


@pytest.fixture
def pipe() -> Iterator[tuple[int, TextIO]]:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w", encoding="utf-8") as stream:
        yield reader, stream
    os.close(reader)


def ticking() -> Callable[[], float]:
    seconds = iter(range(10**9))
    return lambda: T + next(seconds)


async def show(stream: TextIO, *events: Event, color: bool | None = None) -> None:
    sink = console(stream, color=color, clock=ticking())
    for event in events:
        await sink.write(event)
    await sink.close()


async def until_refused(sink: Sink) -> None:
    """Write until the thread has met the error."""
    while True:
        await sink.write(LogLine("x"))
        await asyncio.sleep(0)


JOB: tuple[Event, ...] = (
    Launched("job-1", "aws.sagemaker.train", links={"console": "https://x"}, stages=STAGES),
    Status(Phase.RUNNING, "InProgress", "Training"),
    LogLine("\x1b[31mepoch 1\x1b[0m\x1b[2J [bold]loss[/bold] :smile: 0.5", time=T),
    Metric("loss", 0.5, T),
    LogSummary(1),
    Finished(Status(Phase.SUCCEEDED, "Completed", "Completed"), 192, 1),
)


async def test_a_pipe_gets_plain_lines(pipe: tuple[int, TextIO]) -> None:
    fd, stream = pipe
    reader = Reader(fd)
    await show(stream, *JOB)
    stream.close()
    assert reader.text() == (
        "14:02:07 · 2026-11-21 UTC\n"
        "14:02:07 → job-1 created (aws.sagemaker.train)\n"
        "14:02:07 · console: https://x\n"
        "14:02:08 ● InProgress / Training\n"
        "14:02:07 | epoch 1\\x1b[2J [bold]loss[/bold] :smile: 0.5\n"
        "14:02:07 = loss = 0.5\n"
        "14:02:11 · logs: 1 line\n"
        "14:02:12 ← Succeeded in 3m 12s; 1 log line\n"
    )


@pytest.mark.parametrize("name", ["FORCE_COLOR", "TTY_COMPATIBLE", "CLICOLOR_FORCE"])
async def test_nothing_makes_a_pipe_colourful(
    pipe: tuple[int, TextIO], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "1")
    fd, stream = pipe
    reader = Reader(fd)
    await show(stream, *JOB, color=True)
    stream.close()
    assert "\x1b" not in reader.text()


async def test_an_ascii_locale_gets_ascii(pipe: tuple[int, TextIO]) -> None:
    fd, utf8 = pipe
    reader = Reader(fd)
    with os.fdopen(os.dup(utf8.fileno()), "w", encoding="ascii") as stream:
        await show(stream, LogLine("naïve → \udcff", time=T), JOB[-1])
    utf8.close()
    shown = reader.text("ascii")
    assert r"14:02:07 | na\xefve \u2192 \udcff" in shown
    assert "14:02:08 < Succeeded in 3m 12s" in shown


async def test_a_line_is_there_before_the_next_is_written(pipe: tuple[int, TextIO]) -> None:
    fd, stream = pipe
    sink = console(stream, clock=lambda: T)
    for text in ("one", "two"):
        await sink.write(LogLine(text))
        shown = b""
        while text.encode() not in shown:
            shown = await asyncio.to_thread(os.read, fd, 4096)
    await sink.close()


async def test_a_megabyte_comes_through_whole(pipe: tuple[int, TextIO]) -> None:
    fd, stream = pipe
    reader = Reader(fd)
    await show(stream, LogLine("x" * 2**20, time=T))
    stream.close()
    assert "14:02:07 | " + "x" * 2**20 + "\n" in reader.text()


async def test_a_stalled_reader_holds_up_the_writer_but_not_the_loop(pipe: tuple[int, TextIO]) -> None:
    fd, stream = pipe
    sink = console(stream, clock=lambda: T, limit=100)
    written = 0

    async def write() -> None:
        nonlocal written
        for number in range(500):
            await sink.write(LogLine(f"{number} " + "x" * 900))
            written += 1

    # Nobody reads, and 500 lines of 900 bytes are more than the pipe (64 KiB) and 100 pending ones.
    writing = asyncio.create_task(write())
    async with asyncio.timeout(10):
        for _ in range(2_000):
            await asyncio.sleep(0)
    assert not writing.done()
    assert written >= 100
    reader = Reader(fd)
    await writing
    await sink.close()
    stream.close()
    shown = [line.split()[2] for line in reader.text().splitlines()[1:]]
    assert shown == [str(number) for number in range(500)]


async def test_a_reader_that_is_gone_is_an_error_of_the_next_write() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        sink = console(stream)
        with pytest.raises(BrokenPipeError):
            await until_refused(sink)
        with pytest.raises(BrokenPipeError):
            await sink.write(LogLine("x"))
        await sink.close()


async def test_a_closed_stream_is_an_error_of_the_next_write() -> None:
    stream = io.StringIO()
    sink = console(stream)
    stream.close()
    with pytest.raises(ValueError, match="closed file"):
        await until_refused(sink)
    await sink.close()


async def test_standard_output_is_the_default(capfd: pytest.CaptureFixture[str]) -> None:
    sink = console(clock=lambda: T)
    await sink.write(LogLine("hello"))
    await sink.close()
    assert "14:02:07 | hello\n" in capfd.readouterr().out


async def test_a_count_that_was_put_off_is_told_in_silence(pipe: tuple[int, TextIO]) -> None:
    fd, stream = pipe
    now = T
    sink = console(stream, clock=lambda: now)
    for count in ("1 completed", "2 completed"):
        await sink.write(Status(Phase.RUNNING, "InProgress", message=count))
    now += 60
    shown = b""
    while b"14:03:07" not in shown:
        shown += await asyncio.to_thread(os.read, fd, 4096)
    await sink.write(Status(Phase.RUNNING, "InProgress", message="3 completed"))
    await sink.close()
    shown += await asyncio.to_thread(os.read, fd, 4096)
    assert [line[8:] for line in shown.decode().splitlines()[1:]] == [
        " ● InProgress: 1 completed",
        " ● InProgress: 2 completed",
        " ● InProgress: 3 completed",
    ]


# --- several jobs side by side


async def labelled(stream: TextIO, label: str, *events: Event, color: bool | None = None) -> None:
    sink = console(stream, clock=lambda: T, label=label, color=color)
    for event in events:
        await sink.write(event)
    await sink.close()


async def test_every_line_names_its_job(pipe: tuple[int, TextIO]) -> None:
    fd, stream = pipe
    reader = Reader(fd)
    wide = console(stream, clock=lambda: T, label="deploy")
    failed = Finished(Status(Phase.FAILED, reason="x"), 1, 1)
    await labelled(stream, "up", JOB[0], LogLine("14:02:07 deploy | mine", "s"), failed, color=True)
    await wide.write(LogLine("hello", late=True))
    await wide.close()
    stream.close()
    assert reader.text() == (
        "14:02:07 up     · 2026-11-21 UTC\n"
        "14:02:07 up     → job-1 created (aws.sagemaker.train)\n"
        "14:02:07 up     · console: https://x\n"
        "14:02:07 up     | 14:02:07 deploy | mine\n"
        "14:02:07 up     ✗ last 1 log line:\n"
        "         up     | 14:02:07 deploy | mine\n"
        "14:02:07 up     ✗ Failed after 1s; 1 log line\n"
        "14:02:07 up     · reason: x\n"
        "14:02:07 deploy · 2026-11-21 UTC\n"
        "14:02:07 deploy |(late)| hello\n"
    )


async def test_a_label_is_one_word_and_a_long_one_widens_no_column(pipe: tuple[int, TextIO]) -> None:
    fd, stream = pipe
    reader = Reader(fd)
    long = console(stream, clock=lambda: T, label="x" * 60)
    await labelled(stream, "a b | \x1b[2J", LogLine("hello"))
    await long.close()
    stream.close()
    assert reader.text().splitlines()[-1] == r"14:02:07 a\x20b\x20\x7c\x20\x1b[2J | hello"


async def test_lines_of_many_jobs_do_not_run_into_each_other(pipe: tuple[int, TextIO]) -> None:
    fd, stream = pipe
    reader = Reader(fd)
    text = "x" * 9_000  # More than a pipe takes at one stroke.
    lines = [LogLine(f"{number} {text}") for number in range(40)]
    await asyncio.gather(*(labelled(stream, label, *lines) for label in "abcd"))
    stream.close()
    shown = reader.text().splitlines()
    for label in "abcd":
        ours = [line for line in shown if line[9] == label and line[11] == "|"]
        assert ours == [f"14:02:07 {label} | {number} {text}" for number in range(40)]
    assert len(shown) == 4 * 41


async def test_a_job_that_waits_for_its_turn_is_not_given_up(pipe: tuple[int, TextIO]) -> None:
    """A slow reader takes longer for one job's lines than anything may stand still."""
    fd, stream = pipe
    first = console(stream, clock=lambda: T, label="a")
    await first.write(LogLine("x" * 2**18))
    await until_full(fd)
    second = asyncio.create_task(labelled(stream, "b", LogLine("at last")))
    shown = b""
    for _ in range(6):
        shown += await asyncio.to_thread(read_slowly, fd, 2**13)
    assert not second.done()
    reader = Reader(fd)
    await second
    await first.close()
    stream.close()
    assert "b | at last\n" in shown.decode() + reader.text()


async def until_full(fd: int) -> None:
    """Return when the pipe is full, or nearly."""
    while int.from_bytes(fcntl.ioctl(fd, termios.FIONREAD, bytes(4)), sys.byteorder) < 2**16 - 4096:
        await asyncio.to_thread(time.sleep, 0.01)  # There is no event for it.


def read_slowly(fd: int, count: int) -> bytes:
    time.sleep(0.5)
    return os.read(fd, count)


async def test_a_job_can_join_while_the_reader_is_stalled(pipe: tuple[int, TextIO]) -> None:
    fd, stream = pipe
    first = console(stream, label="a")
    await first.write(LogLine("x" * 2**18))
    await until_full(fd)
    second = console(stream, label="b")
    await second.write(LogLine("x"))
    reader = Reader(fd)
    await first.close()
    await second.close()
    stream.close()
    assert reader.text().endswith(" b | x\n")


async def test_streams_without_a_descriptor_take_labels_too() -> None:
    one, other = io.StringIO(), io.StringIO()
    await labelled(one, "longer", LogLine("x"))
    await labelled(other, "a", LogLine("x"))
    assert other.getvalue().splitlines()[-1] == "14:02:07 a | x"


async def test_consoles_that_were_closed_are_forgotten_and_their_bytes_are_not(
    pipe: tuple[int, TextIO],
) -> None:
    fd, stream = pipe
    reader = Reader(fd)
    keeper = console(stream, label="keeper")
    there = shared.of(Out(stream))
    for number in range(50):
        await labelled(stream, f"job-{number}", LogLine("x"))
    assert list(there._numbers) == ["keeper"]
    assert there.width == len("keeper")
    counted = there.progress
    assert keeper.progress == counted  # type: ignore[attr-defined]
    await keeper.close()
    assert there._numbers == {}
    stream.close()
    assert len(reader.text().encode()) == counted


def test_a_label_has_one_number_as_long_as_anybody_has_the_label() -> None:
    there = Shared()
    assert [there.join(label) for label in ("a", "b", "a")] == [0, 1, 0]
    there.leave("a")
    assert there.join("a") == 0
    for _ in range(2):
        there.leave("a")
    assert there.join("c") == 2
    assert there.join("a") == 3
    there.leave("nobody")


# --- a terminal


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, TextIO]]:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("LINES", "24")
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w", encoding="utf-8") as stream:
        yield ours, stream
    os.close(ours)


async def on(terminal: tuple[int, TextIO], *events: Event, color: bool | None = None) -> str:
    ours, stream = terminal
    reader = Reader(ours)
    await show(stream, *events, color=color)
    stream.close()
    return reader.text()


def bare(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


COLOUR = re.compile(r"\x1b\[[0-9;]*\b3[0-7]m")


async def test_a_terminal_gets_colour_a_footer_and_its_cursor_back(terminal: tuple[int, TextIO]) -> None:
    shown = await on(terminal, *JOB)
    assert COLOUR.search(shown)
    assert r"14:02:07 | epoch 1\x1b[2J [bold]loss[/bold] :smile: 0.5" in bare(shown)
    assert "✓ Starting  ✓ Training  ● Completed" in bare(shown) or "● Training" in bare(shown)
    assert "\x1b[2J" not in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")
    # The footer is wiped: what follows its last row is the way back up over it.
    assert re.search(r"(\x1b\[1A\x1b\[2K)+$", shown)


async def test_jobs_side_by_side_have_colours_of_their_own_and_no_footer(
    terminal: tuple[int, TextIO],
) -> None:
    ours, stream = terminal
    reader = Reader(ours)
    for label in ("a", "b"):
        keeper = console(
            stream, label=label
        )  # The stream's memory lasts as long as there is a console on it.
        await labelled(stream, label, LogLine("\x1b[31mred"))
        if label == "b":
            await labelled(stream, "b", LogLine("grey"), color=False)
        await keeper.close()
    stream.close()
    shown = reader.text().splitlines()
    assert shown[1] == "\x1b[36m14:02:07 a |\x1b[0m red"
    assert {line for line in shown if line.endswith("grey")} == {"14:02:07 b | grey"}
    assert "\x1b[?25" not in "".join(shown)


async def test_a_readings_line_is_left_to_the_footer(terminal: tuple[int, TextIO]) -> None:
    shown = bare(await on(terminal, JOB[0], Metric("loss", 0.5), Metric("loss", 0.25), JOB[-1]))
    assert shown.count("= loss") == 1
    assert "= loss = 0.25" in shown


@pytest.mark.parametrize(("value", "color"), [("1", None), ("", False)])
async def test_no_color(
    terminal: tuple[int, TextIO], monkeypatch: pytest.MonkeyPatch, value: str, color: bool | None
) -> None:
    monkeypatch.setenv("NO_COLOR", value)
    shown = await on(terminal, *JOB, color=color)
    assert not COLOUR.search(shown)
    assert "job-1" in shown


async def test_colour_may_be_insisted_on(
    terminal: tuple[int, TextIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert COLOUR.search(await on(terminal, *JOB, color=True))


@pytest.mark.parametrize("term", ["dumb", "unknown", ""])
async def test_a_dumb_terminal_gets_plain_lines(
    terminal: tuple[int, TextIO], monkeypatch: pytest.MonkeyPatch, term: str
) -> None:
    monkeypatch.setenv("TERM", term)
    shown = await on(terminal, *JOB)
    assert "\x1b" not in shown
    assert "14:02:08 ● InProgress / Training\r\n" in shown


async def test_a_long_line_is_left_to_the_terminal_to_break(terminal: tuple[int, TextIO]) -> None:
    assert "x" * 500 in await on(terminal, JOB[0], LogLine("x" * 500))


async def test_a_terminal_that_hangs_up_is_an_error(terminal: tuple[int, TextIO]) -> None:
    ours, stream = terminal
    spare = os.open(os.devnull, os.O_RDONLY)
    os.dup2(spare, ours)  # closes the terminal's other side, and leaves the fixture something to close
    os.close(spare)
    sink = console(stream)
    with pytest.raises(OSError, match="Input/output error"):
        await until_refused(sink)
    await sink.close()


def rows(*events: Event, after: float = 0.0) -> list[str]:
    footer = Footer()
    for event in events:
        footer.take(event, T)
    return [row.plain for row in footer.rows(T + after)]


def test_the_footer() -> None:
    status = Status(Phase.RUNNING, "InProgress", "Training")
    readings = [Metric(f"m{number}", number / 10) for number in range(6)]
    log = [LogLine("a\nb"), LogLine("c", late=True)]
    assert rows(JOB[0], status, *log, *readings, Metric("m0", 9), after=65) == [
        "job-1  1m 05s  3 log lines, 1 late",
        "✓ Starting  ● Training  ○ Completed",
        "m3 0.3  m4 0.4  m5 0.5  m0 9",
    ]
    assert rows(JOB[0]) == ["job-1  0s  no log lines"]
    assert rows(JOB[0], Status(Phase.STOPPING, "Stopping", "Other\x1b", "soon"))[1] == (
        r"● Stopping / Other\x1b: soon"
    )
    assert rows(JOB[0], LogSummary(7, 1), JOB[-1])[0] == "job-1  0s  7 log lines, 1 late"


def test_the_footer_of_a_search() -> None:
    trials = [
        Trial("t-1", Phase.SUCCEEDED, {}, 0.5, best=True),
        Trial("t-2", Phase.FAILED),
        Trial("t-3", Phase.SUCCEEDED, {}, 0.91, best=True),
        Trial("t-4", Phase.RUNNING),
    ]
    counts = Status(Phase.RUNNING, "InProgress", message="2 completed, 1 in progress of 10")
    assert rows(JOB[0], counts, *trials)[1:] == [
        "● InProgress: 2 completed, 1 in progress of 10",
        "3 ended, 1 of them without success, 1 in progress  ★ 0.91 (t-3)",
    ]


def test_the_footer_of_a_search_has_no_reading_of_a_trial() -> None:
    trial = Trial("t-001-x", Phase.RUNNING)
    told = rows(
        JOB[0], Metric("loss", 1, stream="001"), trial, Metric("loss", 2, stream="001"), Metric("n", 3)
    )
    assert told[1:] == ["0 ended, 1 in progress", "n 3"]


# --- the end of the process

PRINTS = """
import sys
from runner.sinks.console import quiet_stdout
print("x" * 10)
sys.stdin.read()
{call}
"""

STALLS = """
import asyncio
from runner.events import LogLine
from runner.sinks.console import console, quiet_stdout

async def main():
    sink = console()
    for _ in range(1000):
        await sink.write(LogLine("x" * 1000))
    await sink.close()

asyncio.run(main())
quiet_stdout()
raise SystemExit(7)
"""


def python(script: str) -> subprocess.Popen[bytes]:
    # Unbuffered, print itself would fail, and nothing be left for the flush at exit.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment | {"PYTHONPATH": str(ROOT)},
    )


@pytest.mark.parametrize(("call", "code"), [("quiet_stdout()", 0), ("", 120)])
def test_a_broken_stdout_changes_no_exit_code(call: str, code: int) -> None:
    with python(PRINTS.format(call=call)) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdin
        process.stdout.close()
        process.stdin.close()
        noise = process.stderr.read()
        assert process.wait(30) == code
    assert (b"BrokenPipe" in noise) == bool(code)


def test_a_process_with_a_stalled_reader_ends_as_it_wants_to() -> None:
    with python(STALLS) as process:
        assert process.stderr
        assert process.wait(30) == 7
        assert process.stderr.read() == b""
