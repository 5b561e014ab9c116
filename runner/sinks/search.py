"""What is known of a search over hyperparameters: which trials ended, in which order, and which is the best so far.

Whether more or less is better, only the service knows. It tells by a flag: the latest trial that came with `best=True` is
the best, and has taken the place of those that had the flag before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runner.events import Metric, Phase, Trial
from runner.sinks import words
from runner.sinks.text import one_line


@dataclass(frozen=True, slots=True)
class Leader:
    """From which moment on a trial was the best."""

    ended: int
    """How many trials had ended by then, itself included."""
    trial: Trial


class Search:
    """The trials of one job, as told so far."""

    def __init__(self) -> None:
        self.trials: dict[str, Trial] = {}
        """By name, in the order in which they were first told of."""
        self._ended: dict[str, None] = {}
        self._best: str | None = None
        self._led: list[tuple[int, str]] = []

    def take(self, trial: Trial) -> None:
        """Learn from an event; it replaces what was known of the trial."""
        self.trials[trial.name] = trial
        if trial.phase.final:
            self._ended[trial.name] = None
        if trial.best and trial.name != self._best:
            self._best = trial.name
            self._led.append((max(1, len(self._ended)), trial.name))
        elif not trial.best and trial.name == self._best:
            self._best = None

    def copy(self) -> Search:
        """Return the same as it is now, for another thread to read."""
        other = Search()
        other.trials, other._ended = dict(self.trials), dict(self._ended)
        other._best, other._led = self._best, list(self._led)
        return other

    def of_a_trial(self, metric: Metric) -> bool:
        """Whether a reading is a trial's, and says nothing of the job: there are trials, and it came with a stream.

        Which trial's it is, events do not tell.
        """
        return bool(self.trials) and bool(metric.stream) and not metric.final

    @property
    def ended(self) -> Sequence[Trial]:
        """Those that have ended, in that order."""
        return [self.trials[name] for name in self._ended]

    @property
    def best(self) -> Trial | None:
        """The best so far."""
        return None if self._best is None else self.trials[self._best]

    @property
    def leaders(self) -> Sequence[Leader]:
        """Who was the best, one after the other."""
        return [Leader(ended, self.trials[name]) for ended, name in self._led]

    def counts(self) -> str:
        """`4 ended, 1 of them without success, 2 in progress`."""
        ended = self.ended
        lost = sum(trial.phase is not Phase.SUCCEEDED for trial in ended)
        told = [f"{len(ended)} ended"]
        if lost:
            told.append(f"{lost} of them without success")
        if going := len(self.trials) - len(ended):
            told.append(f"{going} in progress")
        return ", ".join(told)

    def leading(self) -> str:
        """`0.91 (t-1)`: the objective of the best so far and its name; empty if there is none."""
        best = self.best
        if best is None:
            return ""
        name = one_line(best.name)
        return name if best.objective is None else f"{words.number(best.objective)} ({name})"
