"""Whose log lines are shown: of all trials, of none, of those that fail, or of each that is the best so far.

The last two are known only when a trial ends, so its lines are kept until then, the newest ones, within bounds.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Literal

from runner.events import LogLine

Show = Literal["all", "none", "errors", "best"]

KEPT = {"errors": 100, "best": 1000}
"""Newest lines kept of a trial that runs."""
KEPT_CHARACTERS = 256 * 1024
"""And characters: a line may be long."""
KEPT_TRIALS = 100
"""Trials whose lines are kept at a time: as many as may run at once."""

QUIET_SECONDS = 3.0
"""After a trial's end, how long its log has to be silent before its last lines are taken for the last."""


@dataclass(slots=True)
class _Held:
    """The newest lines of a trial that runs."""

    most: int
    lines: deque[LogLine] = field(default_factory=deque)
    characters: int = 0

    def add(self, line: LogLine) -> int:
        """Keep a line; return how many older ones had to go."""
        self.lines.append(line)
        self.characters += len(line.text)
        gone = 0
        while len(self.lines) > self.most or (self.characters > KEPT_CHARACTERS and len(self.lines) > 1):
            self.characters -= len(self.lines.popleft().text)
            gone += 1
        return gone


class TrialLogs:
    """Decides of each line whether it is shown, kept for later, or passed over. Times are of any one clock."""

    def __init__(self, show: Show) -> None:
        self._show: Show = show
        self._asked = show
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._open: dict[str, bool] = {}
        """Trial that has ended → whether its lines are shown as they come."""
        self._due: dict[str, float] = {}
        """Trial that has ended, and whose lines are to be shown → when there was last something new of it."""
        self._released: list[LogLine] = []
        self.hidden = 0
        """Lines that were not shown, and won't be."""
        self._of: set[str] = set()

    def take(self, line: LogLine, trial: str, now: float) -> list[LogLine]:
        """Take a line of a trial; return what is to be shown now."""
        if self._show == "all" or self._open.get(trial, False):
            released, self._released = self._released, []
            return [*released, line]
        if self._show == "none" or trial in self._open:
            self._hide(trial, 1)
            return []
        if trial in self._due:
            self._due[trial] = now
        held = self._held.setdefault(trial, _Held(KEPT[self._show]))
        self._held.move_to_end(trial)
        self._hide(trial, held.add(line))
        if len(self._held) > KEPT_TRIALS:
            oldest, lines = self._held.popitem(last=False)
            self._hide(oldest, len(lines.lines))
        return []

    def ended(self, trial: str, now: float, *, failed: bool, best: bool) -> None:
        """Note a trial's end, which may be known before its last lines are."""
        if self._show in ("all", "none"):
            return
        if best if self._show == "best" else failed:
            self._due[trial] = now
        else:
            self._open[trial] = False
            self._drop(trial)

    @property
    def pending(self) -> bool:
        """Whether lines are to be shown soon."""
        return bool(self._due)

    def due(self, now: float) -> list[LogLine]:
        """Return the lines of ended trials whose logs have gone quiet; what comes later is shown as it comes."""
        quiet = [trial for trial, at in self._due.items() if now - at >= QUIET_SECONDS]
        return [line for trial in quiet for line in self._let_go(trial)]

    def blind(self) -> None:
        """No end of a trial can be learnt of any more: rather than none, all lines are shown from now on."""
        if self._show in ("errors", "best"):
            self._show = "all"
            self._due.clear()
            self._released += [line for trial in list(self._held) for line in self._let_go(trial)]

    def close(self) -> list[LogLine]:
        """There are no more lines; return what is still to be shown, and pass over what never will be."""
        released, self._released = self._released, []
        released += [line for trial in list(self._due) for line in self._let_go(trial)]
        for trial in list(self._held):
            self._drop(trial)
        return released

    @property
    def unshown(self) -> str:
        """What was not shown, in words; blank for nothing."""
        if not self.hidden:
            return ""
        lines = "1 log line" if self.hidden == 1 else f"{self.hidden:,} log lines"
        trials = "1 trial" if len(self._of) == 1 else f"{len(self._of):,} trials"
        were = "was" if self.hidden == 1 else "were"
        return f"{lines} of {trials} {were} not shown (--trial_logs {self._asked})"

    def _let_go(self, trial: str) -> list[LogLine]:
        self._due.pop(trial, None)
        self._open[trial] = True
        held = self._held.pop(trial, None)
        return list(held.lines) if held else []

    def _drop(self, trial: str) -> None:
        held = self._held.pop(trial, None)
        self._hide(trial, len(held.lines) if held else 0)

    def _hide(self, trial: str, lines: int) -> None:
        if lines:
            self.hidden += lines
            self._of.add(trial)
