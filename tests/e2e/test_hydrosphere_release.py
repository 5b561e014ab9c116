"""The sample that trains on one platform and releases to another, and the demo of it, on both embedded clouds."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import re
import runpy
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from components.hydrosphere import sample
from runner.embedded import EmbeddedOptions, embedded
from tests.support.compiled import Run
from tests.support.paths import ROOT
from tests.support.steps import Lines, alive, descendants, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(170)]
ROLE = "arn:aws:iam::123456789012:role/sagemaker-execution"
LONG = 120.0


# ── the sample ──────────────────────────────────────────────────────────────────────────────────────────────────────


def pipeline() -> Any:
    """The sample's."""
    path = ROOT / "samples" / "hydrosphere_release" / "pipeline.py"
    spec = importlib.util.spec_from_file_location("hydrosphere_release", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.hydrosphere_release


async def asked(url: str) -> Any:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return await answer.json(content_type=None)


def s3_object(key: str) -> str:
    import boto3

    client = boto3.client("s3")
    try:
        return str(client.get_object(Bucket="kfp-runner-samples", Key=key)["Body"].read().decode())
    finally:
        client.close()


async def test_its_steps_train_lay_out_and_release(tmp_path: Path) -> None:
    (tmp_path / "buckets" / "digits-release").mkdir(parents=True)
    buckets = EmbeddedOptions(folder=tmp_path / "buckets")
    async with embedded("aws", buckets), embedded("hydrosphere") as cluster:
        run = Run.of(pipeline(), tmp_path, role=ROLE, cluster=cluster)
        await run.step("sagemaker-training-job")
        await run.step("lay-out")
        said = await run.step("hydrosphere-model-release")
        assert "SIMULATION" in said, "the build's log is there"
        assert run.outputs["hydrosphere-model-release"]["version"] == "1"
        version = await asked(f"{cluster}/api/v2/model/version/digits/1")
        assert version["status"] == "Released"
        assert version["installCommand"] == sample.INSTALL_COMMAND
        profile = await asked(f"{cluster}/monitoring/profiles/batch/{version['id']}/status")
        assert profile["kind"] == "Success"
        await run.step("hydrosphere-model-release")
        assert len(await asked(f"{cluster}/api/v2/model/version")) == 1, "a restarted pod finds its version"
        await run.step("sagemaker-stop-jobs")
        assert json.loads(run.outputs["sagemaker-stop-jobs"]["stopped"]) == []
        images, digits = [
            await asyncio.to_thread(s3_object, f"digits/{key}.csv") for key in ("test/test", "labels/test")
        ]
    entry = tmp_path / "volume" / "model" / sample.ENTRY
    read = runpy.run_path(str(entry))["predict"](np.loadtxt(images.splitlines(), delimiter=","))
    assert (read["digit"] == np.loadtxt(digits.splitlines())).mean() > 0.85


# ── the demo ────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Demo:
    """A demo that was started."""

    process: asyncio.subprocess.Process
    out: Lines = field(default_factory=Lines)
    err: Lines = field(default_factory=Lines)
    readers: asyncio.Future[list[None]] = field(init=False)

    def __str__(self) -> str:
        return f"── out\n{self.out}── err\n{self.err}"

    async def end(self) -> int:
        async with asyncio.timeout(LONG):
            await self.readers
            return await self.process.wait()


@asynccontextmanager
async def demo(output: Path) -> AsyncIterator[Demo]:
    """Start it in a session of its own, as a terminal does."""
    command = [sys.executable, "-m", "runner", "demo", "hydrosphere", "--output", str(output)]
    process = await asyncio.create_subprocess_exec(
        *command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, cwd=ROOT, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    started = Demo(process)
    started.out.about = started.err.about = started
    started.readers = asyncio.gather(started.out.read(process.stdout), started.err.read(process.stderr))
    try:
        yield started
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await started.readers


async def all_gone(processes: set[tuple[int, str]]) -> None:
    await eventually(lambda: not any(map(alive, processes)), "no process of it is left")


async def test_the_demo_releases_what_reads_digits(tmp_path: Path) -> None:
    async with demo(tmp_path) as running:
        await running.out.until("release → digits:1", LONG)
        below = descendants(running.process.pid)
        assert len(below) >= 2, "both embedded clouds"
        assert await running.end() == 0, running
    await all_gone(below)
    said = str(running.out)
    assert "release | SIMULATION by the embedded Hydrosphere" in said
    assert "digits:1 is released, with its training data profiled" in said
    found = re.search(r"^accuracy on 355 held-out digits: ([\d.]+)%$", said, re.MULTILINE)
    assert found, running
    assert float(found[1]) > 85
    assert running.out.last.startswith("done in ")
    assert str(running.err) == ""
    for step in ("train", "release"):
        events = (tmp_path / step / "events.jsonl").read_text().splitlines()
        assert json.loads(events[-1])["event"] == "finished", step
    assert not list(tmp_path.rglob("__pycache__")), "it would be uploaded"


@pytest.mark.parametrize(
    ("moment", "outcome"),
    [
        ("train |", r"the service was told to stop TrainingJob-\S+, and agreed"),
        ("release |", r"release: digits:1 was deleted, and its model with it: it had no other version"),
    ],
)
async def test_the_demo_interrupted(tmp_path: Path, moment: str, outcome: str) -> None:
    """Ctrl-C in the middle of it, as a terminal sends it: to all processes of the foreground."""
    async with demo(tmp_path) as running:
        await running.out.until(moment, LONG)
        below = descendants(running.process.pid)
        assert len(below) >= 2, "both embedded clouds"
        os.killpg(running.process.pid, signal.SIGINT)
        assert await running.end() == 130, running
    await all_gone(below)
    expected = (
        rf"kfp-runner: interrupted \(Ctrl-C\); {outcome}; the demo is over, and nothing is left running"
    )
    assert re.fullmatch(expected, running.err.last), running
    assert "Traceback" not in str(running.err)
