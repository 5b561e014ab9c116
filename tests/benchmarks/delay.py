"""How long after a log line becomes readable in the service it stands on our standard output, a pipe.

Lines are put through PutLogEvents of the embedded cloud, which makes them readable at once, at three steady paces; their
phase is varied so that no poll can fall into step with them. The clock starts before the put.
"""

from __future__ import annotations

import asyncio
import random
import re
from pathlib import Path

from tests.benchmarks import step
from tests.benchmarks.cloud import HELD, Cloud, cloud
from tests.benchmarks.process import running
from tests.benchmarks.report import Row, check, middle, share

PACES = {0.2: 200, 2.0: 40, 10.0: 9}
"""Seconds between two lines → lines."""
QUICK = {0.2: 15, 1.0: 3}


async def follow(service: Cloud, folder: Path, pace: float, count: int) -> list[float]:
    """Put `count` lines while a step follows them; the delay of each."""
    job, put = f"delay-{pace:g}".replace(".", "-"), {}
    async with running(step.argv(job, HELD, folder), service.environment) as process:
        await process.saying("Training")
        stream = await service.stream(job, instance=2)
        for n in range(count):
            put[n] = await service.put(stream, [f"line {n} of {job}"])
            await asyncio.sleep(pace * random.uniform(0.75, 1.25))
        service.release(job)
        ended = await process.end()
    check(ended.code == 0, f"{job} ended with {ended.code}: {process.last_word}")
    found = [(at, re.search(rf"line (\d+) of {job}$", text)) for at, text in process.lines]
    seen = [(at, int(match[1])) for at, match in found if match]
    check(sorted(n for _, n in seen) == list(range(count)), f"{job}: {len(seen)} of {count} lines shown")
    return [at - put[n] for at, n in seen]


async def measure(folder: Path, *, smoke: bool) -> list[Row]:
    """Run it."""
    paces = QUICK if smoke else PACES
    async with cloud(folder / "cloud") as service, asyncio.TaskGroup() as group:
        tasks = {
            pace: group.create_task(follow(service, folder, pace, count)) for pace, count in paces.items()
        }
        await asyncio.wait(tasks.values())
    delays = {pace: task.result() for pace, task in tasks.items()}
    rows = []
    for pace, series in delays.items():
        met = middle(series) <= 1.0 and share(series, 0.95) <= 2.0
        rows.append(
            Row(
                f"log line delay, a line every {pace:g} s: min / median / p95 / max",
                "10.9 / 19.4 / – / 27.2 s, all at the end",
                f"{min(series):.2f} / {middle(series):.2f} / {share(series, 0.95):.2f} / {max(series):.2f} s "
                f"({len(series)} lines)",
                "median ≤ 1.0 s, p95 ≤ 2 s",
                met,
            )
        )
    return rows
