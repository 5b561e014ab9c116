"""A labeling job, whose counters are its metrics: it writes no log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from components.aws.sagemaker._job import SageMakerJob
from components.aws.sagemaker.ground_truth._progress import FOLLOWED, METRICS, counters
from runner.events import Metric, Status
from runner.job import Ended, Feed

SHARE = 0.02
"""Of the time that a job has been watched, the least pause between two reads: each label that somebody gives is news,
after which the engine would look again within a second, for days."""
LONGEST = 30.0
"""Seconds of the longest such pause."""


class LabelingJob(SageMakerJob):
    """One labeling job."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  the base's own
        super().__init__(*args, **kwargs)
        self._news: asyncio.Queue[Metric | None] = asyncio.Queue()
        """Counters that have changed; None at the end."""
        self._told: dict[str, int] = {}
        self._first_read: float | None = None
        self._last_read = 0.0

    async def describe(self) -> Status:
        """Read the status; counters that have changed since the last time are news for the feed."""
        await self._paced()
        status = await super().describe()
        now = counters(self._description)
        for name in FOLLOWED:
            if name in now and now[name] != self._told.get(name, 0):
                self._news.put_nowait(Metric(METRICS[name], float(now[name]), time.time()))
        self._told = now
        return status

    async def _paced(self) -> None:
        clock = asyncio.get_running_loop().time
        if self._first_read is None:
            self._first_read = clock()
        else:
            least = min(SHARE * (clock() - self._first_read), LONGEST)
            await asyncio.sleep(max(0.0, self._last_read + least - clock()))
        self._last_read = clock()

    def feeds(self) -> Sequence[Feed]:
        """How many objects are labeled, as it goes on."""
        return [self.progress]

    async def progress(self, ended: Ended) -> AsyncIterator[Metric]:
        """Yield each counter when it has changed; a notice that this failed calls it by this name."""
        end = asyncio.ensure_future(ended.wait())
        # The last describe comes before the end, so its news are ahead of this in the queue.
        end.add_done_callback(lambda _: self._news.put_nowait(None))
        try:
            while (metric := await self._news.get()) is not None:
                yield metric
        finally:
            end.cancel()
