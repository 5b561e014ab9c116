"""How deep a JSON value is: what is too deep can be read, perhaps, and then not be written again."""

from __future__ import annotations

from typing import Any


def deeper(value: Any, most: int) -> bool:  # noqa: ANN401  any JSON
    """Whether objects and lists lie in each other more than `most` levels deep. Works at any depth."""
    level = [value]
    for _ in range(most):
        level = [inner for each in level if isinstance(each, dict | list) for inner in _inside(each)]
    return any(isinstance(each, dict | list) for each in level)


def _inside(value: dict[str, Any] | list[Any]) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value
