"""Checks a request against the service model that botocore ships, before anything is sent.

botocore itself checks types, required members and minimal sizes. Beyond that, closed sets of words are checked here, so
that a mistyped one is named with what is accepted; instance types are not, because they grow faster than any client.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from botocore.model import ListShape, MapShape, OperationModel, Shape, StringShape, StructureShape
from botocore.validate import ParamValidator

from runner.errors import InputError

_OPEN = frozenset({"InstanceType", "TrainingInstanceType", "ProcessingInstanceType", "TransformInstanceType"})
_SHOWN = 12
"""Accepted words that an error lists."""


def check(model: OperationModel, request: Mapping[str, Any], arguments: Mapping[str, str]) -> None:
    """Raise `InputError` naming what is wrong in a request. `arguments` maps request members to arguments."""
    shape = model.input_shape
    if shape is None:
        return
    wrong = [
        line
        for line in ParamValidator().validate(dict(request), shape).generate_report().splitlines()
        if line
    ]
    wrong += _words(shape, request, "")
    if wrong:
        raise InputError("; ".join(_named(line, arguments) for line in wrong))


def _words(shape: Shape, value: Any, path: str) -> Iterator[str]:  # noqa: ANN401  a request is plain data
    """Find words outside closed sets. Types were checked before; what does not fit is passed over here."""
    if isinstance(shape, StructureShape) and isinstance(value, Mapping):
        for name, member in value.items():
            if name in shape.members:
                yield from _words(shape.members[name], member, f"{path}.{name}" if path else name)
    elif isinstance(shape, ListShape) and isinstance(value, list):
        for index, member in enumerate(value):
            yield from _words(shape.member, member, f"{path}[{index}]")
    elif isinstance(shape, MapShape) and isinstance(value, Mapping):
        for name, member in value.items():
            yield from _words(shape.value, member, f"{path}.{name}")
    elif isinstance(shape, StringShape) and isinstance(value, str) and shape.name not in _OPEN:
        yield from _word(shape.enum, value, path)


def _word(accepted: Sequence[str], value: str, path: str) -> Iterator[str]:
    if accepted and value and value not in accepted:
        near = difflib.get_close_matches(value, accepted, n=1)
        listed = ", ".join(accepted[:_SHOWN]) + (", …" if len(accepted) > _SHOWN else "")
        yield f"{path} is {value!r}, which is none of {listed}" + (
            f"; did you mean {near[0]}?" if near else ""
        )


def _named(line: str, arguments: Mapping[str, str]) -> str:
    """Put the argument's name before a line that speaks of a request's member."""
    for member, argument in arguments.items():
        if member in line:
            return f"--{argument}: {line}"
    return line
