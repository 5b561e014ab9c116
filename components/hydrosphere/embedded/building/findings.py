"""What a look at the install command and at what it names brought."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

MOST_LINES = 20
"""Of one kind of problem or note that are kept for the log; of the rest it tells how many."""


@dataclass(slots=True)
class Lines:
    """The first lines of a kind, and how many there were."""

    kept: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, text: str) -> None:
        """Take in one more."""
        self.count += 1
        if len(self.kept) < MOST_LINES:
            self.kept.append(text)

    def __iter__(self) -> Iterator[str]:
        """As the log shows them."""
        yield from self.kept
        if more := self.count - len(self.kept):
            yield f"and {more} more"


@dataclass(slots=True)
class Findings:
    """What was found."""

    problems: Lines = field(default_factory=Lines)
    """Each of them makes the build fail."""
    notes: Lines = field(default_factory=Lines)

    def problem(self, text: str) -> None:
        """Note what makes the build fail."""
        self.problems.add(text)

    def note(self, text: str) -> None:
        """Note what is worth a line."""
        self.notes.add(text)
