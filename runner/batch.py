"""Several jobs in one process: a few lines of async Python instead of a pipeline.

    async with Batch() as batch, asyncio.TaskGroup() as group:
        cold = group.create_task(batch.run("aws.sagemaker.train", "cold", region="eu-west-1", ...))
        warm = group.create_task(batch.run("aws.sagemaker.train", "warm", region="eu-west-1", ...))
    print(cold.result(), warm.result())

A job lives no longer than the call that runs it, and no call outlives its batch. If one job fails, the task group cancels
the others' calls, and that stops their jobs. A signal stops all of them at once, within one deadline; what leaves the batch
is then `Interrupted`, which names what became of each. For a single job there is `run`.

What leaves the batch is one plain error, which `except JobFailed` catches, though a task group wraps what comes up in it. A
stop that could not be confirmed goes before everything else, whether or not anybody waited for its job: see `__aexit__`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self

from runner import catalog, spec
from runner.ending import first_cause, interrupted, leaves, outputs_of, refused, require_success, together
from runner.errors import InputError, RunnerError, ServiceError, StopFailed
from runner.events import Level, Notice
from runner.identity import RUN_ID, Identity
from runner.inputs import Inputs, Outputs
from runner.job import Component, Job, Sink
from runner.signals import Stopping, stop_signals
from runner.sinks.console import console
from runner.supervise import launched
from runner.timing import USUAL, Timing

__all__ = ["Batch", "run"]

_signalled: set[Batch] = set()
"""The batch that has the process's signals, if any."""


def _console(label: str) -> Sequence[Sink]:
    return [console(label=label)]


@dataclass(frozen=True, slots=True)
class _Call:
    """One checked call of `Batch.run`."""

    label: str
    component: Component
    inputs: Inputs
    identity: Identity
    stopping: Stopping
    notices: Sequence[Notice]


class Batch:
    """A scope for jobs: none of them is left running, however it is left."""

    def __init__(
        self,
        *,
        sinks: Callable[[str], Sequence[Sink]] = _console,
        stopping: Stopping | None = None,
        timing: Timing = USUAL,
        time_limit: float | None = None,
        run_id: str = "",
    ) -> None:
        """Prepare a batch; nothing happens before it is entered.

        `sinks`: a job's label → who is told of it; usually standard output, every line with the label.
        `stopping`: whoever owns the process's signals already (see `runner.signals`) says so here, and tells the reason
        and `outcome` afterwards; else the batch takes them for its length, which only the main thread can do, and one
        batch at a time. The owner's time limit is counted from when the batch is entered, too.
        `time_limit`: seconds after which every job is stopped, counted from when the batch is entered.
        `run_id`: with it, a batch that is started again adopts the jobs of the first, told by their labels and inputs.

        Raises `InputError` for a `run_id` that can't be a tag.
        """
        if not RUN_ID.fullmatch(run_id):
            raise InputError(
                f"run_id is {run_id[:60]!r}; it may hold up to 200 letters, digits, blanks and any of _.:/=+-@"
            )
        if stopping is not None and time_limit is not None:
            raise ValueError("a batch under somebody else's signals is under their time limit as well")
        self._sinks = sinks
        self._timing = timing
        self._time_limit = time_limit
        self._run_id = run_id
        self._ours = stopping is None
        self._stopping = stopping or Stopping()
        self._signals = ExitStack()
        self._open = False
        self._cancelling = 0
        self._labels: list[str] = []
        self._jobs: set[asyncio.Task[Outputs]] = set()
        self._stopped: list[_Call] = []
        self._unconfirmed: dict[str, StopFailed] = {}

    async def __aenter__(self) -> Self:
        """Take the signals. Raises `RuntimeError` if another batch has them."""
        task = asyncio.current_task()
        self._cancelling = task.cancelling() if task else 0
        if self._ours:
            if _signalled:
                raise RuntimeError("another batch has the process's signals; run all jobs in one Batch")
            self._stopping = self._signals.enter_context(stop_signals(self._time_limit))
            _signalled.add(self)
        self._stopping.arm()
        self._stopping.listeners.append(self._cancel)
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop what still runs; raise what tells best how this ended.

        Raises `Interrupted` or `TimeLimitReached` after a reason to end of the batch's own. Else `StopFailed`, with every
        job whose stop could not be confirmed, unless they all are on their way up anyhow; that the block caught one of
        them makes no difference, for its job may still run. Else, of a group of `RunnerError`s alone, the first: the
        others are notes on it.
        """
        self._open = False
        cancelled = None
        try:
            cancelled = await self._emptied()
        finally:
            self._stopping.listeners.remove(self._cancel)
            _signalled.discard(self)
            self._signals.close()
        self._stopping.outcome = self._told()
        failed = together([*self._failures()]) if self._unconfirmed else None
        if self._ours and self._stopping.reason is not None:
            self._uncancel()
            raise interrupted(self._stopping.reason, self._stopping.outcome) from failed or error or cancelled
        if failed is not None and not {*self._failures()} <= {*leaves(error)}:
            if other := error or cancelled:
                # A new one: the other may have come of that failure, and they would be each other's cause.
                raise _noted(StopFailed(str(failed), failed.jobs), error) from other
            raise failed
        if error is not None:
            plain = failed or first_cause(error) if _ours_alone(error) else error
            for call in self._stopped:
                plain.add_note(f"{call.label}: {call.stopping.outcome}")
            if plain is not error:
                raise _noted(plain, error) from plain.__cause__
        elif cancelled is not None:
            raise cancelled

    def _failures(self) -> Iterator[StopFailed]:
        """Return what says that a stop could not be confirmed, in the order of the jobs."""
        return (self._unconfirmed[label] for label in self._labels if label in self._unconfirmed)

    async def run(self, component: str, label: str = "", /, **inputs: object) -> Outputs:
        """Run a component by its id to the job's end; return its outputs. A cancellation stops the job.

        `inputs` are the component's own, as Python values or as text; None is the same as not given. `label` names the
        job to people; without one it is the last word of the component's id.

        Raises `InputError`, before anything is sent, that names every wrong input; `JobFailed` with the reason if the job
        ends without success; another `ServiceError` if it can't be launched or watched; `StopFailed` if it could not be
        confirmed that it was stopped.
        """
        if not self._open:
            raise RuntimeError("the batch is not entered, or was left")
        if self._stopping.reason is not None:
            raise interrupted(self._stopping.reason, "nothing had been sent")
        call = self._call(component, label, inputs)
        job = asyncio.create_task(self._job(call), name=f"job {call.label}")
        self._jobs.add(job)
        job.add_done_callback(partial(self._ended, call))
        return await _result(job, call.stopping)

    def _ended(self, call: _Call, job: asyncio.Task[Outputs]) -> None:
        self._jobs.discard(job)
        if job.cancelled() or (job.exception() and call.label in self._unconfirmed):
            self._stopped.append(call)

    def _call(self, name: str, label: str, given: Mapping[str, object]) -> _Call:
        component, label = catalog.load(name), self._unique(label or name.rpartition(".")[2])
        identity = Identity(name, self._run_id, label if self._run_id else "")
        try:
            made = _parsed(component, given)
            component.request(made.inputs, identity)
        except InputError as error:
            raise InputError(f"{label}: {error}") from error
        notices = [Notice(warning, Level.WARNING) for warning in made.warnings]
        return _Call(label, component, made.inputs, identity, self._stopping.branch(), notices)

    def _unique(self, label: str) -> str:
        numbered = (label if n == 1 else f"{label}-{n}" for n in range(1, len(self._labels) + 2))
        chosen = next(one for one in numbered if one not in self._labels)
        self._labels.append(chosen)
        return chosen

    async def _job(self, call: _Call) -> Outputs:
        try:
            async with call.component.connect(call.inputs, call.identity) as job:
                return await self._watched(call, job)
        except ServiceError as error:
            if refusal := refused(call.stopping, error):
                raise refusal from error
            raise

    async def _watched(self, call: _Call, job: Job) -> Outputs:
        sinks, stopping = self._sinks(call.label), call.stopping
        try:
            async with launched(
                job, sinks, timing=self._timing, stopping=stopping, notices=call.notices
            ) as scope:
                require_success(job.name, await scope.finished())
                return await outputs_of(job)
        except StopFailed as error:
            # Noted here: while the connection is closed, a cancellation may yet take its place.
            self._unconfirmed[call.label] = error
            raise

    def _cancel(self) -> None:
        """Stop every job, now: the tasks that wait for them may have something else to do first."""
        for job in self._jobs:
            job.cancel()

    async def _emptied(self) -> asyncio.CancelledError | None:
        """Stop what nobody waits for any more, each within its deadline; return the cancellation that came meanwhile."""
        cancelled = None
        for job in self._jobs:
            if not job.cancelling():
                job.cancel()
        while self._jobs:
            try:
                await asyncio.wait(self._jobs)
            except asyncio.CancelledError as error:
                cancelled = error
        return cancelled

    def _uncancel(self) -> None:
        """Take back the cancellations by which the signals came: an error of ours takes their place."""
        task = asyncio.current_task()
        while task is not None and task.cancelling() > self._cancelling:
            task.uncancel()

    def _told(self) -> str:
        """What became of each job that did not end by itself; first lines first."""
        firsts, others = [], []
        for call in sorted(self._stopped, key=lambda call: self._labels.index(call.label)):
            first, _, rest = call.stopping.outcome.partition("\n")
            before = f"{call.label}: " if len(self._labels) > 1 else ""
            firsts.append(before + first)
            others += [before + rest] if rest else []
        return "\n".join(["; ".join(firsts) or "no job was running", *others])


async def run(component: str, /, **inputs: object) -> Outputs:
    """Run one component by its id, in a batch of its own; return its outputs. See `Batch.run`.

    On a terminal its log stands above a live footer. Raises `Interrupted` after a signal, too.
    """
    async with Batch(sinks=lambda _: [console()]) as batch:
        return await batch.run(component, **inputs)


def _ours_alone(error: BaseException) -> bool:
    """Whether it is a group with nothing in it but errors whose text is for the user."""
    return isinstance(error, BaseExceptionGroup) and all(isinstance(e, RunnerError) for e in leaves(error))


def _noted(error: BaseException, others: BaseException | None) -> BaseException:
    """Return the error, with a note for every other one of ours that came up with it."""
    for other in leaves(others):
        if isinstance(other, RunnerError) and not isinstance(other, StopFailed) and other is not error:
            error.add_note(f"at the same time: {other}")
    return error


def _parsed(component: Component, given: Mapping[str, object]) -> spec.Call:
    for output in (*spec.arguments(component.outputs), *spec.UI_OUTPUTS):
        if (path := output.path_argument) in given:
            raise InputError(f"--{path} names a file, but here outputs are returned; leave it out")
    return spec.parse(component, ((name, value) for name, value in given.items() if value is not None))


async def _result(job: asyncio.Task[Outputs], stopping: Stopping) -> Outputs:
    """Wait for a task to end; hand on a cancellation once, since what it begins takes time, and again if a user insists."""
    cancelled = None
    while not job.done():
        try:
            await asyncio.wait({job})
        except asyncio.CancelledError as error:
            cancelled = error
            if not job.cancelling() or stopping.forced:
                job.cancel()
    if cancelled is not None and not job.cancelled() and job.exception() is None:
        raise cancelled
    return job.result()
