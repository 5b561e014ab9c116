"""Which files go into the archive, under which names; and that nothing else does."""

from __future__ import annotations

import gzip
import io
import os
import socket
import stat
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from components.hydrosphere.release import _words
from components.hydrosphere.release.payload import members as payloads
from components.hydrosphere.release.payload import patterns
from components.hydrosphere.release.payload.members import Member, Stopped, digest, find, pack
from runner.errors import InputError, RunnerError

MOST = 200_000_000


def never() -> bool:
    return False


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Make a model's folder, with a secret beside it."""
    root = tmp_path / "model"
    (root / "src" / "sub").mkdir(parents=True)
    (root / "src" / ".cache").mkdir()
    for name in (
        "a.bin",
        ".env",
        "src/f.py",
        "src/.hidden",
        "src/sub/g.py",
        "src/sub/h.txt",
        "src/.cache/c.py",
    ):
        (root / name).write_text(name)
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "token").write_text("hush")
    return root


def names(root: Path, *payload: object) -> list[str]:
    return [member.name for member in find(str(root), payload)]


def wrong(root: Path | str, *payload: object) -> str:
    with pytest.raises(InputError) as caught:
        find(str(root), payload)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def wrong_payload(root: Path, *payload: object) -> str:
    text = wrong(root, *payload)
    assert text.startswith("--payload")
    return text


SRC = [
    "src",
    "src/.cache",
    "src/.cache/c.py",
    "src/.hidden",
    "src/f.py",
    "src/sub",
    "src/sub/g.py",
    "src/sub/h.txt",
]
DOTTED = [f"./{name}" for name in SRC]


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ([], []),
        (["a.bin"], ["a.bin"]),
        (["src"], SRC),
        (["src/"], SRC),
        (["./src/", "./a.bin"], [*DOTTED, "./a.bin"]),
        (["./a.bin", "./src"], ["./a.bin", *DOTTED]),
        (["."], [".", "./.env", "./a.bin", *DOTTED]),
        (["./"], [".", "./.env", "./a.bin", *DOTTED]),
        (["src/../a.bin"], ["a.bin"]),
        (["./src/../src/sub"], ["./src/sub", "./src/sub/g.py", "./src/sub/h.txt"]),
        (["../model/a.bin"], ["a.bin"]),
        (["./../model/src/s*"], ["./src/sub", "./src/sub/g.py", "./src/sub/h.txt"]),
        (["src/.."], [".", "./.env", "./a.bin", *DOTTED]),
        (["a.bin", "./a.bin", "a.*"], ["a.bin"]),
        (["./*"], ["./a.bin", *DOTTED]),
        (["*"], ["a.bin", *SRC]),
        (["**"], ["a.bin", *SRC]),
        (["*/"], SRC),
        (["src/*.py"], ["src/f.py"]),
        (["src/**/*.py"], ["src/f.py", "src/sub/g.py"]),
        (["**/*.py"], ["src/f.py", "src/sub/g.py"]),
        (["./**/g.py"], ["./src/sub/g.py"]),
        (["./s?c/[f-g].py"], ["./src/f.py"]),
        (["src/.*"], ["src/.cache", "src/.cache/c.py", "src/.hidden"]),
        (["src/.cache/*"], ["src/.cache/c.py"]),
        (["src/sub/**"], ["src/sub/g.py", "src/sub/h.txt"]),
        (["src/**/*", "src/sub"], ["src/f.py", "src/sub", "src/sub/g.py", "src/sub/h.txt"]),
        (["src//sub/./*.py"], ["src//sub/./g.py"]),
    ],
)
def test_names(root: Path, payload: list[str], expected: list[str]) -> None:
    assert names(root, *payload) == expected


def test_members_tell_where_they_lie_and_how_large_they_are(root: Path) -> None:
    folder, file = find(str(root), ["src/sub", "./a.bin"])[0::3]
    assert folder == Member("src/sub", root / "src" / "sub", 0, folder=True)
    assert file == Member("./a.bin", root / "a.bin", 5, folder=False)


def test_a_blank_root_is_the_current_folder(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    for blank in ("", " ", "."):
        assert [member.name for member in find(blank, ["src/*.py"])] == ["src/f.py"]


def test_absolute_paths_lose_their_leading_slash(root: Path, tmp_path: Path) -> None:
    beside = str(tmp_path / "secret")
    assert names(root, str(root / "a.bin"), beside) == [
        str(root / "a.bin")[1:],
        beside[1:],
        f"{beside[1:]}/token",
    ]
    assert names(root, f"{root}/src/*.py") == [f"{root}/src/f.py"[1:]]
    assert names(root, f"{beside}/t*") == [f"{beside}/token"[1:]]
    assert names(root, f"{root}/../secret/token") == [f"{beside}/token"[1:]]
    assert "whole file system" in wrong_payload(root, "/")
    assert "'/none/here' does not exist" in wrong_payload(root, "/none/here")


def test_a_name_that_is_written_like_a_pattern_wins(root: Path) -> None:
    (root / "a.*").write_text("literally")
    (root / "[s]").mkdir()
    (root / "[s]" / "x").touch()
    (root / "s").mkdir()
    (root / "s" / "y").touch()
    assert names(root, "a.*") == ["a.*"]
    assert names(root, "[s]/*") == ["[s]/x"]


def test_a_root_whose_name_is_like_a_pattern(tmp_path: Path) -> None:
    odd = tmp_path / "m[1]*"
    odd.mkdir()
    (odd / "a").touch()
    assert names(odd, "*", f"{odd}/*") == ["a", f"{odd}/a"[1:]]


def test_all_that_is_wrong_is_told_at_once(root: Path) -> None:
    text = wrong_payload(
        root, "none", 3, "", " ", None, "n*e", "../up", "a\0b", "\ud800", ["a"], "a.bin/x", "a.bin"
    )
    for told in (
        "'none' does not exist",
        "[1] is 3; it has to be text",
        "[2] is blank",
        "[3] is blank",
        "[4] is null; it has to be text",
        "'n*e' matches nothing",
        "'../up' leads out of the model's folder",
        "'a\\x00b' is no path",
        "'\\ud800' is no path",
        "[9] is a list; it has to be text",
        "'a.bin/x' does not exist",
    ):
        assert told in text


def test_wrong_roots(root: Path) -> None:
    assert wrong(root / "none").startswith("--path: ")
    assert "does not exist" in wrong(root / "none", "a")
    assert "is no folder" in wrong(root / "a.bin", "a")
    assert "is no path" in wrong("a\0b", "a")


@pytest.mark.parametrize(
    "entry",
    ["..", "../secret/token", "src/../../secret", "./../secret/*", "*/../../secret", "../model2/a.bin"],
)
def test_paths_out_of_the_root_are_refused(root: Path, entry: str) -> None:
    assert f"{entry!r} leads out of the model's folder" in wrong_payload(root, entry)


def test_links_inside_the_root_are_followed(root: Path) -> None:
    (root / "linked.bin").symlink_to("a.bin")
    (root / "src" / "lib").symlink_to("sub")
    (root / "absolute").symlink_to(root / "src" / "f.py")
    assert names(root, "linked.bin", "absolute", "src/lib") == [
        "linked.bin",
        "absolute",
        "src/lib",
        "src/lib/g.py",
        "src/lib/h.txt",
    ]
    assert names(root, "src/**/g.py") == ["src/lib/g.py", "src/sub/g.py"]
    packed = unpacked(find(str(root), ["linked.bin"]))
    assert packed == {"linked.bin": b"a.bin"}


def test_a_root_that_is_a_link_itself(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("model")
    assert names(
        tmp_path / "link", "./*.bin", str(tmp_path / "link" / "a.bin"), str(root / "src" / "f.py")
    ) == [
        "./a.bin",
        str(tmp_path / "link" / "a.bin")[1:],
        str(root / "src" / "f.py")[1:],
    ]


@pytest.mark.parametrize(
    ("link", "target", "entry"),
    [
        ("out", "../secret", "out"),
        ("out", "../secret", "out/token"),
        ("out", "../secret", "out/*"),
        ("out", "../secret", "*/token"),
        ("out", "../secret", "**/token"),
        ("out", "../secret", "."),
        ("out", "../secret", "./*"),
        ("src/out", "../../secret/token", "src"),
        ("src/out", "../../secret/token", "src/o*"),
        ("src/out", "/etc", "src"),
        ("src/out", "/nowhere/at/all", "src"),
        ("up", "..", "up/secret"),
        ("up", "..", "up/*"),
    ],
)
def test_links_out_of_the_root_are_refused_and_named(root: Path, link: str, target: str, entry: str) -> None:
    (root / link).symlink_to(target)
    text = wrong_payload(root, entry)
    assert Path(link).name in text
    assert os.path.realpath(root / link) in text
    assert "link" in text


def test_a_link_out_of_the_root_by_way_of_another(root: Path) -> None:
    (root / "one").symlink_to("two")
    (root / "two").symlink_to("../secret/token")
    assert "'one' is or passes a link that leads to" in wrong_payload(root, "one")


def test_links_in_what_was_named_absolutely_stay_where_they_are(root: Path, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    (volume / "..data").mkdir(parents=True)
    (volume / "..data" / "x").touch()
    (volume / "x").symlink_to("..data/x")
    assert names(root, str(volume / "x")) == [str(volume / "x")[1:]]
    (volume / "out").symlink_to(tmp_path / "secret" / "token")
    assert "outside" in wrong_payload(root, str(volume / "out"))
    assert "outside" in wrong_payload(root, str(volume))
    assert "outside" in wrong_payload(root, str(volume / "o*"))


@pytest.mark.parametrize("entry", ["src", "src/loop", "src/**/*.py", "."])
def test_loops_end_in_an_error(root: Path, entry: str) -> None:
    (root / "src" / "loop").symlink_to("../src")
    assert "a link back to a folder that it lies in" in wrong_payload(root, entry)


def test_links_to_themselves_and_to_nothing(root: Path) -> None:
    (root / "self").symlink_to("self")
    (root / "dangling").symlink_to("nothing")
    assert wrong_payload(root, "*") == (
        "--payload: 'dangling' does not exist; 'self' is a link that leads to itself"
    )


def test_many_ways_to_the_same_folder_are_bounded(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payloads, "MOST_MEMBERS", 1000)
    for level in range(30):
        (root / f"d{level}").mkdir()
        for link in ("l", "r"):
            (root / f"d{level}" / link).symlink_to(f"../d{level + 1}")
    (root / "d30").mkdir()
    assert "more than 1,000 files and folders" in wrong_payload(root, "d0")
    assert "more than 1,000 folders" in wrong_payload(root, "d0/**/*.py")


def test_pipes_sockets_and_devices_are_refused(root: Path) -> None:
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        where = os.open(root, os.O_RDONLY)
        server.bind(f"/proc/self/fd/{where}/socket")  # A socket's path has to be short.
        os.close(where)
        text = wrong_payload(root, ".", "/dev/null")
    assert "'./pipe' is a pipe; only files and folders can be sent" in text
    assert "'./socket' is a socket" in text
    assert "'/dev/null' is a device" in text


def test_two_contents_of_one_name_are_an_error(root: Path, tmp_path: Path) -> None:
    beside = tmp_path / "secret" / "token"
    (root / str(beside)[1:]).parent.mkdir(parents=True)
    (root / str(beside)[1:]).write_text("another")
    assert "would be both" in wrong_payload(root, str(beside)[1:], str(beside))
    (root / "file").mkdir()
    other = tmp_path / "other"
    other.mkdir()
    (other / str(beside)[1:]).parent.parent.mkdir(parents=True)
    (other / str(beside)[1:]).parent.write_text("a file")
    assert "which is a file" in wrong_payload(other, str(beside.parent)[1:], str(beside))


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """Make a model's folder whose files' modes count, also where the tests run as root."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        (root / "closed").mkdir()
        (root / "closed" / "inner").touch()
        (root / "file").touch()
        (root / "closed").chmod(0)
        (root / "file").chmod(0)
        as_root = os.geteuid() == 0
        if as_root:
            os.seteuid(65534)
        try:
            yield root
        finally:
            if as_root:
                os.seteuid(0)
            (root / "closed").chmod(0o700)


def test_what_cannot_be_read_is_named(unprivileged: Path) -> None:
    text = wrong_payload(unprivileged, ".", "closed/*")
    assert "'./closed' can't be read: permission denied" in text
    assert "'./file' can't be read: permission denied" in text
    assert "'closed/*' can't be read: permission denied" in text


@pytest.fixture
def deep() -> Iterator[Path]:
    """Make a tree that is deeper than Python's stack, yet whose paths are not longer than a path may be."""
    top = Path(tempfile.mkdtemp())
    where = [os.open(top, os.O_RDONLY)]
    for _ in range(1050):
        os.mkdir("d", dir_fd=where[-1])
        where.append(os.open("d", os.O_RDONLY, dir_fd=where[-1]))
        if len(where) > 2:
            os.close(where.pop(-2))
    os.close(where[-1])
    os.close(where[0])
    try:
        yield top
    finally:
        for depth in range(1050, -1, -1):  # What pytest does for its own folders recurs too deeply.
            top.joinpath(*["d"] * depth).rmdir()


def test_deep_trees(deep: Path) -> None:
    found = find(str(deep), ["d"])
    assert len(found) == 1050
    assert len(patterns.expand(str(deep), "**/d/", 5000)) == 1050
    assert len(tar(packed(found[:100])[0])) == 100


def packed(members: tuple[Member, ...], most: int = MOST) -> tuple[bytes, int]:
    target = io.BytesIO()
    size = pack(members, target, most, never)
    return target.getvalue(), size


def tar(content: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        return archive.getmembers()


def unpacked(members: tuple[Member, ...]) -> dict[str, bytes | None]:
    """Pack, and return what is found in the archive: name → content, None for a folder."""
    with tarfile.open(fileobj=io.BytesIO(packed(members)[0]), mode="r:gz") as archive:
        files = {info.name: archive.extractfile(info) for info in archive}
        return {name: file.read() if file else None for name, file in files.items()}


def test_the_archive_holds_the_members(root: Path) -> None:
    (root / "large").write_bytes(os.urandom(300_000))
    (root / ("long" * 60)).write_bytes(b"")
    (root / os.fsdecode(b"latin\xe9")).write_text("é")
    members = find(str(root), ["."])
    content, size = packed(members)
    assert size == len(content)
    assert unpacked(members) == {
        member.name: None if member.folder else member.source.read_bytes() for member in members
    }


def test_the_archive_tells_nothing_of_this_machine(root: Path) -> None:
    (root / "src" / "f.py").chmod(0o750)
    os.utime(root / "src" / "f.py", (1_000_000_000.5, 1_000_000_000.5))
    content, _ = packed(find(str(root), ["src/f.py", "src/sub"]))
    assert [
        (info.name, info.isdir(), info.uid, info.gid, info.uname, info.gname) for info in tar(content)
    ] == [
        ("src/f.py", False, 0, 0, "", ""),
        ("src/sub", True, 0, 0, "", ""),
        ("src/sub/g.py", False, 0, 0, "", ""),
        ("src/sub/h.txt", False, 0, 0, "", ""),
    ]
    first = tar(content)[0]
    assert (first.mode, first.mtime) == (0o750, 1_000_000_000)
    assert stat.S_IMODE((root / "src/sub").stat().st_mode) == tar(content)[1].mode
    assert content == packed(find(str(root), ["src/f.py", "src/sub"]))[0]
    assert content[:10] == b"\x1f\x8b\x08\x00" + b"\x00" * 4 + content[8:10], "neither a name nor a time"


def test_no_members_make_an_empty_archive() -> None:
    content, _ = packed(())
    assert tar(content) == []
    assert gzip.decompress(content).strip(b"\0") == b""


class Counting(io.RawIOBase):
    """A target that counts what it is given."""

    def __init__(self, then: Callable[[], None] = lambda: None) -> None:
        self.largest = 0
        self.total = 0
        self.then = then

    def write(self, data: Any) -> int:
        self.largest = max(self.largest, len(data))
        self.total += len(data)
        self.then()
        return len(data)


def test_memory_stays_flat(tmp_path: Path) -> None:
    (tmp_path / "random").write_bytes(os.urandom(3_000_000))
    target = Counting()
    size = pack(find(str(tmp_path), ["random"]), target, MOST, never)  # type: ignore[arg-type]
    assert size == target.total > 3_000_000
    assert target.largest < 300_000


def test_the_limit_holds_and_the_largest_files_are_named(tmp_path: Path) -> None:
    for number in range(1, 6):
        (tmp_path / f"w{number}").write_bytes(os.urandom(number * 100_000))
    target = Counting()
    with pytest.raises(InputError) as caught:
        pack(find(str(tmp_path), ["*"]), target, 500_000, never)  # type: ignore[arg-type]
    assert str(caught.value) == (
        "--payload: the packed files are larger than 500,000 bytes, which is the limit; "
        "the largest are 'w5' (500,000 bytes), 'w4' (400,000 bytes), 'w3' (300,000 bytes)"
    )
    assert target.total <= 500_000


def test_the_limit_counts_what_is_packed(tmp_path: Path) -> None:
    (tmp_path / "zeros").write_bytes(bytes(5_000_000))
    members = find(str(tmp_path), ["zeros"])
    content, size = packed(members, 1_000_000)
    assert size < 100_000
    assert packed(members, size) == (content, size)
    assert tar(content)[0].size == tar(packed(members)[0])[0].size == 5_000_000
    with pytest.raises(InputError, match="the largest are 'zeros'"):
        packed(members, size - 1)


def test_it_stops_promptly_even_where_little_is_written(tmp_path: Path) -> None:
    (tmp_path / "zeros").write_bytes(bytes(50_000_000))
    members = find(str(tmp_path), ["zeros"])
    asked = 0

    def stopped() -> bool:
        nonlocal asked
        asked += 1
        return asked > 10

    target = io.BytesIO()
    with pytest.raises(Stopped):
        pack(members, target, MOST, stopped)
    assert asked == 11
    with pytest.raises(Stopped):
        digest(members, stopped)
    with pytest.raises(Stopped):
        pack((), target, MOST, lambda: True)


def test_a_full_disk_is_told() -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(RunnerError, match="can't be written: No space left on device"):
        pack((), Counting(full), MOST, never)  # type: ignore[arg-type]


def replaced_by(kind: str, path: Path, secret: Path) -> None:
    mtime = path.stat().st_mtime_ns
    if kind == "grown":
        path.write_text("more than it was")
    elif kind == "shrunk":
        path.write_text("")
    else:
        path.unlink()
    if kind == "link":
        path.symlink_to(secret)
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "parent":
        path.parent.rename(path.parent.with_name("old"))
        path.parent.symlink_to(secret.parent)
    if kind in ("grown", "shrunk"):
        os.utime(path, ns=(mtime, mtime))


@pytest.mark.parametrize("kind", ["grown", "shrunk", "gone", "link", "folder", "pipe", "parent"])
def test_files_that_change_before_they_are_packed(root: Path, tmp_path: Path, kind: str) -> None:
    (tmp_path / "secret" / "token").rename(tmp_path / "secret" / "g.py")
    path = root / "src" / "sub" / "g.py"
    path.write_text("hush")
    members = find(str(root), ["src/sub/g.py"])
    replaced_by(kind, path, tmp_path / "secret" / "g.py")
    told = "vanished" if kind == "gone" else "changed|can't be read"
    with pytest.raises(InputError, match=f"^--payload: 'src/sub/g.py' ({told})"):
        packed(members)
    with pytest.raises(InputError, match=f"^--payload: 'src/sub/g.py' ({told})"):
        digest(members)


def test_folders_that_change_before_they_are_packed(root: Path) -> None:
    members = find(str(root), ["src/sub"])[:1]
    (root / "src" / "sub").rename(root / "src" / "old")
    with pytest.raises(InputError, match="'src/sub' vanished"):
        packed(members)
    (root / "src" / "sub").symlink_to("old")
    with pytest.raises(InputError, match="'src/sub' changed"):
        packed(members)
    (root / "src" / "sub").unlink()
    (root / "src" / "sub").touch()
    with pytest.raises(InputError, match="'src/sub' changed"):
        packed(members)


def test_a_file_that_changes_while_it_is_packed(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(os.urandom(500_000))
    os.utime(path, (1, 1))
    members = find(str(tmp_path), ["weights"])

    def touch() -> None:
        path.write_bytes(os.urandom(500_000))

    with pytest.raises(InputError, match=r"^--payload: 'weights' changed while it was being packed$"):
        pack(members, Counting(touch), MOST, never)  # type: ignore[arg-type]

    def cut() -> None:
        os.truncate(path, 10)

    with pytest.raises(InputError, match="'weights' changed"):
        pack(find(str(tmp_path), ["weights"]), Counting(cut), MOST, never)  # type: ignore[arg-type]


def test_the_digest_is_that_of_names_and_contents(root: Path) -> None:
    before = digest(find(str(root), ["src", "a.bin"]))
    os.utime(root / "a.bin", (1, 1))
    (root / "a.bin").chmod(0o600)
    assert digest(find(str(root), ["src", "a.bin"])) == before
    assert len(before) == 64
    others = [["./src", "a.bin"], ["src"], ["a.bin"], []]
    assert len({before, *(digest(find(str(root), other)) for other in others)}) == 5
    (root / "a.bin").write_text("b.bin")
    assert digest(find(str(root), ["src", "a.bin"])) != before


def test_the_digest_tells_contents_and_names_apart(tmp_path: Path) -> None:
    made = []
    for first, second in (("ab", "c"), ("a", "bc"), ("abc", ""), ("", "abc")):
        (tmp_path / "x").write_text(first)
        (tmp_path / "y").write_text(second)
        made.append(digest(find(str(tmp_path), ["x", "y"])))
    (tmp_path / "y").unlink()
    (tmp_path / "y").mkdir()
    made.append(digest(find(str(tmp_path), ["x", "y"])))
    assert len(set(made)) == 5


def test_patterns_end_at_the_number_of_folders_that_they_may_look_at(root: Path) -> None:
    with pytest.raises(patterns.Unfit, match="more than 2 folders"):
        patterns.expand(str(root), "**/*.py", 2)
    assert patterns.expand(str(root), "*.bin", 1) == ["a.bin"]


def test_names_in_errors_are_cut(root: Path) -> None:
    text = wrong_payload(root, "n" * 5000)
    assert "n" * (_words.PATH_SHOWN + 1) not in text
