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
ROUNDS, WHOLE = 16, 6
"""Rounds, and how many of them let the step run to its end; one more comes first, to warm the disk's cache."""
JOB_SECONDS = 1.0

Taken = tuple[float, float]
"""Seconds to the first call; peak in MiB."""


async def once(service: Service, name: str, argv: Sequence[str], *, whole: bool = True) -> Taken:
    """Run one process; end it after its call unless `whole`."""
    async with running(argv, service.environment) as process:
        call = await service.call("CreateTrainingJob", name)
        if not whole:
            process.signal()
        ended = await process.end()
    check(ended.code == (0 if whole else 143), f"{argv[:4]} ended with {ended.code}: {process.last_word}")
    return call.at - process.began, ended.peak


async def round_of(service: Service, folder: Path, n: int, *, whole: bool) -> tuple[Taken, Taken, Taken]:
    """Run ours, the bare script, and boto3's."""
    ours = await once(service, f"step-{n}-", step.argv(f"step-{n}-x", IMAGE, folder), whole=whole)
    theirs = [
        await once(
            service, f"{kind}-{n}-", [str(HERE / script), json.dumps(step.body(f"{kind}-{n}-x", IMAGE))]
        )
        for kind, script in (("bare", "bare.py"), ("boto", "bare_boto3.py"))
    ]
    return ours, theirs[0], theirs[1]


def fastest(series: Sequence[Taken]) -> str:
    """The shortest time to the first call: what noise has touched least."""
    return seconds(min(series)[0])


async def measure(folder: Path, *, smoke: bool) -> list[Row]:
    """Run it."""
    rounds, whole = (0, 1) if smoke else (ROUNDS, WHOLE)
    async with light(JOB_SECONDS) as service:
        taken = [await round_of(service, folder, n, whole=n < whole) for n in range(rounds + 1)]
    ours, bare, boto3 = zip(*(taken[1:] or taken), strict=True)
    complete = max(1, whole - 1)
    times, memory = (
        ratio([t for t, _ in ours], [t for t, _ in bare]),
        ratio([m for _, m in ours[:complete]], [m for _, m in bare[:complete]]),
    )
    return [
        Row(
            "start → first AWS call",
            "2.7 s; boto3 alone 0.42 s",
            f"{seconds(middle(t for t, _ in ours))}; a bare aiobotocore script {seconds(middle(t for t, _ in bare))}, "
            f"boto3's {seconds(middle(t for t, _ in boto3))}: ratio {times:.2f}; "
            f"the fastest of each {fastest(ours)} and {fastest(bare)}: ratio {min(ours)[0] / min(bare)[0]:.2f}",
            "ratio to the bare script ≤ 1.5",
            max(times, min(ours)[0] / min(bare)[0]) <= 1.5,
        ),
        Row(
            "peak memory of a step",
            "199 MiB; boto3 alone 58",
            f"{mib(middle(m for _, m in ours[:complete]))}; a bare aiobotocore script {mib(middle(m for _, m in bare))}, "
            f"boto3's {mib(middle(m for _, m in boto3))}: ratio {memory:.2f}",
            "ratio to the bare script ≤ 1.5",
            memory <= 1.5,
        ),
    ]
