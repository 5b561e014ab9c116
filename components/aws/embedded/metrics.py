"""Metric definitions applied to log lines: what ends up in FinalMetricDataList."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from components.aws.embedded.errors import invalid

MATCHED_CHARACTERS = 8192
"""How much of a line the regexes see: a bound on what a slow one can cost."""


class Metrics:
    """The latest reading of each metric."""

    def __init__(self, definitions: Iterable[tuple[str, str]]) -> None:
        self._patterns = [(name, _compile(name, regex)) for name, regex in definitions]
        self._latest: dict[str, tuple[float, float]] = {}

    def read(self, line: str, time: float) -> None:
        """Take what the line says. `time`: seconds since the Unix epoch."""
        for name, pattern in self._patterns:
            match = pattern.search(line[:MATCHED_CHARACTERS])
            if match is None or not pattern.groups:
                continue
            try:
                self._latest[name] = (float(match[1]), time)
            except (TypeError, ValueError):
                continue  # the group holds no number: AWS ignores such a match too

    def final(self) -> list[dict[str, Any]]:
        """FinalMetricDataList. Timestamps in seconds since the Unix epoch, as AWS's JSON has them."""
        return [
            {"MetricName": name, "Value": value, "Timestamp": time}
            for name, (value, time) in self._latest.items()
        ]


def _compile(name: str, regex: str) -> re.Pattern[str]:
    try:
        return re.compile(regex)
    except re.error as error:
        raise invalid(f"Invalid regular expression of metric {name}: {error}") from error
