"""The UI files: replaced at the right moments, valid at every one."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from runner.events import Event, Finished, Launched, Level, LogLine, Metric, Notice, Phase, Status, Trial
from runner.sinks import kfp_page
from runner.sinks.kfp_page import Page
from runner.sinks.kfp_ui import KfpUi


class Clock:
    def __init__(self) -> None:
        self.now = 1_795_269_727.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def metadata(tmp_path: Path) -> Path:
    return tmp_path / "made" / "for" / "us" / "metadata.json"


@pytest.fixture
def metrics(tmp_path: Path) -> Path:
    return tmp_path / "metrics.json"


@pytest.fixture
def sink(metadata: Path, metrics: Path, clock: Clock) -> KfpUi:
    return KfpUi(metadata, metrics, clock=clock)


def values(path: Path) -> dict[str, float]:
    content: dict[str, Any] = json.loads(path.read_text())
    return {metric["name"]: metric["numberValue"] for metric in content["metrics"]}


@pytest.mark.parametrize(
    "event",
    [
        Launched("job", "c"),
        Status(Phase.RUNNING),
        Finished(Status(Phase.SUCCEEDED), 1),
    ],
)
async def test_news_is_written_at_once(sink: KfpUi, metadata: Path, metrics: Path, event: Event) -> None:
    await sink.write(Launched("job", "c"))
    metadata.unlink()
    await sink.write(event)
    assert json.loads(metadata.read_text())["outputs"][0]["type"] == "markdown"
    assert values(metrics) == {}
    assert [path for path in metadata.parent.iterdir() if path != metadata] == []


async def test_log_lines_write_nothing(sink: KfpUi, metadata: Path) -> None:
    for number in range(30):
        await sink.write(LogLine(f"line {number}"))
    assert not metadata.exists()
    await sink.write(Finished(Status(Phase.FAILED), 1))
    assert "line 29" in metadata.read_text()
    await sink.close()


async def test_metrics_are_written_once_a_second(sink: KfpUi, metrics: Path, clock: Clock) -> None:
    await sink.write(Metric("loss", 5))
    assert values(metrics) == {"loss": 5}
    clock.now += 0.9
    await sink.write(Metric("loss", 4))
    assert values(metrics) == {"loss": 5}
    clock.now += 0.1
    await sink.write(LogLine("any event will do"))
    assert values(metrics) == {"loss": 4}


async def test_trials_are_written_once_a_second_and_at_the_end(
    sink: KfpUi, metadata: Path, clock: Clock
) -> None:
    for number in range(500):
        best = number % 7 == 0
        await sink.write(Trial(f"t-{number}", Phase.SUCCEEDED, {"eta": "1"}, number / 500, best=best))
        clock.now += 0.01
    assert sink._version == 5
    await sink.close()
    assert sink._version == 6
    assert "t-499,Succeeded,0.998" in metadata.read_text()


async def test_close_writes_what_was_put_off(sink: KfpUi, metrics: Path) -> None:
    await sink.write(Metric("loss", 5))
    await sink.write(Metric("loss", 4))
    assert values(metrics) == {"loss": 5}
    await sink.close()
    assert values(metrics) == {"loss": 4}


async def test_close_writes_nothing_twice(sink: KfpUi, metadata: Path) -> None:
    await sink.write(Launched("job", "c"))
    metadata.unlink()
    await sink.close()
    assert not metadata.exists()


async def test_a_clock_set_back_puts_nothing_off(sink: KfpUi, metrics: Path, clock: Clock) -> None:
    await sink.write(Metric("loss", 5))
    clock.now -= 3600
    await sink.write(Metric("loss", 4))
    assert values(metrics) == {"loss": 4}


@pytest.mark.parametrize("which", ["metadata", "metrics", "neither"])
async def test_only_asked_for_files_are_written(tmp_path: Path, which: str) -> None:
    path = tmp_path / "file"
    sink = KfpUi(path if which == "metadata" else None, path if which == "metrics" else None)
    await sink.write(Launched("job", "c"))
    await sink.close()
    assert list(tmp_path.iterdir()) == ([] if which == "neither" else [path])


async def test_a_reader_never_sees_half_a_file(sink: KfpUi, metadata: Path, metrics: Path) -> None:
    await sink.write(Launched("job", "c"))
    done = threading.Event()
    broken: list[Exception] = []
    reads = 0

    def hammer() -> None:
        nonlocal reads
        while not done.is_set():
            try:
                assert json.loads(metadata.read_text())["outputs"]
                json.loads(metrics.read_text())["metrics"]
                reads += 1
            except Exception as error:  # noqa: BLE001 - all of them are news
                broken.append(error)
                return

    reader = threading.Thread(target=hammer)
    reader.start()
    for number in range(300):
        await sink.write(Status(Phase.RUNNING, message="x" * (number * 97 % 5000)))
        await sink.write(Metric(f"m{number % 40}", number))
    done.set()
    reader.join()
    assert not broken
    assert reads


async def test_a_failure_to_write_is_raised(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    sink = KfpUi(tmp_path / "file" / "metadata.json", None)
    with pytest.raises(FileExistsError):
        await sink.write(Launched("job", "c"))


async def test_a_cancelled_rewrite_does_not_undo_a_later_one(sink: KfpUi, metadata: Path) -> None:
    await sink.write(Launched("old", "c"))
    older = sink._version
    await sink.write(Status(Phase.RUNNING, message="newest"))
    await asyncio.to_thread(sink._replace, older, Page(), 0.0)
    assert "newest" in metadata.read_text()


async def test_the_loop_goes_on_while_the_page_is_made(
    sink: KfpUi, metadata: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawing, go = threading.Event(), threading.Event()

    def plot(_search: object) -> str:
        drawing.set()
        assert go.wait(10)
        return "drawn"

    monkeypatch.setattr(kfp_page, "plot", plot)
    writing = asyncio.create_task(sink.write(Trial("a", Phase.SUCCEEDED)))
    await asyncio.to_thread(drawing.wait)
    assert not writing.done()
    go.set()
    await writing
    assert "drawn" in metadata.read_text()


def test_a_volume_that_hangs_holds_up_nothing(tmp_path: Path) -> None:
    """Here a pipe that nobody reads; the end of the loop would wait for a thread of its executor."""
    os.mkfifo(tmp_path / "metadata")

    async def main() -> None:
        sink = KfpUi(tmp_path / "metadata", None)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sink.write(Status(Phase.RUNNING)), 0.2)

    began = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - began < 5
    os.close(os.open(tmp_path / "metadata", os.O_RDONLY | os.O_NONBLOCK))  # Let the thread go.


async def test_a_job_that_was_left_is_not_shown_as_running_for_ever(sink: KfpUi, metadata: Path) -> None:
    for event in (Launched("job", "c"), Status(Phase.RUNNING), Notice("throttled", Level.INFO)):
        await sink.write(event)
    await sink.write(Notice("the service was told to stop job, and <agreed>", Level.WARNING))
    assert "**Running** for" in metadata.read_text()
    await sink.close()
    (summary,) = json.loads(metadata.read_text())["outputs"]
    assert "**Left while Running**" in summary["source"]
    assert "**What became of it:** the service was told to stop job, and &lt;agreed&gt;" in summary["source"]


async def test_one_that_ended_is_shown_as_it_ended_whatever_was_said(sink: KfpUi, metadata: Path) -> None:
    for event in (Launched("job", "c"), Notice("odd", Level.WARNING), Finished(Status(Phase.SUCCEEDED), 1)):
        await sink.write(event)
    await sink.close()
    text = metadata.read_text()
    assert "Left" not in text
    assert "odd" not in text
