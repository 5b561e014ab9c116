"""How the next combination is chosen: by chance, or one after the other; by a model of what was seen: `bayesian`.

Each `suggest` looks at everything that is known and returns the next point. It may take some tenths of a second: call it
off the event loop, and never twice at a time.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from components.aws.embedded.sagemaker.tuning.search_space import Space, Values


@dataclass(frozen=True, slots=True)
class Seen:
    """A combination that was, or is being, tried."""

    values: Values
    score: float | None = None
    """The objective, its sign so that more is better; None as long as it is not known, and if it never will be."""
    pending: bool = False
    source: str = ""
    """Scores of one source can be compared with each other: the tuning job, or the parent of a transfer."""


class Strategy(Protocol):
    """Chooses."""

    def suggest(self, seen: Sequence[Seen]) -> dict[str, str]:
        """The next combination."""
        ...


class Random:
    """Uniform along each hyperparameter's scale; no combination twice."""

    def __init__(self, space: Space, seed: int | None) -> None:
        self._space = space
        self._random = random.Random(seed)

    def suggest(self, seen: Sequence[Seen]) -> dict[str, str]:
        """The next combination."""
        return self._space.fresh(self._random, [row.values for row in seen])


class Grid:
    """All combinations of a finite space in their order."""

    def __init__(self, space: Space) -> None:
        self._points: Iterator[dict[str, str]] = space.grid()

    def suggest(self, seen: Sequence[Seen]) -> dict[str, str]:  # noqa: ARG002  the others learn from it
        """The next combination. Raises StopIteration when all were suggested."""
        return next(self._points)


def standardized(rows: Sequence[Seen]) -> list[float | None]:
    """Scores as multiples of the standard deviation from the mean of their own source."""
    sources: dict[str, list[float]] = {}
    for row in rows:
        if row.score is not None:
            sources.setdefault(row.source, []).append(row.score)
    measures = {
        source: (statistics.fmean(own), statistics.pstdev(own) or 1.0) for source, own in sources.items()
    }
    return [
        None if row.score is None else (row.score - measures[row.source][0]) / measures[row.source][1]
        for row in rows
    ]
