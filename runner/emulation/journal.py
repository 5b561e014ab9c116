"""What clients asked, within bounds."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from runner.emulation.nesting import deeper

LENGTH = 20_000
LONGEST_BODY = 64 * 1024
"""Bytes of a body, as JSON, that a journal keeps; of a longer one it keeps the size."""
DEEPEST = 200
"""Levels of a body that it keeps; of a deeper one it keeps the size. Python writes about 300 in all ways."""
BYTES = 16 * 1024**2
"""Of all bodies together: beyond, the oldest calls are forgotten."""
Head = TypeVar("Head")


@dataclass(slots=True)
class Rows(Generic[Head]):
    """The latest calls, at most `LENGTH` of them and `BYTES`: of each what is short anyway, and its body."""

    # Bodies as JSON: objects in memory may take twenty times as much.
    _rows: deque[tuple[Head, bytes]] = field(default_factory=deque)
    _size: int = 0

    def append(self, head: Head, body: Mapping[str, Any], size: int = 0) -> None:
        """Note a call; `size` of its body in bytes, as far as it is known: what is long is not even written out."""
        noted = _noted(body, size)
        self._rows.append((head, noted))
        self._size += len(noted)
        while self._size > BYTES or len(self._rows) > LENGTH:
            self._size -= len(self._rows.popleft()[1])

    def __iter__(self) -> Iterator[tuple[Head, Mapping[str, Any]]]:
        """The calls, oldest first."""
        return ((head, json.loads(body)) for head, body in self._rows)


def _noted(body: Mapping[str, Any], size: int) -> bytes:
    if size > LONGEST_BODY or deeper(body, DEEPEST):
        return json.dumps({"(bytes)": size}).encode()
    # What says it is short may be longer than it says: escapes.
    if len(noted := json.dumps(body).encode()) > LONGEST_BODY:
        return json.dumps({"(bytes)": len(noted)}).encode()
    return noted
