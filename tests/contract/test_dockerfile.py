"""The Dockerfile, as far as it can be held to anything without a container engine.

Its form is read here; the build stage's commands are really run, in a folder in place of the image's root, with the
Python of the tests. `docs/decisions/0003-image.md` says what that leaves unproven.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.dockerfile import Ignore, stages
from tests.support.paths import ROOT

BUILD, FINAL = stages((ROOT / "Dockerfile").read_text())
IGNORE = Ignore.parse((ROOT / ".dockerignore").read_text())
EVERYTHING = [*BUILD.instructions, *FINAL.instructions]

NO_INDEX = (
    "Could not find a version",
    "Temporary failure in name resolution",
    "Failed to establish a new connection",
)
NOT_FOR_STEPS = ("boto3", "flask", "kfp", "moto", "numpy", "pip", "pytest", "sklearn")


def context(source: str) -> list[Path]:
    """Return the files that a COPY of `source` takes, relative to the repository."""
    found = ROOT / source
    files = [found] if found.is_file() else [path for path in found.rglob("*") if path.is_file()]
    return [path.relative_to(ROOT) for path in files if not IGNORE.excludes(path.relative_to(ROOT))]


def test_bases_are_named_by_a_version() -> None:
    assert BUILD.base == FINAL.base, "bytecode is only good for the Python that made it"
    for stage in (BUILD, FINAL):
        assert re.search(r":\d[\w.-]*$|@sha256:[0-9a-f]{64}$", stage.base), stage.base


def test_entry_point_is_in_exec_form() -> None:
    entry_points = FINAL.all("ENTRYPOINT")
    assert [entry.exec_form for entry in entry_points] == [["python", "-m", "runner"]]
    assert FINAL.all("CMD") == []


def test_user_is_a_number_other_than_root() -> None:
    last = FINAL.all("USER")[-1]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", last.text)
    after = FINAL.instructions[FINAL.instructions.index(last) :]
    assert not [instruction for instruction in after if instruction.name in {"RUN", "COPY"}]


def test_nothing_is_fetched_but_packages() -> None:
    assert not [instruction for instruction in EVERYTHING if instruction.name == "ADD"]
    assert not re.search(
        r"https?://|curl|wget|git\+", " ".join(i.text for i in EVERYTHING if i.name != "LABEL")
    )


def test_no_secrets() -> None:
    for instruction in EVERYTHING:
        if instruction.name in {"ARG", "ENV"}:
            assert not re.search(r"key|password|secret|token", instruction.text, re.IGNORECASE), instruction


def test_pip_is_pinned_and_keeps_no_cache() -> None:
    installs = [run for run in EVERYTHING if run.name == "RUN" and "pip install" in run.text]
    assert installs
    for run in installs:
        assert "--no-cache-dir" in run.flags
        assert "--constraint constraints.txt" in run.text


def test_sources_exist_and_are_in_the_context() -> None:
    for copy in BUILD.all("COPY"):
        *sources, _ = copy.words
        assert all(context(source) for source in sources), copy
    for copy in FINAL.all("COPY"):
        assert f"--from={BUILD.name}" in copy.flags


def test_context_holds_nothing_else() -> None:
    for path in (
        ".git/config",
        ".venv/bin/python",
        "tests/conftest.py",
        "docs/design.md",
        "samples/x/pipeline.py",
    ):
        assert IGNORE.excludes(Path(path)), path
    for path in ("runner/__pycache__/a.pyc", "components/aws/sagemaker/train/__pycache__/component.pyc"):
        assert IGNORE.excludes(Path(path)), path
    for path in ("runner/py.typed", "components/aws/sagemaker/train/component.py", "LICENSE"):
        assert not IGNORE.excludes(Path(path)), path


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the build stage in a folder; return what it made of /app."""
    root = tmp_path_factory.mktemp("image")
    work, app = root / "src", root / "app"
    for copy in BUILD.all("COPY"):
        *sources, _ = copy.words
        for path in (path for source in sources for path in context(source)):
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, work / path)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for run in BUILD.all("RUN"):
        command = re.sub(r"(?<!\S)/app\b", str(app), run.text)
        done = subprocess.run(  # noqa: PLW1510  judged below
            ["/bin/sh", "-c", command],
            cwd=work,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
        )
        if any(text in done.stderr for text in NO_INDEX):
            pytest.skip("no package index can be reached")
        assert done.returncode == 0, done.stderr
    return app


@pytest.fixture(scope="module")
def python(image: Path) -> list[str]:
    """A Python that has nothing but what the image has."""
    bare = image.parent / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    return ["/usr/bin/env", "-i", f"PYTHONPATH={image}", "PYTHONDONTWRITEBYTECODE=1", f"{bare}/bin/python"]


def call(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=50)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_built_image_runs_a_step(image: Path, python: list[str]) -> None:
    words = FINAL.all("ENTRYPOINT")[0].exec_form or []
    shown = call(*python, *words[1:], "--help", cwd=image.parent)
    assert shown.returncode == 0, shown.stderr
    assert "run" in shown.stdout

    refused = call(*python, *words[1:], "run", "aws.sagemaker.train", cwd=image.parent)
    assert refused.returncode == 2, refused.stderr
    assert "region" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.slow
def test_built_image_holds_no_more_than_steps_need(image: Path, python: list[str]) -> None:
    code = f"import importlib.util as u; print([n for n in {NOT_FOR_STEPS} if u.find_spec(n)])"
    assert call(*python, "-c", code, cwd=image.parent).stdout.strip() == "[]"
    assert not list(image.glob("tests*"))


@pytest.mark.slow
def test_built_image_is_compiled(image: Path) -> None:
    for package in ("runner", "components", "aiobotocore", "botocore", "pydantic"):
        for source in (image / package).rglob("*.py"):
            compiled = list((source.parent / "__pycache__").glob(f"{source.stem}.*.pyc"))
            assert compiled, source
            flags = int.from_bytes(compiled[0].read_bytes()[4:8], "little")
            assert flags == 1, "bytecode that depends on time stamps"
