"""What CreateLabelingJob refuses before anything is booked, and what it says is needed instead."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from botocore.exceptions import ClientError

from components.aws.embedded.sagemaker.labeling.answers import LinesError, answers_key, json_lines, tasks
from tests.emulator.helpers import Aws, embedded
from tests.emulator.labeling_helpers import TEAM, put, request, text

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROWS = [{"source": "a"}, {"source": "b"}]
ANSWERS = [{"answer": "1"}, {"answer": "2"}]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def aws() -> AsyncIterator[Aws]:
    """One server for the module: what is refused changes nothing."""
    async with embedded() as aws:
        await put(aws, ROWS, ANSWERS)
        files = {
            "bare.manifest": text(ROWS),
            "empty.manifest": b"\n",
            "bad.manifest": b"{",
            "list.manifest": text([["a"]]),
            "sourceless.manifest": text([{"source": "a"}, {"id": 1}]),
            "mixed.manifest": text(ROWS),
            "mixed.answers.jsonl": text([{"source": "a", "answer": "1"}, {"answer": "2"}]),
            "twice.manifest": text(ROWS),
            "twice.answers.jsonl": text([{"source": "a", "answer": "1"}] * 2),
            "more.manifest": text(ROWS),
            "more.answers.jsonl": text([*ANSWERS, *ANSWERS]),
            "other.manifest": text(ROWS),
            "other.answers.jsonl": text([{"source": "z", "answer": "1"}]),
            "one.json": b'{"labels": [{"label": "a"}]}',
            "same.json": b'{"labels": [{"label": "a"}, {"label": "a"}]}',
            "none.json": b"[]",
            "many.json": categories(1001),
            "large.json": b'{"labels": ["' + b"a" * (1 << 20) + b'"]}',
            "endless.manifest": text([{"source": "a"}] * 100_001),
            "masks.manifest": text([{"source": "a"}] * 20_001),
            "long.manifest": text([{"source": "a" * (1 << 20)}]),
        }
        for key, content in files.items():
            await aws.s3.put_object(Bucket="data", Key=key, Body=content)
        yield aws


def categories(number: int) -> bytes:
    return json.dumps({"labels": [{"label": f"label-{n}"} for n in range(number)]}).encode()


async def refused(aws: Aws, *arguments: Any, **options: Any) -> tuple[str, str]:
    """Code and text of Create's refusal; nothing may have been booked."""
    with pytest.raises(ClientError) as caught:
        await aws.sagemaker.create_labeling_job(**request("refused", *arguments, **options))
    assert (await aws.sagemaker.list_labeling_jobs())["LabelingJobSummaryList"] == []
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def manifest(name: str) -> dict[str, Any]:
    return {"InputConfig": {"DataSource": {"S3DataSource": {"ManifestS3Uri": f"s3://data/{name}"}}}}


async def test_without_answers_it_says_where_to_put_them(aws: Aws) -> None:
    code, message = await refused(aws, **manifest("bare.manifest"))
    assert code == "ValidationException"
    assert message.startswith(
        "The embedded cloud has no workers: the answers of a labeling job come from a file"
    )
    assert "s3://data/bare.answers.jsonl" in message
    assert '{"source-ref": "<as in the manifest>", "answer": "<label>"}' in message


CASES = [
    (manifest("none"), "ManifestS3Uri s3://data/none can't be read. Error message from S3: The specified key"),
    (manifest("empty.manifest"), "The manifest s3://data/empty.manifest has no objects."),
    (manifest("bad.manifest"), "The manifest s3://data/bad.manifest, line 1: this is no JSON"),
    (manifest("list.manifest"), "line 1: this is no JSON object"),
    (manifest("sourceless.manifest"), "object 2: it must have a text as source-ref or source"),
    (manifest("mixed.manifest"), "mixed.answers.jsonl, object 2: source-ref or source is missing"),
    (manifest("twice.manifest"), "twice.answers.jsonl, object 2: there is another answer for 'a'"),
    (manifest("more.manifest"), "are matched by order, since none has a source-ref or source, but there are 4 for 2"),
    (manifest("endless.manifest"), "line 100001: there are more than 100000 objects, which is the limit."),
    (
        manifest("masks.manifest") | {"kind": "SemanticSegmentation", "LabelAttributeName": "a-ref"},
        "line 20001: there are more than 20000 objects, which is the limit.",
    ),
    (manifest("long.manifest"), "line 1: it is longer than 1048576 bytes, which is the limit."),
    ({"LabelCategoryConfigS3Uri": "s3://data/many.json"}, "there are 1001 label categories, at most 1000 are possible"),
    ({"LabelCategoryConfigS3Uri": "s3://data/large.json"}, "the file has 1048592 bytes, at most 1048576 are possible"),
    (manifest("other.manifest"), "have none for any object of the manifest. Of the first: there is no answer"),
    ({"LabelAttributeName": "a-metadata"}, "must not end with '-metadata'"),
    ({"LabelAttributeName": "a-ref"}, "must not end with '-ref' for the task type TextMultiClass"),
    ({"kind": "SemanticSegmentation"}, "must end with '-ref' for the task type SemanticSegmentation"),
    ({"LabelCategoryConfigS3Uri": None}, "LabelCategoryConfigS3Uri must be specified for the task type"),
    ({"LabelCategoryConfigS3Uri": "s3://data/none.json"}, 's3://data/none.json: this is not {"labels"'),
    ({"LabelCategoryConfigS3Uri": "s3://data/one.json"}, "at least 2 label categories"),
    ({"LabelCategoryConfigS3Uri": "s3://data/same.json"}, "at least 2 label categories, each once"),
    ({"LabelCategoryConfigS3Uri": "s3://data/no"}, "LabelCategoryConfigS3Uri s3://data/no can't be read."),
    ({"human": {"UiConfig": {"UiTemplateS3Uri": "s3://data/no"}}}, "UiTemplateS3Uri s3://data/no can't be read."),
    ({"human": {"UiConfig": {}}}, "either UiTemplateS3Uri or HumanTaskUiArn must be specified"),
    (
        {"human": {"WorkteamArn": f"{TEAM}-2"}},
        f"The specified Workteam '{TEAM}-2' does not exist or you do not have access to it.",
    ),
    ({"human": {"PreHumanTaskLambdaArn": "arn:x"}}, "Member must satisfy regular expression pattern"),
    ({"InputConfig": {"DataSource": {}}}, "S3DataSource must be specified"),
    ({"OutputConfig": {"S3OutputPath": "https://a/b"}}, "Invalid S3 URI: https://a/b"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "words"), CASES, ids=lambda case: str(case)[:50])
async def test_create_is_refused(aws: Aws, options: dict[str, Any], words: str) -> None:
    code, message = await refused(aws, **options)
    assert code == "ValidationException"
    assert words in message


TOPIC = "arn:aws:sns:us-east-1:123456789012:topic"
UNKNOWN = [
    {"InputConfig": {"DataSource": {"SnsDataSource": {"SnsTopicArn": TOPIC}}}},
    {"OutputConfig": {"S3OutputPath": "s3://results", "SnsTopicArn": TOPIC}},
    {"LabelingJobAlgorithmsConfig": {"LabelingJobAlgorithmSpecificationArn": "arn:aws:sagemaker:x"}},
]


@pytest.mark.parametrize("options", UNKNOWN, ids=lambda case: str(case)[:40])
async def test_what_only_aws_can_do_is_refused_honestly(aws: Aws, options: dict[str, Any]) -> None:
    code, message = await refused(aws, **options)
    assert code == "NotImplementedByEmbeddedCloud"
    assert message.startswith("CreateLabelingJob: ")


async def test_names_are_taken_once_and_unknown_ones_are_not_found() -> None:
    async with embedded() as aws:
        await put(aws, ROWS, ANSWERS)
        public = "arn:aws:sagemaker:us-east-1:394669845002:workteam/public-crowd/default"
        await aws.sagemaker.create_labeling_job(**request("job-1", human={"WorkteamArn": public}))
        with pytest.raises(ClientError, match="a labeling job with this name already exists") as caught:
            await aws.sagemaker.create_labeling_job(**request("job-1"))
        assert caught.value.response["Error"]["Code"] == "ResourceInUse"
        for call in (aws.sagemaker.describe_labeling_job, aws.sagemaker.stop_labeling_job):
            with pytest.raises(ClientError, match="Requested resource not found"):
                await call(LabelingJobName="none")


@pytest.mark.parametrize(
    ("key", "answers"),
    [
        ("a/b.manifest", "a/b.answers.jsonl"),
        ("a.b/c", "a.b/c.answers.jsonl"),
        ("x.manifest.json", "x.manifest.answers.jsonl"),
        (".manifest", ".manifest.answers.jsonl"),
    ],
)
async def test_answers_lie_beside_the_manifest(key: str, answers: str) -> None:
    assert answers_key(key) == answers


async def test_a_confidence_is_a_number_from_0_to_1() -> None:
    for wrong in (2, -1, "1", True, None):
        [task] = tasks([{"source": "a"}], [{"answer": 1, "confidence": wrong}], "x", "f")
        assert task.failure.startswith("confidence ")
    with pytest.raises(LinesError, match="NaN is no number in JSON"):
        json_lines(b'{"confidence": NaN}', "f")
