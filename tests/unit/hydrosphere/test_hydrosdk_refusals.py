"""What hydrosdk can't send as we would is refused before anything is started."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from components.hydrosphere.release._eras import Era
from components.hydrosphere.release._image import Image
from components.hydrosphere.release._release import Release
from components.hydrosphere.release.backends.hydrosdk import refusal, upload
from components.hydrosphere.release.contract import reading as contracts
from components.hydrosphere.release.payload import members as payloads
from runner.errors import InputError

SIGNATURE = contracts.parse(
    "inputs: {x: {shape: scalar, type: int64}}\noutputs: {y: {shape: scalar, type: double}}"
)
NESTED = contracts.parse("inputs: {x: {fields: {a: {type: int32}}}}\noutputs: {y: {type: double}}")
RELEASE = Release("some-model", SIGNATURE, Image("some/runtime", "1.0"))
DIGEST = "sha256:" + "0" * 64


def test_what_it_can_send_is_not_refused() -> None:
    assert refusal(RELEASE, (), Era.THREE) == ""


@pytest.mark.parametrize(
    ("release", "era", "words"),
    [
        (RELEASE, Era.TWO, "this one is of version 2"),
        (replace(RELEASE, signature=NESTED), Era.THREE, "subfields, which 'x'"),
        (replace(RELEASE, signature=replace(SIGNATURE, name="")), Era.THREE, "name is blank"),
        (replace(RELEASE, signature=replace(SIGNATURE, inputs=())), Era.THREE, "without inputs"),
        (replace(RELEASE, signature=replace(SIGNATURE, outputs=())), Era.THREE, "without outputs"),
        (
            replace(
                RELEASE, signature=replace(SIGNATURE, outputs=(replace(SIGNATURE.outputs[0], dtype=""),))
            ),
            Era.THREE,
            "without a type, such as 'y'",
        ),
        (replace(RELEASE, runtime=Image("some/runtime", "1.0", DIGEST)), Era.THREE, "drop the digest"),
    ],
)
async def test_release_is_refused(release: Release, era: Era, words: str) -> None:
    why = refusal(release, (), era)
    assert words in why
    assert why.startswith("--backend hydrosdk ")
    assert why.endswith("use --backend native")
    if era is Era.THREE:
        with pytest.raises(InputError) as caught:
            await upload("http://nowhere.invalid", release, ())
        assert str(caught.value) == why


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "src" / "deep").mkdir(parents=True)
    for name in ("src/a.py", "src/b.py", "src/deep/c.py", "src-more"):
        (tmp_path / name).write_text(name)
    return tmp_path


@pytest.mark.parametrize(
    "payload", [["src"], ["./src/", "src-more"], ["./"], ["src/deep", "src/a.py"], ["src/*.py"]]
)
def test_plain_files_and_folders_are_not_refused(payload: list[str], root: Path) -> None:
    assert refusal(RELEASE, payloads.find(str(root), payload), Era.THREE) == ""


def test_link_as_an_entry_is_not_refused(root: Path) -> None:
    (root / "link").symlink_to("src")
    assert refusal(RELEASE, payloads.find(str(root), ["link"]), Era.THREE) == ""


@pytest.mark.parametrize("target", ["a.py", "deep"])
def test_link_in_a_folder_is_refused(target: str, root: Path) -> None:
    (root / "src" / "link").symlink_to(target)
    assert "'./src/link' of --payload as a link" in refusal(
        RELEASE, payloads.find(str(root), ["./src"]), Era.THREE
    )


def test_file_that_its_folder_would_bring_again_is_refused(root: Path) -> None:
    why = refusal(RELEASE, payloads.find(str(root), ["src/b.py", "src"]), Era.THREE)
    assert "'src/b.py' of --payload twice" in why


def test_file_under_two_names_is_refused(root: Path) -> None:
    (root / "link").symlink_to("src-more")
    why = refusal(RELEASE, payloads.find(str(root), ["link", "src-more"]), Era.THREE)
    assert "under two names" in why
