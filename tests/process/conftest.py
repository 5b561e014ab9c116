"""One embedded AWS, as a process of its own, for all process tests of a session."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.background import Background, background
from tests.support.steps import Service, World, service


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(tmp_path_factory.mktemp("buckets")) as running:
        yield running
        assert asyncio.run(running.running()) == [], "when all is over, no job runs"


@pytest.fixture
def world(cloud: Service, tmp_path: Path) -> World:
    return World(cloud, tmp_path)


@pytest.fixture(scope="module")
def cases(
    request: pytest.FixtureRequest, cloud: Service, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Background]:
    """All selected cases of the module, under way; see `tests.support.background`."""
    with background() as running:
        for item in request.session.items:
            case = getattr(item, "callspec", None) and item.callspec.params.get("case")
            if item.path == request.path and case is not None:
                world = World(cloud, tmp_path_factory.mktemp("case"))
                running.start(
                    item.callspec.id, lambda case=case, world=world: case.run(world), light=case.light
                )
        yield running
