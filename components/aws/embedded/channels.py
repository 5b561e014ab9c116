"""Input channels: which objects make up a channel, and their way into an instance's folder.

File mode; FastFile differs from it only in when bytes are read, so it is the same here. A prefix `s3://b/digits/` gives
files named by what follows it; a prefix that ends within a name gives them by what follows its last slash. With
CompressionType Gzip the files are unpacked and lose a closing `.gz` (AWS's documentation speaks of Pipe mode only).
"""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from components.aws.embedded.container import Host
from components.aws.embedded.objects import Location, Objects, S3Error
from components.aws.embedded.paths import UnsafeKeyError, inside

Json = dict[str, Any]


class DownloadError(Exception):
    """A channel could not be brought in; the text follows AWS's `ClientError: Data download failed:`."""


async def download(channel: Json, cluster: list[Host], objects: Objects) -> None:
    """Bring one channel to every instance that is to have it. Raises `DownloadError`."""
    source = channel["DataSource"]["S3DataSource"]
    name = channel["ChannelName"]
    sharded = source.get("S3DataDistributionType") == "ShardedByS3Key"
    try:
        found = await _members(source, objects)
        for number, (place, relative) in enumerate(found):
            takers = [cluster[number % len(cluster)]] if sharded else cluster
            content = await objects.get(place.bucket, place.key)
            if channel.get("CompressionType") == "Gzip":
                content = await asyncio.to_thread(gzip.decompress, content)
                relative = relative.removesuffix(".gz")  # noqa: PLW2901
            paths = [inside(host.channel(name), relative) for host in takers]
            await asyncio.to_thread(_write, content, paths)
    except S3Error as error:
        raise DownloadError(f"{error.code}: {error.text} ({source['S3Uri']})") from error
    except UnsafeKeyError as error:
        raise DownloadError(str(error)) from error
    except (OSError, zlib.error, EOFError) as error:
        raise DownloadError(f"channel {name}: {error}") from error


async def _members(source: Json, objects: Objects) -> list[tuple[Location, str]]:
    """The objects of a channel, sorted by key, each with its path below the channel's folder."""
    place = Location.parse(source["S3Uri"])
    if source["S3DataType"] == "ManifestFile":
        return _listed(await objects.get(place.bucket, place.key), place)
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
    try:
        head, *rest = json.loads(manifest)
        prefix = Location.parse(head["prefix"])
        names = [str(name) for name in rest]
    except (ValueError, TypeError, KeyError) as error:
        raise DownloadError(f"{place.uri} is no manifest: {error}") from error
    return [(Location(prefix.bucket, prefix.key + name), name) for name in sorted(names)]


def _write(content: bytes, paths: Iterable[Path]) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
