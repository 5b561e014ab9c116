"""Metrics from log lines, by the job's own regular expressions: as fast as the log itself, and never slower.

The expressions are the user's and the lines are anybody's: together they may take for ever, on the event loop, which a
signal then can't get through to. Python's `re` can't be interrupted; `regex`, which understands the same expressions, can.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.events import Level, LogLine, Metric, Notice

if TYPE_CHECKING:
    import regex

LOOKED_AT = 8192
"""Characters of a line that are looked at."""
SEARCH_SECONDS = 0.02
"""What one search may take."""
LINE_SECONDS = 0.1
"""What all searches of one line may take together."""
EARNED_SECONDS = 0.005
"""What they may take on the average: each line gives so much back of what was used up."""


@dataclass
class _Search:
    """One metric's search, and the time that it has left."""

    name: str
    pattern: regex.Pattern[str]
    left: float


class Extractor:
    """Finds metrics in lines. What is no regular expression for Python is passed over: the service has its own.

    An expression that takes too long is switched off, and that is said once.
    """

    def __init__(self, definitions: Sequence[Mapping[str, str]]) -> None:
        """`definitions` are SageMaker's MetricDefinitions: Name, and Regex whose first group is the value."""
        patterns = [(d["Name"], p) for d in definitions if (p := _compiled(d["Regex"])) is not None]
        share = 1 / max(1, len(patterns))
        self._full, self._earned = min(SEARCH_SECONDS, LINE_SECONDS * share), EARNED_SECONDS * share
        self._searches = [_Search(name, pattern, self._full) for name, pattern in patterns]

    def metrics(self, line: LogLine) -> Iterator[Metric | Notice]:
        """Yield the metrics of one line."""
        text = line.text[:LOOKED_AT]
        for search in self._searches.copy():
            try:
                found = self._found(search, text)
            except TimeoutError:
                self._searches.remove(search)
                yield Notice(
                    f"the metric {search.name} is no longer looked for in the log: its regular expression takes too long",
                    Level.WARNING,
                )
                continue
            value = _number(found)
            if not math.isnan(value):
                yield Metric(search.name, value, line.time, line.stream)

    def _found(self, search: _Search, text: str) -> str:
        """Return what the first group matches, or nothing. Raises `TimeoutError`."""
        began = (
            time.thread_time()
        )  # Not the clock on the wall: a machine that is busy with others is no reason.
        found = search.pattern.search(text, timeout=search.left)
        spent = time.thread_time() - began
        search.left = min(self._full, max(0.0, search.left - spent) + self._earned)
        return (found.group(1) or "") if found is not None and found.groups() else ""


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _compiled(expression: str) -> regex.Pattern[str] | None:
    import warnings

    import regex  # 15 ms that only jobs with metrics pay.

    with warnings.catch_warnings():  # Of what may mean something else one day: not the user's affair.
        warnings.simplefilter("ignore")
        try:
            return regex.compile(expression)
        except (regex.error, RecursionError):
            return None
