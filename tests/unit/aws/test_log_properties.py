"""Whatever the schedule of events, delays and failures: what was readable by the end is what was shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from components.aws.errors import Denied
from components.aws.readers import BestReader, FilterReader, Reader, SeenIds, StreamReader
from runner.errors import Throttled, Transient, Unreachable
from tests.unit.aws.simulated import GROUP, JOB, CloudWatch, followed, virtually

FAULTS = {
    "throttle": Throttled("Rate exceeded"),
    "reset": Transient("reset"),
    "refused": Unreachable("refused"),
}
ENDS_AT = 40.0
READABLE_BY = ENDS_AT + 4.0
"""What is readable before the quiet of five seconds is over has to be shown; what comes after may be."""

moments = st.integers(0, 79).map(lambda half: half / 2)


@dataclass(frozen=True)
class Line:
    stream: int
    text: str
    at: float
    delay: float
    clock: float


lines = st.builds(
    Line,
    stream=st.integers(0, 3),
    text=st.sampled_from(["", "a", "b"]),
    at=moments,
    delay=st.sampled_from([0.0, 0.5, 2.0, 11.0, 30.0]),
    clock=st.sampled_from([0.0, 0.0, 0.0, 90.0, -700.0]),
).filter(lambda line: line.at + line.delay <= READABLE_BY)


@dataclass(frozen=True)
class Schedule:
    lines: list[Line]
    page: int
    empties: int
    overlap: int
    group_from: float
    faults: dict[int, str]
    denied_after: int


schedules = st.builds(
    Schedule,
    lines=st.lists(lines, max_size=40),
    page=st.sampled_from([1, 2, 5, 10_000]),
    empties=st.integers(0, 1),
    overlap=st.integers(0, 3),
    group_from=st.sampled_from([0.0, 20.0]),
    faults=st.dictionaries(st.integers(0, 120), st.sampled_from(sorted(FAULTS)), max_size=6),
    denied_after=st.integers(0, 60),
)


def distinct(schedule: Schedule) -> list[Line]:
    """On small pages no two equal lines of one moment and one batch: GetLogEvents tells them by a page only."""
    if schedule.page == 10_000:
        return schedule.lines
    return list(dict.fromkeys(schedule.lines))


def reader(kind: str, logs: CloudWatch, schedule: Schedule) -> Reader:
    kinds: dict[str, Callable[..., Reader]] = {
        "filter": FilterReader,
        "streams": StreamReader,
        "best": BestReader,
    }
    filtered = 0

    def refuse(operation: str) -> Exception | None:
        nonlocal filtered
        filtered += operation == "filter_log_events"
        return (
            Denied("not authorized")
            if filtered > schedule.denied_after and operation.startswith("filter")
            else None
        )

    if kind == "best":
        logs.denied = refuse
    return kinds[kind](logs, GROUP, f"{JOB}/")


async def play(kind: str, schedule: Schedule) -> None:
    logs = CloudWatch(
        page=schedule.page,
        empties=schedule.empties,
        overlap=schedule.overlap,
        group_from=schedule.group_from,
        latency=0.01,
        faults={number: FAULTS[name] for number, name in schedule.faults.items()},
    )
    for line in distinct(schedule):
        logs.write(f"{JOB}/algo-{line.stream}", line.text, line.at, line.delay, line.clock)
    logs.write("job-2/algo-1", "another job's", 1.0)
    shown = await followed(reader(kind, logs, schedule), ENDS_AT, since=lambda: 0.0)
    expected = {key: count for key, count in logs.readable().items() if not key[0].startswith("job-2")}
    assert shown.counted == expected
    assert shown.summary.complete
    assert (shown.summary.lines, shown.summary.late) == (
        len(shown.lines),
        sum(line.late for line in shown.lines),
    )


A_LINE = Line(0, "a", 1.0, 0.0, 0.0)


@pytest.mark.parametrize("kind", ["filter", "streams", "best"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(schedule=schedules)
@example(schedule=Schedule([A_LINE, A_LINE], 10_000, 0, 0, 0.0, {}, 5))  # Equal ones, then denied.
@example(schedule=Schedule([A_LINE, Line(0, "a", 1.0, 11.0, 0.0)], 1, 0, 1, 0.0, {}, 60))  # Behind the token.
@example(schedule=Schedule([Line(0, str(n), 1.0, 0.0, 0.0) for n in range(4)], 2, 0, 2, 0.0, {1: "reset"}, 2))
def test_1_what_was_readable_by_the_end_is_shown_once(kind: str, schedule: Schedule) -> None:
    virtually(play(kind, schedule))


@settings(max_examples=200, deadline=None)
@given(ids=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12)), max_size=200))
def test_seen_ids_is_a_set(ids: list[tuple[int, int]]) -> None:
    seen, expected = SeenIds(), set[tuple[int, int]]()
    for number, minute in ids:
        new = (number, minute) not in expected
        assert seen.add(f"{minute}/{number}", minute * 60_000) is new
        expected.add((number, minute))
