"""How long to wait for what."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """All in seconds."""

    poll_first: float = 1.0
    """Between the first two reads of the status; after any news, again."""
    poll_longest: float = 30.0
    """Between reads of a status that has not changed for long."""
    launch_patience: float = 120.0
    """How long a service that throttles or breaks is asked again to take the job."""
    connect_patience: float = 15.0
    """How long a service that can't be reached at all is asked again to take the job."""
    drain: float = 300.0
    """How long feeds may go on after the job's end; each bounds itself far below."""


USUAL = Timing()
"""What a step uses."""
