"""A large model released to the embedded Hydrosphere: peak memory, time, and what is said on its bad days.

The peer is hydrosdk itself, in a script that packs, uploads and waits, run in turns with ours.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.benchmarks.emulated import emulated
from tests.benchmarks.process import Ended, Process, running
from tests.benchmarks.report import Row, check, mib, middle, seconds
from tests.support.paths import ROOT

CONTRACT = "inputs: {x: {type: double}}\noutputs: {y: {type: double}}\n"
LIMIT_MIB = 120 * 1e6 / 2**20
"""At most, while a payload of 150 MB is uploaded."""
PEER = {
    "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python",
    "PYTHONPATH": str(ROOT),
    "PYTHONWARNINGS": "ignore",
}


class Hydrosphere:
    """An embedded one, as a process of its own."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url = url
        self._http = http

    async def fail(self, **fault: object) -> None:
        """Order a failure."""
        async with self._http.post(f"{self.url}/_embedded/faults", json=[fault]) as answer:
            check(answer.status == 200, await answer.text())

    async def clear(self) -> None:
        """Take back all failures."""
        async with self._http.delete(f"{self.url}/_embedded/faults") as answer:
            answer.raise_for_status()

    async def versions(self) -> list[Mapping[str, Any]]:
        """All versions of the model `m`."""
        async with self._http.get(f"{self.url}/api/v2/model/version") as answer:
            rows: list[Mapping[str, Any]] = await answer.json()
        return rows


@asynccontextmanager
async def hydrosphere(build_seconds: float) -> AsyncIterator[Hydrosphere]:
    """Run one."""
    async with (
        emulated("hydrosphere", f"--build-seconds={build_seconds}") as ready,
        aiohttp.ClientSession() as http,
    ):
        yield Hydrosphere(ready["url"], http)


def ours(url: str, folder: Path) -> list[str]:
    """Python's arguments for a release."""
    given = {
        "cluster": url,
        "model_name": "m",
        "path": str(folder),
        "payload": '["./weights.bin"]',
        "contract_path": str(folder / "contract.yaml"),
        "runtime": "r/i:1",
        "version_output_path": str(folder / "version"),
    }
    return [
        "-m",
        "runner",
        "run",
        "hydrosphere.release",
        *(x for k, v in given.items() for x in (f"--{k}", v)),
    ]


def theirs(url: str, folder: Path) -> list[str]:
    """Python's arguments for the same by hydrosdk."""
    return [str(Path(__file__).with_name("bare_hydrosdk.py")), url, str(folder)]


async def ended(argv: list[str], environment: Mapping[str, str] | None = None) -> tuple[Process, Ended]:
    """Run a process to its end."""
    async with running(argv, environment) as process:
        end = await process.end()
    check(end.code == 0, f"{argv[0]} ended with {end.code}: {process.last_word}")
    return process, end


async def measure(folder: Path, *, smoke: bool) -> list[Row]:
    """Run it."""
    size = 2_000_000 if smoke else 150_000_000
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights.bin").write_bytes(os.urandom(size))
    (folder / "contract.yaml").write_text(CONTRACT)
    async with hydrosphere(0.5 if smoke else 2.0) as cluster:
        rows = await _large(cluster, folder, size, 1 if smoke else 3)
        return [*rows, *await _stopped(cluster, folder, 1 if smoke else 10)]
    # What is left of both is in the cluster, and ends with it.


async def _large(cluster: Hydrosphere, folder: Path, size: int, runs: int) -> list[Row]:
    """Time and memory of the whole step, side by side."""
    took: dict[str, list[float]] = {"ours": [], "theirs": []}
    peak: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(runs):
        for name, argv, environment in (
            ("theirs", theirs(cluster.url, folder), PEER),
            ("ours", ours(cluster.url, folder), {}),
        ):
            process, end = await ended(argv, environment)
            took[name].append(end.at - process.began)
            peak[name].append(end.peak)
            if name == "ours":
                check(any("Successfully" in text for _, text in process.lines), "the build log was not shown")
    versions = await cluster.versions()
    check(len(versions) == 2 * runs, f"{len(versions)} versions of {2 * runs} releases")
    check(all(version["status"] == "Released" for version in versions), "not all are released")
    ratio = middle(took["ours"]) / middle(took["theirs"])
    return [
        Row(
            f"a model of {size // 10**6} MB released: peak memory",
            f"hydrosdk in a script: {mib(max(peak['theirs']))}",
            f"{mib(max(peak['ours']))}",
            "< 120 MB",
            max(peak["ours"]) < LIMIT_MIB,
        ),
        Row(
            "the same: from start to end",
            f"hydrosdk in a script: {middle(took['theirs']):.1f} s, no line of the build",
            f"{middle(took['ours']):.1f} s, build log live: ratio {ratio:.2f}",
        ),
    ]


async def _stopped(cluster: Hydrosphere, folder: Path, runs: int) -> list[Row]:
    """What is said when the events are cut while a build that never ends goes on; and how fast SIGTERM ends the step."""
    await cluster.fail(operation="Build", kind="hang_build", times=None)
    await cluster.fail(operation="Events", kind="cut", times=None, seconds=0.5)
    process, _ = await ended(theirs(cluster.url, folder), PEER)
    said = next(text for _, text in process.lines)
    check("Assembling" in said, f"hydrosdk waited: {said}")
    waits = []
    for _ in range(runs):
        async with running(ours(cluster.url, folder)) as step:
            await step.saying("Assembling")
            at = step.signal()
            end = await step.end()
        check(end.code == 143, f"ended with {end.code}: {step.last_word}")
        check(re.search(r"the server goes on building m:\d+", step.last_word), step.last_word)
        check(not any("Succeeded" in text for _, text in step.lines), "released though it is not")
        waits.append(end.at - at)
    await cluster.clear()
    return [
        Row(
            "the event stream is cut while the version is built",
            "hydrosdk says released at once; it is not",
            "still Assembling; waits on",
        ),
        Row(
            "SIGTERM while a version is built → exit",
            "–",
            f"median {seconds(middle(waits))}, longest {seconds(max(waits))}, and it says that the build goes on",
            "≤ 2 s",
            max(waits) <= 2.0,
        ),
    ]
