"""What a job tells: the frozen values that flow from jobs to sinks.

The way is one: a job's feeds and its status make events, sinks show them. Times are seconds since the Unix epoch (UTC).
All text in an event may come from the job itself, so a sink treats it as hostile: see `runner.sinks.text`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Phase(StrEnum):
    """Where a remote job stands, whatever words its service uses."""

    PENDING = "Pending"
    RUNNING = "Running"
    STOPPING = "Stopping"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    STOPPED = "Stopped"

    @property
    def final(self) -> bool:
        """True once the service will never change it again."""
        return self in _FINAL


_FINAL = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.STOPPED})


@dataclass(frozen=True, slots=True)
class Metric:
    """One reading of a named number. `final` marks the service's own last word, which corrects earlier readings."""

    name: str
    value: float
    time: float = 0.0
    stream: str = ""
    final: bool = False


@dataclass(frozen=True, slots=True)
class Launched:
    """The job is on the service's books. Nothing but notices comes before it."""

    job: str
    component: str
    adopted: bool = False
    """True when it was there already and was re-attached to."""
    links: Mapping[str, str] = field(default_factory=dict)
    """Label → URL of a page that shows the job to a person."""
    stages: tuple[str, ...] = ()
    """The stages (values of `Status.stage`) that a job of this kind passes through, in order."""


@dataclass(frozen=True, slots=True)
class Status:
    """What the service says of the job. Two equal statuses are the same news, shown once."""

    phase: Phase
    state: str = ""
    """The service's own word for the phase (`InProgress`)."""
    stage: str = ""
    """The service's finer word within it (`Downloading`)."""
    message: str = ""
    """The service's sentence about the stage."""
    reason: str = ""
    """Why it failed or was stopped, in the service's words; empty otherwise."""
    hint: str = ""
    """What to do about `reason`, in plain words, where the cause is a known one."""
    brief: bool = False
    """The present stage usually ends within seconds: poll faster."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Label → fact of an ended job for the closing line (billed time, artifact)."""
    metrics: tuple[Metric, ...] = ()
    """The service's own list of final metrics, present once the job has ended."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that the job wrote. `late`: its time lies behind what had been shown before it."""

    text: str
    stream: str = ""
    time: float = 0.0
    late: bool = False


@dataclass(frozen=True, slots=True)
class Trial:
    """One child of a search over hyperparameters."""

    name: str
    phase: Phase
    parameters: Mapping[str, str] = field(default_factory=dict)
    objective: float | None = None
    best: bool = False


class Level(StrEnum):
    """How loud a notice is."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence of our own about the watching: throttled, re-attached, stop sent."""

    text: str
    level: Level = Level.INFO


@dataclass(frozen=True, slots=True)
class LogSummary:
    """The log is complete as far as the service has it: the last word of a log feed."""

    lines: int
    late: int = 0
    complete: bool = True
    """False when the closing sweep had to be given up; more lines may exist."""


@dataclass(frozen=True, slots=True)
class Finished:
    """Nothing more will come: always the last event of a job that was watched to its end."""

    status: Status
    seconds: float
    """From launch to end as this process saw it."""
    lines: int = 0
    late: int = 0


Event = Launched | Status | LogLine | Metric | Trial | Notice | LogSummary | Finished
"""Everything a sink may be given."""
