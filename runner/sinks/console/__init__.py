"""The job on standard output: plain lines in a pipe or a pod log, a live footer on a terminal.

How the lines read is told in `runner.sinks.narrate`; the footer is drawn by `runner.sinks.console.live`. Consoles of
several jobs side by side have labels, and share what `runner.sinks.console.shared` keeps of their stream.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TextIO

from runner.events import Event, LogLine
from runner.sinks.console.shared import Shared, of
from runner.sinks.narrate import Line, Narrator, prefix, word
from runner.sinks.pump import LIMIT, Out, Pump, Screen, weight
from runner.sinks.quiet import quiet_stdout

if TYPE_CHECKING:
    from runner.job import Sink

Stamped = tuple[float, Event]
"""An event and when it came, in seconds since the epoch: some events carry no time of their own."""

__all__ = ["console", "quiet_stdout"]

_GLYPHS = "→●▸★·✗←⊘"
_COLOURS = (36, 33, 35, 32, 34, 96, 93, 95)
"""SGR codes by which jobs are told apart: what reads on black and on white; red is for errors."""


def console(
    stream: TextIO | None = None,
    *,
    color: bool | None = None,
    clock: Callable[[], float] = time.time,
    limit: int = LIMIT,
    label: str = "",
) -> Sink:
    """A sink that shows a job to a person on `stream` (standard output).

    On a terminal that can move its cursor: a live footer below the log, in colour unless `color` is False,
    or is None and `NO_COLOR` is set. Anywhere else: plain lines without control characters, written at once.
    `write` waits for a stalled reader only when more than `limit` is pending (see `pump.weight`), and raises
    `OSError` once the reader is gone. `close` waits until nothing gets through for 2 s.

    With a `label`, this is one of several consoles on the stream: every line names the label, in a colour of its own on a
    terminal; there is no footer; and lines of different consoles never run into each other.
    """
    out = Out(stream if stream is not None else sys.stdout)
    capable = out.isatty() and os.environ.get("TERM", "dumb") not in {"", "dumb", "unknown"}
    if label:
        coloured = capable and (color if color is not None else not os.environ.get("NO_COLOR"))
        screen: Screen[Stamped] = _Labelled(out, of(out), word(label), clock, coloured=coloured)
        return Console(screen, clock, limit, tick=1.0)
    if capable:
        from runner.sinks.console.live import Live  # rich takes 0.1 s to import, which a pod need not pay

        return Console(Live(out, color=color, clock=clock), clock, limit, tick=1.0)
    return Console(_Plain(out, clock), clock, limit, tick=1.0)


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

    def __init__(self, out: Out, clock: Callable[[], float]) -> None:
        self._out = out
        self._clock = clock
        self._ascii = not out.can(_GLYPHS)
        self._narrator = Narrator()

    @property
    def progress(self) -> int:
        """Bytes that have got through."""
        return self._out.progress

    def show(self, batch: Sequence[Stamped], /) -> None:
        """Write the batch's lines in one go."""
        self._write([line for now, event in batch for line in self._narrator.tell(event, now)])

    def tick(self) -> None:
        """Tell what was put off."""
        if self._narrator.owes:
            self._write(self._narrator.due(self._clock()))

    def close(self) -> None:
        """Tell the rest of what was put off."""
        if self._narrator.owes:
            self._write(self._narrator.rest(self._clock()))

    def _write(self, told: Sequence[Line]) -> None:
        if told:
            self._out.write("".join(map(self._line, told)))

    def _line(self, line: Line) -> str:
        return f"{prefix(line, ascii_only=self._ascii)} {line.text}\n"


class _Labelled(_Plain):
    """Plain lines that name their job, on a stream that is shared with other jobs."""

    def __init__(
        self, out: Out, shared: Shared, label: str, clock: Callable[[], float], *, coloured: bool
    ) -> None:
        super().__init__(out, clock)
        self._shared = shared
        self._label = label
        number = shared.join(label)
        out.moved = shared.moved
        self._colour = f"\x1b[{_COLOURS[number % len(_COLOURS)]}m" if coloured else ""

    @property
    def progress(self) -> int:
        """Bytes that have got through, those of the others too: this one may be waiting for its turn."""
        return self._shared.progress

    def close(self) -> None:
        """Tell the rest of what was put off, and leave the stream to the others."""
        try:
            super().close()
        finally:
            self._shared.leave(self._label)

    def _write(self, told: Sequence[Line]) -> None:
        with self._shared.turn:
            super()._write(told)

    def _line(self, line: Line) -> str:
        before = prefix(line, ascii_only=self._ascii, job=self._label.ljust(self._shared.width))
        if self._colour:
            before = f"{self._colour}{before}\x1b[0m"
        return f"{before} {line.text}\n"
