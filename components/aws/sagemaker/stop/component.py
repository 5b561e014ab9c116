"""SageMaker stop: whatever a pipeline run still has running, or jobs by name, of every kind.

Made for exit handlers, which run when a pipeline was terminated and its steps were given no time to stop their jobs.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

from components.aws.inputs import Where
from components.aws.sagemaker.stop._inputs import StopInputs, StopOutputs
from components.aws.sagemaker.stop._search import requests
from runner.errors import InputError
from runner.identity import Identity
from runner.job import Component, Job

if TYPE_CHECKING:
    from components.aws.sagemaker.stop._order import StopOrder

ID = "aws.sagemaker.stop"
EXAMPLE = "  --region us-east-1 --run_id a-run-that-left-nothing"
_RUN = re.compile(r"[\w .:/=+@-]{1,256}")
"""What the value of a tag may hold."""
_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")


def request(inputs: StopInputs, identity: Identity) -> Mapping[str, Any]:  # noqa: ARG001  a stop has no name of its own
    """Return what is asked to find the jobs: operation → bodies. Raises `InputError`."""
    wrong = []
    names = inputs.job_names.split(",") if inputs.job_names else []
    if not inputs.run_id.strip() and not names:
        wrong.append("one of --run_id and --job_names is required: what to stop")
    elif inputs.run_id and not _RUN.fullmatch(inputs.run_id):
        told = repr(inputs.run_id[:60])
        wrong.append(
            f"--run_id is {told}, a placeholder that was not replaced; it has to be the whole argument"
            if "{{" in inputs.run_id
            else f"--run_id is {told}; it may hold up to 256 letters, digits, blanks and any of _.:/=+-@"
        )
    if bad := [name for name in names if not _NAME.fullmatch(name)]:
        wrong.append(
            f"--job_names holds {', '.join(repr(name[:70]) for name in bad[:5])}; a name has at most 63 letters, digits "
            "and hyphens"
        )
    if wrong:
        raise InputError("; ".join(wrong))
    return requests(inputs.run_id, names)


async def check(inputs: StopInputs, identity: Identity) -> None:
    """Check the requests against botocore's model of SageMaker. Raises `InputError`."""
    from components.aws import validate
    from components.aws.session import Aws

    async with Aws(inputs) as aws:
        for operation, bodies in request(inputs, identity).items():
            model = await aws.operation("sagemaker", operation)
            for body in bodies:
                validate.check(model, body, {})


@asynccontextmanager
async def connect(inputs: StopInputs, identity: Identity) -> AsyncIterator[StopOrder]:
    """Open the connections; nothing is sent before `launch`."""
    from components.aws.sagemaker.stop._order import StopOrder
    from components.aws.session import Aws

    request(inputs, identity)
    async with Aws(inputs) as aws:
        await aws.ready("sagemaker")
        order = StopOrder(aws, ID, inputs)
        try:
            yield order
        finally:
            await order.close()


def attach(where: Where, name: str) -> AbstractAsyncContextManager[Job]:  # noqa: ARG001
    """Refuse: there is nothing that goes on by itself."""
    raise InputError(f"{ID} makes no job that could be watched; run it again: it stops only what still runs")


component = Component(
    name="SageMaker - Stop Jobs",
    summary="Stop every job that a pipeline run still has running, or jobs by name; made for exit handlers.",
    inputs=StopInputs,
    outputs=StopOutputs,
    request=request,
    check=check,
    connect=connect,
    attach=attach,
    where=Where,
    provider="aws",
    example=EXAMPLE,
)
