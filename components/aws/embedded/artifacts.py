"""What a job leaves behind: model.tar.gz, output.tar.gz and checkpoints, on their way to S3 and back."""

from __future__ import annotations

import asyncio
import os
import tarfile
import tempfile
from pathlib import Path

from components.aws.embedded.container import Host
from components.aws.embedded.objects import Location, Objects, S3Error
from components.aws.embedded.paths import inside
from components.aws.embedded.records import TrainingJob

Stamp = tuple[int, int]
"""A file's time of change in nanoseconds and its size: what tells whether it has to be uploaded again."""


class UploadError(Exception):
    """Something could not be brought to S3; the text follows AWS's `ClientError: Artifact upload failed:`."""


async def upload_model(job: TrainingJob, host: Host, objects: Objects) -> str:
    """Upload the model of this instance; return its S3 URI. Raises `UploadError`."""
    target = _target(job)
    if job.request["OutputDataConfig"].get("CompressionType") == "NONE":
        folder = target.under("model")
        for path in await asyncio.to_thread(_files, host.model):
            content = await asyncio.to_thread(path.read_bytes)
            await _put(objects, folder.under(path.relative_to(host.model).as_posix()), content)
        return f"{folder.uri}/"
    place = target.under("model.tar.gz")
    await _put(objects, place, await asyncio.to_thread(_pack, host.model))
    return place.uri


async def upload_output(job: TrainingJob, host: Host, objects: Objects) -> None:
    """Upload output/data of this instance, if there is anything in it. Raises `UploadError`."""
    if await asyncio.to_thread(_files, host.output):
        content = await asyncio.to_thread(_pack, host.output)
        await _put(objects, _target(job).under("output.tar.gz"), content)


class Checkpoints:
    """Keeps the first instance's checkpoint folder and CheckpointConfig.S3Uri the same. Nothing without the latter."""

    def __init__(self, job: TrainingJob, host: Host, objects: Objects) -> None:
        config = job.request.get("CheckpointConfig")
        self._place = Location.parse(config["S3Uri"]) if config else None
        self._folder = host.checkpoints(job)
        self._objects = objects
        self._known: dict[Path, Stamp] = {}

    async def restore(self) -> None:
        """Bring what is there already. Raises `UnsafeKeyError`, `S3Error` or OSError."""
        if self._place is None:
            return
        prefix = f"{self._place.key.rstrip('/')}/" if self._place.key else ""
        for key in await self._objects.list(self._place.bucket, prefix):
            if key.endswith("/"):
                continue
            content = await self._objects.get(self._place.bucket, key)
            path = inside(self._folder, key[len(prefix) :])
            await asyncio.to_thread(_write, path, content)
            self._known[path] = _stamp(path)

    async def save(self) -> None:
        """Upload what has changed. Raises `UploadError`."""
        if self._place is None:
            return
        for path in await asyncio.to_thread(_files, self._folder):
            try:
                stamp = _stamp(path)
                if self._known.get(path) == stamp:
                    continue
                content = await asyncio.to_thread(path.read_bytes)
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
                await self.save()
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


def _pack(folder: Path) -> bytes:
    """A folder as tar.gz. Only folders, files, and links that stay inside: nobody's other files, no devices."""
    with tempfile.TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w:gz") as archive:
            for path in sorted(folder.rglob("*")):
                if (path.is_file() or path.is_dir()) and path.resolve().is_relative_to(folder.resolve()):
                    archive.add(path, path.relative_to(folder).as_posix(), recursive=False)
        file.seek(0)
        return file.read()


def _files(folder: Path) -> list[Path]:
    """Regular files below a folder; symbolic links are not followed."""
    found: list[Path] = []
    for where, _, names in os.walk(folder):
        paths = (Path(where, name) for name in names)
        found += [path for path in paths if path.is_file() and not path.is_symlink()]
    return sorted(found)


def _stamp(path: Path) -> Stamp:
    status = path.stat()
    return status.st_mtime_ns, status.st_size


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
