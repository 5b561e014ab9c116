"""The terminal's face: log lines scroll above a live footer. The only module that imports rich.

    14:03:55 | epoch 2 loss 0.22
    TrainingJob-3f2a  1m 48s  1,204 log lines, 3 late
    ✓ Starting  ✓ Downloading  ● Training  ○ Uploading  ○ Completed
    4 ended, 2 in progress  ★ 0.91 (tune-003)
    loss 0.22  accuracy 0.91

Everything is built of `rich.text.Text`, never of markup, and everything runs on the pump's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import IO, cast

from rich.console import Console, Group
from rich.live import Live as RichLive
from rich.text import Text

from runner.events import Event, Finished, Launched, LogLine, LogSummary, Metric, Status, Trial
from runner.sinks import words
from runner.sinks.narrate import Kind, Line, Narrator, prefix
from runner.sinks.pump import Out
from runner.sinks.search import Search
from runner.sinks.text import lines, one_line

METRICS = 4
"""Metrics in the footer: those read last."""

_STYLES = {
    Kind.LAUNCH: "bold cyan",
    Kind.STATUS: "cyan",
    Kind.METRIC: "magenta",
    Kind.BEST: "bold yellow",
    Kind.INFO: "dim",
    Kind.WARNING: "yellow",
    Kind.ERROR: "bold red",
    Kind.DONE: "bold green",
    Kind.STOPPED: "bold yellow",
    Kind.TAIL: "dim",
}


class Footer:
    """What is known of the job at this moment."""

    def __init__(self) -> None:
        self._job = ""
        self._stages: tuple[str, ...] = ()
        self._since: float | None = None
        self._status: Status | None = None
        self._metrics: dict[str, Metric] = {}
        self._search = Search()
        self._lines = 0
        self._late = 0

    def take(self, event: Event, now: float) -> None:
        """Learn from an event that came at `now`."""
        match event:
            case LogLine():
                shown = len(lines(event.text))
                self._lines += shown
                self._late += shown * event.late
            case Metric() if not self._search.of_a_trial(event):
                self._metrics.pop(event.name, None)
                self._metrics[event.name] = event
            case Trial():
                self._search.take(event)
            case Status():
                self._status = event
            case Launched():
                self._job, self._stages, self._since = one_line(event.job), event.stages, now
            case LogSummary():
                self._lines, self._late = event.lines, event.late
            case Finished():
                self._status = event.status

    def rows(self, now: float) -> list[Text]:
        """One to four rows, each to be cut at the terminal's width."""
        head = Text.assemble((self._job, "bold"))
        if self._since is not None:
            head.append(f"  {words.duration(max(0, round(now - self._since)))}", "cyan")
        head.append(f"  {words.logs(self._lines, self._late)}", "dim")
        rows = [head, self._progress(), self._trials(), self._readings()]
        for row in rows:
            row.no_wrap, row.overflow = True, "ellipsis"
        return [row for row in rows if row]

    def _progress(self) -> Text:
        row = Text()
        if self._status is None:
            return row
        if self._status.stage not in self._stages:
            return row.append(f"● {words.state(self._status)}", "cyan")
        reached = self._stages.index(self._status.stage)
        for number, stage in enumerate(self._stages):
            glyph, style = ("✓", "green") if number < reached else ("○", "dim")
            if number == reached:
                glyph, style = "●", "bold cyan"
            row.append("  " * bool(number)).append(f"{glyph} {one_line(stage)}", style)
        return row

    def _trials(self) -> Text:
        row = Text()
        if self._search.trials:
            row.append(self._search.counts(), "cyan")
        if leading := self._search.leading():
            row.append(f"  ★ {leading}", "bold yellow")
        return row

    def _readings(self) -> Text:
        row = Text()
        shown = [metric for metric in self._metrics.values() if not self._search.of_a_trial(metric)]
        for metric in shown[-METRICS:]:
            row.append("  " * bool(row)).append(f"{one_line(metric.name)} ", "dim").append(
                words.number(metric.value), "magenta"
            )
        return row


class _Now:
    """The footer as rich sees it: its rows at the moment of drawing."""

    def __init__(self, footer: Footer, clock: Callable[[], float]) -> None:
        self._footer = footer
        self._clock = clock

    def __rich__(self) -> Group:
        return Group(*self._footer.rows(self._clock()))


class _Terminal(Console):
    """A console whose broken pipe is an error like any other: rich's own answer is to end the thread."""

    def on_broken_pipe(self) -> None:
        raise  # noqa: PLE0704 - rich calls this while it handles the BrokenPipeError


class Live:
    """The pump's screen for a terminal."""

    def __init__(self, out: Out, *, color: bool | None, clock: Callable[[], float]) -> None:
        """`color`: None leaves it to `NO_COLOR`."""
        self._out = out
        self._clock = clock
        self._console = _Terminal(
            file=cast("IO[str]", out),
            force_terminal=True,  # as found out; rich would ask FORCE_COLOR and TTY_COMPATIBLE instead
            force_interactive=True,
            no_color=None if color is None else not color,
            highlight=False,
            markup=False,
            emoji=False,
        )
        self._ascii = not out.can("".join(kind.value[0] for kind in Kind))
        self._footer = Footer()
        # The footer has the readings; only their last word is worth a line.
        self._narrator = Narrator(metrics_every=None)
        # rich draws the object it is given here below every print, so that must know the present.
        self._live = RichLive(
            _Now(self._footer, clock),
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    @property
    def progress(self) -> int:
        """Bytes that have got through."""
        return self._out.progress

    def show(self, batch: Sequence[tuple[float, Event]], /) -> None:
        """Print the batch's lines above the footer, and renew it."""
        self._start()
        told: list[Line] = []
        for now, event in batch:
            told += self._narrator.tell(event, now)
            self._footer.take(event, now)
        self._print(told)

    def _print(self, told: Sequence[Line]) -> None:
        if told:
            # soft_wrap: the terminal breaks long lines, so that they stay one line when copied.
            self._console.print(Text("\n").join(map(self._styled, told)), soft_wrap=True)
        else:
            self._live.refresh()

    def tick(self) -> None:
        """Let the elapsed time go on; tell what was put off."""
        if self._live.is_started:
            self._print(self._narrator.due(self._clock()) if self._narrator.owes else ())

    def close(self) -> None:
        """Tell the rest of what was put off, and remove the footer: the last lines have said it all."""
        if self._narrator.owes:
            self._print(self._narrator.rest(self._clock()))
        self._live.stop()

    def _start(self) -> None:
        if not self._live.is_started:
            self._live.start()
            # rich hides the cursor; a process that is killed could not bring it back.
            self._console.show_cursor()

    def _styled(self, line: Line) -> Text:
        before = prefix(line, ascii_only=self._ascii)
        stamp, glyph = before[:8], before[8:]
        style = _STYLES.get(line.kind, "")
        body = "" if line.kind in {Kind.LOG, Kind.METRIC, Kind.TRIAL, Kind.INFO, Kind.STATUS} else style
        return Text.assemble((stamp, "dim"), (glyph, style or "dim"), " ", (line.text, body))
