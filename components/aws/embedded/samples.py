"""The sample bucket, made when somebody first mentions it: real handwritten digits, without a download.

    s3://kfp-runner-samples/digits/train/train.csv     1,442 rows of 64 numbers (8×8 pixels, 0…16), no label
    s3://kfp-runner-samples/digits/test/test.csv         355 rows likewise
    s3://kfp-runner-samples/digits/labels/{train,test}.csv   the digits themselves, row by row

Source: the 1,797 images that scikit-learn ships (UCI "Optical Recognition of Handwritten Digits", test set). The split
is stratified and always the same: of each digit, every fifth image is for the test.
"""

from __future__ import annotations

import asyncio
import gzip
import importlib.util
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from components.aws.embedded.objects import Objects

BUCKET = "kfp-runner-samples"
KEYS = (
    "digits/train/train.csv",
    "digits/test/test.csv",
    "digits/labels/train.csv",
    "digits/labels/test.csv",
)


def register(objects: Objects) -> None:
    """Have the bucket filled on its first mention."""

    async def seed() -> dict[str, bytes]:
        return await asyncio.to_thread(lambda: dict(_contents()))

    objects.lazily(BUCKET, seed)


def _contents() -> Iterator[tuple[str, bytes]]:
    """Key → object."""
    rows: dict[bool, list[Sequence[str]]] = {False: [], True: []}
    seen: Counter[str] = Counter()
    for row in _digits():
        label = row[-1]
        rows[seen[label] % 5 == 4].append(row)
        seen[label] += 1
    for name, test in (("train", False), ("test", True)):
        pixels = "".join(",".join(row[:-1]) + "\n" for row in rows[test])
        labels = "".join(row[-1] + "\n" for row in rows[test])
        yield f"digits/{name}/{name}.csv", pixels.encode()
        yield f"digits/labels/{name}.csv", labels.encode()


def _digits() -> Iterator[Sequence[str]]:
    """Rows of 64 pixels and a label, as integers in text."""
    # Read from scikit-learn's file: importing the library takes a second that a newcomer would wait.
    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise ImportError("the sample data needs scikit-learn: pip install 'kfp-runner[local]'")
    path = Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz"
    with gzip.open(path, "rt") as lines:
        for line in lines:
            yield [str(int(float(field))) for field in line.split(",")]
