"""What CreateProcessingJob refuses, and that nothing but the image table says what is run."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from botocore.exceptions import ClientError

from components.aws.embedded.errors import ApiError
from components.aws.embedded.sagemaker.images import Command
from components.aws.embedded.sagemaker.processing.command import arguments, translated
from tests.emulator.helpers import Aws, embedded, script
from tests.emulator.processing_helpers import given, left, lines, request, run

pytestmark = pytest.mark.asyncio(loop_scope="module")

TELL = "import json, sys; print(json.dumps(sys.argv))"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def aws() -> AsyncIterator[Aws]:
    """One server for the module: what is refused changes nothing."""
    images = {"bare": "python", "tell": script("print(json.dumps(sys.argv))")}
    async with embedded("pass", images=images) as aws:
        await aws.put("data", a=b"A")
        yield aws


async def refused(aws: Aws, *arguments: Any, **options: Any) -> tuple[str, str]:
    """Code and text of Create's refusal; nothing may have been booked."""
    with pytest.raises(ClientError) as caught:
        await aws.sagemaker.create_processing_job(**request("refused", *arguments, **options))
    listed = await aws.sagemaker.list_processing_jobs(NameContains="refused")
    assert listed["ProcessingJobSummaries"] == []
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def cluster(**more: Any) -> dict[str, Any]:
    given = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1} | more
    return {"ClusterConfig": {key: value for key, value in given.items() if value is not None}}


IN = given("x", "s3://data/")
CASES = [
    ({"image": "none", "entrypoint": ["/bin/sh", "-c", "id"]}, "Invalid image URI none."),
    ({"image": "none", "arguments": ["x"]}, "--local-image none='python …'"),
    ({"entrypoint": ["python3", "x.py"]}, "is more than a program, so it stands for an entry point itself"),
    ({"image": "bare", "entrypoint": ["/bin/sh", "-c", "id"]}, "a request can't name another program"),
    ({"image": "bare", "entrypoint": [""]}, "a request can't name another program"),
    ({"image": "bare", "entrypoint": ["python3/../sh"]}, "a request can't name another program"),
    (
        {"image": "kfp-runner-samples/split:1", "entrypoint": ["python"]},
        "a built-in image has an entry point of its own",
    ),
    ({"arguments": ["/opt/ml/../../etc/passwd"]}, "does not stay below /opt/ml"),
    ({"arguments": ["--data=/opt/ml/processing/../../x"]}, "does not stay below /opt/ml"),
    ({"arguments": ["a\0b"]}, "holds a character that no process can be given"),
    ({"Environment": {"A": "/opt/ml/../x"}}, "Environment: '/opt/ml/../x' does not stay below"),
    ({"Environment": {"A": "a\0b"}}, "Environment: the value of 'A' holds a character"),
    ({"inputs": [given("x", "s3://data/", "/etc")]}, "must be a folder below /opt/ml/processing/"),
    ({"inputs": [given("x", "s3://data/", "/opt/ml/processing/../x")]}, "must be a folder below"),
    ({"inputs": [given("x", "s3://data/", "/opt/ml/config")]}, "must be a folder below"),
    ({"inputs": [IN, given("y", "s3://data/", "/opt/ml/processing/input/x/")]}, "LocalPath values of inputs must be"),
    ({"inputs": [IN, IN]}, "Input names must be unique, 'x' is not."),
    ({"inputs": [{"InputName": "x"}]}, "S3Input must be specified for 'x'."),
    ({"outputs": [left("o", "s3://results", path="/tmp")]}, "must be a folder below /opt/ml/processing/"),
    ({"outputs": [left("o", "https://a/b")]}, "Invalid S3 URI: https://a/b"),
    (
        {"inputs": [given("x", "s3://data/none")]},
        'No S3 objects found under S3 URL "s3://data/none" given in input data source.',
    ),
    ({"inputs": [given("x", "s3://nowhere/")]}, "The specified bucket does not exist"),
    ({"ProcessingResources": cluster(InstanceCount=None)}, "InstanceCount must be specified in ClusterConfig."),
    ({"ProcessingResources": cluster(InstanceCount=101)}, "less than or equal to 100"),
    ({"StoppingCondition": {"MaxRuntimeInSeconds": 0}}, "greater than or equal to 1"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "text"), CASES, ids=lambda case: str(case)[:40])
async def test_create_is_refused(aws: Aws, options: dict[str, Any], text: str) -> None:
    code, message = await refused(aws, **options)
    assert code == "ValidationException"
    assert text in message


UNKNOWN = [
    {"inputs": [{"InputName": "x", "AppManaged": True}]},
    {"inputs": [{"InputName": "x", "DatasetDefinition": {"LocalPath": "/opt/ml/processing/x"}}]},
    {"inputs": [given("x", "s3://data/", S3InputMode="Pipe")]},
    {"outputs": [{"OutputName": "o", "FeatureStoreOutput": {"FeatureGroupName": "g"}}]},
    {"outputs": [{"OutputName": "o", "AppManaged": True}]},
    {"Environment": {"LD_PRELOAD": "x.so"}},
    {"Environment": {"PYTHONPATH": "/opt/ml/processing"}},
    {"Environment": {"SAGEMAKER_BASE_DIR": "/etc"}},
    {"ProcessingResources": cluster(InstancePreferences=[{"InstanceType": "ml.m5.large"}])},
]


@pytest.mark.parametrize("options", UNKNOWN, ids=lambda case: str(case)[:60])
async def test_what_only_aws_can_do_is_refused_honestly(aws: Aws, options: dict[str, Any]) -> None:
    code, message = await refused(aws, **options)
    assert code == "NotImplementedByEmbeddedCloud"
    assert message.startswith("CreateProcessingJob: ")


async def test_arguments_follow_the_images_own_command(aws: Aws) -> None:
    await run(aws, "told", "tell", arguments=["--in=/opt/ml/processing/in", "/opt/ml", "x /opt/ml/y"])
    _, first, second, third = json.loads((await lines(aws, "told"))[0])
    root = second
    assert root.endswith("/processing-job/told/algo-1")
    assert (first, third) == (f"--in={root}/processing/in", "x /opt/ml/y")


async def test_a_bare_interpreter_runs_the_script_of_the_request(aws: Aws) -> None:
    await aws.put("code", prepare_dot_py=TELL.encode())
    code = "/opt/ml/processing/input/code"
    job = await run(
        aws,
        "scripted",
        "bare",
        entrypoint=["/usr/local/bin/python3.11", f"{code}//prepare.py"],
        arguments=["--share", "0.2"],
        inputs=[given("code", "s3://code/prepare.py", code)],
    )
    assert job["ProcessingJobStatus"] == "Completed"
    program, *words = json.loads((await lines(aws, "scripted"))[0])
    assert program.endswith("/algo-1/processing/input/code/prepare.py")
    assert words == ["--share", "0.2"]


async def test_an_entry_point_never_names_the_program_that_runs(aws: Aws, tmp_path: Path) -> None:
    impostor = tmp_path / "python3"
    impostor.write_text("#!/bin/sh\necho impostor\n")
    impostor.chmod(0o755)
    await run(aws, "named", "bare", entrypoint=[str(impostor), "-c", "import sys; print(sys.version)"])
    assert (await lines(aws, "named"))[0].startswith(sys.version.split()[0])


@pytest.mark.parametrize(
    ("mapped", "named", "runs"),
    [
        ("/venv/bin/python", "python3", True),
        ("/usr/bin/python3.12", "/opt/conda/bin/python", True),
        ("/usr/bin/Rscript", "Rscript", True),
        ("/usr/bin/python", "bash", False),
        ("/usr/bin/python", "pythonx", False),
        ("/usr/bin/python", "3", False),
    ],
)
async def test_programs_are_told_by_their_names(mapped: str, named: str, runs: bool) -> None:
    if runs:
        assert arguments(Command((mapped,)), "i", [named, "a"], ["b"]) == ("a", "b")
        return
    with pytest.raises(ApiError, match="can't name another program"):
        arguments(Command((mapped,)), "i", [named], None)


@pytest.mark.parametrize(
    ("word", "given"),
    [
        ("/opt/ml/processing/in/", "/r/processing/in/"),
        ("/opt/ml", "/r"),
        ("/opt/ml/", "/r/"),
        ("--a=/opt/ml/b=c", "--a=/r/b=c"),
        ("/opt/mlx", "/opt/mlx"),
        ("s3://b/opt/ml/x", "s3://b/opt/ml/x"),
        ("a=b=/opt/ml/x", "a=b=/opt/ml/x"),
        ("", ""),
    ],
)
async def test_words_are_translated_whole(word: str, given: str) -> None:
    assert translated(word, Path("/r")) == given
