"""SageMaker stop: whatever a pipeline run still has running, or jobs by name, of every kind.

Made for exit handlers, which run when a pipeline was terminated and its steps were given no time to stop their jobs.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

from pydantic import field_validator
from pydantic_core import PydanticCustomError

from components.aws.inputs import Where
from components.aws.sagemaker.stop._search import requests
from runner.errors import InputError
from runner.identity import Identity
from runner.inputs import Flag, JsonArray, Outputs, arg
from runner.job import Component, Job

if TYPE_CHECKING:
    from components.aws.sagemaker.stop._order import StopOrder

ID = "aws.sagemaker.stop"
EXAMPLE = "  --region us-east-1 --run_id a-run-that-left-nothing"
_RUN = re.compile(r"[\w .:/=+@-]{1,256}")
"""What the value of a tag may hold."""
_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")


class StopInputs(Where):
    """What to stop, and where."""

    run_id: str = arg(
        "Pipeline run whose jobs to stop: all that bear its tag, of every kind. In a pipeline, "
        "dsl.PIPELINE_JOB_ID_PLACEHOLDER.",
        "",
    )
    job_names: str = arg(
        "Names of jobs to stop, whosever they are, separated by commas or as a JSON list; beside run_id, or alone. A name "
        "that no job has fails the step in the end. Endpoints are not stopped by name.",
        "",
    )
    dry_run: Flag = arg("Only tell what would be stopped.", False)

    @field_validator("job_names", mode="before")
    @classmethod
    def _commas(cls, given: Any) -> Any:  # noqa: ANN401  whatever was given
        """Return names as text with commas, each once; a list may come as text, too, as from another step's output."""
        names = given
        if isinstance(given, str):
            names = given.split(",")
            if given.lstrip().startswith("["):
                try:
                    names = json.loads(given)
                except ValueError:
                    raise PydanticCustomError("names", "is no JSON list; write a,b or [...]") from None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise PydanticCustomError("names", "is no list of names; write a,b")
        return ",".join(dict.fromkeys(filter(None, (name.strip() for name in names))))


class StopOutputs(Outputs):
    """What came of it."""

    stopped: JsonArray = arg(
        "Names of the jobs that this step stopped; in a dry run, of those that it would stop."
    )


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
