"""A processing job's way: inputs from S3, one process an instance, outputs to S3.

InProgress ─► Completed
    │  └────► Failed      an instance exited with another code than 0, or something could not be moved
    └─► Stopping ─► Stopped    StopProcessingJob; also, without Stopping, when its time was up
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from components.aws.embedded.clock import now
from components.aws.embedded.machine.logged import Log, run_logged
from components.aws.embedded.machine.space import Space
from components.aws.embedded.sagemaker.channels import DownloadError, bring
from components.aws.embedded.sagemaker.cluster import run_all
from components.aws.embedded.sagemaker.container import Host
from components.aws.embedded.sagemaker.processing.container import (
    argv,
    environment,
    exit_message,
    hosts,
    prepare,
    sources,
)
from components.aws.embedded.sagemaker.processing.outputs import Outputs
from components.aws.embedded.sagemaker.processing.record import ProcessingJob
from components.aws.embedded.sagemaker.site import JobFailed, Site, conduct
from components.aws.embedded.sagemaker.uploads import UploadError
from runner.emulation.paths import UnsafeKeyError

LOG_GROUP = "/aws/sagemaker/ProcessingJobs"
UPLOAD_SECONDS = 1.0
"""How often continuous outputs are looked at for upload."""


@dataclass(slots=True)
class _Run:
    """One job on its way."""

    job: ProcessingJob
    site: Site
    cluster: list[Host]
    outputs: Outputs
    codes: dict[Host, int] = field(default_factory=dict)
    """Exit codes, in the order of the instances' ends."""
    expired: bool = False
    """Its time was up."""


async def execute(job: ProcessingJob, site: Site) -> None:
    """Take a job from its place in the queue to its end. Never raises; cancelling leaves it unfinished."""
    await conduct(job, site, lambda folder: _live(job, site, folder))


async def _live(job: ProcessingJob, site: Site, folder: Path) -> None:
    cluster = hosts(job, folder)
    job.begin()
    try:
        for host in cluster:
            await asyncio.to_thread(prepare, job, host, cluster)
    except (UnsafeKeyError, OSError) as error:
        raise JobFailed(f"ClientError: The container's folders can't be made: {error}") from error
    run = _Run(job, site, cluster, Outputs(job, cluster, site.objects))
    await _bring(run)
    if job.stop.is_set():
        job.end("Stopped")
        return
    await _process(run)
    await _leave(run)


async def _bring(run: _Run) -> None:
    """Fetch the inputs; give up between two of them when the job is stopped."""
    space = Space(run.job.cluster, run.site.folder)
    try:
        for source in sources(run.job):
            if run.job.stop.is_set():
                return
            await bring(source, run.cluster, run.site.objects, space)
    except DownloadError as error:
        raise JobFailed(f"ClientError: Data download failed:{error}") from error


async def _process(run: _Run) -> None:
    """Run every instance to its end, uploading continuous outputs meanwhile."""
    run.codes, run.expired = await run_all(
        run.cluster,
        lambda host, halt: _instance(run, host, halt),
        run.job.stop,
        run.job.request["StoppingCondition"]["MaxRuntimeInSeconds"],
        run.outputs.keep_saving(UPLOAD_SECONDS),
    )


async def _instance(run: _Run, host: Host, halt: asyncio.Event) -> int:
    """Run one instance, its output into a log stream of its own; return the exit code."""
    job, site = run.job, run.site
    log = Log(site.store(job.region), LOG_GROUP, f"{job.name}/{host.name}-{int(now())}")
    return await run_logged(argv(job, host), environment(job, host, site.cloud), log, halt, site)


async def _leave(run: _Run) -> None:
    """Upload what there is and end the job as it deserves."""
    job = run.job
    halted = job.stop.is_set() or run.expired
    # The first to fail is the cause; the others were halted because of it.
    failed = None if halted else next((host for host, code in run.codes.items() if code), None)
    job.message = await asyncio.to_thread(exit_message, failed or run.cluster[0])
    try:
        await run.outputs.save(continuous=True)
        if failed is None and not halted:
            await run.outputs.save(continuous=False)
    except (UploadError, OSError) as error:
        # What the container said is the cause, whatever else goes wrong because of it.
        if failed is None:
            raise JobFailed(f"ClientError: Artifact upload failed:{error}") from error
    if failed is not None:
        raise JobFailed(f"AlgorithmError: , exit code: {run.codes[failed]}")
    if job.stop.is_set():
        job.end("Stopped")
    elif run.expired:
        # "After the condition is met, the processing job is stopped": ProcessingStoppingCondition's reference.
        job.end("Stopped", "MaxRuntimeExceeded")
    else:
        job.end("Completed")
