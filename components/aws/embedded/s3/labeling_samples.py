"""What a labeling job needs, for the sample bucket: forty handwritten digits as images, and the answers to them.

labeling/digits.manifest         one line an image
labeling/digits.answers.jsonl    their digits: what stands for the workers, see `sagemaker.labeling.answers`
labeling/categories.json         the ten classes
labeling/template.html           what workers would be shown
labeling/images/00.png … 39.png  8×8 pixels, white on black
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Sequence

PREFIX = "labeling/"
COUNT = 40
"""How many of the digits."""
_SIDE = 8
_LEVELS = 16
"""The value of a white pixel in the data."""
_TEMPLATE = """<script src="https://assets.crowd.aws/crowd-html-elements.js"></script>
<crowd-form>
  <crowd-image-classifier
    name="crowd-image-classifier"
    src="{{ task.input.taskObject | grant_read_access }}"
    header="Which digit is this?"
    categories="{{ task.input.labels | to_json | escape }}"
  >
    <full-instructions header="Digits">Say which of the ten digits was written.</full-instructions>
    <short-instructions>Choose the digit that you see.</short-instructions>
  </crowd-image-classifier>
</crowd-form>
"""
_IMAGES = tuple(f"labeling/images/{number:02}.png" for number in range(COUNT))
KEYS = (
    "labeling/digits.manifest",
    "labeling/digits.answers.jsonl",
    "labeling/categories.json",
    "labeling/template.html",
    *_IMAGES,
)


def contents(bucket: str, digits: Sequence[Sequence[str]]) -> Iterator[tuple[str, bytes]]:
    """Key → object. `digits`: the first `COUNT` rows of 64 pixels (0…16) and a label, as integers in text."""
    uris = [f"s3://{bucket}/{key}" for key in _IMAGES]
    answers = [{"source-ref": uri, "answer": row[-1]} for uri, row in zip(uris, digits, strict=True)]
    classes = [{"label": str(digit)} for digit in range(10)]
    yield "labeling/digits.manifest", _lines([{"source-ref": uri} for uri in uris])
    yield "labeling/digits.answers.jsonl", _lines(answers)
    yield (
        "labeling/categories.json",
        json.dumps({"document-version": "2018-11-28", "labels": classes}).encode(),
    )
    yield "labeling/template.html", _TEMPLATE.encode()
    for key, row in zip(_IMAGES, digits, strict=True):
        yield key, _png([int(pixel) for pixel in row[:-1]])


def _lines(rows: Sequence[dict[str, str]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _png(pixels: Sequence[int]) -> bytes:
    """A greyscale image of eight bits a pixel (PNG specification, sections 5 and 11)."""
    shades = bytes(pixel * 255 // _LEVELS for pixel in pixels)
    lines = b"".join(b"\0" + shades[begin : begin + _SIDE] for begin in range(0, len(shades), _SIDE))
    header = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 0, 0, 0, 0)
    parts = (_chunk(b"IHDR", header), _chunk(b"IDAT", zlib.compress(lines)), _chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)
