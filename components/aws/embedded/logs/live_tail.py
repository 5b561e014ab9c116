"""StartLiveTail: log events as they are ingested, once a second, over an event stream.

As on AWS, an update comes every second even if nothing does, and more than 500 events in one are sampled down to 500:
a live tail is no complete record. Clients have to be told not to put `stream-` before the host (botocore:
`inject_host_prefix=False`), because there is no such name for a loopback address.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from components.aws.embedded.errors import ApiError
from components.aws.embedded.logs.api import Logs, group_arn
from components.aws.embedded.logs.event_stream import event, exception
from components.aws.embedded.logs.pages import matcher
from components.aws.embedded.logs.store import LogEvent, LogGroup

INTERVAL = 1.0
"""Seconds between updates."""
MOST = 500
"""Events of one update; of more, a sample is sent."""
SESSION = 3 * 3600.0
"""Seconds after which AWS closes a session."""
Json = dict[str, Any]


@dataclass(slots=True)
class _Session:
    """What one client hears."""

    logs: Logs
    region: str
    groups: list[LogGroup]
    wanted: Callable[[LogEvent], bool]
    places: dict[str, int] = field(default_factory=dict)
    """How many of a group's events have been looked at."""

    def fresh(self) -> list[Json]:
        """What has been ingested since the last look."""
        self.logs.store(self.region)  # brings what is due
        rows = []
        for group in self.groups:
            arrived = group.arrivals[self.places[group.name] :]
            self.places[group.name] += len(arrived)
            rows += [_row(group, each, self.region) for each in arrived if self.wanted(each)]
        return rows


async def tail(request: web.BaseRequest, logs: Logs, body: Json, region: str) -> web.StreamResponse:
    """Answer the request, for as long as the client listens. Raises `ApiError` before the answer has begun."""
    groups = [_group(logs, identifier, region) for identifier in body["logGroupIdentifiers"]]
    session = _Session(logs, region, groups, _selector(body))
    session.places = {group.name: len(group.arrivals) for group in groups}
    response = web.StreamResponse(headers={"Content-Type": "application/vnd.amazon.eventstream"})
    with suppress(ConnectionError):  # the client has heard enough
        await response.prepare(request)
        await _send(response, session, body)
    return response


async def _send(response: web.StreamResponse, session: _Session, body: Json) -> None:
    await response.write(event("initial-response", {}))
    names = {"requestId": str(uuid.uuid4()), "sessionId": str(uuid.uuid4())}
    await response.write(event("sessionStart", names | body))
    end = time.monotonic() + SESSION
    while time.monotonic() < end:
        await asyncio.sleep(INTERVAL)
        await response.write(event("sessionUpdate", _update(session.fresh())))
    timeout = {"message": "The session has timed out."}
    await response.write(exception("SessionTimeoutException", timeout))
    await response.write_eof()


def _group(logs: Logs, identifier: str, region: str) -> LogGroup:
    if not identifier.startswith("arn:") or identifier.endswith("*"):
        raise ApiError("InvalidParameterException", f"{identifier} is not the ARN of a log group.")
    return logs.find_group(identifier, region)


def _selector(body: Json) -> Callable[[LogEvent], bool]:
    names, prefixes = body.get("logStreamNames"), body.get("logStreamNamePrefixes")
    if names and prefixes:
        raise ApiError(
            "InvalidParameterException",
            "logStreamNames and logStreamNamePrefixes can't both be specified.",
        )
    if (names or prefixes) and len(body["logGroupIdentifiers"]) > 1:
        raise ApiError("InvalidParameterException", "Streams can be chosen of a single log group only.")
    matches = matcher(body.get("logEventFilterPattern", ""))

    def wanted(candidate: LogEvent) -> bool:
        stream = candidate.stream
        chosen = stream in names if names else stream.startswith(tuple(prefixes or ("",)))
        return chosen and matches(candidate.message)

    return wanted


def _row(group: LogGroup, each: LogEvent, region: str) -> Json:
    return {
        "logStreamName": each.stream,
        "logGroupIdentifier": group_arn(group.name, region),
        "message": each.message,
        "timestamp": each.timestamp,
        "ingestionTime": each.ingested,
    }


def _update(rows: list[Json]) -> Json:
    sampled = len(rows) > MOST
    if sampled:
        rows = [rows[number * len(rows) // MOST] for number in range(MOST)]
    return {"sessionMetadata": {"sampled": sampled}, "sessionResults": rows}
