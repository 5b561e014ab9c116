"""The whole of the embedded SageMaker: every kind of resource it knows, behind one table of operations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from components.aws.embedded.images import Images
from components.aws.embedded.site import Site
from components.aws.embedded.tags import Tags
from components.aws.embedded.training import Training

Json = dict[str, Any]
Operation = Callable[[Json, str], Awaitable[Json]]
"""A request body, checked against the service model, and a region → the answer. Raises `ApiError`."""


class SageMaker:
    """Every kind registers its operations here; what is in no table is not implemented."""

    def __init__(self, site: Site, images: Images) -> None:
        training = Training(site, images)
        self.operations: Mapping[str, Operation] = {
            **training.operations,
            **Tags([training.books]).operations,
        }
