"""What stands for the workers: a file of answers beside the manifest.

The embedded cloud has no workers. A labeling job takes its labels from the object
`<manifest's key without its extension>.answers.jsonl`: one JSON object a line,

    {"source-ref": "s3://bucket/cat.png", "answer": "cat", "confidence": 0.9}

`source-ref` or `source` names the manifest's row as it stands there; if no line has either, lines and rows match by
order. `answer` is the label: the name of a category (or its number), a list of them for multi-label tasks, and for
every other kind the value as Ground Truth would write it. Instead of `answer` the key may be the job's label attribute,
so the output manifest of a real job can be the answers. `confidence` is 1.0 unless given. A row without an answer, or
with null, can't be labeled.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
_SOURCES = ("source-ref", "source")
MOST_OBJECTS = 100_000
"""Of a labeling job: AWS's own quota (developer guide, "Input data quotas")."""
LONGEST_LINE = 1 << 20
"""Bytes of an object or answer. Ours: AWS's own limit, 100,000 characters, is for manifests only, and masks are larger."""
FORMAT = '{"source-ref": "<as in the manifest>", "answer": "<label>"}'


class LinesError(ValueError):
    """A file is not what it must be; the text names the line."""


@dataclass(frozen=True, slots=True)
class Task:
    """An object to be labeled: its row of the manifest, and the answer or why there is none."""

    row: Json
    answer: Any = None
    confidence: float = 1.0
    failure: str = ""


def answers_key(manifest: str) -> str:
    """The key of the answers of a manifest: `labeling/digits.answers.jsonl` of `labeling/digits.manifest`."""
    folder, slash, name = manifest.rpartition("/")
    return f"{folder}{slash}{name.rpartition('.')[0] or name}.answers.jsonl"


def source(row: Json) -> str | None:
    """What the row is about."""
    return next((row[name] for name in _SOURCES if isinstance(row.get(name), str)), None)


def json_lines(
    content: bytes, what: str, most: int = MOST_OBJECTS, longest: int = LONGEST_LINE
) -> list[Json]:
    """Read JSON Lines, at most `most` objects of `longest` bytes each. Raises `LinesError`, which calls the file `what`."""
    rows: list[Json] = []
    stream = io.BytesIO(content)
    # No longer line is ever held or parsed: the parser lets nobody else run meanwhile.
    for number, line in enumerate(iter(lambda: stream.readline(longest + 2), b""), 1):
        stripped = line.strip()
        if not stripped:
            continue
        if len(stripped) > longest:
            raise LinesError(f"{what}, line {number}: it is longer than {longest} bytes, which is the limit")
        if len(rows) == most:
            raise LinesError(f"{what}, line {number}: there are more than {most} objects, which is the limit")
        try:
            row = json.loads(stripped, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            raise LinesError(f"{what}, line {number}: this is no JSON: {error}") from error
        if not isinstance(row, dict):
            raise LinesError(f"{what}, line {number}: this is no JSON object")
        rows.append(row)
    return rows


def _refuse(constant: str) -> None:
    """Python reads NaN and Infinity; JSON has neither, and nobody else could read what we write."""
    raise ValueError(f"{constant} is no number in JSON")


def tasks(rows: Sequence[Json], answers: Sequence[Json], attribute: str, what: str) -> list[Task]:
    """The manifest's rows with their answers. Raises `LinesError` for answers that can't be told apart."""
    named = [source(answer) for answer in answers]
    if all(name is None for name in named):
        if len(answers) > len(rows):
            raise LinesError(
                f"{what} are matched by order, since none has a source-ref or source, but there are {len(answers)} for"
                f" {len(rows)} objects"
            )
        return [
            _task(row, answers[number] if number < len(answers) else None, attribute)
            for number, row in enumerate(rows)
        ]
    index: dict[str, Json] = {}
    for number, (name, answer) in enumerate(zip(named, answers, strict=True), 1):
        if name is None:
            raise LinesError(f"{what}, object {number}: source-ref or source is missing, which others have")
        if name in index:
            raise LinesError(f"{what}, object {number}: there is another answer for {name!a}")
        index[name] = answer
    return [_task(row, index.get(source(row) or ""), attribute) for row in rows]


def _task(row: Json, line: Json | None, attribute: str) -> Task:
    if line is None:
        return Task(row, failure="there is no answer for this object")
    answer = line.get("answer", line.get(attribute))
    if answer is None:
        return Task(row, failure=f"the answer's line has neither 'answer' nor {attribute!a}")
    confidence = line.get("confidence", 1.0)
    if isinstance(confidence, bool) or not isinstance(confidence, int | float) or not 0 <= confidence <= 1:
        return Task(row, failure=f"confidence {confidence!a} is no number from 0 to 1")
    return Task(row, answer, float(confidence))
