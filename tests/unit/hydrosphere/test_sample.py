"""The sample model: what it makes of SageMaker's result, what it answers, and that all its parts agree."""

from __future__ import annotations

import ast
import csv
import inspect
import io
import json
import runpy
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.hydrosphere import sample
from components.hydrosphere.release.contract import reading as contracts
from components.hydrosphere.release.contract.fields import ALIASES

CENTERS = np.zeros((4, 64))
CENTERS[0, 0], CENTERS[1, 1], CENTERS[2, 2], CENTERS[3, 3] = 16, 16, 16, 16
MXNET = {
    # Written by mxnet 1.9.1: nd.save of [[0.5, 1.5, 2.5], [3, -4, 5.25]], plain and under a name, and of [[0, 1], [2, 3]].
    "float32": (
        "120100000000000000000000000000000100000000000000c9fa93f900000000020000000200000000000000030000000000000001000000"
        "00000000000000000000003f0000c03f0000204000004040000080c00000a8400000000000000000"
    ),
    "named": (
        "120100000000000000000000000000000100000000000000c9fa93f900000000020000000200000000000000030000000000000001000000"
        "00000000000000000000003f0000c03f0000204000004040000080c00000a8400100000000000000070000000000000063656e74657273"
    ),
    "float64": (
        "120100000000000000000000000000000100000000000000c9fa93f900000000020000000200000000000000020000000000000001000000"
        "00000000010000000000000000000000000000000000f03f000000000000004000000000000008400000000000000000"
    ),
}


def npy(centers: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, centers)
    return file.getvalue()


def archive(*members: tuple[str, bytes], kind: bytes = tarfile.REGTYPE) -> io.BytesIO:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as packed:
        for name, content in members:
            header = tarfile.TarInfo(name)
            header.type, header.size, header.linkname = kind, len(content), "/etc/passwd"
            packed.addfile(header, io.BytesIO(content))
    file.seek(0)
    return file


def rows(images: Any) -> str:
    return "".join(",".join(str(int(pixel)) for pixel in image) + "\n" for image in images)


@pytest.fixture
def code(tmp_path: Path) -> Mapping[str, Any]:
    """What the entry defines where it is laid out."""
    for name, text in sample.texts().items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return runpy.run_path(str(tmp_path / sample.ENTRY))


@pytest.fixture
def prepared(code: Mapping[str, Any]) -> Mapping[str, Any]:
    """Four clusters, of which the images name three: after 7, 7 and 5."""
    images = CENTERS[[0, 0, 0, 1, 2]]
    code["prepare"](archive(("model_algo-1", npy(CENTERS))), rows(images), "7\n7\n1\n7\n5\n")
    return code


# ── what it answers ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_image_and_many(prepared: Mapping[str, Any]) -> None:
    one = prepared["predict"](CENTERS[2])
    assert {name: values.tolist() for name, values in one.items()} == {
        "digit": [5],
        "cluster": [2],
        "distance": [0.0],
    }
    many = prepared["predict"](image=CENTERS[[1, 3]] / 2)
    assert many["digit"].tolist() == [7, -1], "nobody named the last cluster"
    assert many["cluster"].tolist() == [1, 3]
    assert many["distance"].tolist() == [8.0, 8.0]


def test_it_knows_no_images_of_another_size(prepared: Mapping[str, Any]) -> None:
    for shape in ((), (63,), (2, 63), (1, 8, 8), (1, 1, 64)):
        with pytest.raises(ValueError, match=r"image has the shape .*; it has to be \(64,\) or \(n, 64\)"):
            prepared["predict"](np.zeros(shape))
    assert prepared["predict"](np.zeros((0, 64)))["digit"].shape == (0,)


def test_the_contract_says_what_it_takes_and_returns(prepared: Mapping[str, Any]) -> None:
    signature = contracts.read(str(sample.CONTRACT))
    assert signature.name == "predict"
    assert [each.name for each in signature.inputs] == [*inspect.signature(prepared["predict"]).parameters]
    answer = prepared["predict"](CENTERS)
    assert [each.name for each in signature.outputs] == [*answer]
    for each in signature.outputs:
        assert each.dims == (-1,), each
        assert each.dtype == ALIASES[answer[each.name].dtype.name], each
    assert {each.profile for each in (*signature.inputs, *signature.outputs)}.isdisjoint({"NONE"})


# ── what it makes before a release ──────────────────────────────────────────────────────────────────────────────────


def test_all_of_the_payload_is_there_and_nothing_more(prepared: Mapping[str, Any], tmp_path: Path) -> None:
    there = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    named = {name.removeprefix("./") for name in sample.PAYLOAD}
    assert there == named - {"src/"} | {sample.ENTRY, sample.TRAINING_DATA}


def test_training_data_have_the_contracts_fields(prepared: Mapping[str, Any], tmp_path: Path) -> None:
    with (tmp_path / sample.TRAINING_DATA).open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [*table[0]] == [*(f"image_{n}" for n in range(64)), "digit", "cluster", "distance"]
    assert [(row["image_0"], row["image_1"], row["digit"]) for row in table] == [
        *[("16.0", "0.0", "7")] * 3,
        ("0.0", "16.0", "7"),
        ("0.0", "0.0", "5"),
    ]


def test_another_model_takes_the_place_of_the_first(prepared: Mapping[str, Any]) -> None:
    assert prepared["predict"](CENTERS[0])["digit"].tolist() == [7]
    prepared["prepare"](archive(("./model_algo-1", npy(CENTERS[:1]))), rows(CENTERS[:1]), "3\n")
    assert prepared["predict"](CENTERS[0])["digit"].tolist() == [3]


@pytest.mark.parametrize(
    ("packed", "reason"),
    [
        (archive(("other", b"")), "holds no model_algo-1"),
        (archive(("../model_algo-1", npy(CENTERS))), "holds no model_algo-1"),
        (archive(("model_algo-1", b""), kind=tarfile.SYMTYPE), "holds no model_algo-1"),
        (archive(("model_algo-1", npy(np.zeros((4, 65))))), r"has the shape \(4, 65\)"),
        (archive(("model_algo-1", npy(np.zeros(64)))), r"has the shape \(64,\)"),
        (archive(("model_algo-1", b"PK\3\4" + bytes(100))), "neither NumPy's nor MXNet's"),
        (archive(("model_algo-1", b"")), "is cut off"),
    ],
)
def test_an_archive_without_a_k_means_is_refused(
    code: Mapping[str, Any], tmp_path: Path, packed: io.BytesIO, reason: str
) -> None:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match=reason):
        code["prepare"](packed, rows(CENTERS), "0\n1\n2\n3\n")
    assert sorted(tmp_path.rglob("*")) == before, "nothing was written"


def test_a_model_beyond_all_measure_is_not_read(
    code: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(code["_unpacked"].__globals__, "LARGEST", 100)
    with pytest.raises(ValueError, match="at most 100 are read"):
        code["prepare"](archive(("model_algo-1", npy(CENTERS))), rows(CENTERS), "0\n1\n2\n3\n")


def test_every_image_needs_its_digit(code: Mapping[str, Any]) -> None:
    with pytest.raises(ValueError, match="there are 4 images, but 1 digits"):
        code["prepare"](archive(("model_algo-1", npy(CENTERS))), rows(CENTERS), "0\n")


# ── SageMaker's file ────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_mxnet_writes_is_read(code: Mapping[str, Any]) -> None:
    found = {name: code["_mxnet_array"](bytes.fromhex(content)).tolist() for name, content in MXNET.items()}
    both = [[0.5, 1.5, 2.5], [3.0, -4.0, 5.25]]
    assert found == {"float32": both, "named": both, "float64": [[0.0, 1.0], [2.0, 3.0]]}


def test_what_is_cut_off_is_refused_wherever_it_is_cut(code: Mapping[str, Any]) -> None:
    whole = bytes.fromhex(MXNET["float32"])
    names = 8  # How many names there are stands at the end, and is not read.
    for size in range(len(whole) - names):
        with pytest.raises(ValueError, match=r".+"):
            code["_mxnet_array"](whole[:size])


def test_numbers_of_other_kinds_are_refused(code: Mapping[str, Any]) -> None:
    whole = bytearray.fromhex(MXNET["float32"])
    place = 36 + 16 + 8
    whole[place : place + 4] = (4).to_bytes(4, "little")  # int32
    with pytest.raises(ValueError, match="holds no floating-point numbers"):
        code["_mxnet_array"](bytes(whole))


# ── where it runs ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_runtimes_python_can_read_it() -> None:
    assert "python-3.7" in sample.RUNTIME
    tree = ast.parse(sample.texts()[sample.ENTRY], feature_version=(3, 7))
    imported = {
        (node.module or "").partition(".")[0] if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert imported - {"numpy"} <= {
        *("__future__", "csv", "functools", "io", "json", "pathlib", "struct", "tarfile", "typing")
    }, "what is here is older than Python 3.7"


def test_digits_are_kept_as_json(prepared: Mapping[str, Any], tmp_path: Path) -> None:
    assert json.loads((tmp_path / "digits.json").read_text()) == [7, 7, 5, -1]
