"""A labeling job's counters, in numbers and in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

METRICS = {
    "TotalLabeled": "labeled",
    "HumanLabeled": "labeled-by-people",
    "MachineLabeled": "labeled-by-machine",
    "FailedNonRetryableError": "failed",
    "Unlabeled": "unlabeled",
}
"""Counter → the metric's name, in letters that Kubeflow Pipelines leaves as they are."""
FOLLOWED = tuple(METRICS)[:-1]
"""Counters that are told while the job goes on; the rest, what is unlabeled, follows from them."""


def counters(description: Mapping[str, Any]) -> dict[str, int]:
    """Return the counters of a DescribeLabelingJob answer: a job that is initializing may have none."""
    return {name: int(count) for name, count in description.get("LabelCounters", {}).items()}


def told(counts: Mapping[str, int]) -> str:
    """Say how far a job is: `12/100 objects labeled (10 by people, 2 by machine), 1 failed`."""
    labeled, failed = counts.get("TotalLabeled", 0), counts.get("FailedNonRetryableError", 0)
    total = labeled + failed + counts.get("Unlabeled", 0)
    if not total:
        return ""
    machine = counts.get("MachineLabeled", 0)
    shares = f" ({counts.get('HumanLabeled', 0)} by people, {machine} by machine)" if machine else ""
    return f"{labeled}/{total} objects labeled{shares}" + (f", {failed} failed" if failed else "")
