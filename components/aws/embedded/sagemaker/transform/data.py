"""Batch transform's records: how objects are split, filtered, joined with their predictions, and written.

CSV rows are arrays of texts; JSON and JSON Lines records are any JSON. Filters and joins need to know one of these by the
ContentType of the input, and take the container's answer to be of the same kind (developer guide, "Associate Prediction
Results with Input Records"). Without them, content passes through as it is.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from components.aws.embedded.sagemaker.transform.paths import JsonPath, SelectionError

Json = dict[str, Any]
LONGEST = 100 * 1024**2
"""Bytes of a request that records are gathered for, and of what has to be understood at once. AWS: 100 MB, and more only
for what is sent on as it is (MaxPayloadInMB 0)."""
_LONGEST_WHOLE = 2 * 1024**3
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


@dataclass(frozen=True, slots=True)
class Batch:
    """What is sent at a time."""

    payload: bytes
    sources: tuple[Any, ...]
    """The records as they were before the filter; empty where nothing is joined."""


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

    def batches(self, stream: IO[bytes]) -> Iterator[Batch]:
        """Cut an object into requests, no further than asked for: one at a time is in memory. Raises `DataError`.

        What the stream raises goes through. Reading takes its time: to be asked for the next off the event loop.
        """
        if not self.by_line:
            if content := stream.read(self._longest + 1):
                yield self._sized(self._batch(self._bounded(content)))
            return
        payload, sources = bytearray(), list[Any]()
        most = self.limit or LONGEST
        while line := self._bounded(stream.readline(self._longest + 1)):
            if not (line := line.removesuffix(b"\n").removesuffix(b"\r")):
                continue
            record = self._sized(self._batch(line))
            if payload and (not self.multi or len(payload) + 1 + len(record.payload) > most):
                yield Batch(bytes(payload), tuple(sources))
                payload, sources = bytearray(), []
            payload += (b"\n" if payload else b"") + record.payload
            sources += record.sources
        if payload:
            yield Batch(bytes(payload), tuple(sources))

    @property
    def _longest(self) -> int:
        """Bytes of a record, or of an object that is not split, before the filter."""
        return LONGEST if self._reads or self.by_line else _LONGEST_WHOLE

    def _bounded(self, content: bytes) -> bytes:
        if len(content) > self._longest:
            raise DataError(
                f"ClientError: a record is longer than {self._longest // 1024**2} MB (embedded cloud)"
            )
        return content

    def _sized(self, batch: Batch) -> Batch:
        if self.limit and len(batch.payload) > self.limit:
            what = "a record" if self.by_line else "the object"
            raise DataError(
                f"ClientError: {what} of {len(batch.payload)} bytes exceeds MaxPayloadInMB ({self.limit // 1024**2})"
            )
        return batch

    def _batch(self, content: bytes) -> Batch:
        if not self._reads:
            return Batch(content, ())
        sources = self._parsed(content, "the input", single=not self._rows)
        payload = self._dumped([self._selected(self.taken, source) for source in sources])
        return Batch(payload, tuple(sources) if self.join else ())

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
            # Not splitlines(): other line ends may stand within a text.
            return [json.loads(line) for line in text.split("\n") if line.strip()]
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


def _ended(content: bytes) -> bytes:
    return content if not content or content.endswith(b"\n") else content + b"\n"
