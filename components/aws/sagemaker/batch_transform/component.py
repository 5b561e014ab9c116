"""SageMaker batch transform: one managed job that sends what lies in S3 to a model, and stores its answers.

What is sent, and what is left out when blank, follows the predecessor's observed behaviour; where it does not, on
purpose, `DEVIATIONS` says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from components.aws.inputs import AwsInputs
from components.aws.sagemaker._api import TRANSFORM
from components.aws.sagemaker._hints import hint
from components.aws.sagemaker._reading import Reading
from components.aws.sagemaker._request import blank_dropped, identified, key_value_tags
from components.aws.sagemaker._wiring import Wiring
from components.aws.sagemaker.batch_transform._limits import MOST_MB
from runner.errors import InputError
from runner.events import Phase, Status
from runner.identity import Identity
from runner.inputs import JsonObject, Outputs, arg

if TYPE_CHECKING:
    from components.aws.sagemaker._job import SageMakerJob
    from components.aws.session import Aws

DEVIATIONS = (
    "Wrong input ends with exit code 2 and names the argument; the predecessor left it to the service.",
    "`max_payload` above 100 MB and values of `environment` that are not text are errors before anything is sent.",
    (
        "Where the service refuses the job, what is known to contradict each other is named with the refusal: "
        "`max_concurrent` times `max_payload` above 100 MB, `batch_strategy` without `split_type`, `join_source` with "
        "records that can't be joined."
    ),
    "Unknown, abbreviated and doubled arguments are errors.",
    "What the service's own patterns and limits refuse, and tags that are AWS's or kfp-runner's, is an error.",
    (
        "In a pipeline run that passes its id (`runner.pipeline.identified`), a blank `job_name` becomes the same one "
        "in every attempt, and two tags are added, so that a restarted pod finds its job again."
    ),
)


EXAMPLE = """\
  --region us-east-1 --model_name kfp-runner-samples-digits \\
  --input_location s3://kfp-runner-samples/digits/test/ --content_type text/csv --split_type Line \\
  --output_location s3://kfp-runner-samples/output/transform --accept text/csv --assemble_with Line"""


class TransformInputs(AwsInputs):
    """Arguments of a batch transform, in the predecessor's order."""

    job_name: str = arg(
        "Name of the job, at most 63 letters, digits and hyphens; blank for a generated one.", ""
    )
    model_name: str = arg("Name of the model, which has to exist.")
    max_concurrent: int = arg(
        "Requests sent to an instance at the same time; 0 lets SageMaker choose.", 0, ge=0
    )
    max_payload: int = arg(
        "Largest request in MB; 0 for as large as need be, which only some containers take.",
        6,
        ge=0,
        le=MOST_MB,
    )
    batch_strategy: Literal["MultiRecord", "SingleRecord", ""] = arg(
        "One record in a request, or as many as fit; needs split_type.", ""
    )
    environment: JsonObject = arg('The container\'s environment; every value is text: {"KEY": "1"}.', {})
    input_location: str = arg("S3 address of what to transform.")
    data_type: Literal["ManifestFile", "S3Prefix", "AugmentedManifestFile", ""] = arg(
        "What input_location is.", "S3Prefix"
    )
    content_type: str = arg("MIME type of the input: text/csv.", "")
    split_type: Literal["None", "Line", "RecordIO", "TFRecord", ""] = arg(
        "How an object is split into records.", "None"
    )
    compression_type: Literal["None", "Gzip", ""] = arg("How the input is compressed.", "None")
    output_location: str = arg("S3 prefix under which the answers are stored.")
    accept: str = arg("MIME type of the output.", "")
    assemble_with: Literal["None", "Line", ""] = arg("How an object's answers are put together.", "")
    output_encryption_key: str = arg("KMS key of the stored answers.", "")
    input_filter: str = arg("JSONPath of what the model is sent of each record.", "")
    output_filter: str = arg("JSONPath of what is stored of each joined record.", "")
    join_source: Literal["None", "Input", ""] = arg("Join each answer with its input.", "None")
    instance_type: str = arg("ML instance type.", "ml.m4.xlarge")
    instance_count: int = arg("Number of instances.", 1, ge=1)
    resource_encryption_key: str = arg("KMS key of the instances' volumes.", "")


class TransformOutputs(Outputs):
    """What a batch transform leaves behind."""

    output_location: str = arg("S3 prefix under which the answers are stored.")


ARGUMENTS = {
    "TransformJobName": "job_name",
    "ModelName": "model_name",
    "MaxConcurrentTransforms": "max_concurrent",
    "MaxPayloadInMB": "max_payload",
    "BatchStrategy": "batch_strategy",
    "Environment": "environment",
    "TransformInput": "input_location",
    "TransformInput.DataSource.S3DataSource.S3DataType": "data_type",
    "TransformInput.ContentType": "content_type",
    "TransformInput.CompressionType": "compression_type",
    "TransformInput.SplitType": "split_type",
    "TransformOutput": "output_location",
    "TransformOutput.Accept": "accept",
    "TransformOutput.AssembleWith": "assemble_with",
    "TransformOutput.KmsKeyId": "output_encryption_key",
    "TransformResources": "instance_type",
    "TransformResources.InstanceCount": "instance_count",
    "TransformResources.VolumeKmsKeyId": "resource_encryption_key",
    "DataProcessing": "join_source",
    "DataProcessing.InputFilter": "input_filter",
    "DataProcessing.OutputFilter": "output_filter",
    "Tags": "tags",
}
"""Request member, with its path → the argument that fills it, or most of it."""


def request(inputs: TransformInputs, identity: Identity) -> dict[str, Any]:
    """Return the CreateTransformJob body. Raises `InputError`."""
    _check(inputs)
    source = {"S3DataType": inputs.data_type or "S3Prefix", "S3Uri": inputs.input_location}
    body: dict[str, Any] = {
        "TransformJobName": inputs.job_name,
        "ModelName": inputs.model_name,
        "MaxConcurrentTransforms": inputs.max_concurrent,
        "MaxPayloadInMB": inputs.max_payload,
        **blank_dropped(BatchStrategy=inputs.batch_strategy),
        "Environment": inputs.environment,
        "TransformInput": {
            "DataSource": {"S3DataSource": source},
            "ContentType": inputs.content_type,
            "CompressionType": inputs.compression_type or "None",
            "SplitType": inputs.split_type or "None",
        },
        "TransformOutput": {
            "S3OutputPath": inputs.output_location,
            "Accept": inputs.accept,
            **blank_dropped(AssembleWith=inputs.assemble_with, KmsKeyId=inputs.output_encryption_key),
        },
        "TransformResources": {
            "InstanceType": inputs.instance_type,
            "InstanceCount": inputs.instance_count,
            **blank_dropped(VolumeKmsKeyId=inputs.resource_encryption_key),
        },
        "DataProcessing": {
            **blank_dropped(InputFilter=inputs.input_filter, OutputFilter=inputs.output_filter),
            "JoinSource": inputs.join_source or "None",
        },
        "Tags": key_value_tags(inputs.tags),
    }
    return {TRANSFORM.create: identified(TRANSFORM, body, identity)}


def _check(inputs: TransformInputs) -> None:
    wrong = [
        f"--environment: the value of {key!r} is not text; put it in quotes"
        for key, value in inputs.environment.items()
        if not isinstance(value, str)
    ]
    if wrong:
        raise InputError("; ".join(wrong))


def status(description: Mapping[str, Any]) -> Status:
    """Read a DescribeTransformJob answer."""
    state = description["TransformJobStatus"]
    phase = TRANSFORM.phases.get(state, Phase.RUNNING)
    reason = description.get("FailureReason", "")
    return Status(
        phase,
        state,
        reason=reason,
        hint=hint(reason) if reason else "",
        brief=state in TRANSFORM.brief,
        facts=_facts(description, phase) if phase.final else {},
    )


def _facts(description: Mapping[str, Any], phase: Phase) -> dict[str, str]:
    facts = {}
    start, end = description.get("TransformStartTime"), description.get("TransformEndTime")
    if start and end:
        count = description.get("TransformResources", {}).get("InstanceCount", 1)
        ran = (end - start).total_seconds()
        facts["ran"] = f"{ran:.0f} s × {count} instance{'s' if count != 1 else ''}"
    if phase is Phase.SUCCEEDED:
        facts["output"] = description["TransformOutput"]["S3OutputPath"]
    return facts


async def outputs(_: Aws, description: Mapping[str, Any]) -> TransformOutputs:
    """Read the outputs off an ended job's description."""
    return TransformOutputs(output_location=description["TransformOutput"]["S3OutputPath"])


def _job() -> type[SageMakerJob]:
    from components.aws.sagemaker.batch_transform._job import TransformJob

    return TransformJob


WIRING = Wiring(
    "aws.sagemaker.batch_transform", TRANSFORM, request, ARGUMENTS, Reading(status, outputs), job=_job
)
component = WIRING.component(
    name="SageMaker - Batch Transformation",
    summary="Send a dataset to a model with a batch transform: live logs and status, and a stop that stops the job.",
    inputs=TransformInputs,
    outputs=TransformOutputs,
    deviations=DEVIATIONS,
    example=EXAMPLE,
)
