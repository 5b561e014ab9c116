"""A SageMaker job of any kind, or a resource, behind the engine's five verbs."""

from __future__ import annotations

import asyncio
import itertools
import re
import shlex
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

from components.aws import console
from components.aws.cloudwatch import LogFeed, usual
from components.aws.errors import AlreadyExists, Denied, Unsupported
from components.aws.readers import BestReader
from components.aws.sagemaker._api import Kind
from components.aws.sagemaker._likeness import covers
from components.aws.sagemaker._metrics import Extractor
from components.aws.sagemaker._reading import Description, Reading
from components.aws.session import Aws
from runner.errors import NameTaken, NotFound, ServiceError, Transient
from runner.events import Launched, LogLine, LogSummary, Metric, Notice, Phase, Status
from runner.identity import OWNER_TAG, nth
from runner.inputs import Outputs
from runner.job import Ended, Feed, StopAnswer

CLOCK_SLACK = 300.0
"""Seconds by which our clock and the service's may differ: AWS refuses signatures that are off by more."""
CLOCK_DRIFT = 10.0
"""Seconds by which two clocks that are kept in step may differ."""
VISIBLE_SECONDS = 30.0
"""After our own Create, how long the service may go on not to know the job."""
_RETRIES = 50
"""Jobs that one step may have tried, one after the other, in one pipeline run."""


class SageMakerJob:
    """One job. `request` is None for one that is only attached to."""

    def __init__(
        self, kind: Kind, aws: Aws, component: str, reading: Reading, name: str, request: Description | None
    ) -> None:
        self.kind = kind
        self.name = name
        self._aws = aws
        self._component = component
        self._reading = reading
        self._request = dict(request or {})
        self._attach_only = request is None
        self._owner = next((t["Value"] for t in self._request.get("Tags", ()) if t["Key"] == OWNER_TAG), "")
        self._chosen = not (self._owner and self._owner[:20] in name)
        """Whether the user chose the name; a name of ours follows from the run key, and can be counted on."""
        self._base, self._attempt = name, 1
        self._first_sent: float | None = None
        self._ambiguous = False
        self._ours = self._attach_only
        self._stop_sent = False
        """A stop request went out whose answer was lost: it may be the reason why there is nothing left to stop."""
        self._created = 0.0
        """When the service made it, by the service's clock; 0 where that is not known."""
        self._made_at: float | None = None
        """When our own request made it, by our clock; None for one that was adopted."""
        self._description: Description = {}

    @property
    def stop_command(self) -> str:
        """The AWS command line's way to stop it."""
        key = "".join(f"-{c.lower()}" if c.isupper() else c for c in self.kind.name_key).lstrip("-")
        words = [
            "aws",
            "sagemaker",
            f"{self.kind.ending}-{self.kind.shell}",
            "--region",
            self._aws.region,
            f"--{key}",
            self.name,
        ]
        if self._aws.endpoint_url:
            words += ["--endpoint-url", self._aws.endpoint_url]
        return shlex.join(words) + (f"   # as {self._aws.role}" if self._aws.role else "")

    @property
    def resumes(self) -> bool:
        """Whether an earlier start of this step may have made it: a run key leads all of them to one job."""
        return bool(self._owner)

    # ── launch ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def launch(self) -> Launched:
        """Make one attempt to submit; adopt our own job where it already is."""
        if self._attach_only:
            await self._describe()
            return self._launched(adopted=True)
        for attempt in itertools.count(self._attempt):
            self._attempt = attempt
            self.name = nth(self._base, attempt, self.kind.limit)
            try:
                await self._create()
            except AlreadyExists as taken:
                if await self._adopt(taken):
                    return self._launched(adopted=True)
            else:
                self._ours = True
                return self._launched(adopted=False)
        raise AssertionError("the count has no end")

    async def _create(self) -> None:
        self._first_sent = self._first_sent or time.time()
        try:
            answer = await self._call("create", **{**self._request, self.kind.name_key: self.name})
        except Transient as error:
            self._ambiguous = self._ambiguous or error.ambiguous
            raise
        except asyncio.CancelledError:
            self._ambiguous = True  # Given up at the deadline: nobody knows whether it was carried out.
            raise
        self._created, self._made_at = service_time(answer) - 1.0, time.monotonic()

    async def _adopt(self, taken: AlreadyExists) -> bool:
        """Attach to the job that has our name if it is ours; False asks for the next name of ours."""
        try:
            await self._describe()
        except NotFound as unseen:
            if self._ambiguous:
                raise Transient(f"{self.name} exists, but can't be seen yet: {unseen}") from unseen
            raise taken from unseen
        if not await self._is_ours():
            raise NameTaken(
                f"the name {self.name} is in use by a job that is not this step's, which was not touched; "
                f"choose another --{self.kind.argument}"
                + (", or leave it blank for a generated one" if self.kind.ending == "stop" else "")
            ) from taken
        if self._spent() and not self._chosen and self._attempt < _RETRIES:
            return False
        self._ours = True
        return True

    def _spent(self) -> bool:
        """Whether it is an earlier start's job that came to nothing: the step needs a fresh one."""
        phase = self._reading.status(self._description).phase
        return phase in {Phase.FAILED, Phase.STOPPED, Phase.STOPPING} and not self._just_made()

    def _just_made(self) -> bool:
        """Whether it is what an unanswered attempt of this very start has made, and not an earlier start's."""
        made = self._description[self.kind.created].timestamp()
        return self._ambiguous and made >= (self._first_sent or 0.0) - CLOCK_DRIFT

    async def _is_ours(self) -> bool:
        """By its owner tag; or, after an answer was lost, because it is what we asked for, made since we asked."""
        if self._owner:
            try:
                return await self._owner_tag() == self._owner
            except (Denied, Unsupported):
                if not self._chosen:
                    return True  # Nobody else comes by a name that follows from our run key.
        made = self._description[self.kind.created].timestamp()
        recent = self._first_sent is not None and made >= self._first_sent - CLOCK_SLACK
        return self._ambiguous and recent and covers(self._description, self._request)

    async def _owner_tag(self) -> str:
        answer = await self._aws.call(
            "sagemaker", "list_tags", ResourceArn=self._description[self.kind.arn_key], MaxResults=100
        )
        return next((str(t["Value"]) for t in answer["Tags"] if t["Key"] == OWNER_TAG), "")

    def _launched(self, *, adopted: bool) -> Launched:
        region = self._aws.region
        links: dict[str, str] = {}
        if not self._aws.embedded:
            links["job"] = console.sagemaker(region, self.kind.page, self.name)
            if self.kind.log_group:
                links["logs"] = console.logs(region, self.kind.log_group, self.log_prefix)
        return Launched(self.name, self._component, adopted, links, self.kind.stages)

    # ── the other verbs ─────────────────────────────────────────────────────────────────────────────────────────────

    async def describe(self) -> Status:
        """Read the status. A job that we made a moment ago and that is not known yet will be."""
        try:
            await self._describe()
        except NotFound as error:
            if self._made_at is not None and time.monotonic() - self._made_at < VISIBLE_SECONDS:
                raise Transient(f"{self.name} was made, but can't be seen yet: {error}") from error
            raise
        return self._reading.status(self._description)

    async def stop(self) -> StopAnswer:
        """Ask for the stop, unless there is nothing of ours to stop.

        A resource, which can only be deleted, is if it was this start that made it: an earlier one had its reasons.
        """
        if self.kind.ending == "delete" and self._ours and self._made_at is None and not self._ambiguous:
            return StopAnswer.ENDED
        try:
            if not self._ours and not await self._found():
                return StopAnswer.NOT_OURS
            return await self._request_stop()
        except NotFound:
            return StopAnswer.UNKNOWN

    async def _found(self) -> bool:
        """Look for our job; False if what has our name is not ours. Of a step's jobs the last is meant."""
        await self._describe()
        if not await self._is_ours():
            return False
        for attempt in range(self._attempt + 1, _RETRIES):
            if self._chosen or not self._spent():
                break
            last, self.name = self.name, nth(self._base, attempt, self.kind.limit)
            try:
                await self._describe()
            except NotFound:
                self.name = last
                break
        return True

    async def _request_stop(self) -> StopAnswer:
        try:
            await self._call(self.kind.ending, **{self.kind.name_key: self.name})
        except Transient as error:
            self._stop_sent = self._stop_sent or error.ambiguous
            raise
        except NotFound:
            raise
        except ServiceError:
            # SageMaker refuses the stop of an ended job, in words that change: look instead of matching them.
            await self._describe()
            state = self.kind.phases.get(self._description.get(self.kind.status_key, ""), Phase.RUNNING)
            if not state.final and state is not Phase.STOPPING:
                raise
            stopped = state is Phase.STOPPING or (self._stop_sent and state is Phase.STOPPED)
            return StopAnswer.AGREED if stopped else StopAnswer.ENDED
        return StopAnswer.AGREED

    async def outputs(self) -> Outputs:
        """Read what the ended job has made."""
        return await self._reading.outputs(self._aws, self._description)

    def feeds(self) -> Sequence[Feed]:
        """Its log, if it has one, with the metrics found in it."""
        return [self.log] if self.kind.log_group else []

    @property
    def log_prefix(self) -> str:
        """What the names of its log streams begin with."""
        return f"{self.name}/"

    async def log(self, ended: Ended) -> AsyncIterator[LogLine | Metric | Notice | LogSummary]:
        """Follow the log; a notice that this failed calls it by this name."""
        prefix = self.log_prefix
        reader = BestReader(self._aws, self.kind.log_group, prefix)
        feed = LogFeed(
            reader,
            lambda stream: instance(stream.removeprefix(prefix)),
            lambda: self._created,
            usual(embedded=self._aws.embedded),
        )
        known: Sequence[Mapping[str, str]] = ()
        extractor = Extractor(known)
        async for item in feed(ended):
            yield item
            if isinstance(item, LogLine):
                # The description knows the metrics of built-in algorithms too, the request only the user's own.
                definitions = self._reading.metric_definitions(self._description or self._request)
                if definitions != known:
                    known, extractor = definitions, Extractor(definitions)
                for metric in extractor.metrics(item):
                    yield metric
                if known:
                    await asyncio.sleep(
                        0
                    )  # Searching takes its time; a signal must get through between lines.

    async def _describe(self) -> None:
        answer = await self._call("describe", **{self.kind.name_key: self.name})
        self._description = answer[self.kind.wrapper] if self.kind.wrapper else answer
        self._created = self._description[self.kind.created].timestamp() - 1.0

    async def _call(self, verb: str, **request: Any) -> Description:  # noqa: ANN401  plain data
        return await self._aws.call("sagemaker", self.kind.method(verb), **request)


def instance(stream: str) -> str:
    """Return the instance's name of a stream: `algo-1` for `algo-1-1700000000`."""
    return re.sub(r"-\d{6,}$", "", stream)


def service_time(answer: Description) -> float:
    """Return the service's own clock, from the answer's Date header; it has whole seconds."""
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        return parsedate_to_datetime(date).timestamp()
    except ValueError:
        return time.time() - CLOCK_SLACK
