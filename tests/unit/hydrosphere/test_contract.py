"""The contract's file: every way of writing it, and every way of getting it wrong."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from components.hydrosphere.release.component import NOTES
from components.hydrosphere.release.contract import expansion
from components.hydrosphere.release.contract import fields as contract_fields
from components.hydrosphere.release.contract import reading as contracts
from components.hydrosphere.release.contract.reading import Field, Signature, parse, read
from runner.errors import InputError

Y = {"name": "y", "type": "double"}
OUT = Field("y", "NONE", (), "DT_DOUBLE")
PLAIN = Signature("predict", (Field("x", "NONE", (), "DT_INT64"),), (OUT,))


def signature(**field: Any) -> Signature:
    """Read a contract whose one input is `x`, written with `field`."""
    return parse(json.dumps({"inputs": [{"name": "x", "type": "int64"} | field], "outputs": [Y]}))


def wrong(text: str | dict[str, Any]) -> str:
    with pytest.raises(InputError) as caught:
        parse(text if isinstance(text, str) else json.dumps(text))
    assert str(caught.value).startswith("--contract_path")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def wrong_field(**field: Any) -> str:
    return wrong({"inputs": [{"name": "x", "type": "int64"} | field], "outputs": [Y]})


@pytest.mark.parametrize(
    "text",
    [
        '{"signatureName": "predict", "inputs": [{"name": "x","type": "int"}], "outputs": [{"name": "y", "type": "float"}]}',
        '{"inputs": [{"x": {"type": "int64"}}], "outputs": [{"y": {"dtype": "DT_DOUBLE", "shape": null}}]}',
        "name: predict\ninputs: {x: {type: int64, shape: scalar}}\noutputs: {y: {type: double, profile: none}}\n",
        "inputs:\n- name: x\n  type: int\noutputs:\n  y: {name: y, type: float64, shape: []}\n",
        "signatureName: predict\ninputs:\n  x: &x {type: int64}\noutputs:\n  y: {<<: *x, type: double}\n",
    ],
    ids=["lists", "names outside", "mappings", "mixed", "aliases"],
)
def test_every_way_of_writing_it_means_the_same(text: str) -> None:
    assert parse(text) == PLAIN


@pytest.mark.parametrize(
    ("shape", "dims"),
    [
        ("scalar", ()),
        (None, ()),
        ([], ()),
        ({}, ()),
        ([-1, 28, 0, 2**63 - 1], (-1, 28, 0, 2**63 - 1)),
        ({"dims": [3]}, (3,)),
        ({"dim": [{"size": -1, "name": ""}, {"size": 28}], "unknownRank": False}, (-1, 28)),
        ([{"size": 3}, 4], (3, 4)),
    ],
)
def test_shapes(shape: object, dims: tuple[int, ...]) -> None:
    assert signature(shape=shape).inputs[0].dims == dims


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ("3", "inputs[0].shape is '3'"),
        (3, "inputs[0].shape is 3"),
        ([True], "inputs[0].shape[0] is true"),
        ([3, -2], "inputs[0].shape[1] is -2"),
        ([3.0], "inputs[0].shape[0] is 3.0"),
        ([2**63], "inputs[0].shape[0] is 9223372036854775808"),
        ([[1]], "inputs[0].shape[0] is a list"),
        ({"dims": None}, "inputs[0].shape.dims is null"),
        ({"dims": [1], "dim": []}, "inputs[0].shape has dims and dim"),
        ({"dimms": [1]}, "inputs[0].shape.dimms is unknown; did you mean dims?"),
        ({"dim": [], "unknownRank": True}, "inputs[0].shape.unknownRank can't be sent"),
        ({"dim": [{"size": 1, "name": "batch"}]}, "inputs[0].shape.dim[0].name can't be sent"),
        ({"dim": [{}]}, "inputs[0].shape.dim[0].size is null"),
    ],
)
def test_wrong_shapes(shape: object, told: str) -> None:
    assert told in wrong_field(shape=shape)


@pytest.mark.parametrize(
    ("alias", "dtype"), [*contract_fields.ALIASES.items(), *((t, t) for t in contract_fields.DTYPES)]
)
def test_types(alias: str, dtype: str) -> None:
    assert signature(type=alias).inputs[0].dtype == dtype


def test_dtype_wins_over_type() -> None:
    assert signature(dtype="DT_DOUBLE", type="int32").inputs[0].dtype == "DT_DOUBLE"
    assert signature(dtype=None, type="int32").inputs[0].dtype == "DT_INT32"


@pytest.mark.parametrize("given", ["", "Int64", "DT_INVALID", 5, True, ["int"], "x" * 1000])
def test_an_unknown_type_is_told_with_the_known_ones(given: object) -> None:
    text = wrong_field(type=given)
    assert "inputs[0].type is " in text
    assert "float32, single" in text
    assert "DT_UINT64" in text
    assert "x" * 61 not in text


def test_the_nearest_type_is_named() -> None:
    assert "inputs[0].dtype is 'DT_INT46', which is no type; did you mean DT_INT64?" in wrong_field(
        dtype="DT_INT46"
    )


@pytest.mark.parametrize("profile", [*contract_fields.PROFILES, "numerical", "Text"])
def test_profiles_in_any_case(profile: str) -> None:
    assert signature(profile=profile).inputs[0].profile == profile.upper()


def test_an_unknown_profile_is_an_error_that_lists_the_known_ones() -> None:
    text = wrong_field(profile="numeric")
    assert "inputs[0].profile is 'numeric', which is no profile; did you mean NUMERICAL?" in text
    assert "the profiles are NONE, CATEGORICAL, NOMINAL" in text
    assert "inputs[0].profile is 3" in wrong_field(profile=3)
    assert "inputs[0].profile is ''" in wrong_field(profile="")


def test_what_is_accepted_is_listed_once_after_all_that_is_wrong() -> None:
    many = [{"name": f"x{n}", "type": "integer", "profile": "?"} for n in range(5)]
    text = wrong({"inputs": many, "outputs": [Y]})
    assert text.count("is no type") == text.count("is no profile") == 5
    assert text.count("the types are") == text.count("the profiles are") == 1


@pytest.mark.parametrize("key", ["subfields", "fields"])
def test_subfields_in_both_shapes_and_nested(key: str) -> None:
    inner = {"a": {"type": "int32"}, "b": {"subfields": [{"name": "c", "type": "bool", "shape": [2]}]}}
    text = json.dumps({"inputs": {"x": {"profile": "text", key: inner}}, "outputs": [Y]})
    b = Field("b", "NONE", (), subfields=(Field("c", "NONE", (2,), "DT_BOOL"),))
    assert parse(text).inputs == (Field("x", "TEXT", (), subfields=(Field("a", "NONE", (), "DT_INT32"), b)),)


def test_what_is_wrong_in_subfields_is_told_with_its_path() -> None:
    text = wrong({"inputs": {"x": {"subfields": {"a": {"type": "?"}, "b": {}}}}, "outputs": [Y]})
    assert "inputs.x.subfields.a.type is '?'" in text
    assert "inputs.x.subfields.b has no type" in text
    assert "inputs[0] has type and subfields" in wrong_field(subfields={"a": {"type": "int"}})
    assert "inputs.x.fields is empty" in wrong({"inputs": {"x": {"fields": {}}}, "outputs": [Y]})
    both = {"fields": {"a": {"type": "int"}}, "subfields": {"a": {"type": "int"}}}
    assert "inputs.x has subfields and fields" in wrong({"inputs": {"x": both}, "outputs": [Y]})


def test_levels_of_subfields_are_bounded() -> None:
    def nested(levels: int) -> str:
        field: dict[str, Any] = {"type": "int"}
        for _ in range(levels - 1):
            field = {"fields": {"a": field}}
        return json.dumps({"inputs": {"a": field}, "outputs": [Y]})

    assert parse(nested(contract_fields.MOST_DEPTH)).inputs[0].name == "a"
    assert "nested too deeply" in wrong(nested(contract_fields.MOST_DEPTH + 1))
    assert "nested too deeply" in wrong(nested(400))


@pytest.mark.parametrize(
    ("item", "told"),
    [
        ({"type": "int"}, "inputs[0] has no name"),
        ({"shape": {"dims": []}}, "inputs[0] has no name"),
        ({"name": None, "type": "int"}, "inputs[0] has the name null, which is not text"),
        ({"name": 3, "type": "int"}, "inputs[0] has the name 3, which is not text"),
        ({"name": " ", "type": "int"}, "inputs[0] has a blank name"),
        ({"": {"type": "int"}}, "inputs[0]. has a blank name"),
        ({"name": "x"}, "inputs[0] has no type"),
        ({"name": "x", "type": None}, "inputs[0] has no type"),
        ({"x": {"tpye": "int"}}, "inputs[0].x.tpye is unknown; did you mean type?"),
        ({"name": "x", "type": "int", "unit": 1}, "inputs[0].unit is unknown"),
        ({}, "inputs[0] has no name"),
        ([], "inputs[0] is a list; it has to be a mapping"),
        (None, "inputs[0] is null"),
        ("x", "inputs[0] is 'x'"),
    ],
)
def test_wrong_items_of_a_list(item: object, told: str) -> None:
    assert told in wrong({"inputs": [item], "outputs": [Y]})


def test_wrong_entries_of_a_mapping() -> None:
    text = wrong(
        "inputs: {x: int64, no: {type: int}, 5: {type: int}, a: {name: b, type: int}}\noutputs: {y: {type: int}}"
    )
    assert "inputs.x is 'int64'; it has to be a mapping" in text
    assert "inputs.false has the name false, which is not text" in text
    assert "inputs.5 has the name 5, which is not text" in text
    assert "inputs.a.name is 'b', which is not the name that it stands under" in text


def test_a_field_may_be_called_as_a_key_is() -> None:
    text = json.dumps({"inputs": {"shape": {"type": "int"}}, "outputs": [{"name": {"type": "int"}}]})
    assert [field.name for field in (*parse(text).inputs, *parse(text).outputs)] == ["shape", "name"]


def test_doubled_names() -> None:
    x = '{"name": "x", "type": "int"}'
    assert "inputs[1] has the name 'x' of inputs[0]" in wrong(f'{{"inputs": [{x}, {x}], "outputs": [{x}]}}')
    as_mapping = '{"x": {"type": "int", "type": "bool"}, "x": {"type": "int"}}'
    text = wrong(
        f'{{"inputs": {as_mapping}, "outputs": {{"y": {{"subfields": {as_mapping}}}}}, "outputs": []}}'
    )
    assert "inputs.x stands there twice" in text
    assert "outputs stands there twice" in text
    assert "outputs is empty" in text
    text = wrong(
        "inputs:\n  x: {type: int, type: bool}\n  y: {type: int}\n  y: {type: int}\noutputs: {y: {type: int}}"
    )
    assert "inputs.x.type stands there twice" in text
    assert "inputs.y stands there twice" in text


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"outputs": [Y]}, "it has no inputs"),
        ({"inputs": [Y], "outputs": None}, "it has no outputs"),
        ({"inputs": [], "outputs": {}}, "inputs is empty; at least one field is needed; outputs is empty"),
        ({"inputs": 3, "outputs": [Y]}, "inputs is 3; it has to be a list of fields"),
        ({"input": [Y], "outputs": [Y]}, "input is unknown; did you mean inputs?"),
        (
            {"name": "a", "signatureName": "b", "inputs": [Y], "outputs": [Y]},
            "signatureName and name are both given",
        ),
        ({"modelName": "m", "predict": {"inputs": [Y]}}, "give what is inside `predict` alone"),
        ({"kind": "Model", "contract": {"inputs": [Y]}}, "give what is inside `contract` alone"),
        ("[]", "it is a list; it has to be a mapping"),
        ("null", "it is null; it has to be a mapping"),
        ("# only a comment", "it is null; it has to be a mapping"),
        ("just text", "it is 'just text'; it has to be a mapping"),
        ("", "it is empty"),
        (" \n", "it is empty"),
    ],
)
def test_wrong_documents(document: str | dict[str, Any], told: str) -> None:
    assert told in wrong(document)


@pytest.mark.parametrize("key", ["name", "signatureName"])
def test_the_name_of_the_function(key: str) -> None:
    assert parse(json.dumps({key: "infer", "inputs": [Y], "outputs": [Y]})).name == "infer"
    for given, shown in (
        (None, "null"),
        ("", "''"),
        (" ", "' '"),
        (5, "5"),
        (True, "true"),
        ({}, "a mapping"),
    ):
        assert f"{key} is {shown}; it has to be" in wrong({key: given, "inputs": [Y], "outputs": [Y]})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"inputs": [}', "neither JSON nor YAML (line 1, column 13: Expecting value)"),
        (
            "inputs:\n  - a: b: c\n",
            "neither JSON nor YAML (line 2, column 9: mapping values are not allowed here)",
        ),
        ("inputs: \x00", "neither JSON nor YAML"),
        ("inputs: !!python/object:os.system {}", "could not determine a constructor"),
        ("inputs: 2001-99-99", "a value can't be read"),
        ("inputs: {? [1] : 2}", "unhashable"),
        ("a: 1\n---\nb: 2\n", "another document"),
        ('{"inputs": ' + "1" * 5000 + "}", "too many digits"),
        ("inputs: 0x" + "f" * 9000, "inputs is a huge number"),
        ("inputs: !!set {a, b}", "inputs is a set"),
        ("[" * 100_000, "nested too deeply"),
        ("inputs: " + "[" * 5000, "nested too deeply"),
        ("inputs: &a [*a]", "a part of it holds itself"),
        ("inputs: &a {x: {fields: *a}}", "a part of it holds itself"),
    ],
)
def test_text_that_stands_for_nothing(text: str, told: str) -> None:
    assert told in wrong(text)


@pytest.mark.parametrize(
    ("first", "again"),
    [("[1, 1]", "[{}]"), ("{x: 1}", "{{<<: [{}]}}"), ("{x: {type: int}}", "{{x: {{fields: [{}]}}}}")],
    ids=["lists", "merge keys", "fields"],
)
def test_an_alias_bomb_is_answered(first: str, again: str) -> None:
    lines = [f"a{n}: &a{n} {again.format(', '.join([f'*a{n - 1}'] * 9))}" for n in range(1, 30)]
    assert f"more than {expansion.MOST_NODES:,} entries" in wrong("\n".join([f"a0: &a0 {first}", *lines]))


def test_too_much_yaml_is_answered_while_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expansion, "MOST_NODES", 100)
    assert "more than 100 entries" in wrong("inputs:\n" + "- 1\n" * 100 + "what follows: is [ never read")


def test_fields_are_counted() -> None:
    fields = {str(n): {"type": "int"} for n in range(contract_fields.MOST_FIELDS + 1)}
    assert f"more than {contract_fields.MOST_FIELDS:,} fields" in wrong({"inputs": fields, "outputs": [Y]})
    fields.popitem()
    fields.popitem()
    assert (
        len(parse(json.dumps({"inputs": fields, "outputs": [Y]})).inputs) == contract_fields.MOST_FIELDS - 1
    )


def test_an_error_stays_short_however_much_is_wrong() -> None:
    long = {"k" * 500: {"type": "t" * 500}, "line\nbreak": {}, "😀": {}, "\ud800": {}}
    text = wrong({"inputs": [{"q" * 100: "v"}] * 3000, "outputs": [Y]})
    assert "; and 2980 more mistakes" in text
    assert len(text) < 6000
    assert "q" * 61 not in text
    text = wrong({"inputs": [Y], "outputs": long})
    assert "outputs.'line\\nbreak' has no type" in text
    assert "outputs.😀 has no type" in text
    assert "outputs.'\\ud800' has no type" in text


def test_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "contract.yaml"
    file.write_bytes(b"\xef\xbb\xbfinputs: {x: {type: int}}\noutputs: {y: {type: double}}\n")
    assert read(str(file)) == PLAIN


def wrong_file(path: object) -> str:
    with pytest.raises(InputError) as caught:
        read(str(path))
    assert str(caught.value).startswith("--contract_path")
    return str(caught.value)


def test_files_that_are_no_contract(tmp_path: Path) -> None:
    assert "there is no file" in wrong_file(tmp_path / "none.json")
    assert "is a folder" in wrong_file(tmp_path)
    assert "can't be read" in wrong_file(tmp_path / ("n" * 300))
    assert "is no path" in wrong_file("a\0b")
    assert "is blank" in wrong_file(" ")
    (tmp_path / "empty").touch()
    assert "it is empty" in wrong_file(tmp_path / "empty")
    (tmp_path / "latin").write_bytes(b"inputs: {caf\xe9: {}}")
    assert "is not UTF-8 text (byte 13)" in wrong_file(tmp_path / "latin")
    (tmp_path / "large").write_bytes(b" " * (contracts.MOST_BYTES + 1))
    assert "larger than 1,000,000 bytes" in wrong_file(tmp_path / "large")
    assert "larger than 1,000,000 bytes" in wrong("a" * (contracts.MOST_BYTES + 1))


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "is no regular file" in wrong_file(tmp_path / "pipe")


def test_the_readme_s_two_ways_of_writing_are_the_same() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", NOTES, re.DOTALL)
    listed, mapped = (parse(block) for block in blocks)
    assert listed == mapped
    assert [field.name for field in listed.inputs] == ["image", "age"]


def test_the_readme_s_types_and_profiles_are_those_that_are_accepted() -> None:
    types = NOTES.partition("* `type`:")[2].partition("* `profile`")[0]
    ranges = {"int16", "int32", "uint16", "uint32", "qint16"}
    named = set(re.findall(r"[a-z]+[0-9]*", types.partition("; or")[0])) | ranges
    assert named - {"to"} <= {*contract_fields.ALIASES}
    profiles = NOTES.partition("look at it:")[2].partition(";")[0]
    assert {word.upper() for word in re.findall(r"[a-z]+", profiles)} == {*contract_fields.PROFILES} - {
        "NONE"
    }
