"""The cluster's events, which tell the end of a build at once.

They are a hint and no more: the stream has neither numbers nor a memory, and says nothing when it is cut. So whatever
happens on it, an event of ours, its beginning, its end, only makes us read the version itself.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing

from components.hydrosphere.api import Api
from components.hydrosphere.following import Pauses, lasting
from components.hydrosphere.sse import ServerSentEvent
from runner.errors import ServiceError
from runner.events import Notice
from runner.job import Ended, FeedEvent

EVENTS = "/api/v2/events"
SILENCE = 20.0
"""Seconds without a word after which a stream is given up: it says something every five."""
_OURS = frozenset({"ModelUpdate", "ModelRemove"})


class Events:
    """Listens for what becomes of one version."""

    label = "the cluster's events"

    def __init__(self, api: Api, version_id: int, news: asyncio.Event) -> None:
        self._api = api
        self._id = version_id
        self._news = news

    async def __call__(self, ended: Ended) -> AsyncIterator[FeedEvent]:
        """Listen until the job has ended; say once if the cluster can't be listened to."""
        pauses, said = Pauses(ended), False
        while not ended.is_set():
            try:
                async with aclosing(lasting(self._api.stream(EVENTS, SILENCE), ended)) as events:
                    async for event in events:
                        if event is not None:
                            pauses.news()
                        if event is None or self._is_ours(event):
                            self._news.set()
            except ServiceError as error:
                if not said:
                    said = True
                    yield Notice(
                        f"can't listen to the cluster's events, its status is asked for instead: {error}"
                    )
            if not ended.is_set():
                self._news.set()
                await pauses.pause()

    def _is_ours(self, event: ServerSentEvent) -> bool:
        if event.kind not in _OURS:
            return False
        try:
            told = json.loads(event.data)
        except (ValueError, RecursionError):
            return True  # What can't be read may be about ours: looking costs little.
        return (told.get("id") if isinstance(told, dict) else told) == self._id
