"""What becomes of the step and of the remote job when the service has a bad day. Outcomes, not times.

Each case runs the real command line against an embedded cloud that fails on order, and then asks that cloud what became
of the job. The long cases (growing pauses between tries) have a cloud of their own each, and run side by side.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import step
from tests.benchmarks.cloud import BRIEF, HELD, LOGS, Cloud, cloud
from tests.benchmarks.process import Process, running
from tests.benchmarks.report import Row, check

GONE = ("Stopping", "Stopped")


@dataclass(frozen=True, slots=True)
class Fault:
    """A failure on order."""

    operation: str
    kind: str
    times: int | None = 1
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Case:
    """One bad day."""

    name: str
    title: str
    before: str
    """What became of it with the predecessor."""
    faults: Sequence[Fault]
    code: int = 0
    state: Sequence[str] = ("Completed",)
    """The job's status at the service, one of these; empty where there must be none."""
    image: str = BRIEF
    meanwhile: Callable[[Cloud, Process], Awaitable[None]] | None = None
    lines: bool = False
    """Whether the job's log has to be complete."""


async def terminated_in_create(service: Cloud, process: Process) -> None:
    """Send SIGTERM while Create is held up, and make sure that it was."""
    await service.used_up()
    at = process.signal(signal.SIGTERM)
    ended = await process.end()
    creates = await service.calls("CreateTrainingJob", job="sigterm")
    check(creates and creates[0]["monotonic"] < at < ended.at, "the signal did not come during Create")


LONG = [
    Case(
        "throttled",
        "throttled for ever on Create",
        "72 s, exit 1",
        [Fault("CreateTrainingJob", "throttle", None)],
        code=3,
        state=(),
    ),
    Case(
        "describe-throttled",
        "12 throttles on Describe",
        "exit 1, job left running",
        [Fault("DescribeTrainingJob", "throttle", 12)],
    ),
    Case(
        "describe-broken",
        "12 answers of 500 on Describe",
        "exit 1, job left running",
        [Fault("DescribeTrainingJob", "error_before", 12)],
    ),
]
SHORT = [
    Case(
        "few-throttled",
        "3 throttles on Describe",
        "–",
        [Fault("DescribeTrainingJob", "throttle", 3)],
    ),
    Case(
        "lost-answer",
        "500 after Create was accepted",
        '"name in use", exit 1, job orphaned',
        [Fault("CreateTrainingJob", "error_after")],
    ),
    Case(
        "expired",
        "token expired while polling (4 refusals, then renewed)",
        "exit 1 at once, job left running",
        [Fault("DescribeTrainingJob", "expired_token", 4)],
    ),
    Case(
        "sigterm",
        "SIGTERM during Create",
        "job runs on, unstopped",
        [Fault("CreateTrainingJob", "latency", 1, 2.0)],
        code=143,
        state=GONE,
        image=HELD,
        meanwhile=terminated_in_create,
    ),
    Case(
        "logs-throttled",
        "6 throttles on reading the log",
        "logs lost, exit 0",
        [Fault(operation, "throttle", 6) for operation in LOGS],
        lines=True,
    ),
]
QUICK = [case for case in SHORT if case.name in {"lost-answer", "sigterm", "logs-throttled"}]


async def run(case: Case, service: Cloud, folder: Path) -> Row:
    """Run a case, and hold it to what it promises."""
    await service.clear()
    for fault in case.faults:
        await service.fault(fault.operation, fault.kind, fault.times, seconds=fault.seconds)
    options = step.argv(case.name, case.image, folder)
    async with running(options, service.environment) as process:
        if case.meanwhile is not None:
            await case.meanwhile(service, process)
        elif case.lines:
            await process.saying("Training")
            stream = await service.stream(case.name, instance=2)
            await service.put(stream, [f"{n} unlost" for n in range(100)])
        ended = await process.end()
    await service.clear()
    return await _judged(case, service, process, ended.code, ended.at - process.began)


async def _judged(case: Case, service: Cloud, process: Process, code: int, took: float) -> Row:
    state = await status(service, case.name)
    check(code == case.code, f"{case.title}: exit {code}, not {case.code}: {process.last_word}")
    check(state in (case.state or ("",)), f"{case.title}: the job is {state or 'not there'}")
    if case.lines:
        shown = sum(text.endswith(" unlost") for _, text in process.lines)
        check(shown == 100, f"{case.title}: {shown} of 100 lines shown")
    said = f"exit {code}; job {state or 'never made'}" + ("; every line shown" if case.lines else "")
    return Row(case.title, case.before, said + (f"; after {took:.0f} s" if case in LONG else ""))


async def status(service: Cloud, job: str) -> str:
    """The job's status at the service, once it has settled; empty if there is none."""
    rows = await service.sagemaker.list_training_jobs(NameContains=job)
    if not rows["TrainingJobSummaries"]:
        return ""
    check(len(rows["TrainingJobSummaries"]) == 1, f"{job}: more than one job was made")
    return str(rows["TrainingJobSummaries"][0]["TrainingJobStatus"])


async def restarted(service: Cloud, folder: Path) -> Row:
    """Kill a step as a node failure does, start it again with the same run key."""
    await service.clear()
    options = step.argv("restarted", HELD, folder)
    environment = {**service.environment, "KFP_RUN_ID": "run-1", "KFP_STEP_NAME": "train"}
    async with running(options, environment) as first:
        await first.saying("Training")
        first.signal(signal.SIGKILL)
        await first.end()
    check(await status(service, "restarted") == "InProgress", "the job did not outlive a killed step")
    async with running(options, environment) as second:
        await second.saying("Training")
        service.release("restarted")
        ended = await second.end()
    check(ended.code == 0, f"started again: exit {ended.code}: {second.last_word}")
    state = await status(service, "restarted")
    check(state == "Completed", f"started again: the job is {state}")
    return Row(
        "same job_name again (pod restart), with a run key",
        "exit 1",
        f"adopts its job: exit {ended.code}; one job, {state}",
    )


async def cases(lane: Sequence[Case], folder: Path) -> list[Row]:
    """Run cases one after the other, on a cloud of their own."""
    async with cloud(folder / lane[0].name) as service:
        return [await run(case, service, folder) for case in lane]


async def again(folder: Path) -> list[Row]:
    """Run the case of the restarted step, on a cloud of its own."""
    async with cloud(folder / "again") as service:
        return [await restarted(service, folder)]


async def measure(folder: Path, *, smoke: bool) -> list[Row]:
    """Run it."""
    lanes = [[case] for case in (QUICK if smoke else LONG)] + ([] if smoke else [SHORT])
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(cases(lane, folder)) for lane in lanes]
        tasks.append(group.create_task(again(folder)))
    return [row for task in tasks for row in task.result()]
