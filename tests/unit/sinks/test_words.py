"""Times, durations and numbers, as they are said."""

from __future__ import annotations

import pytest

from runner.events import Phase, Status
from runner.sinks import words


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0s"),
        (0.44, "0.4s"),
        (12.4, "12s"),
        (59.7, "1m 00s"),
        (192.4, "3m 12s"),
        (3725, "1h 02m 05s"),
        (183_840, "2d 03h 04m"),
        (-3, "0s"),
        (float("nan"), "0s"),
        (float("inf"), "0s"),
    ],
)
def test_duration(seconds: float, said: str) -> None:
    assert words.duration(seconds) == said


def test_times_are_utc() -> None:
    assert words.clock(1_795_269_727.12) == "14:02:07"
    assert words.day(1_795_269_727.12) == "2026-11-21"
    assert words.iso(1_795_269_727.12) == "2026-11-21T14:02:07.120Z"


@pytest.mark.parametrize("time", [float("nan"), float("inf"), 1e300, -1e300])
def test_a_moment_that_is_none(time: float) -> None:
    assert words.clock(time) == "--:--:--"
    assert words.day(time) == ""
    assert words.iso(time) is None


def test_counts() -> None:
    assert words.count(0, "line") == "no lines"
    assert words.count(1, "line") == "1 line"
    assert words.logs(1204, 3) == "1,204 log lines, 3 late"


def test_state_uses_what_there_is() -> None:
    assert words.state(Status(Phase.RUNNING)) == "Running"
    assert words.state(Status(Phase.RUNNING, "InProgress")) == "InProgress"
    told = words.state(Status(Phase.RUNNING, "InProgress", "Training", "a\nb\x1b"))
    assert told == r"InProgress / Training: a b\x1b"
