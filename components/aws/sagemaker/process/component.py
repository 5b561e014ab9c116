"""SageMaker processing: one managed processing job, which runs a container over data in S3.

What is sent, and what is left out when blank, follows the predecessor's observed behaviour; where it does not, on
purpose, `DEVIATIONS` says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from components.aws.inputs import AwsInputs
from components.aws.sagemaker._api import PROCESSING
from components.aws.sagemaker._hints import hint
from components.aws.sagemaker._reading import Reading
from components.aws.sagemaker._request import blank_dropped, identified, key_value_tags, vpc
from components.aws.sagemaker._wiring import Wiring
from components.aws.sagemaker.process._channels import wrong_inputs, wrong_outputs
from runner.errors import InputError
from runner.events import Phase, Status
from runner.identity import Identity
from runner.inputs import Flag, JsonArray, JsonObject, Outputs, arg

if TYPE_CHECKING:
    from components.aws.session import Aws

DEVIATIONS = (
    "Wrong input ends with exit code 2 and names the argument; the predecessor ended with 1.",
    "`max_run_time`, `instance_count` and `volume_size` of 0 are errors; 0 seconds ended in an AttributeError.",
    "One of `vpc_security_group_ids` and `vpc_subnets` without the other is an error; it was dropped silently.",
    "A name or local path that is used twice, and a local path outside /opt/ml/processing, is an error.",
    "An output to the Feature Store stands in `output_artifacts` with its feature group; it was a KeyError.",
    "Unknown, abbreviated and doubled arguments are errors.",
    "What the service's own patterns and limits refuse, and tags that are AWS's or kfp-runner's, is an error.",
    (
        "In a pipeline run that passes its id (`runner.pipeline.identified`), a blank `job_name` becomes the same one "
        "in every attempt, and two tags are added, so that a restarted pod finds its job again."
    ),
)


EXAMPLE = """\
  --region us-east-1 --role arn:aws:iam::123456789012:role/sagemaker \\
  --image kfp-runner-samples/split:1 --container_arguments '["--test-share", "0.2"]' \\
  --input_config '[{"InputName": "digits", "S3Input": {"S3Uri": "s3://kfp-runner-samples/digits/train/",
    "LocalPath": "/opt/ml/processing/input", "S3DataType": "S3Prefix", "S3InputMode": "File"}}]' \\
  --output_config '[{"OutputName": "train", "S3Output": {"S3Uri": "s3://kfp-runner-samples/output/split/train",
    "LocalPath": "/opt/ml/processing/train", "S3UploadMode": "EndOfJob"}},
    {"OutputName": "test", "S3Output": {"S3Uri": "s3://kfp-runner-samples/output/split/test",
    "LocalPath": "/opt/ml/processing/test", "S3UploadMode": "EndOfJob"}}]'"""


class ProcessingInputs(AwsInputs):
    """Arguments of a processing job, in the predecessor's order."""

    job_name: str = arg(
        "Name of the job, at most 63 letters, digits and hyphens; blank for a generated one.", ""
    )
    role: str = arg("ARN of the role that SageMaker runs the job as.")
    image: str = arg("Image of the container that processes the data.", "")
    instance_type: str = arg("ML instance type.", "ml.m4.xlarge")
    instance_count: int = arg("Number of instances.", 1, ge=1)
    volume_size: int = arg("Storage per instance in GB.", 30, ge=1)
    resource_encryption_key: str = arg("KMS key of the instances' volumes.", "")
    output_encryption_key: str = arg("KMS key of what is stored in S3.", "")
    max_run_time: int = arg("Seconds that the job may run; then SageMaker stops it.", 86400, ge=1)
    environment: JsonObject = arg('The container\'s environment; every value is text: {"KEY": "1"}.', {})
    container_entrypoint: JsonArray = arg("Entrypoint of the container, in place of the image's own.", [])
    container_arguments: JsonArray = arg('Arguments of the entrypoint: ["--rows", "100"].', [])
    output_config: JsonArray = arg(
        "What to store, at least one, each a ProcessingOutput object of the SageMaker API.", []
    )
    input_config: JsonArray = arg(
        "What to fetch before the container starts, each a ProcessingInput object of the SageMaker API.", []
    )
    vpc_security_group_ids: str = arg("Security groups, separated by commas; together with vpc_subnets.", "")
    vpc_subnets: str = arg("Subnets, separated by commas; together with vpc_security_group_ids.", "")
    network_isolation: Flag = arg("Run the container without network, and without AWS credentials.", True)
    traffic_encryption: Flag = arg("Encrypt the traffic between instances.", False)


class ProcessingOutputs(Outputs):
    """What a processing job leaves behind."""

    job_name: str = arg("Name of the job.")
    output_artifacts: JsonObject = arg("Where each output is stored, as {name: S3 address}.")


ARGUMENTS = {
    "ProcessingJobName": "job_name",
    "RoleArn": "role",
    "AppSpecification": "image",
    "AppSpecification.ContainerEntrypoint": "container_entrypoint",
    "AppSpecification.ContainerArguments": "container_arguments",
    "Environment": "environment",
    "ProcessingInputs": "input_config",
    "ProcessingOutputConfig": "output_config",
    "ProcessingOutputConfig.KmsKeyId": "output_encryption_key",
    "ProcessingResources": "instance_type",
    "ProcessingResources.ClusterConfig.InstanceCount": "instance_count",
    "ProcessingResources.ClusterConfig.VolumeSizeInGB": "volume_size",
    "ProcessingResources.ClusterConfig.VolumeKmsKeyId": "resource_encryption_key",
    "StoppingCondition": "max_run_time",
    "NetworkConfig": "vpc_subnets",
    "NetworkConfig.VpcConfig.SecurityGroupIds": "vpc_security_group_ids",
    "Tags": "tags",
}
"""Request member, with its path → the argument that fills it, or most of it."""


def request(inputs: ProcessingInputs, identity: Identity) -> dict[str, Any]:
    """Return the CreateProcessingJob body. Raises `InputError`."""
    _check(inputs)
    body: dict[str, Any] = {
        "ProcessingJobName": inputs.job_name,
        "RoleArn": inputs.role,
        "AppSpecification": {
            "ImageUri": inputs.image,
            **blank_dropped(
                ContainerEntrypoint=inputs.container_entrypoint, ContainerArguments=inputs.container_arguments
            ),
        },
        "Environment": inputs.environment,
        **blank_dropped(ProcessingInputs=inputs.input_config),
        "ProcessingOutputConfig": {
            "Outputs": inputs.output_config,
            **blank_dropped(KmsKeyId=inputs.output_encryption_key),
        },
        "ProcessingResources": {
            "ClusterConfig": {
                "InstanceType": inputs.instance_type,
                "InstanceCount": inputs.instance_count,
                "VolumeSizeInGB": inputs.volume_size,
                **blank_dropped(VolumeKmsKeyId=inputs.resource_encryption_key),
            }
        },
        "NetworkConfig": {
            "EnableInterContainerTrafficEncryption": inputs.traffic_encryption,
            "EnableNetworkIsolation": inputs.network_isolation,
            **vpc(inputs.vpc_security_group_ids, inputs.vpc_subnets),
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": inputs.max_run_time},
        "Tags": key_value_tags(inputs.tags),
    }
    return {PROCESSING.create: identified(PROCESSING, body, identity)}


def _check(inputs: ProcessingInputs) -> None:
    wrong = [
        f"--environment: the value of {key!r} is not text; put it in quotes"
        for key, value in inputs.environment.items()
        if not isinstance(value, str)
    ]
    if not inputs.image:
        wrong.append("--image is required: the image of the container that processes the data")
    if not inputs.output_config:
        wrong.append("--output_config is [], which is too short; at least one output is needed")
    wrong += [f"--input_config: {reason}" for reason in wrong_inputs(inputs.input_config)]
    wrong += [f"--output_config: {reason}" for reason in wrong_outputs(inputs.output_config)]
    if wrong:
        raise InputError("; ".join(wrong))


def status(description: Mapping[str, Any]) -> Status:
    """Read a DescribeProcessingJob answer."""
    state = description["ProcessingJobStatus"]
    phase = PROCESSING.phases.get(state, Phase.RUNNING)
    reason = ""
    if phase in (Phase.FAILED, Phase.STOPPED):
        told = (description.get("FailureReason", ""), description.get("ExitMessage", ""))
        # The service repeats the container's last words in its own reason when it has nothing to add.
        reason = ": ".join(dict.fromkeys(text for text in told if text)) or _time_is_up(description, phase)
    return Status(
        phase,
        state,
        reason=reason,
        hint=hint(reason) if reason else "",
        brief=state in PROCESSING.brief,
        facts=_facts(description, phase) if phase.final else {},
    )


def _time_is_up(description: Mapping[str, Any], phase: Phase) -> str:
    """Say that a stopped job had run for as long as it might: the service itself gives no reason."""
    limit = description.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", 0)
    ran = _ran(description)
    if phase is Phase.STOPPED and limit and ran is not None and ran >= limit:
        return f"it ran for its maximum runtime of {limit} s"
    return ""


def _ran(description: Mapping[str, Any]) -> float | None:
    """Return for how many seconds the container ran, where that is known."""
    start, end = description.get("ProcessingStartTime"), description.get("ProcessingEndTime")
    return (end - start).total_seconds() if start and end else None


def _facts(description: Mapping[str, Any], phase: Phase) -> dict[str, str]:
    facts = {}
    if (ran := _ran(description)) is not None:
        count = description.get("ProcessingResources", {}).get("ClusterConfig", {}).get("InstanceCount", 1)
        facts["ran"] = f"{ran:.0f} s × {count} instance{'s' if count != 1 else ''}"
    if phase is Phase.SUCCEEDED:
        if message := description.get("ExitMessage"):
            facts["exit message"] = message
        facts["outputs"] = ", ".join(f"{name}: {uri}" for name, uri in _artifacts(description).items())
    return facts


def _artifacts(description: Mapping[str, Any]) -> dict[str, str]:
    """Return where each output is: an S3 address, or the name of its feature group."""
    made = {}
    for output in description.get("ProcessingOutputConfig", {}).get("Outputs", ()):
        feature_group = output.get("FeatureStoreOutput", {}).get("FeatureGroupName", "")
        made[output["OutputName"]] = output.get("S3Output", {}).get("S3Uri", feature_group)
    return made


async def outputs(_: Aws, description: Mapping[str, Any]) -> ProcessingOutputs:
    """Read the outputs off an ended job's description."""
    return ProcessingOutputs(
        job_name=description["ProcessingJobName"], output_artifacts=_artifacts(description)
    )


WIRING = Wiring("aws.sagemaker.process", PROCESSING, request, ARGUMENTS, Reading(status, outputs))
component = WIRING.component(
    name="SageMaker - Processing Job",
    summary="Process data with a SageMaker processing job: live logs and status, and a stop that stops the job.",
    inputs=ProcessingInputs,
    outputs=ProcessingOutputs,
    deviations=DEVIATIONS,
    example=EXAMPLE,
)
