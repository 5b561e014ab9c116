"""From the start of the process to the first AWS call on the wire, and the peak memory of a whole step.

Ours against a bare script that imports aiobotocore and makes the same call, in turns, so that whatever else the machine
does meets both; boto3's bare script is run for information.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks import step
from tests.benchmarks.process import running
from tests.benchmarks.report import Row, check, mib, middle, ratio, seconds
from tests.benchmarks.service import IMAGE, Service, light

HERE = Path(__file__).parent
ROUNDS = 15
JOB_SECONDS = 2.0

Taken = tuple[float, float]
"""Seconds to the first call; peak in MiB."""


async def once(service: Service, name: str, argv: Sequence[str]) -> Taken:
    """Run one process to its end."""
    async with running(argv, service.environment) as process:
        ended = await process.end()
    check(ended.code == 0, f"{argv[:4]} ended with {ended.code}: {process.last_word}")
    return (await service.call("CreateTrainingJob", name)).at - process.began, ended.peak


async def measure(folder: Path, *, smoke: bool) -> list[Row]:
    """Run it."""
    ours: list[Taken] = []
    bare: list[Taken] = []
    boto3: list[Taken] = []
    async with light(0.5 if smoke else JOB_SECONDS) as service:
        for n in range(1 if smoke else ROUNDS + 1):

            async def script(kind: str, n: int = n) -> Taken:
                name = f"{kind.replace('_', '-')}-{n}-"
                request = json.dumps(step.body(f"{name}x", IMAGE))
                return await once(service, name, [str(HERE / f"{kind}.py"), request])

            taken = [
                await once(service, f"step-{n}-", step.argv(f"step-{n}-x", IMAGE, folder)),
                await script("bare"),
                await script("bare_boto3"),
            ]
            if n or smoke:  # The first round only warms the disk's cache.
                for series, value in zip((ours, bare, boto3), taken, strict=True):
                    series.append(value)
    times, memory = (
        ratio([t for t, _ in ours], [t for t, _ in bare]),
        ratio([m for _, m in ours], [m for _, m in bare]),
    )
    return [
        Row(
            "start → first AWS call",
            "2.7 s; boto3 alone 0.42 s",
            f"{seconds(middle(t for t, _ in ours))}; a bare aiobotocore script {seconds(middle(t for t, _ in bare))}, "
            f"boto3's {seconds(middle(t for t, _ in boto3))}: ratio {times:.2f}",
            "ratio to the bare script ≤ 1.5",
            times <= 1.5,
        ),
        Row(
            "peak memory of a step",
            "199 MiB; boto3 alone 58",
            f"{mib(middle(m for _, m in ours))}; a bare aiobotocore script {mib(middle(m for _, m in bare))}, "
            f"boto3's {mib(middle(m for _, m in boto3))}: ratio {memory:.2f}",
            "ratio to the bare script ≤ 1.5",
            memory <= 1.5,
        ),
    ]
