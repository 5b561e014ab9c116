"""From arguments to a plan: what is contradictory is refused, what is odd is said, and a run's tags follow from it all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from components.hydrosphere.release._inputs import ReleaseInputs
from components.hydrosphere.release._plan import Plan, plan
from components.hydrosphere.release.payload.members import Stopped
from runner.errors import InputError
from runner.identity import OWNER_TAG, RUN_TAG, Identity

ALONE = Identity("hydrosphere.release")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "a.bin").write_bytes(b"a")
    (tmp_path / "contract.yaml").write_text("inputs: {x: {type: double}}\noutputs: {y: {type: double}}")
    (tmp_path / "train.csv").write_text("x,y\n1,2\n")
    return tmp_path


def made(folder: Path, identity: Identity = ALONE, **more: object) -> Plan:
    given: dict[str, object] = {
        "cluster": "http://c",
        "model_name": "m",
        "path": str(folder / "model"),
        "payload": ["./a.bin"],
        "contract_path": str(folder / "contract.yaml"),
        "runtime": "r/i:1",
    }
    return plan(ReleaseInputs.model_validate({**given, **more}), identity)


def test_nothing_odd_is_nothing_to_say(folder: Path) -> None:
    planned = made(folder, training_data=str(folder / "train.csv"))
    assert planned.remarks == ()
    assert [member.name for member in planned.members] == ["./a.bin"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"runtime": "r/i"}, "--runtime r/i has no tag; taken as r/i:latest"),
        ({"payload": []}, "--payload lists nothing, so the version holds no files"),
        ({"payload": ["/etc/hostname"]}, "--payload names '/etc/hostname', which need not lie in --path"),
        ({"training_data": "other.csv"}, "--training_data has no column x, an input of the contract"),
    ],
)
def test_what_is_odd_is_said(folder: Path, more: dict[str, object], said: str) -> None:
    (folder / "model" / "other.csv").write_text("z\n1\n")
    (remark,) = made(folder, **more).remarks
    assert remark.startswith(said)


@pytest.mark.parametrize(
    ("more", "wrong"),
    [
        ({"runtime": ""}, "--runtime is required"),
        (
            {"runtime": "", "path": "", "payload": [], "install_command": "x"},
            "--install_command is of no use",
        ),
        ({"require_training_profile": True}, "--require_training_profile needs --training_data"),
        ({"training_data": "http://x/y.csv"}, "write a local path, or s3://BUCKET/KEY"),
        ({"training_data": "s3://"}, "names no object"),
        ({"training_data": "."}, "is no file"),
        ({"training_data": "x" * 5000}, "can't be a path"),
        ({"metadata": {"k": 1}}, "the value of 'k' is not text"),
        ({"metadata": {"kfp-runner/owner": "me"}}, "kept for the runner"),
    ],
)
def test_what_is_wrong_is_named(folder: Path, more: dict[str, object], wrong: str) -> None:
    with pytest.raises(InputError, match=wrong.replace("(", r"\(")):
        made(folder, **more)


def test_a_run_s_tags_follow_from_the_content(folder: Path) -> None:
    run = Identity("hydrosphere.release", "run-1", "step")
    first, again = made(folder, run), made(folder, run)
    assert first.owner == again.owner != ""
    assert first.release.metadata == {RUN_TAG: "run-1", OWNER_TAG: first.owner}
    os.utime(folder / "model" / "a.bin", (1, 1))
    assert made(folder, run).owner == first.owner
    (folder / "model" / "a.bin").write_bytes(b"b")
    assert made(folder, run).owner != first.owner
    assert made(folder).owner == ""


def test_reading_a_payload_ends_when_nobody_waits(folder: Path) -> None:
    inputs = ReleaseInputs(
        cluster="http://c",
        model_name="m",
        path=str(folder / "model"),
        payload=["./a.bin"],
        contract_path=str(folder / "contract.yaml"),
        runtime="r/i:1",
    )
    with pytest.raises(Stopped):
        plan(inputs, Identity("hydrosphere.release", "run-1"), lambda: True)


def test_secrets_are_the_user_s_values(folder: Path) -> None:
    planned = made(folder, Identity("hydrosphere.release", "run-1"), metadata={"token": "s3cret"})
    assert planned.secrets == {"s3cret"}
