"""The whole of the embedded SageMaker: every kind of resource it knows, behind one table of operations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from components.aws.embedded.books import Record
from components.aws.embedded.endpoint_configs import EndpointConfigs
from components.aws.embedded.endpoints import Endpoints
from components.aws.embedded.images import Images
from components.aws.embedded.invocations import Runtime
from components.aws.embedded.labeling import Labeling
from components.aws.embedded.models import Models
from components.aws.embedded.processing import Processing
from components.aws.embedded.site import Site
from components.aws.embedded.tags import Tags
from components.aws.embedded.training import Training
from components.aws.embedded.transform import Transforms
from components.aws.embedded.tuning import Tuning
from components.aws.embedded.workteams import Workteams

Json = dict[str, Any]
Operation = Callable[[Json, str], Awaitable[Json]]
"""A request body, checked against the service model, and a region → the answer. Raises `ApiError`."""


class SageMaker:
    """Every kind registers its operations here; what is in no table is not implemented."""

    def __init__(self, site: Site, images: Images) -> None:
        training = Training(site, images)
        processing = Processing(site, images)
        workteams = Workteams()
        labeling = Labeling(site, workteams)
        tuning = Tuning(site, training)
        models = Models(site)
        configs = EndpointConfigs(models)
        endpoints = Endpoints(site, images, models, configs)
        transforms = Transforms(site, images, models)
        self.runtime = Runtime(endpoints)
        books: list[Iterable[Record]] = [
            *(training.books, tuning.books, processing.books, workteams.books, labeling.books),
            *(models.books, configs.books, endpoints.books, transforms.books),
        ]
        self.operations: Mapping[str, Operation] = {
            **training.operations,
            **tuning.operations,
            **processing.operations,
            **workteams.operations,
            **labeling.operations,
            **models.operations,
            **configs.operations,
            **endpoints.operations,
            **transforms.operations,
            **Tags(books).operations,
        }
