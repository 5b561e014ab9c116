"""Work teams and labeling jobs as a pipeline starts them, against an embedded AWS."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.emulator.component_steps import created, step
from tests.emulator.helpers import embedded, eventually
from tests.emulator.labeling_helpers import SAMPLES, TEAM, describe, labeled

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

MADE = {
    "region": "us-east-1",
    "team_name": "readers",
    "description": "Read digits",
    "user_pool": "us-east-1_Ab1",
    "user_groups": "a,b",
    "client_id": "client",
}
INPUTS = {
    "region": "us-east-1",
    "role": "arn:aws:iam::123456789012:role/sm",
    "manifest_location": f"{SAMPLES}/digits.manifest",
    "output_location": "s3://results/labels",
    "label_category_config": f"{SAMPLES}/categories.json",
    "task_type": "image classification",
    "worker_type": "private",
    "workteam_arn": TEAM,
    "ui_template": f"{SAMPLES}/template.html",
    "title": "Digits",
    "description": "Which digit is this?",
    "num_workers_per_object": "1",
    "time_limit": "60",
}
KEY = ("--run-key", "run-1")


async def test_a_team_is_made_and_then_labels(tmp_path: Path) -> None:
    async with embedded() as aws:
        async with step(aws, tmp_path / "team", "workteam", MADE) as team:
            assert await team.end() == 0, team
        arn = team.output("workteam_arn")
        inputs = {**INPUTS, "workteam_arn": arn}
        async with step(aws, tmp_path / "labels", "ground_truth", inputs) as run:
            assert await run.end() == 0, run
        (name,) = created(aws, "CreateLabelingJob")
        job = await describe(aws, name)
        rows = await labeled(aws, job)
    assert "Labeling portal: https://" in str(team)
    assert job["HumanTaskConfig"]["WorkteamArn"] == arn
    assert job["LabelAttributeName"] == name
    assert len(rows) == 40
    assert all(name in row for row in rows)
    assert run.output("output_manifest_location") == job["LabelingJobOutput"]["OutputDatasetS3Uri"]
    assert run.output("active_learning_model_arn") == " "
    metrics = run.events("metric")
    counts = [m["value"] for m in metrics if m["name"] == "labeled" and not m["final"]]
    assert counts == sorted(counts)
    assert counts[-1] == 40
    assert len(counts) > 1, "the counter was followed while the job went on"
    assert [m["value"] for m in metrics if m["final"] and m["name"] == "labeled"] == [40]
    assert '"labeled", "numberValue": 40.0' in run.output("mlpipeline_metrics")
    (end,) = run.events("finished")
    assert end["status"]["message"] == "40/40 objects labeled"
    assert end["status"]["facts"]["labeled"] == "40/40 objects"


async def test_a_restarted_step_finds_its_team_and_a_strangers_is_left_alone(tmp_path: Path) -> None:
    async with embedded() as aws:
        for attempt in ("first", "second"):
            async with step(aws, tmp_path / attempt, "workteam", MADE, *KEY) as run:
                assert await run.end() == 0, run
        async with step(aws, tmp_path / "stranger", "workteam", MADE, "--run-key", "run-2") as stranger:
            assert await stranger.end() == 3, stranger
        assert created(aws, "CreateWorkteam") == ["readers"]
    (launched,) = run.events("launched")
    assert launched["adopted"] is True
    assert "readers" in stranger.lines[-1]
    assert "--team_name" in stranger.lines[-1]


async def test_groups_of_another_identity_provider(tmp_path: Path) -> None:
    inputs = {**MADE, "user_pool": "", "client_id": ""}
    async with embedded() as aws, step(aws, tmp_path, "workteam", inputs) as run:
        assert await run.end() == 0, run
        answer = await aws.sagemaker.describe_workteam(WorkteamName="readers")
    assert answer["Workteam"]["MemberDefinitions"] == [{"OidcMemberDefinition": {"Groups": ["a", "b"]}}]


async def test_sigterm_in_the_middle_stops_the_job(tmp_path: Path) -> None:
    async with embedded() as aws:
        async with step(aws, tmp_path, "ground_truth", INPUTS) as run:
            await run.until("objects labeled")
            run.signal(signal.SIGTERM)
            assert await run.end() == 128 + signal.SIGTERM, run
        (name,) = created(aws, "CreateLabelingJob")

        async def stopped() -> bool:
            return bool((await describe(aws, name))["LabelingJobStatus"] == "Stopped")

        await eventually(stopped)
    assert not (tmp_path / "output_manifest_location").exists()


async def test_a_step_that_was_killed_finds_its_job_again(tmp_path: Path) -> None:
    async with embedded() as aws:
        async with step(aws, tmp_path / "first", "ground_truth", INPUTS, *KEY) as first:
            await first.until("objects labeled")
            first.signal(signal.SIGKILL)
            await first.end()
        async with step(aws, tmp_path / "second", "ground_truth", INPUTS, *KEY) as second:
            assert await second.end() == 0, second
        (name,) = created(aws, "CreateLabelingJob")
    (launched,) = second.events("launched")
    assert (launched["adopted"], launched["job"]) == (True, name)


async def test_a_job_that_its_own_limit_stopped_says_so(tmp_path: Path) -> None:
    inputs = {**INPUTS, "max_human_labeled_objects": "5"}
    async with embedded() as aws, step(aws, tmp_path, "ground_truth", inputs) as run:
        assert await run.end() == 1, run
    (end,) = run.events("finished")
    assert end["status"]["phase"] == "Stopped"
    assert "--max_human_labeled_objects" in end["status"]["reason"]
    assert end["status"]["message"] == "5/40 objects labeled"


async def test_bad_input_asks_for_nothing(tmp_path: Path) -> None:
    async with embedded() as aws:
        async with step(aws, tmp_path, "ground_truth", {**INPUTS, "workteam_arn": ""}) as run:
            assert await run.end() == 2, run
        assert [call for call in aws.cloud.calls if call.service == "sagemaker"] == []
    assert "--workteam_arn is blank" in run.lines[-1]
