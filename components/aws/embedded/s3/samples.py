"""The sample bucket, made when somebody first mentions it: real handwritten digits, without a download.

    s3://kfp-runner-samples/digits/train/train.csv     1,442 rows of 64 numbers (8×8 pixels, 0…16), no label
    s3://kfp-runner-samples/digits/test/test.csv         355 rows likewise
    s3://kfp-runner-samples/digits/labels/{train,test}.csv   the digits themselves, row by row
    s3://kfp-runner-samples/digits/all/digits.csv      all 1,797 rows in their order, no label: to be split
    s3://kfp-runner-samples/digits/all-labels/digits.csv     their digits
    s3://kfp-runner-samples/digits/model/model.tar.gz  a k-means model of the training rows, k=40, really trained
    s3://kfp-runner-samples/labeling/                  forty of the images, to be labeled: see `labeling_samples`

Source: the 1,797 images that scikit-learn ships (UCI "Optical Recognition of Handwritten Digits", test set). The split
is stratified and always the same: of each digit, every fifth image is for the test.
"""

from __future__ import annotations

import asyncio
import gzip
import importlib.util
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from components.aws.embedded.s3 import labeling_samples
from components.aws.embedded.s3.objects import Objects
from components.aws.embedded.sagemaker.hosting import sample as model_sample

BUCKET = "kfp-runner-samples"
KEYS = (
    "digits/train/train.csv",
    "digits/test/test.csv",
    "digits/labels/train.csv",
    "digits/labels/test.csv",
    "digits/all/digits.csv",
    "digits/all-labels/digits.csv",
    *labeling_samples.KEYS,
    model_sample.KEY,
)
MODEL = model_sample.NAME


def register(objects: Objects) -> None:
    """Have the bucket filled on its first mention."""

    async def seed() -> dict[str, bytes]:
        return await asyncio.to_thread(lambda: dict(_contents()))

    async def trained() -> dict[str, bytes]:
        return {
            model_sample.KEY: await model_sample.train(await objects.get(BUCKET, "digits/train/train.csv"))
        }

    async def to_label() -> dict[str, bytes]:
        digits = islice(_digits(), labeling_samples.COUNT)
        return await asyncio.to_thread(lambda: dict(labeling_samples.contents(BUCKET, list(digits))))

    objects.lazily(BUCKET, seed)
    objects.lazily(BUCKET, to_label, prefix=labeling_samples.PREFIX)
    objects.lazily(BUCKET, trained, prefix=model_sample.PREFIX)


def model(region: str) -> dict[str, Any]:
    """The request that would create the sample model in a region."""
    return model_sample.request(BUCKET, region)


def _contents() -> Iterator[tuple[str, bytes]]:
    """Key → object."""
    digits = list(_digits())
    rows: dict[bool, list[Sequence[str]]] = {False: [], True: []}
    seen: Counter[str] = Counter()
    for row in digits:
        label = row[-1]
        rows[seen[label] % 5 == 4].append(row)
        seen[label] += 1
    for name, test in (("train", False), ("test", True)):
        yield f"digits/{name}/{name}.csv", _pixels(rows[test])
        yield f"digits/labels/{name}.csv", _labels(rows[test])
    yield "digits/all/digits.csv", _pixels(digits)
    yield "digits/all-labels/digits.csv", _labels(digits)


def _pixels(rows: list[Sequence[str]]) -> bytes:
    return "".join(",".join(row[:-1]) + "\n" for row in rows).encode()


def _labels(rows: list[Sequence[str]]) -> bytes:
    return "".join(row[-1] + "\n" for row in rows).encode()


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
