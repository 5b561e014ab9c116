# ruff: noqa: INP001  it lies here as it does in the model's image, which knows no packages
"""A k-means that reads handwritten digits, as a Python runtime of Hydrosphere serves it: see `predict`.

Beside `src/` lie two files that `prepare` makes before a release: `model_algo-1`, the centers of the clusters as SageMaker's
k-means left them, and `digits.json`, the digit that each cluster stands for. Python 3.7 and NumPy are enough for it.
"""

from __future__ import annotations

import csv
import io
import json
import struct
import tarfile
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

PIXELS = 64
"""Of an image: 8 × 8, row by row, from 0 for paper to 16 for ink."""
NAMELESS = -1
"""In place of a digit, for a cluster that no image has named."""
MODEL, NAMES, TRAINING_DATA = "model_algo-1", "digits.json", "training.csv"
LARGEST = 100 * 1024**2
"""Bytes of a model that are read."""
FOLDER = Path(__file__).resolve().parents[1]


def predict(image: ArrayLike) -> dict[str, NDArray[np.int64] | NDArray[np.float64]]:
    """Read one image (64 pixels) or n of them (n × 64).

    Returns `digit` (int64, n; -1 where it can't be told), `cluster` (int64, n), the number of the nearest cluster, and
    `distance` (float64, n), the Euclidean distance to that cluster's center. Raises ValueError for other shapes.
    """
    centers, names = _model()
    cluster, distance = nearest(_images(image), centers)
    return {"digit": names[cluster], "cluster": cluster, "distance": distance}


@lru_cache(maxsize=1)
def _model() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the centers (k × 64) and the digits they stand for (k)."""
    centers = read_centers((FOLDER / MODEL).read_bytes())
    return centers, np.array(json.loads((FOLDER / NAMES).read_text()), dtype=np.int64)


def _images(given: ArrayLike) -> NDArray[np.float64]:
    images = np.asarray(given, dtype=np.float64)
    if images.ndim == 0 or images.ndim > 2 or images.shape[-1] != PIXELS:
        raise ValueError(f"image has the shape {images.shape}; it has to be ({PIXELS},) or (n, {PIXELS})")
    return images.reshape(-1, PIXELS)


def nearest(
    images: NDArray[np.float64], centers: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return, for each image, the number of the nearest center and the distance to it."""
    # Squared distances, but for each image's own square, which is the same for all centers.
    squares = (centers**2).sum(1) - 2 * images @ centers.T
    cluster = squares.argmin(axis=1).astype(np.int64)
    return cluster, np.linalg.norm(images - centers[cluster], axis=1)


# ── before a release ────────────────────────────────────────────────────────────────────────────────────────────────


def prepare(archive: BinaryIO, images: str, digits: str) -> None:
    """Make what `predict` needs beside it, and `training.csv`, the training data as Hydrosphere profiles it.

    `archive`: SageMaker's model.tar.gz; `images`: CSV of 64 pixels a row; `digits`: what each row shows, by which the
    clusters are named. Raises ValueError for an archive without a k-means, or images without digits.
    """
    content = _unpacked(archive)
    centers = read_centers(content)
    seen = _images(np.loadtxt(io.StringIO(images), delimiter=",", ndmin=2))
    shown = np.loadtxt(io.StringIO(digits), dtype=np.int64, ndmin=1)
    if len(seen) != len(shown):
        raise ValueError(f"there are {len(seen)} images, but {len(shown)} digits")
    cluster, _ = nearest(seen, centers)
    (FOLDER / MODEL).write_bytes(content)
    (FOLDER / NAMES).write_text(json.dumps(named(cluster, shown, len(centers))))
    _model.cache_clear()
    _write_training_data(seen)


def named(cluster: NDArray[np.int64], shown: NDArray[np.int64], count: int) -> list[int]:
    """Name each of `count` clusters after the digit that most of its images show."""
    found = (np.bincount(shown[cluster == number]) for number in range(count))
    return [int(digits.argmax()) if digits.size else NAMELESS for digits in found]


def _write_training_data(images: NDArray[np.float64]) -> None:
    """Write a table of the images and of what the model says of them: the contract's fields, an image's pixel by pixel."""
    told = predict(images)
    with (FOLDER / TRAINING_DATA).open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow([*(f"image_{number}" for number in range(PIXELS)), *told])
        table.writerows([*pixels, *row] for pixels, *row in zip(images.tolist(), *told.values()))  # noqa: B905


def _unpacked(archive: BinaryIO) -> bytes:
    """Return the k-means file. Nothing is written, so no other name in the archive can lead anywhere."""
    with tarfile.open(fileobj=archive, mode="r:gz") as members:
        for member in members:
            if member.isreg() and member.name in (MODEL, f"./{MODEL}"):
                if member.size > LARGEST:
                    raise ValueError(f"{MODEL} has {member.size} bytes; at most {LARGEST} are read")
                file = members.extractfile(member)
                return file.read() if file else b""
    raise ValueError(f"the archive holds no {MODEL}; is it of SageMaker's k-means?")


# ── SageMaker's file ────────────────────────────────────────────────────────────────────────────────────────────────


def read_centers(content: bytes) -> NDArray[np.float64]:
    """Return the centers (k × 64) that `model_algo-1` holds. Raises ValueError if it holds none.

    It is an MXNet file, as SageMaker writes it, or NumPy's .npy, as the embedded SageMaker does.
    """
    npy = content.startswith(b"\x93NUMPY")
    centers = np.load(io.BytesIO(content), allow_pickle=False) if npy else _mxnet_array(content)
    if centers.ndim != 2 or centers.shape[1] != PIXELS:
        raise ValueError(f"{MODEL} has the shape {centers.shape}; it has to be (k, {PIXELS})")
    return np.asarray(centers, dtype=np.float64)


_LIST, _ARRAY = 0x112, 0xF993FAC9
_DTYPES = {0: "<f4", 1: "<f8", 2: "<f2"}


def _mxnet_array(content: bytes) -> NDArray[np.float64]:
    """Return the first array of a file that `mxnet.nd.save` wrote.

    Its form (`NDArray::Save` of MXNet 1.x), little-endian: 8 bytes each for a magic number, nothing, and how many arrays
    there are; then of each array 4 bytes each for its magic number, its kind (0 is dense) and how many dimensions it has,
    8 for the size of each dimension, 4 each for the device, its number and the type of the numbers, which follow.
    """
    try:
        magic, _, count, array, kind, dimensions = struct.unpack_from("<QQQIiI", content)
        if (magic, array, kind) != (_LIST, _ARRAY, 0) or not count or not 0 < dimensions < 10:
            raise ValueError(f"{MODEL} is neither NumPy's nor MXNet's, or of a form that is not known here")
        place = struct.calcsize("<QQQIiI")
        sizes = struct.unpack_from(f"<{dimensions}q", content, place)
        place += 8 * dimensions
        _, _, dtype = struct.unpack_from("<iii", content, place)
        numbers = np.frombuffer(content, _DTYPES[dtype], int(np.prod(sizes)), place + 12)
    except (KeyError, struct.error) as error:
        raise ValueError(f"{MODEL} is cut off, or holds no floating-point numbers") from error
    return numbers.reshape(sizes).astype(np.float64)
