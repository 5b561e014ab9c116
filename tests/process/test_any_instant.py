"""SIGTERM at any instant of a step's life, from its first breath to a while after its job's end.

`KFP_RUNNER_KILLS=1000` tries as many instants.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import time

import pytest

from tests.support.background import Background
from tests.support.cases import Case, Scenario
from tests.support.steps import World

KILLS = int(os.environ.get("KFP_RUNNER_KILLS", "20"))
WORDS = re.compile(
    r"kfp-runner: terminated \(SIGTERM\); (nothing had been sent|no job was made"
    r"|the service was told to stop job-\w+, and agreed|job-\w+ had already ended)"
)
AFTER = 0.5
"""Seconds after the job's end was seen that count as well."""
PYTHON = 0.5
"""Seconds that the interpreter may take to come to our first line, on a busy machine; a tenth of that on a quiet one."""
_life: list[float] = []


async def life(world: World) -> float:
    """Return the seconds from a step's start to a bit after its job's end is seen, as this machine is today."""
    if not _life:
        async with world.step("brief") as step:
            seen = await step.out.until("Completed / Completed")
            _life.append(step.out.times[seen] - step.began + AFTER)
    return _life[0]


def at_some_instant(seed: int) -> Scenario:
    # Half of the jobs would run for ever if nobody stopped them.
    image = ("brief", "forever")[seed % 2]

    async def run(world: World) -> None:
        instant = random.Random(seed).random() * await life(world)
        async with world.step(image) as step:
            await asyncio.sleep(max(0.0, step.began + instant - time.monotonic()))
            step.signal(signal.SIGTERM)
            code = await step.end()
            if code == -signal.SIGTERM:
                # The interpreter's own first steps can't be ended in order.
                assert instant < PYTHON, step
                assert not step.jobs, step
            else:
                assert code == 128 + signal.SIGTERM, step
                assert WORDS.fullmatch(step.err.last), step
            await step.nothing_left()

    return run


CASES = [Case(f"seed-{seed}", at_some_instant(seed)) for seed in range(KILLS)]


@pytest.mark.timeout(60 + KILLS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_job_is_left(case: Case, cases: Background) -> None:
    cases.result(case.name, 55 + KILLS)
