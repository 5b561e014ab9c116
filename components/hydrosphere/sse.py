"""Server-sent events: bytes as they come → events, by the rules of the HTML standard's event streams.

A stream is hostile input: a line that is too long is cut, and an event that is too large is as well.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from dataclasses import dataclass, field

LONGEST = 2**20
"""Bytes of a line, and characters of an event's data, that are kept."""


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event. An empty one is a heartbeat."""

    data: str = ""
    kind: str = ""
    """The stream's `event` field."""
    id: str = ""
    """The id that came with this very event."""


@dataclass(slots=True)
class _Draft:
    data: list[str] = field(default_factory=list)
    size: int = 0
    kind: str = ""
    id: str = ""
    begun: bool = False

    def take(self, line: str) -> None:
        """Take one line of the stream that is neither blank nor a comment."""
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data" and self.size < LONGEST:
            self.data.append(value[: LONGEST - self.size])
            self.size += len(value) + 1
        elif name == "event":
            self.kind = value
        elif name == "id" and "\0" not in value:
            self.id = value
        self.begun = self.begun or name in {"data", "event", "id"}

    def finished(self) -> ServerSentEvent:
        """Return the event that a blank line ends."""
        return ServerSentEvent("\n".join(self.data), self.kind, self.id)


async def parsed(chunks: AsyncIterable[bytes]) -> AsyncGenerator[ServerSentEvent, None]:
    """Iterate over the events of a stream. What a cut leaves unfinished is dropped, as the standard wants it."""
    draft = _Draft()
    async for line in _lines(chunks):
        if not line:
            if draft.begun:
                yield draft.finished()
            draft = _Draft()
        elif not line.startswith(":"):
            draft.take(line)


async def _lines(chunks: AsyncIterable[bytes]) -> AsyncIterator[str]:
    """Iterate over lines, which end with LF, CR LF or CR. An unfinished last one is no line."""
    rest, after_cr, first = b"", False, True
    async for chunk in chunks:
        if not chunk:
            continue
        if after_cr and chunk.startswith(b"\n"):
            chunk, after_cr = chunk[1:], False  # noqa: PLW2901  the second half of a CR LF
        if not chunk:
            continue
        after_cr = chunk.endswith(b"\r")
        *whole, last = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for part in whole:
            line = (rest + part)[:LONGEST].decode(errors="replace")
            rest = b""
            yield line.removeprefix("\ufeff") if first else line
            first = False
        rest = (rest + last)[:LONGEST]
