"""Failures on order, for tests. What kinds there are, and what they do, is each embedded cloud's own business."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

LATENCY = "latency"
"""The kind that every embedded cloud has: the call waits `seconds`, then goes on."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One failure on order. Raises ValueError for a kind that does not exist or a senseless number."""

    KINDS: ClassVar[frozenset[str]] = frozenset({LATENCY})

    operation: str
    """The operation's name; `*` stands for every operation."""
    kind: str
    times: int | None = 1
    """How often; None: until cleared."""
    seconds: float = 0.0
    """For kinds that have to do with time."""
    skip: int = 0
    """How many matching calls pass unharmed first."""

    def __post_init__(self) -> None:
        if self.kind not in self.KINDS:
            raise ValueError(f"no fault of kind {self.kind!r}; there are: {', '.join(sorted(self.KINDS))}")
        # They come as JSON, too, which says nothing of types, and where NaN and 1e999 are numbers.
        if not _is_number(self.seconds) or not 0 <= self.seconds < math.inf:
            raise ValueError(f"seconds is {self.seconds!r}; it must be a finite number, not negative")
        if not _is_whole(self.skip) or self.skip < 0:
            raise ValueError(f"skip is {self.skip!r}; it must be a whole number, not negative")
        if self.times is not None and (not _is_whole(self.times) or self.times < 1):
            raise ValueError(f"times is {self.times!r}; it must be a whole number, at least 1")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


F = TypeVar("F", bound=Fault)


@dataclass(slots=True)
class _Armed(Generic[F]):
    fault: F
    skip: int
    left: int | None


@dataclass(slots=True)
class Faults(Generic[F]):
    """The faults on order. Without `enabled` it takes none, so that nothing but a test can arm one."""

    kind: type[F]
    enabled: bool = False
    _armed: list[_Armed[F]] = field(default_factory=list)

    def add(self, *faults: F) -> None:
        """Order faults. Raises RuntimeError unless the server was started with `faults=True`."""
        if not self.enabled:
            raise RuntimeError("faults are off: start the embedded cloud with serve(faults=True)")
        self._armed += [_Armed(fault, fault.skip, fault.times) for fault in faults]

    def add_json(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Order faults written as JSON objects with `Fault`'s fields. Raises ValueError or TypeError."""
        self.add(*[self.kind(**row) for row in rows])

    def clear(self) -> None:
        """Take back every fault."""
        self._armed.clear()

    @property
    def pending(self) -> list[F]:
        """Faults that are not used up yet."""
        return [armed.fault for armed in self._armed]

    def latency(self, operation: str) -> float:
        """Seconds by which this call is held up."""
        fault = self.take(operation, frozenset({LATENCY}))
        return fault.seconds if fault else 0.0

    def take(self, operation: str, kinds: frozenset[str]) -> F | None:
        """Return the failure of one of these kinds that this call meets, and use it up by one.

        Of several the one that was added first is used up first.
        """
        for armed in self._armed:
            if armed.fault.kind not in kinds or armed.fault.operation not in ("*", operation):
                continue
            if armed.skip:
                armed.skip -= 1
                continue
            if armed.left is not None:
                armed.left -= 1
                if not armed.left:
                    self._armed.remove(armed)
            return armed.fault
        return None
