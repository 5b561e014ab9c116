"""Mappings as they are read, with what would be lost in a plain one."""

from __future__ import annotations

from typing import Any


class Mapped(dict[Any, object]):
    """A mapping that remembers which of its keys were written more than once; the last one's value counts."""

    def __init__(self, doubled: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.doubled = doubled


def twice(keys: list[str]) -> tuple[str, ...]:
    """Return the keys that occur more than once, each once, in order."""
    seen: set[str] = set()
    return tuple(dict.fromkeys(key for key in keys if key in seen or seen.add(key)))  # type: ignore[func-returns-value]
