"""The batch transform component: inputs → request, description → status, and a refusal that is explained."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.session import Session

from components.aws.errors import AlreadyExists, Denied
from components.aws.sagemaker._api import TRANSFORM
from components.aws.sagemaker._hints import hint
from components.aws.sagemaker.batch_transform import component as transform
from components.aws.sagemaker.batch_transform._job import TransformJob
from components.aws.sagemaker.batch_transform._limits import contradictions
from components.aws.validate import check
from runner.errors import InputError, NameTaken, ServiceError, Throttled
from runner.events import Phase
from runner.identity import OWNER_TAG, RUN_TAG, Identity
from runner.job import StopAnswer
from runner.spec import parse
from tests.unit.aws.recorded import JOB_STATES, arguments, at, holds_all, needs_recorded

IDENTITY = Identity("aws.sagemaker.batch_transform", suffix="20260131120000-AB12")
IN_RUN = Identity("aws.sagemaker.batch_transform", "run-1", "transform")
GIVEN: dict[str, Any] = {
    "region": "eu-west-1",
    "model_name": "model-1",
    "input_location": "s3://b/in",
    "output_location": "s3://b/out",
}


def body(identity: Identity = IDENTITY, **changes: Any) -> dict[str, Any]:
    given = transform.TransformInputs(**{**GIVEN, **changes})
    (operation, request), *more = transform.request(given, identity).items()
    assert (operation, more) == ("CreateTransformJob", [])
    made: dict[str, Any] = request
    return made


# ── The request ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_least_that_can_be_asked_for() -> None:
    assert body() == {
        "TransformJobName": "BatchTransform-20260131120000-AB12",
        "ModelName": "model-1",
        "MaxConcurrentTransforms": 0,
        "MaxPayloadInMB": 6,
        "Environment": {},
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/in"}},
            "ContentType": "",
            "CompressionType": "None",
            "SplitType": "None",
        },
        "TransformOutput": {"S3OutputPath": "s3://b/out", "Accept": ""},
        "TransformResources": {"InstanceType": "ml.m4.xlarge", "InstanceCount": 1},
        "DataProcessing": {"JoinSource": "None"},
        "Tags": [],
    }


SOURCE = "TransformInput.DataSource.S3DataSource"


@pytest.mark.parametrize(
    ("given", "where", "sent"),
    [
        ({"job_name": "mine"}, "TransformJobName", "mine"),
        ({"model_name": "m"}, "ModelName", "m"),
        ({"max_concurrent": "4"}, "MaxConcurrentTransforms", 4),
        ({"max_payload": "0"}, "MaxPayloadInMB", 0),
        ({"max_payload": "100"}, "MaxPayloadInMB", 100),
        ({"batch_strategy": "MultiRecord"}, "BatchStrategy", "MultiRecord"),
        ({"batch_strategy": ""}, "BatchStrategy", None),
        ({"environment": {"b": "1", "a": "2"}}, "Environment", {"b": "1", "a": "2"}),
        ({"environment": ""}, "Environment", {}),
        ({"input_location": "s3://x/y"}, f"{SOURCE}.S3Uri", "s3://x/y"),
        ({"data_type": "ManifestFile"}, f"{SOURCE}.S3DataType", "ManifestFile"),
        ({"data_type": ""}, f"{SOURCE}.S3DataType", "S3Prefix"),
        ({"content_type": "text/csv"}, "TransformInput.ContentType", "text/csv"),
        ({"split_type": "RecordIO"}, "TransformInput.SplitType", "RecordIO"),
        ({"split_type": ""}, "TransformInput.SplitType", "None"),
        ({"compression_type": "Gzip"}, "TransformInput.CompressionType", "Gzip"),
        ({"compression_type": ""}, "TransformInput.CompressionType", "None"),
        ({"output_location": "s3://x"}, "TransformOutput.S3OutputPath", "s3://x"),
        ({"accept": "text/csv"}, "TransformOutput.Accept", "text/csv"),
        ({"assemble_with": "Line"}, "TransformOutput.AssembleWith", "Line"),
        ({"assemble_with": "None"}, "TransformOutput.AssembleWith", "None"),
        ({"assemble_with": ""}, "TransformOutput.AssembleWith", None),
        ({"output_encryption_key": "key"}, "TransformOutput.KmsKeyId", "key"),
        ({"output_encryption_key": ""}, "TransformOutput.KmsKeyId", None),
        ({"input_filter": "$[1:]"}, "DataProcessing.InputFilter", "$[1:]"),
        ({"input_filter": ""}, "DataProcessing.InputFilter", None),
        ({"output_filter": "$[0,-1]"}, "DataProcessing.OutputFilter", "$[0,-1]"),
        ({"output_filter": ""}, "DataProcessing.OutputFilter", None),
        ({"join_source": "Input"}, "DataProcessing.JoinSource", "Input"),
        ({"join_source": ""}, "DataProcessing.JoinSource", "None"),
        ({"instance_type": "ml.c5.18xlarge"}, "TransformResources.InstanceType", "ml.c5.18xlarge"),
        ({"instance_count": "3"}, "TransformResources.InstanceCount", 3),
        ({"resource_encryption_key": "key"}, "TransformResources.VolumeKmsKeyId", "key"),
        ({}, "TransformResources.VolumeKmsKeyId", None),
        ({"tags": {"b": "1", "a": 2}}, "Tags", [{"Key": "b", "Value": "1"}, {"Key": "a", "Value": "2"}]),
        ({"endpoint_url": "https://vpce", "assume_role": "arn:r"}, "ModelName", "model-1"),
    ],
)
def test_each_input_goes_where_the_predecessor_sent_it(given: dict[str, Any], where: str, sent: Any) -> None:
    assert at(body(**given), where) == sent


@needs_recorded
def test_every_recorded_input_exists_and_none_is_forgotten() -> None:
    names = arguments("batch_transform")
    assert holds_all("batch_transform", transform.TransformInputs, transform.TransformOutputs, names)


def test_in_a_pipeline_run_the_job_is_known_again() -> None:
    first = body(IN_RUN, tags={"a": "1"})
    assert first == body(IN_RUN, tags={"a": "1"})
    assert re.fullmatch(r"BatchTransform-[0-9a-f]{20}", first["TransformJobName"])
    assert [tag["Key"] for tag in first["Tags"]] == ["a", RUN_TAG, OWNER_TAG]


# ── Wrong input ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"max_payload": "101"}, ["--max_payload is '101'", "at most 100"]),
        ({"max_payload": "-1"}, ["--max_payload", "at least 0"]),
        ({"max_payload": ""}, ["--max_payload is ''", "whole number"]),
        ({"max_concurrent": "-1"}, ["--max_concurrent", "at least 0"]),
        ({"max_concurrent": "many"}, ["--max_concurrent is 'many'"]),
        ({"instance_count": "0"}, ["--instance_count", "at least 1"]),
        ({"batch_strategy": "Multi"}, ["--batch_strategy is 'Multi'", "'MultiRecord'"]),
        ({"data_type": "s3prefix"}, ["--data_type is 's3prefix'", "'S3Prefix'"]),
        ({"split_type": "line"}, ["--split_type is 'line'", "'Line'"]),
        ({"compression_type": "gzip"}, ["--compression_type is 'gzip'", "'Gzip'"]),
        ({"assemble_with": "x"}, ["--assemble_with is 'x'"]),
        ({"join_source": "input"}, ["--join_source is 'input'", "'Input'"]),
        ({"model_name": ""}, ["--model_name is required"]),
        ({"input_location": ""}, ["--input_location is required"]),
        ({"output_location": ""}, ["--output_location is required"]),
    ],
)
def test_a_wrong_argument_is_named_with_what_is_accepted(given: dict[str, Any], told: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        parse(transform.component, {**GIVEN, **given}.items())
    for part in told:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"environment": {"TOKEN": 12345}}, ["--environment", "'TOKEN'", "put it in quotes"]),
        ({"job_name": "under_score"}, ["--job_name is 'under_score'"]),
        ({"job_name": "x" * 64}, ["--job_name", "at most 63"]),
        ({"tags": {"aws:x": "1"}}, ["--tags", "aws:"]),
    ],
)
def test_a_wrong_input_is_named_with_what_to_write(given: dict[str, Any], told: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        body(**given)
    for part in told:
        assert part in str(caught.value)
    assert "12345" not in str(caught.value), "the environment may hold secrets"


@pytest.fixture(scope="module")
def create() -> Any:
    return Session().get_service_model("sagemaker").operation_model("CreateTransformJob")


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"max_payload": 0, "environment": {"A": ""}, "data_type": "", "split_type": "", "join_source": ""},
        {"batch_strategy": "SingleRecord", "split_type": "Line", "assemble_with": "Line"},
        {"join_source": "Input", "input_filter": "$[1:]", "output_filter": "$", "compression_type": "Gzip"},
    ],
)
def test_a_sound_request_passes_the_service_model(create: Any, given: dict[str, Any]) -> None:
    check(create, body(**given), transform.ARGUMENTS)
    check(create, body(IN_RUN, **given), transform.ARGUMENTS)


@pytest.mark.parametrize(
    ("given", "argument", "told"),
    [
        ({"model_name": "a_b"}, "model_name", "'a_b'"),
        ({"input_location": "b/in"}, "input_location", "'b/in'"),
        ({"output_location": "b/out"}, "output_location", "'b/out'"),
        ({"environment": {"a b": "1"}}, "environment", "(the key)"),
        ({"environment": {f"K{n}": "" for n in range(17)}}, "environment", "at most 16"),
        ({"input_filter": "$" * 64}, "input_filter", "at most 63"),
        ({"output_filter": "$" * 64}, "output_filter", "at most 63"),
        ({"resource_encryption_key": "a key"}, "resource_encryption_key", "'a key'"),
        ({"output_encryption_key": "a key"}, "output_encryption_key", "'a key'"),
        ({"content_type": "x" * 257}, "content_type", "at most 256"),
        ({"accept": "x" * 257}, "accept", "at most 256"),
    ],
)
def test_what_the_service_model_refuses_is_named_by_its_argument(
    create: Any, given: dict[str, Any], argument: str, told: str
) -> None:
    with pytest.raises(InputError) as caught:
        check(create, body(**given), transform.ARGUMENTS)
    assert str(caught.value).startswith(f"--{argument}: ")
    assert told in str(caught.value)


# ── Contradictions ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"max_concurrent": 5, "max_payload": 100}, ["--max_concurrent 5 times --max_payload 100", "500 MB"]),
        ({"max_concurrent": 17}, ["102 MB", "100 are possible"]),
        ({"max_concurrent": 16}, []),
        ({"max_concurrent": 500, "max_payload": 0}, []),
        ({"batch_strategy": "MultiRecord"}, ["--batch_strategy MultiRecord", "--split_type Line"]),
        ({"batch_strategy": "MultiRecord", "split_type": "TFRecord"}, []),
        ({"join_source": "Input", "split_type": "RecordIO"}, ["--join_source Input", "RecordIO"]),
        ({"join_source": "Input", "split_type": "Line"}, ["--split_type is Line", "--assemble_with None"]),
        ({"join_source": "Input", "assemble_with": "Line"}, ["--split_type is None", "--assemble_with Line"]),
        ({"join_source": "Input", "split_type": "Line", "assemble_with": "Line"}, []),
        ({"join_source": "Input"}, []),
        ({}, []),
    ],
)
def test_what_contradicts_each_other(given: dict[str, Any], told: list[str]) -> None:
    found = "; ".join(contradictions(body(**given)))
    assert bool(found) is bool(told)
    for part in told:
        assert part in found


class Service:
    """Stands in for `Aws`: one job's books, and what refuses its making."""

    region, embedded, endpoint_url, role = "eu-west-1", False, "", ""

    def __init__(self, refusal: Exception | None = None) -> None:
        self.refusal = refusal
        self.jobs: dict[str, dict[str, Any]] = {}
        self.tags: list[Any] = []
        self.calls: list[str] = []

    async def call(self, service: str, operation: str, **request: Any) -> Mapping[str, Any]:
        assert service == "sagemaker"
        self.calls.append(operation)
        return getattr(self, operation)(request) or {}

    def create_transform_job(self, request: dict[str, Any]) -> None:
        if self.refusal:
            raise self.refusal
        name = request["TransformJobName"]
        if name in self.jobs:
            raise AlreadyExists("names must be unique")
        self.jobs[name] = {
            **request,
            "TransformJobArn": f"arn:{name}",
            "TransformJobStatus": "InProgress",
            "CreationTime": datetime.now(UTC),
        }
        self.tags = request["Tags"]

    def describe_transform_job(self, request: dict[str, Any]) -> dict[str, Any]:
        return self.jobs[request["TransformJobName"]]

    def stop_transform_job(self, request: dict[str, Any]) -> None:
        self.jobs[request["TransformJobName"]]["TransformJobStatus"] = "Stopping"

    def list_tags(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"Tags": self.tags}


def job_of(service: Service, request: dict[str, Any] | None, name: str = "") -> TransformJob:
    made = name or (request or {})["TransformJobName"]
    reading = transform.WIRING.reading
    return TransformJob(TRANSFORM, service, "aws.sagemaker.batch_transform", reading, made, request)  # type: ignore[arg-type]


async def test_a_refusal_names_what_contradicts_each_other() -> None:
    refused = ServiceError("SageMaker CreateTransformJob was refused (ValidationException): no")
    job = job_of(Service(refused), body(max_concurrent=5, max_payload=100, batch_strategy="MultiRecord"))
    with pytest.raises(ServiceError) as caught:
        await job.launch()
    assert str(caught.value).startswith(f"{refused}; --max_concurrent 5")
    assert "--batch_strategy" in str(caught.value)
    assert caught.value.__cause__ is refused


@pytest.mark.parametrize("refusal", [Throttled("slow"), NameTaken("mine"), Denied("not authorized")])
async def test_any_other_failure_is_itself(refusal: Exception) -> None:
    with pytest.raises(type(refusal)) as caught:
        await job_of(Service(refusal), body()).launch()
    assert str(caught.value) == str(refusal)


async def test_made_adopted_and_stopped() -> None:
    service, request = Service(), body(IN_RUN)
    assert transform.WIRING.job() is TransformJob
    launched = await job_of(service, request).launch()
    assert (launched.adopted, launched.job) == (False, request["TransformJobName"])
    assert "/transform-jobs/" in launched.links["job"]
    again = job_of(service, request)
    assert (await again.launch()).adopted
    assert len(service.jobs) == 1
    assert await again.stop() is StopAnswer.AGREED
    assert (await again.describe()).phase is Phase.STOPPING
    assert "stop-transform-job" in again.stop_command
    assert "--transform-job-name" in again.stop_command


async def test_attaching_asks_for_nothing_to_be_made() -> None:
    service = Service()
    await job_of(service, body(job_name="theirs")).launch()
    assert (await job_of(service, None, "theirs").launch()).adopted
    assert service.calls[-1] == "describe_transform_job"


def test_both_of_an_instances_streams_are_of_the_job() -> None:
    job = job_of(Service(), body(job_name="mine"))
    assert job.kind.log_group == "/aws/sagemaker/TransformJobs"
    for stream in ("mine/i-0ab12cd-1700000000", "mine/i-0ab12cd-1700000000/data-log"):
        assert stream.startswith(job.log_prefix)


# ── The status ──────────────────────────────────────────────────────────────────────────────────────────────────────

BEGAN = datetime(2026, 1, 31, 12, tzinfo=UTC)


def description(state: str, **more: Any) -> dict[str, Any]:
    output = {"S3OutputPath": "s3://b/out"}
    return {"TransformJobName": "job", "TransformJobStatus": state, "TransformOutput": output, **more}


@pytest.mark.parametrize(
    ("state", "phase", "brief"),
    JOB_STATES,
)
def test_the_services_words(state: str, phase: Phase, brief: bool) -> None:
    status = transform.status(description(state))
    assert (status.phase, status.state, status.brief) == (phase, state, brief)
    assert (status.reason, status.hint) == ("", "")


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("ClientError: See job logs for more information", "last log lines"),
        ("AlgorithmError: See job logs for more information", "last log lines"),
        ("ClientError: Bad HTTP status received from algorithm: 413", "--max_payload"),
        ("ClientError: Bad HTTP status received from algorithm: 500", "--max_concurrent"),
        (
            "AlgorithmError: Model server did not respond to /invocations request within 600 s",
            "--max_payload",
        ),
        ("ClientError: No S3 objects found under s3://b/in", "no data under"),
        ("InternalServerError: We encountered an internal error", ""),
    ],
)
def test_why_it_failed(reason: str, advice: str) -> None:
    status = transform.status(description("Failed", FailureReason=reason))
    assert status.reason == reason
    assert advice in status.hint == hint(reason)
    assert bool(status.hint) is bool(advice)


def test_facts_of_an_ended_job() -> None:
    times = {"TransformStartTime": BEGAN, "TransformEndTime": BEGAN + timedelta(seconds=90)}
    done = transform.status(description("Completed", TransformResources={"InstanceCount": 2}, **times))
    assert done.facts == {"ran": "90 s × 2 instances", "output": "s3://b/out"}
    assert transform.status(description("Failed", **times)).facts == {"ran": "90 s × 1 instance"}
    assert transform.status(description("InProgress", **times)).facts == {}
    assert transform.status(description("Completed")).facts == {"output": "s3://b/out"}


async def test_outputs() -> None:
    found = await transform.outputs(None, description("Completed"))  # type: ignore[arg-type]
    assert found == transform.TransformOutputs(output_location="s3://b/out")
