"""Metric definitions applied to log lines: what ends up in FinalMetricDataList.

The expressions are the user's, and one like `(a|aa)+$` may take years on a line that does not match, with the server at
a standstill. Hence `regex` instead of `re`: it understands the same expressions and stops in time.
"""

from __future__ import annotations

import math
import re
import time as clock
import warnings
from collections.abc import Callable, Iterable
from typing import Any

from components.aws.embedded.errors import invalid

MATCHED_CHARACTERS = 8192
"""How much of a line the expressions see."""
BUDGET = 0.25
"""Seconds that one metric may take for all slow lines of a job together; then it is switched off."""
_COUNTS = re.compile(r"\{\s*(\d*)\s*,?\s*(\d*)")
_MOST_REPEATS = 100_000
"""`regex` writes repetitions out, so nested ones could fill the memory before there is anything to stop."""
_SLOW = 0.002
"""Seconds that a line may take for nothing."""


class _Metric:
    """One definition and its latest reading."""

    def __init__(self, name: str, expression: str) -> None:
        self.name = name
        self.latest: tuple[float, float] | None = None
        self.heard: Callable[[float], None] | None = None
        self._pattern = _compile(name, expression)
        self._left = BUDGET

    def read(self, text: str, time: float) -> str:
        """Take what a text says. Returns a notice when the metric has just been switched off, else nothing."""
        if self._left <= 0:
            return ""
        began = clock.thread_time()  # not the clock on the wall: a busy machine is no reason
        try:
            match = self._pattern.search(text, timeout=self._left)
        except TimeoutError:
            self._left = 0.0
        else:
            self._take(match, time)
            took = clock.thread_time() - began
            self._left -= took if took > _SLOW else 0.0
        if self._left > 0:
            return ""
        return (
            f"[embedded cloud] metric {self.name} is not read any more: its regular expression takes too long"
        )

    def _take(self, match: Any, time: float) -> None:
        if match is None or not match.re.groups:
            return
        try:
            value = float(match[1])
        except (TypeError, ValueError):
            return  # the group holds no number: AWS ignores such a match too
        self.latest = (value, time)
        if self.heard is not None:
            self.heard(value)


class Metrics:
    """The latest reading of each metric. Raises `ApiError` for an expression that is none."""

    def __init__(self, definitions: Iterable[tuple[str, str]]) -> None:
        self._metrics = [_Metric(name, expression) for name, expression in definitions]

    def read(self, line: str, time: float) -> list[str]:
        """Take what the line says; return what the user has to be told. `time`: seconds since the Unix epoch."""
        text = line[:MATCHED_CHARACTERS]
        return [notice for metric in self._metrics if (notice := metric.read(text, time))]

    def listen(self, name: str, heard: Callable[[float], None]) -> None:
        """Have every reading of a metric told. `heard` is called while a line is written: it must be quick."""
        for metric in self._metrics:
            if metric.name == name:
                metric.heard = heard

    def final(self) -> list[dict[str, Any]]:
        """FinalMetricDataList. Timestamps in seconds since the Unix epoch, as AWS's JSON has them."""
        return [
            {"MetricName": metric.name, "Value": metric.latest[0], "Timestamp": metric.latest[1]}
            for metric in self._metrics
            if metric.latest is not None
        ]


def _compile(name: str, expression: str) -> Any:
    repeats = (max(int(low or 1), int(high or 1)) for low, high in _COUNTS.findall(expression))
    if math.prod(repeats) > _MOST_REPEATS:
        raise invalid(
            f"Invalid regular expression of metric {name}: repeated too often (embedded cloud's limit)"
        )
    import regex  # takes 15 ms that only jobs with metrics need

    with warnings.catch_warnings():  # of what may mean something else one day
        warnings.simplefilter("ignore")
        try:
            return regex.compile(expression)
        except (regex.error, RecursionError, OverflowError) as error:
            raise invalid(f"Invalid regular expression of metric {name}: {error}") from error
