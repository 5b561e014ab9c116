"""Arguments as a pipeline passes them → checked inputs, and one line that names everything wrong."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import ValidationError

from runner import catalog, spec
from runner.errors import InputError
from runner.identity import Identity
from runner.inputs import Flag, Inputs, JsonArray, JsonObject, KfpType, Outputs, arg
from runner.job import Component


class SmallInputs(Inputs):
    name: str = arg("Name of it.")
    count: int = arg("How many.", 1, ge=1, le=9)
    ratio: float = arg("How much.", 0.5)
    limit: int | None = arg("At most.", None)
    mode: Literal["Fast", "Slow"] = arg("How fast.", "Fast", aliases=("put_mode", "speed"))
    dry: Flag = arg("Whether dry.", False)
    tags: JsonObject = arg("Tags.", {})
    items: JsonArray = arg("Items.", [])
    token: str = arg("A token.", "", max_length=5)


class SmallOutputs(Outputs):
    made: str = arg("What was made.")
    total: int = arg("How many were made.", 0)


def _never(*_: Any) -> Any:
    raise AssertionError("nothing connects here")


def component_of(inputs: type[Inputs]) -> Component:
    verbs = {"request": _never, "check": _never, "connect": _never, "attach": _never}
    return Component(name="Small", summary="A small one.", inputs=inputs, outputs=SmallOutputs, **verbs)


SMALL = component_of(SmallInputs)
TRAIN = "aws.sagemaker.train"
REQUIRED = {
    "region": "eu-west-1",
    "role": "arn:r",
    "channels": '[{"ChannelName": "train"}]',
    "model_artifact_path": "s3://b",
}


def parsed(**given: object) -> spec.Call:
    return spec.parse(SMALL, {"name": "n", **given}.items())


def wrong(component: Component = SMALL, *given: tuple[str, object]) -> str:
    with pytest.raises(InputError) as raised:
        spec.parse(component, given)
    text = str(raised.value)
    assert "\n" not in text
    return text


# ── argv ────────────────────────────────────────────────────────────────────────────────────────────────────────────

NAMES = frozenset({"name", "count", "local"})


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], []),
        (["--name", "x"], [("name", "x")]),
        (["--name=x"], [("name", "x")]),
        (["--name=x=y"], [("name", "x=y")]),
        (["--name="], [("name", "")]),
        (["--name", ""], [("name", "")]),
        (["--name", "", "--count", "1"], [("name", ""), ("count", "1")]),
        (["--count", "-5"], [("count", "-5")]),
        (["--name", "--not-a-name"], [("name", "--not-a-name")]),
        (["--name", "-x", "--count", "-1"], [("name", "-x"), ("count", "-1")]),
        (["--name", "-"], [("name", "-")]),
        (["--name", "-dry-run"], [("name", "-dry-run")]),
        (["--name=-dry"], [("name", "-dry")]),
        (["--name", "a\nb"], [("name", "a\nb")]),
        (["--name", "x", "--name", "y"], [("name", "x"), ("name", "y")]),
        (["-name", "x"], [("name", "x")]),
        (["--dry", "--name", "x"], [("dry", ""), ("name", "x")]),
        (["--other", "x"], [("other", "x")]),
    ],
)
def test_pairs(argv: list[str], expected: list[tuple[str, str]]) -> None:
    assert list(spec.pairs(argv, NAMES, {"dry"})) == expected


@pytest.mark.parametrize(
    ("argv", "meant"),
    [
        (["--name"], ""),
        *(
            (["--name", following, "1"], ", and for a value that reads like an argument --name=VALUE")
            for following in ("--count", "--count=1", "--dry", "-count", "-count=1", "-dry", "-d")
        ),
    ],
)
def test_an_argument_without_its_value_does_not_eat_the_next(argv: list[str], meant: str) -> None:
    told = f"--name is given without a value; to leave it blank write --name ''{meant}"
    with pytest.raises(InputError, match=f"^{re.escape(told)}$"):
        list(spec.pairs(argv, NAMES, {"dry", "d"}))


def test_a_value_without_its_argument() -> None:
    with pytest.raises(
        InputError, match=r"^'x' stands where an argument's name was expected; write --name value$"
    ):
        list(spec.pairs(["x", "--name", "y"], NAMES))


def test_a_flag_with_a_value_is_not_taken_as_set() -> None:
    with pytest.raises(InputError, match=r"^--dry is given 'false', but takes no value"):
        list(spec.pairs(["--dry=false"], NAMES, {"dry"}))


def test_every_name_that_a_component_knows() -> None:
    known = spec.names(SMALL)
    assert {"name", "mode", "put_mode", "made_output_path", "mlpipeline_metrics_output_path"} <= known
    assert "made" not in known


# ── values ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_not_given_is_the_default() -> None:
    inputs = parsed().inputs
    assert inputs == SmallInputs(name="n")
    assert inputs.model_dump() == {
        "name": "n",
        "count": 1,
        "ratio": 0.5,
        "limit": None,
        "mode": "Fast",
        "dry": False,
        "tags": {},
        "items": [],
        "token": "",
    }


def test_a_default_structure_is_nobodys_to_change() -> None:
    parsed().inputs.tags["a"] = 1  # type: ignore[attr-defined]
    assert parsed().inputs.tags == {}  # type: ignore[attr-defined]


@pytest.mark.parametrize("word", ["y", "Yes", "t", "TRUE", "on", "1", " true ", True])
def test_words_of_truth(word: object) -> None:
    assert parsed(dry=word).inputs.dry is True  # type: ignore[attr-defined]


@pytest.mark.parametrize("word", ["n", "No", "f", "FALSE", "off", "0", False])
def test_words_of_untruth(word: object) -> None:
    assert parsed(dry=word).inputs.dry is False  # type: ignore[attr-defined]


@pytest.mark.parametrize("word", ["maybe", "", "2", "truee"])
def test_words_of_neither(word: str) -> None:
    assert (
        wrong(SMALL, ("name", "n"), ("dry", word))
        == f"--dry is {word!r}, which is not a truth value; use True or False"
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1, "b": [true, null]}', {"a": 1, "b": [True, None]}),
        ("{a: 1}", {"a": 1}),
        ("a: 1\nb: two", {"a": 1, "b": "two"}),
        ("{'a': 'b'}", {"a": "b"}),
        ("", {}),
        ("  ", {}),
        ("{}", {}),
        ({"a": 1}, {"a": 1}),
    ],
)
def test_objects_are_json_or_yaml(text: object, value: object) -> None:
    assert parsed(tags=text).inputs.tags == value  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "value"),
    [('[1, "a"]', [1, "a"]), ("[a, b]", ["a", "b"]), ("- a\n- b", ["a", "b"]), ("", []), ([1], [1])],
)
def test_lists_are_json_or_yaml(text: object, value: object) -> None:
    assert parsed(items=text).inputs.items == value  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("tags", "[1]", 'not a JSON object, such as {"key": "value"}'),
        ("tags", "just text", 'not a JSON object, such as {"key": "value"}'),
        ("items", '{"a": 1}', "not a JSON list, such as [...]"),
        ("tags", "{a: [", "neither JSON nor YAML"),
        ("items", "\t- a\n x: [}", "neither JSON nor YAML"),
        ("count", "ten", "not a whole number"),
        ("count", "1.5", "not a whole number"),
        ("count", "", "not a whole number"),
        ("count", "0", "too small; at least 1 is needed"),
        ("count", "10", "too large; at most 9 is possible"),
        ("ratio", "much", "not a number"),
        ("mode", "Medium", "is none of 'Fast' or 'Slow'"),
        ("token", "123456", "is longer than 5 characters"),
        ("name", 5, "is not text"),
    ],
)
def test_a_wrong_value_is_told_in_one_line_with_what_is_accepted(name: str, value: object, told: str) -> None:
    text = wrong(SMALL, *{"name": "n", name: value}.items())
    assert text.startswith(f"--{name} is ")
    assert told in text


def test_a_long_value_is_cut() -> None:
    assert len(wrong(SMALL, ("name", "n"), ("count", "x" * 10_000))) < 120


def test_a_value_within_a_structure_is_pointed_at() -> None:
    class Deep(Inputs):
        sizes: dict[str, int] = arg("Sizes.", {})

    assert wrong(component_of(Deep), ("sizes", {"a": "b"})) == "--sizes['a'] is not a whole number"


# ── names ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_old_name_is_taken_with_a_warning() -> None:
    call = parsed(put_mode="Slow")
    assert call.inputs.mode == "Slow"  # type: ignore[attr-defined]
    assert call.warnings == ("--put_mode is an old name of --mode; taken as that",)


def test_without_old_names_there_is_no_warning() -> None:
    assert parsed(mode="Slow").warnings == ()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("cuont", "--cuont is unknown; did you mean --count?"),
        ("put_mod", "--put_mod is unknown; did you mean --put_mode?"),
        ("made_output_pth", "--made_output_pth is unknown; did you mean --made_output_path?"),
        ("zzzzzz", "--zzzzzz is unknown"),
        ("coun", "--coun is unknown; did you mean --count?"),
    ],
)
def test_an_unknown_argument_is_named_with_the_nearest(name: str, told: str) -> None:
    assert wrong(SMALL, ("name", "n"), (name, "1")) == told


@pytest.mark.parametrize("names", list(itertools.product(("mode", "put_mode", "speed"), repeat=2)))
def test_an_argument_given_twice_is_an_error_unless_it_says_the_same(names: tuple[str, str]) -> None:
    told = wrong(SMALL, ("name", "n"), (names[0], "Fast"), (names[1], "Slow"))
    assert told == "--mode is given twice, as 'Fast' and 'Slow'"
    call = spec.parse(SMALL, [("name", "n"), (names[0], "Slow"), (names[1], "Slow")])
    assert call.inputs.mode == "Slow"  # type: ignore[attr-defined]


@pytest.mark.parametrize("given", [[], [("name", "")]])
def test_a_required_argument_that_is_blank_is_missing(given: list[tuple[str, object]]) -> None:
    assert wrong(SMALL, *given) == "--name is required: Name of it."


def test_all_that_is_wrong_is_told_at_once() -> None:
    text = wrong(
        SMALL,
        ("cuont", "1"),
        ("mode", "Fast"),
        ("speed", "Slow"),
        ("ratio", "x"),
        ("tags", "{a: ["),
        ("dry", "?"),
    )
    assert text.startswith("6 wrong arguments: ")
    for name in ("--cuont", "--mode", "--ratio", "--tags", "--dry", "--name"):
        assert text.count(name) == 1


# ── outputs ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_outputs_go_to_tmp_unless_told_and_those_of_the_ui_nowhere() -> None:
    assert parsed().outputs == {"made": Path("/tmp/made"), "total": Path("/tmp/total")}
    assert parsed().ui == {}


def test_outputs_go_where_they_are_told() -> None:
    call = parsed(made_output_path="/a/data", mlpipeline_ui_metadata_output_path="/b/data")
    assert call.outputs == {"made": Path("/a/data"), "total": Path("/tmp/total")}
    assert call.ui == {"mlpipeline_ui_metadata": Path("/b/data")}


# ── the spec ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_arguments_are_read_off_the_model_in_order() -> None:
    found = {a.name: a for a in spec.arguments(SmallInputs)}
    assert list(found) == list(SmallInputs.model_fields)
    assert found["name"] == spec.Argument("name", "String", "Name of it.", required=True)
    assert found["mode"] == spec.Argument(
        "mode", "String", "How fast.", default="Fast", choices=("Fast", "Slow"), aliases=("put_mode", "speed")
    )
    types = ["String", "Integer", "Float", "Integer", "String", "Bool", "JsonObject", "JsonArray", "String"]
    assert [a.kfp_type for a in found.values()] == types
    assert [a.default for a in found.values()] == ["", "1", "0.5", "", "Fast", "False", "{}", "[]", ""]


def test_a_default_as_text_is_read_back_as_itself() -> None:
    given = {a.name: a.default for a in spec.arguments(SmallInputs) if not a.required and a.name != "limit"}
    assert parsed(**given).inputs == SmallInputs(name="n")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        ("text", "text"),
        (7, "7"),
        (0.29, "0.29"),
        (True, "True"),
        ({"a": [1, None]}, '{"a": [1, null]}'),
        (["ä"], '["\\u00e4"]'),
        ([], "[]"),
    ],
)
def test_as_text(value: object, text: str) -> None:
    assert spec.as_text(value) == text


def test_a_type_that_is_marked_wins() -> None:
    class Marked(Inputs):
        place: Flag = arg("x", False)

    assert spec.arguments(Marked)[0].kfp_type == "Bool"
    assert KfpType("Bool") == KfpType("Bool")


def test_inputs_are_frozen() -> None:
    with pytest.raises(ValidationError):
        parsed().inputs.name = "other"  # type: ignore[attr-defined]


# ── the real component ──────────────────────────────────────────────────────────────────────────────────────────────


def test_the_real_component_takes_what_component_yaml_passes() -> None:
    component = catalog.load(TRAIN)
    given = {a.name: a.default for a in spec.arguments(component.inputs)} | REQUIRED | {"image": "i"}
    argv = [token for name, value in given.items() for token in (f"--{name}", value)]
    call = spec.parse(component, spec.pairs(argv, spec.names(component)))
    plain = spec.parse(component, ({**REQUIRED, "image": "i"}).items())
    assert call.inputs == plain.inputs
    body = component.request(call.inputs, Identity(TRAIN, suffix="20260131120000-AB12"))
    assert body["CreateTrainingJob"]["TrainingJobName"] == "TrainingJob-20260131120000-AB12"


def test_the_real_components_old_name() -> None:
    call = spec.parse(catalog.load(TRAIN), {**REQUIRED, "put_mode": "Pipe"}.items())
    assert call.inputs.training_input_mode == "Pipe"  # type: ignore[attr-defined]
    assert call.warnings == ("--put_mode is an old name of --training_input_mode; taken as that",)


# ── dashes for underscores ──────────────────────────────────────────────────────────────────────────────────────────


class DashedInputs(Inputs):
    job_name: str = arg("Name of the job.", "")
    time_limit: int = arg("Hours that it may take.", 1)
    max_run_time: int = arg("Seconds.", 1, aliases=("run_limit",))


DASHED = component_of(DashedInputs)
DASHED_NAMES = spec.names(DASHED)
OPTIONS = frozenset({"time-limit", "run-key"})


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--job-name", "a"], [("job_name", "a")]),
        (["--job-name=a-b_c"], [("job_name", "a-b_c")]),
        (["--job_name", "a"], [("job_name", "a")]),
        (["--time_limit", "3"], [("time_limit", "3")]),
        (["--time-limit", "3"], [("time-limit", "3")]),
        (["--made-output-path", "x"], [("made_output_path", "x")]),
        (["--job-name", "--not-a-name"], [("job_name", "--not-a-name")]),
        (["--no-such", "a"], [("no-such", "a")]),
    ],
)
def test_dashes_stand_for_underscores_unless_an_option_is_spelled_so(
    argv: list[str], expected: list[tuple[str, str]]
) -> None:
    assert list(spec.pairs(argv, DASHED_NAMES | OPTIONS)) == expected


@pytest.mark.parametrize("following", ["--max-run-time", "--max-run-time=1", "--max_run_time", "--run-key"])
def test_a_dashed_name_is_no_value(following: str) -> None:
    with pytest.raises(
        InputError, match=r"^--job_name is given without a value; .* write --job_name '', and for a value"
    ):
        list(spec.pairs(["--job-name", following], DASHED_NAMES | OPTIONS))


def test_dashes_are_taken_without_a_warning_and_old_names_with_one() -> None:
    call = spec.parse(DASHED, [("job-name", "a"), ("max-run-time", "5")])
    assert (call.inputs, call.warnings) == (DashedInputs(job_name="a", max_run_time=5), ())
    call = spec.parse(DASHED, [("run-limit", "5"), ("made-output-path", "x")])
    assert call.warnings == ("--run_limit is an old name of --max_run_time; taken as that",)
    assert call.outputs["made"] == Path("x")
    assert spec.checked(DashedInputs, [("job-name", "a")]) == DashedInputs(job_name="a")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            [("job-name", "a"), ("job_name", "b")],
            "--job_name is given twice, as 'a' and 'b'",
        ),
        ([("max-run-time", "x")], "--max_run_time is 'x', which is not a whole number"),
        ([("job-nmae", "a")], "--job-nmae is unknown; did you mean --job_name?"),
        ([("tiem-limit", "1")], "--tiem-limit is unknown; did you mean --time-limit?"),
        ([("tiem_limit", "1")], "--tiem_limit is unknown; did you mean --time_limit?"),
        (
            [("run-key", "a")],
            "--run-key is an option of the command line, not an argument of the component",
        ),
        (
            [("time-limit", "1")],
            "--time-limit is an option of the command line, not an argument of the component",
        ),
    ],
)
def test_what_is_wrong_is_named_as_it_is_known(given: list[tuple[str, object]], text: str) -> None:
    with pytest.raises(InputError) as raised:
        spec.parse(DASHED, given, OPTIONS)
    assert str(raised.value) == text
