"""Members of JSON objects, read with the complaints of the real server's reader: what is missing or of another type."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from components.hydrosphere.embedded.wire.errors import unreadable
from runner.emulation.nesting import deeper

DEEPEST = 100
"""Levels of objects and lists within each other: what is much deeper can be read, but not written again."""
Json = Mapping[str, Any]
_REQUIRED = object()


def parsed(text: bytes, what: str) -> Json:
    """Parse an object. Raises `ApiError`."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise unreadable(f"{what} is no JSON: {error}") from None
    if not isinstance(body, dict):
        raise unreadable(f"{what} is no JSON object")
    if deeper(body, DEEPEST):
        raise unreadable(f"{what} is JSON more than {DEEPEST} levels deep")
    return body


def member(body: Json, name: str, kind: type, default: Any = _REQUIRED) -> Any:
    """A member of this type; null and no member are the same. Raises `ApiError`, for a missing one if there's no default."""
    value = body.get(name)
    if value is None:
        if default is _REQUIRED:
            raise unreadable(f"Object is missing required member '{name}'")
        return default
    # True is an int in Python, but not in JSON.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise unreadable(f"Expected {_NAMES[kind]} as '{name}', but got {_shown(value)}")
    return value


def texts(body: Json, name: str) -> dict[str, str]:
    """An object of texts; empty if there is none. Raises `ApiError`."""
    found: dict[str, Any] = member(body, name, dict, {})
    for key, value in found.items():
        if not isinstance(value, str):
            raise unreadable(f"Expected text as '{name}.{key}', but got {_shown(value)}")
    return found


def objects(body: Json, name: str) -> list[Json]:
    """A list of objects. Raises `ApiError`."""
    found: list[Any] = member(body, name, list)
    for each in found:
        if not isinstance(each, dict):
            raise unreadable(f"Expected objects in '{name}', but got {_shown(each)}")
    return found


def _shown(value: Any) -> str:
    return json.dumps(value)[:100]


_NAMES = {str: "text", int: "a whole number", dict: "an object", list: "a list", bool: "true or false"}
