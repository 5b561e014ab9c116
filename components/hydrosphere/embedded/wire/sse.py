"""Server-sent events, written as the real server writes them: no space after the colon, the data first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

HEARTBEAT = b"data:\n\n"


@dataclass(frozen=True, slots=True)
class Event:
    """One event."""

    data: str
    type: str
    id: str = ""

    def encode(self) -> bytes:
        """As it goes over the wire."""
        rows = [f"data:{line}" for line in self.data.split("\n")] + [f"event:{self.type}"]
        if self.id:
            rows.append(f"id:{self.id}")
        return "\n".join([*rows, "", ""]).encode(errors="replace")


class Source(Protocol):
    """Where events come from."""

    async def next(self) -> Event | None:
        """Wait for the next event; None when there will be none. May be cancelled, and then be called again."""
