"""What all that trains has in common: a training job, and the definition of a tuning job's training jobs.

What is sent, and what is left out when blank, follows the predecessor's observed behaviour.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from components.aws.sagemaker._api import Kind
from components.aws.sagemaker._images import builtin_image
from components.aws.sagemaker._metrics import flaw
from components.aws.sagemaker._request import blank_dropped, vpc, wrong_name, wrong_tags, wrong_vpc
from runner.errors import InputError

if TYPE_CHECKING:
    from components.aws.session import Aws


class Trained(Protocol):
    """The arguments that every component that trains has."""

    @property
    def region(self) -> str: ...
    @property
    def tags(self) -> Mapping[str, Any]: ...
    @property
    def job_name(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def image(self) -> str: ...
    @property
    def algorithm_name(self) -> str: ...
    @property
    def training_input_mode(self) -> str: ...
    @property
    def metric_definitions(self) -> Mapping[str, Any]: ...
    @property
    def channels(self) -> Sequence[Any]: ...
    @property
    def instance_type(self) -> str: ...
    @property
    def instance_count(self) -> int: ...
    @property
    def volume_size(self) -> int: ...
    @property
    def resource_encryption_key(self) -> str: ...
    @property
    def output_encryption_key(self) -> str: ...
    @property
    def vpc_security_group_ids(self) -> str: ...
    @property
    def vpc_subnets(self) -> str: ...
    @property
    def network_isolation(self) -> bool: ...
    @property
    def traffic_encryption(self) -> bool: ...
    @property
    def spot_instance(self) -> bool: ...
    @property
    def max_wait_time(self) -> int: ...
    @property
    def max_run_time(self) -> int: ...
    @property
    def checkpoint_config(self) -> Mapping[str, Any]: ...


ARGUMENTS = {
    "RoleArn": "role",
    "AlgorithmSpecification": "image",
    "AlgorithmSpecification.AlgorithmName": "algorithm_name",
    "AlgorithmSpecification.MetricDefinitions": "metric_definitions",
    "InputDataConfig": "channels",
    "OutputDataConfig.KmsKeyId": "output_encryption_key",
    "ResourceConfig": "instance_type",
    "ResourceConfig.InstanceCount": "instance_count",
    "ResourceConfig.VolumeSizeInGB": "volume_size",
    "ResourceConfig.VolumeKmsKeyId": "resource_encryption_key",
    "StoppingCondition.MaxRuntimeInSeconds": "max_run_time",
    "StoppingCondition.MaxWaitTimeInSeconds": "max_wait_time",
    "CheckpointConfig": "checkpoint_config",
    "Tags": "tags",
    "VpcConfig": "vpc_subnets",
    "VpcConfig.SecurityGroupIds": "vpc_security_group_ids",
}
"""Request member, with its path → the argument that fills it, or most of it."""


def definition(inputs: Trained, output: str) -> dict[str, Any]:
    """Return the members that CreateTrainingJob and a TrainingJobDefinition share. `output`: where results go."""
    body: dict[str, Any] = {
        "AlgorithmSpecification": _algorithm(inputs),
        "RoleArn": inputs.role,
        "InputDataConfig": inputs.channels,
        "OutputDataConfig": {"KmsKeyId": inputs.output_encryption_key, "S3OutputPath": output},
        "ResourceConfig": {
            "InstanceType": inputs.instance_type,
            "InstanceCount": inputs.instance_count,
            "VolumeSizeInGB": inputs.volume_size,
            "VolumeKmsKeyId": inputs.resource_encryption_key,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": inputs.max_run_time},
        "EnableNetworkIsolation": inputs.network_isolation,
        "EnableInterContainerTrafficEncryption": inputs.traffic_encryption,
        "EnableManagedSpotTraining": inputs.spot_instance,
        **vpc(inputs.vpc_security_group_ids, inputs.vpc_subnets),
    }
    if inputs.spot_instance:
        body["StoppingCondition"]["MaxWaitTimeInSeconds"] = inputs.max_wait_time
        body["CheckpointConfig"] = inputs.checkpoint_config
    return body


def _algorithm(inputs: Trained) -> dict[str, Any]:
    builtin = None if inputs.image else builtin_image(inputs.algorithm_name, inputs.region)
    image = inputs.image or builtin
    return {
        **({"TrainingImage": image} if image else {"AlgorithmName": inputs.algorithm_name}),
        "TrainingInputMode": inputs.training_input_mode,
        **blank_dropped(
            MetricDefinitions=[{"Name": k, "Regex": v} for k, v in inputs.metric_definitions.items()]
        ),
    }


def wrong(kind: Kind, inputs: Trained) -> Iterator[str]:
    """Say what is wrong with the arguments that `definition` is made of, the name and the tags."""
    yield from wrong_name(kind, inputs.job_name)
    yield from _wrong_image(inputs)
    yield from _wrong_metrics(inputs.metric_definitions)
    if not inputs.channels:
        yield "--channels is [], which is too short; at least one channel is needed"
    if inputs.spot_instance and inputs.max_wait_time < inputs.max_run_time:
        yield (
            f"--max_wait_time is {inputs.max_wait_time}, which is shorter than --max_run_time ({inputs.max_run_time}); "
            "with spot instances it covers the wait and the run"
        )
    if inputs.spot_instance and not inputs.checkpoint_config.get("S3Uri"):
        yield '--checkpoint_config lacks "S3Uri"; spot instances may be taken away, and go on from a checkpoint'
    yield from wrong_vpc(inputs.vpc_security_group_ids, inputs.vpc_subnets)
    yield from wrong_tags(inputs.tags)


def _wrong_image(inputs: Trained) -> Iterator[str]:
    if not inputs.image and not inputs.algorithm_name:
        yield "one of --image and --algorithm_name is required"
    elif not inputs.image:
        try:
            builtin_image(inputs.algorithm_name, inputs.region)
        except InputError as error:
            yield str(error)


def _wrong_metrics(definitions: Mapping[str, Any]) -> Iterator[str]:
    """Name expressions that are none in any dialect. One without a group is sent, as it was; it finds nothing."""
    for name, expression in definitions.items():
        if isinstance(expression, str) and (problem := flaw(expression)):
            shown = repr(expression)
            shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
            yield f"--metric_definitions: {name[:_SHOWN]!r} is {shown}, which is no regular expression: {problem}"


_SHOWN = 60
"""Characters of a value that an error repeats."""


def not_text(argument: str, hyperparameters: Mapping[str, Any]) -> Iterator[str]:
    """Say which hyperparameters are not text, which is all that SageMaker takes."""
    for key, value in hyperparameters.items():
        if not isinstance(value, str):
            yield f"--{argument}: the value of {key!r} is {nature(value)}, not text; put it in quotes"


def nature(value: object) -> str:
    """Return what a value is, without telling it: it may be a secret."""
    kinds = {bool: "a truth value", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return kinds.get(type(value), "blank" if value is None else f"a {type(value).__name__}")


async def training_image(aws: Aws, description: Mapping[str, Any]) -> str:
    """Return the image that a training job, as described, was trained with."""
    algorithm = description.get("AlgorithmSpecification", {})
    image: str = algorithm.get("TrainingImage", "")
    if not image and (name := algorithm.get("AlgorithmName")):
        resource = await aws.call("sagemaker", "describe_algorithm", AlgorithmName=name)
        image = resource["TrainingSpecification"]["TrainingImage"]
    return image


def artifact(description: Mapping[str, Any]) -> str:
    """Return the S3 address of a training job's model; blank where it made none."""
    address: str = description.get("ModelArtifacts", {}).get("S3ModelArtifacts", "")
    return address


def metric_definitions(description: Mapping[str, Any]) -> Sequence[Mapping[str, str]]:
    """Return the MetricDefinitions of a training job, as described; a built-in algorithm brings its own."""
    found: Sequence[Mapping[str, str]] = description.get("AlgorithmSpecification", {}).get(
        "MetricDefinitions", ()
    )
    return found


def is_builtin(image: str) -> bool:
    """Say whether an image is a built-in algorithm's, by its registry and repository."""
    registry, _, rest = image.partition("/")
    repository = rest.partition("@")[0].partition(":")[0]
    region = _REGISTRY.fullmatch(registry)
    if region is None:
        return False
    try:
        # xgboost exists in two repositories; every version of one lies in the same registry.
        known = builtin_image(_VERSIONED.get(repository, repository), region[1])
    except InputError:
        return False
    return known is not None and known.partition(":")[0] == f"{registry}/{repository}"


_REGISTRY = re.compile(r"\d{12}\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?")
_VERSIONED = {"xgboost": "xgboost:1", "sagemaker-xgboost": "xgboost:1.7-1"}
"""Built-in algorithms that have no image without a version."""
