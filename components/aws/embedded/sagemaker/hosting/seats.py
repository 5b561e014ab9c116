"""How many processes serve at a time, of all endpoints and transform jobs together: each is a process of this machine."""

from __future__ import annotations

from collections.abc import Sequence

from components.aws.embedded.errors import ApiError

MOST_PROCESSES = 64
"""Of the whole server. AWS's quotas are of instances, and depend on the account."""
MOST_TOGETHER = 4
"""Of one variant, or of one transform job."""


class Seats:
    """The places that serving processes take, from the request for them until the last of them is gone."""

    def __init__(self, most: int = MOST_PROCESSES) -> None:
        self._most = most
        self._left = most

    def take(self, asked: Sequence[int]) -> list[int]:
        """Take seats for variants that would have so many instances: one at least for each, fewer the less are left.

        Raises `ApiError` when there is not one for each.
        """
        count = len(asked)
        if count > self._left:
            raise ApiError(
                "ResourceLimitExceeded",
                f"The embedded cloud runs at most {self._most} serving processes at a time: {self._most - self._left} are"
                f" in use, and {count} more are needed. Delete an endpoint, or wait until transform jobs have ended.",
            )
        # Half of what is left stays for those who come later.
        most = max(1, min(MOST_TOGETHER, self._left // (2 * max(1, count))))
        given = [min(each, most) for each in asked]
        self._left -= sum(given)
        return given

    def give_back(self, count: int) -> None:
        """So many of them are free again."""
        self._left += count
