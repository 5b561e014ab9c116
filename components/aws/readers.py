"""Two ways to read a job's log streams, each de-duplicating what it has handed out before.

* `FilterReader` (FilterLogEvents by stream prefix): one call covers all streams, finds new ones by itself and sees late
  events. Limit of the account: 5 calls a second.
* `StreamReader` (DescribeLogStreams, then GetLogEvents per stream): for roles that may not filter. The managed policy
  AmazonSageMakerFullAccess grants `logs:GetLogEvents` and `logs:Describe*`, but not `logs:FilterLogEvents`.

`BestReader` starts with the first and falls back to the second when it is refused.
"""

from __future__ import annotations

import asyncio
import hashlib
from array import array
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from components.aws.errors import Denied, Expired, Unsupported
from components.aws.session import Aws
from runner.errors import NotFound, ServiceError, Throttled, Transient
from runner.limits import SHARED, Bucket

FILTER_RATE, FILTER_BURST = 2.5, 5.0
"""Calls per second of one process: half of what FilterLogEvents grants an account and region, and it can't be raised."""
GET_RATE, GET_BURST = 5.0, 10.0
"""The same for GetLogEvents (10 a second)."""
DESCRIBE_RATE = 2.5
"""And for DescribeLogStreams (5 a second in older quotas, 25 today)."""
IDLE_ROUNDS = 4.0
"""Where reading every stream once takes longer than a second, an idle one is left out for up to so many rounds."""
PAGE = 10_000
"""Events per page, the most that AWS gives."""
_NOT_FOR_THE_TOKEN = (Transient, Denied, Expired, Unsupported)
"""Failures that have nothing to do with a page's token, which may be refused, too: it lives for 24 hours at most."""


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One event as CloudWatch has it; times are epoch seconds."""

    stream: str
    text: str
    time: float
    ingested: float


class Reader(Protocol):
    """Reads what a job has logged."""

    @property
    def in_order(self) -> bool:
        """Whether one read yields the events of all streams in the order of time, rather than stream after stream."""
        ...

    def read(self, start: float, sweep_until: float | None = None) -> AsyncIterator[LogEvent]:
        """Yield the events that were not handed out before, of those not older than `start` (epoch seconds).

        With `sweep_until` every event from `start` on is looked at again, whatever was read before; past that moment on
        the event loop's clock, the sweep is given up with `Transient`.
        """
        ...


class FilterReader:
    """Reads all streams of a prefix at once; with a blank one, of the whole group."""

    in_order = True

    def __init__(self, aws: Aws, group: str, prefix: str) -> None:
        self._aws = aws
        self._where = _streams_of(group, prefix)
        self._bucket = SHARED.bucket(*aws.scope, "FilterLogEvents", rate=FILTER_RATE, burst=FILTER_BURST)
        self._seen = SeenIds()

    async def read(self, start: float, sweep_until: float | None = None) -> AsyncIterator[LogEvent]:
        """Yield new events. An empty page is not the end: only a page without a token is."""
        request: dict[str, Any] = {**self._where, "startTime": max(0, int(start * 1000)), "limit": PAGE}
        refused = False
        while True:
            _in_time(sweep_until)
            try:
                page = await _limited(self._aws, self._bucket, "filter_log_events", request)
            except _NOT_FOR_THE_TOKEN:
                raise
            except ServiceError as error:
                if request.pop("nextToken", None) is None:
                    raise
                if refused:
                    raise Transient(str(error)) from error
                refused = True  # Once more from the start: what was seen stays seen.
                continue
            for raw in page.get("events", ()):
                if self._seen.add(raw["eventId"], raw["timestamp"]):
                    yield _event(raw["logStreamName"], raw)
            if not (token := page.get("nextToken")):
                return
            request["nextToken"] = token


class StreamReader:
    """Reads stream after stream, each from where it left off.

    Events have no id here: two equal ones of one moment are told apart by their count within a page. It begins anew on
    each, because pages may overlap. Of equal ones that a page's end parts, the sweep finds the second: its pages end
    elsewhere.
    """

    in_order = False

    def __init__(self, aws: Aws, group: str, prefix: str) -> None:
        self._aws = aws
        self._group, self._prefix = group, prefix
        self._get = SHARED.bucket(*aws.scope, "GetLogEvents", rate=GET_RATE, burst=GET_BURST)
        self._list = SHARED.bucket(*aws.scope, "DescribeLogStreams", rate=DESCRIBE_RATE)
        self._tokens: dict[str, str] = {}
        self._seen: defaultdict[str, SeenIds] = defaultdict(SeenIds)
        self._idle: dict[str, _Idle] = {}
        self._start = 0.0
        self.elsewhere: Counter[int] = Counter()
        """Digests of events that another reader has handed out, and how often."""

    async def read(self, start: float, sweep_until: float | None = None) -> AsyncIterator[LogEvent]:
        """Yield new events: those behind each stream's token, and where `start` went back, from there on."""
        again = None if sweep_until is None and start >= self._start else max(0, int(start * 1000))
        self._start = start
        clock = asyncio.get_running_loop().time
        streams = await self._streams()
        for stream, last in streams.items():
            idle = self._idle.setdefault(stream, _Idle())
            if sweep_until is None and clock() < idle.until and last == idle.last:
                continue
            news = False
            async for event in self._stream(stream, again, sweep_until):
                news = True
                yield event
            idle.read(clock(), last, round_trip=len(streams) / GET_RATE, news=news)

    async def _stream(
        self, stream: str, start_ms: int | None, sweep_until: float | None
    ) -> AsyncIterator[LogEvent]:
        where: dict[str, Any] = {"logGroupName": self._group, "logStreamName": stream, "startFromHead": True}
        where |= {"limit": PAGE} if start_ms is None else {"limit": PAGE - 1, "startTime": start_ms}
        token = self._tokens.get(stream, "") if start_ms is None else ""
        while True:
            _in_time(sweep_until)
            try:
                page = await self._page({**where, **({"nextToken": token} if token else {})})
            except _NOT_FOR_THE_TOKEN:
                raise
            except ServiceError:
                if not token:
                    raise
                token = ""  # What was seen from the head on stays seen.
                continue
            present: Counter[int] = Counter()
            for raw in page.get("events", ()):
                event = _event(stream, raw)
                key = _content(event)
                present[key] += 1
                if self._seen[stream].add(f"{key}/{present[key]}", raw["timestamp"]) and not self._had(key):
                    yield event
            following = page.get("nextForwardToken", "")
            if not following or following == token:  # AWS's sign of the end: the same token back.
                return
            token = self._tokens[stream] = following

    def _had(self, key: int) -> bool:
        """Say whether an event was handed out elsewhere; each time it was excuses one."""
        if not self.elsewhere or not self.elsewhere[key]:
            return False
        self.elsewhere[key] -= 1
        return True

    async def _streams(self) -> dict[str, int]:
        """Return the streams, each with the time of its last event: a hint that may be late by up to an hour."""
        found: dict[str, int] = {}
        request: dict[str, Any] = _streams_of(self._group, self._prefix)
        while True:
            page = await _limited(self._aws, self._list, "describe_log_streams", request)
            found |= {s["logStreamName"]: s.get("lastEventTimestamp", 0) for s in page.get("logStreams", ())}
            if not (token := page.get("nextToken")):
                return found
            request["nextToken"] = token

    async def _page(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            return await _limited(self._aws, self._get, "get_log_events", request)
        except NotFound:
            return {}


@dataclass(slots=True)
class _Idle:
    """When a stream that had nothing new is worth another look, where there are too many to look at all each time."""

    until: float = 0.0
    last: int = 0
    pause: float = 0.0

    def read(self, now: float, last: int, *, round_trip: float, news: bool) -> None:
        """Note a reading, at a time; `round_trip` is how many seconds reading every stream takes."""
        self.pause = (
            0.0 if news or round_trip <= 1 else min(max(1.0, self.pause * 2), IDLE_ROUNDS * round_trip)
        )
        self.until, self.last = now + self.pause, last


class BestReader:
    """Filters, until that is refused; then reads stream after stream, without handing anything out twice."""

    def __init__(self, aws: Aws, group: str, prefix: str) -> None:
        self._filter = FilterReader(aws, group, prefix)
        self._streams = StreamReader(aws, group, prefix)
        self._refused = False
        self._handed = array("Q")

    @property
    def in_order(self) -> bool:
        """As the reader in use has it."""
        return self._streams.in_order if self._refused else self._filter.in_order

    async def read(self, start: float, sweep_until: float | None = None) -> AsyncIterator[LogEvent]:
        """Yield new events."""
        if not self._refused:
            try:
                async for event in self._filter.read(start, sweep_until):
                    self._handed.append(_content(event))
                    yield event
            except (Denied, Unsupported):
                # Mostly on the first call; but a policy may change while the job runs.
                self._refused = True
                self._streams.elsewhere = Counter(self._handed)
        if self._refused:
            async for event in self._streams.read(start, sweep_until):
                yield event


class SeenIds:
    """A set of event ids that costs 8 bytes an id once its minute is over: a job may write tens of millions of lines.

    Ids are kept as 64-bit digests by the minute of their event; within one minute a false match is a matter of one in
    10¹² for a million lines.
    """

    def __init__(self) -> None:
        self._open: dict[int, set[int]] = {}
        self._packed: dict[int, array[int]] = {}

    def add(self, event_id: str, timestamp_ms: int) -> bool:
        """Add an id; say whether it is new."""
        minute, key = timestamp_ms // 60_000, _digest(event_id)
        packed = self._packed.get(minute)
        if packed is not None:
            at = bisect_left(packed, key)
            if at < len(packed) and packed[at] == key:
                return False
            packed.insert(at, key)
            return True
        fresh = self._open.setdefault(minute, set())
        if key in fresh:
            return False
        fresh.add(key)
        if len(self._open) > _OPEN_MINUTES:
            self._pack(min(self._open))
        return True

    def _pack(self, minute: int) -> None:
        self._packed[minute] = array("Q", sorted(self._open.pop(minute)))


_OPEN_MINUTES = 3


def _streams_of(group: str, prefix: str) -> dict[str, str]:
    """Return the request members that choose streams. A blank prefix would be refused."""
    return {"logGroupName": group, **({"logStreamNamePrefix": prefix} if prefix else {})}


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "big")


def _content(event: LogEvent) -> int:
    """Return what tells an event from others where it has no id."""
    return _digest(f"{event.stream}\0{event.time}\0{event.ingested}\0{event.text}")


def _event(stream: str, raw: Mapping[str, Any]) -> LogEvent:
    written = raw["timestamp"] / 1000
    return LogEvent(stream, raw["message"], written, raw.get("ingestionTime", raw["timestamp"]) / 1000)


def _in_time(until: float | None) -> None:
    if until is not None and asyncio.get_running_loop().time() >= until:
        raise Transient("the log is too long to be swept once more in the time given")


async def _limited(aws: Aws, bucket: Bucket, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
    await bucket.take()
    try:
        return await aws.call("logs", operation, **request)
    except Throttled:
        bucket.throttled()
        raise
