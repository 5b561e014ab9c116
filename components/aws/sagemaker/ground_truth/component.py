"""SageMaker Ground Truth: one labeling job, done by people and, on request, by a model that learns from them.

What is sent, and what is left out when blank, follows the predecessor's observed behaviour; where it does not, on
purpose, `DEVIATIONS` says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, model_validator

from components.aws.inputs import AwsInputs
from components.aws.sagemaker._api import LABELING
from components.aws.sagemaker._reading import Reading
from components.aws.sagemaker._request import blank_dropped, identified, key_value_tags
from components.aws.sagemaker._wiring import Wiring
from components.aws.sagemaker.ground_truth import _tasks
from components.aws.sagemaker.ground_truth._checks import PUBLIC, check
from components.aws.sagemaker.ground_truth._status import made, status
from runner.errors import InputError
from runner.identity import Identity
from runner.inputs import Flag, Outputs, arg

if TYPE_CHECKING:
    from components.aws.sagemaker._job import SageMakerJob
    from components.aws.session import Aws

DEVIATIONS = (
    "Wrong input ends with exit code 2 and names the argument; the predecessor ended with 1, or only logged an error.",
    (
        "A blank `label_attribute_name` is the job's name, also where that is generated; it was empty then, and refused. "
        "For semantic segmentation, which needs another ending than that of a generated name, it is an error then."
    ),
    (
        "Automatic labeling uses the algorithm of the task, semantic segmentation has it, too, and a custom task with it is "
        "an error; it was always that of image classification."
    ),
    "Prices are exact to a tenth of a cent: 0.29 is 29 cents; it was 28 cents and ten tenths, and refused.",
    (
        "A `label_attribute_name` with a wrong ending, an unknown `task_type` or `worker_type`, a region without built-in "
        "tasks, and lacking `workteam_arn` or functions of a custom task are errors before anything is sent."
    ),
    "The output model of automatic labeling is one space where none was trained; it was a KeyError.",
    "Unknown, abbreviated and doubled arguments are errors.",
    "What the service's own patterns and limits refuse, and tags that are AWS's or kfp-runner's, is an error.",
    (
        "In a pipeline run that passes its id (`runner.pipeline.identified`), a blank `job_name` becomes the same one "
        "in every attempt, and two tags are added, so that a restarted pod finds its job again."
    ),
)


EXAMPLE = """\
  --region us-east-1 --role arn:aws:iam::123456789012:role/sagemaker \\
  --manifest_location s3://kfp-runner-samples/labeling/digits.manifest \\
  --label_category_config s3://kfp-runner-samples/labeling/categories.json \\
  --output_location s3://kfp-runner-samples/output/labeling --label_attribute_name digit \\
  --task_type 'image classification' --worker_type private \\
  --workteam_arn arn:aws:sagemaker:us-east-1:123456789012:workteam/private-crowd/kfp-runner-samples \\
  --ui_template s3://kfp-runner-samples/labeling/template.html \\
  --title 'Which digit is it?' --description 'Read one handwritten digit' \\
  --num_workers_per_object 1 --time_limit 60"""


def _as_text(value: object) -> object:
    """Take a number for the text that it is written as: `repr` gives the shortest that is exact to 15 digits."""
    return repr(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Price = Annotated[str, BeforeValidator(_as_text)]
"""US dollars. Text, as in the predecessor's yaml, for cents are no binary fractions."""


class LabelingInputs(AwsInputs):
    """Arguments of a labeling job, in the predecessor's order."""

    @model_validator(mode="before")
    @classmethod
    def _custom(cls, given: Any) -> Any:  # noqa: ANN401  whatever was given
        """Take a blank task, of which both functions are given, for a custom one: a blank required argument is missing."""
        functions = ("pre_human_task_function", "post_human_task_function")
        if isinstance(given, Mapping) and all(given.get(name) for name in functions):
            return {"task_type": "", **given}
        return given

    role: str = arg("ARN of the role that SageMaker runs the job as.")
    job_name: str = arg(
        "Name of the job, at most 63 letters, digits and hyphens; blank for a generated one.", ""
    )
    label_attribute_name: str = arg(
        "Key of the labels in the output manifest; blank for the job's name. That of semantic segmentation ends with "
        "-ref, no other does.",
        "",
    )
    manifest_location: str = arg("S3 address of the manifest that lists the objects to label.")
    output_location: str = arg("S3 prefix under which labels are stored.")
    output_encryption_key: str = arg("KMS key of the stored labels.", "")
    task_type: str = arg(
        "Task of a worker: image classification, bounding box, text classification, semantic segmentation, or custom "
        "(also when blank, with both functions)."
    )
    worker_type: str = arg("Who labels: public (Amazon Mechanical Turk), private or vendor.")
    workteam_arn: str = arg("ARN of the work team; needed with private and vendor.", "")
    no_adult_content: Flag = arg("Declare that no object has adult content; used with public only.", False)
    no_ppi: Flag = arg(
        "Declare that no object has personally identifiable information; used with public only.", False
    )
    label_category_config: str = arg("S3 address of the JSON file that lists the labels.", "")
    max_human_labeled_objects: int = arg(
        "Stop after people labeled so many objects; 0 for no limit.", 0, ge=0
    )
    max_percent_objects: int = arg(
        "Stop after so many percent of the objects are labeled; 0 for no limit.", 0, ge=0, le=100
    )
    enable_auto_labeling: Flag = arg("Let a model learn from the labels, and label the rest.", False)
    initial_model_arn: str = arg("ARN of the model that an earlier job learned; with automatic labeling.", "")
    resource_encryption_key: str = arg("KMS key of the volumes that the model is trained on.", "")
    ui_template: str = arg("S3 address of the template of the workers' page.")
    pre_human_task_function: str = arg("ARN of the function before each task; for custom tasks.", "")
    post_human_task_function: str = arg("ARN of the function that merges answers; for custom tasks.", "")
    task_keywords: str = arg("Keywords by which workers find the task, separated by commas.", "")
    title: str = arg("Title of the task, shown to workers.")
    description: str = arg("Description of the task, shown to workers.")
    num_workers_per_object: int = arg("How many workers label each object, at most 9.", ge=1, le=9)
    time_limit: int = arg("Seconds that a worker has for one task, at least 30.", ge=30)
    task_availibility: int = arg("Seconds that a task is on offer; 0 for as long as is possible.", 0, ge=0)
    max_concurrent_tasks: int = arg(
        "Objects that are labeled at the same time; 0 for the service's default.", 0, ge=0, le=5000
    )
    workforce_task_price: Price = arg("US dollars for each task, as 0.036; used with public only.", "0.000")


class LabelingOutputs(Outputs):
    """What a labeling job leaves behind."""

    output_manifest_location: str = arg("S3 address of the manifest with the labels.")
    active_learning_model_arn: str = arg("ARN of the model that learned to label, or one space.")


ARGUMENTS = {
    "LabelingJobName": "job_name",
    "LabelAttributeName": "label_attribute_name",
    "InputConfig": "manifest_location",
    "OutputConfig": "output_location",
    "OutputConfig.KmsKeyId": "output_encryption_key",
    "RoleArn": "role",
    "LabelCategoryConfigS3Uri": "label_category_config",
    "StoppingConditions": "max_human_labeled_objects",
    "StoppingConditions.MaxPercentageOfInputDatasetLabeled": "max_percent_objects",
    "LabelingJobAlgorithmsConfig": "enable_auto_labeling",
    "LabelingJobAlgorithmsConfig.InitialActiveLearningModelArn": "initial_model_arn",
    "LabelingJobAlgorithmsConfig.LabelingJobResourceConfig.VolumeKmsKeyId": "resource_encryption_key",
    "HumanTaskConfig": "task_type",
    "HumanTaskConfig.WorkteamArn": "workteam_arn",
    "HumanTaskConfig.UiConfig": "ui_template",
    "HumanTaskConfig.PreHumanTaskLambdaArn": "pre_human_task_function",
    "HumanTaskConfig.AnnotationConsolidationConfig": "post_human_task_function",
    "HumanTaskConfig.TaskKeywords": "task_keywords",
    "HumanTaskConfig.TaskTitle": "title",
    "HumanTaskConfig.TaskDescription": "description",
    "HumanTaskConfig.NumberOfHumanWorkersPerDataObject": "num_workers_per_object",
    "HumanTaskConfig.TaskTimeLimitInSeconds": "time_limit",
    "HumanTaskConfig.TaskAvailabilityLifetimeInSeconds": "task_availibility",
    "HumanTaskConfig.MaxConcurrentTaskCount": "max_concurrent_tasks",
    "HumanTaskConfig.PublicWorkforceTaskPrice": "workforce_task_price",
    "Tags": "tags",
}
"""Request member, with its path → the argument that fills it, or most of it."""


def request(inputs: LabelingInputs, identity: Identity) -> dict[str, Any]:
    """Return the CreateLabelingJob body. Raises `InputError`."""
    task, workers = check(inputs)
    source: dict[str, Any] = {"DataSource": {"S3DataSource": {"ManifestS3Uri": inputs.manifest_location}}}
    if workers == PUBLIC:
        source["DataAttributes"] = {"ContentClassifiers": _classifiers(inputs)}
    limits = blank_dropped(
        MaxHumanLabeledObjectCount=inputs.max_human_labeled_objects,
        MaxPercentageOfInputDatasetLabeled=inputs.max_percent_objects,
    )
    body: dict[str, Any] = {
        "LabelingJobName": inputs.job_name,
        "LabelAttributeName": inputs.label_attribute_name,
        "InputConfig": source,
        "OutputConfig": {"S3OutputPath": inputs.output_location, "KmsKeyId": inputs.output_encryption_key},
        "RoleArn": inputs.role,
        **blank_dropped(LabelCategoryConfigS3Uri=inputs.label_category_config, StoppingConditions=limits),
        **(_automatic(inputs, task) if inputs.enable_auto_labeling else {}),
        "HumanTaskConfig": _human_task(inputs, task, workers),
        "Tags": key_value_tags(inputs.tags),
    }
    body = identified(LABELING, body, identity)
    body["LabelAttributeName"] = _label(inputs, task, body["LabelingJobName"])
    return {LABELING.create: body}


def _label(inputs: LabelingInputs, task: str, job: str) -> str:
    """Return the key of the labels, whose ending tells the service what they are. Raises `InputError`."""
    label, segments = inputs.label_attribute_name, task == "semantic segmentation"
    if segments and not (label or inputs.job_name):
        raise InputError(
            "--label_attribute_name is blank, and so the job's generated name, which does not end with -ref, as that of "
            "semantic segmentation has to; write one such as --label_attribute_name mask-ref"
        )
    if label and segments and not label.endswith("-ref"):
        raise InputError(
            f"--label_attribute_name is {label!r}, which does not end with -ref, as that of semantic segmentation has to; "
            f"write --label_attribute_name {label}-ref"
        )
    if not segments and label.endswith(("-ref", "-metadata")):
        raise InputError(
            f"--label_attribute_name is {label!r}, which ends with -ref or -metadata: those mark other things in a "
            "manifest; choose another"
        )
    return (
        label or job
    )  # A job's name that was chosen is sent as it is: what it may be is the service's to say.


def _classifiers(inputs: LabelingInputs) -> list[str]:
    declared = (
        ("FreeOfAdultContent", inputs.no_adult_content),
        ("FreeOfPersonallyIdentifiableInformation", inputs.no_ppi),
    )
    return [name for name, given in declared if given]


def _automatic(inputs: LabelingInputs, task: str) -> dict[str, Any]:
    return {
        "LabelingJobAlgorithmsConfig": {
            "LabelingJobAlgorithmSpecificationArn": _tasks.algorithm(task, inputs.region),
            **blank_dropped(InitialActiveLearningModelArn=inputs.initial_model_arn),
            "LabelingJobResourceConfig": {"VolumeKmsKeyId": inputs.resource_encryption_key},
        }
    }


def _human_task(inputs: LabelingInputs, task: str, workers: str) -> dict[str, Any]:
    if task == _tasks.CUSTOM:
        before, after = inputs.pre_human_task_function, inputs.post_human_task_function
    else:
        before, after = _tasks.functions(task, inputs.region)
    keywords = [word.strip() for word in inputs.task_keywords.split(",") if word.strip()]
    made: dict[str, Any] = {
        "WorkteamArn": _tasks.public_crowd(inputs.region) if workers == PUBLIC else inputs.workteam_arn,
        "UiConfig": {"UiTemplateS3Uri": inputs.ui_template},
        "PreHumanTaskLambdaArn": before,
        "TaskTitle": inputs.title,
        "TaskDescription": inputs.description,
        "NumberOfHumanWorkersPerDataObject": inputs.num_workers_per_object,
        "TaskTimeLimitInSeconds": inputs.time_limit,
        **blank_dropped(
            TaskKeywords=keywords,
            TaskAvailabilityLifetimeInSeconds=inputs.task_availibility,
            MaxConcurrentTaskCount=inputs.max_concurrent_tasks,
        ),
        "AnnotationConsolidationConfig": {"AnnotationConsolidationLambdaArn": after},
    }
    if workers == PUBLIC:
        made["PublicWorkforceTaskPrice"] = {"AmountInUsd": _tasks.price(inputs.workforce_task_price)}
    return made


async def outputs(_: Aws, description: Mapping[str, Any]) -> LabelingOutputs:
    """Read the outputs off an ended job's description."""
    manifest, model = made(description)
    return LabelingOutputs(output_manifest_location=manifest, active_learning_model_arn=model)


def _job() -> type[SageMakerJob]:
    from components.aws.sagemaker.ground_truth._job import LabelingJob

    return LabelingJob


WIRING = Wiring(
    "aws.sagemaker.ground_truth", LABELING, request, ARGUMENTS, Reading(status, outputs), job=_job
)
component = WIRING.component(
    name="SageMaker - Ground Truth",
    summary="Have a dataset labeled with a Ground Truth job: live progress and status, and a stop that stops the job.",
    inputs=LabelingInputs,
    outputs=LabelingOutputs,
    deviations=DEVIATIONS,
    example=EXAMPLE,
)
