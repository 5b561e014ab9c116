"""SageMaker models: containers and artifacts under a name that endpoints and batch transforms use.

What is sent, and what is left out when blank, follows the predecessor's observed behaviour; where it does not, on
purpose, `DEVIATIONS` says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from components.aws.inputs import AwsInputs
from components.aws.sagemaker._api import MODEL
from components.aws.sagemaker._reading import Reading
from components.aws.sagemaker._request import blank_dropped, identified, key_value_tags, vpc
from components.aws.sagemaker._wiring import Wiring
from runner.errors import InputError
from runner.events import Phase, Status
from runner.identity import Identity
from runner.inputs import Flag, JsonArray, JsonObject, Outputs, arg

if TYPE_CHECKING:
    from components.aws.session import Aws

DEVIATIONS = (
    "Wrong input ends with exit code 2 and names the argument; the predecessor ended with 1.",
    "One of `vpc_security_group_ids` and `vpc_subnets` without the other is an error; it was dropped silently.",
    "Values of `environment` that are not text are an error that names the key; the predecessor's client refused them.",
    (
        "Entries of `secondary_containers` without Image and ModelPackageName, or with another's ContainerHostname, are "
        "errors before anything is sent."
    ),
    "Unknown, abbreviated and doubled arguments are errors.",
    "What the service's own patterns and limits refuse, and tags that are AWS's or kfp-runner's, is an error.",
    (
        "In a pipeline run that passes its id (`runner.pipeline.identified`), two tags are added, so that a restarted pod "
        "finds the model that it made instead of failing because the name is in use."
    ),
    "A start that is cancelled deletes the model again if it was this start that made it.",
)


EXAMPLE = """\
  --region us-east-1 --role arn:aws:iam::123456789012:role/sagemaker \\
  --model_name digits \\
  --image 382416733822.dkr.ecr.us-east-1.amazonaws.com/kmeans:1 \\
  --model_artifact_url s3://kfp-runner-samples/digits/model/model.tar.gz"""


class ModelInputs(AwsInputs):
    """Arguments of a model, in the predecessor's order."""

    model_name: str = arg("Name of the model, at most 63 letters, digits and hyphens.")
    role: str = arg("ARN of the role that SageMaker reads the artifact and the image as.")
    container_host_name: str = arg("DNS name of the container in an inference pipeline.", "")
    image: str = arg("Image that serves the model; not used with model_package.", "")
    model_artifact_url: str = arg("S3 address of model.tar.gz; only with image.", "")
    environment: JsonObject = arg('The container\'s environment; every value is text: {"KEY": "1"}.', {})
    model_package: str = arg("Name or ARN of a model package; wins over image.", "")
    secondary_containers: JsonArray = arg(
        "Containers of an inference pipeline, each a ContainerDefinition of the SageMaker API; they replace the one "
        "described by the other arguments.",
        [],
    )
    vpc_security_group_ids: str = arg("Security groups, separated by commas; together with vpc_subnets.", "")
    vpc_subnets: str = arg("Subnets, separated by commas; together with vpc_security_group_ids.", "")
    network_isolation: Flag = arg("Run the container without network, and without AWS credentials.", True)


class ModelOutputs(Outputs):
    """What is left behind."""

    model_name: str = arg("Name of the model.")


ARGUMENTS = {
    "ModelName": "model_name",
    "ExecutionRoleArn": "role",
    "PrimaryContainer": "image",
    "PrimaryContainer.Image": "image",
    "PrimaryContainer.ContainerHostname": "container_host_name",
    "PrimaryContainer.Environment": "environment",
    "PrimaryContainer.ModelDataUrl": "model_artifact_url",
    "PrimaryContainer.ModelPackageName": "model_package",
    "Containers": "secondary_containers",
    "Tags": "tags",
    "VpcConfig": "vpc_subnets",
    "VpcConfig.SecurityGroupIds": "vpc_security_group_ids",
}
"""Request member, with its path → the argument that fills it, or most of it."""


def request(inputs: ModelInputs, identity: Identity) -> dict[str, Any]:
    """Return the CreateModel body. Raises `InputError`."""
    _check(inputs)
    body: dict[str, Any] = {
        "ModelName": inputs.model_name,
        **_containers(inputs),
        "ExecutionRoleArn": inputs.role,
        "Tags": key_value_tags(inputs.tags),
        **vpc(inputs.vpc_security_group_ids, inputs.vpc_subnets),
        "EnableNetworkIsolation": inputs.network_isolation,
    }
    return {MODEL.create: identified(MODEL, body, identity)}


def _check(inputs: ModelInputs) -> None:
    wrong = [
        f"--environment: the value of {key!r} is not text; put it in quotes"
        for key, value in inputs.environment.items()
        if not isinstance(value, str)
    ]
    if not (inputs.image or inputs.model_package or inputs.secondary_containers):
        wrong.append("one of --image, --model_package and --secondary_containers is required")
    wrong += _wrong_containers(inputs.secondary_containers)
    if wrong:
        raise InputError("; ".join(wrong))


def _wrong_containers(containers: Sequence[Any]) -> Iterator[str]:
    """Say what is wrong with ContainerDefinition objects. What is of a wrong type is the model's check to name."""
    hosts: set[str] = set()
    for position, container in enumerate(containers):
        if not isinstance(container, Mapping):
            continue
        where = f"--secondary_containers: [{position}]"
        if not (container.get("Image") or container.get("ModelPackageName")):
            members = ", ".join(str(member)[:40] for member in container) or "nothing"
            yield f"{where} names nothing to run (it has {members}); it needs Image or ModelPackageName"
        host = container.get("ContainerHostname")
        if isinstance(host, str) and host:
            if host in hosts:
                yield f"{where} has the ContainerHostname {host[:63]!r} of one before it; each needs its own"
            hosts.add(host)


def _containers(inputs: ModelInputs) -> dict[str, Any]:
    if inputs.secondary_containers:
        return {"Containers": inputs.secondary_containers}
    if inputs.model_package:
        served = {"ModelPackageName": inputs.model_package}
    else:
        served = {"Image": inputs.image, **blank_dropped(ModelDataUrl=inputs.model_artifact_url)}
    host = blank_dropped(ContainerHostname=inputs.container_host_name)
    return {"PrimaryContainer": {**host, "Environment": inputs.environment, **served}}


def status(description: Mapping[str, Any]) -> Status:
    """Read a DescribeModel answer: a model that is there is finished."""
    return Status(Phase.SUCCEEDED, "Created", facts={"model": description["ModelName"]})


async def outputs(_: Aws, description: Mapping[str, Any]) -> ModelOutputs:
    """Read the outputs off a model's description."""
    return ModelOutputs(model_name=description["ModelName"])


WIRING = Wiring("aws.sagemaker.model", MODEL, request, ARGUMENTS, Reading(status, outputs))
component = WIRING.component(
    name="SageMaker - Create Model",
    summary="Make a SageMaker model of an image and an artifact, of a model package, or of several containers.",
    inputs=ModelInputs,
    outputs=ModelOutputs,
    deviations=DEVIATIONS,
    example=EXAMPLE,
)
