"""Metric expressions are the user's: a slow one costs its metric, not the server."""

from __future__ import annotations

import time

import pytest

from components.aws.embedded.errors import ApiError
from components.aws.embedded.sagemaker import metrics
from components.aws.embedded.sagemaker.metrics import Metrics
from tests.emulator.helpers import embedded

ENDLESS = r"(a|aa)+$"
TRAP = "a" * 60 + "!"


def test_a_reading_is_the_first_groups_number() -> None:
    read = Metrics([("loss", r"loss=(\S+)"), ("whole", r"loss=")])
    for time_, line in enumerate(["loss=1", "loss=n/a", "nothing", "loss=2e-1"]):
        assert read.read(line, time_) == []
    assert read.final() == [{"MetricName": "loss", "Value": 0.2, "Timestamp": 3}]


def test_what_stands_far_behind_in_a_line_is_not_looked_at() -> None:
    read = Metrics([("loss", r"loss=(\S+)")])
    read.read("x" * metrics.MATCHED_CHARACTERS + "loss=1", 0)
    assert read.final() == []


def test_a_slow_expression_is_switched_off_and_said_once() -> None:
    read = Metrics([("bad", ENDLESS), ("good", r"x=(\d)")])
    began = time.perf_counter()
    told = [notice for _ in range(100) for notice in read.read(f"{TRAP} x=1", 1)]
    assert time.perf_counter() - began < 5 * metrics.BUDGET
    assert told == ["[embedded cloud] metric bad is not read any more: its regular expression takes too long"]
    assert [row["MetricName"] for row in read.final()] == ["good"]


def test_many_slowish_lines_use_the_budget_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "BUDGET", 0.05)
    read = Metrics([("bad", r"(a|aa)+$")])
    assert any(read.read("a" * 25 + "!", 1) for _ in range(100))
    assert read.read("a", 2) == []
    assert read.final() == []


@pytest.mark.parametrize(
    "expression",
    ["(", "a{2,1}", "[z-a]", "(?P<x>a)(?P<x", "*", "((((a{999}){999}){999}){999})", "((a{,999}){9,999})"],
)
def test_what_is_no_expression_is_refused(expression: str) -> None:
    with pytest.raises(ApiError, match="Invalid regular expression of metric m: "):
        Metrics([("m", expression)])


def test_ordinary_counts_are_fine() -> None:
    read = Metrics([("m", r"\d{4}-\d{2}-\d{2} \d{1,2}:\d{2}:\d{2}[.]\d{3} .{0,40}x=(\d{1,5})")])
    read.read("2024-01-02 03:04:05.678 and x=12", 1)
    assert [row["Value"] for row in read.final()] == [12]


async def test_a_job_with_a_slow_expression_ends_and_says_why_there_is_no_reading() -> None:
    definitions = [{"Name": "bad", "Regex": ENDLESS}, {"Name": "good", "Regex": r"x=(\d)"}]
    algorithm = {"TrainingImage": "job", "TrainingInputMode": "File", "MetricDefinitions": definitions}
    async with embedded(f"print({TRAP!r}); print('x=7')") as aws:
        job = await aws.run("job-1", AlgorithmSpecification=algorithm)
        assert [(row["MetricName"], row["Value"]) for row in job["FinalMetricDataList"]] == [("good", 7)]
        lines = await aws.lines("job-1")
        assert [line for line in lines if "takes too long" in line and "metric bad" in line]
