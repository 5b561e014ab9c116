"""A transform job's objects on their way through its containers, and the log that says what became of each.

Objects may be as large as S3 has them, and cut into millions of requests: only those under way are in memory, and output
lies on disk until all is done.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import zlib
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, cast

from components.aws.embedded.clock import now
from components.aws.embedded.machine.logged import Log
from components.aws.embedded.machine.space import Space, counted
from components.aws.embedded.s3.objects import Location, S3Error
from components.aws.embedded.sagemaker.channels import DownloadError, Source, members
from components.aws.embedded.sagemaker.hosting.serving import NoAnswerError, Reply, Server
from components.aws.embedded.sagemaker.site import JobFailed, Site
from components.aws.embedded.sagemaker.transform.data import Batch, DataError, Shaping
from components.aws.embedded.sagemaker.transform.record import TransformJob

INVOCATION_SECONDS = 600
"""ModelClientConfig's default, like the next."""
MOST_RETRIES = 3
_VOLUME_GB = 30
"""What the output of a job may take, and what one object may hold once unzipped."""
_LONGEST_REFUSAL = 8192
"""Bytes of a container's refusal that the data log repeats."""


class FailedObjectError(Exception):
    """An object can't be processed: whose fault it is (`ClientError`, `AlgorithmError`), and lines for the data log."""

    def __init__(self, kind: str, *lines: str) -> None:
        super().__init__(kind)
        self.kind = kind
        self.lines = lines


@dataclass(slots=True)
class Work:
    """What became of the objects, by their paths below the input prefix."""

    outputs: dict[str, Path] = field(default_factory=dict)
    """Files of the job's folder."""
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
        self, job: TransformJob, site: Site, folder: Path, shape: Shaping, concurrent: int, data_log: DataLog
    ) -> None:
        """`folder` is for output; it is there already."""
        self._site = site
        self._folder = folder
        self._space = _space(folder)
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
            for index in range(number, len(found), len(servers)):
                await self._object(*found[index], self._folder / f"{index}.out", server, work)

        async with asyncio.TaskGroup() as group:
            for number, server in enumerate(servers):
                group.create_task(one(number, server))
        return work

    async def _object(self, place: Location, relative: str, target: Path, server: Server, work: Work) -> None:
        try:
            await self._output(place, target, server)
            work.outputs[relative] = target
        except FailedObjectError as failure:
            await asyncio.to_thread(target.unlink, missing_ok=True)
            work.failures.append(failure.kind)
            for line in failure.lines:
                self._data_log.say(f"{place.bucket}/{place.key}: {line}")

    async def _output(self, place: Location, target: Path, server: Server) -> None:
        """Write one object's output, in the order of its records. Raises `FailedObjectError`."""
        space = _space(self._folder)
        under_way: deque[asyncio.Task[bytes]] = deque()
        try:
            batches = self._shape.batches(counted(await self._content(place), space))
            with target.open("wb") as file:
                while True:
                    # No more of them than may be under way: there may be millions to come.
                    while len(under_way) < self._concurrent and (
                        batch := await space.filled(next, batches, None)
                    ):
                        under_way.append(asyncio.create_task(self._answered(server, batch)))
                    if not under_way:
                        return
                    await self._space.filled(_keep, file, await under_way[0], self._space)
                    under_way.popleft()
        except DataError as error:
            raise FailedObjectError("ClientError", str(error)) from error
        except (OSError, EOFError, zlib.error) as error:
            text = f"ClientError: the object can't be processed: {error}"
            raise FailedObjectError("ClientError", text) from error
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def _answered(self, server: Server, batch: Batch) -> bytes:
        reply = await self._ask(server, batch)
        return await asyncio.to_thread(self._shape.output, batch, reply.body)

    async def _content(self, place: Location) -> IO[bytes]:
        try:
            content = io.BytesIO(await self._site.objects.get(place.bucket, place.key))
        except S3Error as error:
            raise DataError(f"ClientError: the object can't be read: {error}") from error
        if self._source["CompressionType"] == "Gzip":
            return cast("IO[bytes]", gzip.GzipFile(fileobj=content))
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


def _space(folder: Path) -> Space:
    return Space({"VolumeSizeInGB": _VOLUME_GB, "InstanceCount": 1}, folder)


def _keep(file: IO[bytes], content: bytes, space: Space) -> None:
    space.take(len(content))
    file.write(content)


def _refused(reply: Reply) -> FailedObjectError:
    """Source of the sentences: amazon-sagemaker-examples issues 1620 and 3948."""
    said = reply.body[:_LONGEST_REFUSAL].decode(errors="replace").splitlines()
    if 400 <= reply.status < 500:
        return FailedObjectError("ClientError", f"ClientError: {reply.status}", "", "Message:", *said)
    status = f"Bad HTTP status received from algorithm: {reply.status}"
    return FailedObjectError("AlgorithmError", status, "", "Message:", *said)
