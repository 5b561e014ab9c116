"""SageMaker's API for models: create, describe, list, delete. Nothing runs before an endpoint or a job uses one.

Accepted and shown again, but without effect here: VpcConfig, ImageConfig, ContainerHostname, ModelAccessConfig,
ContainerMetricsConfig. Whether the image is known shows when something starts it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from components.aws.embedded.errors import ApiError, invalid, not_implemented
from components.aws.embedded.s3 import samples
from components.aws.embedded.s3.objects import S3Error
from components.aws.embedded.sagemaker.books import Books
from components.aws.embedded.sagemaker.checks import check_texts, s3_location, unsafe_variables
from components.aws.embedded.sagemaker.hosting.data import ModelData
from components.aws.embedded.sagemaker.hosting.resource import Resource
from components.aws.embedded.sagemaker.site import Site
from components.aws.embedded.sagemaker.tags import of_request

Json = dict[str, Any]
_ECHOED = (
    "ModelName",
    "PrimaryContainer",
    "Containers",
    "InferenceExecutionConfig",
    "ExecutionRoleArn",
    "VpcConfig",
)


@dataclass(slots=True)
class Model(Resource):
    """A model."""

    NOUN = "Model"
    WORD = "model"

    @property
    def containers(self) -> list[Json]:
        """Its containers in the order of a request's way through them."""
        primary = self.request.get("PrimaryContainer")
        return [primary] if primary is not None else list(self.request["Containers"])

    @property
    def container(self) -> Json:
        """The only container; see `single`."""
        return self.containers[0]

    @property
    def isolated(self) -> bool:
        """Whether its containers have no way to the cloud."""
        return bool(self.request.get("EnableNetworkIsolation"))

    @property
    def role(self) -> str:
        """ExecutionRoleArn."""
        return str(self.request.get("ExecutionRoleArn", ""))

    def description(self) -> Json:
        """As in Describe."""
        echoed = {name: self.request[name] for name in _ECHOED if name in self.request}
        for container in (echoed.get("PrimaryContainer"), *echoed.get("Containers", ())):
            if container:
                container.setdefault("Mode", "SingleModel")
        return echoed | self.summary() | {"EnableNetworkIsolation": self.isolated}


class Models:
    """Models: their books, and the operations on them."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.books: Books[Model] = Books(
            # Source of the sentence: astronomer-providers issue 1055.
            lambda model: invalid(f'Cannot create already existing model "{model.arn}".')
        )
        self.operations: Mapping[str, Callable[[Json, str], Awaitable[Json]]] = {
            "CreateModel": self._create,
            "DescribeModel": self._describe,
            "ListModels": self._list,
            "DeleteModel": self._delete,
        }

    def find(self, region: str, name: str) -> Model:
        """Return a model, also the sample. Raises `ApiError`."""
        self._sample(region)
        model = self.books.get(region, name)
        if model is None:
            raise unknown_name("model", Model.arn_of(region, name))
        return model

    def single(self, region: str, name: str) -> Model:
        """Return a model that can be served here: it has one container. Raises `ApiError`."""
        model = self.find(region, name)
        if len(model.containers) > 1:
            raise not_implemented(
                f"serving model {name}, an inference pipeline of {len(model.containers)} containers,"
            )
        return model

    async def _create(self, body: Json, region: str) -> Json:
        self._sample(region)
        self.books.refuse_namesake(region, body["ModelName"])
        _check(body)
        tags = of_request(body)
        model = Model(region, body, tags)
        for container in model.containers:
            await self._check_data(container)
        self.books.add(model)
        return {"ModelArn": model.arn}

    async def _check_data(self, container: Json) -> None:
        """Raise `ApiError` unless there is the data that a container names."""
        source = (container.get("ModelDataSource") or {}).get("S3DataSource") or {}
        if not (url := container.get("ModelDataUrl") or source.get("S3Uri")):
            return
        s3_location(url)
        reason = ""
        try:
            data = ModelData.of(container)
            if data is None or await data.exists(self._site.objects):
                return
        except S3Error as error:
            reason = f" ({error.code}: {error.text})"
        raise invalid(f"Could not find model data at {url}.{reason}")

    async def _describe(self, body: Json, region: str) -> Json:
        return self.find(region, body["ModelName"]).description()

    async def _list(self, body: Json, region: str) -> Json:
        self._sample(region)
        return self.books.listed(body, region, "Models")

    async def _delete(self, body: Json, region: str) -> Json:
        model = self.find(region, body["ModelName"])
        if model.name == samples.MODEL:
            raise invalid(f"{model.name} is a sample of the embedded cloud and can't be deleted.")
        self.books.remove(model)
        return {}

    def _sample(self, region: str) -> None:
        """Have the sample model in a region's books."""
        if self.books.get(region, samples.MODEL) is None:
            self.books.add(Model(region, samples.model(region), {}))


def _check(body: Json) -> None:
    """Raise `ApiError` for what AWS or the embedded cloud would not have."""
    if not body["ModelName"]:
        raise invalid("ModelName must not be empty.")
    if (body.get("PrimaryContainer") is None) == (not body.get("Containers")):
        raise invalid("Exactly one of PrimaryContainer and Containers must be specified.")
    if missing := next(_unknown(body), ""):
        raise not_implemented(f"CreateModel: {missing}")
    for container in body.get("Containers") or [body["PrimaryContainer"]]:
        if not container.get("Image"):
            raise invalid("A container needs an Image.")
        if container.get("ModelDataUrl") and container.get("ModelDataSource"):
            raise invalid("A container can have ModelDataUrl or ModelDataSource, not both.")
        check_texts(container, "Environment")


def _unknown(body: Json) -> Iterator[str]:
    if (body.get("InferenceExecutionConfig") or {}).get("Mode") == "Direct":
        yield "InferenceExecutionConfig Mode Direct"
    for container in body.get("Containers") or [body["PrimaryContainer"]]:
        for name in (
            "ModelPackageName",
            "InferenceSpecificationName",
            "AdditionalModelDataSources",
            "MultiModelConfig",
        ):
            if container.get(name):
                yield name
        if container.get("Mode") == "MultiModel":
            yield "Mode MultiModel"
        yield from unsafe_variables(container.get("Environment") or ())
        yield from _unknown_source(container.get("ModelDataSource"))


def _unknown_source(source: Json | None) -> Iterator[str]:
    if source is None:
        return
    if not source.get("S3DataSource"):
        yield "ModelDataSource without S3DataSource"
        return
    s3 = source["S3DataSource"]
    for name in ("HubAccessConfig", "ManifestS3Uri", "ETag", "ManifestEtag"):
        if s3.get(name):
            yield f"ModelDataSource with {name}"
    if (s3["S3DataType"], s3["CompressionType"]) not in (("S3Object", "Gzip"), ("S3Prefix", "None")):
        yield f"ModelDataSource of {s3['S3DataType']} with CompressionType {s3['CompressionType']}"


def unknown_name(kind: str, arn: str) -> ApiError:
    """SageMaker's refusal of a name that nothing has, as models and endpoints word it."""
    return invalid(f'Could not find {kind} "{arn}".')
