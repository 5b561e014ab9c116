"""Whatever stands in a contract's file, and whatever a payload names: it is understood, or it is an `InputError`.

What is understood says the same after a round trip; what is packed lies in the model's folder, and unpacks to just that.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.hydrosphere.release._eras import Era, external_body
from components.hydrosphere.release._image import Image
from components.hydrosphere.release._release import Release
from components.hydrosphere.release.contract import fields as contract_fields
from components.hydrosphere.release.contract import reading as contracts
from components.hydrosphere.release.contract.reading import Field, Signature, parse
from components.hydrosphere.release.payload.members import Member, digest, find, pack
from runner.errors import InputError

T = TypeVar("T")
KEYS = (
    "signatureName",
    "name",
    "inputs",
    "outputs",
    "shape",
    "dims",
    "dim",
    "size",
    "unknownRank",
    "type",
    "dtype",
)
WORDS = (
    *KEYS,
    "profile",
    "subfields",
    "fields",
    "scalar",
    "int64",
    "DT_BOOL",
    "numerical",
    "predict",
    "contract",
    "x",
    "",
)

words = st.sampled_from(WORDS) | st.text(max_size=8)
scalars = st.none() | st.booleans() | st.integers(-3, 5) | st.integers() | st.floats() | words
anything: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=25,
)
names = st.text(min_size=1, max_size=6).filter(str.strip)
profiles = st.sampled_from(contract_fields.PROFILES)
dims = st.lists(st.integers(-1, 2**63 - 1), max_size=3).map(tuple)
plain = st.builds(Field, names, profiles, dims, st.sampled_from(contract_fields.DTYPES))


def distinct(fields: st.SearchStrategy[Field]) -> st.SearchStrategy[tuple[Field, ...]]:
    return st.lists(fields, min_size=1, max_size=3, unique_by=lambda field: field.name).map(tuple)


fields = st.recursive(
    plain,
    lambda inner: st.builds(Field, names, profiles, dims, st.just(""), distinct(inner)),
    max_leaves=6,
)
signatures = st.builds(Signature, names, distinct(fields), distinct(fields))


def written(signature: Signature, era: Era) -> str:
    body = external_body(Release("m", signature, Image("i", "t")), era)
    return json.dumps(body["signature"] if era is Era.THREE else body["contract"]["predict"])


def places(document: Any) -> list[tuple[Any, Any]]:
    """Return every place in a document: the list or mapping, and the index or key in it."""
    keys = (
        document if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ()
    )
    made: list[tuple[Any, Any]] = [(document, key) for key in keys]
    return made + [place for key in keys for place in places(document[key])]


@st.composite
def documents(draw: st.DrawFn) -> Any:
    """Draw a contract in which up to two things are changed, left out or added."""
    document = json.loads(written(draw(signatures), draw(st.sampled_from(Era))))
    for _ in range(draw(st.integers(0, 2))):
        inside, key = draw(st.sampled_from(places(document)))
        change = draw(st.sampled_from(["replace", "remove", "add"]))
        if change == "remove":
            del inside[key]
        elif change == "add" and isinstance(inside, dict):
            inside[draw(words)] = draw(anything)
        else:
            inside[key] = draw(anything)
    return document


def understood(text: str) -> Signature | None:
    answer = answered(lambda: parse(text))
    if isinstance(answer, Signature):
        return answer
    assert answer.startswith("--contract_path")
    assert len(answer) < 10_000
    assert answer.isprintable()
    return None


def answered(call: Callable[[], T]) -> T | str:
    """Return what a call returns, or the text of its `InputError`; any other exception goes on."""
    try:
        return call()
    except InputError as error:
        return str(error)


@settings(max_examples=200, deadline=None)
@given(documents() | anything)
@example({"inputs": {"x": {"type": "int"}}, "outputs": [{"y": {"type": "int"}}]})
def test_any_json_is_a_signature_or_an_input_error(document: Any) -> None:
    signature = understood(json.dumps(document))
    if signature is not None:
        assert parse(written(signature, Era.THREE)) == signature
        assert parse(written(signature, Era.TWO)) == signature


@settings(max_examples=200, deadline=None)
@given(documents() | anything)
def test_json_and_yaml_say_the_same(document: Any) -> None:
    text = yaml.safe_dump(document, allow_unicode=False)
    assert understood(text) == understood(json.dumps(yaml.safe_load(text)))


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60) | st.text("{}[]&*a:,-?|>!% \n\"'#<0123.", max_size=60))
@example("a: &a\n  <<: *a")
@example("? &a [*a]\n: 1")
@example("inputs: !!timestamp ''")
def test_any_text_is_a_signature_or_an_input_error(text: str) -> None:
    assert understood(text) is None or text


@settings(max_examples=200, deadline=None)
@given(signatures, st.sampled_from(Era))
def test_what_is_sent_reads_as_what_was_meant(signature: Signature, era: Era) -> None:
    assert parse(written(signature, era)) == signature


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60))
def test_any_file_is_a_signature_or_an_input_error(content: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        answer = answered(lambda: contracts.read(file.name))
        assert isinstance(answer, Signature) or answer.startswith("--contract_path")


NAMES = ("a", "b", "a.py", ".h", "a*", "[a]", " ", "é\n", os.fsdecode(b"\xff"))
PARTS = (*NAMES, "*", "**", "?", "*.py", ".*", "[ab]", "..", ".", "")

contents = st.binary(max_size=40)
targets = st.sampled_from(["a", "b", "../a", "../b/a.py", ".", "..", "../..", "nothing", "/etc"])
trees: st.SearchStrategy[Any] = st.dictionaries(
    st.sampled_from(NAMES),
    st.recursive(
        contents | contents | contents | targets,  # A link out of the root makes an error of most payloads.
        lambda inner: st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
        max_leaves=8,
    ),
    min_size=1,
    max_size=5,
)
"""Name → content of a file, target of a link, or what is in a folder."""
odd = st.lists(st.sampled_from(PARTS), min_size=1, max_size=4).map("/".join) | st.text(max_size=5)


def paths(tree: Mapping[str, Any]) -> Iterator[str]:
    for name, what in tree.items():
        yield from (name, f"./{name}", f"{name}/")
        if isinstance(what, dict):
            yield from (f"{name}/{part}" for part in ("*", "**", f"../{name}", *paths(what)))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Mapping[str, Any], list[str]]:
    """Draw a tree, and a payload that mostly names what is in it."""
    tree = draw(trees)
    known = st.sampled_from(["*", "./*", "**/*.py", ".", *paths(tree)])
    payload = st.lists(known, min_size=1, max_size=3) | st.lists(known | odd, min_size=1, max_size=2)
    return tree, [entry for entry in draw(payload) if not entry.startswith("/")]


def build(folder: Path, tree: Mapping[str, Any]) -> None:
    for name, what in tree.items():
        if isinstance(what, bytes):
            (folder / name).write_bytes(what)
        elif isinstance(what, str):
            (folder / name).symlink_to(what)
        else:
            (folder / name).mkdir()
            build(folder / name, what)


def found(root: Path, payload: list[str]) -> tuple[Member, ...]:
    answer = answered(lambda: find(str(root), payload))
    if isinstance(answer, str):
        assert answer.startswith("--payload")
        assert "\n" not in answer
        return ()
    return answer


@settings(max_examples=300, deadline=None)
@given(cases())
@example(({"a": {"b": b"1"}, "b": "a"}, ["*", "a/../b/*", "./**/b"]))
def test_members_lie_inside_the_root_and_unpack_to_just_that(
    case: tuple[Mapping[str, Any], list[str]],
) -> None:
    tree, payload = case
    with tempfile.TemporaryDirectory() as name:
        root = Path(name).resolve() / "beside" / "root"
        root.mkdir(parents=True)
        (root.parent / "a").write_text("a secret")
        build(root, tree)
        members = found(root, payload)
        for member in members:
            assert member.source.resolve() == member.source
            assert member.source == root or root in member.source.parents
            assert member.source.is_dir() if member.folder else member.source.is_file()
            assert os.path.normpath(member.name).split("/")[0] != ".."
        unpacked = Path(name) / "unpacked"
        unpacked.mkdir()
        target = io.BytesIO()
        assert pack(members, target, 1_000_000, lambda: False) == len(target.getvalue())
        target.seek(0)
        with tarfile.open(fileobj=target, mode="r:gz") as archive:
            assert [info.name for info in archive] == [member.name for member in members]
            archive.extractall(unpacked, filter="data")
        same_content(members, unpacked)
        assert len(digest(members)) == 64


def same_content(members: tuple[Member, ...], unpacked: Path) -> None:
    """Hold that there is what was packed, and nothing else but the folders that lead to it."""
    named = {os.path.normpath(member.name) for member in members}
    for member in members:
        there = unpacked / member.name
        assert not there.is_symlink()
        if not member.folder:
            assert there.read_bytes() == member.source.read_bytes()
    for path in unpacked.rglob("*"):
        within = str(path.relative_to(unpacked))
        assert within in named or (path.is_dir() and any(name.startswith(f"{within}/") for name in named))


@pytest.mark.parametrize(
    "entry", ["", " ", "\0", "/", "//", "/.", "/..", "../", "~", "a\0*", "\ud800*", "[", "**/**/**"]
)
def test_odd_entries(entry: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        assert found(Path(name), [entry]) == ()
