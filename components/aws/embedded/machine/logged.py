"""A container's process whose output goes, line by line, into a log stream of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from components.aws.embedded.clock import now
from components.aws.embedded.logs.store import LogStore
from components.aws.embedded.machine import process
from components.aws.embedded.sagemaker.site import Site

NOT_STARTED = 127
"""A shell's exit code for a command that can't be started."""
MOST_SECONDS = 366 * 24 * 3600
"""The longest time limit; AWS's is 28 days."""


def _nothing(_line: str, _time: float) -> Iterable[str]:
    return ()


@dataclass(frozen=True, slots=True)
class Log:
    """One stream, which exists from now on."""

    store: LogStore
    group: str
    stream: str
    read: Callable[[str, float], Iterable[str]] = _nothing
    """Is given every line and its time; what it returns is written behind the line."""

    def __post_init__(self) -> None:
        self.store.stream(self.group, self.stream)

    def write(self, line: str) -> None:
        """Write a line, and what there is to say about it."""
        time = now()
        self.store.write(self.group, self.stream, [(round(time * 1000), line)])
        for notice in self.read(line, time):
            self.store.write(self.group, self.stream, [(round(time * 1000), notice)])


async def run_logged(
    argv: Sequence[str], variables: Mapping[str, str], log: Log, halt: asyncio.Event, site: Site
) -> int:
    """Run a command to its end; return its exit code. `halt` begins the stop ladder (see `process.run`)."""
    try:
        return await process.run(argv, variables, log.write, halt, site.grace, site.guardian)
    except (OSError, ValueError) as error:  # ValueError: a variable that holds what none can
        log.write(f"{argv[0]} can't be started: {error}")
        return NOT_STARTED


async def expired(stop: asyncio.Event, limit: float) -> bool:
    """Wait for `stop`, at most `limit` seconds; say whether the time was up."""
    try:
        # Timers overflow with what JSON can say.
        await asyncio.wait_for(stop.wait(), min(limit, MOST_SECONDS))
    except TimeoutError:
        return True
    return False
