"""Payloads: what is unpacked, and what is refused before there is a version."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from components.hydrosphere.embedded.building import payloads
from tests.emulator.hydrosphere.helpers import CODE, form, hydrosphere, member, metadata, packed


def sparse() -> bytes:
    """A tar.gz of one file that holds nothing and claims to have 3 GB."""
    info = tarfile.TarInfo("GNUSparseFile.0/model")
    size = 3 * 1024**3
    info.pax_headers = {
        "GNU.sparse.size": str(size),
        "GNU.sparse.map": f"0,0,{size},0",
        "GNU.sparse.name": "model",
    }
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz", format=tarfile.PAX_FORMAT) as file:
        file.addfile(info)
    return target.getvalue()


BAD: dict[str, tuple[bytes, str]] = {
    "up": (packed({"../x": b"1"}), "../x"),
    "up inside": (packed({"a/../../x": b"1"}), "a/../../x"),
    "absolute": (packed({"/etc/x": b"1"}), "/etc/x"),
    "empty": (packed({"a//b": b"1"}), "a//b"),
    "up folder": (packed({}, member("../x", tarfile.DIRTYPE)), "../x"),
    "link out": (packed({}, member("x", tarfile.SYMTYPE, "../../etc")), "'x' is a link that leads out"),
    "absolute link": (
        packed({}, member("x", tarfile.SYMTYPE, "/etc/passwd")),
        "'x' is a link that leads out",
    ),
    "hard link out": (packed({}, member("a/x", tarfile.LNKTYPE, "../y")), "'a/x' is a link that leads out"),
    "device": (packed({}, member("x", tarfile.CHRTYPE)), "'x' is a device or a pipe"),
    "pipe": (packed({}, member("x", tarfile.FIFOTYPE)), "'x' is a device or a pipe"),
    "sparse": (sparse(), "'model' is a sparse file"),
    "no gzip": (b"no archive at all", "gzip"),
    "no tar": (gzip.compress(b"no tar" * 1000), "header"),
    "cut off": (packed()[:-20], "end"),
    "nothing": (b"", "empty"),
    "file as folder": (packed({"a": b"1", "a/b": b"1"}), "Not a directory"),
}


@pytest.mark.parametrize("case", BAD)
async def test_a_bad_payload_makes_no_version(
    case: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    content, why = BAD[case]
    async with hydrosphere() as hs:
        error = await hs.post("/api/v2/model/upload", 400, data=form(content, metadata(3)))
        assert error["error"] == "InvalidRequest"
        assert error["message"].startswith("Couldn't unpack the payload: ")
        assert why in error["message"], error
        assert await hs.versions() == []
        assert await hs.get("/api/v2/model") == []
        assert [path for path in tmp_path.rglob("*") if path.parent != tmp_path] == []


@pytest.mark.parametrize(
    ("limit", "value", "files", "why"),
    [
        ("MOST_BYTES", 1000, {"a": bytes(600), "b": bytes(600)}, "larger than 1000 bytes"),
        ("MOST_BYTES", 1_000_000, {"bomb": bytes(20_000_000)}, "larger than 1000000 bytes"),
        ("MOST_MEMBERS", 2, {"a": b"", "b": b"", "c": b""}, "more than 2 files and folders"),
    ],
)
async def test_a_payload_has_bounds(
    monkeypatch: pytest.MonkeyPatch, limit: str, value: int, files: dict[str, bytes], why: str
) -> None:
    monkeypatch.setattr(payloads, limit, value)
    async with hydrosphere() as hs:
        error = await hs.upload(packed(files), status=400)
        assert why in error["message"]


async def test_links_within_the_payload_are_told_and_left_out() -> None:
    links = [member("src/a.py", tarfile.SYMTYPE, "../b.py"), member("c", tarfile.LNKTYPE, "b.py")]
    async with hydrosphere() as hs:
        status, lines = await hs.built(
            payload=packed({"b.py": CODE, "r.txt": b"numpy"}, *links), installCommand="pip install -r c"
        )
        assert status == "Released"
        for name in ("src/a.py", "c"):
            assert f"WARNING: '{name}' is a link and is not unpacked; send the file itself" in lines
        assert " ---> c is a link, which is not looked at" in lines
        assert hs.cloud.calls[0].members == ("b.py", "r.txt", "src/a.py", "c")


@pytest.mark.parametrize("names", [["./src/func_main.py"], ["src/", "src/func_main.py"], ["./", "./src"]])
async def test_names_may_begin_with_a_dot_and_folders_may_be_there(names: list[str]) -> None:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        for name in names:
            info: Any = tarfile.TarInfo(name)
            info.type = tarfile.REGTYPE if name.endswith(".py") else tarfile.DIRTYPE
            info.size = len(CODE) if name.endswith(".py") else 0
            archive.addfile(info, io.BytesIO(CODE))
    async with hydrosphere() as hs:
        status, _ = await hs.built(payload=target.getvalue())
        assert status == "Released"
        assert [name.rstrip("/") for name in names] == list(hs.cloud.calls[0].members)
