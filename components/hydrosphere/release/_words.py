"""How the release component's errors repeat what the user gave."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from runner.errors import InputError

SHOWN = 60
"""Characters of a wrong value that an error repeats."""
PATH_SHOWN = 200
"""Characters of a file's path that an error repeats."""
_TOLD = 20
"""Mistakes that one error tells; of more it says the count."""
_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (dict, "a mapping"),
    ((list, tuple), "a list"),
    (set, "a set"),
)


def shown(value: object, most: int = SHOWN) -> str:
    """Return `value` as an error repeats it: on one line, cut to `most` characters, containers only by their kind."""
    kind = next((kind for types, kind in _KINDS if isinstance(value, types)), None)
    if kind is not None:
        return kind
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    try:
        text = repr(value[: most + 1] if isinstance(value, str | bytes) else value)
    except ValueError:  # Python writes out no number of more than 4300 digits.
        return "a huge number"
    return text if len(text) <= most else f"{text[:most]}…"


def step(name: str) -> str:
    """Return a name as a part of a path such as `inputs.x.shape`."""
    return name if name.isprintable() and len(name) <= SHOWN else shown(name)


def guess(name: object, known: Iterable[str]) -> str:
    """Return the end of a sentence that asks whether one of the `known` names was meant; blank if none is near."""
    near = difflib.get_close_matches(str(name)[:SHOWN], known, n=1) if isinstance(name, str) else []
    return f"; did you mean {near[0]}?" if near else ""


def told(argument: str, wrong: Sequence[str], notes: Iterable[str] = ()) -> InputError:
    """Return the error that tells all that is `wrong` with an argument at once, and the `notes` after it."""
    lines = [*wrong[:_TOLD]]
    if len(wrong) > _TOLD:
        lines.append(f"and {len(wrong) - _TOLD} more mistakes")
    return InputError(f"{argument}: " + "; ".join([*lines, *notes]))
