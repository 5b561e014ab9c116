"""Input channels: which objects make up a channel, and their way into an instance's folder.

A processing job's inputs are brought in the same way; they differ in the shape of the request and in where they go.

File mode; FastFile differs from it only in when bytes are read, so it is the same here. A prefix `s3://b/digits/` gives
files named by what follows it; a prefix that ends within a name gives them by what follows its last slash. With
CompressionType Gzip the files are unpacked and lose a closing `.gz` (AWS's documentation speaks of Pipe mode only).
"""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.aws.embedded.machine.space import Space
from components.aws.embedded.s3.objects import Location, Objects, S3Error
from components.aws.embedded.sagemaker.container import Host
from runner.emulation.paths import UnsafeKeyError, created, inside

Json = dict[str, Any]
_CHUNK = 1024**2
LONGEST_MANIFEST = 16 * 1024**2
"""Bytes; a few hundred thousand names."""


class DownloadError(Exception):
    """A channel could not be brought in; the text follows AWS's `ClientError: Data download failed:`."""


@dataclass(frozen=True, slots=True)
class Source:
    """Objects, and the folder that they are brought to."""

    name: str
    """As errors call it: `channel train`."""
    uri: str
    folder: str
    """The folder's key below /opt/ml."""
    manifest: bool = False
    """`uri` names a list of objects instead of being their prefix."""
    sharded: bool = False
    """Each object goes to one instance only."""
    packed: bool = False
    """The objects are gzipped."""


async def download(channel: Json, cluster: list[Host], objects: Objects, space: Space) -> None:
    """Bring one channel to every instance that is to have it. Raises `DownloadError`."""
    source = channel["DataSource"]["S3DataSource"]
    name = channel["ChannelName"]
    wanted = Source(
        f"channel {name}",
        source["S3Uri"],
        f"input/data/{name}",
        manifest=source["S3DataType"] == "ManifestFile",
        sharded=source.get("S3DataDistributionType") == "ShardedByS3Key",
        packed=channel.get("CompressionType") == "Gzip",
    )
    await bring(wanted, cluster, objects, space)


async def bring(source: Source, cluster: list[Host], objects: Objects, space: Space) -> None:
    """Bring objects to every instance that is to have them. Raises `DownloadError`."""
    try:
        found = await members(source, objects)
        for number, (place, relative) in enumerate(found):
            takers = [cluster[number % len(cluster)]] if source.sharded else cluster
            key = relative.removesuffix(".gz") if source.packed else relative
            paths = [inside(inside(host.root, source.folder), key) for host in takers]
            content = await objects.get(place.bucket, place.key)
            for path in paths:
                await space.filled(_write, cluster[0].job, path, content, space, packed=source.packed)
    except S3Error as error:
        raise DownloadError(f"{error.code}: {error.text} ({source.uri})") from error
    except UnsafeKeyError as error:
        raise DownloadError(str(error)) from error
    except (OSError, zlib.error, EOFError) as error:
        raise DownloadError(f"{source.name}: {error}") from error


async def members(source: Source, objects: Objects) -> list[tuple[Location, str]]:
    """The objects of a channel, sorted by key, each with its path below the channel's folder."""
    place = Location.parse(source.uri)
    if source.manifest:
        content = await objects.get(place.bucket, place.key)
        return await asyncio.to_thread(_listed, content, place)
    keys = await objects.list(place.bucket, place.key)
    # A key that ends with a slash is a folder's mark, as consoles make them.
    files = (key for key in keys if not key.endswith("/"))
    return [(Location(place.bucket, key), _relative(key, place.key)) for key in files]


def _relative(key: str, prefix: str) -> str:
    """What of the key names the file: the rest if the prefix is a folder, else what follows its last slash."""
    if prefix.endswith("/") or not prefix:
        return key.removeprefix(prefix)
    if key.startswith(f"{prefix}/"):
        return key.removeprefix(f"{prefix}/")
    return key[len(prefix.rpartition("/")[0]) :].lstrip("/")


def _listed(manifest: bytes, place: Location) -> list[tuple[Location, str]]:
    """Read `[{"prefix": "s3://bucket/some/"}, "a.csv", …]`. Raises `DownloadError` for anything else."""
    if len(manifest) > LONGEST_MANIFEST:
        raise DownloadError(f"{place.uri} is too long for a manifest: more than {LONGEST_MANIFEST} bytes")
    try:
        head, *rest = json.loads(manifest)
        prefix = Location.parse(head["prefix"])
        names = [str(name) for name in rest]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DownloadError(f"{place.uri} is no manifest: {error}") from error
    return [(Location(prefix.bucket, prefix.key + name), name) for name in sorted(names)]


def _write(job: Path, path: Path, content: bytes, space: Space, *, packed: bool) -> None:
    """Write one file, piece by piece: a small gzip may hold more than there is room for."""
    stream = gzip.GzipFile(fileobj=io.BytesIO(content)) if packed else io.BytesIO(content)
    with stream, created(job, path) as descriptor, os.fdopen(descriptor, "wb", closefd=False) as file:
        while piece := stream.read(_CHUNK):
            space.take(len(piece))
            file.write(piece)
