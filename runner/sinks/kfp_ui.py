"""The step's page in the Kubeflow Pipelines UI: two small JSON files, replaced whenever there is news.

The UI reads them when the step has ended (facts/kfp.md §2), however it ended, so they are complete at every
instant. Under the v2 back end a failed step loses them: then the log has to tell all, and
`runner.sinks.console` does.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from runner.events import Event, Finished, Launched, Metric, Status, Trial
from runner.sinks.files import replace
from runner.sinks.kfp_page import Page
from runner.sinks.pump import aside

EVERY = 1.0
"""Least seconds between two rewrites for metrics or trials alone."""


class KfpUi:
    """Keeps `mlpipeline-ui-metadata` and `mlpipeline-metrics`; their limits are told in `kfp_page`."""

    label = "the page in the pipeline UI"

    def __init__(
        self, metadata_path: Path | None, metrics_path: Path | None, *, clock: Callable[[], float] = time.time
    ) -> None:
        """A file without a path is not written."""
        self._metadata_path = metadata_path
        self._metrics_path = metrics_path
        self._clock = clock
        self._page = Page()
        self._stale = False
        self._saved = float("-inf")
        self._version = 0
        self._written = 0
        self._writing = threading.Lock()

    async def write(self, event: Event) -> None:
        """Learn from the event; rewrite the files at once, or for metrics and trials at most once a second.

        A rewrite that was put off is made up for by the next event of any kind, or by `close`. Raises
        `OSError`.
        """
        now = self._clock()
        self._page.take(event, now)
        match event:
            case Launched() | Status() | Finished():
                await self._save(now)
                return
            case Metric() | Trial():
                self._stale = True
        # A clock set back is no reason to wait for it.
        if self._stale and not 0 <= now - self._saved < EVERY:
            await self._save(now)

    async def close(self) -> None:
        """Write what was put off; of a job that was left, what became of it. Raises `OSError`."""
        if self._page.leave() or self._stale:
            await self._save(self._clock())

    async def _save(self, now: float) -> None:
        self._stale = False
        self._saved = now
        self._version += 1
        await aside(partial(self._replace, self._version, self._page.snapshot(), now))

    def _replace(self, version: int, page: Page, now: float) -> None:
        # A cancelled rewrite goes on in its thread, and must not undo a later one.
        with self._writing:
            if version < self._written:
                return
            self._written = version
            if self._metadata_path is not None:
                replace(self._metadata_path, json.dumps(page.metadata(now), allow_nan=False))
            if self._metrics_path is not None:
                replace(self._metrics_path, json.dumps(page.metrics(), allow_nan=False))
