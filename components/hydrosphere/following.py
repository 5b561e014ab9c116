"""Following a stream of a cluster's for as long as a job lasts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from typing import Any, TypeVar

from runner.job import Ended
from runner.pace import Pace

T = TypeVar("T")

FIRST, LONGEST = 0.5, 15.0
"""Seconds between two attempts to open a stream that breaks."""


async def lasting(
    items: AsyncGenerator[T, None], ended: Ended, grace: float = 0.0
) -> AsyncGenerator[T, None]:
    """Iterate over items until there are no more, or until `grace` seconds after the job's end."""
    end = asyncio.ensure_future(_end(ended, grace))
    try:
        while not end.done():
            item = asyncio.ensure_future(anext(items))
            try:
                await asyncio.wait({item, end}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                if not item.done():
                    item.cancel()
                    await asyncio.wait({item})
            if item.cancelled():
                return
            try:
                yield item.result()
            except StopAsyncIteration:
                return
    finally:
        end.cancel()
        await items.aclose()


async def unless(ended: Ended, work: Coroutine[Any, Any, T]) -> T | None:
    """Return what comes of `work`; None, and break it off, if the job ends first."""
    task, end = asyncio.ensure_future(work), asyncio.ensure_future(ended.wait())
    try:
        await asyncio.wait({task, end}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        end.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
    return None if task.cancelled() else task.result()


async def _end(ended: Ended, grace: float) -> None:
    await ended.wait()
    await asyncio.sleep(grace)


class Pauses:
    """Pauses between attempts: they grow while nothing comes of any, and end with the job."""

    def __init__(self, ended: Ended) -> None:
        self._ended = ended
        self._pace = Pace(FIRST, LONGEST)

    def news(self) -> None:
        """Something came: start over."""
        self._pace.news()

    async def pause(self) -> None:
        """Wait for a while, or for the job's end; after that, only as long as between two quick attempts."""
        if self._ended.is_set():
            await asyncio.sleep(FIRST)
            return
        waiting = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait({waiting}, timeout=self._pace.pause())
        finally:
            waiting.cancel()
