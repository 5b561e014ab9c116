"""Failures on order, for tests: the embedded cloud misbehaves as AWS does on a bad day.

    kind            what happens to a matching call
    throttle        400 ThrottlingException (S3: 503 SlowDown); not carried out
    error_before    500 InternalFailure; not carried out
    error_after     500 InternalFailure; carried out, the answer is lost
    drop_before     the connection is closed; not carried out
    drop_after      the connection is closed; carried out, the answer is lost
    expired_token   400 ExpiredTokenException; not carried out
    access_denied   400 AccessDeniedException; not carried out
    latency         it waits `seconds`, then goes on; adds to any other fault
    empty_page      FilterLogEvents: a page without events but with a token, as AWS may answer at any time
    late            PutLogEvents: events become readable `seconds` after they were written
    shuffle         PutLogEvents: each event becomes readable after 0 … `seconds`, so events overtake each other

The operation of the last two is `PutLogEvents` also for what a training container writes. `times` counts calls, and
events for these two. Of several matching faults (`latency` apart) the one added first is used up first.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

OUTCOMES = frozenset(
    {
        "throttle",
        "error_before",
        "error_after",
        "drop_before",
        "drop_after",
        "expired_token",
        "access_denied",
    }
)
LOG_KINDS = frozenset({"late", "shuffle"})
KINDS = OUTCOMES | LOG_KINDS | {"latency", "empty_page"}


@dataclass(frozen=True, slots=True)
class Fault:
    """One failure on order. Raises ValueError for a kind that does not exist or a senseless number."""

    operation: str
    """`CreateTrainingJob`, `PutObject`, …; `*` stands for every operation."""
    kind: str
    times: int | None = 1
    """How often; None: until cleared."""
    seconds: float = 0.0
    """For `latency`, `late` and `shuffle`."""
    skip: int = 0
    """How many matching calls pass unharmed first."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no fault of kind {self.kind!r}; there are: {', '.join(sorted(KINDS))}")
        if self.seconds < 0 or self.skip < 0 or (self.times is not None and self.times < 1):
            raise ValueError("seconds and skip must not be negative, times must be at least 1")


@dataclass(slots=True)
class _Armed:
    fault: Fault
    skip: int
    left: int | None


@dataclass(slots=True)
class Faults:
    """The faults on order. Without `enabled` it takes none, so that nothing but a test can arm one."""

    enabled: bool = False
    _armed: list[_Armed] = field(default_factory=list)
    _random: random.Random = field(default_factory=lambda: random.Random(0))

    def add(self, *faults: Fault) -> None:
        """Order faults. Raises RuntimeError unless the server was started with `faults=True`."""
        if not self.enabled:
            raise RuntimeError("faults are off: start the embedded cloud with serve(faults=True)")
        self._armed += [_Armed(fault, fault.skip, fault.times) for fault in faults]

    def add_json(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Order faults written as JSON objects with `Fault`'s fields. Raises ValueError or TypeError."""
        self.add(*[Fault(**row) for row in rows])

    def clear(self) -> None:
        """Take back every fault."""
        self._armed.clear()

    @property
    def pending(self) -> list[Fault]:
        """Faults that are not used up yet."""
        return [armed.fault for armed in self._armed]

    def outcome(self, operation: str) -> str:
        """The kind of failure that this call meets; empty for none. Uses the fault up by one."""
        fault = self._take(operation, OUTCOMES)
        return fault.kind if fault else ""

    def latency(self, operation: str) -> float:
        """Seconds by which this call is held up."""
        fault = self._take(operation, frozenset({"latency"}))
        return fault.seconds if fault else 0.0

    def empty_page(self, operation: str) -> bool:
        """Whether this page is to be empty though more follows."""
        return self._take(operation, frozenset({"empty_page"})) is not None

    def ingestion_delay(self) -> float:
        """Seconds after which the next log event becomes readable."""
        fault = self._take("PutLogEvents", LOG_KINDS)
        if fault is None:
            return 0.0
        return self._random.uniform(0, fault.seconds) if fault.kind == "shuffle" else fault.seconds

    def _take(self, operation: str, kinds: frozenset[str]) -> Fault | None:
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
