"""One endpoint as the service has it on its books, and how Describe and List show it.

    Creating ─► InService ◄─► Updating      an update that fails goes back, too, with a FailureReason
        └─────► Failed
    InService, Failed ─► Deleting ─► gone

A fleet is what one configuration came to: the containers of all its variants. While an update is under way there are
two, and the old one serves.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from components.aws.embedded.clock import now
from components.aws.embedded.cloud import ACCOUNT
from components.aws.embedded.sagemaker.hosting.configs import EndpointConfig
from components.aws.embedded.sagemaker.hosting.models import Model
from components.aws.embedded.sagemaker.hosting.serving import Server

Json = dict[str, Any]
FAILURE_LENGTH = 1024
"""Characters of FailureReason."""


@dataclass(slots=True)
class Variant:
    """A production variant at work. Weight and count are its own: they may change after the configuration."""

    request: Json
    model: Model
    weight: float
    count: int
    """Instances that were asked for."""
    processes: int = 1
    """Containers that stand for them."""
    servers: list[Server] = field(default_factory=list)
    """Its healthy containers."""

    @property
    def name(self) -> str:
        """VariantName."""
        return str(self.request["VariantName"])

    def summary(self) -> Json:
        """As in Describe."""
        images = [{"SpecifiedImage": each["Image"]} for each in self.model.containers]
        return {
            "VariantName": self.name,
            "DeployedImages": images,
            "CurrentWeight": self.weight,
            "DesiredWeight": self.weight,
            "CurrentInstanceCount": self.count,
            "DesiredInstanceCount": self.count,
        }

    def pending(self) -> Json:
        """As in PendingDeploymentSummary."""
        begun = {"CurrentWeight": 0.0, "CurrentInstanceCount": len(self.servers)}
        return self.summary() | begun | {"InstanceType": self.request["InstanceType"]}


@dataclass(slots=True)
class Fleet:
    """All variants of one configuration."""

    config: EndpointConfig
    variants: list[Variant]
    started: float = field(default_factory=now)
    halt: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when it is to end."""
    replaced: bool = False
    """It may finish what it is asked already: another one serves."""

    @property
    def processes(self) -> int:
        """Of all variants together."""
        return sum(variant.processes for variant in self.variants)

    def variant(self, name: str) -> Variant | None:
        """The variant of that name."""
        return next((variant for variant in self.variants if variant.name == name), None)


@dataclass(slots=True)
class Endpoint:
    """An endpoint; begins as Creating."""

    region: str
    name: str
    tags: dict[str, str]
    first: EndpointConfig
    """What it was created with."""
    pending: Fleet | None
    """What is being deployed."""
    deployment: Json | None = None
    """DeploymentConfig of the latest deployment: shown only."""
    current: Fleet | None = None
    """What serves."""
    alive: int = 0
    """How many fleets have something running."""
    status: str = "Creating"
    failure: str = ""
    created: float = field(default_factory=now)
    modified: float = field(default_factory=now)

    @property
    def arn(self) -> str:
        """AWS writes the name in lower case here."""
        return endpoint_arn(self.region, self.name)

    def enter(self, status: str, failure: str = "") -> None:
        """Go over to a status."""
        self.status = status
        self.failure = failure[:FAILURE_LENGTH]
        self.modified = now()

    def update(self, fleet: Fleet, deployment: Json | None) -> None:
        """Another configuration is being deployed."""
        self.pending = fleet
        self.deployment = deployment or self.deployment
        self.enter("Updating")

    def go_over(self, fleet: Fleet) -> None:
        """The new fleet is healthy and serves from now on."""
        before, self.current, self.pending = self.current, fleet, None
        self.enter("InService")
        if before is not None:
            before.replaced = True
            before.halt.set()

    def give_up(self, reason: str) -> None:
        """The new fleet did not come up; what served before goes on."""
        self.pending = None
        self.enter("InService" if self.current else "Failed", reason)

    def lose(self, fleet: Fleet, reason: str) -> None:
        """A fleet ended without being told to."""
        fleet.halt.set()
        if fleet is self.current:
            self.current = None
        if self.status != "Deleting":
            self.give_up(reason)

    def delete(self) -> None:
        """End all that runs."""
        self.enter("Deleting")
        for fleet in (self.current, self.pending):
            if fleet is not None:
                fleet.halt.set()

    def summary(self) -> Json:
        """As in List."""
        return {
            "EndpointName": self.name,
            "EndpointArn": self.arn,
            "CreationTime": self.created,
            "LastModifiedTime": self.modified,
            "EndpointStatus": self.status,
        }

    def description(self) -> Json:
        """As in Describe."""
        answer = self.summary()
        answer["EndpointConfigName"] = (self.current.config if self.current else self.first).name
        if self.current is not None:
            answer["ProductionVariants"] = [variant.summary() for variant in self.current.variants]
        if self.failure:
            answer["FailureReason"] = self.failure
        if self.deployment:
            answer["LastDeploymentConfig"] = self.deployment
        if self.pending is not None:
            answer["PendingDeploymentSummary"] = {
                "EndpointConfigName": self.pending.config.name,
                "ProductionVariants": [variant.pending() for variant in self.pending.variants],
                "StartTime": self.pending.started,
            }
        return answer


def endpoint_arn(region: str, name: str) -> str:
    """AWS writes the name in lower case here."""
    return f"arn:aws:sagemaker:{region}:{ACCOUNT}:endpoint/{name.lower()}"
