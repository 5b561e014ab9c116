"""The embedded Hydrosphere as a process of its own ends when it is told to, whatever is under way in it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from runner.embedded import MARK, embedded
from tests.emulator.hydrosphere.helpers import DEADLINE, form, metadata, packed

STARTER = """
import subprocess, sys
command = [sys.executable, "-m", "runner", "emulate", "hydrosphere", "--port=0", "--attached"]
child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
print(child.pid, child.stdout.readline().decode(), flush=True)
child.wait()
"""
BUSY = "pip install" + " -r requirements.txt" * 5000
ROOT = Path(__file__).parents[3]


@asynccontextmanager
async def started(folder: Path) -> AsyncIterator[tuple[Process, int, str]]:
    """A process that started the embedded Hydrosphere as one of its own; that one's id and address."""
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        STARTER,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={"TMPDIR": str(folder), "PATH": os.defpath},
    )
    assert parent.stdout is not None
    try:
        pid, _, ready = (await parent.stdout.readline()).decode().partition(" ")
        yield parent, int(pid), json.loads(ready)["url"]
    finally:
        if parent.returncode is None:
            parent.kill()
        await parent.wait()


@pytest.mark.parametrize("parent_dies", [True, False], ids=["its parent is killed", "SIGTERM"])
async def test_it_ends_while_builds_are_under_way(parent_dies: bool, tmp_path: Path) -> None:
    payload = packed({"requirements.txt": b"a==1\n" * 150_000})
    async with started(tmp_path) as (parent, pid, url):
        async with aiohttp.ClientSession(url) as http:
            for number in range(8):
                body = form(payload, metadata(3, f"m{number}", installCommand=BUSY))
                async with http.post("/api/v2/model/upload", data=body) as answer:
                    assert answer.status == 200
            async with http.get("/api/v2/model/version") as answer:
                assert "Assembling" in await answer.text()
        assert len(list(tmp_path.iterdir())) == 1
        if parent_dies:
            parent.kill()
        else:
            os.kill(pid, signal.SIGTERM)
        assert parent.stderr is not None
        # Both hold this pipe: its end is theirs.
        assert await asyncio.wait_for(parent.stderr.read(), DEADLINE) == b""
    assert list(tmp_path.iterdir()) == []


async def test_whose_clouds_are_embedded_is_told_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MARK, "z y x c b a")
    async with embedded("hydrosphere"):
        assert os.environ[MARK] == "a b c hydrosphere x y z"
