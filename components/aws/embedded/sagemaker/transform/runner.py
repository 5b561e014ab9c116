"""A transform job's objects on their way through its containers, and the log that says what became of each."""

from __future__ import annotations

import asyncio
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime

from components.aws.embedded.clock import now
from components.aws.embedded.machine.logged import Log
from components.aws.embedded.machine.space import Space
from components.aws.embedded.s3.objects import Location, S3Error
from components.aws.embedded.sagemaker.channels import DownloadError, Source, members
from components.aws.embedded.sagemaker.hosting.serving import NoAnswerError, Reply, Server
from components.aws.embedded.sagemaker.site import JobFailed, Site
from components.aws.embedded.sagemaker.transform.data import Batch, DataError, Shaping, unzipped
from components.aws.embedded.sagemaker.transform.record import TransformJob

INVOCATION_SECONDS = 600
"""ModelClientConfig's default, like the next."""
MOST_RETRIES = 3
_OBJECT_GB = 2
"""The most that a gzipped object may hold: it is worked on in memory."""


class FailedObjectError(Exception):
    """An object can't be processed: whose fault it is (`ClientError`, `AlgorithmError`), and lines for the data log."""

    def __init__(self, kind: str, *lines: str) -> None:
        super().__init__(kind)
        self.kind = kind
        self.lines = lines


@dataclass(slots=True)
class Work:
    """What became of the objects, by their paths below the input prefix."""

    outputs: dict[str, bytes] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    """Kinds, the first first."""


class DataLog:
    """The stream that says what became of the objects."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def say(self, text: str) -> None:
        """Write one line, with a time of its own, as AWS does."""
        time = datetime.fromtimestamp(now(), UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
        self._log.write(f"{time}:[sagemaker logs]: {text}")


class Runner:
    """Takes every object through a container."""

    def __init__(
        self, job: TransformJob, site: Site, shape: Shaping, concurrent: int, data_log: DataLog
    ) -> None:
        self._site = site
        self._shape = shape
        self._concurrent = concurrent
        self._data_log = data_log
        self._source = job.request["TransformInput"]
        accept = job.request["TransformOutput"].get("Accept")
        self._headers = {
            "Content-Type": self._source.get("ContentType") or "application/octet-stream",
            "Accept": accept or "*/*",
        }
        client = job.request.get("ModelClientConfig") or {}
        self._seconds = client.get("InvocationsTimeoutInSeconds", INVOCATION_SECONDS)
        self._retries = client.get("InvocationsMaxRetries", MOST_RETRIES)

    async def run(self, servers: list[Server]) -> Work:
        """All objects, one at a time per container. Raises `JobFailed`."""
        s3 = self._source["DataSource"]["S3DataSource"]
        wanted = Source("input", s3["S3Uri"], "", manifest=s3["S3DataType"] == "ManifestFile")
        try:
            found = await members(wanted, self._site.objects)
        except (S3Error, DownloadError) as error:
            raise JobFailed(f"ClientError: Data download failed:{error}") from error
        work = Work()

        async def one(number: int, server: Server) -> None:
            for place, relative in found[number :: len(servers)]:
                await self._object(place, relative, server, work)

        async with asyncio.TaskGroup() as group:
            for number, server in enumerate(servers):
                group.create_task(one(number, server))
        return work

    async def _object(self, place: Location, relative: str, server: Server, work: Work) -> None:
        try:
            work.outputs[relative] = await self._output(place, server)
        except FailedObjectError as failure:
            work.failures.append(failure.kind)
            for line in failure.lines:
                self._data_log.say(f"{place.bucket}/{place.key}: {line}")

    async def _output(self, place: Location, server: Server) -> bytes:
        """One object's output. Raises `FailedObjectError`."""
        gate = asyncio.Semaphore(self._concurrent)

        async def one(batch: Batch) -> bytes:
            async with gate:
                reply = await self._ask(server, batch)
                return await asyncio.to_thread(self._shape.output, batch, reply.body)

        tasks: list[asyncio.Task[bytes]] = []
        try:
            content = await self._content(place)
            batches = await asyncio.to_thread(lambda: list(self._shape.batches(content)))
            tasks += [asyncio.create_task(one(batch)) for batch in batches]
            return b"".join([await task for task in tasks])
        except DataError as error:
            raise FailedObjectError("ClientError", str(error)) from error
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _content(self, place: Location) -> bytes:
        try:
            content = await self._site.objects.get(place.bucket, place.key)
            if self._source["CompressionType"] == "Gzip":
                space = Space({"VolumeSizeInGB": _OBJECT_GB, "InstanceCount": 1}, self._site.folder)
                content = await asyncio.to_thread(unzipped, content, space)
        except (S3Error, OSError, EOFError, zlib.error) as error:
            raise DataError(f"ClientError: the object can't be read: {error}") from error
        return content

    async def _ask(self, server: Server, batch: Batch) -> Reply:
        """One request, sent again when the container fails it. Raises `FailedObjectError`."""
        for attempt in range(self._retries + 1):
            last = attempt == self._retries
            try:
                reply = await server.invoke(batch.payload, self._headers, self._seconds)
            except NoAnswerError as error:
                if last:
                    # Source of the sentence: sagemaker-python-sdk issue 753.
                    text = f"Unable to get response from algorithm: {error}"
                    raise FailedObjectError("AlgorithmError", text) from error
                continue
            if 200 <= reply.status < 300:
                return reply
            if reply.status < 500 or last:
                raise _refused(reply)
        raise AssertionError("unreachable")


def _refused(reply: Reply) -> FailedObjectError:
    """Source of the sentences: amazon-sagemaker-examples issues 1620 and 3948."""
    said = reply.body.decode(errors="replace").splitlines()
    if 400 <= reply.status < 500:
        return FailedObjectError("ClientError", f"ClientError: {reply.status}", "", "Message:", *said)
    status = f"Bad HTTP status received from algorithm: {reply.status}"
    return FailedObjectError("AlgorithmError", status, "", "Message:", *said)
