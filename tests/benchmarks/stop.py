"""From SIGTERM to the arrival of StopTrainingJob at the service, and to the end of the process.

The service is the light one, so that nothing but our own way is measured. The signal comes at a random moment of a
running job's polling.
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from tests.benchmarks import step
from tests.benchmarks.process import running
from tests.benchmarks.report import Row, check, middle, seconds, share
from tests.benchmarks.service import IMAGE, Service, light

ROUNDS = 25


async def once(service: Service, folder: Path, name: str) -> tuple[float, float]:
    """Seconds from the signal to the stop request, and to the end."""
    async with running(step.argv(name, IMAGE, folder), service.environment) as process:
        await service.call("DescribeTrainingJob", name)
        await asyncio.sleep(random.uniform(0.5, 2.5))
        at = process.signal()
        ended = await process.end()
    check(ended.code == 143, f"{name} ended with {ended.code}: {process.last_word}")
    check(service.jobs[name].stopped, f"{name} was not stopped")
    return (await service.call("StopTrainingJob", name)).at - at, ended.at - at


async def measure(folder: Path, *, smoke: bool) -> list[Row]:
    """Run it."""
    async with light(3600) as service:
        taken = [await once(service, folder, f"stop-{n}") for n in range(2 if smoke else ROUNDS)]
    sent, gone = [s for s, _ in taken], [g for _, g in taken]
    return [
        Row(
            "SIGTERM while running → stop request",
            "sent at once",
            f"median {seconds(middle(sent))}, p95 {seconds(share(sent, 0.95))} ({len(sent)} runs)",
            "median ≤ 20 ms",
            middle(sent) <= 0.020,
        ),
        Row(
            "SIGTERM while running → exit",
            "27.8 s",
            f"median {seconds(middle(gone))}, longest {seconds(max(gone))}",
            "≤ 2 s",
            max(gone) <= 2.0,
        ),
    ]
