"""A search over hyperparameters as a picture: the objective of every trial, and the best so far.

One static page of HTML with inline SVG: no script, nothing fetched, and its own policy forbids both. All text is escaped.
Colours are told twice, as attributes that do on white and on black, and as a style that follows the reader's choice of
light or dark: a stricter policy around the page may drop the style.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from runner.events import Phase, Trial
from runner.sinks import words
from runner.sinks.scale import Scale, scale, whole
from runner.sinks.search import Leader, Search
from runner.sinks.text import clipped, one_line

MOST = 2_000
"""Trials drawn: the first ones. Far more than a service allows."""
TEXT = 300
"""Characters of one text in a tooltip."""

WIDTH, HEIGHT = 860, 400
TOP, RIGHT, BOTTOM = 30, 24, 56
_CHARACTER = 6.8
"""Width of a digit of the labels."""

_BLUE, _ORANGE, _RED, _GREY, _FAINT = "#2b83c4", "#d9760f", "#d2453d", "#808890", "#80889040"

_STYLE = """\
:root{color-scheme:light dark;--ground:#fff;--ink:#24292f;--dim:#5b6570;--grid:#e6e9ed;--axis:#9aa4ae;
--trial:#1f77b4;--best:#c75b00;--lost:#c0352b}
@media (prefers-color-scheme:dark){:root{--ground:#15181c;--ink:#e3e7eb;--dim:#9aa5b1;--grid:#2a3037;--axis:#5b6570;
--trial:#63b3ed;--best:#ffa033;--lost:#ff7b72}}
body{margin:0;padding:16px;background:var(--ground);color:var(--ink);font:14px/1.4 system-ui,-apple-system,sans-serif}
h1{font-size:16px;margin:0 0 2px}p{margin:0 0 10px;color:var(--dim);overflow-wrap:anywhere}
svg{display:block;width:100%;max-width:1100px;height:auto}text{fill:var(--dim)}
.grid{stroke:var(--grid)}.axis{stroke:var(--axis)}.trial{fill:var(--trial);stroke:var(--ground)}
.trial:hover{fill:var(--ink)}.part{fill:var(--ground);stroke:var(--trial)}.lost{stroke:var(--lost)}
.line{stroke:var(--best)}.best{fill:var(--best);stroke:var(--ground)}
.told{fill:var(--best);stroke:var(--ground);paint-order:stroke;stroke-width:4px;font-weight:600}"""


def page(search: Search) -> str:
    """Return the page; empty as long as no trial has ended."""
    ended = search.ended[:MOST]
    if not ended:
        return ""
    best = search.leading()
    told = f"{search.counts()}{f'; best so far: {best}' if best else ''}"
    drawing = "".join(_Drawing(ended, search.leaders, search.best).parts())
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>Objective over trials</title><style>{_STYLE}</style></head><body>"
        f"<h1>Objective over trials</h1><p>{_text(told)}</p>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{_text(told)}" '
        f'font-family="system-ui,-apple-system,sans-serif" font-size="12">{drawing}</svg></body></html>'
    )


class _Drawing:
    """The parts of the picture, from back to front. Lengths are in units of the picture, `WIDTH` by `HEIGHT`."""

    def __init__(self, ended: Sequence[Trial], leaders: Sequence[Leader], best: Trial | None) -> None:
        self._ended = ended
        self._leaders = [one for one in leaders if _drawable(one.trial) and one.ended <= len(ended)]
        self._best = best
        self._scale: Scale = scale([trial.objective or 0.0 for trial in ended if _drawable(trial)])
        self._known = any(map(_drawable, ended))
        longest = max((len(label) for _, label in self._scale.marks), default=1) if self._known else 1
        self._left = 44 + longest * _CHARACTER
        self._floor = HEIGHT - BOTTOM
        self._radius = max(2.2, min(4.5, 300 / len(ended)))

    def parts(self) -> Iterator[str]:
        yield from self._axes()
        yield from self._legend()
        yield self._line()
        for number, trial in enumerate(self._ended, 1):
            if trial is not self._best or not _drawable(trial):
                yield self._mark(number, trial)
        yield from self._winner()

    def _x(self, number: float) -> float:
        return self._left + (number - 0.5) / len(self._ended) * (WIDTH - RIGHT - self._left)

    def _y(self, trial: Trial) -> float:
        # The lowest place is kept a little above the axis, where those without an objective are.
        return self._height(self._scale.place(trial.objective or 0.0))

    def _height(self, place: float) -> float:
        return self._floor - 10 - place * (self._floor - 10 - TOP)

    def _axes(self) -> Iterator[str]:
        right = WIDTH - RIGHT
        for place, label in self._scale.marks if self._known else ():
            y = self._height(place)
            yield f'<path class="grid" stroke="{_FAINT}" d="M{self._left:.1f} {y:.1f}H{right}"/>'
            yield _label(self._left - 8, y + 4, label, "end")
        for number in whole(len(self._ended)):
            x = self._x(number)
            yield f'<path class="axis" stroke="{_GREY}" d="M{x:.1f} {self._floor}v5"/>'
            yield _label(x, self._floor + 19, f"{number}", "middle")
        yield (
            f'<path class="axis" stroke="{_GREY}" fill="none" '
            f'd="M{self._left:.1f} {TOP - 6}V{self._floor}H{right}"/>'
        )
        yield _label(
            (self._left + right) / 2, HEIGHT - 12, "trials in the order in which they ended", "middle"
        )
        name = "objective (logarithmic)" if self._scale.log else "objective"
        middle = (TOP + self._floor) / 2
        yield (
            f'<text transform="translate(16 {middle:.1f}) rotate(-90)" text-anchor="middle" '
            f'fill="{_GREY}">{name}</text>'
        )
        if not self._known:
            yield _label((self._left + right) / 2, middle, "no trial has told a number yet", "middle")

    def _legend(self) -> Iterator[str]:
        """Say what the marks mean, of those that there are."""
        drawable = [trial for trial in self._ended if _drawable(trial)]
        broken_off = any(trial.phase is not Phase.SUCCEEDED for trial in drawable)
        line = f'<path class="line" stroke="{_ORANGE}" stroke-width="2" d="M0 12h16"/>'
        entries = [
            (self._known, _circle(8, 12, 4, ended=True), "trial"),
            (broken_off, _circle(8, 12, 4, ended=False), "broken off"),
            (bool(self._leaders), line, "best so far"),
            (self._best in drawable, _star(8, 12, 7), "best"),
            (len(drawable) < len(self._ended), _cross(8, 12), "without an objective"),
        ]
        at = self._left + 4
        for there, mark, name in entries:
            if there:
                yield f'<g transform="translate({at:.1f} 0)">{mark}{_label(22, 16, name, "start")}</g>'
                at += 42 + len(name) * _CHARACTER

    def _line(self) -> str:
        """Return the steps of the best so far."""
        if not self._leaders:
            return ""
        first, *rest = self._leaders
        steps = [f"M{self._x(first.ended):.1f} {self._y(first.trial):.1f}"]
        steps += [f"H{self._x(one.ended):.1f}V{self._y(one.trial):.1f}" for one in rest]
        steps.append(f"H{self._x(len(self._ended) + 0.5):.1f}")
        return (
            f'<path class="line" stroke="{_ORANGE}" stroke-width="2" fill="none" stroke-linejoin="round" '
            f'd="{"".join(steps)}"/>'
        )

    def _mark(self, number: int, trial: Trial) -> str:
        x, tip = self._x(number), _tip(number, trial)
        if not _drawable(trial):
            return _cross(x, self._floor, tip)
        return _circle(x, self._y(trial), self._radius, tip, ended=trial.phase is Phase.SUCCEEDED)

    def _winner(self) -> Iterator[str]:
        """Highlight the best, with its objective beside it."""
        best = self._best
        numbers = [number for number, trial in enumerate(self._ended, 1) if trial is best]
        if best is None or not numbers or not _drawable(best):
            return
        x, y = self._x(numbers[0]), self._y(best)
        yield _star(x, y, 9, _tip(numbers[0], best))
        # On the side that the line did not come from.
        before = [self._y(one.trial) for one in self._leaders if one.trial is not best]
        above = not before or before[-1] >= y
        anchor = "start" if x < self._left + 60 else "end" if x > WIDTH - RIGHT - 60 else "middle"
        told = escape(words.number(best.objective or 0.0))
        yield (
            f'<text class="told" fill="{_ORANGE}" x="{x:.1f}" y="{y + (-13 if above else 22):.1f}" '
            f'text-anchor="{anchor}">{told}</text>'
        )


def _drawable(trial: Trial) -> bool:
    """Whether there is a place for the trial: it succeeded, or was stopped early, and its objective is a number."""
    return trial.phase is not Phase.FAILED and trial.objective is not None and math.isfinite(trial.objective)


def _tip(number: int, trial: Trial) -> str:
    objective = "none" if trial.objective is None else words.number(trial.objective)
    told = [
        f"trial {number}: {clipped(one_line(trial.name), TEXT)}",
        f"{trial.phase}, objective: {objective}",
    ]
    if trial.parameters:
        told.append(clipped(words.parameters(trial), TEXT))
    return f"<title>{escape(chr(10).join(told))}</title>"


def _circle(x: float, y: float, radius: float, inner: str = "", *, ended: bool) -> str:
    look = f'class="trial" fill="{_BLUE}"' if ended else f'class="part" fill="none" stroke="{_BLUE}"'
    return f'<circle {look} cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}">{inner}</circle>'


def _cross(x: float, y: float, inner: str = "") -> str:
    d = f"M{x - 4:.1f} {y - 4:.1f}l8 8m0-8l-8 8"
    return f'<path class="lost" stroke="{_RED}" stroke-width="2" d="{d}">{inner}</path>'


def _star(x: float, y: float, size: float, inner: str = "") -> str:
    angles = (math.pi * (corner / 5 - 0.5) for corner in range(10))
    corners = (
        (x + reach * math.cos(angle), y + reach * math.sin(angle))
        for angle, reach in zip(angles, (size, size * 0.45) * 5, strict=True)
    )
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in corners)
    return f'<polygon class="best" fill="{_ORANGE}" points="{points}">{inner}</polygon>'


def _label(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{_GREY}">{escape(text)}</text>'


def _text(text: str) -> str:
    return escape(clipped(one_line(text), TEXT * 2))
