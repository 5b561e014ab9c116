"""What consoles that write to one stream have in common: whose turn it is, and how wide the column of their labels is.

Each console writes on a thread of its own, and a long write goes through in parts.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable
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
        self._labels: list[str] = []
        self._outs: list[Out] = []

    def join(self, label: str, out: Out) -> int:
        """Make room for a console and its label; return the label's number, from 0."""
        with _guard:
            self._outs.append(out)
            if label not in self._labels:
                self._labels.append(label)
                self.width = max(self.width, min(len(label), WIDEST))
            return self._labels.index(label)

    @property
    def progress(self) -> int:
        """Bytes that have got through, of all consoles."""
        return sum(out.progress for out in self._outs)


_streams: WeakValueDictionary[Hashable, Shared] = WeakValueDictionary()
_guard = threading.Lock()


def of(out: Out) -> Shared:
    """Return what the consoles share that write to the same file as this one."""
    with _guard:
        return _streams.setdefault(out.file, Shared())
