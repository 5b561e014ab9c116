"""The routes by which tests that run in another process reach an embedded cloud's faults and journal."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from typing import Any

from aiohttp import web

from runner.emulation.faults import Fault, Faults

PREFIX = "/_embedded/"


class Control:
    """Answers below `PREFIX`, if the cloud was started so that it takes faults."""

    def __init__(self, faults: Faults[Any], calls: Callable[[], Sequence[Any]]) -> None:
        """`calls`: the journal's entries, frozen dataclasses."""
        self._faults = faults
        self._calls = calls

    def means(self, request: web.BaseRequest) -> bool:
        """Whether the request is for us."""
        return self._faults.enabled and request.path.startswith(PREFIX)

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """`GET /_embedded/calls`; `POST` (a list of faults as JSON), `GET` and `DELETE /_embedded/faults`."""
        what = request.method, request.path.removeprefix(PREFIX)
        if what == ("GET", "calls"):
            return web.json_response({"calls": [_shown(call) for call in self._calls()]})
        if what == ("POST", "faults"):
            try:
                rows = json.loads(await request.read())
                self._faults.add_json([rows] if isinstance(rows, dict) else rows)
            except (TypeError, ValueError, RecursionError) as error:
                return web.Response(status=400, text=f"{error}\n")
        elif what == ("DELETE", "faults"):
            self._faults.clear()
        elif what != ("GET", "faults"):
            return web.Response(status=404)
        pending: list[Fault] = self._faults.pending
        return web.json_response({"faults": [dataclasses.asdict(fault) for fault in pending]})


def _shown(call: Any) -> dict[str, Any]:  # noqa: ANN401  whatever the cloud notes
    # Not asdict, which copies bodies of any depth, and needs far more of the stack than writing them does.
    return {field.name: getattr(call, field.name) for field in dataclasses.fields(call)}
