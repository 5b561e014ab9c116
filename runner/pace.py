"""How long to pause between two reads of a status."""

from __future__ import annotations

import random

GROWTH = 1.2
"""Each pause without news is so much longer than the one before: a change is seen within about 20 % of its stage's age."""
BRIEF = 5.0
"""Longest pause, in seconds, during a stage that usually ends soon."""
JITTER = 0.1
"""Share by which a pause is varied, so that a hundred pods started at once do not poll in step."""


class Pace:
    """Pauses that grow from `first` to `longest` seconds and start over after news."""

    def __init__(self, first: float, longest: float) -> None:
        self._first, self._longest = first, longest
        self._next = first

    def news(self) -> None:
        """Something changed, so more may soon."""
        self._next = self._first

    def pause(self, *, brief: bool = False) -> float:
        """Return the next pause in seconds; `brief` stages are never slept through."""
        base = min(self._next, BRIEF) if brief else self._next
        self._next = min(self._next * GROWTH, self._longest)
        return base * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  jitter, no secret
