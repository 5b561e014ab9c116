"""What the engine asks of a remote job, its feeds and its sinks; and what a component is made of.

**The job contract.** Five verbs, all idempotent, none of which waits for the job:

1. `launch()` makes *one* attempt to submit. A job of the same name that is ours is adopted. Raising `Transient` asks the
   engine to try again later; after an ambiguous one the job may exist all the same, so the next attempt that finds the
   name in use has to look whose it is. `NameTaken` says that the name belongs to somebody else's job.
2. `describe()` reads the present status.
3. `stop()` asks the service to stop, and tells what it found (`StopAnswer`). It never touches a job that is not ours, so
   after a launch whose answer was lost it looks first.
4. `outputs()` reads what the ended job has made.
5. `feeds()` lists what to follow beside the status. A feed learns of the job's end through `ended`, drains, and returns.

A job may also have

* `resumes`: true where an earlier start of the same step may have launched it. Then leaving asks for a stop though this
  start's own attempts never got through, and `stop()` looks for that job.
* `breaks_off`: true where a launch may be cancelled at any moment, because the job knows, or finds out in `stop()`, what
  became of it. Else an attempt under way is finished: a Create that was cancelled may have been carried out.
* `news`: an `asyncio.Event` that the job sets when it has heard that its status changed: it is then read at once.
* `outcome`: what came of the last `stop()` in the job's own words; blank for the engine's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Protocol

from runner.events import Event, Launched, LogLine, LogSummary, Metric, Notice, Status, Trial
from runner.identity import Identity
from runner.inputs import Inputs, Outputs


class Ended(Protocol):
    """Turns true, once, when the job has ended; an `asyncio.Event` is one."""

    def is_set(self) -> bool:
        """Whether the job has ended."""
        ...

    async def wait(self) -> object:
        """Return when the job has ended."""
        ...


FeedEvent = LogLine | Metric | Trial | Notice | LogSummary
Feed = Callable[[Ended], AsyncIterator[FeedEvent]]
"""Telemetry of one job. Best effort: a feed that raises is reported once and never fails the job."""


class StopAnswer(Enum):
    """What came of a stop request."""

    AGREED = auto()
    """The service agreed to stop the job, or is stopping it already."""
    ENDED = auto()
    """The job had ended."""
    UNKNOWN = auto()
    """The service knows no such job."""
    NOT_OURS = auto()
    """There is a job of that name that can't be proved to be ours; it was not touched."""
    GOES_ON = auto()
    """The service can't stop such a job: it goes on, and ends by itself."""


class Job(Protocol):
    """One remote job. See the module's docstring for the contract."""

    @property
    def name(self) -> str:
        """The name by which the service knows the job; chosen before anything is sent."""
        ...

    @property
    def stop_command(self) -> str:
        """A shell command that stops the job by hand."""
        ...

    async def launch(self) -> Launched:
        """Submit the job, or adopt it if it is already there: one attempt."""
        ...

    async def describe(self) -> Status:
        """Read the job's status."""
        ...

    async def stop(self) -> StopAnswer:
        """Ask the service to stop the job; return when it has answered."""
        ...

    async def outputs(self) -> Outputs:
        """Read the ended job's outputs."""
        ...

    def feeds(self) -> Sequence[Feed]:
        """What to follow beside the status."""
        ...


class Sink(Protocol):
    """Shows events to somebody. Sinks are isolated: one that raises is switched off with one warning.

    A sink may also have `label`, `progress` and `unshown`, which are told in `runner.publish`.
    """

    async def write(self, event: Event) -> None:
        """Take one event; called in order, never twice at once."""
        ...

    async def close(self) -> None:
        """Everything has been written; release what you hold."""
        ...


@dataclass(frozen=True, slots=True)
class Component:
    """One component, whole: argv, component.yaml, README and the job all come from this value."""

    name: str
    """Display name in the Kubeflow Pipelines UI."""
    summary: str
    """One sentence for listings."""
    inputs: type[Inputs]
    outputs: type[Outputs]
    request: Callable[[Any, Identity], Mapping[str, Any]]
    """Inputs → operation → the exact body that would be sent; pure. Raises `InputError` naming the argument."""
    check: Callable[[Any, Identity], Awaitable[None]]
    """Checks the request against the service's own model, without a connection. Raises `InputError`."""
    connect: Callable[[Any, Identity], AbstractAsyncContextManager[Job]]
    """Inputs → a job, checked, with credentials and clients at hand for the length of the context. What may take long is
    done here, where it can be broken off: once `launch` is called, its request goes out."""
    attach: Callable[[Any, str], AbstractAsyncContextManager[Job]]
    """Where to connect, and a name → the job of that name, to be watched."""
    where: type[Inputs] = Inputs
    """Those of the inputs that tell where to connect, which is all that attaching to a running job needs."""
    provider: str = ""
    """Name of the embedded cloud that `--local` starts."""
    deviations: tuple[str, ...] = ()
    """Where the component leaves its predecessor on purpose; listed in its README."""
    notes: str = ""
    """What else its README says, in Markdown: forms of files, limits."""
    preparation: str = ""
    """Shell lines that make the files which the example needs."""
    example: str = ""
    """Arguments of a run on the embedded cloud, shown in the README and run by the tests."""
