"""What is wrong with a search space: the ranges, the strategy that searches them, and how many jobs it may take.

The rules are those of the API's documentation (HyperParameterTuningJobConfig, ParameterRanges, HyperbandStrategyConfig)
and of the developer guide ("How hyperparameter tuning works", "Resource limits for automatic model tuning").
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from components.aws.sagemaker._training import nature

MOST_RANGES = 30
"""Hyperparameters that one tuning job may search, over all kinds of ranges."""
MOST_RESOURCE = 20_000
"""Hyperband's largest MaxResource."""
RESOURCES = ("epochs", "numepochs", "n-epochs", "n_epochs", "num_epochs")
"""Static hyperparameters from which Hyperband takes MaxResource where none is given."""
_WHOLE = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """The arguments that span it."""

    strategy: str
    integer: Sequence[Any]
    continuous: Sequence[Any]
    categorical: Sequence[Any]
    static: Mapping[str, Any]
    config: Mapping[str, Any]
    """StrategyConfig."""

    @property
    def combinations(self) -> int:
        """How many distinct combinations the categorical values have: what a grid search tries."""
        return math.prod(len({str(v) for v in entry["Values"]}) for entry in self.categorical)

    def wrong(self) -> Iterator[str]:
        """Say what is wrong with the ranges, in the order of the arguments."""
        for argument, entries, pattern in (
            ("integer_parameters", self.integer, _WHOLE),
            ("continuous_parameters", self.continuous, _NUMBER),
        ):
            for index, entry in enumerate(entries):
                yield from _wrong_numbers(_place(argument, index, entry), entry, pattern)
        for index, entry in enumerate(self.categorical):
            yield from _wrong_values(_place("categorical_parameters", index, entry), entry)
        yield from self._wrong_names()
        yield from self._wrong_strategy()

    def _wrong_names(self) -> Iterator[str]:
        entries = [*self.integer, *self.continuous, *self.categorical]
        if len(entries) > MOST_RANGES:
            yield (
                f"--integer_parameters, --continuous_parameters and --categorical_parameters have {len(entries)} ranges "
                f"together; at most {MOST_RANGES} are possible"
            )
        names = Counter(str(e["Name"]) for e in entries if isinstance(e, Mapping) and e.get("Name"))
        for name, times in names.items():
            if times > 1:
                yield f"the hyperparameter {_shown(name)} has {times} ranges; give it one"
            if name in self.static:
                yield (
                    f"--static_parameters: {_shown(name)} has a range, too; a hyperparameter is either static or searched"
                )

    def _wrong_strategy(self) -> Iterator[str]:
        if self.config and self.strategy != "Hyperband":
            yield f"--strategy_config is only for --strategy Hyperband, not {self.strategy}; leave it blank"
        if self.strategy == "Grid" and (self.integer or self.continuous):
            given = "integer_parameters" if self.integer else "continuous_parameters"
            yield f"--{given} can't be searched by --strategy Grid, which takes --categorical_parameters only"
        if self.strategy == "Grid" and not self.categorical:
            yield "--categorical_parameters is [], but --strategy Grid searches nothing else"
        if self.strategy == "Hyperband":
            yield from self._wrong_hyperband()

    def _wrong_hyperband(self) -> Iterator[str]:
        config = self.config.get("HyperbandStrategyConfig", {})
        if not isinstance(config, Mapping):
            return  # For the service model to say.
        least, most = config.get("MinResource"), config.get("MaxResource")
        if most is None and not set(RESOURCES) & set(self.static):
            yield (
                '--strategy Hyperband needs --strategy_config \'{"HyperbandStrategyConfig": {"MinResource": 1, '
                f'"MaxResource": 10}}}}\', or one of {", ".join(RESOURCES)} in --static_parameters'
            )
        if isinstance(most, int) and most > MOST_RESOURCE:
            yield f"--strategy_config: MaxResource is {most}, which is too large; at most {MOST_RESOURCE} is possible"
        if isinstance(least, int) and isinstance(most, int) and least > most:
            yield f"--strategy_config: MinResource is {least}, which is more than MaxResource ({most})"


def _wrong_numbers(place: str, entry: object, pattern: re.Pattern[str]) -> Iterator[str]:
    if not isinstance(entry, Mapping):
        yield f"{place} is {nature(entry)}, not an object with Name, MinValue and MaxValue"
        return
    yield from _wrong_name(place, entry)
    bounds: list[Decimal] = []
    for key in ("MinValue", "MaxValue"):
        if (value := entry.get(key)) is None:
            yield f"{place} lacks {key}"
        elif not isinstance(value, str):
            yield f"{place}: {key} is {nature(value)}, not text; put it in quotes"
        elif not pattern.fullmatch(value):
            number = "whole number" if pattern is _WHOLE else "number"
            yield f"{place}: {key} is {_shown(value)}, which is not a {number}"
        else:
            bounds.append(Decimal(value))
    if len(bounds) == 2:
        yield from _wrong_bounds(place, entry, *bounds)


def _wrong_bounds(place: str, entry: Mapping[str, Any], least: Decimal, most: Decimal) -> Iterator[str]:
    if least > most:
        yield f"{place}: MinValue ({entry['MinValue']}) is more than MaxValue ({entry['MaxValue']})"
    scaling = entry.get("ScalingType")
    if scaling == "Logarithmic" and least <= 0:
        yield f"{place}: MinValue is {entry['MinValue']}, but Logarithmic scaling takes numbers above 0 only"
    if scaling == "ReverseLogarithmic" and (least < 0 or most >= 1):
        yield (
            f"{place} is {entry['MinValue']} to {entry['MaxValue']}, but ReverseLogarithmic scaling takes numbers from 0 "
            "to below 1 only"
        )


def _wrong_values(place: str, entry: object) -> Iterator[str]:
    if not isinstance(entry, Mapping):
        yield f"{place} is {nature(entry)}, not an object with Name and Values"
        return
    yield from _wrong_name(place, entry)
    values = entry.get("Values")
    if not isinstance(values, list):
        yield (
            f"{place} lacks Values" if values is None else f"{place}: Values is {nature(values)}, not a list"
        )
    elif not values:
        yield f"{place}: Values is [], which is too short; at least one value is needed"
    else:
        for index, value in enumerate(values):
            if not isinstance(value, str):
                yield f"{place}: Values[{index}] is {nature(value)}, not text; put it in quotes"


def _wrong_name(place: str, entry: Mapping[str, Any]) -> Iterator[str]:
    name = entry.get("Name")
    if name is None or name == "":
        yield f"{place} lacks Name"
    elif not isinstance(name, str):
        yield f"{place}: Name is {nature(name)}, not text; put it in quotes"


def _place(argument: str, index: int, entry: object) -> str:
    name = entry.get("Name") if isinstance(entry, Mapping) else None
    return f"--{argument}[{index}]" + (f" ({_shown(name)})" if name and isinstance(name, str) else "")


def _shown(text: str) -> str:
    shown = repr(text)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
