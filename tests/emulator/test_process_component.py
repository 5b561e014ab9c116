"""The processing component as a pipeline starts it, against an embedded AWS that really runs its jobs."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.emulator.component_steps import created, step
from tests.emulator.helpers import DIGITS, embedded, eventually
from tests.emulator.processing_helpers import describe, left

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

OWN = """
    base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
    word = sys.argv[1]
    print("began", word, os.environ.get("COLOUR", ""), flush=True)
    if word == "fail":
        (base / "output").mkdir(exist_ok=True)
        (base / "output" / "message").write_text("no rows were left")
        print("something went wrong", flush=True)
        sys.exit(3)
    while word != "go" and not os.path.exists(word):
        time.sleep(0.02)
    (base / "processing" / "out" / "result.txt").write_text(word)
    print("done", flush=True)
"""
"""Waits for a file that its argument names, unless that is `go` or `fail`."""

INPUTS = {
    "region": "us-east-1",
    "role": "arn:aws:iam::123456789012:role/sm",
    "image": "job",
    "output_config": json.dumps([left("out", "s3://results/jobs/out")]),
}
SPLIT = {
    **INPUTS,
    "image": "kfp-runner-samples/split:1",
    "container_arguments": '["--test-share", "0.2"]',
    "input_config": json.dumps(
        [
            {
                "InputName": "digits",
                "S3Input": {
                    "S3Uri": f"{DIGITS}/train/",
                    "LocalPath": "/opt/ml/processing/input",
                    "S3DataType": "S3Prefix",
                    "S3InputMode": "File",
                },
            }
        ]
    ),
    "output_config": json.dumps([left("train", "s3://results/train"), left("test", "s3://results/test")]),
}


def waiting_for(*words: object) -> dict[str, str]:
    return {**INPUTS, "container_arguments": json.dumps([str(word) for word in words])}


async def test_the_sample_is_split_and_told_live(tmp_path: Path) -> None:
    async with embedded() as aws, step(aws, tmp_path, "process", {**SPLIT, "job_name": "split"}) as run:
        assert await run.end() == 0, run
        train, test = [
            (await aws.get("results", f"{name}/train.csv")).splitlines() for name in ("train", "test")
        ]
    assert run.output("job_name") == "split"
    assert json.loads(run.output("output_artifacts")) == {
        "train": "s3://results/train",
        "test": "s3://results/test",
    }
    assert len(train) + len(test) == 1442
    assert len(test) == 288
    texts = [event["text"] for event in run.events("log")]
    assert any("288 for the test" in text for text in texts)
    (end,) = run.events("finished")
    assert end["lines"] == len(texts)
    assert end["status"]["phase"] == "Succeeded"
    assert "train: s3://results/train" in end["status"]["facts"]["outputs"]


async def test_lines_are_shown_while_the_job_runs(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    inputs = {**waiting_for(gate), "environment": '{"COLOUR": "blue"}', "network_isolation": "False"}
    async with embedded(OWN) as aws, step(aws, tmp_path / "run", "process", inputs) as run:
        await run.until(f"began {gate} blue")
        (name,) = created(aws, "CreateProcessingJob")
        assert (await describe(aws, name))["ProcessingJobStatus"] == "InProgress"
        gate.touch()
        assert await run.end() == 0, run
        assert (await aws.get("results", "jobs/out/result.txt")).decode() == str(gate)
    assert run.output("job_name") == name


async def test_a_failure_shows_its_reason_the_exit_message_and_the_log(tmp_path: Path) -> None:
    async with embedded(OWN) as aws, step(aws, tmp_path, "process", waiting_for("fail")) as run:
        assert await run.end() == 1, run
    assert "no rows were left" in run.lines[-1]
    assert not (tmp_path / "output_artifacts").exists()
    assert "something went wrong" in [event["text"] for event in run.events("log")]
    (end,) = run.events("finished")
    assert end["status"]["phase"] == "Failed"
    assert end["status"]["reason"].startswith("AlgorithmError")
    assert "last log lines" in end["status"]["hint"]


async def test_its_time_limit_is_named(tmp_path: Path) -> None:
    inputs = {**waiting_for(tmp_path / "never"), "max_run_time": "1"}
    async with embedded(OWN) as aws, step(aws, tmp_path, "process", inputs) as run:
        assert await run.end() == 1, run
    (end,) = run.events("finished")
    assert "--max_run_time" in end["status"]["hint"], end


async def test_sigterm_in_the_middle_stops_the_job(tmp_path: Path) -> None:
    async with embedded(OWN) as aws:
        async with step(aws, tmp_path, "process", waiting_for(tmp_path / "never")) as run:
            await run.until("began")
            run.signal(signal.SIGTERM)
            assert await run.end() == 128 + signal.SIGTERM, run
        (name,) = created(aws, "CreateProcessingJob")

        async def stopped() -> bool:
            return bool((await describe(aws, name))["ProcessingJobStatus"] == "Stopped")

        await eventually(stopped)
    assert "stop" in run.lines[-1].lower()


async def test_a_step_that_was_killed_finds_its_job_again(tmp_path: Path) -> None:
    gate, key = tmp_path / "gate", ("--run-key", "run-1")
    async with embedded(OWN) as aws:
        async with step(aws, tmp_path / "first", "process", waiting_for(gate), *key) as first:
            await first.until("began")
            first.signal(signal.SIGKILL)
            await first.end()
        async with step(aws, tmp_path / "second", "process", waiting_for(gate), *key) as second:
            await second.until("began")
            gate.touch()
            assert await second.end() == 0, second
        (name,) = created(aws, "CreateProcessingJob")
    assert second.output("job_name") == name
    (launched,) = second.events("launched")
    assert launched["adopted"] is True
    assert [event["text"] for event in second.events("log")][-1] == "done"


async def test_a_retry_after_a_failure_is_a_fresh_job(tmp_path: Path) -> None:
    key = ("--run-key", "run-1")
    async with embedded(OWN) as aws:
        for attempt in ("first", "second"):
            async with step(aws, tmp_path / attempt, "process", waiting_for("fail"), *key) as run:
                assert await run.end() == 1, run
        first, second = created(aws, "CreateProcessingJob")
    assert second == f"{first}-2"


async def test_bad_input_asks_for_nothing(tmp_path: Path) -> None:
    inputs = {**INPUTS, "output_config": json.dumps([left("out", "s3://b/o", path="/data")])}
    async with embedded(OWN) as aws, step(aws, tmp_path, "process", inputs) as run:
        assert await run.end() == 2, run
        assert [call for call in aws.cloud.calls if call.service == "sagemaker"] == []
    assert "--output_config: OutputName 'out' has the LocalPath '/data'" in run.lines[-1]
