"""The labeling component: inputs → request, description → status and outputs, and what a wrong input is told."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from botocore.session import Session
from hypothesis import given as generated
from hypothesis import strategies as st

from components.aws.sagemaker._api import LABELING
from components.aws.sagemaker.ground_truth import _tasks
from components.aws.sagemaker.ground_truth import component as labeling
from components.aws.sagemaker.ground_truth._job import LabelingJob
from components.aws.sagemaker.ground_truth._progress import told as progress_told
from components.aws.sagemaker.ground_truth._status import status as read_status
from components.aws.validate import check
from runner.errors import InputError
from runner.events import Metric, Phase
from runner.identity import OWNER_TAG, RUN_TAG, Identity
from runner.job import StopAnswer
from runner.spec import parse
from tests.unit.aws.recorded import JOB_STATES, at, needs_recorded, recorded

IDENTITY = Identity("aws.sagemaker.ground_truth", suffix="20260131120000-AB12")
IN_RUN = Identity("aws.sagemaker.ground_truth", "run-1", "label")
TEAM = "arn:aws:sagemaker:eu-west-1:123456789012:workteam/private-crowd/team"
GIVEN: dict[str, Any] = {
    "region": "eu-west-1",
    "role": "arn:aws:iam::123456789012:role/sagemaker",
    "manifest_location": "s3://b/in.manifest",
    "output_location": "s3://b/out",
    "task_type": "image classification",
    "worker_type": "private",
    "workteam_arn": TEAM,
    "ui_template": "s3://b/template.html",
    "title": "Title",
    "description": "Description",
    "num_workers_per_object": 1,
    "time_limit": 30,
}
FUNCTION = "arn:aws:lambda:eu-west-1:123456789012:function:mine"
CUSTOM = {
    "task_type": "custom",
    "pre_human_task_function": f"{FUNCTION}-before",
    "post_human_task_function": f"{FUNCTION}-after",
}
PUBLIC = {"worker_type": "public", "workforce_task_price": "0.036"}
SEGMENTS = {"task_type": "semantic segmentation", "label_attribute_name": "mask-ref"}


def body(identity: Identity = IDENTITY, **changes: Any) -> dict[str, Any]:
    given = labeling.LabelingInputs(**{**GIVEN, **changes})
    (operation, request), *more = labeling.request(given, identity).items()
    assert (operation, more) == ("CreateLabelingJob", [])
    made: dict[str, Any] = request
    return made


# ── The request ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_least_that_can_be_asked_for() -> None:
    functions = "arn:aws:lambda:eu-west-1:568282634449:function"
    assert body() == {
        "LabelingJobName": "LabelingJob-20260131120000-AB12",
        "LabelAttributeName": "LabelingJob-20260131120000-AB12",
        "InputConfig": {"DataSource": {"S3DataSource": {"ManifestS3Uri": "s3://b/in.manifest"}}},
        "OutputConfig": {"S3OutputPath": "s3://b/out", "KmsKeyId": ""},
        "RoleArn": GIVEN["role"],
        "HumanTaskConfig": {
            "WorkteamArn": TEAM,
            "UiConfig": {"UiTemplateS3Uri": "s3://b/template.html"},
            "PreHumanTaskLambdaArn": f"{functions}:PRE-ImageMultiClass",
            "TaskTitle": "Title",
            "TaskDescription": "Description",
            "NumberOfHumanWorkersPerDataObject": 1,
            "TaskTimeLimitInSeconds": 30,
            "AnnotationConsolidationConfig": {
                "AnnotationConsolidationLambdaArn": f"{functions}:ACS-ImageMultiClass"
            },
        },
        "Tags": [],
    }


AUTO: dict[str, Any] = {"enable_auto_labeling": True}
ALGORITHMS = "LabelingJobAlgorithmsConfig"
SPECIFICATION = "arn:aws:sagemaker:eu-west-1:027400017018:labeling-job-algorithm-specification"
CLASSIFIERS = "InputConfig.DataAttributes.ContentClassifiers"
PRE = "HumanTaskConfig.PreHumanTaskLambdaArn"
POST = "HumanTaskConfig.AnnotationConsolidationConfig.AnnotationConsolidationLambdaArn"
PRICE = "HumanTaskConfig.PublicWorkforceTaskPrice.AmountInUsd"


@pytest.mark.parametrize(
    ("given", "where", "sent"),
    [
        ({"job_name": "mine"}, "LabelingJobName", "mine"),
        ({"job_name": "mine"}, "LabelAttributeName", "mine"),
        ({"job_name": "mine", "label_attribute_name": "label"}, "LabelAttributeName", "label"),
        (SEGMENTS, "LabelAttributeName", "mask-ref"),
        (
            {"task_type": "semantic segmentation", "job_name": "mask-ref"},
            "LabelAttributeName",
            "mask-ref",
        ),
        ({"task_type": "semantic segmentation", "job_name": "mask"}, "LabelAttributeName", "mask"),
        ({"job_name": "my-ref"}, "LabelAttributeName", "my-ref"),
        ({"output_encryption_key": "key"}, "OutputConfig.KmsKeyId", "key"),
        ({"label_category_config": "s3://b/l.json"}, "LabelCategoryConfigS3Uri", "s3://b/l.json"),
        ({}, "LabelCategoryConfigS3Uri", None),
        (
            {"max_human_labeled_objects": 5},
            "StoppingConditions",
            {"MaxHumanLabeledObjectCount": 5},
        ),
        (
            {"max_percent_objects": 50},
            "StoppingConditions",
            {"MaxPercentageOfInputDatasetLabeled": 50},
        ),
        ({}, "StoppingConditions", None),
        (
            AUTO,
            ALGORITHMS,
            {
                "LabelingJobAlgorithmSpecificationArn": f"{SPECIFICATION}/image-classification",
                "LabelingJobResourceConfig": {"VolumeKmsKeyId": ""},
            },
        ),
        ({**AUTO, "initial_model_arn": "arn:m"}, f"{ALGORITHMS}.InitialActiveLearningModelArn", "arn:m"),
        (
            {**AUTO, "resource_encryption_key": "key"},
            f"{ALGORITHMS}.LabelingJobResourceConfig.VolumeKmsKeyId",
            "key",
        ),
        ({"initial_model_arn": "arn:m", "resource_encryption_key": "key"}, ALGORITHMS, None),
        ({**CUSTOM, "region": "sa-east-1"}, PRE, f"{FUNCTION}-before"),
        (CUSTOM, POST, f"{FUNCTION}-after"),
        ({**CUSTOM, "task_type": "bounding box"}, PRE, "…:PRE-BoundingBox"),
        ({"task_type": " Bounding  Box "}, POST, "…:ACS-BoundingBox"),
        ({"task_type": "text classification"}, PRE, "…:PRE-TextMultiClass"),
        (SEGMENTS, POST, "…:ACS-SemanticSegmentation"),
        ({"task_keywords": "a, b c,"}, "HumanTaskConfig.TaskKeywords", ["a", "b c"]),
        ({}, "HumanTaskConfig.TaskKeywords", None),
        ({"num_workers_per_object": "3"}, "HumanTaskConfig.NumberOfHumanWorkersPerDataObject", 3),
        ({"time_limit": "60"}, "HumanTaskConfig.TaskTimeLimitInSeconds", 60),
        ({"task_availibility": 60}, "HumanTaskConfig.TaskAvailabilityLifetimeInSeconds", 60),
        ({}, "HumanTaskConfig.TaskAvailabilityLifetimeInSeconds", None),
        ({"max_concurrent_tasks": 20}, "HumanTaskConfig.MaxConcurrentTaskCount", 20),
        ({}, "HumanTaskConfig.MaxConcurrentTaskCount", None),
        ({"worker_type": "Vendor"}, "HumanTaskConfig.WorkteamArn", TEAM),
        (
            PUBLIC,
            "HumanTaskConfig.WorkteamArn",
            "arn:aws:sagemaker:eu-west-1:394669845002:workteam/public-crowd/default",
        ),
        (PUBLIC, PRICE, {"Dollars": 0, "Cents": 3, "TenthFractionsOfACent": 6}),
        (PUBLIC, CLASSIFIERS, []),
        ({**PUBLIC, "no_ppi": "True"}, CLASSIFIERS, ["FreeOfPersonallyIdentifiableInformation"]),
        (
            {**PUBLIC, "no_ppi": True, "no_adult_content": True},
            CLASSIFIERS,
            ["FreeOfAdultContent", "FreeOfPersonallyIdentifiableInformation"],
        ),
        ({"no_ppi": True, "no_adult_content": True}, "InputConfig.DataAttributes", None),
        ({"workforce_task_price": "0.036"}, "HumanTaskConfig.PublicWorkforceTaskPrice", None),
        ({"tags": {"b": "1", "a": 2}}, "Tags", [{"Key": "b", "Value": "1"}, {"Key": "a", "Value": "2"}]),
        ({"endpoint_url": "https://vpce", "assume_role": "arn:r"}, "RoleArn", GIVEN["role"]),
    ],
)
def test_each_input_goes_where_the_predecessor_sent_it(given: dict[str, Any], where: str, sent: Any) -> None:
    found = at(body(**given), where)
    if isinstance(sent, str) and sent.startswith("…"):
        assert found.endswith(sent[1:])
    else:
        assert found == sent


@pytest.mark.parametrize(
    ("task", "algorithm"),
    [
        ("image classification", "image-classification"),
        ("bounding box", "object-detection"),
        ("semantic segmentation", "semantic-segmentation"),
        ("text classification", "text-classification"),
    ],
)
def test_the_algorithm_is_that_of_the_task(task: str, algorithm: str) -> None:
    label = "mask-ref" if task == "semantic segmentation" else "label"
    made = body(**AUTO, task_type=task, label_attribute_name=label)
    assert made[ALGORITHMS]["LabelingJobAlgorithmSpecificationArn"] == f"{SPECIFICATION}/{algorithm}"


@needs_recorded
def test_every_recorded_input_exists_and_none_is_forgotten() -> None:
    known = recorded("ground_truth")
    names = {name for entry in known["fields"] for name in re.findall(r"[a-z_]+", entry["arg"])}
    unlisted = {"role", "job_name", "initial_model_arn", "resource_encryption_key", "workteam_arn"}
    unlisted |= {"no_adult_content", "no_ppi", "pre_human_task_function", "post_human_task_function"}
    made = set(labeling.LabelingInputs.model_fields) - {"region", "endpoint_url", "assume_role"}
    assert made == names | unlisted
    assert set(labeling.LabelingOutputs.model_fields) == set(known["outputs"])
    assert dict(_tasks.FUNCTION_ACCOUNTS) == known["lambda_accounts"]
    assert dict(_tasks.FUNCTIONS) == known["task_map"]


def test_the_accounts_are_those_of_the_services_reference() -> None:
    shape = Session().get_service_model("sagemaker").shape_for("HumanTaskConfig")
    told = shape.members["PreHumanTaskLambdaArn"].documentation
    for task in _tasks.FUNCTIONS.values():
        listed = dict(re.findall(rf"arn:aws:lambda:([\w-]+):(\d+):function:PRE-{task}\b", told))
        assert listed == _tasks.FUNCTION_ACCOUNTS


def test_in_a_pipeline_run_the_job_is_known_again_and_its_labels_keep_their_name() -> None:
    first = body(IN_RUN, tags={"a": "1"})
    assert first == body(IN_RUN, tags={"a": "1"})
    assert re.fullmatch(r"LabelingJob-[0-9a-f]{20}", first["LabelingJobName"])
    assert first["LabelAttributeName"] == first["LabelingJobName"]
    assert [tag["Key"] for tag in first["Tags"]] == ["a", RUN_TAG, OWNER_TAG]


# ── Prices ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("price", "dollars", "cents", "tenths"),
    [
        ("0.29", 0, 29, 0),
        ("0.036", 0, 3, 6),
        ("0.000", 0, 0, 0),
        ("0", 0, 0, 0),
        ("1.08", 1, 8, 0),
        ("1.200", 1, 20, 0),
        ("2.999", 2, 99, 9),
        (" 0.0360 ", 0, 3, 6),
        ("12e-3", 0, 1, 2),
        ("-0", 0, 0, 0),
    ],
)
def test_a_price_is_exact(price: str, dollars: int, cents: int, tenths: int) -> None:
    assert _tasks.price(price) == {"Dollars": dollars, "Cents": cents, "TenthFractionsOfACent": tenths}


@generated(st.integers(0, 2999))
def test_every_price_comes_back(tenths: int) -> None:
    made = _tasks.price(str(Decimal(tenths) / 1000))
    assert made["Dollars"] * 1000 + made["Cents"] * 10 + made["TenthFractionsOfACent"] == tenths
    assert made["Cents"] <= 99
    assert made["TenthFractionsOfACent"] <= 9


@pytest.mark.parametrize(
    ("price", "told"),
    [
        ("0.0361", "more than three decimals"),
        ("-0.01", "no price"),
        ("nan", "no price"),
        ("inf", "no price"),
        ("3", "too much"),
        ("1e9", "too much"),
        ("", "not a number"),
        ("0,036", "not a number"),
        ("cheap", "not a number"),
    ],
)
def test_a_wrong_price_is_named(price: str, told: str) -> None:
    with pytest.raises(InputError, match=f"--workforce_task_price is .*{told}"):
        body(IDENTITY, **{**PUBLIC, "workforce_task_price": price})


@pytest.mark.parametrize(("value", "text"), [(0.036, "0.036"), (1, "1"), ("0.036", "0.036"), (0.1, "0.1")])
def test_a_number_does_for_a_price_too(value: object, text: str) -> None:
    made = parse(labeling.component, {**GIVEN, "workforce_task_price": value}.items()).inputs
    assert isinstance(made, labeling.LabelingInputs)
    assert made.workforce_task_price == text
    with pytest.raises(InputError, match="--workforce_task_price"):
        parse(labeling.component, {**GIVEN, "workforce_task_price": True}.items())


@pytest.mark.parametrize("worker_type", ["private", "vendor"])
def test_a_price_that_is_not_paid_is_not_looked_at(worker_type: str) -> None:
    assert body(worker_type=worker_type, workforce_task_price="cheap") == body(worker_type=worker_type)


def test_a_blank_task_with_both_functions_is_a_custom_one() -> None:
    given = {**GIVEN, **CUSTOM, "task_type": "", "job_name": "mine"}
    made = parse(labeling.component, given.items()).inputs
    assert isinstance(made, labeling.LabelingInputs)
    assert labeling.request(made, IDENTITY)["CreateLabelingJob"] == body(**CUSTOM, job_name="mine")
    with pytest.raises(InputError, match="--task_type is required"):
        parse(labeling.component, {**given, "pre_human_task_function": ""}.items())


# ── Wrong input ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"task_type": "image clasification"}, ["--task_type is", "did you mean 'image classification'?"]),
        ({"task_type": "video"}, ["--task_type is 'video'", "bounding box", "custom"]),
        ({"worker_type": "privat"}, ["--worker_type is 'privat'", "did you mean 'private'?"]),
        ({"workteam_arn": ""}, ["--workteam_arn is blank", "private"]),
        ({"worker_type": "vendor", "workteam_arn": ""}, ["--workteam_arn is blank", "vendor"]),
        ({**CUSTOM, "pre_human_task_function": ""}, ["--pre_human_task_function is blank"]),
        ({**CUSTOM, "post_human_task_function": ""}, ["--post_human_task_function is blank"]),
        ({**CUSTOM, **AUTO}, ["--enable_auto_labeling is True", "built-in tasks"]),
        ({"region": "sa-east-1"}, ["--region is 'sa-east-1'", "eu-west-1", "--task_type custom"]),
        (
            {"label_attribute_name": "mask-ref"},
            ["--label_attribute_name is 'mask-ref'", "-ref or -metadata"],
        ),
        ({"label_attribute_name": "a-metadata"}, ["--label_attribute_name is 'a-metadata'"]),
        ({**SEGMENTS, "label_attribute_name": "mask"}, ["'mask'", "--label_attribute_name mask-ref"]),
        (
            {"task_type": "semantic segmentation"},
            ["--label_attribute_name is blank", "generated name", "--label_attribute_name mask-ref"],
        ),
        ({"time_limit": 28801}, ["--time_limit is 28801", "at most 28800"]),
        ({**PUBLIC, "task_availibility": 43201}, ["--task_availibility is 43201", "at most 43200"]),
        ({"job_name": "under_score"}, ["--job_name is 'under_score'"]),
        ({"tags": {"aws:x": "1"}}, ["--tags", "aws:"]),
    ],
)
def test_a_wrong_input_is_named_with_what_to_write(given: dict[str, Any], told: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        body(**given)
    assert caught.value.exit_code == 2
    for part in told:
        assert part in str(caught.value)


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(InputError) as caught:
        body(task_type="x", worker_type="y")
    assert "--task_type" in str(caught.value)
    assert "--worker_type" in str(caught.value)
    with pytest.raises(InputError) as caught:
        body(task_type="custom", workteam_arn="", **AUTO)
    assert str(caught.value).count(";") >= 3


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"num_workers_per_object": "0"}, "at least 1"),
        ({"num_workers_per_object": "10"}, "at most 9"),
        ({"time_limit": "29"}, "at least 30"),
        ({"max_percent_objects": "101"}, "at most 100"),
        ({"max_human_labeled_objects": "-1"}, "at least 0"),
        ({"max_concurrent_tasks": "5001"}, "at most 5000"),
        ({"task_availibility": "-1"}, "at least 0"),
        ({"time_limit": ""}, "required"),
        ({"ui_template": ""}, "required"),
        ({"task_type": ""}, "required"),
        ({"worker_type": ""}, "required"),
        ({"title": ""}, "required"),
        ({"no_ppi": "maybe"}, "truth value"),
    ],
)
def test_a_wrong_argument_is_named_with_what_is_accepted(given: dict[str, Any], told: str) -> None:
    (name,) = given
    with pytest.raises(InputError, match=f"--{name} .*{told}"):
        parse(labeling.component, {**GIVEN, **given}.items())


@pytest.fixture(scope="module")
def create() -> Any:
    return Session().get_service_model("sagemaker").operation_model("CreateLabelingJob")


@pytest.mark.parametrize(
    "given", [{}, CUSTOM, PUBLIC, SEGMENTS, AUTO, {"max_percent_objects": 1, "task_keywords": "a,b"}]
)
def test_a_sound_request_passes_the_service_model(create: Any, given: dict[str, Any]) -> None:
    check(create, body(**given), labeling.ARGUMENTS)
    check(create, body(IN_RUN, **given), labeling.ARGUMENTS)


@pytest.mark.parametrize(
    ("given", "argument", "told"),
    [
        ({"label_attribute_name": "under_score"}, "label_attribute_name", "'under_score'"),
        ({"manifest_location": "b/in"}, "manifest_location", "'b/in'"),
        ({"output_location": "b/out"}, "output_location", "'b/out'"),
        ({"output_encryption_key": "a key"}, "output_encryption_key", "'a key'"),
        ({**AUTO, "resource_encryption_key": "a key"}, "resource_encryption_key", "'a key'"),
        ({"label_category_config": "labels.json"}, "label_category_config", "'labels.json'"),
        ({"ui_template": "t.html"}, "ui_template", "'t.html'"),
        ({**CUSTOM, "pre_human_task_function": "mine"}, "pre_human_task_function", "'mine'"),
        ({**CUSTOM, "post_human_task_function": "mine"}, "post_human_task_function", "'mine'"),
        ({"task_keywords": "a,b,c,d,e,f"}, "task_keywords", "at most 5"),
        ({"task_keywords": "a-b"}, "task_keywords", "'a-b'"),
        ({"title": "x" * 129}, "title", "at most 128"),
        ({"description": "x" * 256}, "description", "at most 255"),
        ({"task_availibility": 59}, "task_availibility", "59"),
    ],
)
def test_what_the_service_model_refuses_is_named_by_its_argument(
    create: Any, given: dict[str, Any], argument: str, told: str
) -> None:
    with pytest.raises(InputError) as caught:
        check(create, body(**given), labeling.ARGUMENTS)
    assert str(caught.value).startswith(f"--{argument}: ")
    assert told in str(caught.value)


# ── The status ──────────────────────────────────────────────────────────────────────────────────────────────────────


def counts(people: int = 0, machine: int = 0, failed: int = 0, left: int = 0) -> dict[str, int]:
    return {
        "TotalLabeled": people + machine,
        "HumanLabeled": people,
        "MachineLabeled": machine,
        "FailedNonRetryableError": failed,
        "Unlabeled": left,
    }


def description(state: str, **more: Any) -> dict[str, Any]:
    return {"LabelingJobName": "job", "LabelingJobStatus": state, "LabelCounters": {}, **more}


@pytest.mark.parametrize(
    ("state", "phase", "brief"),
    [("Initializing", Phase.PENDING, True), *JOB_STATES],
)
def test_the_services_words(state: str, phase: Phase, brief: bool) -> None:
    status = read_status(description(state))
    assert (status.phase, status.state, status.brief) == (phase, state, brief)
    assert (status.message, status.reason, status.hint) == ("", "", "")


@pytest.mark.parametrize(
    ("counters", "told"),
    [
        (counts(left=10), "0/10 objects labeled"),
        (counts(people=3, left=7), "3/10 objects labeled"),
        (
            counts(people=3, machine=5, failed=1, left=1),
            "8/10 objects labeled (3 by people, 5 by machine), 1 failed",
        ),
        ({"TotalLabeled": 2}, "2/2 objects labeled"),
        (counts(), ""),
        ({}, ""),
    ],
)
def test_how_far_it_is(counters: dict[str, int], told: str) -> None:
    assert progress_told(counters) == told
    assert read_status(description("InProgress", LabelCounters=counters)).message == told


def test_a_job_without_counters() -> None:
    bare = {"LabelingJobName": "job", "LabelingJobStatus": "Initializing"}
    assert read_status(bare).message == ""


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("ClientError: The label categories provided are invalid", "--label_category_config"),
        ("ClientError: Failed to parse the input manifest at line 3", "`source-ref`"),
        ("ClientError: Annotation consolidation Lambda function failed", "lambda:InvokeFunction"),
        ("ClientError: Access denied to s3://b/in.manifest", "--role"),
        ("ClientError: Labeling job failed because it ran for 30 days", "Nobody labeled in time"),
        ("InternalServerError: We encountered an internal error", ""),
    ],
)
def test_why_it_failed(reason: str, advice: str) -> None:
    status = read_status(description("Failed", FailureReason=reason))
    assert status.reason == reason
    assert advice in status.hint
    assert bool(status.hint) is bool(advice)


@pytest.mark.parametrize(
    ("limits", "counters", "told"),
    [
        ({"MaxHumanLabeledObjectCount": 5}, counts(people=5, left=5), "--max_human_labeled_objects"),
        ({"MaxHumanLabeledObjectCount": 5}, counts(people=4, left=6), ""),
        ({"MaxPercentageOfInputDatasetLabeled": 50}, counts(people=5, left=5), "--max_percent_objects"),
        ({"MaxPercentageOfInputDatasetLabeled": 50}, counts(people=4, left=6), ""),
        ({"MaxPercentageOfInputDatasetLabeled": 50}, counts(), ""),
        ({}, counts(people=5, left=5), ""),
    ],
)
def test_stopped_by_a_limit_of_its_own(limits: dict[str, int], counters: dict[str, int], told: str) -> None:
    status = read_status(description("Stopped", StoppingConditions=limits, LabelCounters=counters))
    assert status.phase is Phase.STOPPED
    assert told in status.reason
    assert bool(status.reason) is bool(told)


def test_facts_and_final_metrics_of_an_ended_job() -> None:
    more: dict[str, Any] = {
        "LabelCounters": counts(people=9, failed=1),
        "LabelingJobOutput": {"OutputDatasetS3Uri": "s3://b/out/output.manifest"},
    }
    ended = read_status(description("Completed", **more))
    assert ended.facts == {
        "labeled": "9/10 objects, 1 failed",
        "manifest": "s3://b/out/output.manifest",
    }
    assert [(m.name, m.value, m.final) for m in ended.metrics] == [
        ("labeled", 9.0, True),
        ("labeled-by-people", 9.0, True),
        ("failed", 1.0, True),
    ]
    nothing = read_status(description("Failed", LabelCounters=counts(left=10)))
    assert [m.name for m in nothing.metrics] == ["labeled", "unlabeled"]
    going = read_status(description("InProgress", **more))
    assert (going.facts, going.metrics) == ({}, ())


# ── Outputs ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("more", "model"),
    [
        ({"LabelingJobAlgorithmsConfig": {}}, "arn:model"),
        ({}, " "),
    ],
)
async def test_outputs(more: dict[str, Any], model: str) -> None:
    output = {"OutputDatasetS3Uri": "s3://b/m", "FinalActiveLearningModelArn": "arn:model"}
    found = await labeling.outputs(None, description("Completed", LabelingJobOutput=output, **more))  # type: ignore[arg-type]
    assert found.output_manifest_location == "s3://b/m"
    assert found.active_learning_model_arn == model


async def test_a_model_that_was_not_trained_is_a_space() -> None:
    more: dict[str, Any] = {
        "LabelingJobAlgorithmsConfig": {},
        "LabelingJobOutput": {"OutputDatasetS3Uri": "s3://m"},
    }
    found = await labeling.outputs(None, description("Completed", **more))  # type: ignore[arg-type]
    assert found.active_learning_model_arn == " "


# ── Progress ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Service:
    """Stands in for `Aws`: one labeling job whose counters a test sets."""

    region, embedded, endpoint_url, role = "eu-west-1", False, "", ""

    def __init__(self) -> None:
        self.job: dict[str, Any] = {}

    async def call(self, service: str, operation: str, **request: Any) -> Mapping[str, Any]:
        assert service == "sagemaker"
        if operation == "create_labeling_job":
            self.job = description(
                "InProgress",
                CreationTime=datetime.now(UTC),
                **{key: value for key, value in request.items() if key != "LabelingJobName"},
            )
        elif operation == "stop_labeling_job":
            self.job["LabelingJobStatus"] = "Stopping"
        else:
            assert operation == "describe_labeling_job"
            return self.job
        return {}


def job_of(service: Service) -> LabelingJob:
    assert labeling.WIRING.job() is LabelingJob
    request, reading = body(job_name="job"), labeling.WIRING.reading
    aws: Any = service
    return LabelingJob(LABELING, aws, "aws.sagemaker.ground_truth", reading, "job", request)


async def test_each_change_of_a_counter_is_a_metric() -> None:
    service = Service()
    job = job_of(service)
    await job.launch()
    ended, seen = asyncio.Event(), []

    async def follow() -> None:
        (feed,) = job.feeds()
        async for metric in feed(ended):
            assert isinstance(metric, Metric)
            seen.append((metric.name, metric.value))

    async def described(**given: int) -> None:
        service.job["LabelCounters"] = counts(**given)
        await job.describe()
        for _ in range(5):  # Turns of the loop, in which the feed takes what is in the queue.
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        group.create_task(follow())
        await described(left=10)
        assert seen == []
        await described(people=2, left=8)
        assert seen == [("labeled", 2.0), ("labeled-by-people", 2.0)]
        await described(people=2, left=8)
        assert len(seen) == 2
        service.job["LabelCounters"] = counts(people=2, machine=7, failed=1)
        service.job["LabelingJobStatus"] = "Completed"
        assert (await job.describe()).phase is Phase.SUCCEEDED
        ended.set()
    assert seen[2:] == [("labeled", 9.0), ("labeled-by-machine", 7.0), ("failed", 1.0)]


async def test_the_feed_of_a_job_that_has_ended_ends() -> None:
    service = Service()
    job = job_of(service)
    await job.launch()
    service.job["LabelCounters"] = counts(people=1)
    await job.describe()
    ended = asyncio.Event()
    ended.set()
    seen = [metric async for metric in job.progress(ended)]
    assert [metric.name for metric in seen] == ["labeled", "labeled-by-people"]


async def test_a_feed_that_is_broken_off_leaves_nothing_behind() -> None:
    job = job_of(Service())
    before = asyncio.all_tasks()
    task = asyncio.ensure_future(anext(aiter(job.progress(asyncio.Event()))))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("watched", "least"), [(0.0, 0.0), (10.0, 0.2), (600.0, 12.0), (1500.0, 30.0), (86400.0, 30.0)]
)
async def test_a_job_that_takes_days_is_not_read_for_each_label(watched: float, least: float) -> None:
    job, clock = job_of(Service()), asyncio.get_running_loop().time
    await job.launch()
    await job.describe()
    await asyncio.sleep(watched)
    await job.describe()
    before = clock()
    await job.describe()
    assert clock() - before == pytest.approx(least)
    await asyncio.sleep(40)
    before = clock()
    await job.describe()
    assert clock() == before, "the engine's own pauses count"


@pytest.mark.looptime
async def test_a_stop_does_not_wait_for_the_next_read() -> None:
    job, clock = job_of(Service()), asyncio.get_running_loop().time
    await job.launch()
    await job.describe()
    await asyncio.sleep(3600)
    await job.describe()
    before = clock()
    reading = asyncio.ensure_future(job.describe())
    await asyncio.sleep(0)
    assert await job.stop() is StopAnswer.AGREED
    assert clock() == before
    reading.cancel()


async def test_stop() -> None:
    job = job_of(Service())
    await job.launch()
    assert await job.stop() is StopAnswer.AGREED
    assert (await job.describe()).phase is Phase.STOPPING
    assert "stop-labeling-job" in job.stop_command
