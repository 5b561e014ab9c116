"""How a job's end is told, alike for a step and for several jobs in one process: its outputs, or why there are none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runner.errors import Interrupted, JobFailed, RunnerError, ServiceError, StopFailed, TimeLimitReached
from runner.events import Phase, Status
from runner.inputs import Outputs
from runner.job import Job
from runner.retry import retrying
from runner.signals import NO_JOB, NOTHING_SENT, Reason, Stopping
from runner.sinks.text import one_line

OUTPUT_PATIENCE = 120.0
"""Seconds for which an ended job's outputs are asked for again when the service fails."""


async def outputs_of(job: Job) -> Outputs:
    """Read the outputs of a job that succeeded. Raises `ServiceError`."""
    async for attempt in retrying(lambda _: OUTPUT_PATIENCE):
        with attempt:
            outputs = await job.outputs()
    return outputs


def require_success(name: str, status: Status) -> None:
    """Raise `JobFailed`, which says why, unless the job succeeded."""
    if status.phase is Phase.SUCCEEDED:
        return
    if status.phase is Phase.STOPPED and not status.reason:
        raise JobFailed(f"{name} was stopped by somebody else")
    ended = "was stopped" if status.phase is Phase.STOPPED else "failed"
    # In one line: it is the job's own text, and must not be able to write a last word of its own.
    reason = one_line(status.reason) or "the service gave no reason"
    raise JobFailed(f"{name} {ended}: {reason}" + (f" — {status.hint}" if status.hint else ""))


def interrupted(reason: Reason, outcome: str) -> RunnerError:
    """Return the error that tells why everything ended, and what became of the jobs."""
    text = f"{reason.text}; {outcome}"
    return TimeLimitReached(text) if reason is Reason.TIME_LIMIT else Interrupted(reason.value, text)


def refused(stopping: Stopping, error: BaseException) -> ServiceError | None:
    """Return an error with what became of the job, if it is a refusal in mid-watch: the error itself does not tell."""
    told = stopping.outcome not in {"", NOTHING_SENT, NO_JOB}
    if (stopping.launched or told) and isinstance(error, ServiceError) and not isinstance(error, StopFailed):
        return ServiceError(f"{error}; {stopping.outcome}")
    return None


def leaves(error: BaseException | None) -> Iterator[BaseException]:
    """Iterate over what came up: the error itself, or those in a group, however deep."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from leaves(each)
    elif error is not None:
        yield error


def first_cause(error: BaseException) -> BaseException:
    """Return of what came up together what is told first: a failed stop, else what a user can do something about."""
    found = list(leaves(error))
    failed = [each for each in found if isinstance(each, StopFailed)]
    known = [each for each in found if isinstance(each, RunnerError)]
    return together(failed) if failed else [*known, *found][0]


def together(failures: Sequence[StopFailed]) -> StopFailed:
    """Return several failed stops as one: first what happened to each, then a line for each with how to stop it by hand."""
    if len(failures) == 1:
        return failures[0]
    parts = [str(failure).rsplit("\n", failure.jobs) for failure in failures]
    whats = "; ".join(one_line(what) for what, *_ in parts)
    hows = [how for _, *hows in parts for how in hows]
    return StopFailed("\n".join([whats, *hows]), len(hows))
