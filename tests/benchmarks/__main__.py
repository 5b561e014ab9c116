"""`python -m tests.benchmarks`: run, print the table, perhaps write it."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import re
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import tests.benchmarks
from tests.benchmarks.report import Row, Wrong, table
from tests.support.paths import ROOT

NAMES = {
    "start": "start → first AWS call, peak memory",
    "answers": "help, wrong argument",
    "whole": "a short job from start to end",
    "delay": "log line delay",
    "flood": "many lines and streams",
    "stop": "SIGTERM → stop request, exit",
    "tuning": "a search over hyperparameters, watched",
    "deploying": "what becomes of an endpoint whose deployment is terminated or fails",
    "releasing": "a large model released to Hydrosphere, beside hydrosdk",
    "survival": "what becomes of the job on the service's bad days",
}
PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


async def one(name: str, folder: Path, *, smoke: bool) -> list[Row]:
    """Run one benchmark in a folder of its own."""
    began = time.monotonic()
    module = importlib.import_module(f"tests.benchmarks.{name}")
    try:
        rows: list[Row] = await module.measure(folder / name, smoke=smoke)
    except* Wrong as wrong:
        raise Wrong(f"{name}: {'; '.join(map(str, leaves(wrong)))}") from wrong
    print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    return rows


def leaves(error: BaseException) -> Iterable[BaseException]:
    """The errors within a group."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from leaves(each)
    else:
        yield error


async def every(names: Iterable[str], folder: Path, *, smoke: bool) -> list[Row]:
    """Run them: one after the other where times count, else at once."""
    if smoke:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(name, folder, smoke=True)) for name in names]
        return [row for task in tasks for row in task.result()]
    return [row for name in names for row in await one(name, folder, smoke=False)]


def write(text: str) -> None:
    """Put the table into the page."""
    page = PAGE.read_text(encoding="utf-8")
    pattern = re.compile(f"{BEGIN}.*{END}", re.DOTALL)
    PAGE.write_text(pattern.sub(lambda _: f"{BEGIN}\n{text}\n{END}", page), encoding="utf-8")


def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(
        "python -m tests.benchmarks",
        description=tests.benchmarks.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    known = "\n".join(f"{name}: {text}" for name, text in NAMES.items())
    parser.add_argument(
        "name", nargs="*", choices=[*NAMES, []], help=f"which; all where none is given ({known})"
    )
    parser.add_argument("--smoke", action="store_true", help="everything once and small; no time counts")
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    given = parser.parse_args()
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="kfp-runner-bench-") as folder:
            rows = asyncio.run(every(given.name or NAMES, Path(folder), smoke=given.smoke))
    except (Wrong, BaseExceptionGroup) as error:
        wrong = list(leaves(error))
        if not all(isinstance(each, Wrong) for each in wrong):
            raise
        print("\n".join(f"wrong: {each}" for each in wrong), file=sys.stderr)
        return 1
    if given.smoke:
        print(
            f"benchmarks: {len(rows)} figures in {time.monotonic() - began:.0f} s; nothing lost, nothing left running"
        )
        return 0
    print(table(rows))
    if given.write and not given.name:
        write(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
