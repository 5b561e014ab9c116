"""What is sent to servers of either era."""

from __future__ import annotations

import dataclasses
import json

import pytest

from components.hydrosphere.release._eras import Era, era_of, external_body, upload_body
from components.hydrosphere.release._image import Image
from components.hydrosphere.release._release import Release
from components.hydrosphere.release.contract.reading import Field, Signature
from runner.errors import InputError

DIGEST = "sha256:" + "0" * 64
RELEASE = Release(
    "m",
    Signature("predict", (Field("x", "IMAGE", (-1, 3), "DT_FLOAT"),), (Field("y", "NONE", (), "DT_INT64"),)),
    Image("r/i", "t", DIGEST),
    "pip install -r requirements.txt",
    {"k": "v"},
)
NESTED = Field("x", "TEXT", (2,), subfields=(Field("a", "NONE", (), "DT_BOOL"),))


@pytest.mark.parametrize(
    ("version", "era"),
    [
        ("3.0.3", Era.THREE),
        ("2.4.1-SNAPSHOT", Era.TWO),
        ("v3.0.0", Era.THREE),
        ("3", Era.THREE),
        (" 2.0\n", Era.TWO),
        ("2+build", Era.TWO),
        ("1.9.9", None),
        ("4.0.0", None),
        ("30.1", None),
        ("", None),
        ("latest", None),
        ("3rd", None),
        ("-3.0", None),
    ],
)
def test_the_version_tells_the_era(version: str, era: Era | None) -> None:
    assert era_of(version) is era


def test_the_body_of_an_upload_to_3x() -> None:
    assert json.dumps(upload_body(RELEASE, Era.THREE)) == (
        '{"name": "m", "runtime": {"name": "r/i", "tag": "t"}, "modelSignature": {"signatureName": "predict", '
        '"inputs": [{"name": "x", "profile": "IMAGE", "shape": {"dims": [-1, 3]}, "dtype": "DT_FLOAT"}], '
        '"outputs": [{"name": "y", "profile": "NONE", "shape": {"dims": []}, "dtype": "DT_INT64"}]}, '
        '"installCommand": "pip install -r requirements.txt", "metadata": {"k": "v"}}'
    )


def test_the_body_of_an_upload_to_2x() -> None:
    assert json.dumps(upload_body(RELEASE, Era.TWO)) == (
        f'{{"name": "m", "runtime": {{"name": "r/i", "tag": "t", "sha256": "{DIGEST}"}}, '
        '"contract": {"modelName": "m", "predict": {"signatureName": "predict", '
        '"inputs": [{"name": "x", "profile": "IMAGE", "shape": {"dim": [{"size": -1, "name": ""}, '
        '{"size": 3, "name": ""}], "unknownRank": false}, "dtype": "DT_FLOAT"}], '
        '"outputs": [{"name": "y", "profile": "NONE", "shape": {"dim": [], "unknownRank": false}, "dtype": "DT_INT64"}]}}, '
        '"installCommand": "pip install -r requirements.txt", "metadata": {"k": "v"}}'
    )


@pytest.mark.parametrize("era", Era)
def test_what_is_not_given(era: Era) -> None:
    bare = dataclasses.replace(RELEASE, install_command=None, metadata=None, runtime=Image("i", "latest"))
    body = upload_body(bare, era)
    assert body["installCommand"] is None
    assert body["metadata"] == {}
    assert body["runtime"].get("sha256") is None
    with pytest.raises(InputError, match=r"^--runtime is missing"):
        upload_body(dataclasses.replace(RELEASE, runtime=None), era)


@pytest.mark.parametrize(("era", "member"), [(Era.TWO, "contract"), (Era.THREE, "signature")])
def test_the_body_of_an_external_model(era: Era, member: str) -> None:
    body = external_body(dataclasses.replace(RELEASE, runtime=None, metadata={}), era)
    upload = upload_body(RELEASE, era)
    assert list(body) == ["name", member, "metadata"]
    assert body[member] == upload["contract" if era is Era.TWO else "modelSignature"]
    assert body["metadata"] == {}


@pytest.mark.parametrize(
    ("era", "shape", "scalar"),
    [
        (Era.THREE, {"dims": [2]}, {"dims": []}),
        (
            Era.TWO,
            {"dim": [{"size": 2, "name": ""}], "unknownRank": False},
            {"dim": [], "unknownRank": False},
        ),
    ],
)
def test_subfields_stand_in_place_of_a_type(era: Era, shape: object, scalar: object) -> None:
    signature = dataclasses.replace(RELEASE.signature, inputs=(NESTED,))
    body = external_body(dataclasses.replace(RELEASE, signature=signature), era)
    sent = body["signature"] if era is Era.THREE else body["contract"]["predict"]
    a = {"name": "a", "profile": "NONE", "shape": scalar, "dtype": "DT_BOOL"}
    assert sent["inputs"] == [{"name": "x", "profile": "TEXT", "shape": shape, "subfields": [a]}]
