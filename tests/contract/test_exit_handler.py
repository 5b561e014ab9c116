"""A pipeline with an exit handler that stops what the run left running, as Kubeflow Pipelines compiles it."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import compiler, components, dsl

from runner.pipeline import RUN_ID_LABEL, identified, stopping
from tests.support.paths import COMPONENTS

# kfp reads annotations as values, so this file does without `from __future__ import annotations`.

SAGEMAKER = COMPONENTS / "aws" / "sagemaker"
STOP, TRAIN = (
    components.load_component_from_file(str(SAGEMAKER / name / "component.yaml"))
    for name in ("stop", "train")
)
USE = """
name: Use
inputs: [{name: names, type: JsonArray}]
implementation: {container: {image: 'use:1', command: [echo], args: [{inputValue: names}]}}
"""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    @dsl.pipeline(name="guarded")
    def guarded(region: str = "eu-west-1"):
        with dsl.ExitHandler(stopping(STOP, region=region)):
            identified(
                TRAIN(
                    region=region,
                    role="arn:r",
                    algorithm_name="k-means",
                    channels=[{"ChannelName": "train"}],
                    model_artifact_path="s3://b/o",
                )
            )

    target: Path = tmp_path_factory.mktemp("pipeline") / "guarded.yaml"
    compiler.Compiler().compile(guarded, str(target))
    pipeline, platform = yaml.safe_load_all(target.read_text())
    return pipeline, platform


def exit_task(pipeline: dict[str, Any]) -> dict[str, Any]:
    tasks = [t for t in pipeline["root"]["dag"]["tasks"].values() if "triggerPolicy" in t]
    assert len(tasks) == 1
    return dict(tasks[0])


def test_the_exit_task_runs_whatever_became_of_the_run(compiled: Any) -> None:
    task = exit_task(compiled[0])
    assert task["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"
    assert task["dependentTasks"] == ["exit-handler-1"]


def test_it_is_given_the_runs_id_and_the_pipelines_parameters(compiled: Any) -> None:
    given = exit_task(compiled[0])["inputs"]["parameters"]
    # The placeholder is replaced only where it is the whole of the argument.
    assert given["run_id"] == {"runtimeValue": {"constant": "{{$.pipeline_job_uuid}}"}}
    assert given["region"] == {"componentInputParameter": "region"}


def test_it_never_comes_from_the_cache(compiled: Any) -> None:
    assert exit_task(compiled[0])["cachingOptions"] in ({}, {"enableCache": False})


def test_the_steps_tag_their_jobs_with_the_same_id(compiled: Any) -> None:
    """Both are the run's id: the label of the pod, by way of the environment, and the placeholder."""
    executors = compiled[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    fields = [f for e in executors.values() for f in e.get("fieldPathAsEnv", ())]
    assert fields == [{"fieldPath": RUN_ID_LABEL, "name": "KFP_RUN_ID"}]


def test_what_it_stopped_can_be_used(tmp_path: Path) -> None:
    use = components.load_component_from_text(USE)

    @dsl.pipeline(name="reaper")
    def reaper(run_id: str):
        use(names=STOP(region="eu-west-1", run_id=run_id).outputs["stopped"])

    target = tmp_path / "reaper.yaml"
    compiler.Compiler().compile(reaper, str(target))
    pipeline = yaml.safe_load(target.read_text())
    channel = {"outputParameterKey": "stopped", "producerTask": "sagemaker-stop-jobs"}
    given = pipeline["root"]["dag"]["tasks"]["use"]["inputs"]["parameters"]
    assert given == {"names": {"taskOutputParameter": channel}}
    made, taken = (pipeline["components"][name] for name in ("comp-sagemaker-stop-jobs", "comp-use"))
    assert made["outputDefinitions"]["parameters"] == {"stopped": {"parameterType": "LIST"}}
    assert taken["inputDefinitions"]["parameters"] == {"names": {"parameterType": "LIST"}}
