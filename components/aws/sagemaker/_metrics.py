"""Metrics from log lines, by the job's own regular expressions: as fast as the log itself."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence

from runner.events import LogLine, Metric


class Extractor:
    """Finds metrics in lines. What is no regular expression for Python is passed over: the service has its own."""

    def __init__(self, definitions: Sequence[Mapping[str, str]]) -> None:
        """`definitions` are SageMaker's MetricDefinitions: Name, and Regex whose first group is the value."""
        self._patterns = [(d["Name"], p) for d in definitions if (p := _compiled(d["Regex"])) is not None]

    def metrics(self, line: LogLine) -> Iterator[Metric]:
        """Yield the metrics of one line."""
        for name, pattern in self._patterns:
            found = pattern.search(line.text)
            if found is None or not found.groups() or found.group(1) is None:
                continue
            try:
                value = float(found.group(1))
            except ValueError:
                continue
            if not math.isnan(value):
                yield Metric(name, value, line.time, line.stream)


def _compiled(regex: str) -> re.Pattern[str] | None:
    try:
        return re.compile(regex)
    except re.error:
        return None
