"""SageMaker training: one managed training job.

What is sent, and what is left out when blank, follows the predecessor's observed behaviour; where it does not, on
purpose, `DEVIATIONS` says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from components.aws.inputs import AwsInputs
from components.aws.sagemaker import _training
from components.aws.sagemaker._api import TRAINING
from components.aws.sagemaker._hints import hint
from components.aws.sagemaker._inputs import SpotInputs
from components.aws.sagemaker._reading import Reading
from components.aws.sagemaker._request import blank_dropped, identified, key_value_tags, refuse
from components.aws.sagemaker._wiring import Wiring
from runner.events import Metric, Phase, Status
from runner.identity import Identity
from runner.inputs import Flag, JsonArray, JsonObject, Outputs, arg

if TYPE_CHECKING:
    from components.aws.session import Aws

DEVIATIONS = (
    "Wrong input ends with exit code 2 and names the argument; the predecessor ended with 1.",
    "One of `vpc_security_group_ids` and `vpc_subnets` without the other is an error; it was dropped silently.",
    "The built-in xgboost takes a version (`xgboost:1.7-1`); it always failed.",
    "`instance_count`, `volume_size` and `max_run_time` of 0 are errors; they were replaced silently.",
    "`put_mode`, an old README's name of `training_input_mode`, is accepted with a warning.",
    "`training_input_mode` also takes `FastFile`.",
    (
        "What in `metric_definitions` is no regular expression in any dialect is an error; one without a group is sent, as "
        "it was, and told to find nothing."
    ),
    "Unknown, abbreviated and doubled arguments are errors.",
    "What the service's own patterns and limits refuse, and tags that are AWS's or kfp-runner's, is an error.",
    (
        "In a pipeline run that passes its id (`runner.pipeline.identified`), a blank `job_name` becomes the same one "
        "in every attempt, and two tags are added, so that a restarted pod finds its job again."
    ),
)


EXAMPLE = """\
  --region us-east-1 --role arn:aws:iam::123456789012:role/sagemaker \\
  --algorithm_name k-means --hyperparameters '{"k": "10", "feature_dim": "64"}' \\
  --channels '[{"ChannelName": "train", "ContentType": "text/csv;label_size=0", "DataSource": {"S3DataSource":
    {"S3DataType": "S3Prefix", "S3Uri": "s3://kfp-runner-samples/digits/train/",
     "S3DataDistributionType": "FullyReplicated"}}}]' \\
  --model_artifact_path s3://kfp-runner-samples/output"""


class TrainingInputs(AwsInputs, SpotInputs):
    """Arguments of a training job, in the predecessor's order."""

    job_name: str = arg(
        "Name of the job, at most 63 letters, digits and hyphens; blank for a generated one.", ""
    )
    role: str = arg("ARN of the role that SageMaker runs the job as.")
    image: str = arg("Image of the algorithm; wins over algorithm_name.", "")
    algorithm_name: str = arg(
        "Built-in algorithm (k-means, xgboost:1.7-1), or an algorithm resource; not with image.", ""
    )
    metric_definitions: JsonObject = arg(
        "Metrics to find in the log, as {name: regular expression with one group}.", {}
    )
    training_input_mode: Literal["File", "Pipe", "FastFile"] = arg(
        "How data reaches the container.", "File", aliases=("put_mode",)
    )
    hyperparameters: JsonObject = arg('Hyperparameters; every value is text: {"k": "10"}.', {})
    channels: JsonArray = arg("Input channels, at least one, each a Channel object of the SageMaker API.")
    instance_type: str = arg("ML instance type.", "ml.m4.xlarge")
    instance_count: int = arg("Number of instances.", 1, ge=1)
    volume_size: int = arg("Storage per instance in GB.", 30, ge=1)
    resource_encryption_key: str = arg("KMS key of the instances' volumes.", "")
    model_artifact_path: str = arg("S3 prefix under which the model is stored.")
    output_encryption_key: str = arg("KMS key of the stored model.", "")
    vpc_security_group_ids: str = arg("Security groups, separated by commas; together with vpc_subnets.", "")
    vpc_subnets: str = arg("Subnets, separated by commas; together with vpc_security_group_ids.", "")
    network_isolation: Flag = arg("Run the container without network, and without AWS credentials.", True)
    traffic_encryption: Flag = arg("Encrypt the traffic between instances.", False)
    debug_hook_config: JsonObject = arg("SageMaker Debugger hook.", {})
    debug_rule_config: JsonArray = arg("SageMaker Debugger rules.", [])


class TrainingOutputs(Outputs):
    """What a training job leaves behind."""

    model_artifact_url: str = arg("S3 address of model.tar.gz.")
    job_name: str = arg("Name of the job.")
    training_image: str = arg("Image that was trained with.")


ARGUMENTS = {
    **_training.ARGUMENTS,
    "TrainingJobName": "job_name",
    "HyperParameters": "hyperparameters",
    "OutputDataConfig": "model_artifact_path",
    "DebugHookConfig": "debug_hook_config",
    "DebugRuleConfigurations": "debug_rule_config",
}
"""Request member, with its path → the argument that fills it, or most of it."""


def request(inputs: TrainingInputs, identity: Identity) -> dict[str, Any]:
    """Return the CreateTrainingJob body. Raises `InputError`."""
    refuse(
        [
            *_training.not_text("hyperparameters", inputs.hyperparameters),
            *_training.wrong(TRAINING, inputs),
        ]
    )
    body: dict[str, Any] = {
        "TrainingJobName": inputs.job_name,
        "HyperParameters": inputs.hyperparameters,
        **_training.definition(inputs, inputs.model_artifact_path),
        "Tags": key_value_tags(inputs.tags),
        **blank_dropped(
            DebugHookConfig=inputs.debug_hook_config, DebugRuleConfigurations=inputs.debug_rule_config
        ),
    }
    return {TRAINING.create: identified(TRAINING, body, identity)}


def status(description: Mapping[str, Any]) -> Status:
    """Read a DescribeTrainingJob answer."""
    state, stage = description["TrainingJobStatus"], description.get("SecondaryStatus", "")
    phase = TRAINING.phases.get(state, Phase.RUNNING)
    reason = description.get("FailureReason", "")
    rules = description.get("DebugRuleEvaluationStatuses", ())
    transitions = description.get("SecondaryStatusTransitions", ())
    message = transitions[-1].get("StatusMessage", "") if transitions else ""
    if phase is Phase.SUCCEEDED:
        unfinished = [r for r in rules if r.get("RuleEvaluationStatus") == "InProgress"]
        broken = [r for r in rules if r.get("RuleEvaluationStatus") == "Error"]
        if unfinished:
            phase, stage, message = Phase.RUNNING, "DebugRules", _told(rules)
        elif broken:
            phase, reason = Phase.FAILED, f"a debug rule could not be evaluated: {_told(broken)}"
    elif phase is Phase.STOPPED and not reason and stage not in ("", "Stopped"):
        reason = message or stage
    return Status(
        phase,
        state,
        stage,
        message,
        reason,
        hint(f"{reason} {stage}") if phase in (Phase.FAILED, Phase.STOPPED) and reason else "",
        brief=stage in TRAINING.brief,
        facts=_facts(description, rules) if phase.final else {},
        metrics=_final_metrics(description) if phase.final else (),
    )


def _facts(description: Mapping[str, Any], rules: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    facts = {}
    billable, trained = description.get("BillableTimeInSeconds"), description.get("TrainingTimeInSeconds")
    if billable is not None:
        count = description.get("ResourceConfig", {}).get("InstanceCount", 1)
        facts["billable"] = f"{billable} s × {count} instance{'s' if count != 1 else ''}"
        if description.get("EnableManagedSpotTraining") and trained:
            facts["billable"] += f" (spot saved {1 - billable / trained:.0%})"
    if rules:
        facts["debug rules"] = _told(rules)
    if artifact := _training.artifact(description):
        facts["artifact"] = artifact
    return facts


def _told(rules: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(
        f"{r.get('RuleConfigurationName', '?')}: {r.get('RuleEvaluationStatus', '?')}"
        + (f" ({r['StatusDetails']})" if r.get("StatusDetails") else "")
        for r in rules
    )


def _final_metrics(description: Mapping[str, Any]) -> tuple[Metric, ...]:
    return tuple(
        Metric(
            m["MetricName"],
            float(m["Value"]),
            m["Timestamp"].timestamp() if "Timestamp" in m else 0.0,
            final=True,
        )
        for m in description.get("FinalMetricDataList", ())
    )


async def outputs(aws: Aws, description: Mapping[str, Any]) -> TrainingOutputs:
    """Read the outputs off an ended job's description."""
    return TrainingOutputs(
        model_artifact_url=_training.artifact(description),
        job_name=description["TrainingJobName"],
        training_image=await _training.training_image(aws, description),
    )


WIRING = Wiring(
    "aws.sagemaker.train",
    TRAINING,
    request,
    ARGUMENTS,
    Reading(status, outputs, _training.metric_definitions),
)
component = WIRING.component(
    name="SageMaker - Training Job",
    summary="Train a model with a SageMaker training job: live logs, metrics and status, and a stop that stops the job.",
    inputs=TrainingInputs,
    outputs=TrainingOutputs,
    deviations=DEVIATIONS,
    example=EXAMPLE,
)
