"""What the embedded clouds share: archives that are hostile or broken, folders of any depth, and bounds of the rest."""

from __future__ import annotations

import asyncio
import gzip
import io
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from runner.emulation import archives, journal
from runner.emulation.archives import BROKEN, unpack
from runner.emulation.faults import Fault, Faults
from runner.emulation.journal import Rows
from runner.emulation.nesting import deeper
from runner.emulation.paths import UnsafeKeyError, remove
from runner.emulation.tasks import Tasks


class Room:
    """Takes all, and counts."""

    def __init__(self, most_looks: int = 10**9) -> None:
        self.bytes, self.looks, self._most = 0, 0, most_looks

    def take(self, size: int) -> None:
        self.bytes += size
        self.looks += not size
        if self.looks > self._most:
            raise OSError("nobody waits")


def tar(*names: str, content: bytes = b"abc") -> bytes:
    """A tar, not packed yet."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return target.getvalue()


def link(name: str, to: str) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = tarfile.SYMTYPE, to
        archive.addfile(info)
    return target.getvalue()


def unpacked(raw: bytes, folder: Path, room: Room | None = None, **options: Any) -> Room:
    room = room or Room()
    unpack(io.BytesIO(gzip.compress(raw)), folder, room, **options)
    return room


WHOLE = tar("a", "b", "c")


@pytest.mark.parametrize(
    "raw",
    [
        WHOLE[: 1024 + 200],
        WHOLE[:1024] + b"\xff" * 512 + WHOLE[1536:],
        WHOLE[:3072],
        WHOLE[: 3072 + 512],
        WHOLE + b"more",
        tar("a", content=b"x" * 5000)[:3000],
    ],
    ids=["header cut", "header broken", "no end", "half an end", "something behind", "file cut"],
)
def test_an_archive_that_is_not_whole_is_refused(raw: bytes, tmp_path: Path) -> None:
    with pytest.raises((tarfile.ReadError, EOFError)):
        unpacked(raw, tmp_path)


def test_the_check_sum_behind_the_archive_is_looked_at(tmp_path: Path) -> None:
    content = gzip.compress(WHOLE)
    for bad in (content[:-8] + bytes(8), content[:-3]):
        with pytest.raises(BROKEN):
            unpack(io.BytesIO(bad), tmp_path, Room())


def test_zeros_behind_the_end_have_a_bound(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    unpacked(WHOLE + bytes(100_000), tmp_path)
    monkeypatch.setattr(archives, "LONGEST_END", 50_000)
    with pytest.raises(tarfile.ReadError, match="more than 50000 bytes follow its end"):
        unpacked(WHOLE + bytes(100_000), tmp_path)


@pytest.mark.parametrize("name", ["a/./b", "././a/b", "./a/././b"])
def test_dots_that_lead_nowhere_do_no_harm(name: str, tmp_path: Path) -> None:
    unpacked(tar(name), tmp_path)
    assert (tmp_path / "a" / "b").read_bytes() == b"abc"


def test_a_header_of_digits_does_not_keep_python_busy(tmp_path: Path) -> None:
    """CVE-2024-6232: an expression of the standard library takes minutes for it, and lets nobody else run."""

    def header(name: str, kind: bytes, size: int) -> bytes:
        info = tarfile.TarInfo(name)
        info.type, info.size = kind, size
        return info.tobuf(tarfile.USTAR_FORMAT)

    digits = b"1" * 500_000
    raw = header("x", b"x", len(digits)) + digits + bytes(-len(digits) % 512) + header("f", b"0", 0)
    with pytest.raises(OSError, match="a header is longer than"):
        unpacked(raw + bytes(1024), tmp_path)


def test_two_long_paths_fit_into_a_header(tmp_path: Path) -> None:
    path, seen = "/".join(["n" * 250] * 16), list[str]()
    unpacked(link(path, path), tmp_path, special=lambda name, _: seen.append(name))
    assert seen == [path]


def test_all_headers_together_have_a_bound(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(archives, "MOST_HEADERS", 10_000)
    path = "/".join(["n" * 250] * 14)
    unpacked(link(path, "x"), tmp_path, special=lambda *_: None)
    with pytest.raises(OSError, match="its headers are longer than 10000 bytes"):
        unpacked(tar(*[f"{number}{path}" for number in range(8)]), tmp_path)


@pytest.mark.parametrize("raw", [tar("n" * 5000), link("n" * 5000, "x"), link("x", "n" * 5000)])
def test_names_have_a_bound_also_those_of_links(raw: bytes, tmp_path: Path) -> None:
    with pytest.raises(UnsafeKeyError, match="longer than 4096 bytes") as caught:
        unpacked(raw, tmp_path, special=lambda *_: None)
    assert len(str(caught.value)) < 300


def test_folders_are_not_deep_without_end(tmp_path: Path) -> None:
    unpacked(tar("a/" * 63 + "f"), tmp_path / "fine")
    with pytest.raises(UnsafeKeyError, match="more than 64 folders"):
        unpacked(tar("a/" * 64 + "f"), tmp_path)


def test_folders_on_the_way_count(tmp_path: Path) -> None:
    assert unpacked(tar("a/b/c/f", "a/b/g"), tmp_path / "one").bytes == 2 * 512 + 3 * 4096 + 6
    with pytest.raises(OSError, match="more than 4 files and folders"):
        unpacked(tar("a/b/c/f", "a/b/g"), tmp_path / "two", most=4)
    unpacked(tar("a/b/c/f", "a/b/g"), tmp_path / "three", most=5)


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path) -> None:
    for name in ("fine", "one", "two", "three"):
        (tmp_path / name).mkdir()


def test_what_unpacks_to_nothing_is_stopped_all_the_same(tmp_path: Path) -> None:
    content = gzip.compress(b"") * 50_000
    room = Room(most_looks=20)
    with pytest.raises(OSError, match="nobody waits"):
        unpack(io.BytesIO(content), tmp_path, room)


def test_what_unpacks_to_nothing_has_a_bound(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(archives, "SLACK_BYTES", 1_200_000)
    unpacked(tar("a", content=os.urandom(1_000_000)), tmp_path)
    long_name = b"\x1f\x8b\x08\x08\0\0\0\0\0\xff" + b"n" * 1_300_000 + b"\0"
    for content in (gzip.compress(b"") * 70_000, long_name):
        with pytest.raises(OSError, match="becomes much longer"):
            unpack(io.BytesIO(content), tmp_path, Room())


def test_a_folder_is_deleted_however_deep_it_is(tmp_path: Path) -> None:
    top, outside = tmp_path / "top", tmp_path / "outside"
    top.mkdir()
    outside.mkdir()
    (outside / "kept").write_text("x")
    descriptor = os.open(top, os.O_RDONLY)
    for depth in range(3000):  # far beyond the longest path, and Python's stack
        if not depth % 500:
            os.symlink(outside, "link", dir_fd=descriptor)
        os.mkdir("a", dir_fd=descriptor)
        os.mkdir("b", dir_fd=descriptor)
        following = os.open("a", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = following
    os.close(descriptor)
    (top / "shut").mkdir()
    (top / "shut" / "f").write_text("x")
    (top / "shut").chmod(0)
    remove(top)
    assert not top.exists()
    assert (outside / "kept").exists()
    remove(top)  # gone: no complaint
    (tmp_path / "link").symlink_to(outside)
    remove(tmp_path / "link")
    assert (outside / "kept").exists()


def nested(depth: int) -> Any:
    value: Any = 1
    for number in range(depth):
        value = {"a": value} if number % 2 else [value]
    return value


@pytest.mark.parametrize(
    ("depth", "is_deeper"), [(0, False), (1, False), (5, False), (6, True), (5000, True)]
)
def test_depth(depth: int, is_deeper: bool) -> None:
    assert deeper(nested(depth), 5) is is_deeper


def test_a_journal_keeps_what_can_be_written_and_of_the_rest_the_size() -> None:
    rows: Rows[str] = Rows()
    rows.append("deep", nested(990) | {} if isinstance(nested(990), dict) else {"a": nested(990)}, 2000)
    rows.append("fine", {"a": [1]})
    # Not even written out: this could not be.
    rows.append("long", {"a": object()}, journal.LONGEST_BODY + 1)
    assert list(rows) == [
        ("deep", {"(bytes)": 2000}),
        ("fine", {"a": [1]}),
        ("long", {"(bytes)": journal.LONGEST_BODY + 1}),
    ]


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"seconds": float("nan")}, "seconds"),
        ({"seconds": float("inf")}, "seconds"),
        ({"seconds": "1"}, "seconds"),
        ({"seconds": -1}, "seconds"),
        ({"skip": 0.5}, "skip"),
        ({"skip": True}, "skip"),
        ({"times": 1.5}, "times"),
        ({"times": 0}, "times"),
        ({"times": float("nan")}, "times"),
    ],
)
def test_a_faults_numbers_are_finite_and_whole(changes: dict[str, Any], name: str) -> None:
    faults = Faults(Fault, enabled=True)
    with pytest.raises(ValueError, match=f"^{name} is "):
        faults.add_json([{"operation": "*", "kind": "latency"} | changes])


async def test_closing_does_not_wait_for_what_heeds_no_cancellation(caplog: pytest.LogCaptureFixture) -> None:
    tasks, begun, over = Tasks(), asyncio.Event(), asyncio.Event()

    async def deaf() -> None:
        begun.set()
        while not over.is_set():
            try:
                await over.wait()
            except asyncio.CancelledError:
                continue

    task = tasks.start(deaf())
    await begun.wait()
    await tasks.close(0.05)
    assert not task.done()
    assert "1 tasks have not ended within 0.05 s" in caplog.text
    over.set()
    await task
