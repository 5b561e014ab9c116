"""The output files: every one, whole, or none."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from runner.errors import InputError, RunnerError
from runner.sinks.files import replace
from runner.sinks.outputs import check_paths, rendered, write_outputs


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("s3://b/k", "s3://b/k"),
        ("", ""),
        (None, ""),
        ({"eta": 0.1, "a": [1, None]}, '{"eta": 0.1, "a": [1, null]}'),
        (["x", "ü"], '["x", "\\u00fc"]'),
        (True, "True"),
        (3, "3"),
        (0.5, "0.5"),
        ("line\n", "line\n"),
    ],
)
def test_values_as_upstream_wrote_them(value: object, text: str) -> None:
    assert rendered(value) == text


def test_every_declared_output_is_written(tmp_path: Path) -> None:
    paths = {name: tmp_path / name / "data" for name in ("job_name", "artifact", "params", "missing")}
    write_outputs({"job_name": "j", "artifact": None, "params": {"a": 1}, "not_asked_for": "x"}, paths)
    assert files(tmp_path) == {
        "job_name/data": "j",
        "artifact/data": "",
        "params/data": '{"a": 1}',
        "missing/data": "",
    }


def test_what_was_there_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a longer text than the new one")
    write_outputs({"a": "new"}, {"a": tmp_path / "a"})
    assert files(tmp_path) == {"a": "new"}


def test_none_is_written_if_one_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunnerError, match=r"output b could not be written to .*File exists"):
        write_outputs({"a": "new", "b": "new"}, {"a": tmp_path / "a", "b": tmp_path / "file" / "b"})
    assert files(tmp_path) == {"a": "old", "file": "in the way"}


def test_a_folder_in_the_way_is_found_before_anything_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    with pytest.raises(RunnerError, match=f"output b .*{tmp_path / 'b'}.*directory"):
        write_outputs({"a": "new", "b": "new"}, {"a": tmp_path / "a", "b": tmp_path / "b"})
    assert files(tmp_path) == {}


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> int:
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(RunnerError, match="No space"):
        write_outputs({"a": "x"}, {"a": tmp_path / "a"})
    assert files(tmp_path) == {}


def test_line_ends_and_odd_characters_stay(tmp_path: Path) -> None:
    write_outputs({"a": "x\r\ny\u2028ü\udcff"}, {"a": tmp_path / "a"})
    assert (tmp_path / "a").read_bytes() == "x\r\ny\u2028ü".encode() + rb"\udcff"


def test_a_device_stays_a_device() -> None:
    write_outputs({"a": "x"}, {"a": Path(os.devnull)})
    assert Path(os.devnull).is_char_device()


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    replace(tmp_path / "link", "x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "x"


def test_others_may_read_the_file(tmp_path: Path) -> None:
    """Not 0600: a sidecar of another user may have to collect it."""
    old = os.umask(0o022)
    try:
        replace(tmp_path / "a", "x")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o644


@pytest.mark.parametrize(
    ("path", "reason"),
    [("", "is blank"), (" ", "is blank"), ("{0}", "directory"), ("{0}/file/x", "exists"), ("{0}/\0", "null")],
)
def test_a_path_that_cannot_be_written_is_named(tmp_path: Path, path: str, reason: str) -> None:
    (tmp_path / "file").touch()
    paths = {"good": tmp_path / "new" / "good", "bad": Path(path.format(tmp_path))}
    with pytest.raises(InputError, match=f"--bad_output_path .*{reason}"):
        check_paths(paths)
    assert files(tmp_path) == {"file": ""}


def test_checking_leaves_no_file_and_changes_none(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    check_paths({"a": tmp_path / "old", "b": tmp_path / "deep" / "er" / "new", "c": Path(os.devnull)})
    assert files(tmp_path) == {"old": "old"}


@pytest.mark.parametrize("mode", [0o1777, 0o777])
def test_a_link_that_anybody_may_have_made_is_not_followed(tmp_path: Path, mode: int) -> None:
    victim, shared = tmp_path / "victim", tmp_path / "shared"
    victim.write_text("precious")
    shared.mkdir()
    shared.chmod(mode)
    (shared / "job_name").symlink_to(victim)
    write_outputs({"job_name": "j"}, {"job_name": shared / "job_name"})
    assert victim.read_text() == "precious"
    assert not (shared / "job_name").is_symlink()
    assert (shared / "job_name").read_text() == "j"
