"""Packing beside the loop: bounded, and over as soon as nobody wants it; and bodies that are sent piece by piece."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.hydrosphere import upload
from components.hydrosphere.release._image import Image
from components.hydrosphere.release._plan import Plan
from components.hydrosphere.release._release import Release
from components.hydrosphere.release.backends import native
from components.hydrosphere.release.backends.native import packed
from components.hydrosphere.release.payload.members import find
from components.hydrosphere.upload import Body, multipart
from runner.errors import InputError
from tests.unit.hydrosphere.simulated import SIGNATURE


def plan(root: Path) -> Plan:
    release = Release("m", SIGNATURE, Image("r/i", "1"), None, {})
    return Plan(release, find(str(root), ["./*"]))


@pytest.fixture
def large(tmp_path: Path) -> Plan:
    (tmp_path / "weights.bin").write_bytes(os.urandom(40_000_000))
    return plan(tmp_path)


async def test_what_is_too_large_is_refused_before_anything_is_sent(
    large: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "LIMIT", 10_000_000)
    with pytest.raises(InputError, match=r"--payload.*weights\.bin"):
        async with packed(large):
            raise AssertionError("it is too large")


async def test_a_cancellation_ends_the_packing(large: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    loop, begun, over = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
    really = native.pack

    def pack(members: Any, target: Any, most: int, stopped: Callable[[], bool]) -> int:
        loop.call_soon_threadsafe(begun.set)
        try:
            while True:
                really(members, target, most, stopped)
        finally:
            loop.call_soon_threadsafe(over.set)

    monkeypatch.setattr(native, "pack", pack)

    async def use() -> None:
        async with packed(large):
            raise AssertionError("it takes longer")

    task = asyncio.create_task(use())
    await begun.wait()
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    async with asyncio.timeout(10):
        await over.wait()


async def test_an_external_model_has_no_archive() -> None:
    async with packed(Plan(Release("m", SIGNATURE), ())) as (archive, size):
        assert (archive, size) == (None, 0)


@pytest.mark.parametrize("size", [0, 1, upload.PIECE - 1, upload.PIECE, 3 * upload.PIECE + 5])
async def test_a_body_comes_whole_and_knows_it_only_with_the_last_piece(size: int) -> None:
    content = os.urandom(size)
    body, headers = multipart(io.BytesIO(content), size, {"name": "m"})
    sent = b""
    async with body.patience() as pieces:
        async for piece in pieces:
            sent += piece
            assert body.sent == len(sent)
            assert body.whole == (len(sent) == body.size)
            assert len(piece) <= upload.PIECE
    assert int(headers["Content-Length"]) == len(sent) == body.size
    assert sent.partition(b"\r\n\r\n")[2].startswith(content)
    assert sent.endswith(b'{"name": "m"}\r\n--' + headers["Content-Type"][30:].encode() + b"--\r\n")


async def test_an_empty_file_is_a_body_without_pieces() -> None:
    body = Body(io.BytesIO(), 0)
    async with body.patience() as pieces:
        assert [piece async for piece in pieces] == []


@pytest.mark.looptime
async def test_each_piece_has_its_time_and_the_answer_has_more(looptime: float) -> None:
    body = Body(io.BytesIO(b"x" * 3 * upload.PIECE), 3 * upload.PIECE)

    async def send() -> None:
        async with body.patience() as pieces:
            async for _ in pieces:
                await asyncio.sleep(upload.STALL_SECONDS - 1)
            await asyncio.sleep(1e6)

    with pytest.raises(TimeoutError):
        await send()
    assert looptime == 2 * (upload.STALL_SECONDS - 1) + upload.ANSWER_SECONDS
