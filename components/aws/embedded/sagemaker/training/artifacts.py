"""What a job leaves behind: model.tar.gz, output.tar.gz and checkpoints, on their way to S3 and back."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import tarfile
import tempfile
from pathlib import Path

from components.aws.embedded.machine.paths import files, inside, opened, read, tree, write
from components.aws.embedded.machine.space import Space
from components.aws.embedded.s3.objects import Location, Objects, S3Error
from components.aws.embedded.sagemaker.container import Host
from components.aws.embedded.sagemaker.training.record import TrainingJob

_log = logging.getLogger(__name__)
Stamp = tuple[int, int]
"""A file's time of change in nanoseconds and its size: what tells whether it has to be uploaded again."""


class UploadError(Exception):
    """Something could not be brought to S3; the text follows AWS's `ClientError: Artifact upload failed:`."""


async def upload_model(job: TrainingJob, host: Host, objects: Objects) -> str:
    """Upload the model of this instance; return its S3 URI. Raises `UploadError`."""
    target = _target(job)
    if job.request["OutputDataConfig"].get("CompressionType") == "NONE":
        folder = target.under("model")
        for path in await asyncio.to_thread(files, host.job, host.model):
            content = await asyncio.to_thread(read, host.job, path)
            await _put(objects, folder.under(path.relative_to(host.model).as_posix()), content)
        return f"{folder.uri}/"
    place = target.under("model.tar.gz")
    await _put(objects, place, await asyncio.to_thread(_pack, host.job, host.model))
    return place.uri


async def upload_output(job: TrainingJob, host: Host, objects: Objects) -> None:
    """Upload output/data of this instance, if there is anything in it. Raises `UploadError`."""
    if await asyncio.to_thread(files, host.job, host.output):
        content = await asyncio.to_thread(_pack, host.job, host.output)
        await _put(objects, _target(job).under("output.tar.gz"), content)


class Checkpoints:
    """Keeps the first instance's checkpoint folder and CheckpointConfig.S3Uri the same. Nothing without the latter."""

    def __init__(self, job: TrainingJob, host: Host, objects: Objects) -> None:
        config = job.request.get("CheckpointConfig")
        self._place = Location.parse(config["S3Uri"]) if config else None
        self._job = host.job
        self._folder = host.checkpoints(job)
        self._objects = objects
        self._known: dict[Path, Stamp] = {}

    async def restore(self, space: Space) -> None:
        """Bring what is there already. Raises `UnsafeKeyError`, `S3Error` or OSError."""
        if self._place is None:
            return
        prefix = f"{self._place.key.rstrip('/')}/" if self._place.key else ""
        for key in await self._objects.list(self._place.bucket, prefix):
            if key.endswith("/"):
                continue
            path = inside(self._folder, key[len(prefix) :])
            content = await self._objects.get(self._place.bucket, key)
            space.take(len(content))
            await asyncio.to_thread(write, self._job, path, content)
            self._known[path] = _stamp(path)

    async def save(self, *, quiet: bool = False) -> None:
        """Upload what has changed; `quiet` about what can't be. Raises `UploadError` or OSError."""
        if self._place is None:
            return
        for path in await asyncio.to_thread(files, self._job, self._folder, quiet=quiet):
            try:
                stamp = _stamp(path)
                if self._known.get(path) == stamp:
                    continue
                content = await asyncio.to_thread(read, self._job, path)
            except FileNotFoundError:
                continue  # renamed while it was being written: its new name comes next time
            place = self._place.under(path.relative_to(self._folder).as_posix())
            await _put(self._objects, place, content)
            self._known[path] = stamp

    async def keep_saving(self, seconds: float) -> None:
        """Save at intervals until cancelled; what can't be saved now is tried again at the end."""
        while self._place is not None:
            await asyncio.sleep(seconds)
            try:
                await self.save(quiet=True)  # the last one says it once
            except (UploadError, OSError):
                continue


def _target(job: TrainingJob) -> Location:
    where = Location.parse(job.request["OutputDataConfig"]["S3OutputPath"])
    return where.under(job.name, "output")


async def _put(objects: Objects, place: Location, content: bytes) -> None:
    try:
        await objects.put(place.bucket, place.key, content)
    except S3Error as error:
        raise UploadError(f"{error.text} ({place.uri})") from error
    except UnicodeEncodeError as error:
        raise UploadError(f"the file name {place.key!a} is no UTF-8, so it can be no key") from error


def _pack(job: Path, folder: Path) -> bytes:
    """A folder as tar.gz: folders, files, and links that stay inside. Nothing else, so nobody's other files."""
    with tempfile.TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w:gz") as archive:
            for path in tree(job, folder):
                _add(archive, job, folder, path)
        file.seek(0)
        return file.read()


def _add(archive: tarfile.TarFile, job: Path, folder: Path, path: Path) -> None:
    """Put one path into the archive, or say why not."""
    name = path.relative_to(folder).as_posix()
    kind = path.lstat().st_mode
    if stat.S_ISREG(kind):
        with opened(job, path) as descriptor, os.fdopen(descriptor, "rb", closefd=False) as content:
            archive.addfile(archive.gettarinfo(arcname=name, fileobj=content), content)
    elif stat.S_ISDIR(kind) or (stat.S_ISLNK(kind) and _stays(folder, path)):
        archive.add(path, name, recursive=False)
    else:
        _log.warning("%s is not put into the archive: it leads out of its folder or is no file", path)


def _stays(folder: Path, link: Path) -> bool:
    """Whether a link leads to something inside the folder, also once this lies elsewhere."""
    try:
        return not link.readlink().is_absolute() and link.resolve(strict=True).is_relative_to(
            folder.resolve()
        )
    except (OSError, RuntimeError):  # leads nowhere, or in a circle
        return False


def _stamp(path: Path) -> Stamp:
    status = path.lstat()
    return status.st_mtime_ns, status.st_size
