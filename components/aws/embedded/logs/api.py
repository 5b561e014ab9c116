"""The CloudWatch Logs API: create, put, get, filter, describe.

Errors carry AWS's codes and sentences; `log_pages` has pages and tokens. Streams and groups are listed 50 at a time.
Source: API reference of CloudWatch Logs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from components.aws.embedded.clock import now_ms
from components.aws.embedded.cloud import ACCOUNT
from components.aws.embedded.errors import ApiError, not_implemented
from components.aws.embedded.faults import Faults
from components.aws.embedded.logs.pages import (
    PAGE_BYTES,
    PAGE_EVENTS,
    bad,
    behind,
    identifier,
    matcher,
    page,
    place,
)
from components.aws.embedded.logs.store import (
    EVENT_OVERHEAD,
    LogEvent,
    LogGroup,
    LogStore,
    LogStream,
    merged,
)

MAX_EVENT_BYTES = 262_144
MAX_BATCH_SPAN = 24 * 3600 * 1000
TOO_NEW = 2 * 3600 * 1000
TOO_OLD = 14 * 24 * 3600 * 1000
FOREVER = 2**62
Json = dict[str, Any]


class Logs:
    """One operation a method; all are quick and do no I/O."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._stores: dict[str, LogStore] = {}
        self.operations: Mapping[str, Callable[[Json, str], Json]] = {
            "CreateLogGroup": self._create_group,
            "CreateLogStream": self._create_stream,
            "PutLogEvents": self._put_events,
            "GetLogEvents": self._get_events,
            "FilterLogEvents": self._filter_events,
            "DescribeLogStreams": self._describe_streams,
            "DescribeLogGroups": self._describe_groups,
        }

    def store(self, region: str) -> LogStore:
        """What the region's groups hold, up to date."""
        store = self._stores.setdefault(region, LogStore(self._faults.ingestion_delay))
        store.settle()
        return store

    def find_group(self, name: str, region: str) -> LogGroup:
        """Look a group up by name or ARN. Raises `ApiError` when it does not exist."""
        group = self.store(region).groups.get(name.removesuffix(":*").split(":log-group:")[-1])
        if group is None:
            raise _missing("group")
        return group

    def _group(self, body: Json, region: str) -> LogGroup:
        name, identifier = body.get("logGroupName"), body.get("logGroupIdentifier")
        if (name is None) == (identifier is None):
            raise bad("Exactly one of logGroupName and logGroupIdentifier has to be specified.")
        return self.find_group(name or identifier or "", region)

    def _stream(self, body: Json, region: str) -> LogStream:
        stream = self._group(body, region).streams.get(body["logStreamName"])
        if stream is None:
            raise _missing("stream")
        return stream

    def _create_group(self, body: Json, region: str) -> Json:
        if body["logGroupName"] in self.store(region).groups:
            raise _taken("group")
        self.store(region).group(body["logGroupName"])
        return {}

    def _create_stream(self, body: Json, region: str) -> Json:
        if body["logStreamName"] in self._group(body, region).streams:
            raise _taken("stream")
        self.store(region).stream(body["logGroupName"], body["logStreamName"])
        return {}

    def _put_events(self, body: Json, region: str) -> Json:
        self._stream(body, region)
        events = [(event["timestamp"], event["message"]) for event in body["logEvents"]]
        _check_batch(events)
        present, answer = now_ms(), {"nextSequenceToken": "0"}
        old = sum(timestamp < present - TOO_OLD for timestamp, _ in events)
        new = sum(timestamp > present + TOO_NEW for timestamp, _ in events)
        self.store(region).write(body["logGroupName"], body["logStreamName"], events[old : len(events) - new])
        rejected: dict[str, int] = {}
        if old:
            rejected["tooOldLogEventEndIndex"] = old
        if new:
            rejected["tooNewLogEventStartIndex"] = len(events) - new
        return answer | ({"rejectedLogEventsInfo": rejected} if rejected else {})

    def _get_events(self, body: Json, region: str) -> Json:
        stream = self._stream(body, region)
        token = body.get("nextToken", "")
        forward = token.startswith("f/") if token else body.get("startFromHead", False)
        low = stream.index((body.get("startTime", 0), 0))
        high = stream.index((body.get("endTime", FOREVER), 0))
        if forward:
            if token:
                low = max(low, stream.index(behind(place(token))))
            span = range(low, high)
        else:
            if token:
                high = min(high, stream.index(place(token)))
            span = range(high - 1, low - 1, -1)
        events, _ = page((stream.events[n] for n in span), body.get("limit", PAGE_EVENTS))
        events.sort(key=lambda event: event.key)
        # An empty page repeats the token it was asked with: that is how AWS says "nothing more for now".
        here = place(token) if token else (body.get("startTime", 0), 0)
        first, last = (events[0].key, events[-1].key) if events else (here, here)
        return {
            "events": [_shown(event) for event in events],
            "nextForwardToken": f"f/{identifier(last)}",
            "nextBackwardToken": f"b/{identifier(first)}",
        }

    def _filter_events(self, body: Json, region: str) -> Json:
        streams = _chosen(self._group(body, region), body)
        wanted = matcher(body.get("filterPattern", ""))
        start = (body.get("startTime", 0), -1)
        if token := body.get("nextToken"):
            start = place(f"f/{token}")
        if self._faults.empty_page("FilterLogEvents"):
            return {"events": [], "searchedLogStreams": [], "nextToken": identifier(start)}
        found = merged(streams, start, body.get("endTime", FOREVER))
        matching = (event for event in found if wanted(event.message))
        events, more = page(matching, body.get("limit", PAGE_EVENTS))
        rows = [
            _shown(event) | {"logStreamName": event.stream, "eventId": identifier(event.key)}
            for event in events
        ]
        answer: Json = {"events": rows, "searchedLogStreams": []}
        return answer | ({"nextToken": rows[-1]["eventId"]} if more else {})

    def _describe_streams(self, body: Json, region: str) -> Json:
        group = self._group(body, region)
        prefix = body.get("logStreamNamePrefix", "")
        by_time = body.get("orderBy") == "LastEventTime"
        if by_time and prefix:
            raise bad("Cannot order by LastEventTime with a logStreamNamePrefix.")
        rows = [
            _stream_row(group, stream, region)
            for stream in group.streams.values()
            if stream.name.startswith(prefix)
        ]
        rows.sort(key=lambda row: row["logStreamName"])
        if by_time:
            rows.sort(key=lambda row: row.get("lastEventTimestamp", 0))
        if body.get("descending", False):
            rows.reverse()
        return _rows_page("logStreams", rows, body)

    def _describe_groups(self, body: Json, region: str) -> Json:
        for name in ("logGroupIdentifiers", "accountIdentifiers", "includeLinkedAccounts"):
            if body.get(name):
                raise not_implemented(f"DescribeLogGroups with {name}")
        prefix, part = body.get("logGroupNamePrefix", ""), body.get("logGroupNamePattern", "")
        rows = [
            _group_row(group, region)
            for name, group in sorted(self.store(region).groups.items())
            if name.startswith(prefix) and part.lower() in name.lower()
        ]
        return _rows_page("logGroups", rows, body)


def group_arn(name: str, region: str) -> str:
    """A group's ARN, without the closing `:*`."""
    return f"arn:aws:logs:{region}:{ACCOUNT}:log-group:{name}"


def _check_batch(events: list[tuple[int, str]]) -> None:
    sizes = [len(message.encode()) + EVENT_OVERHEAD for _, message in events]
    if max(sizes) > MAX_EVENT_BYTES:
        raise bad(f"Log event too large: {max(sizes)} bytes exceeds limit of {MAX_EVENT_BYTES}")
    if sum(sizes) > PAGE_BYTES:
        raise bad(f"Upload too large: {sum(sizes)} bytes exceeds limit of {PAGE_BYTES}")
    times = [timestamp for timestamp, _ in events]
    if times != sorted(times):
        raise bad("Log events in a single PutLogEvents request must be in chronological order.")
    if times[-1] - times[0] > MAX_BATCH_SPAN:
        raise bad("The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")


def _chosen(group: LogGroup, body: Json) -> list[LogStream]:
    names, prefix = body.get("logStreamNames"), body.get("logStreamNamePrefix")
    if names is not None and prefix is not None:
        raise bad("Only one of logStreamNames and logStreamNamePrefix can be specified.")
    if names is None:
        return [s for name, s in group.streams.items() if name.startswith(prefix or "")]
    if any(name not in group.streams for name in names):
        raise _missing("stream")
    return [group.streams[name] for name in dict.fromkeys(names)]


def _shown(event: LogEvent) -> Json:
    return {
        "timestamp": event.timestamp,
        "message": event.message,
        "ingestionTime": event.ingested,
    }


def _stream_row(group: LogGroup, stream: LogStream, region: str) -> Json:
    arn = f"{group_arn(group.name, region)}:log-stream:{stream.name}"
    row: Json = {"logStreamName": stream.name, "creationTime": stream.created, "arn": arn}
    if stream.events:
        row |= {
            "firstEventTimestamp": stream.events[0].timestamp,
            "lastEventTimestamp": stream.events[-1].timestamp,
            "lastIngestionTime": stream.last_ingestion,
        }
    return row | {"uploadSequenceToken": "0", "storedBytes": 0}


def _group_row(group: LogGroup, region: str) -> Json:
    arn = group_arn(group.name, region)
    return {
        "logGroupName": group.name,
        "creationTime": group.created,
        "metricFilterCount": 0,
        "arn": f"{arn}:*",
        "logGroupArn": arn,
        "storedBytes": sum(stream.size for stream in group.streams.values()),
    }


def _rows_page(name: str, rows: list[Json], body: Json) -> Json:
    try:
        begin = int(body.get("nextToken", "0"))
    except ValueError:
        raise bad("The specified nextToken is invalid.") from None
    end = begin + body.get("limit", 50)
    return {name: rows[begin:end]} | ({"nextToken": str(end)} if end < len(rows) else {})


def _missing(what: str) -> ApiError:
    return ApiError("ResourceNotFoundException", f"The specified log {what} does not exist.")


def _taken(what: str) -> ApiError:
    return ApiError("ResourceAlreadyExistsException", f"The specified log {what} already exists")
