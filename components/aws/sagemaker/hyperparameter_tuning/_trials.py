"""The trials of a tuning job: which training jobs they are, and what is new of them. Pure: no cloud, no waiting."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from components.aws.sagemaker._api import TRAINING
from components.aws.sagemaker._hints import hint
from runner.events import Level, Notice, Phase, Trial

Summary = Mapping[str, Any]
"""A HyperParameterTrainingJobSummary, as the list of a tuning job's training jobs has them."""
_CHILD = re.compile(r"(?P<job>.+)-(?P<number>\d{3,})-[0-9a-f]{8}")
"""How SageMaker names a tuning job's training jobs: `hpo-1-007-0f21ddb6`."""


def number(training_job: str, tuning_job: str = "") -> str:
    """Return the trial's number (`007`) of a training job's name; blank if it is no trial, or not of this tuning job."""
    match = _CHILD.fullmatch(training_job)
    if match is None or (tuning_job and match["job"] != tuning_job):
        return ""
    return match["number"]


def objective(summary: Summary) -> float | None:
    """Return the final value of the objective; None where there is none: it failed, or was not found in the log."""
    metric = summary.get("FinalHyperParameterTuningJobObjectiveMetric")
    return float(metric["Value"]) if metric else None


class Book:
    """What has been told of each trial. Every start and every end is told once, whatever is read how often."""

    def __init__(self) -> None:
        self._ended: dict[str, bool] = {}
        self._best: float | None = None
        self._leader = ""

    @property
    def running(self) -> set[str]:
        """Names of the training jobs whose end has not been told."""
        return {name for name, ended in self._ended.items() if not ended}

    def knows(self, name: str) -> bool:
        """Say whether a training job's start has been told."""
        return name in self._ended

    def news(
        self, listed: Sequence[Summary], direction: str, *, settled: bool = False
    ) -> Iterator[Trial | Notice]:
        """Yield what is new in a list of trials, in the order in which it happened.

        `direction`: Maximize or Minimize; blank where that is not known, and the best is the service's to tell (`crown`).
        `settled`: no objective that is still pending will come any more.
        """
        happened: list[tuple[float, bool, str, Summary]] = []
        for summary in {str(s["TrainingJobName"]): s for s in listed}.values():
            name = summary["TrainingJobName"]
            if name not in self._ended:
                self._ended[name] = False
                happened.append((_time(summary, "CreationTime"), False, name, summary))
            if not self._ended[name] and _over(summary, settled=settled):
                self._ended[name] = True
                at = max(_time(summary, "CreationTime"), _time(summary, "TrainingEndTime"))
                happened.append((at, True, name, summary))
        for _, end, _, summary in sorted(happened, key=lambda h: h[:3]):
            yield from self._end(summary, direction) if end else (_trial(summary, Phase.RUNNING),)

    def _end(self, summary: Summary, direction: str) -> Iterator[Trial | Notice]:
        phase, value = _phase(summary), objective(summary)
        best = phase is Phase.SUCCEEDED and value is not None and self._improves(value, direction)
        if best:
            self._leader = summary["TrainingJobName"]
        yield _trial(summary, phase, value, best=best)
        name, reason = summary["TrainingJobName"], summary.get("FailureReason", "")
        if phase is Phase.FAILED and reason:
            advice = hint(reason)
            yield Notice(f"{name} failed: {reason}" + (f" ({advice})" if advice else ""), Level.WARNING)
        elif phase is Phase.SUCCEEDED and value is None:
            yield Notice(f"{name} completed, but its log gave no objective", Level.WARNING)

    def crown(self, summary: Summary) -> Iterator[Trial]:
        """Yield the trial that the service calls the best, if it has ended and another was told to be the best so far."""
        name = summary.get("TrainingJobName", "")
        if name != self._leader and self._ended.get(name):
            self._leader = name
            yield _trial(summary, _phase(summary), objective(summary), best=True)

    def _improves(self, value: float, direction: str) -> bool:
        if math.isnan(value) or not direction:
            return False
        best = self._best
        if best is not None and (value <= best if direction == "Maximize" else value >= best):
            return False
        self._best = value
        return True


def _trial(summary: Summary, phase: Phase, value: float | None = None, *, best: bool = False) -> Trial:
    return Trial(
        summary["TrainingJobName"], phase, dict(summary.get("TunedHyperParameters", {})), value, best=best
    )


def _phase(summary: Summary) -> Phase:
    return TRAINING.phases.get(summary["TrainingJobStatus"], Phase.RUNNING)


def _over(summary: Summary, *, settled: bool) -> bool:
    """Say whether a trial has ended; one that has is not told of before its objective was looked for."""
    pending = summary.get("ObjectiveStatus") == "Pending" and objective(summary) is None
    return _phase(summary).final and (settled or not pending or _phase(summary) is Phase.FAILED)


def _time(summary: Summary, key: str) -> float:
    moment = summary.get(key)
    return float(moment.timestamp()) if moment is not None else 0.0
