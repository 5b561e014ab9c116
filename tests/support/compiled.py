"""A compiled pipeline whose steps are run here, one by one, with the arguments that a back end would fill in."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from kfp import compiler

from tests.support.paths import ROOT

RUN_ID = "a-run"
_PLACEHOLDER = re.compile(r"\{\{\$\.(inputs|outputs)\.(\w+)\['(\w+)'\](?:\.\w+)?\}\}")


@dataclass
class Run:
    """A run of a pipeline, with what its steps have left so far."""

    pipeline: Mapping[str, Any]
    parameters: Mapping[str, Any]
    """The pipeline's own."""
    folder: Path
    mounts: Mapping[str, Sequence[str]]
    """Executor → where it sees the run's volume, which is the folder `volume`."""
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    """Of each task: output parameter → value."""

    @classmethod
    def of(cls, function: Any, folder: Path, **parameters: Any) -> Run:
        """Compile a pipeline's function."""
        target = folder / "pipeline.yaml"
        compiler.Compiler().compile(function, str(target))
        pipeline, platform = yaml.safe_load_all(target.read_text())
        defaults = {
            name: given["defaultValue"]
            for name, given in pipeline["root"]["inputDefinitions"]["parameters"].items()
            if "defaultValue" in given
        }
        executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        mounts = {
            name: [mount["mountPath"] for mount in executor.get("pvcMount", [])]
            for name, executor in executors.items()
        }
        return cls(pipeline, {**defaults, **parameters}, folder, mounts)

    async def step(self, name: str) -> str:
        """Run a step as a process; return what it printed. Asserts that it ended well."""
        task = self._task(name)
        component = self.pipeline["components"][task["componentRef"]["name"]]
        container = self.pipeline["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
        values = self._values(component.get("inputDefinitions", {}).get("parameters", {}), task)
        for mount in self.mounts.get(component["executorLabel"], []):
            values = {key: self._on_volume(value, mount) for key, value in values.items()}
        if "--executor_input" in container["args"]:
            command = self._function(name, container, values, component)
        else:
            words = [*container["command"], *container["args"]]
            command = [sys.executable, *(self._filled(name, task, values, word) for word in words[1:])]
        environment = {row["name"]: row["value"] for row in container.get("env", [])}
        said = await _ran(command, {**os.environ, "KFP_RUN_ID": RUN_ID, **environment})
        for output in component.get("outputDefinitions", {}).get("parameters", {}):
            self.outputs.setdefault(name, {})[output] = self._place(name, output).read_text()
        return said

    def _task(self, name: str) -> Mapping[str, Any]:
        dags = [self.pipeline["root"], *self.pipeline["components"].values()]
        found: Mapping[str, Any] = next(
            dag["dag"]["tasks"][name] for dag in dags if name in dag.get("dag", {}).get("tasks", {})
        )
        return found

    def _on_volume(self, value: Any, mount: str) -> Any:
        there = isinstance(value, str) and value.startswith(f"{mount}/")
        return value.replace(mount, str(self.folder / "volume"), 1) if there else value

    def _values(self, known: Mapping[str, Any], task: Mapping[str, Any]) -> dict[str, Any]:
        defaults = {key: given["defaultValue"] for key, given in known.items() if "defaultValue" in given}
        given = task.get("inputs", {}).get("parameters", {})
        return defaults | {key: self._value(source) for key, source in given.items()}

    def _value(self, source: Mapping[str, Any]) -> Any:
        if made := source.get("taskOutputParameter"):
            return self.outputs[made["producerTask"]][made["outputParameterKey"]]
        if channel := source.get("componentInputParameter"):
            return self.parameters[channel.removeprefix("pipelinechannel--")]
        constant = source["runtimeValue"]["constant"]
        return RUN_ID if constant == "{{$.pipeline_job_uuid}}" else constant

    def _filled(self, name: str, task: Mapping[str, Any], values: Mapping[str, Any], word: str) -> str:
        """A word of the command line, its placeholder replaced as a launcher does."""

        def filled(found: re.Match[str]) -> str:
            side, kind, key = found.groups()
            if side == "inputs" and kind == "parameters":
                value = values[key]
                return value if isinstance(value, str) else json.dumps(value)
            if side == "inputs":
                made = task["inputs"]["artifacts"][key]["taskOutputArtifact"]
                return str(self._place(made["producerTask"], made["outputArtifactKey"]))
            return str(self._place(name, key))

        return _PLACEHOLDER.sub(filled, word)

    def _function(
        self,
        name: str,
        container: Mapping[str, Any],
        values: Mapping[str, Any],
        component: Mapping[str, Any],
    ) -> list[str]:
        """The command of a step that is a function, less the installation of what it needs."""
        module = self.folder / f"{name.replace('-', '_')}_step.py"
        module.write_text(container["command"][-1])
        artifacts = {
            key: {
                "artifacts": [{"name": key, "type": kind["artifactType"], "uri": str(self._place(name, key))}]
            }
            for key, kind in component["outputDefinitions"].get("artifacts", {}).items()
        }
        given = {
            "inputs": {"parameterValues": values},
            "outputs": {"artifacts": artifacts, "outputFile": str(self._place(name, "executor_output"))},
        }
        function = container["args"][container["args"].index("--function_to_execute") + 1]
        command = [sys.executable, "-m", "kfp.dsl.executor_main", "--component_module_path", str(module)]
        return [*command, "--executor_input", json.dumps(given), "--function_to_execute", function]

    def _place(self, task: str, output: str) -> Path:
        place = self.folder / "outputs" / task / output
        place.parent.mkdir(parents=True, exist_ok=True)
        return place


async def _ran(command: Sequence[str], environment: Mapping[str, str]) -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=ROOT,
        env=environment,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()
