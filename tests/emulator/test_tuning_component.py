"""The tuning component as a pipeline starts it, against an embedded AWS that really runs its trials."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import signal
import sys
from asyncio.subprocess import PIPE
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.emulator import component_steps
from tests.emulator.component_steps import Step
from tests.emulator.helpers import DIGITS, Aws, channel, embedded, eventually
from tests.support.paths import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

OWN = """
    given = json.load(open(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml") + "/input/config/hyperparameters.json"))
    x = int(given["x"])
    for n in range(int(given.get("lines", "3"))):
        print(f"trial {x} line {n}", flush=True)
    while "gate" in given and not os.path.exists(given["gate"]):
        time.sleep(0.02)
    print(f"loss={x / 10};", flush=True)
    sys.exit(3 if x == int(given.get("bad", "-1")) else 0)
"""
"""Prints its lines, waits for the gate if there is one, and says its loss."""

INPUTS: dict[str, str] = {
    "region": "us-east-1",
    "role": "arn:aws:iam::123456789012:role/sm",
    "image": "job",
    "metric_name": "loss",
    "metric_type": "Minimize",
    "metric_definitions": json.dumps({"loss": "loss=(.*);"}),
    "strategy": "Grid",
    "categorical_parameters": json.dumps([{"Name": "x", "Values": ["1", "2", "3", "4"]}]),
    "max_num_jobs": "4",
    "max_parallel_jobs": "2",
    "channels": json.dumps([channel("train", f"{DIGITS}/train/")]),
    "output_location": "s3://results/jobs",
}


def step(aws: Aws, folder: Path, *extra: str, **inputs: str) -> AbstractAsyncContextManager[Step]:
    return component_steps.step(aws, folder, "hyperparameter_tuning", {**INPUTS, **inputs}, *extra)


async def children(aws: Aws, name: str) -> dict[str, str]:
    """Trials of a tuning job → their status."""
    answer = await aws.sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name
    )
    return {s["TrainingJobName"]: s["TrainingJobStatus"] for s in answer["TrainingJobSummaries"]}


async def status(aws: Aws, name: str) -> str:
    answer = await aws.sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    return str(answer["HyperParameterTuningJobStatus"])


def static(**given: object) -> str:
    return json.dumps({name: str(value) for name, value in given.items()})


async def test_a_search_is_told_live_and_leaves_the_best(tmp_path: Path) -> None:
    async with embedded(OWN) as aws, step(aws, tmp_path, job_name="hpo") as run:
        assert await run.end() == 0, run
        best = run.output("best_job_name")
        assert await children(aws, "hpo") == dict.fromkeys(await children(aws, "hpo"), "Completed")
        assert f"jobs/{best}/output/model.tar.gz" in await aws.keys("results", "jobs/")
    assert re.fullmatch(r"hpo-00[1-4]-[0-9a-f]{8}", best)
    assert run.output("hpo_job_name") == "hpo"
    assert run.output("best_hyperparameters") == '{"x": "1"}'
    assert run.output("model_artifact_url") == f"s3://results/jobs/{best}/output/model.tar.gz"
    assert run.output("training_image") == "job"
    trials = run.events("trial")
    assert len([t for t in trials if t["phase"] == "Running"]) == 4
    ended = [t for t in trials if t["phase"] == "Succeeded"]
    assert sorted(t["objective"] for t in ended) == [0.1, 0.2, 0.3, 0.4]
    assert [t["name"] for t in ended if t["best"]][-1] == best
    assert {e["stream"] for e in run.events("log")} == {"001", "002", "003", "004"}
    assert len(run.events("log")) == 16
    assert {m["stream"] for m in run.events("metric") if not m["final"]} == {"001", "002", "003", "004"}
    assert json.loads(run.output("mlpipeline_metrics"))["metrics"][0] == {
        "name": "loss",
        "numberValue": 0.1,
        "format": "RAW",
    }
    (end,) = run.events("finished")
    assert end["status"]["facts"]["trials"] == "4 completed"
    assert end["lines"] == 16


async def test_a_trial_that_fails_shows_its_last_lines_and_the_search_goes_on(tmp_path: Path) -> None:
    given = {"trial_logs": "errors", "static_parameters": static(bad=2, lines=500)}
    async with embedded(OWN) as aws, step(aws, tmp_path, **given) as run:
        assert await run.end() == 0, run
    (failed,) = [t for t in run.events("trial") if t["phase"] == "Failed"]
    assert failed["parameters"] == {"x": "2"}
    assert failed["objective"] is None
    number = failed["name"].split("-")[-2]
    assert {e["stream"] for e in run.events("log")} == {number}
    assert [e["text"] for e in run.events("log")] == [
        *(f"trial 2 line {n}" for n in range(401, 500)),
        "loss=0.2;",
    ]
    told = " ".join(e["text"] for e in run.events("notice"))
    assert f"{failed['name']} failed: AlgorithmError" in told
    assert "1,904 log lines of 4 trials were not shown (--trial_logs errors)" in told
    assert json.loads(run.output("best_hyperparameters"))["x"] == "1"


async def test_a_search_without_a_single_success_is_a_failure_with_its_reason(tmp_path: Path) -> None:
    given = {
        "static_parameters": static(bad=1),
        "categorical_parameters": json.dumps([{"Name": "x", "Values": ["1"]}]),
        "max_num_jobs": "1",
        "max_parallel_jobs": "1",
    }
    async with embedded(OWN) as aws, step(aws, tmp_path, **given) as run:
        assert await run.end() == 1, run
    (end,) = run.events("finished")
    assert end["status"]["phase"] == "Failed"
    assert end["status"]["reason"]
    assert end["status"]["hint"]
    assert not (tmp_path / "best_job_name").exists()


async def test_a_flood_of_parallel_trials_is_shown_whole(tmp_path: Path) -> None:
    ten = json.dumps([{"Name": "x", "Values": [str(n) for n in range(10)]}])
    given = {"categorical_parameters": ten, "max_num_jobs": "0", "max_parallel_jobs": "10"}
    async with (
        embedded(OWN) as aws,
        step(aws, tmp_path, static_parameters=static(lines=1000), **given) as run,
    ):
        assert await run.end() == 0, run
    logged = [e["text"] for e in run.events("log")]
    assert len(logged) == len(set(logged)) == 10 * 1001
    assert [e["lines"] for e in run.events("log_summary")] == [10 * 1001]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_stops_the_search_and_its_trials(tmp_path: Path, number: signal.Signals) -> None:
    gate = tmp_path / "never"
    given = {"job_name": "hpo", "static_parameters": static(gate=gate)}
    async with embedded(OWN) as aws, step(aws, tmp_path, **given) as run:
        await run.until("line 2")
        run.process.send_signal(number)
        assert await run.end() == 128 + number, run

        async def over() -> bool:
            return await status(aws, "hpo") == "Stopped"

        await eventually(over)
        assert set((await children(aws, "hpo")).values()) == {"Stopped"}
    assert "the service was told to stop hpo, and agreed" in str(run)


async def test_a_restart_finds_the_search_again_and_shows_what_it_missed(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    given = {"static_parameters": static(gate=gate)}
    async with embedded(OWN) as aws:
        async with step(aws, tmp_path / "first", "--run-key", "run", **given) as first:
            await first.until("|002| trial")
            first.process.kill()
            await first.end()
        (launched,) = first.events("launched")
        async with step(aws, tmp_path / "second", "--run-key", "run", **given) as second:
            await second.until(f"{launched['job']} re-attached")
            await second.until("|001| trial")
            gate.touch()
            assert await second.end() == 0, second
        assert len(await children(aws, launched["job"])) == 4
    assert re.fullmatch(r"HPOJob-[0-9a-f]{20}", launched["job"])
    assert second.output("hpo_job_name") == launched["job"]
    trials = [(t["name"], t["phase"]) for t in second.events("trial")]
    assert len(trials) == len(set(trials)) == 8
    assert len(second.events("log")) == 16


async def test_a_search_that_was_stopped_is_begun_anew_under_the_next_name(tmp_path: Path) -> None:
    given = {"static_parameters": static(gate=tmp_path / "never")}
    names = []
    async with embedded(OWN) as aws:
        for number in range(2):
            async with step(aws, tmp_path / str(number), "--run-key", "run", **given) as run:
                await run.until("|001| trial")
                run.process.terminate()
                await run.end()
            names += [e["job"] for e in run.events("launched")]
    assert names[1] == f"{names[0]}-2"
    assert len(names[1]) <= 32


async def test_a_warm_start_begins_from_a_search_that_has_ended(tmp_path: Path) -> None:
    async with embedded(OWN) as aws:
        async with step(aws, tmp_path / "parent", job_name="parent") as parent:
            assert await parent.end() == 0, parent
        warm = {"warm_start_type": "TransferLearning", "parent_hpo_jobs": " parent "}
        async with step(aws, tmp_path / "child", job_name="child", **warm) as child:
            assert await child.end() == 0, child
    assert json.loads(child.output("best_hyperparameters")) == {"x": "1"}


async def test_a_running_search_can_be_watched_from_elsewhere(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    async with (
        embedded(OWN) as aws,
        step(aws, tmp_path, job_name="hpo", static_parameters=static(gate=gate)) as run,
    ):
        await run.until("|002| trial")
        words = shlex.split("-m runner watch aws.sagemaker.hyperparameter_tuning --region us-east-1 hpo")
        watch = await asyncio.create_subprocess_exec(
            sys.executable,
            *words,
            cwd=ROOT,
            env={**os.environ, "AWS_ENDPOINT_URL": aws.cloud.url, "KFP_RUNNER_EMBEDDED": "aws"}
            | {"AWS_ACCESS_KEY_ID": "embedded", "AWS_SECRET_ACCESS_KEY": "embedded"},
            stdout=PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        assert watch.stdout is not None
        seen = b""
        async with asyncio.timeout(40):
            while b"|002| trial" not in seen:
                seen += await watch.stdout.read(4096)
        gate.touch()
        assert await run.end() == 0, run
        async with asyncio.timeout(40):
            seen += (await watch.communicate())[0]
        assert watch.returncode == 0, seen.decode()
        assert b"best so far" in seen
