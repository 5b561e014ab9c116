"""Training data: a CSV file, read and profiled column by column, in bounded memory."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

MOST_COLUMNS = 10_000
LONGEST_CELL = 1024**2
"""Characters."""
LONGEST_ROW = 4 * 1024**2
"""Characters; in quotes, a row may have many lines."""
MOST_DISTINCT = 1000
"""Values of a column that are told apart."""
MOST_KEPT = 200_000
"""Values of all columns together that are told apart: many columns share them."""
_MISSING = frozenset({"", "na", "nan", "null", "none", "n/a"})


class TableError(Exception):
    """The file is no table that can be profiled; the text says why."""


@dataclass(slots=True)
class Column:
    """The profile of a column. Numbers: mean, deviation and range; anything else: how many different values."""

    name: str
    count: int = 0
    missing: int = 0
    numeric: bool = True
    mean: float = 0.0
    low: float = math.inf
    high: float = -math.inf
    most_distinct: int = MOST_DISTINCT
    _numbers: int = 0
    _squares: float = 0.0
    _values: set[int] = field(default_factory=set)

    def add(self, cell: str) -> None:
        """Take in one more cell."""
        text = cell.strip()
        if text.lower() in _MISSING:
            self.missing += 1
            return
        self.count += 1
        if len(self._values) < self.most_distinct:
            self._values.add(hash(text))
        if self.numeric:
            self._number(text)

    def _number(self, text: str) -> None:
        try:
            value = float(text.replace("_", "?"))  # Python alone takes 1_000 for a number
        except ValueError:
            self.numeric = False
            return
        if not math.isfinite(value):
            return
        # Welford's way, which needs one pass and loses no digits.
        self._numbers += 1
        difference = value - self.mean
        self.mean += difference / self._numbers
        self._squares += difference * (value - self.mean)
        self.low, self.high = min(self.low, value), max(self.high, value)

    @property
    def distinct(self) -> int:
        """How many different values there are, up to `most_distinct`."""
        return len(self._values)

    @property
    def std(self) -> float:
        """The standard deviation, of the sample; no number where the sums have no end."""
        if not math.isfinite(self._squares):
            return math.nan
        return math.sqrt(max(0.0, self._squares) / (self._numbers - 1)) if self._numbers > 1 else 0.0


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of a file."""

    rows: int
    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The header."""
        return tuple(column.name for column in self.columns)


def profile(path: Path, needed: Sequence[str], going: Callable[[], None]) -> Profile:
    """Read a CSV file with a header that has the needed columns. Raises `TableError`.

    `going` is called before every line; it raises what ends the work early.
    """
    csv.field_size_limit(LONGEST_CELL)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = _Lines(file, going)
            rows = csv.reader(lines, strict=True)
            columns = _header(next(rows, []), needed)
            count = 0
            lines.row()
            for row in rows:
                lines.row()
                if not row:  # a blank line
                    continue
                if len(row) != len(columns):
                    raise TableError(
                        f"line {rows.line_num} has {len(row)} cells, the header has {len(columns)}"
                    )
                count += 1
                for column, cell in zip(columns, row, strict=True):
                    column.add(cell)
    except UnicodeDecodeError as error:
        raise TableError(f"it is no text in UTF-8: {error}") from error
    except csv.Error as error:
        raise TableError(f"it is no CSV: {error}") from error
    if not count:
        raise TableError("it has no rows")
    return Profile(count, tuple(columns))


class _Lines:
    """The lines of a file, no row of them longer than memory can bear."""

    def __init__(self, file: TextIO, going: Callable[[], None]) -> None:
        self._file = file
        self._going = going
        self._left = LONGEST_ROW

    def row(self) -> None:
        """What comes next belongs to another row."""
        self._left = LONGEST_ROW

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        self._going()
        line = self._file.readline(self._left + 1)
        self._left -= len(line)
        if self._left < 0:
            raise TableError(f"it has a row of more than {LONGEST_ROW} characters")
        if not line:
            raise StopIteration
        return line


def _header(names: Sequence[str], needed: Sequence[str]) -> list[Column]:
    found = [name.strip() for name in names]
    if not any(found):
        raise TableError("it has no header")
    if len(found) > MOST_COLUMNS:
        raise TableError(f"it has more than {MOST_COLUMNS} columns")
    if len(set(found)) < len(found):
        raise TableError("two columns of its header have the same name")
    if lacking := [name for name in needed if name not in found]:
        raise TableError(f"its header lacks inputs of the model: {', '.join(lacking)}")
    each = max(1, min(MOST_DISTINCT, MOST_KEPT // len(found)))
    return [Column(name, most_distinct=each) for name in found]
