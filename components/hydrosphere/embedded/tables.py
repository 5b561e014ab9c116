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
LONGEST_LINE = 4 * 1024**2
"""Characters."""
MOST_DISTINCT = 1000
"""Values of a column that are told apart."""
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
        if len(self._values) < MOST_DISTINCT:
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
        """How many different values there are, up to `MOST_DISTINCT`."""
        return len(self._values)

    @property
    def std(self) -> float:
        """The standard deviation, of the sample."""
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

    `going` is called before every row; it raises what ends the work early.
    """
    csv.field_size_limit(LONGEST_CELL)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(_lines(file), strict=True)
            columns = _header(next(rows, []), needed)
            count = 0
            for row in rows:
                going()
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


def _lines(file: TextIO) -> Iterator[str]:
    """The lines of a file, none of them longer than memory can bear."""
    while line := file.readline(LONGEST_LINE + 1):
        if len(line) > LONGEST_LINE:
            raise TableError(f"it has a line of more than {LONGEST_LINE} characters")
        yield line


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
    return [Column(name) for name in found]
