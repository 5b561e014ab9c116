"""A folder on disk as the embedded S3's memory: sub-folders are buckets, files are objects.

Loaded at the start, written back at the end. Files of objects that were deleted meanwhile are left alone.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Collection
from pathlib import Path

from components.aws.embedded.s3.objects import Objects
from runner.emulation.paths import UnsafeKeyError, files, inside, read, write

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_log = logging.getLogger(__name__)


async def load(folder: Path, objects: Objects) -> None:
    """Make a bucket of every sub-folder; a missing folder is made. A bucket that S3 would refuse is skipped aloud."""
    for bucket in await asyncio.to_thread(_folders, folder):
        if not _BUCKET.fullmatch(bucket.name):
            _log.warning("%s is no bucket: S3 would not have the name", bucket)
            continue
        await objects.create(bucket.name)
        for path in await asyncio.to_thread(files, folder, bucket):
            content = await asyncio.to_thread(read, folder, path)
            await objects.put(bucket.name, path.relative_to(bucket).as_posix(), content)


async def save(folder: Path, objects: Objects, skip: Collection[tuple[str, str]] = ()) -> None:
    """Write every object below `folder`, but for the (bucket, key) pairs in `skip`; unsafe keys are skipped aloud."""
    for bucket in await objects.buckets():
        for key in await objects.list(bucket, present=True):
            if (bucket, key) in skip:
                continue
            try:
                path = inside(folder, f"{bucket}/{key}")
                content = await objects.get(bucket, key)
                await asyncio.to_thread(_write, folder, path, content)
            except (UnsafeKeyError, OSError) as error:
                _log.warning("s3://%s/%s is not kept: %s", bucket, key, error)


def _folders(folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for path in sorted(folder.iterdir()):
        if path.is_symlink():
            _log.warning("%s is a link and no bucket: it could lead anywhere", path)
        elif path.is_dir() and not path.name.startswith("."):
            found.append(path)
    return found


def _write(folder: Path, path: Path, content: bytes) -> None:
    """Write what has changed; what has not keeps its time."""
    if path.is_file() and read(folder, path) == content:
        return
    write(folder, path, content)
