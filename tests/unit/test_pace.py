"""Pauses between reads of a status."""

from __future__ import annotations

import random

import pytest

from runner.pace import BRIEF, GROWTH, JITTER, Pace


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the chance out."""
    monkeypatch.setattr(random, "uniform", lambda low, high: (low + high) / 2)


@pytest.mark.usefixtures("steady")
def test_pauses_grow_from_the_first_to_the_longest() -> None:
    pace = Pace(1, 30)
    pauses = [pace.pause() for _ in range(20)]
    assert pauses[:4] == pytest.approx([GROWTH**n for n in range(4)])
    assert pauses[-1] == 30
    assert max(pauses) == 30


@pytest.mark.usefixtures("steady")
def test_they_start_over_after_news() -> None:
    pace = Pace(1, 30)
    for _ in range(20):
        pace.pause()
    pace.news()
    assert pace.pause() == 1


@pytest.mark.usefixtures("steady")
def test_a_brief_stage_is_not_slept_through_and_its_growth_is_not_lost() -> None:
    pace = Pace(1, 30)
    for _ in range(20):
        pace.pause()
    assert pace.pause(brief=True) == BRIEF
    assert pace.pause() == 30
    assert Pace(1, 30).pause(brief=True) == 1


def test_they_vary_by_a_tenth() -> None:
    pauses = [Pace(10, 30).pause() for _ in range(500)]
    assert 10 * (1 - JITTER) <= min(pauses) < 9.2
    assert 10.8 < max(pauses) <= 10 * (1 + JITTER)
