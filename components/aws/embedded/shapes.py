"""Checks request bodies against AWS's own service model (the one that botocore ships), in AWS's own words.

The wording is that of the services: "1 validation error detected: Value 'a_b' at 'trainingJobName' failed to satisfy
constraint: Member must satisfy regular expression pattern: …". Unknown members are ignored, as the services do.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from components.aws.embedded.errors import ApiError

CODES = {"sagemaker": "ValidationException", "logs": "InvalidParameterException"}

_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float, str),
    "blob": (str,),
}
_LONG = 10_000
_MOST_FAULTS = 50
"""Sentences of an answer."""
_LONGEST_SHOWN = 2000
"""Characters of a value that a sentence repeats."""
# Java's Unicode classes, which Python's re does not know, by their nearest relatives.
_UNICODE_CLASSES = {r"\p{L}": r"\w", r"\p{N}": r"\d", r"\p{Z}": r"\s", r"\p{M}": ""}


@functools.cache
def model(service: str) -> Model:
    """A service's model, read once in a process. It takes some 80 ms for SageMaker: call it off the event loop."""
    return Model(service)


class Model:
    """One service's model. See `model`."""

    def __init__(self, service: str) -> None:
        from botocore.loaders import Loader
        from botocore.model import ServiceModel

        self._service = service
        self._model = ServiceModel(Loader().load_service_model(service, "service-2"), service)

    def checked(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        """The body of a valid request, its times in seconds since the Unix epoch. Raises `ApiError` for any other.

        Only the outermost members' times are read: no request that is known here looks at others.
        """
        self.check(operation, body)
        shape = self._model.operation_model(operation).input_shape
        members = shape.members.items() if shape is not None else ()
        times = {
            name: body[name] for name, member in members if member.type_name == "timestamp" and name in body
        }
        return body | {name: timestamp(value, name) for name, value in times.items()}

    def check(self, operation: str, body: Mapping[str, Any]) -> None:
        """Raise `ApiError` unless `body` is a valid request of `operation`."""
        if operation not in self._model.operation_names:
            raise ApiError("UnknownOperationException", f"{self._service} has no operation {operation}")
        shape = self._model.operation_model(operation).input_shape
        faults = list(islice(_faults(shape, body, ""), _MOST_FAULTS)) if shape is not None else []
        if faults:
            plural = "s" if len(faults) > 1 else ""
            text = f"{len(faults)} validation error{plural} detected: {'; '.join(faults)}"
            raise ApiError(CODES[self._service], text)

    def members(self, shape: str) -> frozenset[str]:
        """The member names of a structure."""
        return frozenset(self._model.shape_for(shape).members)


def timestamp(value: float | str, path: str) -> float:
    """A time in seconds since the Unix epoch, also of ISO 8601 text; without a zone it is UTC. Raises `ApiError`.

    SDKs send numbers; text comes from people with curl.
    """
    if not isinstance(value, str):
        return value
    try:
        time = datetime.fromisoformat(value)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise ApiError(
            "SerializationException", f"STRING_VALUE can not be converted to a Timestamp (at '{path}')"
        ) from None


def _faults(shape: Any, value: Any, path: str) -> Iterator[str]:
    """What is wrong with `value`, one sentence each. Raises SerializationException for a wrong JSON type."""
    kind = shape.type_name
    right = isinstance(value, _PYTHON_TYPES[kind])
    if not right or (isinstance(value, bool) and kind != "boolean"):
        wrong = f"{type(value).__name__.upper()}_VALUE can not be converted to a {kind.title()}"
        raise ApiError("SerializationException", f"{wrong} (at '{path}')")
    if kind == "timestamp":
        timestamp(value, path)
    if problems := list(_own_faults(shape, value)):
        yield from (_sentence(path, value, problem) for problem in problems)
    elif kind == "structure":
        yield from _structure_faults(shape, value, path)
    elif kind == "list":
        for number, item in enumerate(value, 1):
            yield from _faults(shape.member, item, f"{path}.{number}.member")
    elif kind == "map":
        yield from _map_faults(shape, value, path)


def _structure_faults(shape: Any, value: Mapping[str, Any], path: str) -> Iterator[str]:
    for name in shape.required_members:
        if value.get(name) is None:
            yield _sentence(_join(path, name), None, "Member must not be null")
    for name, member in shape.members.items():
        if value.get(name) is not None:
            yield from _faults(member, value[name], _join(path, name))


def _map_faults(shape: Any, value: Mapping[str, Any], path: str) -> Iterator[str]:
    for key, item in value.items():
        for what, part, member in (("keys", key, shape.key), ("value", item, shape.value)):
            if part is None or (member.type_name == "string" and not isinstance(part, str)):
                raise ApiError("SerializationException", f"a {what} of '{path}' must be a string")
            if problems := list(_own_faults(member, part)):
                yield _sentence(path, value, f"Map {what} must satisfy constraint: [{', '.join(problems)}]")


def _own_faults(shape: Any, value: Any) -> Iterator[str]:
    """The constraints of this one value, without what it contains."""
    rules = shape.metadata
    if shape.type_name in ("integer", "long", "float", "double"):
        size, what = value, "value"
    elif shape.type_name in ("string", "list", "map", "blob"):
        size, what = len(value), "length"
    else:
        return
    too_long = rules.get("max") is not None and size > rules["max"]
    if too_long:
        yield f"Member must have {what} less than or equal to {rules['max']}"
    if rules.get("min") is not None and size < rules["min"]:
        yield f"Member must have {what} greater than or equal to {rules['min']}"
    if rules.get("enum") and value not in rules["enum"]:
        yield f"Member must satisfy enum value set: [{', '.join(rules['enum'])}]"
    # The patterns are not made for megabytes.
    if rules.get("pattern") and not (too_long and size > _LONG) and not _matches(rules["pattern"], value):
        yield f"Member must satisfy regular expression pattern: {rules['pattern']}"


def _matches(pattern: str, value: str) -> bool:
    compiled = _compile(pattern)
    return compiled is None or compiled.fullmatch(value) is not None


@functools.cache
def _compile(pattern: str) -> re.Pattern[str] | None:
    for java, python in _UNICODE_CLASSES.items():
        pattern = pattern.replace(java, python)
    try:
        return re.compile(pattern, re.DOTALL)
    except re.error:  # a Java-only construct: better unchecked than wrongly refused
        return None


def _sentence(path: str, value: object, problem: str) -> str:
    shown = "null" if value is None else f"'{_short(value)}'"
    return f"Value {shown} at '{path}' failed to satisfy constraint: {problem}"


def _short(value: object) -> str:
    """What an answer repeats of a value: a body of megabytes may be wrong in many places."""
    text = str(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def _join(path: str, name: str) -> str:
    camel = name[0].lower() + name[1:]
    return f"{path}.{camel}" if path else camel
