"""The components as steps of one pipeline: what one finds goes into the next, in Kubeflow Pipelines 2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.pipeline import identified
from tests.support.paths import COMPONENTS

STEPS = ("hyperparameter_tuning", "train", "model", "batch_transform")
FILES = {name: COMPONENTS / "aws" / "sagemaker" / name / "component.yaml" for name in STEPS}
CHANNELS = [{"ChannelName": "train"}]
OUTPUT = "s3://bucket/out"
CHAINED = {
    ("train", "hyperparameters"): ("hyperparameter_tuning", "best_hyperparameters"),
    ("train", "image"): ("hyperparameter_tuning", "training_image"),
    ("model", "model_artifact_url"): ("train", "model_artifact_url"),
    ("model", "image"): ("train", "training_image"),
    ("batch_transform", "model_name"): ("model", "model_name"),
}
"""Step and input → the step and output that fill it."""

missing = [name for name, path in FILES.items() if not path.exists()]
needs_all = pytest.mark.skipif(
    bool(missing), reason=f"there is no component.yaml of {', '.join(missing)} yet"
)


def compiled(target: Path) -> dict[str, Any]:
    from kfp import compiler, components, dsl

    tune, train, model, transform = (components.load_component_from_file(str(FILES[name])) for name in STEPS)
    common = {"region": "eu-west-1", "role": "arn:aws:iam::123456789012:role/sm"}

    # Without `-> None`: Kubeflow Pipelines reads annotations as they're written, and takes the text for an artifact.
    def chain():  # type: ignore[no-untyped-def]
        tuned = identified(
            tune(
                **common,
                algorithm_name="k-means",
                metric_name="test:msd",
                metric_type="Minimize",
                max_num_jobs=4,
                max_parallel_jobs=2,
                channels=CHANNELS,
                output_location=OUTPUT,
            )
        )
        trained = identified(
            train(
                **common,
                image=tuned.outputs["training_image"],
                hyperparameters=tuned.outputs["best_hyperparameters"],
                channels=CHANNELS,
                model_artifact_path=OUTPUT,
            )
        )
        made = identified(
            model(
                **common,
                model_name="digits",
                image=trained.outputs["training_image"],
                model_artifact_url=trained.outputs["model_artifact_url"],
            )
        )
        identified(
            transform(
                region="eu-west-1",
                model_name=made.outputs["model_name"],
                input_location="s3://bucket/test",
                output_location=OUTPUT,
            )
        )

    compiler.Compiler().compile(dsl.pipeline(name="chain")(chain), str(target))
    found: dict[str, Any] = next(yaml.safe_load_all(target.read_text()))
    return found


@needs_all
def test_what_was_found_is_trained_with_made_a_model_and_used(tmp_path: Path) -> None:
    pipeline = compiled(tmp_path / "chain.yaml")
    tasks = pipeline["root"]["dag"]["tasks"]
    component = {key: task["componentRef"]["name"] for key, task in tasks.items()}
    commands = {
        name.removeprefix("exec-"): executor["container"]["command"][-1].rpartition(".")[2]
        for name, executor in pipeline["deploymentSpec"]["executors"].items()
    }
    step = {key: commands[name.removeprefix("comp-")] for key, name in component.items()}
    chained = {
        (step[key], name): (step[source["producerTask"]], source["outputParameterKey"])
        for key, task in tasks.items()
        for name, given in task["inputs"]["parameters"].items()
        if (source := given.get("taskOutputParameter"))
    }
    assert chained == CHAINED


@needs_all
def test_outputs_and_inputs_that_chain_are_of_one_type() -> None:
    specs = {name: yaml.safe_load(path.read_text()) for name, path in FILES.items()}
    for (taker, name), (giver, output) in CHAINED.items():
        (taken,) = [i["type"] for i in specs[taker]["inputs"] if i["name"] == name]
        (given,) = [o["type"] for o in specs[giver]["outputs"] if o["name"] == output]
        assert taken == given, (taker, name)
