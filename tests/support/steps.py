"""The real command line as a process, as Kubeflow Pipelines starts it, before an embedded AWS that is another process."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import subprocess
import sys
import time
import uuid
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import aiohttp
import yaml

from tests.support.door import CREATE, Door, door
from tests.support.paths import COMPONENTS, ROOT

TRAIN = "aws.sagemaker.train"
JOBS = ROOT / "tests" / "process" / "jobs"
PATIENCE = 30.0
"""Seconds to wait for anything at all."""
RUNNING = ("InProgress",)
INPUTS: Mapping[str, str] = {
    "region": "us-east-1",
    "role": "arn:aws:iam::123456789012:role/step",
    "channels": json.dumps(
        [
            {
                "ChannelName": "train",
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://data/train/"}},
            }
        ]
    ),
    "model_artifact_path": "s3://data/out",
}


# ── the service ─────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Service:
    """An embedded AWS in a process of its own."""

    url: str
    environment: Mapping[str, str]

    async def call(self, operation: str, **body: Any) -> dict[str, Any]:
        """Ask SageMaker; an error's answer has `__type`."""
        headers = {
            "X-Amz-Target": f"SageMaker.{operation}",
            "Content-Type": "application/x-amz-json-1.1",
        }
        async with (
            aiohttp.ClientSession() as session,
            session.post(self.url, data=json.dumps(body), headers=headers) as got,
        ):
            return dict(json.loads(await got.read()))

    async def running(self) -> list[str]:
        """Names of all jobs that run."""
        answer = await self.call("ListTrainingJobs", StatusEquals="InProgress", MaxResults=100)
        return [row["TrainingJobName"] for row in answer["TrainingJobSummaries"]]

    async def status(self, name: str) -> str:
        """A job's status; empty if there is no such job."""
        answer = await self.call("DescribeTrainingJob", TrainingJobName=name)
        return str(answer.get("TrainingJobStatus", ""))

    async def eventually(self, name: str, *statuses: str) -> None:
        """Wait until a job has one of these statuses."""
        await eventually(lambda: self._is(name, statuses), f"{name} becomes {' or '.join(statuses)}")

    async def _is(self, name: str, statuses: Sequence[str]) -> bool:
        return await self.status(name) in statuses


@contextmanager
def service(folder: Path) -> Iterator[Service]:
    """Run an embedded AWS: bucket `data`, and the images `test/<name>:1` that stand for the scripts in `jobs`."""
    (folder / "data" / "train").mkdir(parents=True)
    (folder / "data" / "train" / "rows.csv").write_text("1,2\n3,4\n")
    images = [
        f"--image=test/{script.stem}:1={shlex.join([sys.executable, str(script)])}"
        for script in sorted(JOBS.glob("*.py"))
    ]
    command = [sys.executable, "-m", "runner", "emulate", "aws", "--port=0", "--faults", "--attached"]
    process = subprocess.Popen(
        [*command, f"--folder={folder}", *images],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdout:
        try:
            ready = json.loads(process.stdout.readline())
            yield Service(ready["url"], ready["environment"])
        finally:
            process.stdin.close()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


# ── waiting ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def eventually(
    look: Callable[[], Awaitable[Any] | Any], what: str, seconds: float = PATIENCE, every: float = 0.02
) -> Any:
    """Return the first thing that `look` finds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = look()
        if isinstance(found, Awaitable):
            found = await found
        if found:
            return found
        await asyncio.sleep(every)
    raise AssertionError(f"not within {seconds:g} s: {what}")


@dataclass
class Lines:
    """A stream's lines as they arrive."""

    lines: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    """Arrivals, on `time.monotonic`'s clock."""
    ended: bool = False
    about: object = field(default="", repr=False)
    """What to tell beside the lines when one of them doesn't come."""
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def read(self, stream: asyncio.StreamReader) -> None:
        """Read to the end."""
        while line := await stream.readline():
            self.lines.append(line.decode(errors="surrogateescape"))
            self.times.append(time.monotonic())
            async with self._news:
                self._news.notify_all()
        async with self._news:
            self.ended = True
            self._news.notify_all()

    async def until(self, text: str, seconds: float = PATIENCE) -> int:
        """Wait for a line that contains `text`; return its number."""

        def there() -> bool:
            return self.ended or self.find(text) is not None

        try:
            async with asyncio.timeout(seconds), self._news:
                await self._news.wait_for(there)
        except TimeoutError:
            pass
        found = self.find(text)
        assert found is not None, f"no line with {text!r} in:\n{self.about or self}"
        return found

    def find(self, text: str) -> int | None:
        """The number of the first line that contains `text`."""
        return next((n for n, line in enumerate(self.lines) if text in line), None)

    @property
    def last(self) -> str:
        """The last line, without its end."""
        return self.lines[-1].rstrip("\n") if self.lines else ""

    def __str__(self) -> str:
        return "".join(self.lines)


# ── the step ────────────────────────────────────────────────────────────────────────────────────────────────────────


def argv(inputs: Mapping[str, str], outputs: Path) -> list[str]:
    """Arguments as component.yaml passes them: every input, blank or not, then every output's path."""
    document = yaml.safe_load(COMPONENTS.joinpath(*TRAIN.split("."), "component.yaml").read_text())
    defaults = {row["name"]: row.get("default", "") for row in document["inputs"]}
    assert not set(inputs) - set(defaults)
    filled = []
    for part in document["implementation"]["container"]["args"]:
        if isinstance(part, str):
            filled.append(part)
        elif "inputValue" in part:
            filled.append(str(inputs.get(part["inputValue"], defaults[part["inputValue"]])))
        else:
            filled.append(str(outputs / part["outputPath"] / "data"))
    return filled


@dataclass(repr=False)
class Step:
    """A step that was started."""

    process: asyncio.subprocess.Process
    door: Door
    service: Service
    outputs: Path
    out: Lines
    err: Lines
    began: float
    stdout: int = -1
    """Our end of its standard output where nobody reads it."""
    readers: list[asyncio.Task[None]] = field(default_factory=list)
    signalled: float = 0.0
    """When it was first sent a signal, on `time.monotonic`'s clock."""

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.signalled = self.signalled or time.monotonic()
        # Not by send_signal(): it reaps a process that has just ended, behind the loop's back, which then calls it 255.
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, number)

    async def end(self, seconds: float = PATIENCE) -> int:
        """Wait for its end; return the exit code, negative for the signal that killed it."""
        try:
            async with asyncio.timeout(seconds):
                code = await self.process.wait()
        except TimeoutError:
            raise AssertionError(f"still runs after {seconds:g} s\n{self}") from None
        await asyncio.gather(*self.readers)
        return code

    @property
    def jobs(self) -> list[str]:
        """Names of all jobs that it has asked for."""
        return list(dict.fromkeys(call.body["TrainingJobName"] for call in self.door.of(CREATE)))

    async def nothing_left(self) -> None:
        """Assert, at the service, that no job of its runs on."""
        for name in self.jobs:
            assert await self.service.status(name) not in RUNNING, f"{name} runs on\n{self}"

    def output(self, name: str) -> str:
        """What it has written to an output file."""
        return (self.outputs / name / "data").read_text()

    def __str__(self) -> str:
        calls = ", ".join(f"{c.operation}@{c.at - self.began:.2f}={c.carried_out}" for c in self.door.calls)
        signalled = f", signalled@{self.signalled - self.began:.2f}" if self.signalled else ""
        return f"── exit {self.process.returncode}{signalled}; calls: {calls}\n── out\n{self.out}── err\n{self.err}"

    async def close(self) -> None:
        """Leave nothing behind."""
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        if self.stdout >= 0:
            os.close(self.stdout)
        await asyncio.gather(*self.readers, return_exceptions=True)
        for rule in self.door.rules:
            rule.release()
        # What was held is carried out now, as a service may do long after its client has given up.
        await eventually(lambda: all(call.answered for call in self.door.calls), "all calls are answered")
        for name in self.door.created:
            if await self.service.status(name) in RUNNING:
                await self.service.call("StopTrainingJob", TrainingJobName=name)


@dataclass(frozen=True)
class World:
    """What a case is given."""

    service: Service
    folder: Path
    """Of its own."""

    @asynccontextmanager
    async def door(self) -> AsyncIterator[Door]:
        """Open a door before the service."""
        async with door(self.service.url) as opened:
            yield opened

    @asynccontextmanager
    async def step(
        self, image: str = "forever", opened: Door | None = None, **how: Any
    ) -> AsyncIterator[Step]:
        """Start a training step; see `start`. `opened`: a door with rules already, else one of its own."""
        if opened is None:
            async with self.door() as own, self.step(image, own, **how) as step:
                yield step
            return
        step = await start(self, opened, f"test/{image}:1", **how)
        try:
            yield step
        finally:
            await step.close()

    @asynccontextmanager
    async def run(self, arguments: Sequence[str], opened: Door, **how: Any) -> AsyncIterator[Step]:
        """Start the command line with any arguments."""
        step = await launch(self, opened, [sys.executable, "-m", "runner", *arguments], **how)
        try:
            yield step
        finally:
            await step.close()


async def start(
    world: World,
    opened: Door,
    image: str,
    *,
    inputs: Mapping[str, str] | None = None,
    extra: Sequence[str] = (),
    wrap: Sequence[str] = (),
    **how: Any,
) -> Step:
    """Start `runner run aws.sagemaker.train`; unless `inputs` name the job, or a run key does, it gets a name."""
    outputs = how.setdefault("outputs", world.folder / uuid.uuid4().hex[:8])
    keyed = "--run-key" in extra or "KFP_RUN_ID" in (how.get("env") or {})
    name = {} if keyed else {"job_name": f"job-{uuid.uuid4().hex[:12]}"}
    given = argv({**INPUTS, "image": image, **name, **(inputs or {})}, outputs)
    command = [*wrap, sys.executable, "-m", "runner", "run", TRAIN, *given, *extra]
    return await launch(world, opened, command, **how)


async def launch(
    world: World,
    opened: Door,
    command: Sequence[str],
    *,
    env: Mapping[str, str | None] | None = None,
    outputs: Path | None = None,
    read: bool = True,
    stdin: int = DEVNULL,
    stderr: int = PIPE,
    session: bool = False,
) -> Step:
    """Start a command that talks to the service through a door. `read`: else its standard output is left unread.

    `env`: changes to the environment; None removes a variable.
    """
    variables = {**os.environ, **world.service.environment, "AWS_ENDPOINT_URL": opened.url, **(env or {})}
    theirs, ours = PIPE, -1
    if not read:
        ours, theirs = os.pipe()
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=stdin,
        stdout=theirs,
        stderr=stderr,
        cwd=ROOT,
        env={k: v for k, v in variables.items() if v is not None},
        start_new_session=session,
        limit=1 << 22,
    )
    if not read:
        os.close(theirs)
    step = Step(process, opened, world.service, outputs or world.folder, Lines(), Lines(), began, ours)
    step.out.about = step.err.about = step
    for lines, stream in ((step.out, process.stdout), (step.err, process.stderr)):
        if stream is not None:
            step.readers.append(asyncio.create_task(lines.read(stream)))
    return step


# ── processes ───────────────────────────────────────────────────────────────────────────────────────────────────────


def descendants(pid: int) -> set[tuple[int, str]]:
    """All processes below one, each with its start time, so that a number used again is not mistaken for it."""
    parents: dict[int, list[tuple[int, str]]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                parents.setdefault(int(fields[1]), []).append((int(entry.name), fields[19]))
    found: set[tuple[int, str]] = set()
    ahead = [pid]
    while ahead:
        children = parents.get(ahead.pop(), [])
        found.update(children)
        ahead += [child for child, _ in children]
    return found


def alive(process: tuple[int, str]) -> bool:
    """Whether a process still runs; a zombie does not."""
    try:
        fields = Path(f"/proc/{process[0]}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return fields[19] == process[1] and fields[0] != "Z"


def full(pipe: int | IO[bytes]) -> bool:
    """Whether a pipe whose writer never stops can take no more; asked at its reading end, by how much lies in it.

    A write that does not fit behind what lies in a page begins the next one, so that much of each page may stay empty.
    """
    import fcntl
    import termios

    waiting = bytearray(4)
    fcntl.ioctl(pipe, termios.FIONREAD, waiting)
    return int.from_bytes(waiting, sys.byteorder) >= fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ) * 7 // 8
