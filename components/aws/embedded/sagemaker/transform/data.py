"""Batch transform's records: how objects are split, filtered, joined with their predictions, and written.

CSV rows are arrays of texts; JSON and JSON Lines records are any JSON. Filters and joins need to know one of these by the
ContentType of the input, and take the container's answer to be of the same kind (developer guide, "Associate Prediction
Results with Input Records"). Without them, content passes through as it is.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from components.aws.embedded.machine.space import Space
from components.aws.embedded.sagemaker.transform.paths import JsonPath, SelectionError

Json = dict[str, Any]
_CHUNK = 1024**2
_KINDS = {
    "text/csv": "csv",
    "application/json": "json",
    "application/jsonlines": "jsonlines",
    "application/jsonl": "jsonlines",
}


class DataError(Exception):
    """An object, or an answer, is not what the request says; the text goes to the data log."""


def kind_of(content_type: str) -> str:
    """`csv`, `json`, `jsonlines`, or empty for any other type."""
    return _KINDS.get(content_type.partition(";")[0].strip().lower(), "")


def unzipped(content: bytes, space: Space) -> bytes:
    """Unpack a gzip. Raises OSError, EOFError or zlib.error."""
    parts = []
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
        while piece := stream.read(_CHUNK):
            space.take(len(piece))
            parts.append(piece)
    return b"".join(parts)


@dataclass(frozen=True, slots=True)
class Batch:
    """What is sent at a time."""

    payload: bytes
    sources: tuple[Any, ...]
    """The records as they were before the filter; empty where nothing has to be joined."""


@dataclass(frozen=True, slots=True)
class Shaping:
    """How the objects of a job become requests, and answers become output."""

    kind: str
    by_line: bool
    """SplitType Line."""
    multi: bool
    """BatchStrategy MultiRecord."""
    limit: int
    """Bytes of a request; 0 for any."""
    lines_out: bool
    """AssembleWith Line."""
    taken: JsonPath
    """InputFilter."""
    join: bool
    kept: JsonPath
    """OutputFilter."""

    @classmethod
    def of(cls, source: Json, processing: Json, *, multi: bool, limit: int, lines_out: bool) -> Shaping:
        """Read TransformInput and DataProcessing. Raises `ApiError` for a JSONPath that is not known here."""
        return cls(
            kind=kind_of(source.get("ContentType", "")),
            by_line=source["SplitType"] == "Line",
            multi=multi,
            limit=limit,
            lines_out=lines_out,
            taken=JsonPath.parse(processing["InputFilter"]),
            join=processing["JoinSource"] == "Input",
            kept=JsonPath.parse(processing["OutputFilter"]),
        )

    @property
    def _reads(self) -> bool:
        """Whether records have to be understood on their way in."""
        return self.join or not self.taken.whole

    @property
    def _rows(self) -> bool:
        """Whether records stand line by line."""
        return self.by_line or self.kind in ("csv", "jsonlines")

    def batches(self, content: bytes) -> Iterator[Batch]:
        """Cut an object into requests. Raises `DataError`."""
        if not self.by_line:
            if content:
                yield self._sized(self._batch([content]))
            return
        lines = [line.removesuffix(b"\r") for line in content.split(b"\n")]
        records = [self._batch([line]) for line in lines if line]
        gathered: list[Batch] = []
        size = 0
        for record in records:
            self._sized(record)
            if gathered and (not self.multi or (self.limit and size + len(record.payload) > self.limit)):
                yield _together(gathered)
                gathered, size = [], 0
            gathered.append(record)
            size += len(record.payload) + 1
        if gathered:
            yield _together(gathered)

    def _sized(self, batch: Batch) -> Batch:
        if self.limit and len(batch.payload) > self.limit:
            what = "a record" if self.by_line else "the object"
            raise DataError(
                f"ClientError: {what} of {len(batch.payload)} bytes exceeds MaxPayloadInMB ({self.limit // 1024**2})"
            )
        return batch

    def _batch(self, parts: list[bytes]) -> Batch:
        content = b"\n".join(parts)
        if not self._reads:
            return Batch(content, ())
        sources = self._parsed(content, "the input", single=not self._rows)
        return Batch(self._dumped([self._selected(self.taken, source) for source in sources]), tuple(sources))

    def output(self, batch: Batch, answer: bytes) -> bytes:
        """What of an answer is stored. Raises `DataError`."""
        if not self.join and self.kept.whole:
            return _ended(answer) if self.lines_out else answer
        single = not self._rows or (self.by_line and not self.multi)
        rows = self._parsed(answer, "the output of the algorithm", single=single)
        if self.join:
            if len(rows) != len(batch.sources):
                raise DataError(
                    "Fail to join data: mismatched line count between the input and the output"
                    f" ({len(batch.sources)} and {len(rows)})"
                )
            rows = [self._joined(source, row) for source, row in zip(batch.sources, rows, strict=True)]
        content = self._dumped([self._selected(self.kept, row) for row in rows])
        return _ended(content) if self.lines_out or self._rows else content

    def _parsed(self, content: bytes, what: str, *, single: bool) -> list[Any]:
        name = "CSV" if self.kind == "csv" else "JSON"
        try:
            text = content.decode()
            if self.kind == "csv":
                return [row for row in csv.reader(io.StringIO(text), strict=True) if row]
            if single:
                return [json.loads(text)]
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        except (ValueError, csv.Error, RecursionError) as error:
            # Source of the sentence: amazon-sagemaker-examples issue 821.
            raise DataError(f"Failed to parse {what} as {name}: {error}") from error

    def _selected(self, path: JsonPath, record: Any) -> Any:
        try:
            return path.select(record)
        except SelectionError as error:
            raise DataError(f"ClientError: {error}") from error

    def _joined(self, source: Any, row: Any) -> Any:
        if self.kind == "csv":
            return source + row
        if isinstance(source, dict):
            return source | {"SageMakerOutput": row}
        return {"SageMakerInput": source, "SageMakerOutput": row}

    def _dumped(self, rows: list[Any]) -> bytes:
        if self.kind != "csv":
            return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        for row in rows:
            writer.writerow(row if isinstance(row, list) else [row])
        return text.getvalue().removesuffix("\n").encode()


def _together(batches: list[Batch]) -> Batch:
    payload = b"\n".join(batch.payload for batch in batches)
    return Batch(payload, tuple(source for batch in batches for source in batch.sources))


def _ended(content: bytes) -> bytes:
    return content if not content or content.endswith(b"\n") else content + b"\n"
