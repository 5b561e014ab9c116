"""The job on standard output: plain lines in a pipe or a pod log, a live footer on a terminal.

How the lines read is told in `runner.sinks.narrate`; the footer is drawn by `runner.sinks.console.live`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TextIO

from runner.events import Event, LogLine
from runner.sinks.narrate import Narrator, prefix
from runner.sinks.pump import LIMIT, Out, Pump, Screen, weight
from runner.sinks.quiet import quiet_stdout

if TYPE_CHECKING:
    from runner.job import Sink

Stamped = tuple[float, Event]
"""An event and when it came, in seconds since the epoch: some events carry no time of their own."""

__all__ = ["console", "quiet_stdout"]

_GLYPHS = "→●▸★·✗←⊘"


def console(
    stream: TextIO | None = None,
    *,
    color: bool | None = None,
    clock: Callable[[], float] = time.time,
    limit: int = LIMIT,
) -> Sink:
    """A sink that shows a job to a person on `stream` (standard output).

    On a terminal that can move its cursor: a live footer below the log, in colour unless `color` is False,
    or is None and `NO_COLOR` is set. Anywhere else: plain lines without control characters, written at once.
    `write` waits for a stalled reader only when more than `limit` is pending (see `pump.weight`), and raises
    `OSError` once the reader is gone. `close` waits until nothing gets through for 2 s.
    """
    out = Out(stream if stream is not None else sys.stdout)
    if out.isatty() and os.environ.get("TERM", "dumb") not in {"", "dumb", "unknown"}:
        from runner.sinks.console.live import Live  # rich takes 0.1 s to import, which a pod need not pay

        return Console(Live(out, color=color, clock=clock), clock, limit, tick=1.0)
    return Console(_Plain(out), clock, limit, tick=None)


class Console:
    """Hands events to a screen through a pump, stamped with the time they came."""

    label = "the console"

    def __init__(
        self, screen: Screen[Stamped], clock: Callable[[], float], limit: int, tick: float | None
    ) -> None:
        self._pump = Pump(screen, tick=tick, limit=limit)
        self._clock = clock

    async def write(self, event: Event) -> None:
        """Queue the event; never waits for the reader unless very much is pending."""
        await self._pump.put((self._clock(), event), weight(event.text) if isinstance(event, LogLine) else 1)

    @property
    def progress(self) -> int:
        """Grows whenever something has got through to the reader."""
        return self._pump.progress

    @property
    def unshown(self) -> Sequence[Event]:
        """What was taken, but not shown."""
        return [event for _, event in self._pump.unshown]

    async def close(self) -> None:
        """Show the rest, until nothing gets through for 2 s, and leave the terminal as it was."""
        await self._pump.close()


class _Plain:
    """Lines without a single control character but the line end."""

    def __init__(self, out: Out) -> None:
        self._out = out
        self._ascii = not out.can(_GLYPHS)
        self._narrator = Narrator()

    @property
    def progress(self) -> int:
        """Bytes that have got through."""
        return self._out.progress

    def show(self, batch: Sequence[Stamped], /) -> None:
        """Write the batch's lines in one go."""
        told = (line for now, event in batch for line in self._narrator.tell(event, now))
        text = "".join(f"{prefix(line, ascii_only=self._ascii)} {line.text}\n" for line in told)
        if text:
            self._out.write(text)

    def tick(self) -> None:
        """Silence is no news."""

    def close(self) -> None:
        """Nothing is held."""
