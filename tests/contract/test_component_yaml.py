"""Every component.yaml, as Kubeflow Pipelines reads it, and against what the predecessor's users wrote.

Whether the files are those that the specs give is `kfp-runner compile --check`'s affair.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.paths import COMPONENTS, CONTRACTS, component_id

FILES = sorted(COMPONENTS.rglob("component.yaml"))
PARAMETERS: Mapping[str, Any] = {
    "String": "text",
    "Integer": 1,
    "Float": 1.5,
    "Bool": True,
    "JsonObject": {"k": "10"},
    "JsonArray": [{"k": "10"}],
}
"""The types that are parameters under Kubeflow Pipelines v2, which chain; each with a value."""
ARTIFACTS = {"Metrics", "UI metadata"}
"""The types that stay artifacts: files for the user interface."""

every_component = pytest.mark.parametrize("path", FILES, ids=component_id)

CONSUMER = """
name: Consumer
inputs: [{{name: value, type: {type}}}]
implementation: {{container: {{image: 'consumer:1', command: [echo], args: [{{inputValue: value}}]}}}}
"""


PRODUCER = """
name: Producer
outputs: [{name: file}]
implementation: {container: {image: 'producer:1', command: [cp], args: [{outputPath: file}]}}
"""


def read(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text())


def predecessor(path: Path) -> dict[str, Any]:
    """Return the predecessor's contract of the same component, or skip."""
    if not CONTRACTS.is_file():
        pytest.skip(f"no recorded contracts at {CONTRACTS}")
    provider, _, name = component_id(path).rpartition(".")
    known = json.loads(CONTRACTS.read_text())["components"]
    if provider != "aws.sagemaker" or name not in known:
        pytest.skip("the component has no predecessor")
    return known[name]


def test_there_are_components() -> None:
    assert FILES, "no component.yaml: run `kfp-runner compile`"


@every_component
def test_inputs_are_the_predecessors_then_ours(path: Path) -> None:
    theirs, ours = predecessor(path)["inputs"], read(path)["inputs"]
    for their, our in zip(theirs, ours, strict=False):
        assert (our["name"], our["type"], our.get("default")) == (
            their["name"],
            their["type"],
            their["default"],
        )
    assert len(ours) >= len(theirs)
    assert all("default" in our for our in ours[len(theirs) :]), "an input of ours alone has to be optional"


@every_component
def test_name_and_outputs_are_the_predecessors_then_ours(path: Path) -> None:
    contract, ours = predecessor(path), read(path)
    theirs = [output["name"] for output in contract["outputs"]]
    assert ours["name"] == contract["display_name"]
    assert [output["name"] for output in ours["outputs"]][: len(theirs)] == theirs


@every_component
def test_types_and_defaults(path: Path) -> None:
    component = read(path)
    for spec in component["inputs"]:
        assert spec.get("type", "a file's") in {*PARAMETERS, "a file's"}, spec
        assert "default" in spec or not spec.get("optional"), spec
        assert isinstance(spec.get("default", ""), str), "a default is text in this format"
        assert spec["description"].strip()
    for spec in component["outputs"]:
        assert spec["type"] in {*PARAMETERS, *ARTIFACTS}, "an output without a type does not chain"


@every_component
def test_command_is_in_exec_form(path: Path) -> None:
    component = read(path)
    container = component["implementation"]["container"]
    assert container["command"] == ["python3", "-m", "runner", "run", component_id(path)]

    # Pairs of a name and its value, nothing conditional or concatenated: back ends up to 2.16 don't resolve those.
    given = [{"inputValue" if "type" in spec else "inputPath": spec["name"]} for spec in component["inputs"]]
    given += [{"outputPath": spec["name"]} for spec in component["outputs"]]
    names = [f"--{spec['name']}" + ("" if "type" in spec else "_path") for spec in component["inputs"]]
    names += [f"--{spec['name']}_output_path" for spec in component["outputs"]]
    assert container["args"] == [word for pair in zip(names, given, strict=True) for word in pair]


@every_component
def test_outputs_chain_under_kubeflow_pipelines(path: Path, tmp_path: Path) -> None:
    """Every typed output goes into an input of its type, in a pipeline that compiles."""
    from kfp import compiler, components, dsl

    step = components.load_component_from_file(str(path))
    spec = read(path)
    required = {
        i["name"]: PARAMETERS[i["type"]] for i in spec["inputs"] if "default" not in i and "type" in i
    }
    files = [i["name"] for i in spec["inputs"] if "type" not in i]
    consumers = {
        output["name"]: components.load_component_from_text(CONSUMER.format(type=output["type"]))
        for output in spec["outputs"]
        if output["type"] in PARAMETERS
    }

    # Without `-> None`: Kubeflow Pipelines reads annotations as they're written, and takes the text for an artifact.
    @dsl.pipeline(name="chain")
    def chain():
        made = step(
            **required, **{name: components.load_component_from_text(PRODUCER)().output for name in files}
        )
        for name, consume in consumers.items():
            consume(value=made.outputs[name])

    target = tmp_path / "chain.yaml"
    compiler.Compiler().compile(chain, str(target))
    compiled = yaml.safe_load(target.read_text())
    tasks = compiled["root"]["dag"]["tasks"].values()
    chained = {
        task["inputs"]["parameters"]["value"]["taskOutputParameter"]["outputParameterKey"]
        for task in tasks
        if "value" in task.get("inputs", {}).get("parameters", {})
    }
    assert chained == set(consumers)
    executors = compiled["deploymentSpec"]["executors"].values()
    assert [*("python3", "-m", "runner", "run"), component_id(path)] in [
        e["container"]["command"] for e in executors
    ]


def test_a_release_s_inputs_are_those_of_hydrosphere_s_own_component() -> None:
    """As its component.yaml had them; the contract comes as a file, untyped, which kfp 2 needs for an artifact."""
    component = read(COMPONENTS / "hydrosphere" / "release" / "component.yaml")
    assert component["name"] == "Hydrosphere - Model Release"
    theirs = [(i["name"], i.get("type"), i.get("default")) for i in component["inputs"]][:9]
    assert theirs == [
        ("cluster", "String", None),
        ("model_name", "String", None),
        ("path", "String", ""),
        ("payload", "JsonArray", "[]"),
        ("contract", None, None),
        ("runtime", "String", ""),
        ("install_command", "String", ""),
        ("training_data", "String", ""),
        ("metadata", "JsonObject", "{}"),
    ]
    args = component["implementation"]["container"]["args"]
    assert args[args.index("--contract_path") + 1] == {"inputPath": "contract"}
    assert component["outputs"][0]["name"] == "version"
