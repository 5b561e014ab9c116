"""The sample bucket: what there is, and that it is what it says."""

from __future__ import annotations

import asyncio
import json
import struct
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from components.aws.embedded.s3 import samples
from tests.emulator.helpers import Aws, embedded

pytestmark = pytest.mark.asyncio(loop_scope="module")

BUCKET = samples.BUCKET


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def aws() -> AsyncIterator[Aws]:
    async with embedded() as aws:
        yield aws


async def rows(aws: Aws, key: str) -> list[bytes]:
    return (await aws.get(BUCKET, key)).splitlines()


async def test_every_key_is_known_so_that_none_is_written_back(aws: Aws) -> None:
    assert set(await aws.keys(BUCKET)) == set(samples.KEYS)


async def test_samples_are_not_written_into_the_users_folder(tmp_path: Path) -> None:
    async with embedded(s3=tmp_path) as aws:
        assert await aws.keys(BUCKET)
        await aws.put(BUCKET, mine=b"1")
    written = await asyncio.to_thread(lambda: [path.name for path in tmp_path.rglob("*") if path.is_file()])
    assert written == ["mine"]


async def test_all_digits_are_the_training_and_the_test_digits(aws: Aws) -> None:
    everything = await rows(aws, "digits/all/digits.csv")
    labels = await rows(aws, "digits/all-labels/digits.csv")
    assert len(everything) == len(labels) == 1797
    assert {len(row.split(b",")) for row in everything} == {64}
    assert set(labels) == {str(digit).encode() for digit in range(10)}
    parts = []
    for name in ("train", "test"):
        pixels = await rows(aws, f"digits/{name}/{name}.csv")
        parts += [*zip(pixels, await rows(aws, f"digits/labels/{name}.csv"), strict=True)]
    assert sorted(parts) == sorted(zip(everything, labels, strict=True))


async def test_the_images_show_the_digits_that_the_manifest_lists(aws: Aws) -> None:
    lines = [json.loads(line) for line in await rows(aws, "labeling/digits.manifest")]
    answers = [json.loads(line) for line in await rows(aws, "labeling/digits.answers.jsonl")]
    labels = await rows(aws, "digits/all-labels/digits.csv")
    pixels = await rows(aws, "digits/all/digits.csv")
    assert [line["source-ref"] for line in lines] == [answer["source-ref"] for answer in answers]
    assert [answer["answer"].encode() for answer in answers] == labels[: len(lines)]
    for line, row in zip(lines, pixels, strict=False):
        image = await aws.get(BUCKET, line["source-ref"].removeprefix(f"s3://{BUCKET}/"))
        assert shades(image) == [int(pixel) * 255 // 16 for pixel in row.split(b",")]


def shades(image: bytes) -> list[int]:
    """The pixels of a greyscale PNG without filters; each part's checksum is looked at."""
    assert image[:8] == b"\x89PNG\r\n\x1a\n"
    parts, rest = {}, image[8:]
    while rest:
        (size,) = struct.unpack(">I", rest[:4])
        assert struct.unpack(">I", rest[8 + size : 12 + size]) == (zlib.crc32(rest[4 : 8 + size]),)
        parts[rest[4:8]] = rest[8 : 8 + size]
        rest = rest[12 + size :]
    assert list(parts) == [b"IHDR", b"IDAT", b"IEND"]
    assert parts[b"IHDR"] == struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)
    lines = zlib.decompress(parts[b"IDAT"])
    return [shade for begin in range(0, 72, 9) for shade in lines[begin + 1 : begin + 9]]


async def test_the_categories_are_the_digits(aws: Aws) -> None:
    categories = json.loads(await aws.get(BUCKET, "labeling/categories.json"))
    assert [row["label"] for row in categories["labels"]] == [str(digit) for digit in range(10)]
    assert b"crowd-image-classifier" in await aws.get(BUCKET, "labeling/template.html")
