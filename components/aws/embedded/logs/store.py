"""Log groups, streams and events in memory, per region.

An event is readable from its ingestion on, whatever its own timestamp: a late one appears behind events that readers
have seen already. Within a stream and across streams, order is (timestamp, sequence of ingestion).
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from components.aws.embedded.clock import now_ms

EVENT_OVERHEAD = 26
"""Bytes that CloudWatch Logs counts for an event beside its message."""
Key = tuple[int, int]
"""Place of an event: (timestamp in ms, sequence)."""


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One readable event. Times in milliseconds since the Unix epoch."""

    timestamp: int
    sequence: int
    ingested: int
    stream: str
    message: str

    @property
    def key(self) -> Key:
        """What events are ordered by."""
        return self.timestamp, self.sequence

    @property
    def size(self) -> int:
        """Bytes that the event counts for towards a page."""
        return len(self.message.encode()) + EVENT_OVERHEAD


@dataclass(slots=True)
class LogStream:
    """The events of one stream, in order."""

    name: str
    created: int
    events: list[LogEvent] = field(default_factory=list)
    last_ingestion: int = 0
    size: int = 0

    def add(self, event: LogEvent) -> None:
        """Take an event that has become readable."""
        if self.events and event.key < self.events[-1].key:
            insort(self.events, event, key=_key)
        else:
            self.events.append(event)
        self.last_ingestion = event.ingested
        self.size += event.size

    def index(self, key: Key) -> int:
        """Position of the first event at or after `key`."""
        return bisect_left(self.events, key, key=_key)


@dataclass(slots=True)
class LogGroup:
    """One group."""

    name: str
    created: int
    streams: dict[str, LogStream] = field(default_factory=dict)
    arrivals: list[LogEvent] = field(default_factory=list)
    """All events in the order of their ingestion, for live tails."""


@dataclass(slots=True)
class LogStore:
    """All groups of one region. `delay` says by how many seconds the next event's ingestion is late."""

    delay: Callable[[], float] = lambda: 0.0
    groups: dict[str, LogGroup] = field(default_factory=dict)
    _sequence: int = 0
    _due: list[tuple[int, int, str, str, int, str]] = field(default_factory=list)

    def group(self, name: str) -> LogGroup:
        """The group, made on its first use."""
        return self.groups.setdefault(name, LogGroup(name, now_ms()))

    def stream(self, group: str, name: str) -> LogStream:
        """The stream, made on its first use."""
        return self.group(group).streams.setdefault(name, LogStream(name, now_ms()))

    def write(self, group: str, stream: str, events: Iterable[tuple[int, str]]) -> None:
        """Take (timestamp, message) pairs. They become readable at once, or later if a fault says so."""
        present = now_ms()
        for timestamp, message in events:
            self._sequence += 1
            due = present + int(self.delay() * 1000)
            heapq.heappush(self._due, (due, self._sequence, group, stream, timestamp, message))
        self.settle()

    def settle(self) -> None:
        """Make readable what has become due: to be called before every look."""
        present = now_ms()
        while self._due and self._due[0][0] <= present:
            due, sequence, group, stream, timestamp, message = heapq.heappop(self._due)
            event = LogEvent(timestamp, sequence, due, stream, message)
            self.stream(group, stream).add(event)
            self.group(group).arrivals.append(event)


def merged(streams: Iterable[LogStream], after: Key, until: int) -> Iterator[LogEvent]:
    """The events of several streams in common order, from `after` (exclusive) to timestamp `until` (inclusive)."""
    slices = (_slice(stream, after, until) for stream in streams)
    return heapq.merge(*slices, key=_key)


def _slice(stream: LogStream, after: Key, until: int) -> Iterator[LogEvent]:
    for position in range(stream.index((after[0], after[1] + 1)), len(stream.events)):
        event = stream.events[position]
        if event.timestamp > until:
            return
        yield event


def _key(event: LogEvent) -> Key:
    return event.key
