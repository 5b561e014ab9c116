"""A job of 20 s from start to end: wall time and calls."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.benchmarks import step
from tests.benchmarks.process import running
from tests.benchmarks.report import Row, check
from tests.benchmarks.service import IMAGE, light

JOB_SECONDS = 20.0


async def measure(folder: Path, *, smoke: bool) -> list[Row]:
    """Run it."""
    lasts = 2.0 if smoke else JOB_SECONDS
    async with (
        light(lasts) as service,
        running(step.argv("whole", IMAGE, folder), service.environment) as process,
    ):
        ended = await process.end()
    check(ended.code == 0, f"ended with {ended.code}: {process.last_word}")
    shown = sum(" second " in f" {text}" for _, text in process.lines)
    check(shown == int(lasts), f"{shown} of {lasts:g} lines shown")
    calls = Counter(call.operation for call in service.calls)
    logs = calls.pop("FilterLogEvents", 0)
    return [
        Row(
            f"a job of {lasts:g} s",
            "33.7 s, 8 calls; no line before the end",
            f"{ended.at - process.began:.1f} s, {calls.total()} calls of SageMaker, {logs} of Logs; every line live",
        )
    ]
