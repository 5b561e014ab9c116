"""The five clauses on logs (docs/design.md), against a simulated CloudWatch in virtual time."""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import tracemalloc
from collections.abc import Callable

import pytest

from components.aws.cloudwatch import FollowTiming, LogFeed
from components.aws.errors import Denied, Unsupported
from components.aws.readers import (
    FILTER_BURST,
    FILTER_RATE,
    GET_BURST,
    GET_RATE,
    BestReader,
    FilterReader,
    Reader,
    SeenIds,
    StreamReader,
)
from runner.errors import ServiceError, Throttled, Transient, Unreachable
from runner.events import LogSummary
from tests.unit.aws.simulated import EPOCH, GROUP, JOB, CloudWatch, Shown, followed, virtually

A, B = f"{JOB}/algo-1-1700000000", f"{JOB}/algo-2-1700000000"
OTHER = "job-2/algo-1-1700000000"

Make = Callable[[CloudWatch], Reader]


def filtering(logs: CloudWatch) -> Reader:
    return FilterReader(logs, GROUP, f"{JOB}/")  # type: ignore[arg-type]


def by_stream(logs: CloudWatch) -> Reader:
    return StreamReader(logs, GROUP, f"{JOB}/")  # type: ignore[arg-type]


def best(logs: CloudWatch) -> Reader:
    return BestReader(logs, GROUP, f"{JOB}/")  # type: ignore[arg-type]


def fallen_back(logs: CloudWatch) -> Reader:
    logs.denied = lambda operation: Denied("no") if operation == "filter_log_events" else None
    return best(logs)


each_reader = pytest.mark.parametrize(
    "make", [filtering, by_stream, best, fallen_back], ids=lambda m: m.__name__
)
pytestmark = pytest.mark.looptime


def whole(shown: Shown, logs: CloudWatch) -> None:
    """Nothing lost, nothing doubled, the count right."""
    mine = {key: count for key, count in logs.readable().items() if not key[0].startswith("job-2")}
    assert shown.counted == mine
    assert shown.summary.complete
    assert shown.summary.lines == len(shown.lines)
    assert shown.summary.late == sum(line.late for line in shown.lines)


# ── 1: every line is shown once: none lost, none twice ──────────────────────────────────────────────────────────────


@each_reader
async def test_1_every_line_is_shown_once_across_pages(make: Make) -> None:
    logs = CloudWatch(page=7)
    for number in range(300):
        logs.write((A, B)[number % 2], f"line {number}", at=number / 5, delay=0.5)
    shown = await followed(make(logs), ends_at=70)
    whole(shown, logs)
    assert [t for line in shown.lines if line.stream == "algo-1-1700000000" for t in [line.text]] == [
        f"line {n}" for n in range(0, 300, 2)
    ]


@each_reader
async def test_1_two_equal_lines_that_the_job_printed_twice_are_two(make: Make) -> None:
    logs = CloudWatch()
    for stream in (A, A, A, B, B):
        logs.write(stream, "", at=3.0)
    logs.write(A, "", at=3.0, delay=4.0)  # The same once more, ingested later.
    shown = await followed(make(logs), ends_at=20)
    whole(shown, logs)
    assert shown.texts == [""] * 6


@each_reader
async def test_1_lines_of_a_job_whose_name_ours_begins_are_not_ours(make: Make) -> None:
    logs = CloudWatch()
    logs.write(A, "mine", at=1)
    logs.write(OTHER, "not mine", at=1)
    assert (await followed(make(logs), ends_at=5)).texts == ["mine"]


async def test_1_pages_of_get_log_events_that_overlap_double_nothing() -> None:
    """AWS on boto3 #4472: with close timestamps "the service includes overlapping data between pages"."""
    logs = CloudWatch(page=4, overlap=3)
    for number in range(50):
        logs.write(A, f"line {number}", at=number / 10)
    shown = await followed(by_stream(logs), ends_at=20)
    whole(shown, logs)
    assert shown.texts == [f"line {n}" for n in range(50)]


@each_reader
async def test_1_a_line_later_than_every_window_is_found_by_the_closing_sweep(make: Make) -> None:
    logs = CloudWatch()
    logs.write(A, "eleven minutes late", at=0, delay=700)
    for at in range(720):
        logs.write(A, f"line {at}", at=at)
    shown = await followed(make(logs), ends_at=721)
    whole(shown, logs)
    late = next(line for line in shown.lines if line.text == "eleven minutes late")
    assert late.late


@each_reader
@pytest.mark.parametrize(
    "error",
    [Throttled("slow down"), Transient("reset"), Unreachable("refused")],
    ids=["throttle", "reset", "refused"],
)
async def test_1_failures_in_mid_page_neither_lose_nor_double(make: Make, error: Exception) -> None:
    logs = CloudWatch(page=5, faults=dict.fromkeys((1, 2, 3, 7, 11, 12, 20), error))
    for number in range(100):
        logs.write((A, B)[number % 2], f"line {number}", at=number / 4)
    shown = await followed(make(logs), ends_at=60)
    whole(shown, logs)
    assert sum("could not read the log" in n for n in shown.notices) == sum(
        "works again" in n for n in shown.notices
    )
    assert any("could not read the log" in n for n in shown.notices)


@each_reader
async def test_1_a_job_attached_to_late_shows_its_log_from_the_beginning(make: Make) -> None:
    logs = CloudWatch(page=1000)
    for number in range(5000):
        logs.write(A, f"line {number}", at=number - 6000)
    logs.write(A, "new", at=10)
    shown = await followed(make(logs), ends_at=20, since=lambda: EPOCH - 6001)
    whole(shown, logs)
    assert shown.summary.late == 0


@pytest.mark.parametrize("after", [0, 3, 10])
@pytest.mark.parametrize("refusal", [Denied("not authorized"), Unsupported("unknown operation")])
async def test_1_the_fall_back_in_the_middle_hands_nothing_out_twice(after: int, refusal: Exception) -> None:
    """A policy may change while the job runs: FilterLogEvents is refused after it had worked."""
    logs = CloudWatch(page=10)
    logs.denied = lambda op: refusal if op == "filter_log_events" and logs.counts[op] > after else None
    counted(logs)
    for number in range(200):
        logs.write((A, B)[number % 2], f"line {number % 90}", at=number / 10 if number > 60 else 0.0)
    logs.write(A, "twice", at=0)
    logs.write(A, "twice", at=0)
    shown = await followed(best(logs), ends_at=40)
    whole(shown, logs)
    assert logs.counts["filter_log_events"] == after + 1


def counted(logs: CloudWatch) -> None:
    """Count the calls by operation, before they are refused."""
    refuse = logs.denied

    def count(operation: str) -> Exception | None:
        logs.counts[operation] += 1
        return refuse(operation)

    logs.denied = count


@pytest.mark.parametrize("refusals", [1, 2, 5])
async def test_1_a_refused_page_token_is_dropped_and_the_page_read_again(refusals: int) -> None:
    logs = CloudWatch(page=5)
    for number in range(23):
        logs.write((A, B)[number % 2], f"line {number}", at=0)
    original = logs.call
    refused = 0

    async def call(service: str, operation: str, **request: object) -> object:
        nonlocal refused
        if "nextToken" in request and refused < refusals:
            refused += 1
            raise ServiceError(
                "CloudWatch Logs FilterLogEvents was refused (InvalidParameterException): The nextToken is invalid."
            )
        return await original(service, operation, **request)

    logs.call = call  # type: ignore[method-assign,assignment]
    shown = await followed(filtering(logs), ends_at=20)
    whole(shown, logs)
    assert bool(shown.notices) is (refusals > 1)


async def test_1_a_refusal_that_is_not_the_tokens_ends_the_log() -> None:
    logs = CloudWatch()
    logs.denied = lambda _: ServiceError("refused")
    with pytest.raises(ServiceError, match="refused"):
        await followed(filtering(logs), ends_at=20)


@pytest.mark.parametrize("make", [by_stream, fallen_back])
async def test_3_streams_that_are_read_one_after_the_other_are_not_late(make: Make) -> None:
    """An adopted job's history: all of one instance, then all of the other."""
    logs = CloudWatch()
    for number in range(600):
        for stream in (A, B):
            logs.write(stream, f"line {number}", at=number - 700)
    shown = await followed(make(logs), ends_at=10)
    whole(shown, logs)
    assert shown.summary.late == 0


@each_reader
async def test_3_a_line_behind_its_own_streams_is_late_however_it_is_read(make: Make) -> None:
    logs = CloudWatch()
    logs.write(A, "late", at=1, delay=8)
    logs.write(A, "in time", at=2)
    shown = await followed(make(logs), ends_at=20)
    assert [line.text for line in shown.lines if line.late] == ["late"]


async def test_1_a_token_that_has_expired_begins_the_stream_anew() -> None:
    """A token of GetLogEvents lives for 24 hours; a stream may be silent for longer."""
    logs = CloudWatch()
    refusals = iter([True])
    logs.write(A, "before", at=0)
    logs.write(A, "after", at=90_000)
    original = logs.call

    async def call(service: str, operation: str, **request: object) -> object:
        if asyncio.get_running_loop().time() > 86_400 and "nextToken" in request and next(refusals, False):
            raise ServiceError(
                "CloudWatch Logs GetLogEvents was refused (InvalidParameterException): token has expired"
            )
        return await original(service, operation, **request)

    logs.call = call  # type: ignore[method-assign,assignment]
    shown = await followed(by_stream(logs), ends_at=90_010, timing=FollowTiming(idle_period=600))
    whole(shown, logs)
    assert shown.texts == ["before", "after"]


async def test_a_refusal_that_will_last_ends_the_feed() -> None:
    logs = CloudWatch()
    logs.denied = lambda _: Denied("neither way")
    with pytest.raises(Denied, match="neither way"):
        await followed(best(logs), ends_at=5)


# ── 2: a stream that appears late, never appears, or stays silent holds nothing up ──────────────────────────────────


@each_reader
async def test_2_a_silent_stream_and_one_that_appears_late_hold_nothing_up(make: Make) -> None:
    logs = CloudWatch()
    logs.stream(f"{JOB}/algo-3-1700000000")  # Never a word.
    for at in range(100):
        logs.write(A, f"early {at}", at=at)
    for at in range(60, 100):
        logs.write(B, f"late stream {at}", at=at)
    shown = await followed(make(logs), ends_at=101)
    whole(shown, logs)
    assert shown.when("early 30") < 32
    assert shown.when("late stream 60") < 62


@each_reader
async def test_2_a_stream_that_never_appears_and_a_group_that_never_does(make: Make) -> None:
    shown = await followed(make(CloudWatch(group_from=1e9)), ends_at=30)
    assert [item for _, item in shown.items] == [LogSummary(0, 0, complete=True)]


@each_reader
async def test_2_the_group_is_missing_before_the_accounts_first_job(make: Make) -> None:
    logs = CloudWatch(group_from=40)
    logs.write(A, "first", at=39)
    logs.write(A, "second", at=45)
    shown = await followed(make(logs), ends_at=60)
    whole(shown, logs)
    assert shown.when("first") < 42
    assert not shown.notices


def test_2_hundreds_of_streams_cost_no_more_calls_than_one() -> None:
    def calls(streams: int) -> int:
        async def follow() -> CloudWatch:
            logs = CloudWatch()
            for number in range(streams):
                logs.write(f"{JOB}/algo-{number}-1700000000", f"from {number}", at=number % 50)
            shown = await followed(filtering(logs), ends_at=60)
            whole(shown, logs)
            return logs

        return len(virtually(follow()).calls)

    assert calls(400) <= calls(1) + 1


@pytest.mark.parametrize("hints", [True, False])
async def test_2_hundreds_of_streams_hold_nothing_up_for_roles_that_may_not_filter(hints: bool) -> None:
    logs = CloudWatch(hints=hints)
    for number in range(3, 200):
        logs.write(f"{JOB}/algo-{number}-1700000000", "hello", at=0)
    for at in range(600):
        logs.write(f"{JOB}/algo-{at % 3}-1700000000", f"line {at}", at=at)
    logs.write(f"{JOB}/algo-150-1700000000", "awake", at=400)
    shown = await followed(by_stream(logs), ends_at=600)
    whole(shown, logs)
    lags = [shown.when(f"line {at}") - at for at in range(300, 590)]
    assert statistics.median(lags) < 10, "one after the other, 200 streams take 40 seconds"
    assert shown.when("awake") < (460 if hints else 600)


# ── 3: an empty page is not the end; late and out-of-order events are shown, marked late ────────────────────────────


@each_reader
async def test_3_an_empty_page_is_not_the_end(make: Make) -> None:
    logs = CloudWatch(page=3, empties=2, latency=0.01)
    for number in range(12):
        logs.write(A, f"line {number}", at=number)
    shown = await followed(make(logs), ends_at=60)
    whole(shown, logs)


async def test_3_late_and_out_of_order_events_are_shown_and_marked() -> None:
    logs = CloudWatch()
    for at in range(100):
        logs.write(A, f"line {at}", at=at)
    logs.write(B, "two minutes late", at=10, delay=80)
    logs.write(A, "behind its own", at=50.5, delay=3)
    logs.write(B, "a little behind the other stream", at=70, delay=5)
    shown = await followed(filtering(logs), ends_at=110)
    whole(shown, logs)
    assert [line.text for line in shown.lines if line.late] == ["behind its own", "two minutes late"]
    assert shown.when("two minutes late") < 90 + 30 + 2, "the next deep read shows it, not the end"
    assert shown.when("behind its own") < 56


async def test_3_lines_behind_a_streams_token_are_shown_by_the_next_deep_read() -> None:
    """GetLogEvents' token marks a place in event time: what is ingested behind it, the token never gives."""
    logs = CloudWatch()
    for at in range(100):
        logs.write(A, f"line {at}", at=at)
    logs.write(A, "behind", at=20.5, delay=5)
    shown = await followed(by_stream(logs), ends_at=110)
    whole(shown, logs)
    assert shown.when("behind") < 25.5 + 30 + 2


async def test_3_a_clock_that_runs_ahead_does_not_drag_the_window_past_others() -> None:
    logs = CloudWatch()
    for at in range(100):
        logs.write(A, f"ahead {at}", at=at, clock=3600)
        logs.write(B, f"right {at}", at=at + 0.5, delay=2)
    shown = await followed(filtering(logs), ends_at=110)
    whole(shown, logs)
    assert shown.when("right 50") < 55


async def test_3_a_clock_that_is_behind_is_still_seen_live() -> None:
    logs = CloudWatch()
    for at in range(100):
        logs.write(A, f"right {at}", at=at)
        logs.write(B, f"behind {at}", at=at + 0.5, clock=-240)
    shown = await followed(filtering(logs), ends_at=110, since=lambda: EPOCH - 3600)
    whole(shown, logs)
    assert shown.when("behind 50") < 50.5 + 30 + 2


# ── 4: at the end wait for quiet, sweep once from the head, say the count ───────────────────────────────────────────


@pytest.mark.parametrize(
    ("lag", "quiet"),
    [(0.1, 5.0), (4.0, 12.0), (15.0, 45.0), (40.0, 60.0)],
    ids=["floor", "4 s", "15 s", "cap"],
)
async def test_4_quiet_is_three_times_the_lags_p90_between_5_and_60(lag: float, quiet: float) -> None:
    logs = CloudWatch(latency=0.0)
    for at in range(200):
        logs.write(A, f"line {at}", at=at, delay=lag)
    ends_at = 205 + lag  # All lines were seen before.
    shown = await followed(filtering(logs), ends_at)
    whole(shown, logs)
    took = shown.items[-1][0] - ends_at
    assert quiet <= took <= quiet + 3 * 1.0 + 2.0, (
        "the period adds to the lag, and the last reads and the sweep cost"
    )


async def test_4_then_one_sweep_from_the_head_and_the_count() -> None:
    logs = CloudWatch(latency=0.0)
    for at in range(40):
        logs.write(A, f"line {at}", at=at)
    logs.write(A, "late", at=20, delay=4)
    shown = await followed(filtering(logs), ends_at=100)
    head = [at for at, _, request in logs.calls if request["startTime"] == int((EPOCH - 1) * 1000)]
    assert [at for at in head if at > 100] == [logs.calls[-1][0]], "once, and last"
    assert shown.summary == LogSummary(41, 1, complete=True)


async def test_4_lines_that_come_while_waiting_prolong_the_quiet() -> None:
    logs = CloudWatch()
    for at in range(60):
        logs.write(A, f"line {at}", at=at)
    for at in (62, 66, 70):  # The job has ended; the log trickles on.
        logs.write(A, f"after {at}", at=59, delay=at - 59)
    shown = await followed(filtering(logs), ends_at=60)
    whole(shown, logs)
    assert shown.texts[-3:] == ["after 62", "after 66", "after 70"]


async def test_4_an_outage_is_no_lag() -> None:
    """What could not be read for two minutes says nothing about how late CloudWatch is."""
    logs = CloudWatch(outage=(50, 170, Transient("HTTP 503")))
    for at in range(200):
        logs.write(A, f"line {at}", at=at)
    shown = await followed(filtering(logs), ends_at=210)
    whole(shown, logs)
    assert shown.items[-1][0] < 210 + 10
    assert len(shown.notices) == 2


async def test_4_a_log_that_stays_out_of_reach_ends_incomplete_and_in_time() -> None:
    logs = CloudWatch(outage=(50, 1e9, Transient("HTTP 503")))
    for at in range(100):
        logs.write(A, f"line {at}", at=at)
    shown = await followed(filtering(logs), ends_at=60)
    assert not shown.summary.complete
    assert shown.summary.lines == len(shown.lines) > 40
    assert shown.items[-1][0] <= 60 + 300, "the engine gives feeds 300 s to drain"


async def test_4_a_log_that_never_goes_quiet_ends_before_the_engine_cuts_it_off() -> None:
    logs = CloudWatch(page=100)
    for at in range(0, 1000, 2):
        logs.write(A, f"line {at}", at=0, delay=at)
    shown = await followed(filtering(logs), ends_at=60)
    assert isinstance(shown.items[-1][1], LogSummary)
    assert shown.items[-1][0] <= 60 + 300


@each_reader
async def test_4_a_log_too_long_to_sweep_says_that_it_may_be_incomplete(make: Make) -> None:
    logs = CloudWatch(page=1)
    for number in range(500):
        logs.write(A, f"line {number}", at=number)
    shown = await followed(make(logs), ends_at=500, timing=FollowTiming(sweep=15))
    assert shown.counted == logs.readable()
    assert not shown.summary.complete
    assert shown.items[-1][0] <= 500 + 300


# ── 5: one limiter for all feeds of the process ─────────────────────────────────────────────────────────────────────


async def many(feeds: int, make: Make, logs: CloudWatch) -> list[Shown]:
    for at in range(150):
        logs.write(A, f"line {at}", at=at)
    return list(await asyncio.gather(*(followed(make(logs), ends_at=150) for _ in range(feeds))))


@pytest.mark.parametrize(
    ("make", "operation", "rate", "burst"),
    [
        (filtering, "filter_log_events", FILTER_RATE, FILTER_BURST),
        (by_stream, "get_log_events", GET_RATE, GET_BURST),
    ],
)
async def test_5_calls_per_second_are_bounded_with_fifty_feeds(
    make: Make, operation: str, rate: float, burst: float
) -> None:
    logs = CloudWatch()
    shown = await many(50, make, logs)
    for one in shown:
        whole(one, logs)
    times = [at for at, name, _ in logs.calls if name == operation]
    for index, start in enumerate(times):
        for seconds in (1, 10, 60):
            within = sum(1 for at in times[index:] if at < start + seconds)
            assert within <= rate * seconds + burst + 1, f"{within} calls in {seconds} s from {start}"


async def test_5_throttles_slow_the_calls_down_and_quiet_restores_them() -> None:
    logs = CloudWatch(outage=(20, 25, Throttled("Rate exceeded")))
    shown = await many(5, filtering, logs)
    for one in shown:
        whole(one, logs)

    def rate(start: float, end: float) -> float:
        return sum(start <= at < end for at, _, _ in logs.calls) / (end - start)

    assert rate(10, 20) == pytest.approx(FILTER_RATE, rel=0.2)
    assert rate(25, 35) < FILTER_RATE * 0.6
    assert rate(110, 150) > FILTER_RATE * 0.8


async def test_5_a_log_that_is_silent_for_long_is_looked_at_less_often() -> None:
    logs = CloudWatch()
    logs.stream(A)
    logs.write(A, "first", at=0)
    await followed(filtering(logs), ends_at=1000)
    busy, idle = (sum(start <= at < start + 50 for at, _, _ in logs.calls) for start in (5, 700))
    assert busy >= 40
    assert idle <= 14


# ── Latency ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("every", [0.1, 0.5, 1.0, 3.0, 20.0])
@pytest.mark.parametrize("make", [filtering, by_stream], ids=["filter", "streams"])
async def test_a_readable_line_is_shown_within_seconds(make: Make, every: float) -> None:
    chance = random.Random(every)
    logs, readable, at, comes = CloudWatch(), {}, 0.0, 0.0
    for number in range(min(600, int(1200 / every))):
        at += chance.expovariate(1 / every)
        comes = max(comes, at + chance.uniform(0.1, 2.0))  # A stream's own lines are sent in order.
        logs.write(A, f"line {number}", at=at, delay=comes - at)
        readable[f"line {number}"] = comes
    shown = await followed(make(logs), ends_at=at + 10)
    whole(shown, logs)
    lags = sorted(shown.when(text) - when for text, when in readable.items())
    assert statistics.median(lags) <= 1.0
    assert lags[int(len(lags) * 0.95)] <= (
        2.0 if every < 20 else 2.6
    )  # Behind silences beyond a minute, it is idle.


async def test_a_chatty_job_is_shown_live_too() -> None:
    """Deep reads go back a bounded number of lines: else they would hold up what is new, every 30 seconds."""
    logs = CloudWatch(latency=0.2)
    for number in range(22_000):
        logs.write(A, str(number), at=number / 200)
    logs.page = 1000  # A page ends at 1 MB, too.
    first_seen: dict[float, float] = {}
    shown = await followed(filtering(logs), ends_at=115, timing=FollowTiming(deep_lines=4000))
    whole(shown, logs)
    for at, line in shown.items:
        if hasattr(line, "time"):
            first_seen[line.time] = at
    lags = sorted(at - (time - EPOCH) for time, at in first_seen.items())
    assert lags[int(len(lags) * 0.95)] <= 4.0
    assert lags[-1] <= 6.0


# ── What was seen ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_million_ids_cost_less_than_20_megabytes() -> None:
    seen = SeenIds()
    for number in range(1_000_000):
        seen.add(f"3{number:055d}", number * 6)  # 10,000 a minute.
    packed = sum(sys.getsizeof(ids) for ids in [*seen._packed.values(), seen._packed])
    still_open = sum(sys.getsizeof(ids) + sum(map(sys.getsizeof, ids)) for ids in seen._open.values())
    assert packed + still_open < 12e6
    assert not any(seen.add(f"3{number:055d}", number * 6) for number in range(0, 1_000_000, 997))


def test_what_ids_cost_as_the_allocator_sees_it() -> None:
    seen = SeenIds()
    tracemalloc.start()
    for number in range(100_000):
        seen.add(f"3{number:055d}", number * 60)  # 1,000 a minute.
    cost, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert cost < 2e6


def test_a_late_id_in_a_minute_that_was_packed_is_new_once() -> None:
    seen, tried = SeenIds(), set[str]()
    for minute in range(10):
        for number in range(100):
            assert seen.add(f"{minute}/{number}", minute * 60_000 + number)
    for minute in (0, 3, 0, 9):
        fresh = f"late {minute}"
        assert seen.add(fresh, minute * 60_000 + 50) is (fresh not in tried)
        tried.add(fresh)
        assert not seen.add(fresh, minute * 60_000 + 50)
        assert not any(seen.add(f"{minute}/{number}", minute * 60_000 + number) for number in range(100))


def test_many_late_ids_are_cheap() -> None:
    """Each used to sort its whole minute again: a stream some minutes late blocked the event loop."""
    seen = SeenIds()
    for minute in range(10):
        for number in range(20_000):
            seen.add(f"{minute}/{number}", minute * 60_000)
    packed = dict(seen._packed)
    for number in range(5_000):
        assert seen.add(f"late {number}", 60_000)
    assert seen._packed[1] is packed[1], "grown in place"
    assert len(packed[1]) == 25_000
    assert list(packed[1]) == sorted(packed[1])


def test_the_feed_has_a_name_for_notices() -> None:
    assert LogFeed.label == "the log"
