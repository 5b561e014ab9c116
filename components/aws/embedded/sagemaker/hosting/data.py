"""A model's data on their way from S3 into a container's model folder.

An archive is somebody else's: nothing in it may lie outside the folder, and links are refused whatever they lead to.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import os
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.aws.embedded.machine.paths import UnsafeKeyError, created, inside, write
from components.aws.embedded.machine.space import Space
from components.aws.embedded.s3.objects import Location, Objects, S3Error

Json = Mapping[str, Any]
_CHUNK = 1024**2
MOST_MEMBERS = 100_000
"""Files and folders of an archive."""
LONGEST_HEADER = 512 * 1024
"""Bytes of all headers of one member; paths have at most 4096."""


class ModelDataError(Exception):
    """The data can't be brought in; the text is AWS's FailureReason, with our reason behind it."""


@dataclass(frozen=True, slots=True)
class ModelData:
    """Where a model's data lie: one tar.gz, or all objects below a prefix as they are."""

    place: Location
    archive: bool

    @classmethod
    def of(cls, container: Json) -> ModelData | None:
        """Read a ContainerDefinition; None for a container without data. Raises ValueError for what is no S3 URI."""
        if url := container.get("ModelDataUrl"):
            return cls(Location.parse(url), archive=True)
        source = (container.get("ModelDataSource") or {}).get("S3DataSource")
        if not source:
            return None
        return cls(Location.parse(source["S3Uri"]), archive=source["CompressionType"] == "Gzip")

    async def exists(self, objects: Objects) -> bool:
        """Whether there is such an object, or anything below the prefix. Raises `S3Error`."""
        found = await objects.list(self.place.bucket, self.place.key, most=1)
        return found[:1] == [self.place.key] if self.archive else bool(found)


async def bring(data: ModelData, base: Path, volume: float, objects: Objects) -> None:
    """Put the data into `base/model`, at most `volume` GB. Raises `ModelDataError`."""
    folder = base / "model"
    space = Space({"VolumeSizeInGB": volume, "InstanceCount": 1}, base)
    try:
        if data.archive:
            content = await objects.get(data.place.bucket, data.place.key)
            await space.filled(unpack, content, folder, space)
        else:
            await _copy(data.place, folder, objects, space)
    except S3Error as error:
        # AWS's sentence is not known from a public place; the first half is that of its failed extraction.
        raise ModelDataError(
            f'Failed to download model data from URL "{data.place.uri}". {error.code}: {error.text}'
        ) from error
    # ValueError: numbers in a header that are none, and UnsafeKeyError.
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError, RecursionError) as error:
        raise ModelDataError(
            f'Failed to extract model data archive from URL "{data.place.uri}". Please ensure that the object located'
            f" at the URL is a valid tar.gz archive. (Embedded cloud: {error})"
        ) from error


def unpack(content: bytes, folder: Path, space: Space) -> None:
    """Unpack a tar.gz. Raises OSError (also for too much), ValueError, TarError, zlib.error, EOFError, RecursionError."""
    stream = _Stream(gzip.GzipFile(fileobj=io.BytesIO(content)))
    with tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]  # all it needs is read()
        for _ in range(MOST_MEMBERS):
            with stream.header():
                member = archive.next()
            # What it keeps of earlier members is memory that an archive could fill.
            archive.members.clear()
            archive.pax_headers.clear()
            if member is None:
                return
            _member(archive, member, folder, space)
    raise OSError(f"it holds more than {MOST_MEMBERS} files and folders")


def _member(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, space: Space) -> None:
    name = member.name.removeprefix("./").removesuffix("/")
    space.take(0)  # ends here, too, when nobody waits for it any more
    if member.issparse():
        # Its size is a claim: what it does not hold would be written as zeros.
        raise UnsafeKeyError(f"{name!a} is a sparse file, which is not unpacked")
    if member.isdir():
        if name not in ("", "."):
            inside(folder, name).mkdir(parents=True, exist_ok=True)
    elif member.isfile():
        _extract(archive, member, folder, inside(folder, name), space)
    else:
        raise UnsafeKeyError(f"{name!a} is a link or a device, which is not unpacked")


def _extract(
    archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, path: Path, space: Space
) -> None:
    source = archive.extractfile(member)
    if source is None:
        raise OSError(f"{member.name!a} can't be read")
    with created(folder, path) as descriptor, os.fdopen(descriptor, "wb", closefd=False) as file:
        while piece := source.read(_CHUNK):
            space.take(len(piece))
            file.write(piece)
        os.fchmod(descriptor, (member.mode & 0o755) | 0o600)


class _Stream:
    """What a tar file is read from. Headers are read into memory whole, so there is a bound for them apart."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream = stream
        # The first member's are read when the archive is opened.
        self._left: int | None = LONGEST_HEADER

    def read(self, size: int) -> bytes:
        piece = self._stream.read(size)
        if self._left is not None:
            self._left -= len(piece)
            if self._left < 0:
                raise OSError(f"a header is longer than {LONGEST_HEADER} bytes")
        return piece

    @contextmanager
    def header(self) -> Iterator[None]:
        """The next member's headers are read, and nothing else."""
        self._left = LONGEST_HEADER
        yield
        self._left = None


async def _copy(place: Location, folder: Path, objects: Objects, space: Space) -> None:
    for key in await objects.list(place.bucket, place.key):
        name = key[len(place.key) :].lstrip("/") or key.rpartition("/")[2]
        if key.endswith("/"):
            continue
        path = inside(folder, name)
        content = await objects.get(place.bucket, key)
        space.take(len(content))
        await asyncio.to_thread(write, folder, path, content)
