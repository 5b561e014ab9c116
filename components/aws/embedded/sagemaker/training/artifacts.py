"""What a job leaves behind: model.tar.gz, output.tar.gz and checkpoints, on their way to S3 and back."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from components.aws.embedded.machine.space import Space
from components.aws.embedded.s3.objects import Location, Objects
from components.aws.embedded.sagemaker.container import Host
from components.aws.embedded.sagemaker.training.record import TrainingJob
from components.aws.embedded.sagemaker.uploads import UploadError, upload
from runner.emulation.paths import files, inside, opened, read, tree, write

_log = logging.getLogger(__name__)
_COPIES_GB = 30
"""What links may add to a model: a thousand of them may lead to one file."""
Stamp = tuple[int, int]
"""A file's time of change in nanoseconds and its size: what tells whether it has to be uploaded again."""


async def upload_model(job: TrainingJob, host: Host, objects: Objects) -> str:
    """Upload the model of this instance; return its S3 URI. Raises `UploadError`."""
    target = _target(job)
    if job.request["OutputDataConfig"].get("CompressionType") == "NONE":
        folder = target.under("model")
        for name, path in await asyncio.to_thread(_files, host.job, host.model):
            content = await asyncio.to_thread(read, host.job, path)
            await upload(objects, folder.under(name), content)
        return f"{folder.uri}/"
    place = target.under("model.tar.gz")
    await upload(objects, place, await asyncio.to_thread(_pack, host.job, host.model))
    return place.uri


async def upload_output(job: TrainingJob, host: Host, objects: Objects) -> None:
    """Upload output/data of this instance, if there is anything in it. Raises `UploadError`."""
    if await asyncio.to_thread(files, host.job, host.output):
        content = await asyncio.to_thread(_pack, host.job, host.output)
        await upload(objects, _target(job).under("output.tar.gz"), content)


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
            await upload(self._objects, place, content)
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


def _pack(job: Path, folder: Path) -> bytes:
    """A folder as tar.gz: folders and files, links by what they lead to. Nobody's other files."""
    with tempfile.TemporaryFile() as file:
        # Dereference: hard links, too, are files of their own. What serves a model unpacks no links.
        with tarfile.open(fileobj=file, mode="w:gz", dereference=True) as archive:
            for name, path in _entries(job, folder):
                if path.is_dir():
                    archive.add(path, name, recursive=False)
                    continue
                with opened(job, path) as descriptor, os.fdopen(descriptor, "rb", closefd=False) as content:
                    archive.addfile(archive.gettarinfo(arcname=name, fileobj=content), content)
        file.seek(0)
        return file.read()


def _entries(job: Path, folder: Path) -> list[tuple[str, Path]]:
    """The folders and files of a folder, each name with the path of what is to be read: no path is a link.

    A link within the folder (Hugging Face's caches are made of them) stands for the file that it leads to, or for the
    folder with its own files. Others are left out with a warning.
    """
    found: list[tuple[str, Path]] = []
    copies = Space({"VolumeSizeInGB": _COPIES_GB, "InstanceCount": 1}, job)
    for path in tree(job, folder):
        name = path.relative_to(folder).as_posix()
        if not path.is_symlink():
            found += _taken(name, path)
            continue
        target = _target_of(folder, path)
        if target is None:
            _say_left_out(path)
            continue
        rows = list(_taken(name, target))
        if target.is_dir():
            rows += _below(job, folder, name, target)
        copies.take(sum(each.lstat().st_size for _, each in rows))
        found += rows
    return found


def _below(job: Path, folder: Path, name: str, target: Path) -> Iterator[tuple[str, Path]]:
    """What a folder that a link leads to holds. Links to further folders are left out: so none leads in a circle."""
    for path in tree(job, target):
        real = _target_of(folder, path) if path.is_symlink() else path
        if real is not None and (real == path or real.is_file()):
            yield from _taken(f"{name}/{path.relative_to(target).as_posix()}", real)


def _files(job: Path, folder: Path) -> list[tuple[str, Path]]:
    return [(name, path) for name, path in _entries(job, folder) if path.is_file()]


def _taken(name: str, path: Path) -> Iterator[tuple[str, Path]]:
    if stat.S_ISREG(mode := path.lstat().st_mode) or stat.S_ISDIR(mode):
        yield name, path
    else:
        _say_left_out(path)


def _say_left_out(path: Path) -> None:
    _log.warning("%s is not taken: it leads out of its folder or is no file", path)


def _target_of(folder: Path, link: Path) -> Path | None:
    """What a link leads to, by a path without links; None if that is not inside the folder."""
    try:
        base, target = folder.resolve(), link.resolve(strict=True)
    except (OSError, RuntimeError):  # leads nowhere, or in a circle
        return None
    return folder / target.relative_to(base) if target.is_relative_to(base) else None


def _stamp(path: Path) -> Stamp:
    status = path.lstat()
    return status.st_mtime_ns, status.st_size
