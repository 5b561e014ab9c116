"""The predecessor's recorded behaviour, case by case, against the command line as a pipeline calls it.

A case says with which arguments the predecessor was called, and what it did: its exit code, the calls that changed
something with their exact bodies, and its output files. Ours has to do the same, save for what `BAD_INPUT` lists.
Calls that change nothing are our own affair.

The cases lie beside the repository; `KFP_RUNNER_CONFORMANCE` names another folder. Those of components that don't
exist yet are left out.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import COMPONENTS, CONFORMANCE, ROOT
from tests.support.recorder import ASSUMED_KEY, Call, recorder

FOLDER = CONFORMANCE / "sagemaker"
SIDE_BY_SIDE = 4
"""Cases that run at the same time: each mostly waits."""

BAD_INPUT = {
    "gt-unknown-region": "no image for automatic labelling there: a KeyError of the predecessor",
    "hpo-warm-start-no-parents": "a warm start needs parent jobs",
    "process-no-output": "an output without a destination",
    "process-zero-max-run-time": "max_run_time has to be positive: an AttributeError of the predecessor",
    "train-no-channels": "at least one channel has to be given",
    "train-nonstring-hyperparameter": "hyperparameters have to be strings",
    "train-spot-wait-too-short": "max_wait_time is shorter than max_run_time",
    "train-xgboost-no-version": "built-in xgboost takes a version: a ValueError of the predecessor",
}
"""Cases in which the predecessor found an input wrong only after its start, and exited with 1. Ours exits with 2, as
for all bad input: nothing was sent, so a retry is pointless."""

DEFECTS = {
    "gt-auto-labeling": (
        ("CreateLabelingJob", "LabelingJobAlgorithmsConfig", "LabelingJobAlgorithmSpecificationArn"),
        "arn:aws:sagemaker:us-east-1:027400017018:labeling-job-algorithm-specification/image-classification",
        "arn:aws:sagemaker:us-east-1:027400017018:labeling-job-algorithm-specification/object-detection",
    ),
}
"""Case → operation and path of the one member in which ours differs on purpose, what the predecessor sent there, and what
ours sends. All else of the case has to be the same.

* gt-auto-labeling: the predecessor sent the algorithm of image classification for every task, here for bounding boxes.
"""

GENERATED = re.compile(r"\d{14}-[A-Z0-9]{4}\b")
"""The part of a generated name that differs from run to run: a time stamp and a random ending."""

Case = Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What a run of ours did."""

    exit_code: int
    calls: Sequence[Call]
    outputs: Mapping[str, str]
    stdout: str
    stderr: str


def built(case: Case) -> bool:
    return (COMPONENTS / "aws" / "sagemaker" / case["component"] / "component.py").exists()


def load() -> dict[str, Case]:
    cases = [json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))]
    return {case["name"]: case for case in cases if built(case)}


CASES = load()


async def run(case: Case, out: Path) -> Outcome:
    """Run one case in a process of its own, against a recorder of its own."""
    argv = [argument.replace("{OUT}", str(out)) for argument in case["argv"]]
    async with recorder(case["region_env"]) as aws:
        aws.prepare(case["before"])
        aws.drawn = case["expected"]["outputs"]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "runner", "run", f"aws.sagemaker.{case['component']}", *argv),
            cwd=ROOT,
            env=environment(aws.url, case["region_env"], out),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(50):
                stdout, stderr = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    return Outcome(process.returncode or 0, aws.calls, read(out), stdout.decode(), stderr.decode())


def read(out: Path) -> dict[str, str]:
    return {path.parent.name: path.read_text() for path in sorted(out.glob("*/data"))}


def environment(url: str, region: str, home: Path) -> dict[str, str]:
    """Nothing of ours but the path: no configuration, no credentials, no pipeline."""
    return {
        **{name: os.environ[name] for name in ("PATH", "PYTHONDONTWRITEBYTECODE") if name in os.environ},
        "HOME": str(home),
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "AKIARECORDER",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
    }


async def run_all(cases: Sequence[Case], folder: Path) -> dict[str, Outcome]:
    places = asyncio.Semaphore(SIDE_BY_SIDE)

    async def one(case: Case) -> Outcome:
        async with places:
            out = folder / case["name"]
            out.mkdir()
            return await run(case, out)

    async with asyncio.TaskGroup() as group:
        tasks = {case["name"]: group.create_task(one(case)) for case in cases}
    return {name: task.result() for name, task in tasks.items()}


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """Run the chosen cases once, side by side."""
    items = [item.name for item in request.session.items if item.path == request.path]
    chosen = [case for name, case in CASES.items() if f"test_case[{name}]" in items]
    return asyncio.run(run_all(chosen, tmp_path_factory.mktemp("conformance")))


def by_form(*values: Any) -> list[Any]:
    """Give the generated parts of names in `values` numbers, in order of appearance: equal ones stay equal."""
    seen: dict[str, str] = {}

    def number(match: re.Match[str]) -> str:
        return seen.setdefault(match[0], f"<generated {len(seen) + 1}>")

    return json.loads(GENERATED.sub(number, json.dumps(values)))


def mended(name: str, mutations: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Return what a case expects to be sent, with the predecessor's defect in it replaced by what is right."""
    made = json.loads(json.dumps(mutations))
    if name in DEFECTS:
        (operation, *path, last), theirs, ours = DEFECTS[name]
        (body,) = (m["request"] for m in made if m["operation"] == operation)
        for part in path:
            body = body[part]
        assert body[last] == theirs, "the case does not hold the defect that it is listed for"
        body[last] = ours
    return list(made)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(
    not CASES, reason=f"no recorded case of our components in {FOLDER}; see KFP_RUNNER_CONFORMANCE"
)
@pytest.mark.parametrize("name", CASES or ["none"])
def test_case(name: str, outcomes: Mapping[str, Outcome]) -> None:
    case, outcome = CASES[name], outcomes[name]
    expected = case["expected"]
    exit_code = 2 if name in BAD_INPUT else expected["exit_code"]
    mutations = [
        {"operation": call.operation, "request": call.request, "result": str(call.status)}
        for call in outcome.calls
        if call.mutates
    ]

    assert outcome.exit_code == exit_code, outcome.stderr
    sent, written = by_form(mutations, outcome.outputs)
    expected_sent, expected_written = by_form(mended(name, expected["mutations"]), expected["outputs"])
    assert sent == expected_sent
    assert written == expected_written
    assert "Traceback" not in outcome.stderr
    if exit_code:
        assert outcome.stderr.strip(), "the last line on stderr has to be the reason"
    if exit_code == 2:
        assert outcome.calls == [], "bad input has to be found before anything is sent"
    if "AssumeRole" in expected["calls"]:
        keys = {call.access_key for call in outcome.calls if call.operation != "AssumeRole"}
        assert keys == {ASSUMED_KEY}


def test_generated_names_are_compared_by_form() -> None:
    ours = {"a": "Endpoint20270101000000-ABCD", "b": "EndpointConfig20270101000000-ABCD"}
    theirs = {"a": "Endpoint20261121032856-NVNO", "b": "EndpointConfig20261121032856-NVNO"}
    assert by_form(ours) == by_form(theirs)
    assert by_form(ours) != by_form({**theirs, "b": "EndpointConfig20261121032856-XXXX"})
    assert by_form({"a": "Endpoint-1"}) != by_form({"a": "Endpoint-2"})


def test_a_defect_is_replaced_in_its_one_member_and_nowhere_else() -> None:
    (operation, *path, last), theirs, ours = DEFECTS["gt-auto-labeling"]
    body: dict[str, Any] = {last: theirs, "more": theirs}
    for part in reversed(path):
        body = {part: body, last: theirs}
    sent = [{"operation": operation, "request": body}, {"operation": "Other", "request": {}}]
    left = mended("gt-auto-labeling", sent)
    right = json.loads(json.dumps(sent))
    right[0]["request"][path[0]][last] = ours
    assert left == right
    assert mended("gt-private-minimal", sent) == sent
    assert sent[0]["request"] == body
    with pytest.raises(AssertionError, match="does not hold the defect"):
        mended("gt-auto-labeling", left)
