"""Where the next combination comes from: scales, strategies, and judges of early stopping. Without a server."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.aws.embedded.sagemaker.tuning import bayesian
from components.aws.embedded.sagemaker.tuning.bayesian import Bayesian
from components.aws.embedded.sagemaker.tuning.early_stopping import Hyperband, Median
from components.aws.embedded.sagemaker.tuning.search_space import (
    Categorical,
    Numeric,
    RangeError,
    Space,
    read,
)
from components.aws.embedded.sagemaker.tuning.strategies import Grid, Random, Seen, Strategy

X = Numeric("x", 0.0, 1.0, "Linear", whole=False)
Y = Numeric("y", 0.0, 1.0, "Linear", whole=False)
RATE = Numeric("rate", 1e-5, 1.0, "Logarithmic", whole=False)
LAYERS = Numeric("layers", 1, 8, "Linear", whole=True)
KIND = Categorical("kind", ("a", "b", "c"))


def drawn(parameter: Numeric, count: int = 4000) -> list[float]:
    source = random.Random(0)
    return [float(parameter.at(source.random())) for _ in range(count)]


def test_a_linear_scale_is_even() -> None:
    values = drawn(Numeric("x", 10.0, 20.0, "Linear", whole=False))
    assert statistics.fmean(values) == pytest.approx(15, abs=0.2)
    assert 10 <= min(values) < 10.1
    assert 19.9 < max(values) <= 20


def test_a_logarithmic_scale_gives_each_power_of_ten_as_much() -> None:
    values = drawn(RATE)
    for power in range(-5, 0):
        share = sum(10.0**power <= value < 10.0 ** (power + 1) for value in values) / len(values)
        assert share == pytest.approx(0.2, abs=0.03)


def test_a_reverse_logarithmic_scale_is_fine_near_one() -> None:
    values = drawn(Numeric("momentum", 0.0, 0.999, "ReverseLogarithmic", whole=False))
    for low, high in ((0.0, 0.9), (0.9, 0.99), (0.99, 0.999)):
        assert sum(low <= value <= high for value in values) / len(values) == pytest.approx(1 / 3, abs=0.04)


@pytest.mark.parametrize("scale", ["Linear", "Logarithmic"])
def test_integers_are_all_reached(scale: str) -> None:
    values = drawn(Numeric("n", 1, 4, scale, whole=True))
    assert set(values) == {1, 2, 3, 4}
    if scale == "Linear":
        assert all(
            values.count(value) / len(values) == pytest.approx(0.25, abs=0.03) for value in range(1, 5)
        )
    else:
        assert values.count(1) > values.count(2) > values.count(4)


numbers = st.floats(-1e6, 1e6, allow_nan=False)


@given(numbers, numbers, st.floats(0, 1), st.booleans())
@settings(deadline=None, max_examples=200)
def test_a_value_lies_within_its_bounds_and_where_it_came_from(
    one: float, other: float, coordinate: float, whole: bool
) -> None:
    low, high = sorted((math.floor(one), math.floor(other)) if whole else (one, other))
    parameter = Numeric("x", low, high, "Linear", whole)
    value = parameter.at(coordinate)
    assert low <= float(value) <= high
    back = parameter.coordinate(value)
    assert back is not None
    assert 0 <= back <= 1
    assert float(parameter.at(back)) == pytest.approx(float(value), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("value", ["-0.1", "1.1", "auto", "nan"])
def test_a_value_from_elsewhere_has_no_coordinate(value: str) -> None:
    assert X.coordinate(value) is None


@pytest.mark.parametrize(
    ("low", "high", "scale"),
    [("0.001", "1", "Logarithmic"), ("0.1", "1", "Linear"), ("0", "1000000", "Linear")],
)
def test_auto_looks_at_the_width(low: str, high: str, scale: str) -> None:
    row = {"Name": "x", "MinValue": low, "MaxValue": high, "ScalingType": "Auto"}
    (parameter,) = read({"ContinuousParameterRanges": [row]}).parameters
    assert isinstance(parameter, Numeric)
    assert parameter.scale == scale


@pytest.mark.parametrize(
    ("kind", "low", "high", "scale", "text"),
    [
        ("Continuous", "2", "1", "Auto", "must not be greater"),
        ("Continuous", "0", "1", "Logarithmic", "greater than 0"),
        ("Continuous", "0", "1", "ReverseLogarithmic", "within the range 0<=x<1.0"),
        ("Integer", "0", "1", "ReverseLogarithmic", "not for integers"),
        ("Integer", "0.5", "1", "Auto", "must each be an integer, which '0.5' is not"),
        ("Integer", "0", "9" * 256, "Auto", "must each be an integer"),
        ("Continuous", "0", "inf", "Auto", "must each be a number"),
        ("Continuous", "nan", "1", "Auto", "must each be a number"),
        ("Continuous", "", "1", "Auto", "must each be a number"),
    ],
)
def test_ranges_that_make_no_sense_are_refused(kind: str, low: str, high: str, scale: str, text: str) -> None:
    row = {"Name": "x", "MinValue": low, "MaxValue": high, "ScalingType": scale}
    with pytest.raises(RangeError, match=text):
        read({f"{kind}ParameterRanges": [row]})


@pytest.mark.parametrize("kind", [Random, Bayesian])
def test_no_combination_comes_twice(kind: Callable[[Space, int], Strategy]) -> None:
    space = Space((LAYERS, KIND))
    strategy, seen = kind(space, 0), list[Seen]()
    for number in range(24):
        seen.append(Seen(strategy.suggest(seen), score=float(number % 5)))
    assert sorted(map(str, (row.values for row in seen))) == sorted(map(str, space.grid()))


def test_grid_ends_with_its_combinations() -> None:
    grid = Grid(Space((KIND, Categorical("size", ("1", "2")))))
    assert len({str(grid.suggest(())) for _ in range(6)}) == 6
    with pytest.raises(StopIteration):
        grid.suggest(())


def branin(values: Mapping[str, str]) -> float:
    """A smooth function on which optimisers are compared; its least value is 0.398."""
    x, y = 15 * float(values["x"]) - 5, 15 * float(values["y"])
    valley = y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6
    return valley**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10


def mixed(values: Mapping[str, str]) -> float:
    """Least at rate 0.01, layers 5, kind b."""
    away = (math.log10(float(values["rate"])) + 2) ** 2 + (int(values["layers"]) - 5) ** 2 / 10
    return away + (0.0 if values["kind"] == "b" else 1.0)


def search(
    strategy: Strategy, function: Callable[[Mapping[str, str]], float], jobs: int, parallel: int
) -> float:
    """The least value found, with so many trials under way at once."""
    seen: list[Seen] = []
    for _ in range(jobs):
        seen.append(Seen(strategy.suggest(seen), pending=True))
        pending = [number for number, row in enumerate(seen) if row.pending]
        if len(pending) == parallel:
            values = seen[pending[0]].values
            seen[pending[0]] = Seen(values, -function(values))
    return min(-row.score for row in seen if row.score is not None)


@pytest.mark.parametrize(
    ("function", "space"), [(branin, Space((X, Y))), (mixed, Space((RATE, LAYERS, KIND)))]
)
def test_bayesian_search_beats_chance_on_smooth_functions(
    function: Callable[[Mapping[str, str]], float], space: Space
) -> None:
    found = {
        kind: statistics.fmean(search(kind(space, seed), function, 20, 2) for seed in range(3))
        for kind in (Random, Bayesian)
    }
    assert found[Bayesian] < 0.7 * found[Random]


def test_pending_trials_are_kept_away_from() -> None:
    space, seen = Space((X,)), [Seen({"x": str(x)}, -((x - 0.5) ** 2)) for x in (0.0, 0.4, 0.7, 1.0)]
    strategy, chosen = Bayesian(space, 0), list[float]()
    for _ in range(4):
        values = strategy.suggest(seen)
        chosen.append(float(values["x"]))
        seen.append(Seen(values, pending=True))
    assert min(abs(a - b) for number, a in enumerate(chosen) for b in chosen[:number]) > 0.05


def test_failed_trials_are_kept_away_from() -> None:
    good = [Seen({"x": str(x)}, -abs(x - 0.9)) for x in (0.0, 0.1, 0.2, 0.3)]
    failed = [Seen({"x": str(x)}) for x in (0.7, 0.8, 0.9, 1.0)]
    values = Bayesian(Space((X,)), 0).suggest(good + failed)
    assert float(values["x"]) < 0.65


def test_what_another_job_found_is_told_in_its_own_measure() -> None:
    """The parent's scores are a thousand times greater; the place of its best still draws."""
    parent = [
        Seen({"x": str(x)}, -1000 * (x - 0.2) ** 2 + 1e5, source="parent") for x in (0, 0.2, 0.5, 0.8, 1)
    ]
    own = [Seen({"x": "0.9"}, 0.1, source="own"), Seen({"x": "0.6"}, 0.2, source="own")]
    outside = [Seen({"x": "7"}, 1e9, source="parent"), Seen({"other": "1"}, 1e9, source="parent")]
    values = Bayesian(Space((X,)), 0).suggest(parent + own + outside)
    assert float(values["x"]) < 0.5


def test_one_value_only_needs_no_axis() -> None:
    space = Space((X, Categorical("only", ("this",)), Numeric("fixed", 3, 3, "Linear", whole=True)))
    strategy, seen = Bayesian(space, 0), list[Seen]()
    for number in range(6):
        seen.append(Seen(strategy.suggest(seen), float(number)))
    assert {(row.values["only"], row.values["fixed"]) for row in seen} == {("this", "3")}
    nothing = Space((Categorical("only", ("this",)),))
    assert Bayesian(nothing, 0).suggest([Seen({"only": "this"}, 1.0)] * 9) == {"only": "this"}


@pytest.mark.parametrize(
    ("epoch", "score", "completed", "hopeless"),
    [
        (1, 0.1, [], False),
        (1, 0.1, [[0.5, 0.7]], False),  # one is not enough
        (1, 0.1, [[0.2, 0.9], [0.3, 0.9]], True),
        (1, 0.25, [[0.2, 0.9], [0.3, 0.9]], False),  # the median of 0.2 and 0.3
        (2, 0.49, [[0.2, 0.4], [0.3, 0.6]], True),
        (2, 0.51, [[0.2, 0.4], [0.3, 0.6]], False),
        (3, 0.24, [[0.2], [0.3], []], True),  # shorter ones to their end
    ],
)
def test_the_median_rule(epoch: int, score: float, completed: list[list[float]], hopeless: bool) -> None:
    assert Median().hopeless(epoch, score, completed) is hopeless


def test_hyperband_lets_the_best_third_go_on() -> None:
    judge = Hyperband(1, 9)
    # The best comes first; each that follows has too many before it.
    survivors = [score for score in range(9, 0, -1) if not judge.hopeless(1, score, ())]
    assert survivors == [9]
    assert not judge.hopeless(1, 10, ())
    assert not judge.hopeless(2, 0, ())  # no rung at the second epoch
    assert not judge.hopeless(9, 0, ())
    assert judge.hopeless(10, 99, ())


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_hyperband_never_stops_the_best_so_far(scores: list[float]) -> None:
    judge, best = Hyperband(1, 27), -1.0
    for score in scores:
        assert not (judge.hopeless(1, score, ()) and score > best)
        best = max(best, score)


def test_a_search_too_wide_for_a_length_of_each_axis_has_one_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bayesian, "_MOST_NUMBERS", 0)
    seen = [Seen({"x": str(x), "y": "0.5"}, -((x - 0.5) ** 2)) for x in (0.0, 0.3, 0.6, 1.0)]
    values = Bayesian(Space((X, replace(X, name="y"))), 0).suggest(seen)
    assert set(values) == {"x", "y"}
