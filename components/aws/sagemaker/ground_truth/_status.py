"""How the descriptions of a labeling job are read. Importing this imports no cloud."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.aws.sagemaker._api import LABELING
from components.aws.sagemaker._hints import hint
from components.aws.sagemaker._request import blank_dropped
from components.aws.sagemaker.ground_truth._progress import METRICS, counters, told
from runner.events import Metric, Phase, Status

NO_MODEL = " "
"""What the predecessor wrote where there is no model: Kubeflow Pipelines could not pass an empty output on."""


def status(description: Mapping[str, Any]) -> Status:
    """Read a DescribeLabelingJob answer."""
    state = description["LabelingJobStatus"]
    phase = LABELING.phases.get(state, Phase.RUNNING)
    counts = counters(description)
    reason = description.get("FailureReason", "")
    if phase is Phase.STOPPED and not reason:
        reason = _limit_reached(description, counts)
    return Status(
        phase,
        state,
        message=told(counts),
        reason=reason,
        hint=hint(reason) if reason else "",
        brief=state in LABELING.brief,
        facts=_facts(description, counts) if phase.final else {},
        metrics=_final_metrics(counts) if phase.final else (),
    )


def _limit_reached(description: Mapping[str, Any], counts: Mapping[str, int]) -> str:
    """Say which of the job's own limits stopped it: the service gives no reason."""
    limits = description.get("StoppingConditions", {})
    people, percent = (
        limits.get("MaxHumanLabeledObjectCount"),
        limits.get("MaxPercentageOfInputDatasetLabeled"),
    )
    labeled = counts.get("TotalLabeled", 0)
    total = labeled + counts.get("FailedNonRetryableError", 0) + counts.get("Unlabeled", 0)
    if people and counts.get("HumanLabeled", 0) >= people:
        return f"people had labeled the {people} objects that --max_human_labeled_objects allows"
    if percent and percent < 100 and total and labeled * 100 >= percent * total:
        return f"the {percent}% of objects that --max_percent_objects allows had been labeled"
    return ""


def _final_metrics(counts: Mapping[str, int]) -> tuple[Metric, ...]:
    """Return how many objects are labeled, and what else there is to count."""
    return tuple(
        Metric(metric, float(counts[name]), final=True)
        for name, metric in METRICS.items()
        if counts.get(name) or (name == "TotalLabeled" and name in counts)
    )


def _facts(description: Mapping[str, Any], counts: Mapping[str, int]) -> dict[str, str]:
    manifest, _ = made(description)
    return blank_dropped(labeled=told(counts).replace(" labeled", "", 1), manifest=manifest)


def made(description: Mapping[str, Any]) -> tuple[str, str]:
    """Return the manifest's address and the model's ARN."""
    output = description.get("LabelingJobOutput", {})
    automatic = "LabelingJobAlgorithmsConfig" in description
    model = output.get("FinalActiveLearningModelArn", "") if automatic else ""
    return output.get("OutputDatasetS3Uri", ""), model or NO_MODEL
