"""The text of a contract, JSON or YAML, as plain data."""

from __future__ import annotations

import json

from components.hydrosphere.release.contract.mapped import Mapped, twice
from runner.errors import InputError


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


def _place(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"line {error.lineno}, column {error.colno}: {error.msg}"
    return "it holds a number of too many digits"
