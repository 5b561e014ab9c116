"""Events told as lines: what is news, what is noise, and how it reads.

    14:02:07 → TrainingJob-3f2a created (aws.sagemaker.train)
    14:02:07 · console: https://…
    14:03:55 | a job's line, unchanged, up to the end of ours
    14:03:57 |algo-2| its second stream: from here on every line names its stream
    14:03:58 |algo-1 (late)| a line behind those already shown
    14:05:10 ← Succeeded in 3m 03s; billed 2m 40s; 1,204 log lines, 1 late

    14:02:09 ▸ tune-007 started: eta=0.1          a search: every line names its stream from the first one on
    14:02:31 |007 algo-2| a line of the trial
    14:04:58 ★ tune-007 Succeeded: objective 0.91, the best so far

    14:02:07 deploy   ● Creating                  one of several jobs side by side: every line names its job

Times are UTC. The character after the time (and the job's name) is always ours and `|` stands for the job's own words
alone; what stands between two bars is a label of ours, which neither holds a bar nor begins with a blank. So no text of a
job can pass for a line of ours, or of another job.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import chain

from runner.events import (
    Event,
    Finished,
    Launched,
    Level,
    LogLine,
    LogSummary,
    Metric,
    Notice,
    Phase,
    Status,
    Trial,
)
from runner.sinks import words
from runner.sinks.search import Search
from runner.sinks.text import lines, one_line

TAIL = 20
"""Log lines repeated after a failure."""
TRIALS_EVERY = 60.0
"""Least seconds between two readings of one metric in a search, whichever trial's: how each ended is told anyhow."""
STATUS_EVERY = 5.0
"""Least seconds between two lines of which only the service's sentence differs: it may hold counters."""


class Kind(Enum):
    """What a line is about: its glyph, and the glyph where the terminal knows only ASCII."""

    LAUNCH = "→", ">"
    STATUS = "●", "*"
    LOG = "|", "|"
    TAIL = " |", " |"
    METRIC = "=", "="
    TRIAL = "▸", ">"
    BEST = "★", "^"
    INFO = "·", "-"
    WARNING = "!", "!"
    ERROR = "✗", "X"
    DONE = "←", "<"
    STOPPED = "⊘", "%"


_LEVELS = {Level.INFO: Kind.INFO, Level.WARNING: Kind.WARNING, Level.ERROR: Kind.ERROR}
_ENDS = {Phase.SUCCEEDED: Kind.DONE, Phase.FAILED: Kind.ERROR, Phase.STOPPED: Kind.STOPPED}


_UNFIT = re.compile(r"[|(]|[^\S ]|(?<!\S) | (?!\S)")
"""What would let a stream's name end its label early, claim to be late, or pass for none."""
_UNFIT_NAME = re.compile(r"[|\s]")
"""What would let a job's name end early: it is one word."""


def word(name: str) -> str:
    """The name as one printable word, that it can stand before a line."""
    return _UNFIT_NAME.sub(_escaped, one_line(name))


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


@dataclass(frozen=True, slots=True)
class Line:
    """One line to show; `text` is printable. `label`: the stream and lateness of a log line, or empty."""

    time: float
    kind: Kind
    text: str
    label: str = ""


def prefix(line: Line, *, ascii_only: bool = False, job: str = "") -> str:
    """All that stands before the line's text: `14:03:57 |algo-2|`, `14:03:57 ●`; `job` is a `word`, padded."""
    stamp = " " * 8 if line.kind is Kind.TAIL else words.clock(line.time)
    named = f"{job} " if job else ""
    return f"{stamp} {named}{line.kind.value[ascii_only].strip()}" + (f"{line.label}|" if line.label else "")


class Narrator:
    """Turns one job's events into lines; remembers what has been said."""

    def __init__(self, *, metrics_every: float | None = 5.0) -> None:
        """`metrics_every`: least seconds between two readings of one metric; None: the last one only.

        Of a search's trials there are far fewer, and none at the end.
        """
        self._metrics_every = metrics_every
        self._job = ""
        self._day = ""
        self._status: tuple[str, str] = ("", "")
        self._status_at = float("-inf")
        self._unsaid: Status | None = None
        self._streams: set[str] = set()
        self._tail: deque[str] = deque(maxlen=TAIL)
        self._told: dict[tuple[str, str], tuple[str, float]] = {}
        self._held: dict[tuple[str, str], Metric] = {}
        self._sampled: dict[str, float] = {}
        self._final: set[str] = set()
        self._search = Search()

    def tell(self, event: Event, now: float) -> list[Line]:
        """The lines for an event that came at `now` (seconds since the epoch); often none."""
        # A newer status says better what an older one would have said.
        due = [] if isinstance(event, Status) else self.due(now)
        return self._dated([*due, *self._tell(event, now)], now)

    def due(self, now: float) -> list[Line]:
        """The line that was put off and may be told by now, if any; to be asked for in silence as well."""
        # A clock set back is no reason to fall silent.
        if self._unsaid is None or 0 <= now - self._status_at < STATUS_EVERY:
            return []
        return self.rest(now)

    def rest(self, now: float) -> list[Line]:
        """The line that was put off, if any: nothing more will come."""
        status, self._unsaid = self._unsaid, None
        return [] if status is None else self._dated([self._state(status, now)], now)

    @property
    def owes(self) -> bool:
        """Whether a line was put off."""
        return self._unsaid is not None

    def _dated(self, told: list[Line], now: float) -> list[Line]:
        if told and (today := words.day(now)) > self._day:
            # A watch may last days, and a line shows but the hour.
            self._day = today
            told.insert(0, Line(now, Kind.INFO, f"{today} UTC"))
        return told

    def _tell(self, event: Event, now: float) -> Iterator[Line]:  # noqa: PLR0911 - one for each kind of event
        match event:
            case LogLine():
                return self._log(event, now)
            case Metric():
                return self._metric(event, now)
            case Status():
                return self._news(event, now)
            case Launched():
                return self._launched(event, now)
            case Trial():
                return self._trial(event, now)
            case Notice():
                return self._say(_LEVELS[event.level], event.text, now)
            case LogSummary():
                return self._summary(event, now)
            case Finished():
                return self._finished(event, now)

    def _say(self, kind: Kind, text: str, now: float) -> Iterator[Line]:
        yield Line(now, kind, one_line(text))

    def _launched(self, event: Launched, now: float) -> Iterator[Line]:
        self._job = event.job
        how = "re-attached: it was there already" if event.adopted else "created"
        yield Line(now, Kind.LAUNCH, f"{one_line(event.job)} {how} ({one_line(event.component)})")
        for label, url in event.links.items():
            yield Line(now, Kind.INFO, f"{one_line(label)}: {one_line(url)}")

    def _news(self, event: Status, now: float) -> Iterator[Line]:
        place, text = self._status
        if words.state(event) == text:
            self._unsaid = None
        elif words.place(event) == place and 0 <= now - self._status_at < STATUS_EVERY:
            self._unsaid = event
        else:
            if words.place(event) != place:
                yield from self.rest(now)
            self._unsaid = None
            yield self._state(event, now)

    def _state(self, status: Status, now: float) -> Line:
        text = words.state(status)
        self._status, self._status_at = (words.place(status), text), now
        return Line(now, Kind.STATUS, text)

    def _log(self, event: LogLine, now: float) -> Iterator[Line]:
        if event.stream:
            self._streams.add(event.stream)
        stream = self._stream(event.stream) if self._named else ""
        label = " ".join(part for part in (stream, "(late)" if event.late else "") if part)
        for text in lines(event.text):
            self._tail.append(text)
            yield Line(event.time or now, Kind.LOG, text, label)

    @property
    def _named(self) -> bool:
        """Whether streams are told apart: there are several, or will be."""
        return len(self._streams) > 1 or bool(self._search.trials)

    def _stream(self, name: str) -> str:
        return _UNFIT.sub(_escaped, one_line(name.removeprefix(f"{self._job}/")))

    def _metric(self, event: Metric, now: float) -> Iterator[Line]:
        if event.final:
            yield from self._last_word(event, now)
            return
        if self._search.of_a_trial(event):
            yield from self._sample(event, now)
            return
        key = event.name, event.stream
        value = words.number(event.value)
        before, at = self._told.get(key, ("", float("-inf")))
        self._held.pop(key, None)
        if value == before:
            return
        # A clock set back is no reason to fall silent.
        if self._metrics_every is None or 0 <= now - at < self._metrics_every:
            self._held[key] = event
            return
        self._told[key] = value, now
        yield Line(event.time or now, Kind.METRIC, self._reading(event))

    def _sample(self, event: Metric, now: float) -> Iterator[Line]:
        """Tell a trial's reading now and then, and put none off: it would be stale before its turn came."""
        at = self._sampled.get(event.name, float("-inf"))
        if self._metrics_every is None or 0 <= now - at < max(self._metrics_every, TRIALS_EVERY):
            return
        self._sampled[event.name] = now
        yield Line(event.time or now, Kind.METRIC, self._reading(event))

    def _last_word(self, event: Metric, now: float) -> Iterator[Line]:
        for key in [key for key in self._held if key[0] == event.name]:
            del self._held[key]
        text = f"{self._reading(event)} (final)"
        if text not in self._final:
            self._final.add(text)
            yield Line(now, Kind.METRIC, text)

    def _reading(self, event: Metric) -> str:
        stream = f" ({self._stream(event.stream)})" if event.stream and self._named else ""
        return f"{one_line(event.name)} = {words.number(event.value)}{stream}"

    def _trial(self, event: Trial, now: float) -> Iterator[Line]:
        before, best = self._search.trials.get(event.name), self._search.best
        self._search.take(event)
        name, given = one_line(event.name), words.parameters(event)
        if event.phase.final and (
            not (before and before.phase.final) or (event.best and not (best and best.name == event.name))
        ):
            told = f"{name} {event.phase}"
            if event.objective is not None:
                told += f": objective {words.number(event.objective)}"
            if event.best:
                told += ", the best so far"
            if given and not (before and before.parameters):  # No line has told them yet.
                told += f"; {given}"
            yield Line(now, Kind.BEST if event.best else Kind.TRIAL, told)
        elif before is None:
            yield Line(now, Kind.TRIAL, f"{name} started" + (f": {given}" if given else ""))

    def _summary(self, event: LogSummary, now: float) -> Iterator[Line]:
        late = f", {event.late:,} late" if event.late else ""
        yield Line(now, Kind.INFO, f"logs: {words.count(event.lines, 'line')}{late}")
        if not event.complete:
            yield Line(now, Kind.WARNING, "logs: incomplete, the service may have more lines")

    def _finished(self, event: Finished, now: float) -> Iterator[Line]:
        status = event.status
        yield from self.rest(now)
        yield from chain.from_iterable(self._last_word(metric, now) for metric in status.metrics)
        for metric in self._held.values():
            if not self._search.of_a_trial(metric):
                yield Line(metric.time or now, Kind.METRIC, self._reading(metric))
        kind = _ENDS.get(status.phase, Kind.DONE)
        if kind is Kind.ERROR and self._tail:
            yield Line(now, kind, f"last {words.count(len(self._tail), 'log line')}:")
            yield from (Line(now, Kind.TAIL, text) for text in self._tail)
        facts = [f"{one_line(label)} {one_line(fact)}" for label, fact in status.facts.items()]
        closing = [words.outcome(status, event.seconds), *facts, words.logs(event.lines, event.late)]
        yield Line(now, kind, "; ".join(closing))
        if status.reason:
            yield from self._say(Kind.INFO, f"reason: {status.reason}", now)
        if status.hint:
            yield from self._say(Kind.INFO, f"hint: {status.hint}", now)
