"""`kfp-runner stop`: which component it starts, and with what; and dashes in the arguments of `run` and `watch`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from runner import catalog, cli
from runner.identity import Identity
from runner.inputs import Flag, Inputs, JsonArray, Outputs, arg
from runner.job import Component
from runner.testing import FakeJob

TRAIN, STOP = "aws.sagemaker.train", "aws.sagemaker.stop"


class StopInputs(Inputs):
    region: str = arg("Where.")
    run_id: str = arg("Whose.", "")
    dry_run: Flag = arg("Only look.", False)


class StopOutputs(Outputs):
    stopped: JsonArray = arg("What was stopped.", [])


class Stopper(FakeJob):
    async def outputs(self) -> Outputs:
        return StopOutputs(stopped=["a"])


class Started:
    """A component that remembers with what it was started."""

    def __init__(self) -> None:
        self.inputs: list[Any] = []
        self.component = Component(
            name="Stop",
            summary="Stops.",
            inputs=StopInputs,
            outputs=StopOutputs,
            request=lambda _inputs, _identity: {},
            check=self._never,
            connect=self._connect,
            attach=self._never,
        )

    @staticmethod
    def _never(*_: object) -> Any:
        raise AssertionError

    @asynccontextmanager
    async def _connect(self, inputs: Any, _identity: Identity) -> AsyncIterator[FakeJob]:
        self.inputs.append(inputs)
        yield Stopper("order", runs=0.0, launching=0.0)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    made = Started()
    monkeypatch.setattr(catalog, "ids", lambda: iter(["a.run", "a.stop"]))
    monkeypatch.setattr(catalog, "load", {"a.stop": made.component, "a.run": made.component}.__getitem__)
    return made


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the command line in an empty folder; return its exit code and its last word."""
    monkeypatch.chdir(tmp_path)

    def run(*argv: str) -> tuple[int, str]:
        code = cli.main(argv)
        captured = capsys.readouterr()
        run.out = captured.out  # type: ignore[attr-defined]
        return code, (captured.err.splitlines() or [""])[-1]

    return run


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--run-id", "r", "--region", "x"], StopInputs(region="x", run_id="r")),
        (["--run_id=r", "--region=x", "--dry-run"], StopInputs(region="x", run_id="r", dry_run=True)),
        (["--region=x", "--dry_run", "True"], StopInputs(region="x", dry_run=True)),
        (["--run-id", "-1", "--region", "-x"], StopInputs(region="-x", run_id="-1")),
        (["--run-id=-dry-run", "--region=x"], StopInputs(region="x", run_id="-dry-run")),
        (["a.stop", "--region=x", "--run-id=r"], StopInputs(region="x", run_id="r")),
    ],
)
def test_it_starts_the_component_that_stops(
    call: Any, started: Started, argv: list[str], expected: StopInputs
) -> None:
    assert call("stop", *argv) == (0, "")
    assert started.inputs == [expected]


def test_output_files_are_written_where_they_are_asked_for(
    call: Any, started: Started, tmp_path: Path
) -> None:
    stray = Path("/tmp/stopped")
    before = stray.stat().st_mtime_ns if stray.exists() else None
    assert call("stop", "--region=x") == (0, "")
    assert (stray.stat().st_mtime_ns if stray.exists() else None) == before
    path, events = tmp_path / "o" / "data", tmp_path / "events"
    assert call("stop", "--region=x", f"--stopped-output-path={path}", f"--events={events}") == (0, "")
    assert path.read_text() == '["a"]'
    assert json.loads(events.read_text().splitlines()[0])["event"] == "launched"


@pytest.mark.parametrize(
    ("argv", "word"),
    [
        (["--run-id", "r"], "--region is required"),
        (["--region=x", "--run-di", "r"], "--run-di is unknown; did you mean --run_id?"),
        (["--region=x", "--run-id", "-dry-run"], "--run_id is given without a value"),
        (["--region=x", "--run-id", "-region"], "--run_id is given without a value"),
        (["--region=x", "--dry-run=True"], "--dry-run is given 'True', but takes no value"),
        (["--region=x", "--dry-run", "--dry_run", "False"], "--dry_run is given twice"),
        (["--region=x", "--time-limit", "soon"], "--time-limit is 'soon'"),
        (["--region=x", "--local"], "--local is "),
        (["--region=x", "--events=/nonexistent/a"], "--events /nonexistent/a: can't write there"),
        (["--region=x", "--stopped_output_path="], "--stopped_output_path is blank"),
        (["a.run", "--region=x"], "COMPONENT is 'a.run', which does not stop jobs; there are: a.stop"),
    ],
)
def test_what_is_wrong_is_the_last_line(call: Any, started: Started, argv: list[str], word: str) -> None:
    code, last = call("stop", *argv)
    assert (code, word in last) == (2, True), last
    assert started.inputs == []


def test_of_several_one_has_to_be_named(call: Any, started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "ids", lambda: iter(["a.stop", "b.stop", "nonstop"]))
    assert call("stop", "--region=x") == (2, "kfp-runner: COMPONENT is missing; there are: a.stop, b.stop")
    assert call("stop", "a.stop", "--region=x") == (0, "")


@pytest.mark.parametrize("argv", [["--help"], [STOP, "-h"], ["--region", "x", "--help"]])
def test_it_has_help(call: Any, argv: list[str]) -> None:
    assert call("stop", *argv) == (0, "")
    assert "usage: kfp-runner stop [COMPONENT] [--dry-run]" in call.out
    assert "--job_names" in call.out


def test_alone_it_tells_what_it_needs(call: Any) -> None:
    code, last = call("stop")
    assert (code, last) == (2, "kfp-runner: --region is required: AWS region to work in, such as eu-west-1.")
    assert "usage: kfp-runner stop" in call.out


def test_the_general_help_names_it(call: Any) -> None:
    assert call("--help") == (0, "")
    assert "\n  stop " in call.out


# ── dashes ──────────────────────────────────────────────────────────────────────────────────────────────────────────

GIVEN = {
    "region": "eu-west-1",
    "role": "arn:aws:iam::123456789012:role/x",
    "algorithm-name": "k-means",
    "model-artifact-path": "s3://b/o",
    "channels": '[{"ChannelName": "train", "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/p"}}}]',
}


def dashed(**more: str) -> list[str]:
    given = {**GIVEN, **{name.replace("_", "-"): value for name, value in more.items()}}
    return [f"--{name}={value}" for name, value in given.items()]


def sent(call: Any, *argv: str) -> dict[str, Any]:
    outputs = [
        f"--{name}-output-path=o/{name}" for name in ("job_name", "model_artifact_url", "training_image")
    ]
    assert call("run", TRAIN, "--dry-run", *argv, *outputs) == (0, "")
    request: dict[str, Any] = json.loads(call.out)["CreateTrainingJob"]
    return request


def test_run_takes_dashes_for_underscores(call: Any) -> None:
    request = sent(call, *dashed(max_run_time="77", job_name="a-b"), "--time-limit", "5", "--run-key", "k")
    assert request["TrainingJobName"] == "a-b"
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 77}


def test_the_inputs_file_takes_them_too_and_the_command_line_wins(call: Any, tmp_path: Path) -> None:
    content = {**GIVEN, "max-run-time": 5, "put-mode": "Pipe", "job-name": "from-the-file"}
    (tmp_path / "in.json").write_text(json.dumps(content))
    request = sent(
        call, "-f", "in.json", "--job_name", "mine", "--max-run-time=6", "--training-input-mode=File"
    )
    assert request["TrainingJobName"] == "mine"
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 6}
    assert request["AlgorithmSpecification"]["TrainingInputMode"] == "File"


def test_an_option_of_ours_wins_over_an_argument_but_for_its_dash(call: Any) -> None:
    """`--dry-run` is the option of `run`, which prints the requests; `--dry_run` the component's argument."""
    assert call("run", STOP, "--dry-run", "--region=eu-west-1", "--run-id=r", "--dry_run=True") == (0, "")
    assert "ListTrainingJobs" in json.loads(call.out)


@pytest.mark.parametrize("option", ["time-limit", "local", "run-key", "dry-run"])
def test_an_option_does_not_stand_in_the_inputs_file(call: Any, tmp_path: Path, option: str) -> None:
    (tmp_path / "in.json").write_text(json.dumps({**GIVEN, option: "5"}))
    code, last = call("run", TRAIN, "--dry-run", "-f", "in.json")
    assert (code, f"--{option} is an option of the command line" in last) == (2, True), last


def test_watch_takes_them_too(call: Any) -> None:
    code, last = call("watch", TRAIN, "job", "--region=nowhere", "--assume-role", "arn:x")
    assert (code, last) == (
        2,
        "kfp-runner: --region is 'nowhere', which is no AWS region; write one such as eu-west-1",
    )
