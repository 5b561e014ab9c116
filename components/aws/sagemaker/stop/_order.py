"""The order to stop things, behind the engine's five verbs.

`launch()` looks, and sends nothing that changes anything; `describe()` carries the order out and tells what came of it. So
the order is the job: `stop()`, which the engine calls when it is interrupted, has the stops that are under way finished.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import nullcontext, suppress

from components.aws.errors import Denied, Unsupported
from components.aws.sagemaker._api import ENDPOINT, TUNING
from components.aws.sagemaker.stop._ending import Ender
from components.aws.sagemaker.stop._finding import Finder
from components.aws.sagemaker.stop._inputs import StopInputs, StopOutputs
from components.aws.sagemaker.stop._search import Found, noun
from components.aws.session import Aws
from runner.errors import RunnerError, ServiceError
from runner.events import Launched, Level, Notice, Phase, Status
from runner.job import Ended, Feed, StopAnswer

AT_ONCE = 10
"""Stop requests under way at the same time: as many as there are connections."""
KEPT_SECONDS = 20.0
"""How long endpoints that are not to be stopped anyway are looked for, to tell of them."""
TELLING_SECONDS = 1.0
"""How long the closing status waits for what was said before it."""
MOST_LOOKS = 3
"""How often is looked for what a run has running: again after the stops, for a step's launch may be under way meanwhile."""
MOST_TITLES, MOST_REASONS = 10, 5


class StopOrder:
    """Stops what a run, or a list of names, has running."""

    def __init__(self, aws: Aws, component: str, inputs: StopInputs) -> None:
        self._aws = aws
        self._component = component
        self._inputs = inputs
        self._names = inputs.job_names.split(",") if inputs.job_names else []
        self._notices: asyncio.Queue[Notice | None] = asyncio.Queue()
        self._listened = False
        self._finder = Finder(aws, self._tell)
        self._looked = False
        self._work: asyncio.Task[None] | None = None
        self._again: asyncio.Task[None] | None = None
        self._hurried = False
        """Told to stop: nothing is looked for any more."""
        self._ended: dict[str, bool] = {}
        """Title of what was ended → whether by us."""
        self._refused: dict[str, RunnerError] = {}
        self.name = f"the look at {self._whose}" if inputs.dry_run else f"what runs of {self._whose}"
        """What the engine calls it while it can be interrupted; once it is done, the order."""

    @property
    def _whose(self) -> str:
        run, names = self._inputs.run_id, _listed(self._names)
        return " and ".join(part for part in (f"run {run}" if run else "", names) if part)

    @property
    def _title(self) -> str:
        return f"{'dry run of the' if self._inputs.dry_run else 'the'} stop order for {self._whose}"

    @property
    def stop_command(self) -> str:
        """The same order as a command."""
        given = self._inputs.model_dump(exclude={"dry_run"}, exclude_defaults=True)
        words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
        return shlex.join(["kfp-runner", "stop", *words])

    # ── the five verbs ──────────────────────────────────────────────────────────────────────────────────────────────

    async def launch(self) -> Launched:
        """Look for what runs."""
        self._finder = Finder(self._aws, self._tell)
        await self._finder.look(self._inputs.run_id, self._names)
        self._looked = True
        return Launched(self._title, self._component)

    async def describe(self) -> Status:
        """Carry the order out; return its final status."""
        if self._inputs.dry_run:
            for found in self._finder.found:
                self._tell(Notice(f"would stop {found.title}"))
        else:
            await self._carried_out()
        await self._tell_kept()
        await self._all_told()
        self.name = self._title
        return self._status()

    async def stop(self) -> StopAnswer:
        """Finish the stops: of what was found by now, if the look was broken off. Raises what is left undone."""
        if self._inputs.dry_run:
            return StopAnswer.ENDED
        self._hurried = True
        if self._again is not None:
            self._again.cancel()
        await self._carried_out()
        undone = self._undone()
        if not self._looked:
            undone.insert(0, "the look for what runs was broken off")
        if undone:
            raise ServiceError("; ".join(undone))
        return StopAnswer.AGREED if any(self._ended.values()) else StopAnswer.ENDED

    async def outputs(self) -> StopOutputs:
        """Return what was stopped."""
        return StopOutputs(stopped=[found.name for found in self._stopped()])

    def feeds(self) -> Sequence[Feed]:
        """Return what is said on the way."""
        return [self.notices]

    async def notices(self, _ended: Ended) -> AsyncIterator[Notice]:
        """Tell what is found and stopped, as it is."""
        self._listened = True
        try:
            while (notice := await self._notices.get()) is not None:
                yield notice
                self._notices.task_done()
        finally:
            self._listened = False

    async def close(self) -> None:
        """End what is still under way."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait({self._work})
            if not self._work.cancelled():
                self._work.exception()  # Whoever awaited it has had it.

    # ── stopping ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _carried_out(self) -> None:
        """Wait for the stops, which begin with the first to wait; a waiter that is cancelled doesn't break them off."""
        if self._work is None:
            self._work = asyncio.create_task(self._end_all(), name=f"stops of {self._whose}")
        await asyncio.shield(self._work)

    async def _end_all(self) -> None:
        ender = Ender(self._aws, self._component, self._finder, self._tell)
        await self._round(self._finder.found, ender, asyncio.Semaphore(AT_ONCE), MOST_LOOKS - 1)

    async def _round(
        self, found: Sequence[Found], ender: Ender, places: asyncio.Semaphore, looks: int
    ) -> None:
        """End what a look has found, and then what came meanwhile. Nothing waits for endpoints, which may take long."""
        endpoints = [each for each in found if each.kind is ENDPOINT]
        jobs = [each for each in found if each.kind is not ENDPOINT]

        async def stopped() -> None:
            await self._end_jobs(jobs, ender, places)
            if found and looks and (new := await self._new()):
                await self._round(new, ender, places, looks - 1)

        await asyncio.gather(stopped(), *(self._end(each, ender, places) for each in endpoints))

    async def _new(self) -> list[Found]:
        """Look again; return what was not known before."""
        if self._hurried or not self._inputs.run_id:
            return []
        before = {found.title for found in self._finder.found}
        self._again = asyncio.create_task(self._finder.look_again(self._inputs.run_id))
        try:
            await asyncio.wait({self._again})
        finally:
            self._again.cancel()
            await asyncio.gather(self._again, return_exceptions=True)
        if not self._again.cancelled():
            self._again.result()
        return [found for found in self._finder.found if found.title not in before]

    async def _end_jobs(self, jobs: Sequence[Found], ender: Ender, places: asyncio.Semaphore) -> None:
        """Stop jobs; a child only by itself if its tuning job could not be stopped, which would start another."""
        tuning = [each for each in jobs if each.kind is TUNING]
        parents = {each.arn: each.title for each in self._finder.found if each.kind is TUNING}
        children = [each for each in jobs if each.parent in parents]
        others = [each for each in jobs if each.kind is not TUNING and each.parent not in parents]

        async def families(stops: Awaitable[object]) -> None:
            await stops
            orphans = [child for child in children if parents[child.parent] in self._refused]
            if rest := len(children) - len(orphans):
                told = _count(rest, "training job")
                self._tell(Notice(f"left to the service: {told}, which it stops with the tuning jobs"))
            await asyncio.gather(*(self._end(orphan, ender, places) for orphan in orphans))

        # The tuning jobs' requests are scheduled first; nothing but their children waits for the answers.
        stops = asyncio.gather(*(self._end(each, ender, places) for each in tuning))
        await asyncio.gather(families(stops), *(self._end(other, ender, places) for other in others))

    async def _end(self, found: Found, ender: Ender, places: asyncio.Semaphore) -> None:
        try:
            # An endpoint may be waited for, and must not keep a place from what can be stopped now.
            async with nullcontext() if found.kind is ENDPOINT else places:
                by_us = await ender.end(found)
        except RunnerError as error:
            self._refused[found.title] = error
            by_hand = f"it may still run and cost money; stop it with: {ender.by_hand(found)}"
            self._tell(Notice(f"could not stop {found.title}: {error}; {by_hand}", Level.ERROR))
        else:
            self._ended[found.title] = by_us
            self._tell(
                Notice(f"stopped {found.title}" if by_us else f"{found.title} needed no stop any more")
            )

    # ── telling ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _tell(self, notice: Notice) -> None:
        self._notices.put_nowait(notice)

    async def _tell_kept(self) -> None:
        """Tell of the run's endpoints that were made already: they are its product, and go on to cost money."""
        if not self._inputs.run_id or f"{noun(ENDPOINT)}s" in self._finder.gaps:
            return
        try:
            async with asyncio.timeout(KEPT_SECONDS):
                for endpoint in await self._finder.kept(self._inputs.run_id):
                    self._tell(Notice(f"{endpoint} is the run's product: left as it is", Level.WARNING))
        except Unsupported:
            return  # No endpoints here, as was said before.
        except (RunnerError, TimeoutError) as error:
            why = str(error) or "it takes too long"
            self._tell(Notice(f"whether the run left endpoints in service could not be looked up: {why}"))

    async def _all_told(self) -> None:
        """Let what was said be heard before the closing status."""
        if self._listened:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._notices.join(), TELLING_SECONDS)
        self._notices.put_nowait(None)

    def _stopped(self) -> list[Found]:
        if self._inputs.dry_run:
            return list(self._finder.found)
        return [found for found in self._finder.found if self._ended.get(found.title)]

    def _undone(self) -> list[str]:
        gaps = [f"could not look at {what}: {error}" for what, error in self._finder.gaps.items()]
        return gaps + [f"could not stop {title}: {error}" for title, error in self._refused.items()]

    def _status(self) -> Status:
        stopped, undone = self._stopped(), self._undone()
        count = _count(len(stopped), "job") if stopped else "nothing"
        done = f"{'would stop' if self._inputs.dry_run else 'stopped'} {count}"
        message = f"{done}: {_listed([found.title for found in stopped])}" if stopped else done
        facts = {done.removesuffix(f" {count}"): count}
        unknown = [f"no job here is called {name}" for name in self._finder.unknown]
        if not undone and not unknown:
            return Status(Phase.SUCCEEDED, message=message, facts=facts)
        reason = _cut_short([*undone, *unknown])
        if not undone:
            hint = "Compare the names with --region and the account, and leave out what was never made."
            return Status(Phase.FAILED, message=message, reason=reason, hint=hint, facts=facts)
        errors = [*self._finder.gaps.values(), *self._refused.values()]
        denied = (
            "grant what is refused to the role that this step runs as, and " if _any_denied(errors) else ""
        )
        hint = f"What it names may still run and cost money: {denied}run it again; what is stopped stays stopped."
        return Status(Phase.FAILED, message=message, reason=reason, hint=hint, facts=facts)


def _any_denied(errors: Sequence[RunnerError]) -> bool:
    return any(isinstance(error, Denied) for error in errors)


def _count(many: int, noun: str) -> str:
    return f"{many} {noun}" + ("" if many == 1 else "s")


def _cut_short(reasons: Sequence[str]) -> str:
    more = f"; and {len(reasons) - MOST_REASONS} more" if len(reasons) > MOST_REASONS else ""
    return "; ".join(reasons[:MOST_REASONS]) + more


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MOST_TITLES])
    return shown + (f" and {len(names) - MOST_TITLES} more" if len(names) > MOST_TITLES else "")
