"""Whether a training job of a tuning job is worth going on with, judged by the objective's readings so far.

A reading is what the metric's expression finds in a log line; the n-th of a job counts as its n-th epoch, as on AWS
("the algorithm must emit the objective metric for each epoch").
"""

from __future__ import annotations

import bisect
import statistics
from collections.abc import Sequence
from typing import Protocol

LEAST_COMPLETED = 2
"""A median of one would be no median. (AWS does not say how many it wants.)"""
REDUCTION = 3
"""Hyperband's factor: at each rung one job of so many goes on, and the next rung is so many times as far up."""


class Judge(Protocol):
    """Scores have their sign so that more is better."""

    def hopeless(self, epoch: int, score: float, completed: Sequence[Sequence[float]]) -> bool:
        """Whether to stop a job whose reading at this epoch (from 1) is `score`. Call it once per reading.

        `completed`: of each completed job, its running average up to each of its epochs.
        """
        ...


class Median:
    """TrainingJobEarlyStoppingType Auto, as the developer guide has it ("Stop Training Jobs Early").

    "If the value of the objective metric for the current training job is worse than the median value of running averages
    of the objective metric for previous training jobs up to the same epoch, SageMaker stops the current training job."
    """

    def hopeless(self, epoch: int, score: float, completed: Sequence[Sequence[float]]) -> bool:
        """Whether the reading is worse than that median."""
        averages = [each[min(epoch, len(each)) - 1] for each in completed if each]
        return len(averages) >= LEAST_COMPLETED and score < statistics.median(averages)


class Hyperband:
    """Asynchronous successive halving in its stopping form, which needs no checkpoint to go on from.

    At MinResource epochs, and at each REDUCTION-fold of it, a job goes on if it is among the best third of all that came
    so far; beyond MaxResource it is stopped in any case. (AWS: "once a job reaches the MaxResource value, it is stopped".
    Most jobs have just so many epochs and shall end by themselves.) Jobs do not wait for each other. AWS's own brackets
    are not public.
    """

    def __init__(self, least: int, most: int) -> None:
        self._most = most
        self._rungs: dict[int, list[float]] = {}
        while least < most:
            self._rungs[least] = []
            least *= REDUCTION

    def hopeless(self, epoch: int, score: float, completed: Sequence[Sequence[float]]) -> bool:  # noqa: ARG002
        """Whether the job is not among the best at this rung, or has had all it may have."""
        if epoch > self._most:
            return True
        rung = self._rungs.get(epoch)
        if rung is None:
            return False
        bisect.insort(rung, score)
        better = len(rung) - bisect.bisect_right(rung, score)
        return better >= max(1, len(rung) // REDUCTION)
