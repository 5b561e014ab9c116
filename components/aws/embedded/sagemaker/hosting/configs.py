"""SageMaker's API for endpoint configurations: create, describe, list, delete.

Accepted and shown again, but without effect here: KmsKeyId, InstanceType, AcceleratorType, CoreDumpConfig,
RoutingConfig, ManagedInstanceScaling, EnableSSMAccess, InferenceAmiVersion, MetricsConfig.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from components.aws.embedded.errors import invalid, not_implemented
from components.aws.embedded.sagemaker.books import Books
from components.aws.embedded.sagemaker.hosting.models import Models, unknown_name
from components.aws.embedded.sagemaker.hosting.resource import Resource
from components.aws.embedded.sagemaker.tags import of_request

Json = dict[str, Any]


@dataclass(slots=True)
class EndpointConfig(Resource):
    """An endpoint's configuration."""

    NOUN = "EndpointConfig"
    WORD = "endpoint-config"

    @property
    def variants(self) -> list[Json]:
        """ProductionVariants."""
        return list(self.request["ProductionVariants"])

    def description(self) -> Json:
        """As in Describe."""
        return self.request | self.summary()


class EndpointConfigs:
    """Endpoint configurations: their books, and the operations on them."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self.books: Books[EndpointConfig] = Books(
            # Source of the sentence: awslabs/spot-tagging-bot-for-digital-assets issue 2.
            lambda config: invalid(f'Cannot create already existing endpoint configuration "{config.arn}".')
        )
        self.operations: Mapping[str, Callable[[Json, str], Awaitable[Json]]] = {
            "CreateEndpointConfig": self._create,
            "DescribeEndpointConfig": self._describe,
            "ListEndpointConfigs": self._list,
            "DeleteEndpointConfig": self._delete,
        }

    def find(self, region: str, name: str) -> EndpointConfig:
        """Return a configuration. Raises `ApiError`."""
        config = self.books.get(region, name)
        if config is None:
            raise unknown_name("endpoint configuration", EndpointConfig.arn_of(region, name))
        return config

    async def _create(self, body: Json, region: str) -> Json:
        self.books.refuse_namesake(region, body["EndpointConfigName"])
        if missing := next(_unknown(body), ""):
            raise not_implemented(f"CreateEndpointConfig: {missing}")
        _check(body["ProductionVariants"])
        for variant in body["ProductionVariants"]:
            self._models.find(region, variant["ModelName"])
        tags = of_request(body)
        variants = [{"InitialVariantWeight": 1.0} | variant for variant in body["ProductionVariants"]]
        config = EndpointConfig(region, body | {"ProductionVariants": variants}, tags)
        self.books.add(config)
        return {"EndpointConfigArn": config.arn}

    async def _describe(self, body: Json, region: str) -> Json:
        return self.find(region, body["EndpointConfigName"]).description()

    async def _list(self, body: Json, region: str) -> Json:
        return self.books.listed(body, region, "EndpointConfigs")

    async def _delete(self, body: Json, region: str) -> Json:
        self.books.remove(self.find(region, body["EndpointConfigName"]))
        return {}


def _check(variants: list[Json]) -> None:
    """Raise `ApiError` for variants that can't stand together."""
    names = [variant["VariantName"] for variant in variants]
    for name in names:
        if names.count(name) > 1:
            raise invalid(f"Variant names must be unique, {name} is not.")
    for variant in variants:
        for name in ("InitialInstanceCount", "InstanceType"):
            if not variant.get(name):
                raise invalid(f"{name} must be specified for production variant {variant['VariantName']}.")


def _unknown(body: Json) -> Iterator[str]:
    for name in ("AsyncInferenceConfig", "ExplainerConfig", "ShadowProductionVariants", "ExecutionRoleArn"):
        if body.get(name):
            yield name
    if (body.get("DataCaptureConfig") or {}).get("EnableCapture"):
        yield "DataCaptureConfig with EnableCapture"
    for variant in body["ProductionVariants"]:
        where = f"production variant {variant['VariantName']}"
        for name in ("ServerlessConfig", "InstancePools", "CapacityReservationConfig"):
            if variant.get(name):
                yield f"{where}: {name}"
        if not variant.get("ModelName"):
            yield f"{where}: no ModelName (inference components)"
