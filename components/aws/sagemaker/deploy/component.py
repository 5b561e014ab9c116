"""SageMaker hosting: an endpoint that serves up to three models, made anew or updated.

What is sent, and what is left out when blank, follows the predecessor's observed behaviour; where it does not, on
purpose, `DEVIATIONS` says so.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

from pydantic import Field

from components.aws.inputs import AwsInputs, Where
from components.aws.sagemaker._api import ENDPOINT, ENDPOINT_CONFIG, Kind
from components.aws.sagemaker._request import blank_dropped, key_value_tags, refuse, wrong_name, wrong_tags
from components.aws.sagemaker._wiring import checked
from runner.identity import OWNER_TAG, RUN_TAG, Identity
from runner.inputs import Flag, JsonObject, KfpType, Outputs, arg
from runner.job import Component, Job

COMPONENT = "aws.sagemaker.deploy"
VARIANTS = (1, 2, 3)
DEVIATIONS = (
    "Wrong input ends with exit code 2 and names the argument; the predecessor ended with 1.",
    "`tags` are set on the endpoint, when it is updated, too; the predecessor failed with them, or ignored them.",
    (
        "A deploy that fails, or is stopped, leaves nothing behind: an endpoint that it made is deleted with its "
        "configuration, one that it updated goes back to the configuration that it had. SageMaker refuses both while an "
        "endpoint is being created or updated: what could not be done in time is told with the command that does it. The "
        "predecessor left everything, and did not heed a stop."
    ),
    (
        "The old configuration of an updated endpoint is deleted when the endpoint is in service on the new one; the "
        "predecessor deleted it while the update ran, so that there was no way back. As with the predecessor, it is not "
        "looked whether another endpoint uses it, too."
    ),
    (
        "An update succeeds only if the endpoint runs the new configuration in the end; one that the service rolled back "
        "counted as a success."
    ),
    "What somebody else has changed at the endpoint meanwhile is left as it is, and said.",
    "`OutOfService` and `UpdateRollbackFailed` are failures; the predecessor waited for ever.",
    (
        "With `update_endpoint`, only an answer that there is no such endpoint leads to a new one; any error did. An "
        "endpoint that is being changed is waited for, for two minutes."
    ),
    "An instance count of 0, and two variants of one name, are errors; the count was replaced silently.",
    "Unknown, abbreviated and doubled arguments are errors.",
    "What the service's own patterns and limits refuse, and tags that are AWS's or kfp-runner's, is an error.",
    (
        "In a pipeline run that passes its id (`runner.pipeline.identified`), blank names become the same ones in every "
        "attempt, and tags are added, so that a restarted pod goes on with its deploy. An endpoint that is updated keeps "
        "the tags of the step that made it."
    ),
)


EXAMPLE = """\
  --region us-east-1 --model_name_1 kfp-runner-samples-digits --endpoint_name digits"""

Weight = Annotated[float, KfpType("String"), Field(ge=0, allow_inf_nan=False)]
Accelerator = Literal["ml.eia1.medium", "ml.eia1.large", "ml.eia1.xlarge", ""]


class DeployInputs(AwsInputs):
    """Arguments of a deploy, in the predecessor's order."""

    endpoint_name: str = arg(
        "Name of the endpoint, at most 63 letters, digits and hyphens; blank for a generated one.", ""
    )
    endpoint_config_name: str = arg(
        "Name of the endpoint's configuration; blank for a generated one. An update always generates one.", ""
    )
    endpoint_config_tags: JsonObject = arg('Tags of the configuration, as {"key": "value"}.', {})
    resource_encryption_key: str = arg("KMS key of the instances' volumes.", "")
    update_endpoint: Flag = arg("Update the endpoint if there is one of that name.", False)
    variant_name_1: str = arg("Name of the first variant.", "variant-name-1")
    model_name_1: str = arg("Model that the first variant serves.")
    initial_instance_count_1: int = arg("Instances of the first variant.", 1)
    instance_type_1: str = arg("ML instance type of the first variant.", "ml.m4.xlarge")
    initial_variant_weight_1: Weight = arg(
        "Share of the traffic, relative to the other variants' weights; 0 counts as not given.", 1.0
    )
    accelerator_type_1: Accelerator = arg("Elastic Inference accelerator of the first variant.", "")
    variant_name_2: str = arg("Name of the second variant.", "variant-name-2")
    model_name_2: str = arg("Model that the second variant serves; blank for no such variant.", "")
    initial_instance_count_2: int = arg("Instances of the second variant.", 1)
    instance_type_2: str = arg("ML instance type of the second variant.", "ml.m4.xlarge")
    initial_variant_weight_2: Weight = arg(
        "Share of the traffic, relative to the other variants' weights; 0 counts as not given.", 1.0
    )
    accelerator_type_2: Accelerator = arg("Elastic Inference accelerator of the second variant.", "")
    variant_name_3: str = arg("Name of the third variant.", "variant-name-3")
    model_name_3: str = arg("Model that the third variant serves; blank for no such variant.", "")
    initial_instance_count_3: int = arg("Instances of the third variant.", 1)
    instance_type_3: str = arg("ML instance type of the third variant.", "ml.m4.xlarge")
    initial_variant_weight_3: Weight = arg(
        "Share of the traffic, relative to the other variants' weights; 0 counts as not given.", 1.0
    )
    accelerator_type_3: Accelerator = arg("Elastic Inference accelerator of the third variant.", "")


class DeployOutputs(Outputs):
    """What is left behind."""

    endpoint_name: str = arg("Name of the endpoint.")


ARGUMENTS = {
    "EndpointName": "endpoint_name",
    "EndpointConfigName": "endpoint_config_name",
    "KmsKeyId": "resource_encryption_key",
    "ProductionVariants": "model_name_1",
    **{
        f"ProductionVariants[{number - 1}].{member}": f"{argument}_{number}"
        for number in VARIANTS
        for member, argument in (
            ("VariantName", "variant_name"),
            ("ModelName", "model_name"),
            ("InitialInstanceCount", "initial_instance_count"),
            ("InstanceType", "instance_type"),
            ("InitialVariantWeight", "initial_variant_weight"),
            ("AcceleratorType", "accelerator_type"),
        )
    },
}
"""Request member, with its path → the argument that fills it, or most of it."""


def request(inputs: DeployInputs, identity: Identity) -> dict[str, Any]:
    """Return the bodies of CreateEndpointConfig and CreateEndpoint; with `update_endpoint`, of UpdateEndpoint, too.

    Which of the two is sent, the endpoint decides; the configuration is given the name that is used there. Raises
    `InputError`.
    """
    refuse(_wrong(inputs))
    config: dict[str, Any] = {
        "EndpointConfigName": inputs.endpoint_config_name,
        "ProductionVariants": _variants(inputs),
        "Tags": key_value_tags(inputs.endpoint_config_tags, "endpoint_config_tags"),
        **blank_dropped(KmsKeyId=inputs.resource_encryption_key),
    }
    endpoint: dict[str, Any] = {
        "EndpointName": inputs.endpoint_name,
        "EndpointConfigName": inputs.endpoint_config_name,
        **blank_dropped(Tags=key_value_tags(inputs.tags)),
    }
    # A generated name is not asked to be found: there is no endpoint of that name to update.
    updating = inputs.update_endpoint and bool(inputs.endpoint_name)
    owner = identity.owner({"config": config, "endpoint": endpoint, "update": updating})
    name = _named(ENDPOINT, inputs.endpoint_name, owner, identity)
    config_name = _named(ENDPOINT_CONFIG, inputs.endpoint_config_name, owner, identity)
    generated = _named(ENDPOINT_CONFIG, "", owner, identity)
    tags = [{"Key": RUN_TAG, "Value": identity.run_id}, {"Key": OWNER_TAG, "Value": owner}] if owner else []
    config |= {"EndpointConfigName": generated if updating else config_name, "Tags": [*config["Tags"], *tags]}
    endpoint |= {"EndpointName": name, "EndpointConfigName": config_name}
    endpoint |= blank_dropped(Tags=[*endpoint.get("Tags", ()), *tags])
    update = {"UpdateEndpoint": {"EndpointName": name, "EndpointConfigName": generated}} if updating else {}
    return {ENDPOINT_CONFIG.create: config, **update, ENDPOINT.create: endpoint}


def _named(kind: Kind, given: str, owner: str, identity: Identity) -> str:
    """Return a name that SageMaker takes; without a hyphen behind the kind's word, as the predecessor's were."""
    generated = identity.name(kind.prefix, owner, kind.limit) if owner else f"{kind.prefix}{identity.suffix}"
    return given or generated


def _wrong(inputs: DeployInputs) -> Iterator[str]:
    """Say what is wrong with the arguments, in their order."""
    yield from wrong_name(ENDPOINT, inputs.endpoint_name)
    yield from wrong_name(ENDPOINT_CONFIG, inputs.endpoint_config_name)
    yield from wrong_tags(inputs.endpoint_config_tags, "endpoint_config_tags")
    if not inputs.model_name_1:
        yield "--model_name_1 is required: there has to be a model to serve"
    names: set[str] = set()
    for number in _served(inputs):
        count, name = getattr(inputs, f"initial_instance_count_{number}"), _variant_name(inputs, number)
        if count < 1:
            yield f"--initial_instance_count_{number} is {count}; at least 1 is needed"
        if name in names:
            yield f"--variant_name_{number} is {name!r}, which another variant is called, too; use another"
        names.add(name)
    yield from wrong_tags(inputs.tags)


def _served(inputs: DeployInputs) -> list[int]:
    return [number for number in VARIANTS if getattr(inputs, f"model_name_{number}")]


def _variant_name(inputs: DeployInputs, number: int) -> str:
    return getattr(inputs, f"variant_name_{number}") or f"variant-name-{number}"


def _variants(inputs: DeployInputs) -> list[dict[str, Any]]:
    return [
        {
            "VariantName": _variant_name(inputs, number),
            "ModelName": getattr(inputs, f"model_name_{number}"),
            "InitialInstanceCount": getattr(inputs, f"initial_instance_count_{number}"),
            "InstanceType": getattr(inputs, f"instance_type_{number}") or "ml.m4.xlarge",
            # As the predecessor had it: pipelines that pass a 0 get what they got.
            "InitialVariantWeight": getattr(inputs, f"initial_variant_weight_{number}") or 1.0,
            **blank_dropped(AcceleratorType=getattr(inputs, f"accelerator_type_{number}")),
        }
        for number in _served(inputs)
    ]


async def check(inputs: DeployInputs, identity: Identity) -> None:
    """Check the requests against botocore's model of SageMaker. Raises `InputError`."""
    from components.aws.session import Aws

    async with Aws(inputs) as aws:
        await _check(aws, request(inputs, identity))


async def _check(aws: Any, requests: Mapping[str, Any]) -> None:  # noqa: ANN401  an Aws, which is imported when needed
    for operation, body in requests.items():
        tags = "endpoint_config_tags" if operation == ENDPOINT_CONFIG.create else "tags"
        await checked(aws, {operation: body}, {**ARGUMENTS, "Tags": tags})


@asynccontextmanager
async def connect(inputs: DeployInputs, identity: Identity) -> AsyncIterator[Job]:
    """Check the requests, and open the connections; nothing is sent before `launch`."""
    from components.aws.sagemaker.deploy._job import DeployJob
    from components.aws.session import Aws

    requests = request(inputs, identity)
    async with Aws(inputs) as aws:
        await _check(aws, requests)
        await aws.ready("sagemaker")
        name = requests[ENDPOINT.create]["EndpointName"]
        yield DeployJob(aws, identity.component, name, requests, outputs)


@asynccontextmanager
async def attach(where: Where, name: str) -> AsyncIterator[Job]:
    """Open the connections to an endpoint that exists."""
    from components.aws.sagemaker.deploy._job import DeployJob
    from components.aws.session import Aws

    async with Aws(where) as aws:
        await aws.ready("sagemaker")
        yield DeployJob(aws, COMPONENT, name, None, outputs)


def outputs(name: str) -> DeployOutputs:
    """Return the outputs of a deploy."""
    return DeployOutputs(endpoint_name=name)


component = Component(
    name="SageMaker - Deploy Model",
    summary="Serve models from a SageMaker endpoint, made anew or updated; what fails or is stopped is taken back.",
    inputs=DeployInputs,
    outputs=DeployOutputs,
    request=request,
    check=check,
    connect=connect,
    attach=attach,
    where=Where,
    provider="aws",
    deviations=DEVIATIONS,
    example=EXAMPLE,
)
