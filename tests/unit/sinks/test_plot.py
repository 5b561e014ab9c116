"""The picture of a search: what it shows, that it is static, and that no trial's text can be more than text."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.events import Phase, Trial
from runner.sinks.plot import HEIGHT, WIDTH, page
from runner.sinks.search import Search

TAGS = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "h1",
    "p",
    "svg",
    "g",
    "path",
    "text",
    "circle",
    "polygon",
}
VOID = {"meta"}
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")

texts = st.text(st.characters(), max_size=40)
trials = st.builds(
    Trial,
    texts,
    st.sampled_from(Phase),
    st.dictionaries(texts, texts, max_size=3),
    st.none() | st.floats(),
    st.booleans(),
)


class Parsed(HTMLParser):
    """What a browser makes of a page: its elements, by class; their text; and whether all is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID and not (self.get_starttag_text() or "").endswith("/>"):
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self._open[-1] if self._open else "", data))

    def classed(self, name: str) -> list[dict[str, str]]:
        return [attrs for _, attrs in self.elements if attrs.get("class") == name]

    def told(self, tag: str) -> list[str]:
        return [text for within, text in self.texts if within == tag]


def drawn(*told: Trial) -> Parsed:
    search = Search()
    for trial in told:
        search.take(trial)
    return Parsed(page(search))


def done(
    number: int, objective: float | None, *, best: bool = False, phase: Phase = Phase.SUCCEEDED
) -> Trial:
    return Trial(f"t-{number}", phase, {"eta": f"0.{number}"}, objective, best)


def marks(shown: Parsed) -> list[tuple[float, float]]:
    """Where the trials' circles stand, without the legend's."""
    circles = [c for name in ("trial", "part") for c in shown.classed(name) if c["cx"] != "8.0"]
    return [(float(c["cx"]), float(c["cy"])) for c in circles]


def stars(shown: Parsed) -> list[tuple[float, float]]:
    found = [[float(n) for n in NUMBER.findall(one["points"])] for one in shown.classed("best")]
    return [(points[0], points[1] + 9) for points in found if len(points) == 20 and points[0] > 9]


def test_nothing_before_a_trial_has_ended() -> None:
    search = Search()
    assert page(search) == ""
    search.take(Trial("t", Phase.RUNNING))
    assert page(search) == ""


@given(st.lists(trials, max_size=12))
def test_whatever_is_told_is_a_static_page_of_ours(told: list[Trial]) -> None:
    search = Search()
    for trial in told:
        search.take(trial)
    text = page(search)
    shown = Parsed(text)
    assert {tag for tag, _ in shown.elements} <= TAGS
    names = {name for _, attrs in shown.elements for name in attrs}
    assert not any(name.startswith("on") or name in {"href", "src", "style", "xlink:href"} for name in names)
    assert not re.search(
        r"url\(|@import|javascript:|nan|inf\b", "".join(shown.told("style")) + _numbers(shown)
    )


def _numbers(shown: Parsed) -> str:
    return " ".join(
        value
        for _, attrs in shown.elements
        for name, value in attrs.items()
        if name not in {"aria-label", "content"}
    )


@given(st.lists(trials, min_size=1, max_size=12))
def test_everything_is_within_the_picture(told: list[Trial]) -> None:
    shown = drawn(*told)
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in (*marks(shown), *stars(shown)))


def test_a_mark_for_each_trial_in_the_order_in_which_they_ended() -> None:
    shown = drawn(Trial("t-2", Phase.RUNNING), done(1, 0.5), done(2, 0.9), done(3, 0.7))
    (x1, y1), (x2, y2), (x3, y3) = marks(shown)
    assert x1 < x2 < x3
    assert y1 > y3 > y2
    assert shown.told("title")[1:] == [
        f"trial {n}: t-{n}\nSucceeded, objective: {value}\neta=0.{n}"
        for n, value in ((1, 0.5), (2, 0.9), (3, 0.7))
    ]
    assert {"1", "2", "3", "0.9", "objective", "trials in the order in which they ended"} <= {
        *shown.told("text")
    }


def test_the_line_follows_the_flags_and_ends_at_the_edge() -> None:
    told = [done(1, 5, best=True), done(2, 9), done(3, 3, best=True), done(4, 4)]
    shown = drawn(*told)
    (x1, y1), _, (_, _) = marks(shown)
    ((x3, y3),) = stars(shown)
    line = next(one["d"] for one in shown.classed("line") if "M0 12" not in one["d"])
    assert [float(n) for n in NUMBER.findall(line)] == [x1, y1, x3, y3, WIDTH - 24]
    assert y3 > y1
    assert "3" in shown.told("text")
    assert shown.told("p") == ["4 ended; best so far: 3 (t-3)"]


def test_who_was_the_best_is_an_ordinary_trial_afterwards() -> None:
    assert len(stars(drawn(done(1, 1, best=True), done(2, 2, best=True)))) == 1
    assert stars(drawn(done(1, 1))) == []


@pytest.mark.parametrize("objective", [None, float("nan"), float("inf"), float("-inf")])
def test_a_trial_without_a_number_stands_on_the_axis(objective: float | None) -> None:
    shown = drawn(done(1, 0.5), done(2, objective, best=True), done(3, 0.4, phase=Phase.FAILED))
    assert len(marks(shown)) == 1
    crosses = [one["d"] for one in shown.classed("lost")]
    assert len(crosses) == 3  # One of them in the legend.
    assert len({NUMBER.findall(one)[1] for one in crosses[1:]}) == 1
    assert stars(shown) == []
    assert "without an objective" in shown.told("text")


def test_nothing_but_failures() -> None:
    shown = drawn(done(1, None, phase=Phase.FAILED))
    assert "no trial has told a number yet" in shown.told("text")
    assert shown.told("p") == ["1 ended, 1 of them without success"]


def test_a_trial_that_was_stopped_early_has_an_objective() -> None:
    shown = drawn(done(1, 0.5), done(2, 0.6, phase=Phase.STOPPED))
    assert len(marks(shown)) == 2
    assert "broken off" in shown.told("text")


@pytest.mark.parametrize(
    "values",
    [[0.5], [0.5] * 9, [1e300, -1e300], [1.7e308, -1.7e308], [5e-324, 0.0], [1e-12, 1e12], [1e16, 1e16 + 2]],
)
def test_numbers_of_any_size(values: list[float]) -> None:
    shown = drawn(*(done(number, value) for number, value in enumerate(values, 1)))
    assert len(marks(shown)) == len(values)
    assert len({y for _, y in marks(shown)}) <= len(set(values))


def test_hostile_names_are_text() -> None:
    name = "</title><script>alert(1)</script>\x00\u202e\n&amp;"
    trial = Trial(name, Phase.SUCCEEDED, {"<b>": '"x"'}, 1, best=True)
    shown = drawn(trial)
    assert "script" not in {tag for tag, _ in shown.elements}
    tip = shown.told("title")[-1]
    assert tip.splitlines()[0] == r"trial 1: </title><script>alert(1)</script>\x00\u202e &amp;"
    assert '<b>="x"' in tip
    assert (
        len("".join(drawn(Trial("x" * 10**6, Phase.SUCCEEDED, {"y" * 10**6: ""}, 1)).told("title"))) < 2_000
    )


def test_five_hundred_trials_are_drawn_at_once() -> None:
    search = Search()
    for number in range(500):
        search.take(
            Trial(f"t-{number}", Phase.SUCCEEDED, {f"p{n}": "0.123456" for n in range(8)}, number % 97)
        )
    began = time.perf_counter()
    text = page(search)
    assert time.perf_counter() - began < 1  # Some milliseconds; what must not happen is that it's quadratic.
    assert len(text) < 400_000
    assert len(marks(Parsed(text))) == 500
