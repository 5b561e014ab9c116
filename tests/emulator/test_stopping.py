"""Stopping: the ladder, the time limit, and that nothing survives."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.emulator.helpers import Aws, client, embedded, eventually, script

CHECKPOINT = {"S3Uri": "s3://results/checkpoints"}
GRACEFUL = """
    root = pathlib.Path(os.environ['SAGEMAKER_BASE_DIR'])
    def leave(*_):
        (root / 'checkpoints' / 'last').write_text('step 7')
        (root / 'model' / 'weights').write_text('so far')
        print('leaving')
        sys.exit(0)
    signal.signal(signal.SIGTERM, leave)
    print('up')
    time.sleep(600)
"""
DEAF = "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up'); time.sleep(600)"
WITH_CHILD = """
    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])
    print(child.pid)
    print('up')
"""


def alive(pid: int) -> bool:
    """Whether a process runs; one that is dead but not yet reaped does not count."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_sigterm_lets_a_job_save_and_what_it_saved_is_uploaded() -> None:
    async with embedded(GRACEFUL) as aws:
        await aws.create("job-1", CheckpointConfig=CHECKPOINT)
        await aws.printed("job-1", "up")
        await aws.stop("job-1")
        stopping = await aws.describe("job-1")
        job = await aws.until("job-1")
        assert stopping["TrainingJobStatus"] == "Stopping"
        assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
        words = [row["Status"] for row in job["SecondaryStatusTransitions"]]
        assert words == ["Starting", "Downloading", "Training", "Stopping", "Uploading", "Stopped"]
        assert "leaving" in await aws.lines("job-1")
        assert await aws.artifact("job-1") == {"weights": b"so far"}
        assert await aws.get("results", "checkpoints/last") == b"step 7"
        assert "FailureReason" not in job


async def test_a_job_that_ignores_sigterm_is_killed_after_the_grace() -> None:
    async with embedded(DEAF, grace=0.2) as aws:
        await aws.create("job-1")
        await aws.printed("job-1", "up")
        await aws.stop("job-1")
        assert (await aws.until("job-1"))["TrainingJobStatus"] == "Stopped"


async def test_a_job_whose_time_is_up_is_stopped_with_its_model() -> None:
    async with embedded(GRACEFUL) as aws:
        job = await aws.run("job-1", StoppingCondition={"MaxRuntimeInSeconds": 1})
        assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
        assert await aws.artifact("job-1") == {"weights": b"so far"}
        assert job["TrainingTimeInSeconds"] >= 1


async def test_an_ended_job_can_not_be_stopped() -> None:
    async with embedded("pass") as aws:
        await aws.run("job-1")
        with pytest.raises(ClientError) as caught:
            await aws.stop("job-1")
        assert caught.value.response["Error"] == {
            "Code": "ValidationException",
            "Message": "The request was rejected because the training job is in status Completed.",
        }


async def test_stopping_twice_is_once() -> None:
    async with embedded(DEAF, grace=0.3) as aws:
        await aws.create("job-1")
        await aws.printed("job-1", "up")
        await aws.stop("job-1")
        await aws.stop("job-1")
        job = await aws.until("job-1")
        assert [row["Status"] for row in job["SecondaryStatusTransitions"]].count("Stopping") == 1


async def test_a_background_child_ends_with_its_container() -> None:
    async with embedded(WITH_CHILD) as aws:
        job = await aws.run("job-1")
        assert job["TrainingJobStatus"] == "Completed"
        child = int((await aws.lines("job-1"))[0])
        assert await eventually(_polled(lambda: not alive(child)))


async def test_no_process_outlives_the_server() -> None:
    async with embedded(
        WITH_CHILD + "    signal.pause()", images={"deaf": script("print(os.getpid());" + DEAF)}
    ) as aws:
        await aws.create("job-1", ResourceConfig=_instances(3))
        await aws.create("job-2", image="deaf")
        for name in ("job-1", "job-2"):
            await aws.printed(name, "up")
        await eventually(_has_lines(aws, "job-1", 6))
        words = await aws.lines("job-1") + await aws.lines("job-2")
        pids = [int(word) for word in words if word != "up"]
        assert all(alive(pid) for pid in pids)
        assert len(pids) == 4
    assert await eventually(_polled(lambda: not any(alive(pid) for pid in pids)))


SERVER = """
import asyncio, sys
from components.aws.embedded import serve
async def main():
    async with serve(images={'job': sys.argv[1]}) as cloud:
        print(cloud.url, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


async def test_no_process_outlives_a_server_that_was_killed() -> None:
    command = script(WITH_CHILD + "    print(os.environ['SAGEMAKER_BASE_DIR'])\n    time.sleep(600)")
    server = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        SERVER,
        command,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": "."},
    )
    try:
        assert server.stdout is not None
        url = (await server.stdout.readline()).decode().strip()
        async with AsyncExitStack() as stack:
            clients = [await client(stack, url, name) for name in ("s3", "sagemaker", "logs")]
            aws = Aws(None, *clients)  # type: ignore[arg-type]
            await aws.create("job-1")
            await aws.printed("job-1", "up")
            await eventually(_has_lines(aws, "job-1", 3))
            first, _, base = await aws.lines("job-1")
            child, folder = int(first), Path(base)
            assert alive(child)
            assert folder.is_dir()
    finally:
        server.kill()
        await server.wait()
    assert await eventually(_polled(lambda: not alive(child) and not folder.exists()))


async def test_a_server_that_is_killed_before_any_job_leaves_no_folder(tmp_path: Path) -> None:
    server = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        SERVER,
        "true",
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": ".", "TMPDIR": str(tmp_path)},
    )
    try:
        assert server.stdout is not None
        await server.stdout.readline()
        assert list(tmp_path.glob("kfp-runner-aws-*"))
    finally:
        server.kill()
        await server.wait()
    assert await eventually(_polled(lambda: not list(tmp_path.glob("kfp-runner-aws-*"))))


def _instances(count: int) -> dict[str, object]:
    return {"InstanceType": "ml.m5.large", "InstanceCount": count, "VolumeSizeInGB": 1}


def _polled(look: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
    async def looked() -> bool:
        return look()

    return looked


def _has_lines(aws: Aws, name: str, count: int) -> Callable[[], Awaitable[bool]]:
    async def looked() -> bool:
        return len(await aws.lines(name)) == count

    return looked
