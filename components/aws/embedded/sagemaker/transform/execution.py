"""A transform job's way: containers come up, every object goes through one of them, the output goes to S3 at the end.

An object that can't be processed leaves no output and fails the job; the others are processed nevertheless. A job that is
stopped leaves none at all (developer guide, "Use Batch Transform"). What went wrong is in the data log, in AWS's words.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

from components.aws.embedded.errors import ApiError
from components.aws.embedded.machine.logged import Log
from components.aws.embedded.s3.objects import Location, S3Error
from components.aws.embedded.sagemaker.hosting.data import ModelData, ModelDataError
from components.aws.embedded.sagemaker.hosting.serving import (
    STARTUP_SECONDS,
    NoAnswerError,
    Plan,
    Server,
    StartError,
    instance_id,
    prepare,
    serving,
)
from components.aws.embedded.sagemaker.images import Images, mapping_hint
from components.aws.embedded.sagemaker.site import JobFailed, Site, conduct
from components.aws.embedded.sagemaker.transform.data import Shaping
from components.aws.embedded.sagemaker.transform.record import TransformJob
from components.aws.embedded.sagemaker.transform.runner import INVOCATION_SECONDS, DataLog, Runner, Work

Json = dict[str, Any]
LOG_GROUP = "/aws/sagemaker/TransformJobs"
MOST_MEGABYTES = 100
"""MaxConcurrentTransforms times MaxPayloadInMB must not be more (CreateTransformJob's reference)."""
DEFAULT_PAYLOAD_MB = 6
_VOLUME_GB = 30
_STRATEGIES = {"MultiRecord": "MULTI_RECORD", "SingleRecord": "SINGLE_RECORD"}


async def execute(job: TransformJob, site: Site, images: Images) -> None:
    """Take a job to its end. Never raises; cancelling kills what runs and leaves the job unfinished."""
    await conduct(job, site, lambda folder: _live(job, site, images, folder))


async def _live(job: TransformJob, site: Site, images: Images, folder: Path) -> None:
    job.begin()
    working = asyncio.ensure_future(_transform(job, site, images, folder))
    stopping = asyncio.ensure_future(job.stop.wait())
    try:
        await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        if not working.done():
            working.cancel()
            await asyncio.wait([working])
    if job.stop.is_set():
        if not working.cancelled():
            working.exception()  # whatever it was, the job was stopped
        job.end("Stopped")
        return
    work = working.result()
    await _store(job, site, work)
    # Nothing is awaited from here on: a stop was either seen, or comes too late to be accepted.
    if job.stop.is_set():
        job.end("Stopped")
        return
    if work.failures:
        raise JobFailed(f"{work.failures[0]}: See job logs for more information")
    job.end("Completed")


async def _store(job: TransformJob, site: Site, work: Work) -> None:
    """Bring the output to S3. A stop meanwhile takes back what is there already. Raises `JobFailed`."""
    target = Location.parse(job.request["TransformOutput"]["S3OutputPath"])
    stored: list[Location] = []
    try:
        for relative, path in work.outputs.items():
            if job.stop.is_set():
                break
            place = target.under(f"{relative}.out")
            content = await asyncio.to_thread(path.read_bytes)
            await site.objects.put(place.bucket, place.key, content)
            stored.append(place)
    except S3Error as error:
        if not job.stop.is_set():
            raise JobFailed(
                f"ClientError: The output can't be stored: {error.text} ({target.uri})"
            ) from error
    if job.stop.is_set():
        for place in stored:
            with suppress(S3Error):  # gone already, with its bucket
                await site.objects.delete(place.bucket, place.key)


async def _transform(job: TransformJob, site: Site, images: Images, folder: Path) -> Work:
    """Have all objects processed. Raises `JobFailed`."""
    asked = job.request["TransformResources"]["InstanceCount"]
    instance = instance_id()
    store = site.store(job.region)
    data_log = DataLog(Log(store, LOG_GROUP, f"{job.name}/{instance}/data-log"))
    names = [instance, *(instance_id() for _ in range(job.processes - 1))]
    async with AsyncExitStack() as stack:
        servers = []
        for name in names:
            log = Log(store, LOG_GROUP, f"{job.name}/{name}")
            servers.append(await _serve(_plan(job, images, folder / name, log), site, stack))
        if asked > len(servers):
            data_log.say(f"embedded cloud: {asked} instances were asked for; {len(servers)} processes serve")
        parameters = await _parameters(job, servers[0])
        data_log.say(
            f"MaxConcurrentTransforms={parameters['MaxConcurrentTransforms']},"
            f" MaxPayloadInMB={parameters['MaxPayloadInMB']}, BatchStrategy={_STRATEGIES[parameters['BatchStrategy']]}"
        )
        output = folder / "output"
        await asyncio.to_thread(output.mkdir)
        shape = shaping(job, parameters)
        runner = Runner(job, site, output, shape, parameters["MaxConcurrentTransforms"], data_log)
        return await runner.run(servers)


def _plan(job: TransformJob, images: Images, folder: Path, log: Log) -> Plan:
    """Raise `JobFailed` for an image that nothing stands for."""
    model = job.model
    image = model.container["Image"]
    try:
        command = images.command(image, model.role, "serve")
    except ApiError as error:
        raise JobFailed(
            f"ClientError: Cannot pull the image {image} of model {model.name}. {mapping_hint(image)}"
        ) from error
    batch = {
        "SAGEMAKER_BATCH": "true",
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": str(job.request.get("MaxConcurrentTransforms") or 1),
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": str(job.request.get("MaxPayloadInMB", DEFAULT_PAYLOAD_MB)),
        "SAGEMAKER_BATCH_STRATEGY": _STRATEGIES[job.request.get("BatchStrategy", "MultiRecord")],
    }
    own = (model.container.get("Environment") or {}) | (job.request.get("Environment") or {})
    return Plan(
        command=command,
        data=ModelData.of(model.container),
        region=job.region,
        variables=own | batch,
        isolated=model.isolated,
        folder=folder,
        log=log,
        startup=STARTUP_SECONDS,
        volume=_VOLUME_GB,
    )


async def _serve(plan: Plan, site: Site, stack: AsyncExitStack) -> Server:
    try:
        await prepare(plan, site)
        return await stack.enter_async_context(serving(plan, site))
    except ModelDataError as error:
        raise JobFailed(f"ClientError: {error}") from error
    except OSError as error:
        raise JobFailed(f"InternalServerError: The container's folders can't be made: {error}") from error
    except StartError as error:
        # AWS's sentence is not known from a public place; this is the endpoints' one.
        raise JobFailed(
            "AlgorithmError: The primary container did not pass the ping health check. Please check CloudWatch logs for"
            f" this job. (Embedded cloud: {error}.)"
        ) from error


async def _parameters(job: TransformJob, server: Server) -> Json:
    """What the request says; what it leaves open, as the container says at /execution-parameters; else AWS's defaults."""
    defaults: Json = {
        "MaxConcurrentTransforms": 1,
        "MaxPayloadInMB": DEFAULT_PAYLOAD_MB,
        "BatchStrategy": "MultiRecord",
    }
    given = {name: job.request[name] for name in defaults if job.request.get(name) is not None}
    if not given.get("MaxConcurrentTransforms", 1):
        del given["MaxConcurrentTransforms"]  # 0: as the container says
    if len(given) < len(defaults):
        defaults |= await _told(server)
    found = defaults | given
    # AWS's rule for requests that give both; here it bounds what a container says, too: all of it is in memory at a time.
    most = MOST_MEGABYTES // max(1, found["MaxPayloadInMB"])
    return found | {"MaxConcurrentTransforms": max(1, min(found["MaxConcurrentTransforms"], most))}


async def _told(server: Server) -> Json:
    """The container's own parameters; nothing if it has none that can be understood."""
    try:
        reply = await server.get("/execution-parameters", INVOCATION_SECONDS)
        told = json.loads(reply.body) if reply.status == 200 else {}
    except (NoAnswerError, ValueError, RecursionError):
        return {}
    if not isinstance(told, dict):
        return {}
    concurrent, payload = told.get("MaxConcurrentTransforms"), told.get("MaxPayloadInMB")
    found: Json = {}
    if isinstance(concurrent, int) and concurrent > 0:
        found["MaxConcurrentTransforms"] = concurrent
    if isinstance(payload, int) and payload >= 0:
        found["MaxPayloadInMB"] = payload
    if (strategy := told.get("BatchStrategy")) in _STRATEGIES:
        found["BatchStrategy"] = strategy
    return found


def shaping(job: TransformJob, parameters: Mapping[str, Any]) -> Shaping:
    """How the job's records are treated. Raises `ApiError` for a JSONPath that is not known here."""
    source, processing = job.request["TransformInput"], job.request["DataProcessing"]
    return Shaping.of(
        source,
        processing,
        multi=parameters.get("BatchStrategy", "MultiRecord") == "MultiRecord",
        limit=parameters.get("MaxPayloadInMB", DEFAULT_PAYLOAD_MB) * 1024**2,
        lines_out=job.request["TransformOutput"]["AssembleWith"] == "Line",
    )
