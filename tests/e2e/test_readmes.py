"""The commands of the components' READMEs do what they say, on the embedded cloud."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
READMES = sorted((ROOT / "components").glob("**/README.md"))


def example(readme: Path) -> str:
    found = re.search(r"```sh\n((?:[^`]*\n)?kfp-runner run .*?)\n```", readme.read_text(), re.DOTALL)
    assert found, f"{readme} shows no command"
    return found.group(1)


@pytest.mark.parametrize("readme", READMES, ids=lambda p: ".".join(p.relative_to(ROOT).parts[1:-1]))
def test_its_example_runs(readme: Path, tmp_path: Path) -> None:
    command = example(readme).replace("kfp-runner run", f"{sys.executable} -m runner run", 1)
    outputs = re.findall(r"^\| `(\w+)` \|", readme.read_text().partition("## Outputs")[2], re.MULTILINE)
    files = {name: tmp_path / name / "data" for name in outputs}
    command += "".join(f" --{name}_output_path {path}" for name, path in files.items())
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert all(path.exists() for path in files.values())
