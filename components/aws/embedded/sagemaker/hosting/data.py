"""A model's data on their way from S3 into a container's model folder.

An archive is somebody else's: nothing in it may lie outside the folder, and links are refused whatever they lead to.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.aws.embedded.machine.space import Space
from components.aws.embedded.s3.objects import Location, Objects, S3Error
from runner.emulation.archives import BROKEN, unpack
from runner.emulation.paths import inside, write

Json = Mapping[str, Any]


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
            await space.filled(unpack, io.BytesIO(content), folder, space)
        else:
            await _copy(data.place, folder, objects, space)
    except S3Error as error:
        # AWS's sentence is not known from a public place; the first half is that of its failed extraction.
        raise ModelDataError(
            f'Failed to download model data from URL "{data.place.uri}". {error.code}: {error.text}'
        ) from error
    except BROKEN as error:
        raise ModelDataError(
            f'Failed to extract model data archive from URL "{data.place.uri}". Please ensure that the object located'
            f" at the URL is a valid tar.gz archive. (Embedded cloud: {error})"
        ) from error


async def _copy(place: Location, folder: Path, objects: Objects, space: Space) -> None:
    for key in await objects.list(place.bucket, place.key):
        name = key[len(place.key) :].lstrip("/") or key.rpartition("/")[2]
        if key.endswith("/"):
            continue
        path = inside(folder, name)
        content = await objects.get(place.bucket, key)
        space.take(len(content))
        await asyncio.to_thread(write, folder, path, content)
