"""What the Kubeflow Pipelines UI is to show of one job, as plain data; `kfp_ui` puts it into files.

The rules of the UI (facts/kfp.md §2, read from kubeflow/pipelines' front end and run.proto):

* One entry with an empty source, an unknown type or a foreign storage loses all viewers of the step.
* A table is CSV with its header apart; rows must have the header's columns.
* A web app is a page of HTML, shown in a frame of its own.
* There is no viewer for links: they go into the Markdown, which is cut beyond 400,000 characters
  (MarkdownViewer.tsx).
* A metric's name is `[a-z]([-a-z0-9]*[a-z0-9])?` and at most 63 characters long; there are at most 50
  metrics, and their numbers are finite (run.proto).
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import count

from runner.events import Event, Finished, Launched, Level, LogLine, Metric, Notice, Phase, Status, Trial
from runner.sinks import words
from runner.sinks.narrate import TAIL
from runner.sinks.plot import page as plot
from runner.sinks.search import Search
from runner.sinks.text import clipped, code_block, lines, markdown, one_line, web_url

NAME_LENGTH = 63
METRICS = 50
ROWS = 1_000
"""Rows of a table; the UI pages them, but loads them all."""

FIELD = 4_000
"""Characters of one text in the summary: 20 log lines and all the rest stay far below 400,000."""

CELL = 500

Json = dict[str, object]


def metric_name(name: str, taken: Collection[str]) -> str:
    """A valid name that is not `taken`: `Validation:Accuracy` becomes `validation-accuracy`."""
    base = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "metric"
    if base[0].isdigit():
        base = f"m-{base}"
    base = base[:NAME_LENGTH].rstrip("-")
    if base not in taken:
        return base
    suffixes = (f"-{number}" for number in count(2))
    names = (base[: NAME_LENGTH - len(suffix)].rstrip("-") + suffix for suffix in suffixes)
    return next(name for name in names if name not in taken)


@dataclass(slots=True)
class _Plot:
    """The plot as it was last drawn, and after how many events about trials."""

    source: str = ""
    news: int = 0


class Page:
    """Everything the UI should show of one job at this moment."""

    def __init__(self) -> None:
        self._launched: Launched | None = None
        self._since = 0.0
        self._status: Status | None = None
        self._finished: Finished | None = None
        self._metrics: dict[str, Metric] = {}
        self._names: dict[str, str] = {}
        self._search = Search()
        self._news = 0
        self._plot = _Plot()
        self._tail: deque[str] = deque(maxlen=TAIL)
        self._said = ""
        """The last warning."""
        self._left = False
        """Whether nothing more will come though the job was not seen to end."""

    def leave(self) -> bool:
        """Nothing more will come; return whether that changes anything."""
        self._left = self._launched is not None and self._finished is None and self._said != ""
        return self._left

    def take(self, event: Event, now: float) -> None:
        """Learn from an event that came at `now`."""
        match event:
            case LogLine():
                self._tail.extend(lines(event.text))
            case Metric():
                self._read(event)
            case Trial():
                self._search.take(event)
                self._news += 1
            case Launched():
                self._launched, self._since = event, now
            case Status():
                self._learn(event)
            case Finished():
                self._finished = event
                self._learn(event.status)
            case Notice() if event.level is not Level.INFO:
                self._said = event.text
            case _:
                pass

    def snapshot(self) -> Page:
        """Return the page as it is now: to put it into words and pictures takes long, so another thread does.

        Of all snapshots of a page, one at a time may be asked for `metadata`: they share the plot.
        """
        other = Page()
        other._launched, other._since, other._status = self._launched, self._since, self._status
        other._finished, other._news, other._plot = self._finished, self._news, self._plot
        other._metrics, other._names = dict(self._metrics), dict(self._names)
        other._search, other._tail = self._search.copy(), self._tail.copy()
        other._said, other._left = self._said, self._left
        return other

    def _learn(self, status: Status) -> None:
        self._status = status
        for metric in status.metrics:
            self._read(metric)

    def _read(self, metric: Metric) -> None:
        before = self._metrics.get(metric.name)
        # The service's last word is not overruled by a log line read later.
        if before and before.final and not metric.final:
            return
        if self._search.of_a_trial(metric):
            return
        self._metrics[metric.name] = metric
        if metric.name not in self._names and math.isfinite(metric.value):
            self._names[metric.name] = metric_name(metric.name, self._names.values())

    def metrics(self) -> Json:
        """The content of `mlpipeline-metrics`: finite numbers, of more than 50 the service's own first.

        Of a search only what is said of the search as a whole: the last reading of whichever trial would stand beside the
        best trial's objective as if both were of one model.
        """
        finite = [metric for metric in self._readings() if math.isfinite(metric.value)]
        finite.sort(key=lambda metric: not metric.final)
        return {
            "metrics": [
                {"name": self._names[metric.name], "numberValue": float(metric.value), "format": "RAW"}
                for metric in finite[:METRICS]
            ]
        }

    def metadata(self, now: float) -> Json:
        """The content of `mlpipeline-ui-metadata`: a summary; of a search the plot; tables, if any."""
        summary: Json = {"type": "markdown", "storage": "inline", "source": self.summary(now)}
        readings = ((m.name, words.number(m.value), _yes(m.final)) for m in self._readings())
        best, trials = self._search.best, self._search.trials.values()
        entries: list[Json] = [
            summary,
            {"type": "web-app", "storage": "inline", "source": self._drawn()},
            _table(("parameter", "value in the best trial so far"), best.parameters.items() if best else ()),
            _table(("metric", "value", "final"), readings),
            _table(
                ("trial", "phase", "objective", "best", "parameters"),
                (_row(trial, best=trial is best) for trial in trials),
            ),
        ]
        return {"outputs": [entry for entry in entries if entry["source"]]}

    def _readings(self) -> Sequence[Metric]:
        return [metric for metric in self._metrics.values() if not self._search.of_a_trial(metric)]

    def _drawn(self) -> str:
        """The plot, drawn anew only if there is news: a status alone changes nothing in it."""
        if self._plot.news != self._news:
            self._plot.source, self._plot.news = plot(self._search), self._news
        return self._plot.source

    def summary(self, now: float) -> str:
        """The job in Markdown; never empty. All text of the job is escaped."""
        sections = [self._head(now), self._facts(now), self._why(), self._last_lines()]
        return "\n\n".join(section for section in sections if section) + "\n\n"

    def _head(self, now: float) -> str:
        job = self._launched.job if self._launched else "Job"
        status = self._status or Status(Phase.PENDING)
        told = f"**{status.phase}**"
        if self._finished:
            told = f"**{words.outcome(status, self._finished.seconds)}**"
        elif self._left:
            told = f"**Left while {status.phase}**"
        elif self._launched:
            told += f" for {words.duration(now - self._since)}"
        return f"# {_field(job)}\n\n{told}: {_field(words.state(status))}"

    def _facts(self, now: float) -> str:
        items: list[tuple[str, str]] = []
        if self._launched:
            begun = "attached" if self._launched.adopted else "started"
            items += [("component", _field(self._launched.component)), (begun, _moment(self._since))]
            items += [(label, _link(url)) for label, url in self._launched.links.items()]
        if self._finished:
            items.append(("log", words.logs(self._finished.lines, self._finished.late)))
        else:
            items.append(("as of", _moment(now)))
        if self._search.trials:
            items.append(("trials", self._search.counts()))
        if leading := self._search.leading():
            items.append(("best so far", _field(leading)))
        items += [
            (label, _field(fact)) for label, fact in (self._status.facts if self._status else {}).items()
        ]
        return "\n".join(f"- {_field(label)}: {told}" for label, told in items)

    def _why(self) -> str:
        status = self._status or Status(Phase.PENDING)
        told = [("Reason", status.reason), ("What to do", status.hint)]
        if self._left:
            told.append(("What became of it", self._said))
        return "\n\n".join(f"**{label}:** {_field(text)}" for label, text in told if text)

    def _last_lines(self) -> str:
        if not (self._status and self._status.phase is Phase.FAILED and self._tail):
            return ""
        block = code_block("\n".join(clipped(line, FIELD) for line in self._tail))
        return f"## Last {words.count(len(self._tail), 'log line')}\n\n{block}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Json:
    """A table entry. Its source is empty without rows, and must then be left out."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for _, row in zip(range(ROWS), rows, strict=False):
        writer.writerow([clipped(one_line(cell), CELL) for cell in row])
    return {
        "type": "table",
        "storage": "inline",
        "format": "csv",
        "header": list(header),
        "source": text.getvalue(),
    }


def _row(trial: Trial, *, best: bool) -> tuple[str, ...]:
    objective = "" if trial.objective is None else words.number(trial.objective)
    return trial.name, trial.phase, objective, _yes(best), words.parameters(trial)


def _yes(flag: bool) -> str:  # noqa: FBT001 - one flag, one word
    return "yes" if flag else "no"


def _field(text: str) -> str:
    return markdown(clipped(text, FIELD))


def _link(url: str) -> str:
    target = web_url(url)
    return f"[{_field(url)}]({target})" if target else _field(url)


def _moment(time: float) -> str:
    return f"{words.day(time)} {words.clock(time)} UTC"
