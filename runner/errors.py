"""The errors of the engine.

    RunnerError                      exit
    ├── InputError                   2     an argument is wrong; nothing was sent
    ├── JobFailed                    1     the remote job ended without success
    │   └── TimeLimitReached         1     it was stopped because its time was up
    ├── ServiceError                 3     the service refused, or can't be reached
    │   ├── Transient                3     may pass by itself: worth another try
    │   │   ├── Throttled            3     too many calls; certainly not carried out
    │   │   └── Unreachable          3     no connection could be made; certainly not carried out
    │   ├── NotFound                 3     the service knows no such thing
    │   ├── NameTaken                3     a job that is not ours has the name
    │   └── StopFailed               3     a stop could not be confirmed: the job may still cost money
    └── Interrupted                  128+n a signal ended the step

An error's text is for the user: what happened, where, what to do. Its first line stands alone.
"""

from __future__ import annotations

import signal


class RunnerError(Exception):
    """Something the user has to know went wrong."""

    exit_code = 1


class InputError(RunnerError):
    """An argument is wrong; nothing was sent."""

    exit_code = 2


class JobFailed(RunnerError):
    """The remote job ended without success."""

    exit_code = 1


class TimeLimitReached(JobFailed):
    """The job was stopped because its time limit was reached."""


class ServiceError(RunnerError):
    """The service refused a call, or can't be reached."""

    exit_code = 3


class Transient(ServiceError):
    """A failure that may pass by itself."""

    ambiguous = True
    """Whether the call may have been carried out all the same: its answer was lost, or the service broke in mid-work."""


class Throttled(Transient):
    """The service asks for fewer calls; this one was certainly not carried out."""

    ambiguous = False


class Unreachable(Transient):
    """No connection could be made; the call was certainly not carried out."""

    ambiguous = False


class NotFound(ServiceError):
    """The service knows no such thing."""


class NameTaken(ServiceError):
    """A job that is not ours has the name; it was not touched."""


class StopFailed(ServiceError):
    """A stop could not be confirmed: the remote job may still run and cost money."""

    def __init__(self, text: str, jobs: int = 1) -> None:
        super().__init__(text)
        self.jobs = jobs
        """How many jobs it is about. As many lines end the text, and say how each is stopped by hand."""


class Interrupted(RunnerError):
    """A signal ended the step."""

    def __init__(self, number: signal.Signals, text: str = "") -> None:
        super().__init__(text or f"interrupted by {number.name}")
        self.number = number
        self.exit_code = 128 + number
