"""The shared rate limiter: one bucket per (account, region, API) in the process.

Additive increase, multiplicative decrease: a throttled call halves the bucket's rate, quiet restores it. Requests that
stop a job take no part: nothing may hold them up.
"""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary

RESTORE_SECONDS = 60.0
"""From the lowest rate, so long a quiet restores the full one."""
LOWEST = 1 / 16
"""No throttling pushes the rate below this share of the full one."""


class Bucket:
    """Hands out permission to call, `rate` times a second on average, with at most `burst` calls at once."""

    def __init__(self, rate: float, burst: float = 1.0) -> None:
        self._full = self._rate = rate
        self._burst = burst
        self._free_at = float("-inf")
        self._adjusted_at = 0.0
        self._line = asyncio.Lock()

    @property
    def rate(self) -> float:
        """Calls per second that are let through at present."""
        return self._rate

    async def take(self) -> None:
        """Return when the next call may be made: first come, first served."""
        async with (
            self._line
        ):  # Only the head of the line reckons its turn, so the rate of that moment counts.
            now = asyncio.get_running_loop().time()
            self._restore(now)
            turn = max(self._free_at, now - (self._burst - 1) / self._rate)
            if turn > now:
                await asyncio.sleep(turn - now)
            self._free_at = turn + 1 / self._rate

    def throttled(self) -> None:
        """Tell the bucket that the service refused a call as one too many."""
        self._rate = max(self._rate / 2, self._full * LOWEST)
        self._adjusted_at = asyncio.get_running_loop().time()

    def _restore(self, now: float) -> None:
        if self._rate < self._full:
            quiet = now - self._adjusted_at
            self._rate = min(self._full, self._rate + self._full * quiet / RESTORE_SECONDS)
        self._adjusted_at = now


class Limits:
    """The buckets of one process, made as they are asked for; each event loop has its own, as it has its own clock."""

    def __init__(self) -> None:
        self._buckets: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, ...], Bucket]] = (
            WeakKeyDictionary()
        )

    def bucket(self, *key: str, rate: float, burst: float = 1.0) -> Bucket:
        """Return the bucket of `key` (account, region, API); the first to ask sets its rate."""
        buckets = self._buckets.setdefault(asyncio.get_running_loop(), {})
        return buckets.setdefault(key, Bucket(rate, burst))


SHARED = Limits()
"""What every feed of the process goes through."""
