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
from dataclasses import dataclass
from typing import ClassVar

from runner.emulation import faults

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


@dataclass(frozen=True, slots=True)
class Fault(faults.Fault):
    """One failure on order, of `CreateTrainingJob`, `PutObject` and so on.

    Raises ValueError for a kind that does not exist or a senseless number.
    """

    KINDS: ClassVar[frozenset[str]] = OUTCOMES | LOG_KINDS | {faults.LATENCY, "empty_page"}


class Faults(faults.Faults[Fault]):
    """The faults on order."""

    def __init__(self, *, enabled: bool) -> None:
        super().__init__(Fault, enabled)
        self._random = random.Random(0)

    def outcome(self, operation: str) -> str:
        """The kind of failure that this call meets; empty for none. Uses the fault up by one."""
        fault = self.take(operation, OUTCOMES)
        return fault.kind if fault else ""

    def empty_page(self, operation: str) -> bool:
        """Whether this page is to be empty though more follows."""
        return self.take(operation, frozenset({"empty_page"})) is not None

    def ingestion_delay(self) -> float:
        """Seconds after which the next log event becomes readable."""
        fault = self.take("PutLogEvents", LOG_KINDS)
        if fault is None:
            return 0.0
        return self._random.uniform(0, fault.seconds) if fault.kind == "shuffle" else fault.seconds
