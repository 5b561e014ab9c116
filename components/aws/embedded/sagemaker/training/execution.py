"""A training job's way through its states.

    Starting ─► Downloading ─► Training ─► Uploading ─► Completed
                     │             │            ├─► Failed              an instance exited with another code than 0
                     │             │            ├─► Stopped             StopTrainingJob
                     │             │            └─► MaxRuntimeExceeded  its time was up (status Stopped)
                     └─────────────┴─► Failed, Stopped

A stopped job still uploads its model, as AWS does. `process` runs the commands, `container` furnishes their folders.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from components.aws.embedded.clock import now
from components.aws.embedded.machine.logged import Log, run_logged
from components.aws.embedded.machine.space import Space
from components.aws.embedded.s3.objects import S3Error
from components.aws.embedded.sagemaker.channels import DownloadError, download
from components.aws.embedded.sagemaker.cluster import run_all
from components.aws.embedded.sagemaker.container import Host, environment, hosts, prepare
from components.aws.embedded.sagemaker.site import JobFailed, Site, conduct
from components.aws.embedded.sagemaker.training.artifacts import Checkpoints, upload_model, upload_output
from components.aws.embedded.sagemaker.training.record import FAILURE_LENGTH, TrainingJob
from components.aws.embedded.sagemaker.uploads import UploadError
from runner.emulation.paths import UnsafeKeyError

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
CHECKPOINT_SECONDS = 2.0
"""How often checkpoints are looked at for upload."""


@dataclass(slots=True)
class _Run:
    """One job on its way."""

    job: TrainingJob
    site: Site
    cluster: list[Host]
    checkpoints: Checkpoints
    codes: dict[Host, int] = field(default_factory=dict)
    """Exit codes, in the order of the instances' ends."""
    expired: bool = False
    """Its time was up."""


async def execute(job: TrainingJob, site: Site) -> None:
    """Take a job from Starting to its end. Never raises; cancelling kills what runs and leaves the job unfinished."""
    await conduct(job, site, lambda folder: _live(job, site, folder))


async def _live(job: TrainingJob, site: Site, folder: Path) -> None:
    job.enter("Starting")
    cluster = hosts(job, folder)
    try:
        for host in cluster:
            await asyncio.to_thread(prepare, job, host, cluster)
        run = _Run(job, site, cluster, Checkpoints(job, cluster[0], site.objects))
    except (UnsafeKeyError, OSError) as error:
        raise JobFailed(f"ClientError: The container's folders can't be made: {error}") from error
    if not job.stop.is_set():
        job.enter("Downloading")
        await _bring(run)
    if job.stop.is_set():
        job.end("Stopped")
        return
    job.enter("Training")
    await _train(run)
    job.enter("Uploading")
    await _leave(run)


async def _bring(run: _Run) -> None:
    """Fetch channels and earlier checkpoints; give up between two of them when the job is stopped."""
    try:
        space = Space(run.job.request["ResourceConfig"], run.site.folder)
        for channel in run.job.request.get("InputDataConfig", ()):
            if run.job.stop.is_set():
                return
            await download(channel, run.cluster, run.site.objects, space)
        await run.checkpoints.restore(space)
    except (DownloadError, UnsafeKeyError, S3Error, OSError) as error:
        raise JobFailed(f"ClientError: Data download failed:{error}") from error


async def _train(run: _Run) -> None:
    """Run every instance to its end, saving checkpoints meanwhile."""
    run.codes, run.expired = await run_all(
        run.cluster,
        lambda host, halt: _instance(run, host, halt),
        run.job.stop,
        run.job.request["StoppingCondition"]["MaxRuntimeInSeconds"],
        run.checkpoints.keep_saving(CHECKPOINT_SECONDS),
    )


async def _instance(run: _Run, host: Host, halt: asyncio.Event) -> int:
    """Run one instance, its output into a log stream of its own; return the exit code."""
    job, site = run.job, run.site
    log = Log(site.store(job.region), LOG_GROUP, f"{job.name}/{host.name}-{int(now())}", job.metrics.read)
    return await run_logged(
        job.command.argv, environment(job, host, run.cluster, site.cloud), log, halt, site
    )


async def _leave(run: _Run) -> None:
    """Upload what there is and end the job as it deserves."""
    job, objects, first = run.job, run.site.objects, run.cluster[0]
    halted = job.stop.is_set() or run.expired
    # The first to fail is the cause; the others were halted because of it.
    failed = None if halted else next((host for host, code in run.codes.items() if code), None)
    try:
        await run.checkpoints.save()
        await upload_output(job, first, objects)
        if failed is None:
            job.artifacts = await upload_model(job, first, objects)
    except (UploadError, OSError) as error:
        raise JobFailed(f"ClientError: Artifact upload failed:{error}") from error
    if failed is not None:
        raise JobFailed(_reason(job, failed, run.codes[failed]))
    if run.expired:
        job.end("Stopped", "MaxRuntimeExceeded")
    else:
        job.end("Stopped" if job.stop.is_set() else "Completed")


def _reason(job: TrainingJob, host: Host, code: int) -> str:
    """FailureReason. The built-in algorithms' own complaints, exit code 1, are the customer's errors."""
    failure = host.failure()
    kind = "ClientError" if job.command.algorithm and code == 1 and failure else "AlgorithmError"
    tail = f", exit code: {code}"
    return f"{kind}: {failure}"[: FAILURE_LENGTH - len(tail)] + tail
