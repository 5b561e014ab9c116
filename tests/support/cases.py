"""Scenarios that run side by side; see `tests.support.background`."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.support.steps import World

Scenario = Callable[[World], Awaitable[None]]


@dataclass(frozen=True)
class Case:
    """One scenario. `light`: it does little but wait."""

    name: str
    run: Scenario
    light: bool = False


class Cases(list[Case]):
    """The scenarios of a module."""

    def case(self, function: Scenario) -> Scenario:
        """Enlist a scenario."""
        self.append(Case(function.__name__, function))
        return function

    def light(self, function: Scenario) -> Scenario:
        """Enlist a scenario that does little but wait."""
        self.append(Case(function.__name__, function, light=True))
        return function

    def of_two(
        self, function: Callable[[World, signal.Signals], Awaitable[None]]
    ) -> Callable[[World, signal.Signals], Awaitable[None]]:
        """Enlist a scenario for SIGTERM and for SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self.append(Case(f"{function.__name__}-{number.name}", _of(function, number)))
        return function


def _of(function: Callable[[World, signal.Signals], Awaitable[None]], number: signal.Signals) -> Scenario:
    async def run(world: World) -> None:
        await function(world, number)

    return run
