"""What the platform's own SDK does, recorded from both of its eras, against what ours does with the same.

A contract's file, a runtime's name and a payload's paths go in; bodies and the names in the archive come out. They have to
be the same to the letter, save for what is listed here with its reason. What the SDK refuses, we refuse.

The cases lie beside the repository; `KFP_RUNNER_CONFORMANCE` names another folder.
"""

from __future__ import annotations

import io
import json
import posixpath
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.hydrosphere.release._eras import Era, external_body, upload_body
from components.hydrosphere.release._image import Image
from components.hydrosphere.release._release import Release
from components.hydrosphere.release.contract.reading import Field, Signature, parse
from components.hydrosphere.release.payload.members import Member, find, pack
from runner.errors import InputError
from tests.support.paths import CONFORMANCE

FOLDER = CONFORMANCE / "hydrosphere"
SDKS = {Era.TWO: "2.4.1", Era.THREE: "3.0.3"}
Case = Mapping[str, Any]

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"no recorded case in {FOLDER}; see KFP_RUNNER_CONFORMANCE"
)

SCALARS = {Era.TWO: {"dim": [], "unknownRank": False}, Era.THREE: {"dims": []}}
INNER = {
    era: {"name": "a", "profile": "NONE", "shape": shape, "dtype": "DT_INT32"}
    for era, shape in SCALARS.items()
}
SIGNATURES: Mapping[tuple[Era, str], Mapping[str, Any]] = {
    (era, "fields-key"): {"name": "x", "profile": "NONE", "shape": SCALARS[era], "subfields": [INNER[era]]}
    for era in Era
} | {
    (Era.TWO, "dims-dict-shape"): {
        "name": "x",
        "profile": "NONE",
        "shape": {"dim": [{"size": 3, "name": ""}], "unknownRank": False},
        "dtype": "DT_INT32",
    }
}
"""Era and case → the input that we send on purpose, where the SDK raises or sends another.

* fields-key: subfields work; the SDK read them, and then refused the field because it has no type.
* dims-dict-shape: the SDK of 2.x knew {"dim": […]} alone, and silently made a scalar of {"dims": [3]}.
"""

UNTAGGED = ("hydrosphere/serving-runtime-python-3.7", "a", "localhost:5000/x")
"""Runtimes that the SDK refuses for want of a tag. As everywhere else, it is `latest`."""

PAYLOADS: Mapping[str, Sequence[str] | None] = {
    "./*": ("./a.bin", "./src", "./src/f.py"),
    "../up": None,
    "../model/requirements.txt": None,
}
"""Entry of a payload → what we make of it on purpose; None: an error.

* ./*: patterns are expanded; the SDK looked for a file of that name.
* ../…: nothing from outside the model's folder is sent, nor unpacked outside of where it belongs; the SDK sent it.
"""

BODIES: Mapping[tuple[Era, str], Mapping[str, Any]] = {
    (Era.TWO, "bare"): {"installCommand": None, "runtime": {"name": "r/i", "tag": "latest", "sha256": None}},
    (Era.THREE, "blank-install"): {"installCommand": None},
}
"""Era and model → members that we send differently on purpose.

* installCommand: a blank one made the server's build script end in a bare RUN, which fails; ours is null.
* runtime: an untagged one was sent with a null for its tag, which the server refuses.
"""

LEFT_OUT = ("monitoringConfiguration",)
"""Members that the component has no argument for; the server's defaults hold."""


def load(kind: str, era: Era) -> Any:
    path = FOLDER / f"{kind}-hydrosdk-{SDKS[era]}.json"
    return json.loads(path.read_text()) if path.exists() else {}


ORACLES: Mapping[Era, Case] = {era: load("oracle", era) for era in Era}


def by_era(member: str) -> list[Any]:
    """Return a parameter for every case of a member of the oracles."""
    made = []
    for era, oracle in ORACLES.items():
        cases = oracle.get(member, {})
        pairs = cases.items() if isinstance(cases, dict) else enumerate(cases)
        made += [pytest.param(era, name, case, id=f"{SDKS[era]} {name}") for name, case in pairs]
    return made


def exactly(value: object) -> str:
    """Return text that is the same only for values that are the same down to the order of their members."""
    return json.dumps(value)


def sent(signature: Signature, era: Era) -> Any:
    body = external_body(Release("m", signature), era)
    return body["contract"] if era is Era.TWO else body["signature"]


@pytest.mark.parametrize(("era", "name", "case"), by_era("signatures"))
def test_signatures(era: Era, name: str, case: Case) -> None:
    file = case["contract_file"]
    texts = [json.dumps(file), yaml.safe_dump(file, sort_keys=False)]
    if (era, name) not in SIGNATURES and "raises" in case:
        for text in texts:
            with pytest.raises(InputError, match=r"^--contract_path"):
                parse(text)
        return
    for text in texts:
        ours = sent(parse(text), era)
        if (era, name) in SIGNATURES:
            predict = ours["predict"] if era is Era.TWO else ours
            assert exactly(predict["inputs"]) == exactly([SIGNATURES[era, name]])
            assert "raises" in case or ours != case["sends"], "it deviates no more"
        else:
            assert exactly(ours) == exactly(case["sends"])


def as_mappings(file: Mapping[str, Any]) -> dict[str, Any]:
    """Rewrite a contract of lists as the documentation writes contracts."""
    sides = {
        side: {f["name"]: {k: v for k, v in f.items() if k != "name"} for f in file[side]}
        for side in ("inputs", "outputs")
    }
    return {"name": file["signatureName"], **sides}


@pytest.mark.parametrize(("era", "name", "case"), by_era("signatures"))
def test_signatures_written_as_mappings(era: Era, name: str, case: Case) -> None:
    if "sends" not in case or (era, name) in SIGNATURES:
        assert "raises" in case or (era, name) in SIGNATURES
        return
    assert exactly(
        sent(parse(yaml.safe_dump(as_mappings(case["contract_file"]), sort_keys=False)), era)
    ) == exactly(case["sends"])


@pytest.mark.parametrize(("era", "text", "case"), by_era("runtimes"))
def test_runtimes(era: Era, text: str, case: Case) -> None:
    nothing = Signature("predict", (Field("x", "NONE", (), "DT_BOOL"),), (Field("y", "NONE", (), "DT_BOOL"),))
    if text in UNTAGGED:
        assert "raises" in case, "it deviates no more"
        assert Image.parse(text) == Image(text, "latest", tagged=False)
    elif "raises" in case:
        with pytest.raises(InputError, match=r"^--runtime"):
            Image.parse(text)
    else:
        body = upload_body(Release("m", nothing, Image.parse(text)), era)
        assert exactly(body["runtime"]) == exactly(case["sends"])


@pytest.mark.parametrize(("era", "name", "case"), by_era("resolve_paths"))
def test_paths(era: Era, name: str, case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recorded file system is rebuilt in a folder that stands for its root."""
    (tmp_path / "m").mkdir()
    for entry in case["payload"]:
        place(tmp_path / "m", tmp_path, entry)
    monkeypatch.chdir(tmp_path / "m")
    root = f"{tmp_path}{case['path']}" if case["path"] else ""
    payload = [f"{tmp_path}{entry}" if entry.startswith("/") else entry for entry in case["payload"]]
    if any(entry in PAYLOADS for entry in payload):
        deviates(root, payload)
        return
    expected = {
        f"{tmp_path}{resolved}" if resolved.startswith("/") else f"{tmp_path}/m/{resolved}": (
            f"{tmp_path}{entry}" if entry.startswith("/") else entry
        )
        for resolved, entry in case["result"].items()
    }
    members = find(root, payload)
    assert {str(member.source): member.name for member in members} == {
        resolved: entry.lstrip("/").rstrip("/") for resolved, entry in expected.items()
    }


def place(root: Path, top: Path, entry: str) -> None:
    """Make the file or folder that an entry names."""
    if "*" in entry:
        box(root)
        return
    path = top / entry[1:] if entry.startswith("/") else Path(posixpath.normpath(root / entry))
    path.parent.mkdir(parents=True, exist_ok=True)
    if entry.endswith("/"):
        path.mkdir()
    else:
        path.touch()


def box(root: Path) -> Path:
    """Make the folder whose archive was recorded."""
    (root / "src").mkdir(parents=True)
    (root / "src" / "f.py").touch()
    (root / "a.bin").touch()
    return root


def deviates(root: str | Path, payload: Sequence[str]) -> None:
    ours = PAYLOADS[payload[0]]
    if ours is None:
        with pytest.raises(InputError, match=r"^--payload: .* leads out of the model's folder"):
            find(str(root), payload)
    else:
        assert [member.name for member in find(str(root), payload)] == [*ours]


@pytest.mark.parametrize(("era", "name", "names"), by_era("tar_names"))
def test_names_in_the_archive(era: Era, name: str, names: Any, tmp_path: Path) -> None:
    """The one absolute path is that of a.bin; it was recorded without what belongs to the machine."""
    root = box(tmp_path / "tmp" / "ref" / "hydro" / "trial" / "tarbox")
    payload = json.loads(name)
    if payload[0] in PAYLOADS:
        deviates(root, payload)
    elif payload == ["MODEL_ROOT"]:
        above = str(tmp_path)[1:]
        assert [m["name"] for m in packed(find(str(root), [str(root / "a.bin")]))] == [
            f"{above}/{n}" for n in names
        ]
    else:
        assert [m["name"] for m in packed(find(str(root), payload))] == names


def packed(members: Sequence[Member]) -> list[dict[str, Any]]:
    """Pack, and list the archive as the recording does."""
    target = io.BytesIO()
    pack(members, target, 200_000_000, lambda: False)
    target.seek(0)
    with tarfile.open(fileobj=target, mode="r:gz") as archive:
        return [
            {"name": i.name, "type": "dir" if i.isdir() else "file", "size": i.size, "mode": oct(i.mode)}
            for i in archive
        ]


def requests(path: str) -> list[Any]:
    """Return a parameter for every recorded request to `path`."""
    return [
        pytest.param(era, request, id=f"{SDKS[era]} {request['seq']}")
        for era in Era
        for request in load("requests", era)
        if request["path"] == path
    ]


def part(request: Case, name: str) -> Case:
    return next(part for part in request["parts"] if part["name"] == name)


def release(body: Case, era: Era) -> Release:
    """Rebuild what was given to the SDK from what it sent."""
    signature = (
        body["contract"]["predict"] if era is Era.TWO else body.get("modelSignature") or body["signature"]
    )
    runtime = body.get("runtime")
    return Release(
        body["name"],
        parse(json.dumps(signature)),
        Image.parse(":".join(filter(None, (runtime["name"], runtime["tag"])))) if runtime else None,
        body.get("installCommand") or None,
        body["metadata"],
    )


@pytest.mark.parametrize(("era", "request_"), requests("/api/v2/model/upload"))
def test_uploads(era: Era, request_: Case) -> None:
    theirs = part(request_, "metadata")
    expected = {key: value for key, value in theirs["json"].items() if key not in LEFT_OUT}
    on_purpose = BODIES.get((era, expected["name"]), {})
    ours = upload_body(release(theirs["json"], era), era)
    assert exactly(ours) == exactly({**expected, **on_purpose})
    assert all(expected[member] != value for member, value in on_purpose.items()), "it deviates no more"
    if not on_purpose and expected == theirs["json"]:
        assert json.dumps(ours) == theirs["text"], "the same bytes"


@pytest.mark.parametrize(("era", "request_"), requests("/api/v2/externalmodel"))
def test_external_models(era: Era, request_: Case) -> None:
    expected = json.loads(json.dumps(request_["json"]))
    if era is Era.TWO:
        # The SDK left it to its caller, and the recording one used the contract of another model.
        expected["contract"]["modelName"] = expected["name"]
    assert exactly(external_body(release(request_["json"], era), era)) == exactly(expected)


@pytest.mark.parametrize(("era", "request_"), requests("/api/v2/model/upload"))
def test_uploaded_archives(era: Era, request_: Case, tmp_path: Path) -> None:
    theirs = part(request_, "payload")["tar_members"]
    for member in theirs:
        path = tmp_path / member["name"]
        if member["type"] == "dir":
            path.mkdir()
        else:
            path.write_bytes(b"x" * member["size"])
        path.chmod(int(member["mode"], 8))
    names = [member["name"] for member in theirs]
    payload = [name for name in names if posixpath.dirname(name) not in names]
    assert packed(find(str(tmp_path), payload)) == theirs


def test_every_deviation_is_of_a_recorded_case() -> None:
    for era, name in SIGNATURES:
        assert name in ORACLES[era]["signatures"]
    assert set(UNTAGGED) <= set(ORACLES[Era.THREE]["runtimes"])
    for era, oracle in ORACLES.items():
        recorded = {entry for case in oracle["resolve_paths"] for entry in case["payload"]}
        recorded |= {entry for name in oracle["tar_names"] for entry in json.loads(name)}
        assert set(PAYLOADS) <= recorded
        models = {
            part(r.values[1], "metadata")["json"]["name"]
            for r in requests("/api/v2/model/upload")
            if r.values[0] is era
        }
        assert {name for of, name in BODIES if of is era} <= models
