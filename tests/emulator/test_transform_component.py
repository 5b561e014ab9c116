"""The batch transform component as a pipeline starts it, against an embedded AWS that really serves its models."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.emulator.component_steps import created, step
from tests.emulator.helpers import DIGITS, ROLE, Aws, embedded, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

OWN = """
    import http.server

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.answer(b"{}" if "execution" in self.path else b"")

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            print("asked for", body.decode().strip(), flush=True)
            if body.startswith(b"bad"):
                self.send_error(500)
                return
            while body.startswith(b"/") and not os.path.exists(body.decode().strip()):
                time.sleep(0.02)
            self.answer(body.upper())

        def answer(self, body):
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    port = int(os.environ["SAGEMAKER_BIND_TO_PORT"])
    http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
"""Answers in capitals; waits for a file that the record names if it begins with a slash, and fails if with `bad`."""

INPUTS = {
    "region": "us-east-1",
    "model_name": "mine",
    "input_location": "s3://data/in/",
    "split_type": "Line",
    "batch_strategy": "SingleRecord",
    "assemble_with": "Line",
    "output_location": "s3://results/out",
}
DIGITS_INPUTS = {
    **INPUTS,
    "model_name": "kfp-runner-samples-digits",
    "input_location": f"{DIGITS}/test/",
    "content_type": "text/csv",
    "batch_strategy": "",
    "accept": "text/csv",
}


async def prepared(aws: Aws, text: str) -> None:
    """Make the model, and one object to transform."""
    await aws.s3.create_bucket(Bucket="data")
    await aws.s3.put_object(Bucket="data", Key="in/rows.txt", Body=text.encode())
    await aws.sagemaker.create_model(
        ModelName="mine", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "job"}
    )


async def status(aws: Aws, name: str) -> str:
    answer: dict[str, Any] = await aws.sagemaker.describe_transform_job(TransformJobName=name)
    return str(answer["TransformJobStatus"])


async def test_the_sample_model_sorts_the_digits_and_both_logs_are_shown(tmp_path: Path) -> None:
    async with embedded() as aws, step(aws, tmp_path, "batch_transform", DIGITS_INPUTS) as run:
        assert await run.end() == 0, run
        (key,) = await aws.keys("results", "out")
        answers = (await aws.get("results", key)).splitlines()
        wanted = (await aws.get("kfp-runner-samples", "digits/test/test.csv")).splitlines()
    assert run.output("output_location") == "s3://results/out"
    assert len(answers) == len(wanted) == 355
    streams = {event["stream"] for event in run.events("log")}
    assert len(streams) == 2
    assert [stream for stream in streams if stream.endswith("/data-log")]
    (end,) = run.events("finished")
    assert end["status"]["facts"]["output"] == "s3://results/out"
    assert end["lines"] == len(run.events("log"))


async def test_an_own_model_is_sent_each_record(tmp_path: Path) -> None:
    async with embedded(OWN) as aws:
        await prepared(aws, "a\nb\n")
        async with step(aws, tmp_path, "batch_transform", {**INPUTS, "job_name": "mine"}) as run:
            assert await run.end() == 0, run
        (key,) = await aws.keys("results", "out")
        assert (await aws.get("results", key)).split() == [b"A", b"B"]
    assert {"asked for a", "asked for b"} <= {event["text"] for event in run.events("log")}


async def test_a_model_that_fails_fails_the_step(tmp_path: Path) -> None:
    async with embedded(OWN) as aws:
        await prepared(aws, "bad\n")
        async with step(aws, tmp_path, "batch_transform", INPUTS) as run:
            assert await run.end() == 1, run
    (end,) = run.events("finished")
    assert end["status"]["phase"] == "Failed"
    assert end["status"]["reason"]
    assert "log lines" in end["status"]["hint"]
    assert end["status"]["reason"] in run.lines[-1]
    assert not (tmp_path / "output_location").exists()


async def test_sigterm_in_the_middle_stops_the_job(tmp_path: Path) -> None:
    async with embedded(OWN) as aws:
        await prepared(aws, f"{tmp_path / 'never'}\n")
        async with step(aws, tmp_path / "run", "batch_transform", INPUTS) as run:
            await run.until("asked for")
            run.signal(signal.SIGTERM)
            assert await run.end() == 128 + signal.SIGTERM, run
        (name,) = created(aws, "CreateTransformJob")

        async def stopped() -> bool:
            return await status(aws, name) == "Stopped"

        await eventually(stopped)
        assert await aws.keys("results", "out") == []


async def test_a_step_that_was_killed_finds_its_job_again(tmp_path: Path) -> None:
    gate, key = tmp_path / "gate", ("--run-key", "run-1")
    async with embedded(OWN) as aws:
        await prepared(aws, f"{gate}\n")
        async with step(aws, tmp_path / "first", "batch_transform", INPUTS, *key) as first:
            await first.until("asked for")
            first.signal(signal.SIGKILL)
            await first.end()
        async with step(aws, tmp_path / "second", "batch_transform", INPUTS, *key) as second:
            await second.until("asked for")
            gate.touch()
            assert await second.end() == 0, second
        assert len(created(aws, "CreateTransformJob")) == 1
    (launched,) = second.events("launched")
    assert launched["adopted"] is True


async def test_a_refusal_names_the_arguments_that_contradict_each_other(tmp_path: Path) -> None:
    inputs = {**DIGITS_INPUTS, "max_concurrent": "5", "max_payload": "100"}
    async with embedded() as aws, step(aws, tmp_path, "batch_transform", inputs) as run:
        assert await run.end() == 3, run
        assert created(aws, "CreateTransformJob") == []
    assert "--max_concurrent 5 times --max_payload 100 makes 500 MB" in run.lines[-1]


async def test_a_model_that_does_not_exist_is_told(tmp_path: Path) -> None:
    async with embedded() as aws, step(aws, tmp_path, "batch_transform", INPUTS) as run:
        assert await run.end() == 3, run
    assert "mine" in run.lines[-1]
