"""The k-means algorithm's hyperparameters: names, defaults, ranges, and complaints in the built-in's own words.

Names and defaults: SageMaker developer guide, "K-Means Hyperparameters", and the default-input.json that the image
prints. Values are JSON in text (`"10"`, `["msd"]`), but bare words stand for themselves, as in the image.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DEFAULTS = {
    "init_method": "random",
    "mini_batch_size": "5000",
    "epochs": "1",
    "extra_center_factor": "auto",
    "local_lloyd_max_iter": "300",
    "local_lloyd_tol": "0.0001",
    "local_lloyd_init_method": "kmeans++",
    "local_lloyd_num_trials": "auto",
    "half_life_time_size": "0",
    "eval_metrics": '["msd"]',
    "force_dense": "true",
}
# Without effect here: the kernels and the key-value store of the real image. Those with `_` come from SageMaker itself.
_IGNORED = frozenset({"half_life_time_size", "force_dense"})
_REQUIRED = ("k", "feature_dim")
_METHODS = ("random", "kmeans++")


class CustomerError(Exception):
    """What the user got wrong, in the built-in's words."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """Checked hyperparameters. A `None` stands for `auto`."""

    k: int
    feature_dim: int
    init_method: str
    mini_batch_size: int
    epochs: int
    extra_center_factor: int | None
    local_lloyd_max_iter: int
    local_lloyd_tol: float
    local_lloyd_init_method: str
    local_lloyd_num_trials: int | None
    eval_metrics: tuple[str, ...]


def parse(given: Mapping[str, str]) -> Parameters:
    """Read the job's hyperparameters. Raises `CustomerError`."""
    public = {name: value for name, value in given.items() if not name.startswith("_")}
    unknown = sorted(public.keys() - DEFAULTS.keys() - set(_REQUIRED))
    if unknown:
        listed = ", ".join(repr(name) for name in unknown)
        verb = "was" if len(unknown) == 1 else "were"
        raise CustomerError(
            f"Additional hyperparameters are not allowed ({listed} {verb} unexpected) (caused by ValidationError)"
        )
    missing = [repr(name) for name in _REQUIRED if name not in public]
    if missing:
        raise CustomerError(
            f"No value(s) were specified for {', '.join(missing)} which are required hyperparameter(s)"
            " (caused by ValidationError)"
        )
    values = DEFAULTS | public
    return Parameters(
        k=_whole(values, "k"),
        feature_dim=_whole(values, "feature_dim"),
        init_method=_method(values, "init_method"),
        mini_batch_size=_whole(values, "mini_batch_size"),
        epochs=_whole(values, "epochs"),
        extra_center_factor=_auto(values, "extra_center_factor"),
        local_lloyd_max_iter=_whole(values, "local_lloyd_max_iter"),
        local_lloyd_tol=_fraction(values, "local_lloyd_tol"),
        local_lloyd_init_method=_method(values, "local_lloyd_init_method"),
        local_lloyd_num_trials=_auto(values, "local_lloyd_num_trials"),
        eval_metrics=_metrics(values),
    )


def ignored(given: Mapping[str, str]) -> list[str]:
    """Hyperparameters that the user set and that have no effect here."""
    return sorted(_IGNORED & given.keys())


def _wrong(name: str, value: str, rule: str) -> CustomerError:
    return CustomerError(f"Hyperparameter {name}: {value!r} is not valid, {rule} (caused by ValidationError)")


def _whole(values: Mapping[str, str], name: str) -> int:
    text = values[name].strip()
    if not text.isdecimal() or int(text) < 1:
        raise _wrong(name, values[name], "a positive integer is needed")
    return int(text)


def _auto(values: Mapping[str, str], name: str) -> int | None:
    return None if values[name].strip('"') == "auto" else _whole(values, name)


def _fraction(values: Mapping[str, str], name: str) -> float:
    try:
        number = float(values[name])
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise _wrong(name, values[name], "a number from 0 to 1 is needed")
    return number


def _method(values: Mapping[str, str], name: str) -> str:
    method = values[name].strip('"')
    if method not in _METHODS:
        raise _wrong(name, values[name], f"one of {', '.join(_METHODS)} is needed")
    return method


def _metrics(values: Mapping[str, str]) -> tuple[str, ...]:
    text = values["eval_metrics"]
    try:
        metrics: Any = json.loads(text)
    except ValueError as error:
        raise CustomerError(
            f"Hyperparameter must be valid json, but found eval_metrics: {text} (caused by ValueError)"
        ) from error
    if not isinstance(metrics, list) or not set(map(str, metrics)) <= {"msd", "ssd"}:
        raise _wrong("eval_metrics", text, 'a list of "msd" and "ssd" is needed')
    return tuple(map(str, metrics))
