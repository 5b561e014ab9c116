"""What every SageMaker component does alike: from checked inputs to a job with open connections.

Importing this imports no cloud: a component is also loaded to list its arguments.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.aws.inputs import AwsInputs, Where
from components.aws.sagemaker._api import Kind
from components.aws.sagemaker._reading import Reading
from runner.identity import Identity
from runner.inputs import Outputs
from runner.job import Component, Job

if TYPE_CHECKING:
    from components.aws.sagemaker._job import SageMakerJob
    from components.aws.session import Aws

Request = Callable[[Any, Identity], Mapping[str, Any]]
"""Inputs → operation → the body that would be sent."""


def _plain() -> type[SageMakerJob]:
    from components.aws.sagemaker._job import SageMakerJob

    return SageMakerJob


@dataclass(frozen=True, slots=True)
class Wiring:
    """What makes a `Component` lead to the service, for a kind of job that one operation makes."""

    id: str
    """The component's."""
    kind: Kind
    request: Request
    arguments: Mapping[str, str]
    """Request member, with its path → the argument that fills it, or most of it."""
    reading: Reading
    job: Callable[[], type[SageMakerJob]] = _plain
    """Imports the class of its jobs."""

    def component(
        self,
        *,
        name: str,
        summary: str,
        inputs: type[AwsInputs],
        outputs: type[Outputs],
        deviations: tuple[str, ...],
        example: str,
    ) -> Component:
        """Return the whole component; see `Component` for what is given."""
        return Component(
            name=name,
            summary=summary,
            inputs=inputs,
            outputs=outputs,
            request=self.request,
            check=self.check,
            connect=self.connect,
            attach=self.attach,
            where=Where,
            provider="aws",
            deviations=deviations,
            example=example,
        )

    async def check(self, inputs: AwsInputs, identity: Identity) -> None:
        """Check the request against botocore's model of SageMaker. Raises `InputError`."""
        from components.aws.session import Aws

        async with Aws(inputs) as aws:
            await checked(aws, self.request(inputs, identity), self.arguments)

    @asynccontextmanager
    async def connect(self, inputs: AwsInputs, identity: Identity) -> AsyncIterator[Job]:
        """Check the request, and open the connections; nothing is sent before `launch`."""
        from components.aws.session import Aws

        job, request = self.job(), self.request(inputs, identity)
        async with Aws(inputs) as aws:
            await checked(aws, request, self.arguments)
            await aws.ready("sagemaker")
            body = request[self.kind.create]
            yield job(self.kind, aws, identity.component, self.reading, body[self.kind.name_key], body)

    @asynccontextmanager
    async def attach(self, where: Where, name: str) -> AsyncIterator[Job]:
        """Open the connections to a job that exists."""
        from components.aws.session import Aws

        job = self.job()
        async with Aws(where) as aws:
            await aws.ready("sagemaker")
            yield job(self.kind, aws, self.id, self.reading, name, None)


async def checked(aws: Aws, request: Mapping[str, Any], arguments: Mapping[str, str]) -> None:
    """Check every operation's body against botocore's model of SageMaker. Raises `InputError`."""
    from components.aws import validate

    for operation, body in request.items():
        validate.check(await aws.operation("sagemaker", operation), body, arguments)
