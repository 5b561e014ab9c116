"""One start of a component: the whole way from checked inputs to written outputs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from runner.embedded import EmbeddedOptions, embedded
from runner.ending import interrupted, outputs_of, refused, require_success
from runner.errors import StopFailed
from runner.events import Level, Notice, Phase, Status
from runner.job import Component, Job, Sink
from runner.signals import Stopping, stop_signals
from runner.sinks.console import console
from runner.sinks.jsonl import JsonLines
from runner.sinks.kfp_ui import KfpUi
from runner.sinks.outputs import write_outputs
from runner.sinks.pump import aside
from runner.spec import METRICS, UI_METADATA
from runner.supervise import Run, launched


@dataclass(frozen=True, slots=True)
class Options:
    """How to run, beside what to run."""

    events: Path | None = None
    """File that takes every event as a line of JSON."""
    time_limit: float | None = None
    """Seconds after which the job is stopped."""
    local: EmbeddedOptions | None = None
    """Run on the provider's embedded cloud."""
    stop_on_exit: bool = True
    """Whether leaving stops the job."""
    outputs: Mapping[str, Path] = field(default_factory=dict)
    """Output → file."""
    ui: Mapping[str, Path] = field(default_factory=dict)
    """Output for the pipeline UI → file."""
    warnings: Sequence[str] = ()


async def run_step(
    component: Component, connection: AbstractAsyncContextManager[Job], options: Options
) -> Status:
    """Run a job to its end and write its outputs; return its final status.

    Raises `JobFailed`, `Interrupted`, or what the launch raised. `connection` is entered after the embedded cloud, if
    any, is up.
    """
    with stop_signals(options.time_limit, last=True) as stopping:
        try:
            async with (
                _cloud(component, options),
                connection as job,
                _launched(job, stopping, options) as run,
            ):
                status = await run.finished()
                if status.phase is Phase.SUCCEEDED:
                    await _write(job, options.outputs)
        except BaseException as error:
            _end(stopping, error)
            raise
    require_success(job.name, status)
    return status


@asynccontextmanager
async def _launched(job: Job, stopping: Stopping, options: Options) -> AsyncIterator[Run]:
    sinks: list[Sink] = [console()]
    if options.ui:
        sinks.append(KfpUi(options.ui.get(UI_METADATA.name), options.ui.get(METRICS.name)))
    if options.events:
        sinks.append(JsonLines(options.events))
    notices = [Notice(warning, Level.WARNING) for warning in options.warnings]
    async with launched(
        job, sinks, stopping=stopping, stop_on_exit=options.stop_on_exit, notices=notices
    ) as run:
        yield run


def _cloud(component: Component, options: Options) -> AbstractAsyncContextManager[object]:
    return nullcontext() if options.local is None else embedded(component.provider, options.local)


async def _write(job: Job, files: Mapping[str, Path]) -> None:
    if files:
        outputs = await outputs_of(job)
        await aside(partial(write_outputs, outputs.model_dump(), files))


def _end(stopping: Stopping, error: BaseException) -> None:
    """Raise what tells best how this ended: the recorded reason decides, not the shape in which it came up."""
    if stopping.reason is not None:
        outcome = str(error) if isinstance(error, StopFailed) else stopping.outcome
        raise interrupted(stopping.reason, outcome) from error
    if refusal := refused(stopping, error):
        raise refusal from error
