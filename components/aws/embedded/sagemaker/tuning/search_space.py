"""The space that a tuning job searches: its hyperparameters, their scales, and how they are read from a request.

Values are text, as hyperparameters are everywhere in the service. For the optimiser each numeric one is a coordinate from
0 to 1 along its scale; equal steps of the coordinate are equally likely for random search.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
Values = Mapping[str, str]
"""Hyperparameter → its value, in text."""
WIDE = 1000.0
"""From this ratio of its bounds on, a positive range with ScalingType Auto is searched on a logarithmic scale. (AWS:
"chooses the best scale", and does not say how.)"""
_DRAWS = 100
_ENUMERABLE = 10_000


@dataclass(frozen=True, slots=True)
class Numeric:
    """A range of numbers, both bounds included."""

    name: str
    low: float
    high: float
    scale: str
    """Linear, Logarithmic or ReverseLogarithmic."""
    whole: bool
    """Whether the values are integers: each of them then owns an equal part of the scale."""

    @property
    def _ends(self) -> tuple[float, float]:
        # An integer n owns [n, n + 1), so that the largest is as likely as the others.
        return self.low, self.high + 1 if self.whole else self.high

    @property
    def count(self) -> float:
        """How many values there are."""
        if self.whole:
            return self.high - self.low + 1
        return math.inf if self.high > self.low else 1

    def at(self, coordinate: float) -> str:
        """The value at a coordinate from 0 to 1."""
        low, high = (self._scaled(end) for end in self._ends)
        number = self._unscaled(low + (high - low) * coordinate)
        number = math.floor(number) if self.whole else number
        return _text(min(max(number, self.low), self.high), whole=self.whole)

    def coordinate(self, value: str) -> float | None:
        """Where a value lies; None for what is not in the range: an earlier job's may have been another."""
        try:
            number = float(value)
        except ValueError:
            return None
        if not self.low <= number <= self.high:
            return None
        low, high = (self._scaled(end) for end in self._ends)
        here = self._scaled(number + 0.5 if self.whole else number)
        return (here - low) / (high - low) if high > low else 0.0

    def _scaled(self, number: float) -> float:
        if self.scale == "Logarithmic":
            return math.log(number)
        return -math.log1p(-number) if self.scale == "ReverseLogarithmic" else number

    def _unscaled(self, number: float) -> float:
        if self.scale == "Logarithmic":
            return math.exp(number)
        return -math.expm1(-number) if self.scale == "ReverseLogarithmic" else number


@dataclass(frozen=True, slots=True)
class Categorical:
    """A choice without an order."""

    name: str
    values: tuple[str, ...]

    @property
    def count(self) -> float:
        """How many values there are."""
        return len(self.values)


@dataclass(frozen=True, slots=True)
class Space:
    """All hyperparameters that are tuned."""

    parameters: tuple[Numeric | Categorical, ...]

    @property
    def size(self) -> float:
        """How many combinations there are; infinite with a continuous range."""
        return math.prod(parameter.count for parameter in self.parameters)

    @property
    def axes(self) -> int:
        """How many coordinates a point has: one for a range, one for each value of what has no order."""
        return sum(_axes(parameter) for parameter in self.parameters)

    def point(self, values: Values) -> list[float] | None:
        """Where a combination lies; None if it lies outside the space, as an earlier job's may."""
        point: list[float] = []
        for parameter in self.parameters:
            value = values.get(parameter.name)
            if isinstance(parameter, Categorical):
                if value not in parameter.values:
                    return None
                point += [float(value == each) for each in parameter.values] if parameter.count > 1 else []
            else:
                coordinate = None if value is None else parameter.coordinate(value)
                if coordinate is None:
                    return None
                point += [coordinate] if parameter.count > 1 else []
        return point

    def near(self, values: Values, step: float, source: random.Random) -> dict[str, str]:
        """A random point near a combination; `step` is the standard deviation, as a part of each scale."""
        point = self.sample(source)
        for parameter in self.parameters:
            value = values.get(parameter.name, "")
            if isinstance(parameter, Categorical):
                if value in parameter.values and source.random() > step:
                    point[parameter.name] = value
            elif (here := parameter.coordinate(value)) is not None:
                point[parameter.name] = parameter.at(min(max(source.gauss(here, step), 0.0), 1.0))
        return point

    def sample(self, source: random.Random) -> dict[str, str]:
        """A random point."""
        return {
            parameter.name: source.choice(parameter.values)
            if isinstance(parameter, Categorical)
            else parameter.at(source.random())
            for parameter in self.parameters
        }

    def fresh(self, source: random.Random, known: Collection[Values]) -> dict[str, str]:
        """A random point that is none of `known`, if there is one left: a combination is not worth a second job."""
        tried = {frozenset(values.items()) for values in known}
        for _ in range(_DRAWS):
            point = self.sample(source)
            if frozenset(point.items()) not in tried:
                return point
        if self.size <= _ENUMERABLE:
            left = [point for point in self.grid() if frozenset(point.items()) not in tried]
            point = source.choice(left) if left else point
        return point

    def grid(self) -> Iterator[dict[str, str]]:
        """All combinations, the last hyperparameter changing fastest. Only for a finite space."""
        names = [parameter.name for parameter in self.parameters]
        for row in itertools.product(*(_all(parameter) for parameter in self.parameters)):
            yield dict(zip(names, row, strict=True))


def _axes(parameter: Numeric | Categorical) -> int:
    if parameter.count == 1:
        return 0
    return len(parameter.values) if isinstance(parameter, Categorical) else 1


def _all(parameter: Numeric | Categorical) -> list[str]:
    if isinstance(parameter, Categorical):
        return list(parameter.values)
    if parameter.whole:
        return [str(number) for number in range(int(parameter.low), int(parameter.high) + 1)]
    return [_text(parameter.low, whole=False)]


def _text(number: float, *, whole: bool) -> str:
    return str(int(number)) if whole else repr(float(number))


class RangeError(Exception):
    """A range of a request makes no sense; the text says why."""


def read(ranges: Json) -> Space:
    """Read ParameterRanges. Raises `RangeError`.

    AWS's own sentences for these are not public; what they demand is (API reference, ContinuousParameterRange and
    IntegerParameterRange).
    """
    parameters: list[Numeric | Categorical] = []
    for whole, key in ((True, "IntegerParameterRanges"), (False, "ContinuousParameterRanges")):
        parameters += [_numeric(row, whole=whole) for row in ranges.get(key) or ()]
    for row in ranges.get("CategoricalParameterRanges") or ():
        values = tuple(row["Values"])
        if len(set(values)) < len(values):
            raise RangeError(f"The values of categorical hyperparameter {row['Name']} must be unique.")
        parameters.append(Categorical(row["Name"], values))
    return Space(tuple(parameters))


def _numeric(row: Json, *, whole: bool) -> Numeric:
    name = row["Name"]
    low, high = (_number(name, row[end], whole=whole) for end in ("MinValue", "MaxValue"))
    if low > high:
        raise RangeError(
            f"The MinValue of hyperparameter {name}, {row['MinValue']}, must not be greater than its MaxValue,"
            f" {row['MaxValue']}."
        )
    scale = row.get("ScalingType", "Auto")
    if scale == "Auto":
        scale = "Logarithmic" if low > 0 and high / low >= WIDE else "Linear"
    if scale == "Logarithmic" and low <= 0:
        raise RangeError(
            f"Logarithmic scaling works only for ranges that have only values greater than 0: hyperparameter {name}"
            f" begins at {row['MinValue']}."
        )
    if scale == "ReverseLogarithmic" and whole:
        raise RangeError(f"Reverse logarithmic scaling is not for integers, such as hyperparameter {name}.")
    if scale == "ReverseLogarithmic" and not 0 <= low <= high < 1:
        raise RangeError(
            "Reverse logarithmic scaling works only for ranges that are entirely within the range 0<=x<1.0:"
            f" hyperparameter {name} goes from {row['MinValue']} to {row['MaxValue']}."
        )
    return Numeric(name, low, high, scale, whole)


def _number(name: str, text: str, *, whole: bool) -> float:
    try:
        number = float(int(text)) if whole else float(text)
    except (ValueError, OverflowError):
        number = math.nan
    # Beyond 2^53 the numbers that we search with have gaps.
    if not math.isfinite(number) or (whole and abs(number) > 2**53):
        kind = "an integer" if whole else "a number"
        raise RangeError(f"The bounds of hyperparameter {name} must each be {kind}, which {text!a} is not.")
    return number
