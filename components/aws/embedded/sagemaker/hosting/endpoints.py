"""SageMaker's API for endpoints: create, describe, list, update, delete. `endpoint_hosting` runs them.

An update is blue/green, all at once: DeploymentConfig is accepted and shown, its steps, waits and alarms have no effect.
Endpoints are no jobs: they take no place in the queue.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from components.aws.embedded.errors import ApiError, invalid, not_implemented
from components.aws.embedded.sagemaker.books import Books
from components.aws.embedded.sagemaker.hosting.configs import EndpointConfig, EndpointConfigs
from components.aws.embedded.sagemaker.hosting.fleet import host
from components.aws.embedded.sagemaker.hosting.models import Models, unknown_name
from components.aws.embedded.sagemaker.hosting.record import Endpoint, Fleet, Variant, endpoint_arn
from components.aws.embedded.sagemaker.hosting.seats import Seats
from components.aws.embedded.sagemaker.images import Images
from components.aws.embedded.sagemaker.site import Site
from components.aws.embedded.sagemaker.tags import of_request

Json = dict[str, Any]
_IN_PROGRESS = ("Creating", "Updating", "Deleting")


class Endpoints:
    """Endpoints: their books, and the operations on them."""

    def __init__(
        self, site: Site, images: Images, models: Models, configs: EndpointConfigs, seats: Seats
    ) -> None:
        self._site = site
        self._seats = seats
        self._images = images
        self._models = models
        self._configs = configs
        self.books: Books[Endpoint] = Books(
            # Source of the sentence: sagemaker-python-sdk issue 101.
            lambda endpoint: invalid(f'Cannot create already existing endpoint "{endpoint.arn}".')
        )
        self.operations: Mapping[str, Callable[[Json, str], Awaitable[Json]]] = {
            "CreateEndpoint": self._create,
            "DescribeEndpoint": self._describe,
            "ListEndpoints": self._list,
            "UpdateEndpoint": self._update,
            "UpdateEndpointWeightsAndCapacities": self._weigh,
            "DeleteEndpoint": self._delete,
        }

    def find(self, region: str, name: str) -> Endpoint:
        """Return an endpoint. Raises `ApiError`."""
        endpoint = self.books.get(region, name)
        if endpoint is None:
            raise unknown_name("endpoint", endpoint_arn(region, name))
        return endpoint

    async def _create(self, body: Json, region: str) -> Json:
        name = body["EndpointName"]
        self.books.refuse_namesake(region, name)
        config = self._configs.find(region, body["EndpointConfigName"])
        fleet = self._fleet(config)
        self._seat(fleet)
        endpoint = Endpoint(region, name, of_request(body), config, fleet, body.get("DeploymentConfig"))
        try:
            self.books.add(endpoint)
        except ApiError:
            self._seats.give_back(fleet.processes)
            raise
        self._host(endpoint, fleet)
        return {"EndpointArn": endpoint.arn}

    def _fleet(self, config: EndpointConfig) -> Fleet:
        """Make a fleet of a configuration. Raises `ApiError` for a model that is gone, or can't be served here."""
        variants = [
            Variant(
                request,
                self._models.single(config.region, request["ModelName"]),
                request["InitialVariantWeight"],
                request["InitialInstanceCount"],
            )
            for request in config.variants
        ]
        return Fleet(config, variants)

    def _seat(self, fleet: Fleet) -> None:
        """Say how many processes there will be. Raises `ApiError` when there are too many already."""
        seats = self._seats.take([variant.count for variant in fleet.variants])
        for variant, processes in zip(fleet.variants, seats, strict=True):
            variant.processes = processes

    def _host(self, endpoint: Endpoint, fleet: Fleet) -> None:
        endpoint.alive += 1

        def ended() -> None:
            endpoint.alive -= 1
            self._seats.give_back(fleet.processes)
            self._gone(endpoint)

        self._site.begin(host(endpoint, fleet, self._site, self._images, ended))

    def _gone(self, endpoint: Endpoint) -> None:
        """Strike out an endpoint that is being deleted once nothing of it runs."""
        if endpoint.status == "Deleting" and not endpoint.alive:
            self.books.remove(endpoint)

    async def _describe(self, body: Json, region: str) -> Json:
        return self.find(region, body["EndpointName"]).description()

    async def _list(self, body: Json, region: str) -> Json:
        return self.books.listed(body, region, "Endpoints")

    async def _update(self, body: Json, region: str) -> Json:
        endpoint = self._settled(body, region)
        if endpoint.current is None:
            # What Failed allows is in EndpointStatus's reference; the sentence is not known from a public place.
            raise invalid(f'Cannot update failed endpoint "{endpoint.arn}": it can only be deleted.')
        config = self._configs.find(region, body["EndpointConfigName"])
        if config is endpoint.current.config:
            # Source of the sentence: notes on UpdateEndpoint in a public repository's deploy script.
            raise invalid(
                f'Cannot update endpoint with the currently in use endpoint configuration "{config.name}"'
            )
        fleet = self._fleet(config)
        if body.get("RetainAllVariantProperties"):
            _retain(fleet, endpoint.current, body)
        self._seat(fleet)
        endpoint.update(fleet, body.get("DeploymentConfig"))
        self._host(endpoint, fleet)
        return {"EndpointArn": endpoint.arn}

    async def _weigh(self, body: Json, region: str) -> Json:
        """Weights take effect at once; another number of instances would be another fleet."""
        endpoint = self._settled(body, region)
        rows = body["DesiredWeightsAndCapacities"]
        found = []
        for row in rows:
            variant = endpoint.current.variant(row["VariantName"]) if endpoint.current else None
            if variant is None:
                raise invalid(f'Could not find variant "{row["VariantName"]}" in endpoint "{endpoint.arn}".')
            if row.get("ServerlessUpdateConfig"):
                raise not_implemented("UpdateEndpointWeightsAndCapacities: ServerlessUpdateConfig")
            if row.get("DesiredInstanceCount", variant.count) != variant.count:
                raise not_implemented("UpdateEndpointWeightsAndCapacities: another DesiredInstanceCount")
            found.append(variant)
        for variant, row in zip(found, rows, strict=True):
            variant.weight = row.get("DesiredWeight", variant.weight)
        endpoint.enter("InService")
        return {"EndpointArn": endpoint.arn}

    async def _delete(self, body: Json, region: str) -> Json:
        # AWS refuses to delete what is in progress in the words of an update: hence the same check.
        endpoint = self._settled(body, region)
        endpoint.delete()
        self._gone(endpoint)
        return {}

    def _settled(self, body: Json, region: str) -> Endpoint:
        """Return an endpoint that nothing is being done to. Raises `ApiError`.

        Source of the sentence, for both UpdateEndpoint and DeleteEndpoint: aws-controllers-k8s and others who match it.
        """
        endpoint = self.find(region, body["EndpointName"])
        if endpoint.status in _IN_PROGRESS:
            raise invalid(f'Cannot update in-progress endpoint "{endpoint.arn}".')
        return endpoint


def _retain(fleet: Fleet, before: Fleet, body: Json) -> None:
    """Let variants keep what they have now (RetainAllVariantProperties), but for what is excluded."""
    excluded = {row["VariantPropertyType"] for row in body.get("ExcludeRetainedVariantProperties") or ()}
    for variant in fleet.variants:
        old = before.variant(variant.name)
        if old is not None and "DesiredWeight" not in excluded:
            variant.weight = old.weight
        if old is not None and "DesiredInstanceCount" not in excluded:
            variant.count = old.count
