"""The types in which a component writes its arguments and outputs down.

An input may come as text (argv, blank for none) or as a value (Python, a YAML file); both end as the same value. The text
forms are those that users of the predecessor pass: booleans as `y yes t true on 1` or `n no f false off 0` in any case,
objects and lists as JSON or YAML.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

_TRUE = frozenset({"y", "yes", "t", "true", "on", "1"})
_FALSE = frozenset({"n", "no", "f", "false", "off", "0"})


@dataclass(frozen=True, slots=True)
class KfpType:
    """The type that component.yaml gives an input or output."""

    name: str


@dataclass(frozen=True, slots=True)
class FileOf:
    """The argument takes a file's path; a pipeline hands over the content, as an input of this name."""

    input: str


def _flag(value: object) -> object:
    if not isinstance(value, str):
        return value
    word = value.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise PydanticCustomError("flag", "is not a truth value; use True or False")


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        import yaml  # Rarely needed, and 10 ms to import.

        try:
            return yaml.safe_load(text)
        except yaml.YAMLError as error:
            where = str(getattr(error, "problem_mark", "") or "").strip()
            raise PydanticCustomError(
                "structure", "is neither JSON nor YAML ({where})", {"where": where}
            ) from None


def _structure(given: object, kind: type, noun: str) -> object:
    value = given
    if isinstance(given, str):
        if not given.strip():
            return kind()
        try:
            value = _parsed(given)
        except PydanticCustomError:
            raise
        except RecursionError:
            raise PydanticCustomError("structure", "is nested too deeply") from None
        except ValueError as error:  # A date or a number that is none.
            raise PydanticCustomError(
                "structure", "holds a value that can't be read ({why})", {"why": str(error)[:60]}
            ) from None
    if not isinstance(value, kind):
        raise PydanticCustomError("structure", "is not {noun}", {"noun": noun})
    return value


def _object(value: object) -> object:
    return _structure(value, dict, 'a JSON object, such as {"key": "value"}')


def _array(value: object) -> object:
    return _structure(value, list, "a JSON list, such as [...]")


Flag = Annotated[bool, BeforeValidator(_flag), KfpType("Bool")]
"""A truth value."""
JsonObject = Annotated[dict[str, Any], BeforeValidator(_object), KfpType("JsonObject")]
"""A mapping with text keys; blank text is the empty mapping."""
JsonArray = Annotated[list[Any], BeforeValidator(_array), KfpType("JsonArray")]
"""A list; blank text is the empty list."""


def arg(description: str, default: Any = ..., *, aliases: tuple[str, ...] = (), **constraints: Any) -> Any:  # noqa: ANN401
    """Declare an input or output. Without `default` it is required; `aliases` are old names, taken with a warning."""
    if default is not ... and isinstance(default, dict | list):
        constraints["default_factory"] = lambda: type(default)(default)
    else:
        constraints["default"] = default
    return Field(description=description, json_schema_extra={"aliases": list(aliases)}, **constraints)


def refuse_user(given: object, name: str) -> None:
    """Raise, without its value, if the address `name` among what was given holds a user's name, perhaps with a password.

    For a validator of the whole model, before any field's: the errors of those repeat the value.
    """
    if isinstance(given, Mapping) and "@" in str(given.get(name, "")):
        raise PydanticCustomError(
            "address",
            "--{name} holds an @; write https://HOST, without user name and password",
            {"name": name},
        )


class Inputs(BaseModel):
    """Base of every component's inputs. Field order is the order in component.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Outputs(BaseModel):
    """Base of every component's outputs. Every field is written for the pipeline to read."""

    model_config = ConfigDict(frozen=True)
