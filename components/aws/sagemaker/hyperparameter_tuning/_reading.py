"""How DescribeHyperParameterTuningJob's answers are read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from components.aws.sagemaker import _training
from components.aws.sagemaker._api import TUNING
from components.aws.sagemaker._hints import hint
from components.aws.sagemaker.hyperparameter_tuning._trials import number, objective
from runner.events import Metric, Phase, Status

_UNMEASURED = (
    "No trial's log held the objective. Compare --metric_name and its regular expression in --metric_definitions with what "
    "the trials print; it needs exactly one group."
)
_HINTS = (
    (r"no log gave the objective|no objective metric|objective metric.*not.*found", _UNMEASURED),
    (
        r"no training job (succeeded|completed)|all training jobs failed",
        "The trials themselves failed: their reasons stand above. --trial_logs errors shows just their last lines.",
    ),
    (
        r"combinations? of hyperparameter",
        "The ranges have fewer combinations than --max_num_jobs. Widen them, or lower it.",
    ),
    (
        r"parent (hyperparameter )?tuning job|warm ?start",
        (
            "A warm start needs parents that have ended, with the same objective and as many hyperparameters, static and "
            "searched, in all."
        ),
    ),
)
"""What tuning jobs fail of, beside what their training jobs do."""


def status(description: Mapping[str, Any]) -> Status:
    """Read a DescribeHyperParameterTuningJob answer."""
    state = description["HyperParameterTuningJobStatus"]
    phase = TUNING.phases.get(state, Phase.RUNNING)
    reason = description.get("FailureReason", "")
    best = best_training_job(description)
    if phase is Phase.SUCCEEDED and not best:
        phase, reason = Phase.FAILED, reason or _without_best(description)
    return Status(
        phase,
        state,
        _stage(description, phase),
        _counted(description, best),
        reason,
        _advice(description, phase, reason),
        brief=state in TUNING.brief,
        facts=_facts(description, best) if phase.final else {},
        metrics=_best_so_far(best),
    )


def best_training_job(description: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the summary of the best training job; empty where there is none."""
    best: Mapping[str, Any] = description.get("BestTrainingJob") or {}
    return best if best.get("TrainingJobName") else {}


def metric_definitions(description: Mapping[str, Any]) -> Sequence[Mapping[str, str]]:
    """Return the MetricDefinitions that training jobs are made with; those of built-in algorithms are not always here."""
    definitions = description.get("TrainingJobDefinitions") or [description.get("TrainingJobDefinition", {})]
    found = {m["Name"]: m for d in definitions for m in _training.metric_definitions(d)}
    return list(found.values())


def direction(described: Mapping[str, Any]) -> str:
    """Return whether the objective is to Maximize or Minimize; blank where that is not known, or not one for all trials."""
    config = described.get("HyperParameterTuningJobConfig", {})
    objectives = [config.get("HyperParameterTuningJobObjective") or {}]
    if not objectives[0]:
        single = described.get("TrainingJobDefinition")
        definitions = described.get("TrainingJobDefinitions") or ([single] if single else [])
        objectives = [definition.get("TuningObjective") or {} for definition in definitions]
    told = {(objective.get("Type", ""), objective.get("MetricName", "")) for objective in objectives}
    return str(told.pop()[0]) if len(told) == 1 else ""


def _stage(description: Mapping[str, Any], phase: Phase) -> str:
    if phase is not Phase.RUNNING:
        return ""
    return "Searching" if any(description.get("TrainingJobStatusCounters", {}).values()) else "Starting"


def _outcomes(description: Mapping[str, Any]) -> dict[str, int]:
    """Return how many trials came to what."""
    counters = description.get("TrainingJobStatusCounters", {})
    return {
        "completed": counters.get("Completed", 0),
        "in progress": counters.get("InProgress", 0),
        "failed": counters.get("NonRetryableError", 0) + counters.get("RetryableError", 0),
        "stopped": counters.get("Stopped", 0),
    }


def _counted(description: Mapping[str, Any], best: Mapping[str, Any]) -> str:
    """`4 completed, 2 in progress, 1 failed of 10; best 007: test:msd=12.3`."""
    outcomes = _outcomes(description)
    if not any(outcomes.values()):
        return ""
    told = _listed(outcomes) or "0 completed"
    limits = description.get("HyperParameterTuningJobConfig", {}).get("ResourceLimits", {})
    if most := limits.get("MaxNumberOfTrainingJobs"):
        told += f" of {most}"
    return f"{told}; best {_best(best)}" if best else told


def _listed(outcomes: Mapping[str, int]) -> str:
    return ", ".join(f"{many} {outcome}" for outcome, many in outcomes.items() if many)


def _best(best: Mapping[str, Any]) -> str:
    name = number(best["TrainingJobName"]) or best["TrainingJobName"]
    value = objective(best)
    metric = best.get("FinalHyperParameterTuningJobObjectiveMetric", {}).get("MetricName", "objective")
    return name if value is None else f"{name}: {metric}={value:.6g}"


def _facts(description: Mapping[str, Any], best: Mapping[str, Any]) -> dict[str, str]:
    facts = {}
    if best:
        facts["best trial"] = _best(best)
        facts["its training job"] = best["TrainingJobName"]
    overall = description.get("OverallBestTrainingJob") or {}
    if overall.get("TrainingJobName", best.get("TrainingJobName")) != best.get("TrainingJobName"):
        facts["better still, of a parent"] = f"{overall['TrainingJobName']} ({_best(overall)})"
    if told := _listed(_outcomes(description)):
        facts["trials"] = told
    return facts


def _best_so_far(best: Mapping[str, Any]) -> tuple[Metric, ...]:
    """Return the best trial's objective. It is final while the job runs, too: a log line of another trial is no better."""
    value = objective(best)
    if value is None:
        return ()
    ended = best.get("TrainingEndTime")
    name = best["FinalHyperParameterTuningJobObjectiveMetric"]["MetricName"]
    return (Metric(name, value, ended.timestamp() if ended else 0.0, final=True),)


def _without_best(description: Mapping[str, Any]) -> str:
    sought = description.get("HyperParameterTuningJobConfig", {}).get("HyperParameterTuningJobObjective", {})
    outcomes = _outcomes(description)
    metric = sought.get("MetricName", "metric")
    why = f"no log gave the objective {metric}" if outcomes["completed"] else "no training job completed"
    told = _listed(outcomes) or "none was started"
    return f"there is no best training job: {why} (training jobs: {told})"


def _advice(description: Mapping[str, Any], phase: Phase, reason: str) -> str:
    """Return what to do. That trials completed, and none is the best, says more than the reason's words."""
    if phase is Phase.FAILED and _outcomes(description)["completed"] and not best_training_job(description):
        return _UNMEASURED
    return _hint(reason) if reason and phase in (Phase.FAILED, Phase.STOPPED) else ""


def _hint(reason: str) -> str:
    for pattern, advice in _HINTS:
        if re.search(pattern, reason, re.IGNORECASE | re.DOTALL):
            return advice
    return hint(reason)
