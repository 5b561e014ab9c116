"""What the demos of all providers share: how one begins and ends, where its files go, and digits drawn in text."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner import loop
from runner.errors import Interrupted, ServiceError, StopFailed
from runner.signals import Stopping, stop_signals
from runner.sinks.console import console
from runner.sinks.jsonl import JsonLines
from runner.sinks.kfp_ui import KfpUi

if TYPE_CHECKING:
    from runner.job import Sink

FILES = "{events.jsonl,mlpipeline-ui-metadata.json,mlpipeline-metrics.json}"
"""What `sinks` leave behind of each step, in a folder with its label."""


def run(demo: Callable[[Path], Coroutine[Any, Any, None]], output: Path) -> int:
    """Run a demo whose files go to the folder `output`; return the exit code."""
    began = time.monotonic()
    output.mkdir(parents=True, exist_ok=True)
    loop.run(demo(output.resolve()))
    print(f"\ndone in {time.monotonic() - began:.0f} s")
    return 0


def sinks(output: Path) -> Callable[[str], Sequence[Sink]]:
    """Who is told of a step, by its label: the console, and files in a folder with that name."""

    def told(label: str) -> Sequence[Sink]:
        folder = output / label
        folder.mkdir(exist_ok=True)
        events = folder / "events.jsonl"
        events.unlink(missing_ok=True)  # Events are appended; a second demo starts over.
        page = KfpUi(folder / "mlpipeline-ui-metadata.json", folder / "mlpipeline-metrics.json")
        return [console(label=label), page, JsonLines(events)]

    return told


@contextmanager
def ending(cloud: str) -> Iterator[Stopping]:
    """Take the signals for a demo; raise what is true of jobs that have ended with `cloud`, a noun phrase.

    No command reaches a cloud that is gone, so none is named though a stop has failed. The recorded reason decides, not
    the shape in which it came up.
    """
    with stop_signals() as stopping:
        try:
            yield stopping
        except BaseException as error:
            if stopping.reason is not None:
                first, _, _ = stopping.outcome.partition("\n")
                text = f"{stopping.reason.text}; {first}; the demo is over, and nothing is left running"
                raise Interrupted(stopping.reason.value, text) from error
            if isinstance(error, StopFailed):
                first, _, _ = str(error).partition("\n")
                raise ServiceError(f"{first}; it has ended with {cloud}") from error
            raise


def drawn(images: Sequence[str], names: Sequence[str]) -> str:
    """Draw images of 8 × 8 pixels from 0 to 16, each a line of CSV, side by side, each above its name."""
    shades = " ░▒▓█"
    rows = [[int(pixel) for pixel in image.split(",")] for image in images]
    lines = [
        "   ".join("".join(shades[p * 4 // 16] * 2 for p in image[8 * y : 8 * y + 8]) for image in rows)
        for y in range(8)
    ]
    return "\n".join(f"  {line}" for line in [*lines, "   ".join(f"{name:^16}" for name in names)])
