"""Axes: every value has a place, and the marks can be told apart, whatever the size of the numbers."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runner.sinks.scale import scale, whole

WIDEST = [5859454287975443.0, 1.7066436874495068e295]
"""Their margin reaches numbers that a float can't hold."""
finite = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(finite, max_size=20))
def test_every_value_has_a_place_within_and_in_order(values: list[float]) -> None:
    axis = scale(values)
    places = [axis.place(value) for value in sorted(values)]
    assert all(0 <= place <= 1 for place in places)
    assert places == sorted(places)


@given(st.lists(finite, max_size=20))
@example(WIDEST)
@example([1 / value for value in WIDEST])
def test_there_are_a_few_marks_and_each_is_another_number(values: list[float]) -> None:
    axis = scale(values)
    labels = [label for _, label in axis.marks]
    assert 2 <= len(labels) <= 12
    assert len(set(labels)) == len(labels)
    assert all(math.isfinite(float(label)) and len(label) < 24 for label in labels)
    assert [place for place, _ in axis.marks] == sorted(place for place, _ in axis.marks)
    assert all(-1e-9 <= place <= 1 + 1e-9 for place, _ in axis.marks)


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([0.71, 0.94], ["0.70", "0.75", "0.80", "0.85", "0.90", "0.95"]),
        ([-3.0, 2.0], ["-3", "-2", "-1", "0", "1", "2"]),
        ([0.5] * 9, ["0.46", "0.48", "0.50", "0.52", "0.54"]),
        ([0.0], ["-1.0", "-0.5", "0", "0.5", "1.0"]),
        ([], ["-1.0", "-0.5", "0", "0.5", "1.0"]),
        ([0.001, 1e4], ["0.001", "0.01", "0.1", "1", "10", "100", "1000", "10000"]),
        ([1.0, 1e30], ["1", "10000", "1e8", "1e12", "1e16", "1e20", "1e24", "1e28"]),
        (WIDEST, ["1", "1e38", "1e76", "1e114", "1e152", "1e190", "1e228", "1e266"]),
        ([2e-9, 4e-9], ["2.0e-9", "2.5e-9", "3.0e-9", "3.5e-9", "4.0e-9"]),
        ([-1.7e308, 1.7e308], ["-1.0e300", "-5e299", "0", "5e299", "1.0e300"]),
    ],
)
def test_marks(values: list[float], labels: list[str]) -> None:
    assert [label for _, label in scale(values).marks] == labels


def test_a_mark_stands_where_its_number_does() -> None:
    for values in ([0.71, 0.94], [1e-3, 1e4]):
        axis = scale(values)
        assert all(axis.place(float(label)) == pytest.approx(place) for place, label in axis.marks)


def test_logarithms_only_for_what_is_wide_and_positive() -> None:
    assert scale([1, 1001]).log
    assert not scale([1, 999]).log
    assert not scale([0, 1e9]).log
    assert not scale([-1, 1e9]).log


@pytest.mark.parametrize(
    ("count", "marks"),
    [
        (1, [1]),
        (3, [1, 2, 3]),
        (12, [2, 4, 6, 8, 10, 12]),
        (30, [1, 5, 10, 15, 20, 25, 30]),
        (500, [1, *range(50, 501, 50)]),
    ],
)
def test_whole_numbers(count: int, marks: list[int]) -> None:
    assert whole(count) == marks
