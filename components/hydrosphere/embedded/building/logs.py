"""The log of a build, and how it is followed."""

from __future__ import annotations

import asyncio

from components.hydrosphere.embedded.wire.sse import Event

HEARTBEAT_SECONDS = 15.0
LONGEST_LINE = 4096
"""Characters; the rest of a line is cut off."""
MOST_CHARACTERS = 64 * 1024
"""Of all lines of a log but its last one, which always gets in."""


class BuildLog:
    """Lines that become more until the build has ended."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.ended = False
        self._left = MOST_CHARACTERS
        self._grown = asyncio.Event()

    def write(self, text: str) -> None:
        """Add a line for each line of the text."""
        for line in text.splitlines() or [""]:
            kept = line[:LONGEST_LINE]
            self._left -= len(kept) + 1
            if self._left >= 0:
                self.lines.append(kept)
        self._wake()

    def last(self, text: str) -> None:
        """Add the last word, which is one line."""
        self.lines.append(" ".join(text.splitlines())[:LONGEST_LINE])
        self._wake()

    def end(self) -> None:
        """Nothing more will come."""
        self.ended = True
        self._wake()

    async def holds(self, number: int) -> bool:
        """Wait until there is such a line (True), or never will be (False)."""
        while len(self.lines) <= number and not self.ended:
            await self._grown.wait()
        return len(self.lines) > number

    def _wake(self) -> None:
        self._grown.set()
        self._grown = asyncio.Event()


class Reading:
    """A log as a stream of events, from one of its lines on."""

    def __init__(self, log: BuildLog, first: int = 0) -> None:
        self._log = log
        self._next = first
        self._over = False

    async def next(self) -> Event | None:
        """The next line; after the last one EndOfStream, and then None."""
        if self._over:
            return None
        if not await self._log.holds(self._next):
            self._over = True
            return Event("", "EndOfStream")
        number, self._next = self._next, self._next + 1
        return Event(self._log.lines[number], "Log", str(number))
