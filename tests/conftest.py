"""What holds for every test."""

from __future__ import annotations

import asyncio
import os

import pytest

NOWHERE = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}

OURS = {"KFP_RUNNER_CONFORMANCE", "KFP_RUNNER_KILLS"}
"""Variables that are meant for the tests."""


def pytest_sessionstart(session: pytest.Session) -> None:
    """Leave the developer's clouds, pipelines and terminal outside, for us and for the processes that we start.

    And say that there is no event loop, so that asking for one around a synchronous test doesn't make, and leak, it.
    looptime asks around every test; up to Python 3.13 the asking itself would make a loop.
    """
    for name in [*os.environ]:
        if name.startswith(("AWS_", "KFP_", "ARGO_")) and name not in OURS:
            del os.environ[name]
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        os.environ.pop(name, None)
    os.environ.update(NOWHERE)
    asyncio.set_event_loop(None)
