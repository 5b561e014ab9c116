"""A request on its way to an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(slots=True)
class Asked:
    """What is asked, and what the journal is to know of it."""

    request: web.BaseRequest
    operation: str
    given: Mapping[str, str]
    """What stands in the path."""
    began: float
    """Arrival on `time.monotonic`'s clock."""
    body: Mapping[str, Any] = field(default_factory=dict)
    """For the journal: the JSON body; of an upload its metadata."""
    members: Sequence[str] = ()
    """For the journal: the names in an upload's payload."""

    @property
    def id(self) -> int:
        """The id that stands in the path."""
        return int(self.given["id"])
