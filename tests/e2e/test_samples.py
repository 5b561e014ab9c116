"""The samples compile for Kubeflow Pipelines, and say what they should."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import compiler

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = sorted((ROOT / "samples").glob("*/pipeline.py"))


def compiled(sample: Path, target: Path) -> list[dict[str, Any]]:
    spec = importlib.util.spec_from_file_location(sample.parent.name, sample)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    compiler.Compiler().compile(getattr(module, sample.parent.name), str(target))
    return list(yaml.safe_load_all(target.read_text()))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda p: p.parent.name)
def test_it_compiles_and_its_steps_know_their_run(sample: Path, tmp_path: Path) -> None:
    pipeline, platform = compiled(sample, tmp_path / "pipeline.yaml")
    executors = pipeline["deploymentSpec"]["executors"]
    ours = {
        k: v["container"]
        for k, v in executors.items()
        if v["container"].get("command", [])[1:3] == ["-m", "runner"]
        and not v["container"]["command"][4].endswith(
            ".stop"
        )  # It has no job of its own to be known again by.
    }
    assert ours
    identified = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for name, container in ours.items():
        assert container["command"][:4] == ["python3", "-m", "runner", "run"]
        assert any(e["name"] == "KFP_STEP_NAME" for e in container["env"])
        assert identified[name]["fieldPathAsEnv"] == [
            {"name": "KFP_RUN_ID", "fieldPath": "metadata.labels['pipeline/runid']"}
        ]
