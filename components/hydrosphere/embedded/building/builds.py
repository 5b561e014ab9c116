"""A build, as far as it goes without docker: everything is looked at, nothing is run, installed or made."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from components.hydrosphere.embedded.books import FAILED, RELEASED, Version
from components.hydrosphere.embedded.building import commands
from components.hydrosphere.embedded.building.findings import Findings, Lines
from components.hydrosphere.embedded.building.payloads import Payload
from components.hydrosphere.embedded.building.tools import ran
from components.hydrosphere.embedded.eras import Era
from components.hydrosphere.embedded.events import Hub
from components.hydrosphere.embedded.faults import Faults
from components.hydrosphere.embedded.wire.sse import Event
from runner.emulation.archives import shortened
from runner.emulation.paths import opened
from runner.emulation.tasks import Tasks

SIMULATION = "SIMULATION by the embedded Hydrosphere: the payload is checked, but nothing is installed and no image is made."
ENTRY = "src/func_main.py"
"""What the Python runtimes start with."""
LARGEST_ENTRY = 512 * 1024
"""Bytes that are looked at: Python needs several hundred times as much memory to read them."""
MOST_LOOKING = 2
"""Builds at a time that look at what was sent; more wait."""
LAG_SECONDS = 0.05
"""In 2.x the event of a failure comes so much before the list tells of it."""
_log = logging.getLogger(__name__)


class _Failed(Exception):
    """The build fails; the text is the reason, for the log."""


class Builds:
    """Owns the builds."""

    def __init__(self, seconds: float, era: Era, hub: Hub, faults: Faults, tasks: Tasks) -> None:
        """`seconds`: how long a build takes."""
        self._seconds = seconds
        self._era = era
        self._hub = hub
        self._faults = faults
        self._tasks = tasks
        self._running: dict[int, asyncio.Task[None]] = {}
        self._places = asyncio.Semaphore(MOST_LOOKING)

    def start(self, version: Version, payload: Payload) -> None:
        """Begin to build a version; the payload is given up with it."""
        task = self._tasks.start(self._build(version, payload))
        self._running[version.id] = task
        task.add_done_callback(lambda _: self._running.pop(version.id, None))
        # Cancelled before its first step, it closes nothing itself.
        task.add_done_callback(lambda _: payload.claim.close())

    def forget(self, version: Version) -> None:
        """The version is deleted: its build comes to nothing."""
        if task := self._running.get(version.id):
            task.cancel()
        if version.log is not None:
            version.log.end()

    def tell(self, version: Version, status: str | None = None) -> None:
        """Publish what has become of a version."""
        shown = self._era.view(version) | ({"status": status} if status else {})
        self._hub.publish(Event(json.dumps(shown), "ModelUpdate"))

    async def _build(self, version: Version, payload: Payload) -> None:
        fault = self._faults.build()
        try:
            problem = await self._problem(version, payload, fault)
            await self._end(version, problem)
        finally:
            await payload.close()

    async def _problem(self, version: Version, payload: Payload, fault: str) -> str:
        """Go through the steps; why the build fails, or nothing."""
        log = version.log
        assert log is not None  # noqa: S101  what is built has one
        pause = self._seconds / (_step_count(version) + 1)
        log.write(SIMULATION)
        try:
            async for line in self._lines(version, payload):
                log.write(line)
                if line.startswith("Step "):
                    await asyncio.sleep(pause)
                if fault == "hang_build":
                    await asyncio.Event().wait()
                if fault == "fail_build":
                    return "the build fails, on order"
            await asyncio.sleep(pause)
        except _Failed as failure:
            return str(failure)
        except Exception:  # noqa: BLE001  the server builds on, whatever it is
            _log.exception("the build of version %s broke", version.id)
            return "the embedded Hydrosphere broke; see its log"
        return ""

    async def _end(self, version: Version, problem: str) -> None:
        log, name = version.log, f"{version.model.name}:{version.number}"
        assert log is not None  # noqa: S101  what is built has one
        log.last(f"ERROR: {problem}" if problem else f"Successfully checked {name}; no image was made")
        if problem and self._era.number == 2:
            self.tell(version, FAILED)
            await lag()
            version.end(FAILED)
        else:
            version.end(FAILED if problem else RELEASED)
            self.tell(version)
        log.end()

    async def _lines(self, version: Version, payload: Payload) -> AsyncIterator[str]:
        """The log of the steps. Raises `_Failed`."""
        draft = version.draft
        command = draft.install_command
        if command is not None and (problem := commands.dockerfile_problem(command)):
            raise _Failed(f"Dockerfile parse error line 6: {problem}")
        assert draft.runtime is not None  # noqa: S101  what is built has one
        steps = [
            f"FROM {draft.runtime['name']}:{draft.runtime['tag']}",
            f"LABEL MODEL_NAME={version.model.name}",
            f"LABEL MODEL_VERSION={version.number}",
            "ADD model /model",
            f"WORKDIR {commands.FILES}",
            *([f"RUN {command}"] if command is not None else []),
        ]
        for number, step in enumerate(steps, 1):
            yield f"Step {number}/{len(steps)} : {' '.join(step.splitlines())}"
            if step.startswith("ADD "):
                for line in _told(payload):
                    yield line
                async with self._places:
                    found = await _entry(version, payload)
                if found:
                    yield found
            elif step.startswith("RUN ") and command is not None:
                async with self._places:
                    findings = await commands.check(command, payload)
                for line in _judged(command, findings):
                    yield line


async def lag() -> None:
    """Wait while a failure is told, but not on the books yet."""
    await asyncio.sleep(LAG_SECONDS)


def _step_count(version: Version) -> int:
    return 5 + (version.draft.install_command is not None)


def _told(payload: Payload) -> Iterator[str]:
    yield f" ---> {len(payload.members)} files and folders"
    links = Lines()
    for name in sorted(payload.links):
        links.add(f"{shortened(name)!a} is a link and is not unpacked; send the file itself")
    for line in links:
        yield f"WARNING: {line}"


async def _entry(version: Version, payload: Payload) -> str:
    """Look at what a Python runtime would start with; a line for the log, if there is anything to say. Raises `_Failed`."""
    entry = payload.folder / ENTRY
    if not entry.is_file():
        python = "python" in str((version.draft.runtime or {}).get("name", ""))
        return f"WARNING: there is no {ENTRY}, which a Python runtime starts with" if python else ""
    source = await payload.claim.filled(_read, payload.folder, entry)
    if len(source) > LARGEST_ENTRY:
        return f"WARNING: {ENTRY} is larger than {LARGEST_ENTRY} bytes and not looked at"
    found = await _looked_at(source)
    if "error" in found:
        error = shortened(found["error"])
        raise _Failed(f"{error}, read by Python {sys.version_info.major}.{sys.version_info.minor}")
    function = version.draft.signature.name
    if function in found["names"]:
        return f" ---> {ENTRY} has the function {shortened(function)}"
    return f"WARNING: {ENTRY} has no function {shortened(function)!r}, which is the signature's name"


async def _looked_at(source: bytes) -> dict[str, str]:
    look = Path(__file__).with_name("look.py")
    try:
        ended = await ran([sys.executable, "-I", "-W", "ignore", str(look)], source)
        found: dict[str, str] = json.loads(ended.output)
    except (TimeoutError, ValueError):
        return {"error": f"{ENTRY} can't be read: it takes too long, or too much memory"}
    return found


def _judged(command: str, findings: Findings) -> Iterator[str]:
    """What was found, line by line. Raises `_Failed`."""
    for note in findings.notes:
        yield f" ---> {note}"
    for problem in findings.problems:
        yield f"ERROR: {problem}"
    if findings.problems.count:
        raise _Failed(f"The command {command[:500]!r} would fail")
    yield " ---> not run"


def _read(folder: Path, path: Path) -> bytes:
    with opened(folder, path) as descriptor, os.fdopen(descriptor, "rb", closefd=False) as file:
        return file.read(LARGEST_ENTRY + 1)
