"""Metrics from lines that take long to look at: bounded, said once, and without harm to the others."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from components.aws.sagemaker._metrics import LINE_SECONDS, LOOKED_AT, Extractor
from runner.events import Level, LogLine, Metric, Notice
from tests.support.paths import ROOT

XGBOOST = r".*\[[0-9]+\].*#011train-rmse:([-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?).*"
ENDLESS, ENDLESS_LINE = r"(a|a)*$", "a" * 4000 + "b"
"""Takes longer than the universe has lasted."""


def extractor(*expressions: str) -> Extractor:
    return Extractor([{"Name": f"m{n}", "Regex": e} for n, e in enumerate(expressions)])


def seconds(metrics: Extractor, text: str, times: int = 1) -> tuple[float, list[Metric | Notice]]:
    began = time.thread_time()
    found = [item for _ in range(times) for item in metrics.metrics(LogLine(text))]
    return time.thread_time() - began, found


@pytest.mark.parametrize("text", ["x" * 65_536, "[1] " * 3000, "[1" * 8000, "#011train-rmse:" * 1000])
def test_a_long_line_costs_little_with_the_built_in_expression_of_xgboost(text: str) -> None:
    spent, _ = seconds(extractor(XGBOOST), text)
    assert spent < 0.2


def test_an_endless_search_is_ended_and_said_once_and_the_others_go_on() -> None:
    metrics = extractor(ENDLESS, r"loss=(\S+)")
    spent, found = seconds(metrics, ENDLESS_LINE, times=20)
    assert spent < 0.2
    (notice,) = found
    assert isinstance(notice, Notice)
    assert notice.level is Level.WARNING
    assert notice.text.startswith("the metric m0 is no longer looked for")
    assert seconds(metrics, "loss=0.5")[1] == [Metric("m1", 0.5, 0.0, "")]


def test_many_expressions_share_a_lines_time() -> None:
    spent, found = seconds(extractor(*[ENDLESS] * 40), ENDLESS_LINE)
    assert len(found) == 40
    assert spent < 3 * LINE_SECONDS


def test_a_search_that_takes_its_whole_time_on_every_line_is_switched_off() -> None:
    """Each line for itself would be in time: a page of 10,000 such lines would not."""
    metrics = extractor(r"(?:a|a)*=(\d)")
    text = "a" * 12 + "=x"
    while (one := seconds(metrics, text)[0]) < 0.007:
        text = "a" + text
    spent, found = seconds(metrics, text, times=1000)
    assert [type(item) for item in found] == [Notice], one
    assert spent < 1


def test_ordinary_lines_never_switch_anything_off() -> None:
    metrics = extractor(*[XGBOOST, r"loss=([0-9.]+)"] * 20)
    for text in ("loss=0.5 [1] of [2]", "x" * LOOKED_AT, "[2026-01-31] INFO loss=low " * 20):
        assert not any(isinstance(item, Notice) for item in seconds(metrics, text, times=300)[1])


def test_what_stands_far_behind_in_a_line_is_not_looked_at() -> None:
    metrics = extractor(r"loss=(\d)")
    assert seconds(metrics, " " * (LOOKED_AT - 6) + "loss=1")[1]
    assert not seconds(metrics, " " * LOOKED_AT + "loss=1")[1]


@pytest.mark.parametrize("expression", ["((", r"\L<x>", "(" * 400 + ")" * 400, r"[[a]b", r"(?i)a||b"])
def test_an_odd_expression_is_no_error_and_no_warning(expression: str) -> None:
    extractor(expression)


def test_who_has_no_metrics_does_not_pay_for_them() -> None:
    code = (
        "import sys; from components.aws.sagemaker._metrics import Extractor; "
        "Extractor(()); assert 'regex' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
