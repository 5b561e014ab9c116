"""Metrics from log lines, by the job's own regular expressions: as fast as the log itself, and never slower.

The expressions are the user's and the lines are anybody's: together they may take for ever, on the event loop, which a
signal then can't get through to. Python's `re` can't be interrupted; `regex`, which understands the same expressions, can.
"""

from __future__ import annotations

import math
import re
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

    An expression that takes too long is switched off, and that is said once; so is that one has no group to find.
    """

    def __init__(self, definitions: Sequence[Mapping[str, str]]) -> None:
        """`definitions` are SageMaker's MetricDefinitions: Name, and Regex whose first group is the value."""
        patterns = [(d["Name"], p) for d in definitions if (p := _compiled(d["Regex"])) is not None]
        self._groupless = [name for name, pattern in patterns if not pattern.groups]
        patterns = [(name, pattern) for name, pattern in patterns if pattern.groups]
        share = 1 / max(1, len(patterns))
        self._full, self._earned = min(SEARCH_SECONDS, LINE_SECONDS * share), EARNED_SECONDS * share
        self._searches = [_Search(name, pattern, self._full) for name, pattern in patterns]

    def metrics(self, line: LogLine) -> Iterator[Metric | Notice]:
        """Yield the metrics of one line."""
        while self._groupless:
            yield Notice(
                f"the metric {self._groupless.pop(0)} can't be found in the log: its regular expression has no group, which "
                "would be the value",
                Level.WARNING,
            )
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
        return (found.group(1) or "") if found is not None else ""


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def flaw(expression: str) -> str:
    """Say what makes an expression none in any dialect; blank where the service's may understand it all the same."""
    import regex

    try:
        _compile(expression)
    except regex.error as error:
        if r"\Q" in expression:  # What it quotes is no syntax, in the dialects that have it.
            return ""
        told = str(error)
        return told if any(re.match(certain, told) for certain in _CERTAIN) else ""
    except RecursionError:
        return ""
    return ""


_CERTAIN = (
    r"missing \)",
    "unbalanced parenthesis",
    "unterminated character set",
    r"nothing to repeat at position 0\b",
    r"bad escape \(end of pattern\)",
)


def _compiled(expression: str) -> regex.Pattern[str] | None:
    import regex

    try:
        return _compile(expression)
    except (regex.error, RecursionError):
        return None


def _compile(expression: str) -> regex.Pattern[str]:
    import warnings

    import regex  # 15 ms that only jobs with metrics pay.

    with warnings.catch_warnings():  # Of what may mean something else one day: not the user's affair.
        warnings.simplefilter("ignore")
        return regex.compile(expression)
