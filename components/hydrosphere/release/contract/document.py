"""The text of a contract, JSON or YAML, as plain data."""

from __future__ import annotations

import json
from typing import Any

from runner.errors import InputError


class Mapped(dict[Any, object]):
    """A mapping that remembers which of its keys were written more than once; the last one's value counts."""

    def __init__(self, doubled: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.doubled = doubled


def load(text: str, argument: str) -> object:
    """Return what JSON or, failing that, YAML stands for. Raises `InputError` whose text begins with `argument`."""
    try:
        return json.loads(text, object_pairs_hook=_mapped)
    except RecursionError:
        raise InputError(f"{argument}: it is nested too deeply") from None
    except ValueError as error:
        as_json = _place(error)
    from components.hydrosphere.release.contract import expansion  # Rarely needed, and 10 ms to import.

    try:
        return expansion.load(text)
    except RecursionError:
        raise InputError(f"{argument}: it is nested too deeply") from None
    except expansion.TooLarge as error:
        raise InputError(f"{argument}: {error}") from None
    except expansion.Malformed as error:
        where = as_json if text.lstrip().startswith("{") else str(error)
        raise InputError(f"{argument}: it is neither JSON nor YAML ({where})") from None


def _mapped(pairs: list[tuple[str, object]]) -> Mapped:
    keys = [key for key, _ in pairs]
    made = Mapped(twice(keys))
    made.update(pairs)
    return made


def twice(keys: list[str]) -> tuple[str, ...]:
    """Return the keys that occur more than once, each once, in order."""
    seen: set[str] = set()
    return tuple(dict.fromkeys(key for key in keys if key in seen or seen.add(key)))  # type: ignore[func-returns-value]


def _place(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"line {error.lineno}, column {error.colno}: {error.msg}"
    return "it holds a number of too many digits"
