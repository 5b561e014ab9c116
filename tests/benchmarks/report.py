"""Figures and rows, and what holds of every run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    scenario: str
    before: str
    """The predecessor's figure, recorded elsewhere."""
    ours: str
    target: str = ""
    met: bool | None = None


class Wrong(Exception):
    """A benchmark went wrong: something was lost, or did not end as it should. Never a matter of time."""


def check(holds: object, text: str) -> None:
    """Raise `Wrong` unless it holds."""
    if not holds:
        raise Wrong(text)


def middle(values: Iterable[float]) -> float:
    """The median."""
    return median(values)


def share(values: Iterable[float], part: float) -> float:
    """The value below which a share of them lies, such as 0.95."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * part))]


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the ratios of pairs that were measured one after the other."""
    return median(a / b for a, b in zip(ours, theirs, strict=True))


def seconds(value: float) -> str:
    """In seconds, or milliseconds below a tenth."""
    return f"{value:.2f} s" if value >= 0.1 else f"{value * 1000:.0f} ms"


def mib(value: float) -> str:
    """In MiB."""
    return f"{value:.0f} MiB"


def table(rows: Iterable[Row]) -> str:
    """The rows in Markdown."""
    head = ["| scenario | predecessor, recorded | ours, measured | target |", "| --- | --- | --- | --- |"]
    marks = {True: " ✓", False: " ✗ missed", None: ""}
    return "\n".join(
        [*head, *(f"| {r.scenario} | {r.before} | {r.ours} | {r.target}{marks[r.met]} |" for r in rows)]
    )
