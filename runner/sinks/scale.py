"""Axes for numbers of any size: where a value stands, and at which values the axis is marked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from runner.sinks import words

_DECADES = 300
LARGEST, SMALLEST = 10.0**_DECADES, 10.0**-_DECADES
"""What lies beyond is drawn at the edge, or as zero: so no difference overflows, and no step is lost."""
WIDE = 1e3
"""Positive values that differ by more than this factor are shown by their logarithms."""
_EQUAL = 1e-9
"""Values that differ relatively by less than this are drawn as equal."""
_MARKS = 7
"""About so many marks an axis has at most."""
_MARGIN = 0.06
"""Part of the range that is left free on either side."""


@dataclass(frozen=True, slots=True)
class Scale:
    """One axis. `low` and `high` are logarithms to the base 10 where `log` is set."""

    low: float
    high: float
    log: bool
    marks: Sequence[tuple[float, str]]
    """Place, from 0 to 1, and label."""

    def place(self, value: float) -> float:
        """Return where a value stands: 0 at the low end, 1 at the high end."""
        at = _bounded(value)
        return _share(math.log10(max(at, SMALLEST)) if self.log else at, self.low, self.high)


def scale(values: Sequence[float]) -> Scale:
    """Return an axis that has room for all the values, which are finite."""
    shown = [_bounded(value) for value in values] or [0.0]
    low, high = min(shown), max(shown)
    if low > 0 and high / low > WIDE:
        return _logarithmic(math.log10(low), math.log10(high))
    if high - low <= max(_EQUAL * max(abs(low), abs(high)), SMALLEST):
        middle = low / 2 + high / 2
        half = abs(middle) * 0.1 or 1.0
        low, high = middle - half, middle + half
    return _linear(low, high)


def whole(count: int) -> Sequence[int]:
    """Return which of the numbers 1 to `count` to mark."""
    step = max(1, round(_step(count / _MARKS / 1.5)))  # An axis of whole numbers is the longer one.
    marks = list(range(step, count + 1, step))
    return marks if step < 5 else [1, *marks]


def _linear(low: float, high: float) -> Scale:
    margin = (high - low) * _MARGIN
    low, high = low - margin, high + margin
    step = _step((high - low) / _MARKS)
    first, last = math.ceil(low / step), math.floor(high / step)
    digits, size = math.floor(math.log10(step)), max(abs(low), abs(high))
    marks = [(_share(n * step, low, high), _label(n * step, digits, size)) for n in range(first, last + 1)]
    return Scale(low, high, log=False, marks=marks)


def _logarithmic(low: float, high: float) -> Scale:
    margin = (high - low) * _MARGIN
    low, high = low - margin, high + margin
    # Beyond the last values drawn lies only margin, and numbers that no label could say.
    first, last = max(math.ceil(low), -_DECADES), min(math.floor(high), _DECADES)
    every = max(1, math.ceil((last - first) / (_MARKS + 1)))
    first = math.ceil(low / every) * every
    marks = [(_share(n, low, high), _power(n)) for n in range(first, last + 1, every)]
    return Scale(low, high, log=True, marks=marks)


def _share(at: float, low: float, high: float) -> float:
    return (at - low) / (high - low)


def _step(rough: float) -> float:
    """Return 1, 2 or 5 times a power of ten, the first that is not below `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next((m * power for m in (1.0, 2.0, 5.0) if m * power >= rough), 10.0 * power)


def _label(value: float, digits: int, size: float) -> str:
    """Return the number with all the digits in which it differs from its neighbours. `digits`: the step's power of ten."""
    if not value:
        return "0"
    if 1e-4 <= size < 1e6:
        return f"{value:.{max(0, -digits)}f}"
    number, _, power = f"{value:.{max(0, math.floor(math.log10(abs(value))) - digits)}e}".partition("e")
    return f"{number}e{int(power)}"


def _power(n: int) -> str:
    return words.number(float(f"1e{n}")) if -4 <= n <= 4 else f"1e{n}"


def _bounded(value: float) -> float:
    return 0.0 if abs(value) < SMALLEST else max(-LARGEST, min(value, LARGEST))
