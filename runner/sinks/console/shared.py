"""What consoles that write to one stream have in common: whose turn it is, and how wide the column of their labels is.

Each console writes on a thread of its own, and a long write goes through in parts.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable
from itertools import count
from weakref import WeakValueDictionary

from runner.sinks.pump import Out

WIDEST = 24
"""Characters of a label that others are padded to."""


class Shared:
    """One stream, as its consoles share it."""

    def __init__(self) -> None:
        self.turn = threading.Lock()
        """Held while something is written, by threads that may wait; never by the event loop's."""
        self.width = 0
        """Characters that a label is padded to."""
        self.progress = 0
        """Bytes that have got through, of all consoles."""
        self._numbers: dict[str, list[int]] = {}
        self._joined = count()

    def join(self, label: str) -> int:
        """Make room for a console and its label; return its number, from 0: that of another that has the label now."""
        with _guard:
            self.width = max(self.width, min(len(label), WIDEST))
            numbers = self._numbers.setdefault(label, [])
            numbers.append(numbers[0] if numbers else next(self._joined))
            return numbers[0]

    def leave(self, label: str) -> None:
        """Forget one console of the label. The column stays as wide as it is: lines are compared with those above."""
        with _guard:
            numbers = self._numbers.get(label, [])
            del numbers[:1]
            if not numbers:
                self._numbers.pop(label, None)

    def moved(self, many: int) -> None:
        """Count bytes that have got through; called by whose turn it is."""
        self.progress += many


_streams: WeakValueDictionary[Hashable, Shared] = WeakValueDictionary()
_guard = threading.Lock()


def of(out: Out) -> Shared:
    """Return what the consoles share that write to the same file as this one."""
    with _guard:
        return _streams.setdefault(out.file, Shared())
