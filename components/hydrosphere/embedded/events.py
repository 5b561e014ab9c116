"""What happens to versions, told to everyone who listens at that moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from components.hydrosphere.embedded.wire.sse import Event

HEARTBEAT_SECONDS = 5.0
MOST_WAITING = 4096
"""Events that wait for one listener; one that is further behind is cut off."""
MOST_CHARACTERS = 4 * 1024**2
"""Of all events that wait for one listener."""


class Listener:
    """One who listens."""

    def __init__(self, cut: Callable[[], None]) -> None:
        """`cut` ends the connection at once."""
        self._waiting: asyncio.Queue[Event] = asyncio.Queue(MOST_WAITING)
        self._size = 0
        self._cut = cut

    async def next(self) -> Event | None:
        """The next event; there is always another one to come."""
        event = await self._waiting.get()
        self._size -= len(event.data)
        return event

    def tell(self, event: Event) -> bool:
        """Put an event in the queue; False if that is full, and the connection at an end."""
        self._size += len(event.data)
        if self._waiting.full() or self._size > MOST_CHARACTERS:
            self._cut()
            return False
        self._waiting.put_nowait(event)
        return True


class Hub:
    """Where events are published."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()

    @contextmanager
    def listening(self, cut: Callable[[], None]) -> Iterator[Listener]:
        """Listen from now on; what was before is not repeated. See `Listener` for `cut`."""
        listener = Listener(cut)
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    def publish(self, event: Event) -> None:
        """Tell everyone; who can't keep up is cut off, not buffered for ever."""
        self._listeners = {listener for listener in self._listeners if listener.tell(event)}
