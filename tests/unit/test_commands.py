"""The command line in this process: what it says of wrong options, before anything is started."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner import cli
from runner.errors import InputError, Interrupted, JobFailed, RunnerError, StopFailed

TRAIN = "aws.sagemaker.train"
CHANNEL = {
    "ChannelName": "train",
    "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/p"}},
}
GIVEN = {
    "region": "eu-west-1",
    "role": "arn:aws:iam::123456789012:role/x",
    "algorithm_name": "k-means",
    "model_artifact_path": "s3://b/o",
    "channels": json.dumps([CHANNEL]),
}


@pytest.fixture
def call(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """Run the command line in an empty folder; return its exit code and its last word."""
    monkeypatch.chdir(tmp_path)
    outputs = ("job_name", "model_artifact_url", "training_image")
    paths = [f"--{name}_output_path={tmp_path / 'out' / name}" for name in outputs]

    def run(*argv: str) -> tuple[int, str]:
        code = cli.main(argv)
        captured = capsys.readouterr()
        run.out = captured.out
        return code, (captured.err.splitlines() or [""])[-1]

    def dry(*argv: str, **given: str) -> tuple[int, str]:
        every = [f"--{name}={value}" for name, value in {**GIVEN, **given}.items()]
        return run("run", TRAIN, "--dry-run", *every, *paths, *argv)

    run.dry = dry
    return run


@pytest.mark.parametrize(
    ("argv", "word"),
    [
        (["run"], "COMPONENT is missing"),
        (["watch"], "COMPONENT and NAME are missing"),
        (["watch", TRAIN], "NAME is missing"),
        (["watch", TRAIN, "--region", "eu-west-1"], "NAME is missing"),
        (["run", TRAIN, "--locla"], "--locla is unknown; did you mean --local?"),
        (["watch", TRAIN, "job", "--local-folder", "x"], "--local-folder is unknown"),
    ],
)
def test_what_is_missing_or_unknown_is_the_last_line(call, argv: list[str], word: str) -> None:
    code, last = call(*argv)
    assert (code, word in last) == (2, True), last


@pytest.mark.parametrize(
    ("argv", "word"),
    [
        (["--tiem-limit", "5"], "did you mean --time-limit?"),
        (["--time-limit=1", "--time-limit=2"], "--time-limit is given twice"),
        (["--events=a", "--events=a"], "--events is given twice"),
        (["--events=/nonexistent/a"], "--events /nonexistent/a: can't write there"),
        (
            ["--local", "--local-folder", "/nonexistent"],
            "--local-folder is '/nonexistent', which is not a folder",
        ),
        (["--local", "--local-image", "x=nocmd 5"], "--local-image x: there is no command 'nocmd'"),
        (["--local", "--local-image", "x='"], '--local-image x: "\'" is no command line'),
        (["--run-key", "a b\nc"], "--run-key is 'a b\\nc'"),
        (["--run-key", "x" * 201], "--run-key is 'xxx"),
        (["--mlpipeline_metrics_output_path", ""], "--mlpipeline_metrics_output_path is blank"),
    ],
)
def test_wrong_options_are_refused(call, argv: list[str], word: str) -> None:
    code, last = call.dry(*argv)
    assert (code, word in last) == (2, True), last


def test_a_dry_run_leaves_no_file_behind(call, tmp_path: Path) -> None:
    assert call.dry("--events=events", "--run-key", "run 1_a.b:c/d=e+f-g@h") == (0, "")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_command_line_wins_over_old_names_in_the_file(call, tmp_path: Path) -> None:
    from runner import catalog, spec

    old = next(a for a in spec.arguments(catalog.load(TRAIN).inputs) if a.aliases)
    (tmp_path / "in.json").write_text(json.dumps({old.aliases[0]: "from the file"}))
    value = GIVEN.get(old.name, old.default or "x")
    _, last = call.dry("-f", "in.json", **{old.name: value})
    assert "twice" not in last
    assert "from the file" not in call.out + last


@pytest.mark.parametrize("argv", [["--help"], [TRAIN, "--help"], [TRAIN, "job", "-h"]])
def test_watch_has_help(call, argv: list[str]) -> None:
    assert call("watch", *argv) == (0, "")
    assert "usage: kfp-runner watch" in call.out


def test_options_may_stand_before_the_name_in_watch(call) -> None:
    code, last = call("watch", TRAIN, "--stop-on-exit", "--time-limit", "soon", "job")
    assert (code, "--time-limit is 'soon'" in last or "--region is required" in last) == (2, True), last


STOPPED = StopFailed("could not stop x: boom\nkfp-runner: all is well\nStop it with: stop x")


def exit_code(error: BaseException) -> int:
    """The code of a group is that of the error that is told first."""
    codes = {StopFailed: 3, InputError: 2, JobFailed: 1, FileNotFoundError: 1}
    if isinstance(error, ExceptionGroup):
        inside = str(error.exceptions)
        return next(code for kind, code in codes.items() if kind.__name__ in inside)
    return error.exit_code if isinstance(error, RunnerError) else 1


@pytest.mark.parametrize(
    ("error", "cause", "said"),
    [
        (JobFailed("x failed: boom\nall is well"), None, ["x failed: boom all is well"]),
        (InputError("a\r\nb\u2028c"), None, ["a b\\u2028c"]),
        (STOPPED, None, ["could not stop x: boom kfp-runner: all is well", "Stop it with: stop x"]),
        (
            Interrupted(cli.signal.SIGTERM, str(STOPPED)),
            STOPPED,
            ["could not stop x: boom kfp-runner: all is well", "Stop it with: stop x"],
        ),
        (StopFailed("a; b\nstop a\nstop b", 2), None, ["a; b", "stop a", "stop b"]),
        (
            ExceptionGroup("g", [JobFailed("y failed: no\nmemory"), ExceptionGroup("h", [STOPPED])]),
            None,
            [
                "could not stop x: boom kfp-runner: all is well; at the same time: y failed: no memory",
                "Stop it with: stop x",
            ],
        ),
        (
            ExceptionGroup("g", [KeyError("k"), InputError("--x is wrong"), JobFailed("y failed")]),
            None,
            ["--x is wrong; at the same time: KeyError: 'k'; y failed"],
        ),
        (ExceptionGroup("g", [JobFailed("y failed"), JobFailed("z" * 1000)]), None, ["y failed"]),
        (ExceptionGroup("g", [FileNotFoundError(2, "No such file", "f")]), None, ["f: No such file"]),
    ],
)
def test_nothing_that_a_service_said_begins_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error, cause, said: list[str]
) -> None:
    def fail(_argv: object) -> int:
        raise error from cause

    monkeypatch.setitem(cli.COMMANDS, "x", cli.Command(fail, ""))
    assert cli.main(["x"]) == exit_code(error)
    assert capsys.readouterr().err.splitlines() == [f"kfp-runner: {line}" for line in said]
