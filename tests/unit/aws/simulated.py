"""A CloudWatch on the loop's clock: what it holds, when each event can be read, and how it fails.

Times that a test gives are seconds since the loop's zero; what the code under test sees is epoch time.
"""

from __future__ import annotations

import asyncio
import itertools
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import looptime

from components.aws.cloudwatch import FollowTiming, LogFeed
from components.aws.readers import Reader
from runner.errors import NotFound
from runner.events import LogLine, LogSummary, Notice

T = TypeVar("T")

EPOCH = 1_800_000_000.0
GROUP, JOB = "/aws/sagemaker/TrainingJobs", "job"
_accounts = itertools.count()


def virtually(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a loop of its own whose time costs nothing; for use inside Hypothesis' tests."""
    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        return runner.run(work)


def now() -> float:
    """The simulated epoch time."""
    return EPOCH + asyncio.get_running_loop().time()


@dataclass(frozen=True, order=True, slots=True)
class Kept:
    """An event as CloudWatch keeps it, in its order."""

    timestamp: int
    ingestion: int
    number: int
    stream: str
    message: str

    def as_filtered(self) -> dict[str, Any]:
        return {**self.as_got(), "logStreamName": self.stream, "eventId": f"3{self.number:055d}"}

    def as_got(self) -> dict[str, Any]:
        return {"timestamp": self.timestamp, "message": self.message, "ingestionTime": self.ingestion}


@dataclass
class CloudWatch:
    """Answers `Aws.call` for the three operations that readers use."""

    page: int = 10_000
    """Events that the service puts on a page at most."""
    empties: int = 0
    """Empty pages with a token before each page."""
    overlap: int = 0
    """Events that a page of GetLogEvents repeats from the one before."""
    latency: float = 0.05
    group_from: float = 0.0
    """When the log group comes into being."""
    faults: dict[int, Exception] = field(default_factory=dict)
    """Number of a call, from 0 → what is raised in place of its answer."""
    outage: tuple[float, float, Exception] | None = None
    """From when to when every call fails, and how."""
    hints: bool = False
    """Whether the list of streams says when each was last written to."""
    denied: Callable[[str], Exception | None] = lambda _: None
    """Operation → what refuses it."""
    calls: list[tuple[float, str, Mapping[str, Any]]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.scope = (
            f"account-{next(_accounts)}",
            "eu-west-1",
        )  # Buckets of their own: loops' clocks differ.
        self._events: list[Kept] = []
        self._of_stream: dict[str, list[Kept]] = {}
        self._streams: dict[str, float] = {}
        self._numbers = itertools.count()

    def stream(self, name: str, since: float = 0.0) -> None:
        """Make a stream that says nothing."""
        self._streams.setdefault(name, since)

    def write(self, stream: str, text: str, at: float, delay: float = 0.0, clock: float = 0.0) -> None:
        """Have a line written `at`, readable `delay` later; `clock` is how much the writer's clock is ahead."""
        ingestion = round((EPOCH + at + delay) * 1000)
        kept = Kept(round((EPOCH + at + clock) * 1000), ingestion, next(self._numbers), stream, text)
        self._events.insert(bisect_left(self._events, kept), kept)
        own = self._of_stream.setdefault(stream, [])
        own.insert(bisect_left(own, kept), kept)
        self._streams[stream] = min(self._streams.get(stream, at + delay), at + delay)

    def readable(self) -> Counter[tuple[str, str]]:
        """Return (stream's instance, text) → how often it can be read at this moment."""
        present = round(now() * 1000)
        return Counter(
            (e.stream.removeprefix(f"{JOB}/"), e.message) for e in self._events if e.ingestion <= present
        )

    async def call(self, service: str, operation: str, **request: Any) -> Mapping[str, Any]:
        assert service == "logs"
        clock = asyncio.get_running_loop().time
        number = len(self.calls)
        self.calls.append((clock(), operation, request))
        await asyncio.sleep(self.latency)
        if refusal := self.denied(operation):
            raise refusal
        if fault := self.faults.get(number):
            raise fault
        if self.outage and self.outage[0] <= clock() < self.outage[1]:
            raise self.outage[2]
        if clock() < self.group_from:
            raise NotFound(
                f"CloudWatch Logs {operation} was refused: The specified log group does not exist."
            )
        assert request["logGroupName"] == GROUP
        answer: Mapping[str, Any] = getattr(self, f"_{operation}")(request)
        return answer

    def _filter_log_events(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        prefix = request.get("logStreamNamePrefix", "")
        found = self._after(self._events, request.get("nextToken", ""), request["startTime"])
        wanted, following = [], False
        if not self._hollow(request.get("nextToken", "")):
            matching = (e for e in found if e.stream.startswith(prefix))
            wanted = list(itertools.islice(matching, min(self.page, request["limit"])))
            following = next(matching, None) is not None
            if not following:
                return {"events": [e.as_filtered() for e in wanted]}
        token = self._token(request.get("nextToken", ""), wanted)
        return {"events": [e.as_filtered() for e in wanted], "nextToken": token}

    def _get_log_events(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        stream, token = request["logStreamName"], request.get("nextToken", "")
        events = self._of_stream.get(stream, [])
        if not events and stream not in self._streams:
            raise NotFound("The specified log stream does not exist.")
        found = self._after(events, token, request.get("startTime", 0))
        if self._hollow(token):
            return {"events": [], "nextForwardToken": self._token(token, [])}
        wanted = found[: min(self.page, request["limit"])]
        if not wanted:
            return {"events": [], "nextForwardToken": token or "-1:-1:-1/0"}
        before = [e for e in events if e < wanted[0] and e.ingestion <= round(now() * 1000)] if token else []
        repeated = before[-self.overlap :] if self.overlap else []
        return {
            "events": [e.as_got() for e in [*repeated, *wanted]],
            "nextForwardToken": self._token(token, wanted),
        }

    def _describe_log_streams(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        clock, start = asyncio.get_running_loop().time(), int(request.get("nextToken", "0"))
        names = sorted(
            n
            for n, since in self._streams.items()
            if since <= clock and n.startswith(request.get("logStreamNamePrefix", ""))
        )
        end = start + request.get("limit", 50)
        more = {"nextToken": str(end)} if end < len(names) else {}
        return {"logStreams": [{"logStreamName": n, **self._hint(n)} for n in names[start:end]], **more}

    def _hint(self, stream: str) -> dict[str, int]:
        present = round(now() * 1000)
        readable = [e.timestamp for e in self._of_stream.get(stream, ()) if e.ingestion <= present]
        return {"lastEventTimestamp": readable[-1]} if self.hints and readable else {}

    def _after(self, events: list[Kept], token: str, start_ms: int) -> list[Kept]:
        """Events that can be read behind a token's place, or from a time on."""
        if token:
            timestamp, ingestion, number = (int(part) for part in token.partition("/")[0].split(":"))
            at = bisect_right(events, Kept(timestamp, ingestion, number, "\U0010ffff", ""))
        else:
            at = bisect_left(events, Kept(start_ms, 0, 0, "", ""))
        present = round(now() * 1000)
        return [e for e in events[at:] if e.ingestion <= present]

    def _hollow(self, token: str) -> bool:
        return int(token.partition("/")[2] or 0) < self.empties

    def _token(self, token: str, wanted: list[Kept]) -> str:
        """The place behind `wanted`; while nothing was given out, the number of empty pages counts up."""
        if wanted:
            last = wanted[-1]
            return f"{last.timestamp}:{last.ingestion}:{last.number}/0"
        place, _, hollow = (token or "-1:-1:-1/0").partition("/")
        return f"{place}/{int(hollow) + 1}"


@dataclass
class Shown:
    """What a feed yielded, and when."""

    items: list[tuple[float, LogLine | LogSummary | Notice]] = field(default_factory=list)

    @property
    def lines(self) -> list[LogLine]:
        return [item for _, item in self.items if isinstance(item, LogLine)]

    @property
    def texts(self) -> list[str]:
        return [line.text for line in self.lines]

    @property
    def counted(self) -> Counter[tuple[str, str]]:
        return Counter((line.stream, line.text) for line in self.lines)

    @property
    def notices(self) -> list[str]:
        return [item.text for _, item in self.items if isinstance(item, Notice)]

    @property
    def summary(self) -> LogSummary:
        last = self.items[-1][1]
        assert isinstance(last, LogSummary)
        return last

    def when(self, text: str) -> float:
        return next(at for at, item in self.items if isinstance(item, LogLine) and item.text == text)


async def followed(
    reader: Reader,
    ends_at: float,
    *,
    timing: FollowTiming = FollowTiming(),  # noqa: B008  frozen
    since: Callable[[], float] = lambda: EPOCH - 1.0,
) -> Shown:
    """Follow a job that ends at a time; return all that was shown."""
    loop, ended, shown = asyncio.get_running_loop(), asyncio.Event(), Shown()
    timer = loop.call_at(ends_at, ended.set)
    feed = LogFeed(reader, lambda stream: stream.removeprefix(f"{JOB}/"), since, timing, wall=now)
    async for item in feed(ended):
        shown.items.append((loop.time(), item))
    timer.cancel()
    return shown
