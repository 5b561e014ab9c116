"""What is followed beside the status, in virtual time: the build log, the events, the training data."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from components.hydrosphere.errors import Unread
from components.hydrosphere.release._events import Events
from components.hydrosphere.release._log import BuildLog
from components.hydrosphere.release._training import REGISTER_SECONDS, Stage, Training
from components.hydrosphere.sse import ServerSentEvent
from runner.errors import NotFound, ServiceError, Transient
from runner.events import Level, LogLine, LogSummary, Notice, Phase
from runner.job import Feed, FeedEvent
from runner.supervise import launched
from runner.testing import MemorySink
from tests.unit.hydrosphere.simulated import Cluster, Upload, job, now

pytestmark = pytest.mark.looptime
END = ServerSentEvent("", "EndOfStream")


def numbered(*lines: str, first: int = 0) -> list[ServerSentEvent]:
    return [ServerSentEvent(line, "Log", str(n)) for n, line in enumerate(lines, first)]


class Streams:
    """Stands for `Api.stream`: one script for each connection; an exception is raised, a number is a pause."""

    def __init__(self, *scripts: list[ServerSentEvent | Exception | float]) -> None:
        self.scripts = list(scripts)
        self.last_ids: list[str] = []
        self.opened: list[float] = []

    async def stream(
        self, path: str, silence: float, last_id: str = ""
    ) -> AsyncGenerator[ServerSentEvent | None, None]:
        self.last_ids.append(last_id)
        self.opened.append(now())
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        yield None
        for step in script:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, ServerSentEvent):
                yield step
            elif step > silence:
                await asyncio.sleep(silence)
                raise Unread("silent")
            else:
                await asyncio.sleep(step)


async def told(feed: Feed, ended: asyncio.Event) -> list[FeedEvent]:
    return [event async for event in feed(ended)]


async def log(streams: Streams, ends_at: float) -> tuple[list[str], LogSummary]:
    built = asyncio.Event()
    asyncio.get_running_loop().call_later(ends_at, built.set)
    events = await told(BuildLog(streams, 1, built, asyncio.Event()), built)  # type: ignore[arg-type]
    assert isinstance(events[-1], LogSummary)
    return [event.text for event in events if isinstance(event, LogLine)], events[-1]


# ── the build log ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_log_is_shown_line_by_line_and_read_again_at_the_end() -> None:
    rest = numbered("three", first=2)
    streams = Streams([*numbered("one", "two"), 9.0, END], [*rest, END])
    lines, summary = await log(streams, 10)
    assert lines == ["one", "two", "three"]
    assert summary == LogSummary(3)
    assert streams.last_ids[:2] == ["", "1"]


async def test_a_cut_in_the_middle_loses_and_repeats_nothing() -> None:
    streams = Streams(
        [*numbered("one", "one"), Unread("reset")],
        [NotFound("502, or so")],
        [*numbered("one", "two", first=1), 1.0, *numbered("three", first=3), Unread("reset")],
        [END],
    )
    lines, summary = await log(streams, 20)
    assert lines == ["one", "one", "two", "three"]
    assert summary.complete


async def test_a_log_that_is_not_there_yet_is_waited_for() -> None:
    lines, _ = await log(Streams([NotFound("none")], [NotFound("none")], [*numbered("one"), END]), 30)
    assert lines == ["one"]


async def test_a_silent_stream_holds_nothing_up(looptime: float) -> None:
    streams = Streams([*numbered("one"), 1e6], [*numbered("one", "two"), END])
    lines, summary = await log(streams, 20)
    assert lines == ["one", "two"]
    assert summary.complete
    assert looptime <= 30


async def test_a_log_that_can_not_be_read_to_its_end_says_so(looptime: float) -> None:
    lines, summary = await log(Streams([*numbered("one"), Unread("reset")]), 20)
    assert lines == ["one"]
    assert summary == LogSummary(1, complete=False)
    assert looptime <= 60


async def test_lines_without_numbers_are_shown_once_too() -> None:
    plain = [ServerSentEvent(line, "Log") for line in ("one", "one", "two")]
    lines, _ = await log(Streams([*plain[:2], Unread("reset")], [*plain, END]), 5)
    assert lines == ["one", "one", "two"]


@pytest.mark.parametrize("number", ["9" * 5000, "٣", "-1", "1e3", "x"])
async def test_a_number_that_is_none_is_no_number(number: str) -> None:
    odd = ServerSentEvent("two", "Log", number)
    lines, summary = await log(Streams([*numbered("one"), odd, *numbered("three", first=2), END]), 1)
    assert lines == ["one", "two", "three"]
    assert summary == LogSummary(3)


async def test_a_sweep_that_brings_something_does_not_count(looptime: float) -> None:
    parts = [[*numbered(str(n), first=n), 6.0] for n in range(8)]
    lines, summary = await log(Streams(*parts, [*numbered("8", first=8), END]), 0.1)
    assert lines == [str(n) for n in range(9)]
    assert summary == LogSummary(9)


async def last_line(streams: Streams) -> str:
    return await BuildLog(streams, 1, asyncio.Event(), asyncio.Event()).last_line()  # type: ignore[arg-type]


async def test_the_last_line_is_that_of_a_whole_log_and_short() -> None:
    assert await last_line(Streams([*numbered("one", "two", " "), END])) == "two"
    assert await last_line(Streams([*numbered("one", "two"), 60.0])) == ""
    assert await last_line(Streams([Unread("502")])) == ""
    assert len(await last_line(Streams([*numbered("x" * 10**6), END]))) < 400


# ── the events ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def listened(streams: Streams, seconds: float) -> tuple[list[float], list[FeedEvent]]:
    """Return when the status would have been read, and what was told."""
    ended, news, looks = asyncio.Event(), asyncio.Event(), []
    asyncio.get_running_loop().call_later(seconds, ended.set)

    async def look() -> None:
        while True:
            await news.wait()
            news.clear()
            looks.append(round(now(), 3))

    looking = asyncio.create_task(look())
    events = await told(Events(streams, 1, news), ended)  # type: ignore[arg-type]
    looking.cancel()
    return looks, events


async def test_only_what_is_ours_makes_us_look(looptime: float) -> None:
    other = ServerSentEvent('{"id": 2, "status": "Released"}', "ModelUpdate")
    ours = ServerSentEvent('{"id": 1, "status": "Assembling"}', "ModelUpdate")
    gone = ServerSentEvent("1", "ModelRemove")
    beat = ServerSentEvent()
    streams = Streams([3.0, other, beat, 3.0, ours, 3.0, gone, 3.0, beat, 1e6])
    looks, events = await listened(streams, 15)
    assert looks == [0, 6, 9]
    assert events == []
    assert looptime == 15


async def test_an_end_a_cut_or_silence_make_us_look_and_listen_again() -> None:
    streams = Streams([5.0], [5.0, Unread("reset")], [1e6], [1e6])
    looks, events = await listened(streams, 60)
    assert len(streams.opened) >= 4
    assert len(looks) >= 2 * 3
    assert [event for event in events if isinstance(event, Notice) and event.level is not Level.INFO] == []


async def test_a_cluster_without_events_is_asked_less_and_less_and_that_is_said_once() -> None:
    streams = Streams([ServiceError("502")])
    _, events = await listened(streams, 600)
    assert [type(event) for event in events] == [Notice]
    assert len(streams.opened) < 60


async def test_what_is_no_json_makes_us_look() -> None:
    looks, _ = await listened(Streams([3.0, ServerSentEvent("[", "ModelUpdate"), 1e6]), 10)
    assert looks == [0, 3]


async def test_a_flood_of_events_makes_for_few_looks() -> None:
    cluster, news = Cluster(builds=60), asyncio.Event()
    made = job(cluster, Upload(cluster), news=news)

    async def flood() -> None:
        while True:
            news.set()
            await asyncio.sleep(0.001)

    flooding = asyncio.create_task(flood())
    async with launched(made, [MemorySink()]) as run:
        await run.finished()
    flooding.cancel()
    assert 20 < cluster.asked("GET /api/v2/model/version/m/1") <= 2 * 60


# ── the training data ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def data(tmp_path: Path) -> str:
    path = tmp_path / "train.csv"
    path.write_text("x\n1\n")
    return str(path)


async def release(
    cluster: Cluster, source: str, *, required: bool = False
) -> tuple[Phase, str, list[str], Training]:
    """Run a release with training data; return how it ended, why, what was said, and the data."""
    news, sink = asyncio.Event(), MemorySink()
    training = Training(cluster, source, news, required=required)  # type: ignore[arg-type]
    made = job(cluster, Upload(cluster), training=training, news=news)
    async with launched(made, [sink]) as run:
        status = await run.finished()
    said = [e.text for e in sink.events if isinstance(e, Notice) and e.text.startswith("training data")]
    return status.phase, status.reason, said, training


UPLOAD = "POST /monitoring/profiles/batch/100"


async def test_it_is_uploaded_while_the_version_is_built_and_its_profile_told(data: str) -> None:
    cluster = Cluster(builds=100, profile=["NotRegistered", "NotRegistered", "Processing", "Success"])
    phase, _, said, training = await release(cluster, data)
    assert phase is Phase.SUCCEEDED
    assert said == ["training data: uploaded, being profiled", "training data: profiled"]
    assert training.stage is Stage.PROFILED
    assert cluster.asked(UPLOAD) == 1


async def test_a_profile_that_is_not_required_is_not_waited_for(data: str, looptime: float) -> None:
    cluster = Cluster(builds=10, profile=["NotRegistered", "Processing"])
    phase, _, said, _ = await release(cluster, data)
    assert phase is Phase.SUCCEEDED
    assert said[-1].startswith("training data: its profile is not ready, and not waited for")
    assert looptime < 40


async def test_one_that_is_required_is(data: str, looptime: float) -> None:
    cluster = Cluster(builds=10, profile=["NotRegistered", *["Processing"] * 30, "Success"])
    phase, _, said, _ = await release(cluster, data, required=True)
    assert phase is Phase.SUCCEEDED
    assert said[-1] == "training data: profiled"
    assert looptime > 60


@pytest.mark.parametrize("required", [True, False])
async def test_a_profile_that_fails_fails_the_step_only_if_it_is_required(data: str, required: bool) -> None:
    cluster = Cluster(builds=10, profile=["NotRegistered", "Processing", "Failure"])
    phase, reason, said, _ = await release(cluster, data, required=required)
    failure = "training data: its profile failed (the cluster says Failure)"
    assert said[-1] == failure
    assert phase is (Phase.FAILED if required else Phase.SUCCEEDED)
    assert reason == (f"m:1 is released, but {failure}" if required else "")


async def test_one_that_is_never_registered_is_given_up(data: str, looptime: float) -> None:
    cluster = Cluster(builds=10, profile=["NotRegistered"])
    phase, reason, _, _ = await release(cluster, data, required=True)
    assert phase is Phase.FAILED
    assert reason.endswith("the cluster says NotRegistered)")
    assert REGISTER_SECONDS < looptime < REGISTER_SECONDS + 60


async def test_the_upload_is_waited_for_though_the_version_is_released(data: str, looptime: float) -> None:
    cluster = Cluster(builds=1, profile=["NotRegistered", "Success"])
    cluster.failures[UPLOAD] = [Unread("503")] * 4
    phase, _, said, _ = await release(cluster, data)
    assert phase is Phase.SUCCEEDED
    assert said[0] == "training data: uploaded, being profiled"
    assert looptime > 3


async def test_after_a_lost_answer_it_is_not_sent_again_if_it_arrived(data: str) -> None:
    cluster = Cluster(builds=30, profile=["NotRegistered", "Processing", "Success"])
    cluster.failures[UPLOAD] = [Transient("reset")]
    _, _, said, _ = await release(cluster, data)
    assert cluster.asked(UPLOAD) == 1
    assert said[0] == "training data: uploaded, being profiled"


async def test_nor_if_it_is_known_a_moment_later(data: str) -> None:
    cluster = Cluster(builds=30, profile=["NotRegistered"] * 4 + ["Processing", "Success"])
    cluster.failures[UPLOAD] = [Transient("reset")]
    await release(cluster, data)
    assert cluster.asked(UPLOAD) == 1


async def test_data_that_have_become_a_pipe_are_told_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    cluster = Cluster(builds=10, profile=["NotRegistered"])
    phase, _, said, _ = await release(cluster, str(tmp_path / "pipe.csv"))
    assert phase is Phase.SUCCEEDED
    assert said == [f"training data: can't read {tmp_path}/pipe.csv: it is no regular file"]


async def test_what_an_earlier_start_has_sent_is_not_sent_again(data: str) -> None:
    cluster = Cluster(builds=10, profile=["Success"])
    _, _, said, _ = await release(cluster, data)
    assert cluster.asked(UPLOAD) == 0
    assert said[0] == "training data: the cluster has it already, being profiled"


async def test_a_refusal_is_told_and_fails_nothing(data: str) -> None:
    cluster = Cluster(builds=10, profile=["NotRegistered"])
    cluster.failures[UPLOAD] = [ServiceError("400: no CSV")]
    phase, _, said, _ = await release(cluster, data)
    assert phase is Phase.SUCCEEDED
    assert said == ["training data: 400: no CSV"]


async def test_a_build_that_fails_ends_the_upload(data: str, looptime: float) -> None:
    cluster = Cluster(builds=5, fails=True, profile=["NotRegistered"])
    cluster.failures[UPLOAD] = [Unread("503")] * 1000
    phase, _, _, _ = await release(cluster, data, required=True)
    assert phase is Phase.FAILED
    assert looptime < 30


async def test_an_s3_address_is_handed_on() -> None:
    cluster = Cluster(builds=10, profile=["NotRegistered", "Success"])
    await release(cluster, "s3://bucket/train.csv")
    assert cluster.asked(f"{UPLOAD}/s3") == 1
