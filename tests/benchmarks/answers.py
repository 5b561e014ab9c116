"""Answers that need no cloud: help, and the refusal of a wrong argument."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks import step
from tests.benchmarks.process import running
from tests.benchmarks.report import Row, check, middle, ratio, seconds
from tests.benchmarks.service import IMAGE

ROUNDS = 15


async def once(argv: Sequence[str], code: int) -> float:
    """Seconds from start to end."""
    async with running(argv) as process:
        ended = await process.end()
    check(ended.code == code, f"{argv} ended with {ended.code}, not {code}")
    return ended.at - process.began


async def measure(folder: Path, *, smoke: bool) -> list[Row]:
    """Run it."""
    wrong = [*step.argv("wrong", IMAGE, folder), "--no_such_argument", "1"]
    rounds = [
        (await once(["-c", "pass"], 0), await once(["-m", "runner", "--help"], 0), await once(wrong, 2))
        for _ in range(1 if smoke else ROUNDS)
    ]
    nothing, helped, refused = zip(*rounds, strict=True)
    return [
        Row("wrong argument → exit 2", "4.3 s", seconds(middle(refused))),
        Row(
            "`--help`",
            "–",
            f"{seconds(middle(helped))}, {ratio(helped, nothing):.1f} × `python -c pass` ({seconds(middle(nothing))})",
        ),
    ]
