"""Finds what runs: by a pipeline run's tag, or by name. Reads only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from components.aws.errors import Unsupported
from components.aws.sagemaker._api import ENDPOINT, TRAINING, TUNING, Kind
from components.aws.sagemaker.stop._search import (
    KEPT,
    KINDS,
    Found,
    candidates,
    listing,
    noun,
    rows_key,
    running,
)
from components.aws.session import Aws
from runner.errors import NotFound, RunnerError, Throttled, Transient, Unreachable
from runner.events import Level, Notice, Phase
from runner.identity import RUN_TAG
from runner.limits import SHARED
from runner.retry import retrying

TRAINING_LIST_RATE, TRAINING_LIST_BURST = 2.0, 2.0
"""Calls per second of ListTrainingJobs: what an account is granted, and it can't be raised."""
LIST_RATE, LIST_BURST = 5.0, 5.0
"""The same for each other list, whose limits are not published; a throttle lowers it."""
READ_RATE, READ_BURST = 10.0, 20.0
"""And for ListTags and the descriptions."""
PATIENCE, THROTTLED_PATIENCE, CONNECT_PATIENCE = 60.0, 120.0, 15.0
"""Seconds for which a call that fails by no fault of ours is made again."""

Tell = Callable[[Notice], None]


class Finder:
    """Looks, and what came of them."""

    def __init__(self, aws: Aws, tell: Tell) -> None:
        self._aws = aws
        self._tell = tell
        self._found: dict[tuple[str, str], Found] = {}
        self._answered = False
        self._slow: set[str] = set()
        self._judged: set[str] = set()
        """ARNs of all whose tags were looked up."""
        self._orphans: set[str] = set()
        """Training jobs that were found to have no tuning job."""
        self._unlistable: set[str] = set()
        """Nouns of the kinds that could not be listed."""
        self.gaps: dict[str, RunnerError] = {}
        """What could not be looked at → why."""
        self.unknown: list[str] = []
        """Names that nothing has."""

    @property
    def found(self) -> Sequence[Found]:
        """What is to be stopped, kind by kind, sorted by name."""
        order = [kind.noun for kind in KINDS]
        return sorted(self._found.values(), key=lambda f: (order.index(f.kind.noun), f.name))

    async def look(self, run_id: str, names: Sequence[str]) -> None:
        """Find what a run, if one is given, and jobs of these names have running.

        What can't be looked at becomes a gap. Raises the first reason where nothing could be looked at at all.
        """
        kinds = KINDS if run_id else ()
        await asyncio.gather(*(self._of_run(k, run_id) for k in kinds), *(self._named(n) for n in names))
        if self.gaps and not self._answered:
            raise next(iter(self.gaps.values()))
        await self._tell_families()

    async def look_again(self, run_id: str) -> None:
        """Find what a run has had made meanwhile. What could not be listed before is not asked for again."""
        kinds = [kind for kind in KINDS if kind.noun not in self._unlistable]
        await asyncio.gather(*(self._of_run(kind, run_id) for kind in kinds))
        await self._tell_families()

    async def _tell_families(self) -> None:
        """Find out which training jobs are a tuning job's, if there is one."""
        if any(found.kind is TUNING for found in self._found.values()):
            children = [f for f in self._found.values() if f.kind is TRAINING and not f.parent]
            await asyncio.gather(
                *(self._parent(child) for child in children if child.name not in self._orphans)
            )

    async def kept(self, run_id: str) -> list[str]:
        """Return the titles of a run's endpoints that are made already, each with its state. May raise what calls raise."""
        told: list[str] = []

        async def judged(row: Mapping[str, Any], state: str) -> None:
            with suppress(NotFound):  # Gone since it was listed.
                if await self.run_of(row[ENDPOINT.arn_key]) == run_id:
                    told.append(f"{noun(ENDPOINT)} {row[ENDPOINT.name_key]} ({state})")

        for state in KEPT:
            rows: list[Mapping[str, Any]] = []
            await self._list(ENDPOINT, state, rows)
            await asyncio.gather(*(judged(row, state) for row in rows))
        return sorted(told)

    # ── by run ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _of_run(self, kind: Kind, run_id: str) -> None:
        rows: list[Mapping[str, Any]] = []
        try:
            for state in running(kind):
                await self._list(kind, state, rows)
        except Unsupported as error:
            self._answered = True
            self._unlistable.add(kind.noun)
            self._tell(Notice(f"{noun(kind)}s are not known here: {error}"))
        except RunnerError as error:  # What was listed before may be the run's all the same.
            self._unlistable.add(kind.noun)
            self._miss(f"{noun(kind)}s", error)
        await asyncio.gather(*(self._judge(kind, row, run_id) for row in rows))

    async def _list(self, kind: Kind, state: str, rows: list[Mapping[str, Any]]) -> None:
        """Add all rows of a list. A page may be empty, and yet have a next one: a filter is applied after the paging."""
        body, token = listing(state), None
        rate = (TRAINING_LIST_RATE, TRAINING_LIST_BURST) if kind is TRAINING else (LIST_RATE, LIST_BURST)
        while True:
            page = await self._read(f"{kind.method('list')}s", *rate, **body)
            rows += page.get(rows_key(kind), ())
            before, token = token, page.get("NextToken")
            if not token or token == before:
                return
            body["NextToken"] = token

    async def _judge(self, kind: Kind, row: Mapping[str, Any], run_id: str) -> None:
        name, arn = row[kind.name_key], row[kind.arn_key]
        if arn in self._judged:
            return
        try:
            if await self.run_of(arn) == run_id:
                self._add(Found(kind, name, arn, run_id))
        except NotFound:
            return  # Gone since it was listed.
        except RunnerError as error:
            self._miss(f"the tags of {noun(kind)}s", error)
        self._judged.add(arn)

    async def run_of(self, arn: str) -> str:
        """Return the run that something belongs to; blank for none."""
        answer = await self.read("list_tags", ResourceArn=arn, MaxResults=100)
        return next((str(t["Value"]) for t in answer["Tags"] if t["Key"] == RUN_TAG), "")

    async def _parent(self, child: Found) -> None:
        """Find out which tuning job has started a training job, if one has."""
        try:
            described = await self.read(child.kind.method("describe"), **{child.kind.name_key: child.name})
        except RunnerError:
            self._orphans.add(child.name)
            return  # Not known to be a child: it bears the run's tag itself, and is stopped by itself.
        parent = described.get("TuningJobArn", "")
        self._orphans |= set() if parent else {child.name}
        self._add(replace(child, parent=parent))

    # ── by name ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _named(self, name: str) -> None:
        """Look in every kind of job. What has ended is said and no failure; that no job has the name is a mistake."""
        kinds = candidates(name)
        answers = await asyncio.gather(*(self._described(kind, name) for kind in kinds))
        known = False
        for kind, answer in zip(kinds, answers, strict=True):
            if isinstance(answer, Mapping):
                known = True
                self._sort_in(kind, name, answer)
        if known:
            return
        refused = [(k, a) for k, a in zip(kinds, answers, strict=True) if isinstance(a, RunnerError)]
        for kind, error in refused:
            self._miss(f"{noun(kind)} {name}", error)
        if not refused:
            self.unknown.append(name)
            self._tell(Notice(f"no job here is called {name}: nothing to stop", Level.WARNING))

    async def _described(self, kind: Kind, name: str) -> Mapping[str, Any] | RunnerError | None:
        """Return a description; what refused it; None where there is nothing of that name."""
        try:
            return await self.read(kind.method("describe"), **{kind.name_key: name})
        except (NotFound, Unsupported):
            self._answered = True
            return None
        except RunnerError as error:
            return error

    def _sort_in(self, kind: Kind, name: str, described: Mapping[str, Any]) -> None:
        state = described[kind.status_key]
        found = Found(kind, name, described[kind.arn_key], parent=described.get("TuningJobArn", ""))
        if state in running(kind):
            self._add(found)
        elif kind.phases.get(state) is Phase.STOPPING:
            self._tell(Notice(f"{found.title} is being stopped already ({state})"))
        else:
            self._tell(Notice(f"{found.title} has ended already ({state})"))

    # ── calls ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def read(self, operation: str, **request: Any) -> Mapping[str, Any]:  # noqa: ANN401  plain data
        """Make a reading call (botocore's snake_case name) within its rate, again while it fails by no fault of ours."""
        return await self._read(operation, READ_RATE, READ_BURST, **request)

    async def _read(self, operation: str, rate: float, burst: float, **request: Any) -> Mapping[str, Any]:  # noqa: ANN401
        bucket = SHARED.bucket(*self._aws.scope, operation, rate=rate, burst=burst)

        def told(error: Transient, _count: int) -> None:
            if operation not in self._slow:
                self._slow.add(operation)
                self._tell(Notice(f"asking again: {error}", Level.WARNING))

        async for attempt in retrying(patience, longest=10.0, told=told):
            with attempt:
                await bucket.take()
                try:
                    answer = await self._aws.call("sagemaker", operation, **request)
                except Throttled:
                    bucket.throttled()
                    raise
        self._answered = True
        return answer

    def _add(self, found: Found) -> None:
        self._found[found.kind.noun, found.name] = found

    def _miss(self, what: str, error: RunnerError) -> None:
        self.gaps.setdefault(what, error)


def patience(error: BaseException) -> float:
    """Return for how many seconds a failure may go on."""
    if isinstance(error, Throttled):
        return THROTTLED_PATIENCE
    return CONNECT_PATIENCE if isinstance(error, Unreachable) else PATIENCE
