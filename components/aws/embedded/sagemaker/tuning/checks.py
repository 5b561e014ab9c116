"""What CreateHyperParameterTuningJob checks beyond the service model, before it tries on a first training job.

Where AWS's own sentence is public, the place it was found in stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from components.aws.embedded.errors import ApiError, invalid, not_implemented
from components.aws.embedded.sagemaker.images import METRICS
from components.aws.embedded.sagemaker.training.record import TrainingJob
from components.aws.embedded.sagemaker.tuning.record import OBJECTIVE, TuningJob
from components.aws.embedded.sagemaker.tuning.search_space import Categorical, RangeError, Space, read

Json = dict[str, Any]
MOST_PARAMETERS = 30
"""API reference, ParameterRanges: for all kinds together."""
MOST_JOBS = 750
"""AWS's default quota of training jobs in a tuning job; the limit where a request gives none."""
MOST_PARALLEL = 100
"""AWS's default quota of training jobs of a tuning job at a time."""
MOST_RESOURCES = 20_000
"""API reference, HyperbandStrategyConfig."""
_RESOURCES = ("epochs", "numepochs", "n-epochs", "n_epochs", "num_epochs")  # API reference, as above
# What the built-in algorithms can be tuned by and for. Source: developer guide, "Tune a K-Means Model".
OBJECTIVES: Mapping[str, Mapping[str, str]] = {"kmeans": {"test:msd": "Minimize", "test:ssd": "Minimize"}}
TUNABLE: Mapping[str, frozenset[str]] = {
    "kmeans": frozenset({"epochs", "extra_center_factor", "init_method", "mini_batch_size"})
}


def normalized(body: Json) -> Json:
    """The request as the service books it. Raises `ApiError` for what can't be done or makes no sense."""
    if missing := next(_unknown(body), ""):
        raise not_implemented(f"CreateHyperParameterTuningJob: {missing}")
    if body.get("TrainingJobDefinition") is None:
        raise invalid("Either TrainingJobDefinition or TrainingJobDefinitions must be specified.")
    config, definition = body["HyperParameterTuningJobConfig"], body["TrainingJobDefinition"]
    if config.get("HyperParameterTuningJobObjective") is None:
        raise invalid(
            "A HyperParameterTuningJobObjective must be specified in HyperParameterTuningJobConfig."
        )
    static = definition.get("StaticHyperParameters") or {}
    objective = config["HyperParameterTuningJobObjective"]["MetricName"]
    strategy = _strategy_config(config, static)
    return body | {
        "HyperParameterTuningJobConfig": {"TrainingJobEarlyStoppingType": "Off"} | config | strategy,
        # As on AWS, Describe and the training jobs have it; what the request says goes first.
        "TrainingJobDefinition": definition | {"StaticHyperParameters": {OBJECTIVE: objective} | static},
    }


def _unknown(body: Json) -> Iterator[str]:
    config, definition = body["HyperParameterTuningJobConfig"], body.get("TrainingJobDefinition") or {}
    yield from (name for name in ("Autotune", "TrainingJobDefinitions") if body.get(name))
    if (config.get("ParameterRanges") or {}).get("AutoParameters"):
        yield "ParameterRanges.AutoParameters"
    for name in ("TuningObjective", "HyperParameterRanges", "HyperParameterTuningResourceConfig"):
        if definition.get(name):
            yield f"TrainingJobDefinition.{name}"
    criteria = config.get("TuningJobCompletionCriteria") or {}
    if (criteria.get("ConvergenceDetected") or {}).get("CompleteOnConvergence") == "Enabled":
        yield "TuningJobCompletionCriteria.ConvergenceDetected"


def _strategy_config(config: Json, static: Mapping[str, str]) -> Json:
    """StrategyConfig with what it leaves open; nothing for a strategy that has none."""
    given = (config.get("StrategyConfig") or {}).get("HyperbandStrategyConfig")
    if config["Strategy"] != "Hyperband":
        if given is not None:
            raise invalid("HyperbandStrategyConfig must only be provided with the Hyperband strategy.")
        return {}
    if config.get("TrainingJobEarlyStoppingType") == "Auto":
        raise invalid("TrainingJobEarlyStoppingType must be Off to use the Hyperband strategy.")
    resources = {"MinResource": 1} | (given or {})
    if resources.get("MaxResource") is None:
        resources["MaxResource"] = _inferred(static)
    least, most = resources["MinResource"], resources["MaxResource"]
    if not least <= most <= MOST_RESOURCES:
        raise invalid(
            f"MinResource, {least}, must not be greater than MaxResource, {most}, nor this than {MOST_RESOURCES}."
        )
    return {"StrategyConfig": {"HyperbandStrategyConfig": resources}}


def _inferred(static: Mapping[str, str]) -> int:
    for name in _RESOURCES:
        text = static.get(name, "").strip('"')
        if text.isascii() and text.isdecimal() and 0 < len(text) < 10 and int(text):
            return int(text)
    # Source of the sentence: awslabs/graphstorm issue 1243.
    raise invalid(
        "MaxResource parameter is not provided and could not be inferred from provided static hyperparameters of"
        " TrainingJobDefinition."
    )


def space(request: Json) -> Space:
    """What is searched. Raises `ApiError`."""
    config = request["HyperParameterTuningJobConfig"]
    try:
        found = read(config.get("ParameterRanges") or {})
    except RangeError as error:
        raise invalid(str(error)) from error
    names = [parameter.name for parameter in found.parameters]
    if not names:
        raise invalid("At least one hyperparameter range must be specified in ParameterRanges.")
    if len(names) > MOST_PARAMETERS:
        text = f"A tuning job can search at most {MOST_PARAMETERS} hyperparameters, these are {len(names)}."
        raise ApiError("ResourceLimitExceeded", text)
    static = request["TrainingJobDefinition"]["StaticHyperParameters"]
    for name in names:
        if names.count(name) > 1:
            raise invalid(f"Hyperparameter names must be unique, {name} is not.")
        if name in static:
            raise invalid(f"Hyperparameter {name} can't be both static and tuned.")
    if config["Strategy"] == "Grid" and not all(isinstance(each, Categorical) for each in found.parameters):
        raise invalid("The Grid strategy supports only categorical hyperparameters.")
    return found


def most_jobs(config: Json, searched: Space) -> int:
    """How many training jobs there will be at most. Raises `ApiError`."""
    given = config["ResourceLimits"].get("MaxNumberOfTrainingJobs")
    _within("training jobs at a time", config["ResourceLimits"]["MaxParallelTrainingJobs"], MOST_PARALLEL)
    _within("training jobs", given or 0, MOST_JOBS)
    if config["Strategy"] == "Grid":
        _within("combinations", searched.size, MOST_JOBS)
        # Developer guide, "Grid search": the number is calculated; if it is given, it has to match.
        if given not in (None, searched.size):
            raise invalid(
                f"MaxNumberOfTrainingJobs, {given}, must match the number of combinations of the categorical"
                f" hyperparameters, {searched.size:.0f}, or be left out."
            )
        return int(searched.size)
    if given is None:
        if not config["ResourceLimits"].get("MaxRuntimeInSeconds"):
            raise invalid(
                "Either MaxNumberOfTrainingJobs or MaxRuntimeInSeconds must be specified in ResourceLimits."
            )
        return int(min(searched.size, MOST_JOBS))
    if searched.size < given:
        # Source of the sentence: aws/amazon-sagemaker-operator-for-k8s issue 123.
        raise invalid(
            "You don't have enough combinations of hyperparameter ranges. The total number of hyperparameter"
            f" combinations for the provided ranges [{searched.size:.1f}] must be equal or greater than the value of"
            f" MaxNumberOfJobs, [{given}]. Provide additional ranges."
        )
    return int(given)


def _within(what: str, asked: float, most: int) -> None:
    """Raise `ApiError` for more than the quota allows; AWS's own sentence is not known from a public place."""
    if asked > most:
        text = f"A tuning job can have at most {most} {what}, these are {asked:.0f}."
        raise ApiError("ResourceLimitExceeded", text)


def check_algorithm(request: Json, searched: Space, sample: TrainingJob) -> None:
    """Raise `ApiError` unless the objective is a metric of the image, and the hyperparameters are its own."""
    objective = request["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]
    metric, algorithm = objective["MetricName"], sample.command.algorithm
    image = sample.request["AlgorithmSpecification"]["TrainingImage"]
    defined = [row["Name"] for row in sample.request["AlgorithmSpecification"].get("MetricDefinitions") or ()]
    if not algorithm:
        if metric not in defined:
            # Source of the sentence: aws/amazon-sagemaker-examples issue 1207.
            raise invalid(
                "A metric is required for this hyperparameter tuning job objective. Provide a metric in the metric"
                " definitions."
            )
        return
    known = OBJECTIVES.get(algorithm, {name: "" for name, _ in METRICS.get(algorithm, ())})
    if metric not in known:
        raise invalid(
            f"The objective metric for the hyperparameter tuning job, [{metric}], isn't valid for the [{image}]"
            f" algorithm. Choose a valid objective metric: [{', '.join(sorted(known))}]."
        )
    if known[metric] not in ("", objective["Type"]):
        raise invalid(
            f"The objective metric type, [{objective['Type']}], that you specified for objective metric, [{metric}],"
            f" isn't valid for the [{image}] algorithm. Choose a valid objective metric type."
        )
    tunable = TUNABLE.get(algorithm)
    others = [each.name for each in searched.parameters if tunable is not None and each.name not in tunable]
    if tunable is not None and others:
        raise invalid(
            f"The hyperparameter tuning job has the following untunable hyperparameters: [{', '.join(others)}]. For the"
            f" algorithm, {image}, you can tune only [{', '.join(sorted(tunable))}]."
        )


def check_parents(request: Json, searched: Space, parents: list[TuningJob]) -> None:
    """Raise `ApiError` unless the new job can go on from these."""
    own = _names(request, searched)
    objective = request["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]
    for parent in parents:
        if not parent.is_final:
            raise invalid(
                f"Parent hyperparameter tuning job {parent.name} is in status {parent.status}. It must be in status"
                " Completed, Stopped or Failed."
            )
        if parent.objective != objective:
            raise invalid(
                "The objective metric of the tuning job must be the same as for all parent tuning jobs, which that of"
                f" {parent.name} is not."
            )
        if _names(parent.request, parent.space) != own:
            # Source of the sentence: aws/amazon-sagemaker-examples issue 861.
            raise invalid(
                "The set of tunable plus static HyperParameter names is not the same across current and parent tuning"
                " jobs. Please ensure this set is constant when warm starting. Note that previously static"
                " HyperParameters can be tuned in warm start jobs and vice versa."
            )


def _names(request: Json, searched: Space) -> set[str]:
    static = request["TrainingJobDefinition"]["StaticHyperParameters"]
    return {*static, *(parameter.name for parameter in searched.parameters)}
