"""All instances of a job, run to their ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from components.aws.embedded.machine.logged import expired

H = TypeVar("H")


async def run_all(
    cluster: Sequence[H],
    instance: Callable[[H, asyncio.Event], Awaitable[int]],
    stop: asyncio.Event,
    limit: float,
    saving: Coroutine[Any, Any, None],
) -> tuple[dict[H, int], bool]:
    """Run every instance; return their exit codes in the order of their ends, and whether the time was up.

    `instance` runs one, whose stop ladder begins when the event it is given is set: when the job is to stop, after `limit`
    seconds, or when another one failed. `saving` goes on meanwhile, and is cancelled at the end.
    """
    codes: dict[H, int] = {}
    halt, late = asyncio.Event(), False

    async def one(host: H) -> None:
        codes[host] = await instance(host, halt)
        if codes[host]:
            halt.set()  # one failed instance fails the job

    async def watch() -> None:
        nonlocal late
        late = await expired(stop, limit)
        halt.set()

    helpers = [asyncio.create_task(watch()), asyncio.create_task(saving)]
    try:
        async with asyncio.TaskGroup() as group:
            for host in cluster:
                group.create_task(one(host))
    finally:
        for helper in helpers:
            helper.cancel()
        await asyncio.wait(helpers)
    return codes, late
