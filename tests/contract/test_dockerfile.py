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

from tests.support.dockerfile import Ignore, Stage, stages, whole
from tests.support.paths import ROOT

STAGES = stages((ROOT / "Dockerfile").read_text())
FINAL, SDK = whole(STAGES, ""), whole(STAGES, "hydrosphere")
BUILDS = {"": whole(STAGES, "build"), "hydrosphere": whole(STAGES, "build-hydrosphere")}
"""Target → the stage that makes its /app."""
IGNORE = Ignore.parse((ROOT / ".dockerignore").read_text())
EVERYTHING = [instruction for stage in STAGES for instruction in stage.instructions]
targets = pytest.mark.parametrize("target", [FINAL, SDK], ids=["default", "hydrosphere"])

NO_INDEX = (
    "Could not find a version",
    "Temporary failure in name resolution",
    "Failed to establish a new connection",
)
NOT_FOR_STEPS = ("boto3", "flask", "kfp", "moto", "pip", "pytest", "sklearn")
FOR_HYDROSDK = ("grpc", "hydrosdk", "numpy", "pandas", "requests")


def context(source: str) -> list[Path]:
    """Return the files that a COPY of `source` takes, relative to the repository."""
    found = ROOT / source
    files = [found] if found.is_file() else [path for path in found.rglob("*") if path.is_file()]
    return [path.relative_to(ROOT) for path in files if not IGNORE.excludes(path.relative_to(ROOT))]


def test_bases_are_named_by_a_version() -> None:
    bases = {stage.base for stage in (FINAL, SDK, *BUILDS.values())}
    assert len(bases) == 1, "bytecode is only good for the Python that made it"
    assert re.search(r":\d[\w.-]*$|@sha256:[0-9a-f]{64}$", bases.pop())


def test_what_names_no_target_makes_the_small_image() -> None:
    assert FINAL.name == ""
    assert [copy.flags for copy in FINAL.all("COPY")] == [["--from=build"]]


@targets
def test_entry_point_is_in_exec_form(target: Stage) -> None:
    entry_points = target.all("ENTRYPOINT")
    assert [entry.exec_form for entry in entry_points] == [["python", "-m", "runner"]]
    assert target.all("CMD") == []


@targets
def test_user_is_a_number_other_than_root(target: Stage) -> None:
    last = target.all("USER")[-1]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", last.text)
    after = target.instructions[target.instructions.index(last) :]
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
    for build in BUILDS.values():
        for copy in build.all("COPY"):
            *sources, _ = copy.words
            assert all(context(source) for source in sources), copy
    for name, target in (("", FINAL), ("hydrosphere", SDK)):
        for copy in target.all("COPY"):
            assert f"--from={BUILDS[name].name}" in copy.flags


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


def built(build: Stage, root: Path) -> Path:
    """Run a build stage in a folder; return what it made of /app."""
    work, app = root / "src", root / "app"
    for copy in build.all("COPY"):
        *sources, _ = copy.words
        for path in (path for source in sources for path in context(source)):
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, work / path)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for run in build.all("RUN"):
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
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(BUILDS[""], tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="module")
def sdk_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(BUILDS["hydrosphere"], tmp_path_factory.mktemp("sdk_image"))


def bare(image: Path) -> list[str]:
    """Return the command of a Python that has nothing but what the image has."""
    made = image.parent / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", made], check=True)
    return ["/usr/bin/env", "-i", f"PYTHONPATH={image}", "PYTHONDONTWRITEBYTECODE=1", f"{made}/bin/python"]


@pytest.fixture(scope="module")
def python(image: Path) -> list[str]:
    return bare(image)


def missing(python: list[str], modules: tuple[str, ...], cwd: Path) -> list[str]:
    code = f"import importlib.util as u; print(*[n for n in {modules} if not u.find_spec(n)])"
    return call(*python, "-c", code, cwd=cwd).stdout.split()


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
    modules = NOT_FOR_STEPS + FOR_HYDROSDK
    assert missing(python, modules, image.parent) == [*modules]
    assert not list(image.glob("tests*"))


@pytest.mark.slow
def test_built_image_is_compiled(image: Path) -> None:
    for package in ("runner", "components", "aiobotocore", "botocore", "pydantic"):
        for source in (image / package).rglob("*.py"):
            compiled = list((source.parent / "__pycache__").glob(f"{source.stem}.*.pyc"))
            assert compiled, source
            flags = int.from_bytes(compiled[0].read_bytes()[4:8], "little")
            assert flags == 1, "bytecode that depends on time stamps"


SEND = """
import asyncio
from components.hydrosphere.release import _release
from components.hydrosphere.release.contract import reading as contracts
from components.hydrosphere.release.backends import hydrosdk as backend

signature = contracts.parse("inputs: {x: {type: int64}}\\noutputs: {y: {type: double}}")
asyncio.run(backend.upload("http://127.0.0.1:1", _release.Release("some-model", signature), ()))
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_image_for_hydrosdk_sends_with_it(sdk_image: Path) -> None:
    python = bare(sdk_image)
    assert missing(python, NOT_FOR_STEPS, sdk_image.parent) == [*NOT_FOR_STEPS]
    assert missing(python, FOR_HYDROSDK, sdk_image.parent) == []
    sent = call(*python, "-c", SEND, cwd=sdk_image.parent)
    assert "Unreachable: can't reach Hydrosphere at http://127.0.0.1:1" in sent.stderr, sent.stderr
