"""Server-sent events: whatever way the bytes are cut, the same events come out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.hydrosphere.sse import LONGEST, ServerSentEvent, parsed

STREAM = (
    "\ufeff: a comment\n"
    "data:first\n\n"
    "event: ModelUpdate\r\ndata: {\r\ndata: }\r\n\r\n"
    "id: 3\rdata: Größe\r\r"
    "data:\n\n"
    "unknown: field\n\n"
    "event: EndOfStream\ndata\n\n"
    "data: unfinished"
).encode()
EVENTS = [
    ServerSentEvent("first"),
    ServerSentEvent("{\n}", "ModelUpdate"),
    ServerSentEvent("Größe", "", "3"),
    ServerSentEvent(),
    ServerSentEvent("", "EndOfStream"),
]


async def events(chunks: Iterable[bytes]) -> list[ServerSentEvent]:
    async def given() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    return [event async for event in parsed(given())]


async def test_a_stream_in_one_piece() -> None:
    assert await events([STREAM]) == EVENTS


async def test_byte_by_byte() -> None:
    assert await events(bytes([byte]) for byte in STREAM) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
async def test_however_it_is_cut(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    assert await events(STREAM[a:b] for a, b in pairwise(edges)) == EVENTS


@given(st.binary(max_size=500))
async def test_whatever_comes_is_answered(garbage: bytes) -> None:
    assert all(isinstance(event, ServerSentEvent) for event in await events([garbage, b"\n\n"]))


@pytest.mark.parametrize("line", [b"data: " + b"x" * (3 * LONGEST), b"data: x\n" * (2 * LONGEST // 3)])
async def test_too_much_is_cut(line: bytes) -> None:
    chunks = [line[n : n + 65536] for n in range(0, len(line), 65536)]
    (event,) = await events([*chunks, b"\n\n"])
    assert len(event.data) <= 2 * LONGEST
