"""Many lines and many streams: every line once on standard output, none lost, none twice."""

from __future__ import annotations

import re
import time
from collections import Counter
from pathlib import Path

from tests.benchmarks import step
from tests.benchmarks.cloud import HELD, LOGS, cloud
from tests.benchmarks.process import running
from tests.benchmarks.report import Row, check, seconds

LINES, STREAMS = 12_000, 60
BATCHES = 10
"""In which each stream's lines are put, one after the other."""


async def measure(folder: Path, *, smoke: bool) -> list[Row]:
    """Run it."""
    lines, streams = (600, 12) if smoke else (LINES, STREAMS)
    job, each = "flood", lines // streams // BATCHES
    async with cloud(folder / "cloud") as service:
        async with running(step.argv(job, HELD, folder), service.environment) as process:
            await process.saying("Training")
            names = [await service.stream(job, n + 2) for n in range(streams)]
            for batch in range(BATCHES):
                for n, name in enumerate(names):
                    await service.put(name, [f"{n}:{batch * each + k} flood" for k in range(each)])
            service.release(job)
            released = time.monotonic()
            ended = await process.end()
        calls = len(await service.calls(*LOGS, job=f"{job}/"))
    check(ended.code == 0, f"{job} ended with {ended.code}: {process.last_word}")
    seen = Counter(m[0] for _, text in process.lines if (m := re.search(r"\d+:\d+ flood$", text)))
    expected = Counter(f"{n}:{k} flood" for n in range(streams) for k in range(each * BATCHES))
    lost, doubled = expected - seen, seen - expected
    check(not lost and not doubled, f"{lost.total()} lines lost, {doubled.total()} too many")
    last = max(at for at, text in process.lines if text.endswith("flood"))
    return [
        Row(
            f"{lines:,} log lines in {streams} streams",
            "10,000 of 12,000 lines; 50 of 60 streams",
            f"{seen.total():,} of {lines:,}, {streams} of {streams}, none twice; {calls} calls of the Logs API",
            "every line once",
            True,
        ),
        Row(
            "the same, from the job's end to the last line, and to exit",
            "–",
            f"{seconds(max(0.0, last - released))} and {seconds(ended.at - released)} (which waits 5 s for late lines)",
        ),
        Row("the same, peak memory and processor time", "–", f"{ended.peak:.0f} MiB, {seconds(ended.cpu)}"),
    ]
