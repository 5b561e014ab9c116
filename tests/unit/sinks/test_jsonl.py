"""Events as JSON lines: every one as its schema says."""

from __future__ import annotations

import asyncio
import json
import os
import re
import threading
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from runner.sinks.jsonl import SCHEMA, JsonLines, encoded

T = 1_795_269_727.12

TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
}


def of_type(value: object, names: str | list[str]) -> bool:
    names = [names] if isinstance(names, str) else names
    return any(
        isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool))
        for name in names
    )


def valid(value: object, schema: dict[str, Any]) -> bool:  # noqa: PLR0911 - one for each keyword
    """Enough of JSON Schema for ours."""
    if "oneOf" in schema:
        return sum(valid(value, option) for option in schema["oneOf"]) == 1
    if "anyOf" in schema:
        return any(valid(value, option) for option in schema["anyOf"])
    if "const" in schema:
        return bool(value == schema["const"])
    if "enum" in schema:
        return value in schema["enum"]
    if not of_type(value, schema["type"]):
        return False
    if isinstance(value, str):
        return bool(re.search(schema.get("pattern", ""), value))
    if isinstance(value, list):
        return all(valid(item, schema["items"]) for item in value)
    if isinstance(value, dict):
        properties, rest = schema.get("properties", {}), schema["additionalProperties"]
        return set(schema.get("required", [])) <= set(value) and all(
            valid(item, properties[name]) if name in properties else bool(rest) and valid(item, rest)
            for name, item in value.items()
        )
    return not isinstance(value, int) or bool(value >= schema.get("minimum", value))


texts = st.text(st.characters())
numbers = st.floats()
times = st.one_of(st.just(0.0), st.floats(0, 4e9), numbers)
phases = st.sampled_from(Phase)
maps = st.dictionaries(texts, texts, max_size=3)
metrics = st.builds(Metric, texts, numbers, times, texts, st.booleans())
statuses = st.builds(
    Status,
    phases,
    texts,
    texts,
    texts,
    texts,
    texts,
    st.booleans(),
    maps,
    st.lists(metrics, max_size=3).map(tuple),
)
counts = st.integers(0, 10**9)
events = st.one_of(
    st.builds(Launched, texts, texts, st.booleans(), maps, st.lists(texts, max_size=3).map(tuple)),
    statuses,
    st.builds(LogLine, texts, texts, times, st.booleans()),
    metrics,
    st.builds(Trial, texts, phases, maps, st.none() | numbers, st.booleans()),
    st.builds(Notice, texts, st.sampled_from(Level)),
    st.builds(LogSummary, counts, counts, st.booleans()),
    st.builds(Finished, statuses, numbers, counts, counts),
)


@given(events)
def test_every_event_is_one_ascii_line_as_the_schema_says(event: Event) -> None:
    line = encoded(event, T)
    assert line.isascii()
    assert line.index("\n") == len(line) - 1
    # Strictly JSON: NaN and Infinity are refused.
    content = json.loads(line, parse_constant=pytest.fail)
    assert valid(content, cast("dict[str, Any]", SCHEMA)), content
    assert not valid(content | {"more": 1}, cast("dict[str, Any]", SCHEMA))


def test_a_log_line() -> None:
    assert json.loads(encoded(LogLine("ünï\x1b[0m\ud800\n", "algo-1", T, late=True), 0)) == {
        "event": "log",
        "time": "2026-11-21T14:02:07.120Z",
        "text": "ünï\x1b[0m\ud800\n",
        "stream": "algo-1",
        "late": True,
    }


def test_an_event_without_a_time_has_the_time_it_came() -> None:
    for event in (Notice("x"), LogLine("x"), LogLine("x", time=float("nan"))):
        assert json.loads(encoded(event, T))["time"] == "2026-11-21T14:02:07.120Z"


def test_the_last_event() -> None:
    status = Status(
        Phase.FAILED, reason="why", metrics=(Metric("m", float("inf"), T, final=True), Metric("n", 1))
    )
    content = json.loads(encoded(Finished(status, 1.5, 3, 1), T))
    assert content["event"] == "finished"
    assert content["status"]["phase"] == "Failed"
    assert content["status"]["metrics"] == [
        {"name": "m", "value": None, "time": "2026-11-21T14:02:07.120Z", "stream": "", "final": True},
        {"name": "n", "value": 1, "time": None, "stream": "", "final": False},
    ]


async def until_refused(sink: JsonLines) -> None:
    while True:
        await sink.write(Notice("x"))
        await asyncio.sleep(0)


async def test_lines_are_appended(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    for text in ("first", "second"):
        sink = JsonLines(path, clock=lambda: T)
        await sink.write(LogLine(text))
        await sink.write(Notice(text))
        await sink.close()
    content = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["event"], line["text"]) for line in content] == [
        ("log", "first"),
        ("notice", "first"),
        ("log", "second"),
        ("notice", "second"),
    ]


async def test_a_line_can_be_read_before_the_end(tmp_path: Path) -> None:
    path = tmp_path / "events"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    sink = JsonLines(path)
    os.set_blocking(reader, True)
    await sink.write(Notice("now"))
    line = await asyncio.to_thread(os.read, reader, 4096)
    assert json.loads(line)["text"] == "now"
    await sink.close()
    assert os.read(reader, 1) == b""
    os.close(reader)


@pytest.mark.parametrize("where", ["missing/events.jsonl", ".", "fifo", "bad\0name"])
def test_a_bad_path_is_an_input_error(tmp_path: Path, where: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    path = tmp_path / where
    with pytest.raises(InputError, match="--events") as error:
        JsonLines(path)
    assert str(path) in str(error.value)
    assert error.value.exit_code == 2


async def test_a_full_device_is_an_error_of_the_next_write() -> None:
    sink = JsonLines(Path("/dev/full"))
    with pytest.raises(OSError, match="No space left"):
        await until_refused(sink)
    await sink.close()


async def test_close_leaves_no_descriptor_and_no_thread(tmp_path: Path) -> None:
    before = {path.name for path in Path("/proc/self/fd").iterdir()}
    sink = JsonLines(tmp_path / "events")
    await sink.write(Notice("x"))
    await sink.close()
    assert {path.name for path in Path("/proc/self/fd").iterdir()} <= before
    assert not [thread for thread in threading.enumerate() if thread.name == "runner-sink"]
