"""What a processing job's instances write, on its way to S3.

`Continuous` outputs are uploaded while the job runs and once more at its end, whatever the end is; `EndOfJob` outputs
only by a job that has completed. All instances upload to the same place: of two files with one name the later is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from components.aws.embedded.s3.objects import Location, Objects
from components.aws.embedded.sagemaker.container import Host
from components.aws.embedded.sagemaker.processing.container import targets
from components.aws.embedded.sagemaker.processing.record import ProcessingJob
from components.aws.embedded.sagemaker.uploads import UploadError, upload
from runner.emulation.paths import files, read

_Stamp = tuple[int, int]


class Outputs:
    """The outputs of a whole cluster."""

    def __init__(self, job: ProcessingJob, cluster: Sequence[Host], objects: Objects) -> None:
        self._job = job
        self._cluster = cluster
        self._objects = objects
        self._known: dict[Path, _Stamp] = {}

    async def save(self, *, continuous: bool, quiet: bool = False) -> None:
        """Upload what has changed in outputs of one mode; `quiet` about what can't be. Raises `UploadError` or OSError."""
        for key, place in targets(self._job, continuous=continuous):
            for host in self._cluster:
                # Not by `inside`: the job may have made a link of it, from which nothing is taken.
                await self._save(host, host.root / key, place, quiet=quiet)

    async def _save(self, host: Host, folder: Path, place: Location, *, quiet: bool) -> None:
        for path in await asyncio.to_thread(files, host.job, folder, quiet=quiet):
            try:
                status = path.lstat()
                stamp = status.st_mtime_ns, status.st_size
                if self._known.get(path) == stamp:
                    continue
                content = await asyncio.to_thread(read, host.job, path)
            except FileNotFoundError:
                continue  # renamed while it was being written: its new name comes next time
            await upload(self._objects, place.under(path.relative_to(folder).as_posix()), content)
            self._known[path] = stamp

    async def keep_saving(self, seconds: float) -> None:
        """Upload continuous outputs at intervals until cancelled; what can't be is tried again at the end."""
        while next(targets(self._job, continuous=True), None):
            await asyncio.sleep(seconds)
            try:
                await self.save(continuous=True, quiet=True)
            except (UploadError, OSError):
                continue
