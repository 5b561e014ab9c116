"""Wall-clock time that never runs backwards, so that timestamps within one server are monotone."""

from __future__ import annotations

import math
import time


class _Clock:
    def __init__(self) -> None:
        self._latest = 0.0

    def now(self) -> float:
        """Seconds since the Unix epoch, to the millisecond as in AWS's answers; never less than an earlier one."""
        self._latest = max(self._latest, math.floor(time.time() * 1000) / 1000)
        return self._latest


now = _Clock().now


def now_ms() -> int:
    """`now()` in whole milliseconds, the unit of CloudWatch Logs."""
    return round(now() * 1000)
