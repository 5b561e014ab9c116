"""A SageMaker tuning job: its trials and all their logs, live.

Two feeds, each with one request for all trials, however many run: the list of the tuning job's training jobs, and one
search of the log by their common prefix.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import AsyncIterator, Mapping, Sequence

from components.aws.cloudwatch import LogFeed, either, usual
from components.aws.errors import AlreadyExists, Denied, Unsupported
from components.aws.readers import BestReader, LogEvent, Reader
from components.aws.sagemaker._api import TRAINING, Kind
from components.aws.sagemaker._job import SageMakerJob, instance
from components.aws.sagemaker._metrics import Extractor
from components.aws.sagemaker._reading import Description, Reading
from components.aws.sagemaker._training import metric_definitions
from components.aws.sagemaker.hyperparameter_tuning._checks import suspects
from components.aws.sagemaker.hyperparameter_tuning._reading import best_training_job, direction
from components.aws.sagemaker.hyperparameter_tuning._trial_list import CLOSING_SECONDS, TrialLister
from components.aws.sagemaker.hyperparameter_tuning._trial_logs import Show, TrialLogs
from components.aws.sagemaker.hyperparameter_tuning._trials import Book, number
from components.aws.session import Aws
from runner.errors import NameTaken, NotFound, ServiceError, Transient
from runner.events import Launched, Level, LogLine, LogSummary, Metric, Notice, Phase, Status, Trial
from runner.job import Ended, Feed
from runner.pace import Pace

LIST_FIRST, LIST_LONGEST = 2.0, 30.0
"""Seconds between two lists: after news, and when there has long been none."""
TICK = 1e-3
"""Seconds that are none: a clock's own steps may keep it from ever reaching a moment exactly."""
LINES_EVERY = 1.0
"""Seconds between two looks at whether lines that were kept are due."""
SETTLE_SECONDS = 20.0
"""After the tuning job's end, how long its trials are given to end, and their objectives to come."""
ASK_AGAIN = 10.0
"""Seconds after which a trial is asked again for its metrics."""


class TuningJob(SageMakerJob):
    """One tuning job, with a feed of its trials and one of their logs."""

    def __init__(
        self, kind: Kind, aws: Aws, component: str, reading: Reading, name: str, request: Description | None
    ) -> None:
        super().__init__(kind, aws, component, reading, name, request)
        self.trial_logs: Show = "all"
        """Whose log lines are shown; to be set before the feeds are asked for."""
        self._lines = TrialLogs("all")
        self._trials_told = asyncio.Event()
        self._trials_told.set()
        self._definitions: Sequence[Mapping[str, str]] | None = None
        self._ask_at = 0.0
        self._child = ""
        self._heard_of: set[str] = set()
        self._look = asyncio.Event()
        """Set where there is reason to look at the trials before it is time."""

    async def launch(self) -> Launched:
        """Make one attempt to submit; a refusal names what speaks for it in the request."""
        try:
            return await super().launch()
        except (Transient, NameTaken, AlreadyExists, Denied):
            raise
        except ServiceError as refusal:
            causes = suspects(self._request) if self._request else []
            if not causes:
                raise
            raise type(refusal)(f"{refusal}; {'; '.join(causes)}") from refusal

    def feeds(self) -> Sequence[Feed]:
        """Its trials, and their logs with the metrics found in them."""
        self._lines = TrialLogs(self.trial_logs)
        return [self.trials, self.log]

    @property
    def log_prefix(self) -> str:
        """What the names of its trials' log streams begin with."""
        return f"{self.name}-"

    # ── trials ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def trials(self, ended: Ended) -> AsyncIterator[Trial | Notice | LogLine]:
        """Follow the trials: each start, and each end with its objective."""
        self._trials_told.clear()
        try:
            async for item in self._trials(ended):
                yield item
        except (Denied, Unsupported) as refusal:
            self._lines.blind()
            yield Notice(
                f"the trials can't be listed; their logs and numbers go on: {refusal}", Level.WARNING
            )
        except Exception:
            self._lines.blind()
            raise
        finally:
            self._trials_told.set()

    async def _trials(self, ended: Ended) -> AsyncIterator[Trial | Notice | LogLine]:
        clock = asyncio.get_running_loop().time
        book, pace, over_at = Book(), Pace(LIST_FIRST, LIST_LONGEST), float("inf")
        lister = TrialLister(self._aws, self.name)
        while True:
            if ended.is_set():
                over_at = min(over_at, clock())
            since_end = clock() - over_at
            self._look.clear()
            listed = await lister.read(book, whole=since_end >= 0)
            for notice in lister.notices(since_end):
                yield notice
            settled = since_end >= SETTLE_SECONDS
            for item in book.news(listed, direction(self._told), settled=settled and not lister.troubles):
                pace.news()
                yield item
                self._note_end(item)
            if since_end >= 0 or not direction(self._told):
                # While it runs, what the service calls the best may be older than the list.
                for trial in book.crown(best_training_job(self._told)):
                    yield trial
            limit = CLOSING_SECONDS if lister.troubles else SETTLE_SECONDS if book.running else 0.0
            if since_end >= limit:
                return
            over = since_end >= 0
            async for line in self._lines_due(ended, clock() + pace.pause(brief=over), over=over):
                yield line

    async def _lines_due(self, ended: Ended, until: float, *, over: bool) -> AsyncIterator[LogLine]:
        """Wait until a time, or for a reason to look at the trials again; yield lines that become due meanwhile.

        `over`: that the job has ended is known already, and no reason.
        """
        clock = asyncio.get_running_loop().time
        while (left := until - clock()) > TICK and not self._look.is_set() and ended.is_set() == over:
            waits = [self._look] if over else [self._look, ended]
            await either(waits, min(left, LINES_EVERY) if self._lines.pending else left)
            for line in self._lines.due(clock()):
                yield line

    @property
    def _told(self) -> Description:
        """What is known of the tuning job."""
        return self._description or self._request

    def _note_end(self, item: Trial | Notice) -> None:
        if isinstance(item, Trial) and item.phase.final:
            self._lines.ended(
                number(item.name, self.name),
                asyncio.get_running_loop().time(),
                failed=item.phase is Phase.FAILED,
                best=item.best,
            )

    async def describe(self) -> Status:
        """Read the status; where the numbers of trials changed, they are looked at again."""
        before = self._description.get("TrainingJobStatusCounters")
        status = await super().describe()
        if self._description.get("TrainingJobStatusCounters") != before:
            self._look.set()
        return status

    # ── their logs ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def log(self, ended: Ended) -> AsyncIterator[LogLine | Metric | Notice | LogSummary]:
        """Follow the logs of all trials at once; metrics are looked for in lines that are not shown, too."""
        reader = _OfTrials(BestReader(self._aws, self.kind.log_group, self.log_prefix), self.name)
        timing = usual(embedded=self._aws.embedded)
        feed = LogFeed(reader, self._label, lambda: self._created, timing)
        known: Sequence[Mapping[str, str]] = ()
        extractor, clock = Extractor(known), asyncio.get_running_loop().time
        async for item in feed(ended):
            if isinstance(item, LogSummary):
                async for last in self._last_lines():
                    yield last
            if not isinstance(item, LogLine):
                yield item
                continue
            for line in self._lines.take(item, item.stream.partition(" ")[0], clock()):
                yield line
            definitions = await self._metrics_of_trials()
            if definitions != known:
                known, extractor = definitions, Extractor(definitions)
            for metric in extractor.metrics(item):
                yield metric
            if known:
                await asyncio.sleep(0)  # Searching takes its time; a signal must get through between lines.

    async def _last_lines(self) -> AsyncIterator[LogLine | Notice]:
        """Yield what the last ends of trials bring to light, and say what was not shown."""
        await self._trials_told.wait()
        for line in self._lines.close():
            yield line
        if self._lines.unshown:
            yield Notice(f"{self._lines.unshown}; {self._how_to_see()}")

    def _how_to_see(self) -> str:
        if self._aws.embedded:
            return "--trial_logs all shows them"
        words = ["aws", "logs", "filter-log-events", "--region", self._aws.region]
        words += ["--log-group-name", self.kind.log_group, "--log-stream-name-prefix", self.log_prefix]
        return f"see them with: {shlex.join(words)}"

    def _label(self, stream: str) -> str:
        """Return the trial's number, and its instance where it has several: `007`, `007 algo-2`."""
        child, _, rest = stream.partition("/")
        if child not in self._heard_of:
            self._heard_of.add(child)
            self._look.set()
        self._child = child
        trial = number(self._child, self.name)
        return f"{trial} {instance(rest)}" if self._instances > 1 else trial

    @property
    def _instances(self) -> int:
        """How many instances a trial has, at most."""
        definitions = self._told.get("TrainingJobDefinitions") or [
            self._told.get("TrainingJobDefinition", {})
        ]
        resources = [d.get("ResourceConfig", {}) for d in definitions]
        groups = [sum(g["InstanceCount"] for g in r.get("InstanceGroups", ())) for r in resources]
        return max(int(many) for many in (1, *(r.get("InstanceCount", 1) for r in resources), *groups))

    async def _metrics_of_trials(self) -> Sequence[Mapping[str, str]]:
        """Return what to look for in the lines. A built-in algorithm's own metrics only its training jobs tell of."""
        clock = asyncio.get_running_loop().time
        if self._definitions is None and clock() >= self._ask_at:
            try:
                child = await self._aws.call(
                    "sagemaker", TRAINING.method("describe"), TrainingJobName=self._child
                )
            except (Transient, NotFound):
                self._ask_at = clock() + ASK_AGAIN
            except ServiceError:
                self._ask_at = float("inf")  # Refused for good; what the request says is all there is.
            else:
                own = self._reading.metric_definitions(self._told)
                found = {m["Name"]: m for m in (*own, *metric_definitions(child))}
                self._definitions = list(found.values())
        if self._definitions is None:
            return self._reading.metric_definitions(self._told)
        return self._definitions


class _OfTrials:
    """Reads what a tuning job's trials have logged; the prefix alone also fits those of a tuning job `<name>-2`."""

    def __init__(self, reader: Reader, tuning_job: str) -> None:
        self._reader = reader
        self._tuning_job = tuning_job
        self._ours: dict[str, bool] = {}

    @property
    def in_order(self) -> bool:
        """As the reader has it."""
        return self._reader.in_order

    async def read(self, start: float, sweep_until: float | None = None) -> AsyncIterator[LogEvent]:
        """Yield new events."""
        async for event in self._reader.read(start, sweep_until):
            ours = self._ours.get(event.stream)
            if ours is None:
                ours = self._ours[event.stream] = self._is_ours(event.stream)
            if ours:
                yield event

    def _is_ours(self, stream: str) -> bool:
        child, slash, _ = stream.partition("/")
        return bool(slash and number(child, self._tuning_job))
