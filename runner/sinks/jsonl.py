r"""Events for programs: one JSON object a line, appended to a file as they come.

    {"event": "log", "time": "2026-11-21T14:03:55.120Z", "text": "epoch 1", "stream": "algo-1", "late": false}

* `event` names the kind: launched, status, log, metric, trial, notice, log_summary, finished.
  `SCHEMA` has their fields.
* `time` is UTC, in ISO 8601 with milliseconds: the event's own time or, where it has none, when it came.
* Every field is always there. A metric's `value` or a trial's `objective` that is no finite number is null.
* Lines are ASCII: all else is escaped as JSON does it. Text is the job's, unchanged, and so not safe to show
  as it is; a lone surrogate in it stays one (`\ud800`).
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from runner.errors import InputError
from runner.events import (
    Event,
    Finished,
    Launched,
    Level,
    LogLine,
    LogSummary,
    Metric,
    Notice,
    Phase,
    Status,
    Trial,
)
from runner.sinks import words
from runner.sinks.pump import Pump, weight, write_all

_KINDS: Final[Mapping[type[Event], str]] = {
    Launched: "launched",
    Status: "status",
    LogLine: "log",
    Metric: "metric",
    Trial: "trial",
    Notice: "notice",
    LogSummary: "log_summary",
    Finished: "finished",
}

Schema = dict[str, object]

_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_NUMBER: Schema = {"type": ["number", "null"], "description": "null: not a finite number"}
_TEXTS: Schema = {"type": "object", "additionalProperties": _TEXT}
_TIME: Schema = {
    "type": "string",
    "format": "date-time",
    "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$",
}
_PHASE: Schema = {"enum": [phase.value for phase in Phase]}


def _record(**fields: Schema) -> Schema:
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


_METRIC: dict[str, Schema] = {"name": _TEXT, "value": _NUMBER, "stream": _TEXT, "final": _FLAG}
_STATUS: dict[str, Schema] = {
    "phase": _PHASE,
    "state": _TEXT,
    "stage": _TEXT,
    "message": _TEXT,
    "reason": _TEXT,
    "hint": _TEXT,
    "brief": _FLAG,
    "facts": _TEXTS,
    "metrics": {"type": "array", "items": _record(**_METRIC, time={"anyOf": [_TIME, {"type": "null"}]})},
}
_FIELDS: dict[str, dict[str, Schema]] = {
    "launched": {
        "job": _TEXT,
        "component": _TEXT,
        "adopted": _FLAG,
        "links": _TEXTS,
        "stages": {"type": "array", "items": _TEXT},
    },
    "status": _STATUS,
    "log": {"text": _TEXT, "stream": _TEXT, "late": _FLAG},
    "metric": _METRIC,
    "trial": {"name": _TEXT, "phase": _PHASE, "parameters": _TEXTS, "objective": _NUMBER, "best": _FLAG},
    "notice": {"text": _TEXT, "level": {"enum": [level.value for level in Level]}},
    "log_summary": {"lines": _COUNT, "late": _COUNT, "complete": _FLAG},
    "finished": {"status": _record(**_STATUS), "seconds": _NUMBER, "lines": _COUNT, "late": _COUNT},
}

SCHEMA: Final[Schema] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "One line of kfp-runner's --events file",
    "oneOf": [
        _record(event={"const": kind}, time=_TIME, **fields)  # one alternative for each kind of event
        for kind, fields in _FIELDS.items()
    ],
}
"""JSON Schema (draft 2020-12) of one line."""


def check_path(path: Path) -> None:
    """Raise `InputError` if events can't be written there; leave things as they were.

    A pipe or a device is not tried: its reader would take that for the end.
    """
    there = path.exists()
    if there and not (path.is_file() or path.is_dir()):
        return
    os.close(_opened(path))
    if not there:
        path.unlink()


def _opened(path: Path) -> int:
    # O_NONBLOCK: a named pipe without a reader is an error now instead of a hang.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o666)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise InputError(f"--events {path}: can't write there: {reason}") from error


class JsonLines:
    """Appends each event to a file, on a thread of its own: a slow volume or pipe holds nothing up."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        """Open the file, or make it. Raises `InputError` if that can't be done."""
        self._pump = Pump(_File(_opened(path)))
        self._clock = clock
        self.label = f"--events {path}"

    async def write(self, event: Event) -> None:
        """Queue the event. Raises `OSError` once the file can't be written to."""
        await self._pump.put((self._clock(), event), weight(event.text) if isinstance(event, LogLine) else 1)

    @property
    def progress(self) -> int:
        """Grows whenever something has got through to the file."""
        return self._pump.progress

    @property
    def unshown(self) -> Sequence[Event]:
        """What was taken, but not written."""
        return [event for _, event in self._pump.unshown]

    async def close(self) -> None:
        """Write the rest, until nothing gets through for 2 s, and close the file."""
        await self._pump.close()


class _File:
    """The pump's screen: a file descriptor, ours to close."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.progress = 0
        """Bytes that have got through."""

    def show(self, batch: Sequence[tuple[float, Event]], /) -> None:
        """Append the batch, whole lines in one go."""
        write_all(self._fd, "".join(encoded(event, now) for now, event in batch).encode("ascii"), self._moved)

    def _moved(self, count: int) -> None:
        self.progress += count

    def tick(self) -> None:
        """Silence is no event."""

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def encoded(event: Event, now: float) -> str:
    """The event as one line of JSON; `now` (seconds since the epoch) is its time if it has none."""
    fields = _fields(event)
    at = fields.pop("time", None) or words.iso(now)
    return json.dumps({"event": _KINDS[type(event)], "time": at, **fields}, allow_nan=False) + "\n"


def _fields(event: Event) -> dict[str, object]:
    return {field.name: _plain(field.name, getattr(event, field.name)) for field in dataclasses.fields(event)}


def _plain(name: str, value: object) -> object:
    match value:
        case float() if name == "time":
            return words.iso(value) if value else None
        case float():
            return value if math.isfinite(value) else None
        case Metric() | Status():
            return _fields(value)
        case tuple():
            return [_plain("", item) for item in value]
        case Mapping():
            return {str(key): str(item) for key, item in value.items()}
        case _:
            return value
