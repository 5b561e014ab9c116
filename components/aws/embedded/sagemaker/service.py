"""The whole of the embedded SageMaker: every kind of resource it knows, behind one table of operations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from components.aws.embedded.sagemaker.books import Record
from components.aws.embedded.sagemaker.hosting.configs import EndpointConfigs
from components.aws.embedded.sagemaker.hosting.endpoints import Endpoints
from components.aws.embedded.sagemaker.hosting.invocations import Runtime
from components.aws.embedded.sagemaker.hosting.models import Models
from components.aws.embedded.sagemaker.hosting.seats import Seats
from components.aws.embedded.sagemaker.images import Images
from components.aws.embedded.sagemaker.labeling.api import Labeling
from components.aws.embedded.sagemaker.labeling.workteams import Workteams
from components.aws.embedded.sagemaker.processing.api import Processing
from components.aws.embedded.sagemaker.site import Site
from components.aws.embedded.sagemaker.tags import Tags
from components.aws.embedded.sagemaker.training.api import Training
from components.aws.embedded.sagemaker.transform.api import Transforms
from components.aws.embedded.sagemaker.tuning.api import Tuning

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
        seats = Seats()
        endpoints = Endpoints(site, images, models, configs, seats)
        transforms = Transforms(site, images, models, seats)
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
