"""Checks a request against the service model that botocore ships, before anything is sent.

botocore itself checks types, required members and minimal sizes. Beyond that, closed sets of words, patterns and maximal
sizes are checked here, so that what is wrong is named with what is accepted. Instance types are not, because they grow
faster than any client.
"""

from __future__ import annotations

import difflib
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence, Sized
from typing import Any

from botocore.model import ListShape, MapShape, OperationModel, Shape, StringShape, StructureShape
from botocore.validate import ParamValidator

from runner.errors import InputError

_OPEN = frozenset({"InstanceType", "TrainingInstanceType", "ProcessingInstanceType", "TransformInstanceType"})
_UNCHECKED = frozenset({"AlgorithmName", "InitialActiveLearningModelArn", "UserPool", "WorkteamArn"})
"""Members that are sent as they are, as the predecessor did."""
_SHOWN = 12
"""Accepted words that an error lists."""
_SHORT = 60
"""Characters of a value that an error repeats."""
_LARGEST = {"integer": 2**31 - 1, "long": 2**63 - 1}


def check(model: OperationModel, request: Mapping[str, Any], arguments: Mapping[str, str]) -> None:
    """Raise `InputError` naming what is wrong in a request. `arguments` maps request members to arguments."""
    shape = model.input_shape
    if shape is None:
        return
    report = ParamValidator().validate(dict(request), shape).generate_report()
    # A value of a wrong type may be a secret; its type says enough.
    wrong = [line for line in _VALUE.sub(", ", report).splitlines() if line]
    wrong += _unfit(shape, request, "")
    if wrong:
        raise InputError("; ".join(_named(line, arguments) for line in wrong))


_VALUE = re.compile(r", value: .*?, (?=type: <class)", re.DOTALL)


def _unfit(shape: Shape, value: Any, path: str, *, secret: bool = False) -> Iterator[str]:  # noqa: ANN401  plain data
    """Find what does not fit. Types were checked before; what is of a wrong one is passed over here.

    `secret`: it stands in a map, whose values are the user's own, and are not repeated.
    """
    if isinstance(shape, ListShape | MapShape) and isinstance(value, list | dict):
        yield from _too_many(shape, value, path, "entries")
    if isinstance(shape, StringShape) and isinstance(value, str):
        yield from _too_many(shape, value, path, "characters") or _text(shape, value, path, secret=secret)
    elif isinstance(value, int):
        largest = shape.metadata.get("max", _LARGEST.get(shape.type_name, value))
        if value > largest:
            yield f"{path} is {value}, which is too large; at most {largest} is possible"
    for inner, member, name in _members(shape, value, path):
        yield from _unfit(inner, member, name, secret=secret or isinstance(shape, MapShape))


def _members(shape: Shape, value: Any, path: str) -> Iterator[tuple[Shape, Any, str]]:  # noqa: ANN401
    """Yield what a value consists of: its shape, itself, and its path."""
    if isinstance(shape, StructureShape) and isinstance(value, Mapping):
        for name, member in value.items():
            if name in shape.members and name not in _UNCHECKED:
                yield shape.members[name], member, f"{path}.{name}" if path else name
    elif isinstance(shape, ListShape) and isinstance(value, list):
        for index, member in enumerate(value):
            yield shape.member, member, f"{path}[{index}]"
    elif isinstance(shape, MapShape) and isinstance(value, Mapping):
        for name, member in value.items():
            key = f"{path}.{str(name)[:_SHORT]}"
            yield shape.key, name, f"{key} (the key)"
            yield shape.value, member, key


def _too_many(shape: Shape, value: Sized, path: str, unit: str) -> list[str]:
    most = shape.metadata.get("max", len(value))
    return [f"{path} has {len(value)} {unit}; at most {most} are possible"] if len(value) > most else []


def _text(shape: StringShape, value: str, path: str, *, secret: bool) -> Iterator[str]:
    if not value:
        return  # The predecessor sends some members blank.
    shown = path if secret else f"{path} is {_short(value)}"
    if shape.enum and shape.name not in _OPEN and value not in shape.enum:
        yield f"{shown}, which is none of {_listed(value, shape.enum)}"
    pattern = _compiled(shape.metadata.get("pattern", ""))
    if pattern is not None and not pattern.fullmatch(value):
        yield f"{shown}, which does not match {pattern.pattern}"


def _listed(value: str, accepted: Sequence[str]) -> str:
    near = difflib.get_close_matches(value, accepted, n=1)
    listed = ", ".join(accepted[:_SHOWN]) + (", …" if len(accepted) > _SHOWN else "")
    return listed + (f"; did you mean {near[0]}?" if near else "")


def _short(value: str) -> str:
    text = repr(value)
    return text if len(text) <= _SHORT else f"{text[:_SHORT]}…"


def _compiled(pattern: str) -> re.Pattern[str] | None:
    """Return a pattern of the service's, or None where Python understands it not at all, or otherwise than Java."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return re.compile(pattern, re.ASCII | re.DOTALL) if pattern else None
        except (re.error, Warning):
            return None


def _named(line: str, arguments: Mapping[str, str]) -> str:
    """Put the argument's name before a line that speaks of a request's member: the first, and of those the innermost."""
    found = [
        (match.start(), -len(member), argument)
        for member, argument in arguments.items()
        if (match := re.search(rf"\b{re.escape(member)}\b", line))
    ]
    return f"--{min(found)[2]}: {line}" if found else line
