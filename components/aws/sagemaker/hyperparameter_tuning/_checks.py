"""What is wrong with the arguments of a tuning job, beside its search space; and what may be, where it is refused.

Importing this imports no cloud.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from components.aws.sagemaker import _training
from components.aws.sagemaker._api import TUNING
from components.aws.sagemaker.hyperparameter_tuning._search_space import SearchSpace

if TYPE_CHECKING:
    from components.aws.sagemaker.hyperparameter_tuning._inputs import TuningInputs

MOST_PARENTS = 5
"""Tuning jobs that a warm start may begin from."""


def wrong(inputs: TuningInputs, space: SearchSpace) -> Iterator[str]:
    """Say what is wrong with the arguments."""
    yield from _training.not_text("static_parameters", inputs.static_parameters)
    yield from _training.wrong(TUNING, inputs)
    yield from _wrong_stopping(inputs)
    unsound = list(space.wrong())
    yield from unsound or _wrong_numbers(inputs, space)
    yield from _wrong_warm_start(inputs.warm_start_type, inputs.parent_hpo_jobs)


def _wrong_stopping(inputs: TuningInputs) -> Iterator[str]:
    if inputs.strategy == "Hyperband" and inputs.early_stopping_type != "Off":
        yield (
            f"--early_stopping_type is {inputs.early_stopping_type}, but Hyperband stops training jobs in its own way; "
            "set it to Off"
        )


def _wrong_numbers(inputs: TuningInputs, space: SearchSpace) -> Iterator[str]:
    """Compare the numbers of jobs, in a search space that is sound."""
    jobs = inputs.max_num_jobs
    if inputs.strategy == "Grid":
        if jobs not in (0, space.combinations):
            yield (
                f"--max_num_jobs is {jobs}, but the grid has {space.combinations} combinations, and all are tried; write "
                f"{space.combinations}, or 0"
            )
        jobs = space.combinations
    elif jobs == 0:
        yield f"--max_num_jobs is 0, which is too small; at least 1 is needed with --strategy {inputs.strategy}"
        return
    if inputs.max_parallel_jobs > jobs:
        yield f"--max_parallel_jobs is {inputs.max_parallel_jobs}, which is more than all training jobs ({jobs})"


def parent_names(parents: str) -> list[str]:
    """Return the names in `parent_hpo_jobs`."""
    return [name.strip() for name in parents.split(",") if name.strip()]


def _wrong_warm_start(kind: str, given: str) -> Iterator[str]:
    parents = parent_names(given)
    if given.strip() and not parents:
        yield f"--parent_hpo_jobs is {given!r}, which names no tuning job; write a,b, or leave it blank"
    elif kind and not parents:
        yield f"--warm_start_type is {kind}, but --parent_hpo_jobs is blank; name the tuning jobs to begin from"
    if parents and not kind:
        yield (
            "--parent_hpo_jobs is given, but --warm_start_type is blank; write IdenticalDataAndAlgorithm or TransferLearning"
        )
    if len(parents) > MOST_PARENTS:
        yield f"--parent_hpo_jobs names {len(parents)} tuning jobs; at most {MOST_PARENTS} are possible"
    if twice := sorted({name for name in parents if parents.count(name) > 1}):
        yield f"--parent_hpo_jobs names {', '.join(twice)} more than once"


def suspects(request: Mapping[str, Any]) -> list[str]:
    """Return what may be the reason why a CreateHyperParameterTuningJob body is refused, and what to do.

    The predecessor sent such requests, so they are no errors of ours.
    """
    config, definition = request["HyperParameterTuningJobConfig"], request["TrainingJobDefinition"]
    found = []
    if not any(config["ParameterRanges"].values()):
        found.append(
            "--integer_parameters, --continuous_parameters and --categorical_parameters are all []; give at least one range "
            "to search"
        )
    objective = config["HyperParameterTuningJobObjective"]["MetricName"]
    return [*found, *_unknown_objective(objective, definition["AlgorithmSpecification"])]


def _unknown_objective(objective: str, algorithm: Mapping[str, Any]) -> Sequence[str]:
    image = algorithm.get("TrainingImage", "")
    names = [metric["Name"] for metric in algorithm.get("MetricDefinitions", ())]
    # A built-in algorithm declares its metrics itself, and an algorithm resource may.
    if not image or objective in names or _training.is_builtin(image):
        return ()
    told = f"({', '.join(names)})" if names else "(which is blank)"
    missing = f"--metric_name is {objective!r}, which is none of --metric_definitions {told}"
    return [f"{missing}; an image of your own needs its regular expression there"]
