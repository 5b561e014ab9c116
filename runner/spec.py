"""A component's inputs and outputs, read from its models: its arguments, and argv or a mapping → checked inputs.

Arguments are taken exactly as the predecessor's component.yaml passes them: `--name value` for every input, blank for
none, and `--<output>_output_path PATH` for every output. Dashes may stand for underscores (`--job-name`), on the command
line and in an inputs file, unless an option of ours is spelled just so.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticUndefined

from runner.errors import InputError
from runner.inputs import FileOf, Inputs, KfpType
from runner.job import Component

_SHOWN = 60
"""Characters of a wrong value that an error repeats."""
_KFP_TYPES = {
    str: "String",
    int: "Integer",
    float: "Float",
    bool: "Bool",
    dict: "JsonObject",
    list: "JsonArray",
}


@dataclass(frozen=True, slots=True)
class Argument:
    """One input or output as a pipeline author sees it."""

    name: str
    kfp_type: str
    description: str
    required: bool = False
    default: str = ""
    """The default as text, as it stands in component.yaml."""
    choices: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    file_of: str = ""
    """For the path of a file: the input of component.yaml whose content the file has."""

    @property
    def path_argument(self) -> str:
        """The argument by which an output's file is named."""
        return f"{self.name}_output_path"


UI_METADATA = Argument("mlpipeline_ui_metadata", "UI metadata", "Summary and metrics for the pipeline UI.")
METRICS = Argument("mlpipeline_metrics", "Metrics", "Metrics for the pipeline UI's run list.")
UI_OUTPUTS = (UI_METADATA, METRICS)
"""Outputs that every component has besides its own; written only where a path is given."""


@dataclass(frozen=True, slots=True)
class Call:
    """What one start of a component was given."""

    inputs: Inputs
    outputs: Mapping[str, Path]
    """Output name → file to write it to, for every output that the component declares."""
    ui: Mapping[str, Path]
    """The same for those of `UI_OUTPUTS` that were asked for."""
    warnings: Sequence[str] = ()


def arguments(model: type[BaseModel]) -> list[Argument]:
    """List a model's fields as arguments, in order."""
    return [_argument(name, field) for name, field in model.model_fields.items()]


def _argument(name: str, field: FieldInfo) -> Argument:
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    aliases = extra.get("aliases", [])
    return Argument(
        name,
        _kfp_type(field),
        field.description or "",
        required=field.is_required(),
        default="" if field.is_required() else as_text(field.get_default(call_default_factory=True)),
        choices=tuple(str(c) for c in get_args(field.annotation))
        if get_origin(field.annotation) is Literal
        else (),
        aliases=tuple(str(a) for a in aliases) if isinstance(aliases, list) else (),
        file_of=next((mark.input for mark in field.metadata if isinstance(mark, FileOf)), ""),
    )


def _kfp_type(field: FieldInfo) -> str:
    for mark in field.metadata:
        if isinstance(mark, KfpType):
            return mark.name
    plain: Any = field.annotation
    if get_origin(plain) is Literal:
        return "String"
    if isinstance(plain, UnionType):
        plain = next(t for t in get_args(plain) if t is not type(None))
    return _KFP_TYPES[get_origin(plain) or plain]


def as_text(value: object) -> str:
    """Return a value as argv, component.yaml and output files have it: nothing for none, JSON for structures."""
    if value is None or value is PydanticUndefined:
        return ""
    return json.dumps(value) if isinstance(value, dict | list) else str(value)


def pairs(
    argv: Sequence[str], names: AbstractSet[str], flags: AbstractSet[str] = frozenset()
) -> Iterable[tuple[str, str]]:
    """Iterate over `--name value` and `--name=value`; `flags` take no value. `names` are all that are known."""
    every, tokens = names | flags, iter(argv)
    for token in tokens:
        if not token.startswith("-"):
            raise InputError(
                f"{_shown(token)} stands where an argument's name was expected; write --name value"
            )
        name, equals, value = token.lstrip("-").partition("=")
        name = spelled(name, every)
        if name in flags:
            if equals:
                raise InputError(
                    f"--{name} is given {_shown(value)}, but takes no value; write just --{name}"
                )
            yield name, ""
            continue
        if not equals:
            following = next(tokens, None)
            if following is None or _names_another(following, every):
                blank = f"--{name} is given without a value; to leave it blank write --{name} ''"
                # What follows is not repeated: it may be --name=value, with a secret in it.
                meant = f", and for a value that reads like an argument --{name}=VALUE" if following else ""
                raise InputError(blank + meant if name in names else _unknown(name, every))
            value = following
        yield name, value


def _names_another(word: str, known: AbstractSet[str]) -> bool:
    """Whether a word after a name is the next name rather than the value: as a value, it would hide a slip."""
    return word.startswith("-") and spelled(word.lstrip("-").partition("=")[0], known) in known


def spelled(name: str, known: AbstractSet[str]) -> str:
    """Return a name as it is known: to the letter, else with underscores for its dashes, else as it was given."""
    underscored = name.replace("-", "_")
    return underscored if name not in known and underscored in known else name


def names(component: Component) -> set[str]:
    """Return all argument names that a component knows."""
    inputs = {n for a in arguments(component.inputs) for n in (a.name, *a.aliases)}
    return inputs | {a.path_argument for a in (*arguments(component.outputs), *UI_OUTPUTS)}


def parse(
    component: Component, given: Iterable[tuple[str, object]], options: AbstractSet[str] = frozenset()
) -> Call:
    """Check what was given, and return it as a call. `options` are other names that a mistyped one may have meant.

    Raises `InputError` with one line that names every wrong, missing, unknown or contradictory argument, its value and
    what is accepted.
    """
    inputs = arguments(component.inputs)
    canonical = {alias: a.name for a in inputs for alias in (a.name, *a.aliases)}
    paths = {a.path_argument: a for a in (*arguments(component.outputs), *UI_OUTPUTS)}
    values: dict[str, object] = {}
    wrong: list[str] = []
    warnings: list[str] = []
    for as_given, value in given:
        if as_given in options and as_given not in canonical:
            wrong.append(f"--{as_given} is an option of the command line, not an argument of the component")
            continue
        name = spelled(as_given, canonical.keys() | paths.keys())
        if name not in canonical and name not in paths:
            wrong.append(_unknown(name, canonical.keys() | paths.keys() | options))
            continue
        known = canonical.get(name, name)
        if name != known:
            warnings.append(f"--{name} is an old name of --{known}; taken as that")
        if (earlier := values.setdefault(known, value)) != value:
            secret = any(a.name == known and a.kfp_type == "JsonObject" for a in inputs)
            both = "with different values" if secret else f"as {_shown(earlier)} and {_shown(value)}"
            wrong.append(f"--{known} is given twice, {both}")
    files = {a.name: Path(str(values.pop(p))) for p, a in paths.items() if p in values}
    made = _check(component.inputs, inputs, values, wrong)
    declared = {a.name: files.get(a.name, Path("/tmp") / a.name) for a in arguments(component.outputs)}  # noqa: S108  upstream's
    ui = {a.name: files[a.name] for a in UI_OUTPUTS if a.name in files}
    return Call(made, declared, ui, tuple(warnings))


def checked(
    model: type[Inputs], given: Iterable[tuple[str, object]], options: AbstractSet[str] = frozenset()
) -> Inputs:
    """Return inputs of a model that was given nothing but its own arguments. Raises `InputError`, as `parse` does."""
    known = arguments(model)
    names = {a.name for a in known}
    values = {spelled(name, names): value for name, value in given}
    wrong = [_unknown(name, names | options) for name in values if name not in names]
    return _check(model, known, {k: v for k, v in values.items() if k in names}, wrong)


def _check(model: type[Inputs], known: list[Argument], values: dict[str, object], wrong: list[str]) -> Inputs:
    made = None
    try:
        # A required argument that is blank is as good as missing: component.yaml passes every input.
        required = {a.name for a in known if a.required}
        made = model.model_validate({k: v for k, v in values.items() if not (k in required and v == "")})
    except ValidationError as error:
        by_name = {a.name: a for a in known}
        wrong += [_explained(detail, by_name) for detail in error.errors()]
    if wrong or made is None:
        count = f"{len(wrong)} wrong arguments: " if len(wrong) > 1 else ""
        raise InputError(count + "; ".join(wrong))
    return made


def _explained(detail: ErrorDetails, known: Mapping[str, Argument]) -> str:
    if not detail["loc"]:
        return detail["msg"]
    name = str(detail["loc"][0])
    where = f"--{name}" + "".join(f"[{part!r}]" for part in detail["loc"][1:])
    if detail["type"] == "missing":
        return f"{where} is required: {known[name].description}"
    accepted = _ACCEPTED.get(detail["type"])
    reason = " ".join((accepted.format(**detail.get("ctx", {})) if accepted else detail["msg"]).split())
    reason = reason[0].lower() + reason[1:]
    if known[name].kfp_type == "JsonObject":
        return f"{where} {reason}"  # Hyperparameters and the like may hold secrets: no value is repeated.
    return f"{where} is {_shown(detail['input'])}, which {reason}"


_ACCEPTED = {
    "int_parsing": "is not a whole number",
    "int_type": "is not a whole number",
    "int_from_float": "is not a whole number",
    "float_parsing": "is not a number",
    "literal_error": "is none of {expected}",
    "greater_than_equal": "is too small; at least {ge} is needed",
    "less_than_equal": "is too large; at most {le} is possible",
    "string_type": "is not text",
    "string_pattern_mismatch": "does not match {pattern}",
    "string_too_long": "is longer than {max_length} characters",
}


def _unknown(name: str, known: AbstractSet[str]) -> str:
    # A dash for an underscore is no mistake, so it counts for none; of two that differ by it alone, the like one wins.
    alike = {k.replace("-", "_"): k for k in sorted(known, key=lambda k: ("-" in k) == ("-" in name))}
    near = difflib.get_close_matches(name.replace("-", "_"), alike, n=1)
    return f"--{name} is unknown" + (f"; did you mean --{alike[near[0]]}?" if near else "")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
