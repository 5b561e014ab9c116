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
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from components.aws.embedded import process
from components.aws.embedded.artifacts import Checkpoints, UploadError, upload_model, upload_output
from components.aws.embedded.channels import DownloadError, download
from components.aws.embedded.clock import now
from components.aws.embedded.container import Host, environment, hosts, prepare
from components.aws.embedded.guardian import Guardian
from components.aws.embedded.log_store import LogStore
from components.aws.embedded.objects import Objects, S3Error
from components.aws.embedded.paths import UnsafeKeyError, inside, remove
from components.aws.embedded.records import FAILURE_LENGTH, TrainingJob
from components.aws.embedded.space import Space

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
CHECKPOINT_SECONDS = 2.0
"""How often checkpoints are looked at for upload."""
MOST_SECONDS = 366 * 24 * 3600
"""The longest time limit; AWS's is 28 days."""
NOT_STARTED = 127
"""A shell's exit code for a command that can't be started."""
_log = logging.getLogger(__name__)


class JobFailed(Exception):
    """The job fails; the text is its FailureReason."""


@dataclass(frozen=True, slots=True)
class Site:
    """What jobs run on."""

    folder: Path
    """Each job has a sub-folder here while it runs."""
    objects: Objects
    store: Callable[[str], LogStore]
    """The logs of a region."""
    cloud: Mapping[str, str]
    """Variables that lead a job's own SDK calls to us."""
    grace: float
    places: asyncio.Semaphore
    guardian: Guardian


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
    folder = inside(site.folder, f"{job.region}/{job.name}")
    try:
        if await _place(job, site):
            try:
                await _live(job, site, folder)
            finally:
                site.places.release()
        else:
            job.end("Stopped")
    except JobFailed as failure:
        job.end("Failed", failure=str(failure))
    except Exception:  # noqa: BLE001  whatever it is, the client has to see the job end
        _log.exception("training job %s broke the embedded cloud", job.name)
        job.end("Failed", failure="InternalServerError: We encountered an internal error. Please try again.")
    finally:
        await asyncio.to_thread(remove, folder)


async def _place(job: TrainingJob, site: Site) -> bool:
    """Wait for a free place; False, and none taken, when the job was stopped meanwhile."""
    taking = asyncio.ensure_future(site.places.acquire())
    stopping = asyncio.ensure_future(job.stop.wait())
    try:
        await asyncio.wait([taking, stopping], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        taken = taking.done()
        taking.cancel()
    if taken and job.stop.is_set():
        site.places.release()
    return taken and not job.stop.is_set()


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
    halt = asyncio.Event()

    async def instance(host: Host) -> None:
        run.codes[host] = await _instance(run, host, halt)
        if run.codes[host]:
            halt.set()  # one failed instance fails the job

    helpers = [
        asyncio.create_task(_watch(run, halt)),
        asyncio.create_task(run.checkpoints.keep_saving(CHECKPOINT_SECONDS)),
    ]
    try:
        async with asyncio.TaskGroup() as group:
            for host in run.cluster:
                group.create_task(instance(host))
    finally:
        for helper in helpers:
            helper.cancel()
        await asyncio.wait(helpers)


async def _watch(run: _Run, halt: asyncio.Event) -> None:
    """Halt the instances when the job is to stop or its time is up."""
    # Timers overflow with what JSON can say.
    limit = min(run.job.request["StoppingCondition"]["MaxRuntimeInSeconds"], MOST_SECONDS)
    try:
        await asyncio.wait_for(run.job.stop.wait(), limit)
    except TimeoutError:
        run.expired = True
    halt.set()


async def _instance(run: _Run, host: Host, halt: asyncio.Event) -> int:
    """Run one instance, its output into a log stream of its own; return the exit code."""
    job, site = run.job, run.site
    stream = f"{job.name}/{host.name}-{int(now())}"
    store = site.store(job.region)
    store.stream(LOG_GROUP, stream)

    def write(line: str) -> None:
        time = now()
        store.write(LOG_GROUP, stream, [(round(time * 1000), line)])
        for notice in job.metrics.read(line, time):
            store.write(LOG_GROUP, stream, [(round(time * 1000), notice)])

    variables = environment(job, host, run.cluster, site.cloud)
    try:
        return await process.run(job.command.argv, variables, write, halt, site.grace, site.guardian)
    except (OSError, ValueError) as error:  # ValueError: a variable that holds what none can
        write(f"{job.command.argv[0]} can't be started: {error}")
        return NOT_STARTED


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
