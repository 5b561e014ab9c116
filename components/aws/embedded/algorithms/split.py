"""A sample processing image, `kfp-runner-samples/split:1`: rows of CSV files, split into a training and a test set.

    split [--test-share 0.2] [--seed 0] [--header] [--labels]

reads every CSV below processing/input/data, or below processing/input if there is no such folder, and writes the rows
of each into files of the same names below processing/train and processing/test: each row into one of them, in its old
order, byte by byte as it was. `--header`: the first row of each file is repeated in both. `--labels`: for every file
below input/data there is one of the same name below input/labels with as many rows, which goes the same ways into
processing/train-labels and processing/test-labels. The same seed gives the same split.

Bad input ends it with exit code 1 and the reason in output/message, which SageMaker shows as ExitMessage.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

_MESSAGE_LENGTH = 1024


class InputError(Exception):
    """What the user got wrong."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (usage: --test-share 0.2 --seed 0 --header --labels)")


@dataclass(frozen=True, slots=True)
class Options:
    """The arguments."""

    test_share: float
    seed: int
    header: bool
    labels: bool


@dataclass(frozen=True, slots=True)
class Table:
    """A file's rows as they stand there, each with its line ending."""

    header: list[str]
    rows: list[str]
    columns: int


def options(words: Sequence[str]) -> Options:
    """Read the arguments. Raises `InputError`."""
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--test-share", type=float, default=0.2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--header", action="store_true")
    parser.add_argument("--labels", action="store_true")
    given = parser.parse_args(words)
    if not 0 < given.test_share < 1:
        raise InputError(f"--test-share is {given.test_share:g}; it must be between 0 and 1")
    return Options(given.test_share, given.seed, given.header, given.labels)


def say(text: str) -> None:
    """One log line, at once."""
    print(f"[{time.strftime('%m/%d/%Y %H:%M:%S')} INFO] {text}", flush=True)


def read(path: Path, name: str, *, header: bool) -> Table:
    """Read a CSV. Raises `InputError` for one that is none."""
    try:
        # Not splitlines(), which knows line ends that CSV does not.
        lines = list(io.StringIO(path.read_bytes().decode(), newline=""))
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is no text in UTF-8: {error}") from error
    rows, columns = _rows(lines, name)
    if not rows:
        raise InputError(f"{name} has no rows")
    if not rows[-1].endswith(("\n", "\r")):
        rows[-1] += "\n"  # it may come before others
    return Table(rows[:1], rows[1:], columns) if header else Table([], rows, columns)


def _rows(lines: list[str], name: str) -> tuple[list[str], int]:
    """The rows, which may be longer than a line where a field is quoted, and how many columns they have."""
    rows: list[str] = []
    begin, columns = 0, 0
    reader = csv.reader(lines, strict=True)
    try:
        for fields in reader:
            row = "".join(lines[begin : reader.line_num])
            begin = reader.line_num
            if not fields:
                continue  # an empty line
            columns = columns or len(fields)
            if len(fields) != columns:
                raise InputError(
                    f"{name}, row {len(rows) + 1}: {len(fields)} columns, but the rows before it have {columns}"
                )
            rows.append(row)
    except csv.Error as error:
        raise InputError(f"{name}, line {reader.line_num}: {error}") from error
    return rows, columns


def tests(count: int, chosen: Options, name: str) -> frozenset[int]:
    """Which of `count` rows are for the test: the share asked for, but at least one row for either set."""
    if count < 2:
        raise InputError(f"{name} has {count} row, which can't be split")
    size = min(max(1, round(count * chosen.test_share)), count - 1)
    # Seeded with the name, too: files of equal length are not split alike.
    return frozenset(random.Random(f"{chosen.seed}/{name}").sample(range(count), size))


def write(folder: Path, name: str, table: Table, members: Sequence[int]) -> None:
    """Write some of the rows."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join([*table.header, *(table.rows[number] for number in members)]).encode())
    say(f"{folder.name}/{name}: {len(members)} rows written")


def divide(base: Path, data: Path, name: str, chosen: Options) -> tuple[int, int]:
    """Split one file, and its labels; return how many rows are for training and for the test."""
    table = read(data / name, name, header=chosen.header)
    say(f"{name}: {len(table.rows)} rows of {table.columns} columns read")
    test = tests(len(table.rows), chosen, name)
    sets = {
        "train": [number for number in range(len(table.rows)) if number not in test],
        "test": sorted(test),
    }
    for part, members in sets.items():
        write(base / part, name, table, members)
    if chosen.labels:
        labels = _labels(base, name, len(table.rows), chosen)
        for part, members in sets.items():
            write(base / f"{part}-labels", name, labels, members)
    return len(sets["train"]), len(sets["test"])


def _labels(base: Path, name: str, count: int, chosen: Options) -> Table:
    path = base / "input" / "labels" / name
    if not path.is_file():
        raise InputError(f"there are no labels for {name}: input/labels/{name} is missing")
    labels = read(path, f"labels/{name}", header=chosen.header)
    if len(labels.rows) != count:
        raise InputError(f"{name} has {count} rows, but its labels have {len(labels.rows)}")
    return labels


def run(base: Path, words: Sequence[str]) -> None:
    """The whole job, below `base`, which stands for /opt/ml/processing. Raises `InputError`."""
    chosen = options(words)
    data = base / "input" / "data"
    if not data.is_dir():
        if chosen.labels:
            raise InputError("--labels needs the rows in input/data and the labels in input/labels")
        data = base / "input"
    names = sorted(str(path.relative_to(data)) for path in data.rglob("*.csv") if path.is_file())
    if not names:
        raise InputError(f"there is no CSV file below {data.relative_to(base)}")
    say(f"split: {len(names)} files, {chosen.test_share:.0%} of the rows for the test, seed {chosen.seed}")
    counts = [divide(base, data, name, chosen) for name in names]
    train, test = (sum(column) for column in zip(*counts, strict=True))
    say(f"split: {train + test} rows: {train} for training, {test} for the test")


def main() -> int:
    """As a container: 0, or 1 with the reason in output/message."""
    root = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
    try:
        run(root / "processing", sys.argv[1:])
    except (InputError, OSError) as error:
        print(f"Error: {error}", flush=True)
        (root / "output").mkdir(parents=True, exist_ok=True)
        (root / "output" / "message").write_text(str(error)[:_MESSAGE_LENGTH])
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
