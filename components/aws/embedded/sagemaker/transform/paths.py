"""The JSONPath expressions of batch transform's filters (developer guide, "Supported JSONPath Operators").

    $  .name  ['name']  ['one','other']  [0]  [-1]  [0,5]  [1:]  [:3]  [0,5:]

A list of names gives an object with these, a list of indexes or a slice gives an array; nothing may follow them. Not
known here: `*`, filters, and `..`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from components.aws.embedded.errors import not_implemented

_NAME = re.compile(r"\.([A-Za-z_][A-Za-z0-9_-]*)")
_NAMES = re.compile(r"\.?\[\s*('[^'\\]*'(?:\s*,\s*'[^'\\]*')*)\s*\]")
_PLACE = r"-?\d{1,9}"
_ITEM = rf"(?:{_PLACE})?:(?:{_PLACE})?|{_PLACE}"
_INDEXES = re.compile(rf"\.?\[\s*((?:{_ITEM})(?:\s*,\s*(?:{_ITEM}))*)\s*\]")


class SelectionError(Exception):
    """The expression does not fit the record."""


@dataclass(frozen=True, slots=True)
class JsonPath:
    """An expression, understood."""

    text: str
    steps: tuple[tuple[str | int | slice, ...], ...]
    """Each takes names, or indexes and slices, of what the step before gave."""

    @classmethod
    def parse(cls, text: str) -> JsonPath:
        """Read an expression; empty means `$`. Raises `ApiError` for what is not known here."""
        rest = text.removeprefix("$")
        if text and rest == text:
            raise not_implemented(f"the JSONPath {text!a}, which does not begin with $,")
        steps: list[tuple[str | int | slice, ...]] = []
        while rest:
            step, end = _first_step(rest)
            if not step:
                raise not_implemented(f"{rest!a} in the JSONPath {text!a}")
            if steps and _several(steps[-1]):
                raise not_implemented(f"{rest!a} behind a choice of several in the JSONPath {text!a}")
            steps.append(step)
            rest = rest[end:]
        return cls(text or "$", tuple(steps))

    @property
    def whole(self) -> bool:
        """Whether it takes everything."""
        return not self.steps

    def select(self, value: Any) -> Any:
        """What of a record it takes. Raises `SelectionError`."""
        for step in self.steps:
            value = self._step(value, step)
        return value

    def _step(self, value: Any, step: tuple[str | int | slice, ...]) -> Any:
        names = [part for part in step if isinstance(part, str)]
        if names:
            if not isinstance(value, dict) or (missing := [name for name in names if name not in value]):
                which = missing[0] if isinstance(value, dict) else names[0]
                raise SelectionError(f"{self.text}: the record has no {which!a}")
            return {name: value[name] for name in names} if len(names) > 1 else value[names[0]]
        if not isinstance(value, list):
            raise SelectionError(f"{self.text}: the record is no array there")
        found = [item for part in step for item in self._items(value, part)]
        return found if _several(step) else found[0]

    def _items(self, value: list[Any], part: str | int | slice) -> Sequence[Any]:
        if isinstance(part, slice):
            if found := value[part]:
                return found
        elif isinstance(part, int) and -len(value) <= part < len(value):
            return [value[part]]
        raise SelectionError(f"{self.text} is beyond the {len(value)} items of the record")


def _first_step(text: str) -> tuple[tuple[str | int | slice, ...], int]:
    """The step that a text begins with, and its length; nothing if it begins with none."""
    if match := _NAME.match(text):
        return (match[1],), match.end()
    if match := _NAMES.match(text):
        return tuple(re.findall(r"'([^']*)'", match[1])), match.end()
    if match := _INDEXES.match(text):
        return tuple(_index(part.strip()) for part in match[1].split(",")), match.end()
    return (), 0


def _several(step: tuple[str | int | slice, ...]) -> bool:
    return len(step) > 1 or isinstance(step[0], slice)


def _index(text: str) -> int | slice:
    if ":" not in text:
        return int(text)
    begin, end = text.split(":")
    return slice(int(begin) if begin else None, int(end) if end else None)
