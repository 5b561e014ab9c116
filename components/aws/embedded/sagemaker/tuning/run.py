"""A tuning job's way to its end: it launches training jobs, at most so many at once, and learns from how they end.

    InProgress ─► Completed            MaxNumberOfTrainingJobs were tried, or a completion criterion is met
        ├───────► Failed               none of them came to anything
        └► Stopping ─► Stopped         StopHyperParameterTuningJob

It takes no place of `site.places` itself: it could keep its own training jobs from ever getting one.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import math
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from components.aws.embedded.clock import now
from components.aws.embedded.errors import ApiError
from components.aws.embedded.machine.logged import expired
from components.aws.embedded.sagemaker.training.api import Training
from components.aws.embedded.sagemaker.tuning.bayesian import Bayesian
from components.aws.embedded.sagemaker.tuning.early_stopping import Hyperband, Judge, Median
from components.aws.embedded.sagemaker.tuning.record import Trial, TuningJob
from components.aws.embedded.sagemaker.tuning.search_space import Space, Values
from components.aws.embedded.sagemaker.tuning.strategies import Grid, Random, Strategy

_log = logging.getLogger(__name__)
Json = dict[str, Any]
# One thread for all: the optimiser works for one at a time anyway, and must not keep other work waiting for a thread.
_thinking = ThreadPoolExecutor(1, "embedded-tuning")
ATTEMPTS = 5
"""After so many ended training jobs without a success AWS gives up, as its FailureReason says."""
_NO_SUCCESS = (
    "No training job succeeded after {} attempts. For additional details, please take a look at the training job failures"
    " by listing training jobs for the hyperparameter tuning job."
)
STRATEGIES: dict[str, Callable[[Space, int | None], Strategy]] = {
    "Random": Random,
    "Bayesian": Bayesian,
    "Grid": lambda space, _: Grid(space),
    # Random search, with a judge that lets few jobs live: see `early_stopping`.
    "Hyperband": Random,
}
# What a training job takes over from TrainingJobDefinition as it is.
_HANDED_ON = (
    "AlgorithmSpecification",
    "RoleArn",
    "InputDataConfig",
    "VpcConfig",
    "OutputDataConfig",
    "ResourceConfig",
    "StoppingCondition",
    "EnableNetworkIsolation",
    "EnableInterContainerTrafficEncryption",
    "EnableManagedSpotTraining",
    "RetryStrategy",
    "Environment",
)


@dataclass(slots=True)
class _Run:
    """One tuning job on its way."""

    job: TuningJob
    training: Training
    strategy: Strategy
    judge: Judge | None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the one that launches: each choice knows of those before it."""
    over: bool = False
    """Enough was tried, or too much went wrong."""
    failure: str = ""

    def closed(self) -> bool:
        """Whether nothing more is to be launched."""
        return self.over or self.job.stop.is_set()


async def tune(job: TuningJob, training: Training) -> None:
    """Take a job from InProgress to its end. Never raises; cancelling leaves it unfinished."""
    try:
        seed = job.config.get("RandomSeed")
        run = _Run(job, training, STRATEGIES[job.config["Strategy"]](job.space, seed), _judge(job))
        await _search(run)
        _finish(run)
    except Exception:  # noqa: BLE001  whatever it is, the client has to see the job end
        _log.exception("%s broke the embedded cloud", job.arn)
        job.end("Failed", "InternalServerError: We encountered an internal error. Please try again.")


async def _search(run: _Run) -> None:
    """Launch training jobs and wait for them until there is no more to do."""
    watch = asyncio.create_task(_watch(run))
    limits = run.job.config["ResourceLimits"]
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(limits["MaxParallelTrainingJobs"], run.job.most)):
                group.create_task(_work(run))
    finally:
        watch.cancel()
        await asyncio.wait([watch])


async def _watch(run: _Run) -> None:
    """End the job early when it is to stop or its time is up."""
    await expired(run.job.stop, run.job.config["ResourceLimits"].get("MaxRuntimeInSeconds", math.inf))
    _halt(run)


async def _work(run: _Run) -> None:
    """Launch one training job after the other."""
    while (trial := await _launch(run)) is not None:
        await trial.job.finished.wait()
        run.job.modified = now()
        _look(run)


async def _launch(run: _Run) -> Trial | None:
    """Launch the next training job; None if there is none to come."""
    job = run.job
    async with run.turn:
        if run.closed() or len(job.trials) >= job.most:
            return None
        try:
            values = await asyncio.get_running_loop().run_in_executor(
                _thinking, run.strategy.suggest, job.seen()
            )
        except Exception as error:  # noqa: BLE001  the optimiser is a library
            _log.exception("%s: no next combination of hyperparameters", job.arn)
            _fail(run, f"InternalServerError: The optimiser failed: {type(error).__name__}: {error}")
            return None
        if run.closed():
            return None
        name = f"{job.name}-{len(job.trials) + 1:03}-{secrets.token_hex(4)}"
        try:
            child = await run.training.create(training_request(job, values, name), job.region, job.arn)
        except ApiError as error:  # it was fine when the tuning job was created: S3 has changed since
            _fail(run, f"ClientError: Training job {name} can't be created: {error.text}")
            return None
        trial = Trial(values, child, job.objective["MetricName"], job.sign)
        job.trials.append(trial)
        job.modified = now()
        if run.judge is not None:
            child.metrics.listen(trial.objective, functools.partial(_hear, run, run.judge, trial))
        if run.closed():
            _stop(trial)
        return trial


def training_request(job: TuningJob, values: Values, name: str) -> Json:
    """The CreateTrainingJob request of one training job."""
    definition = job.definition
    body = {member: definition[member] for member in _HANDED_ON if definition.get(member) is not None}
    if checkpoints := definition.get("CheckpointConfig"):
        # Each has a folder of its own: otherwise they would go on from each other's checkpoints.
        folder = f"{checkpoints['S3Uri'].rstrip('/')}/{name}"
        body["CheckpointConfig"] = checkpoints | {"S3Uri": folder}
    return body | {
        "TrainingJobName": name,
        "HyperParameters": (definition.get("StaticHyperParameters") or {}) | dict(values),
        "Tags": [{"Key": key, "Value": value} for key, value in job.tags.items()],
    }


def _hear(run: _Run, judge: Judge, trial: Trial, value: float) -> None:
    """The objective was read once more."""
    if not math.isfinite(value) or trial.job.status != "InProgress":
        return
    score, epoch = trial.sign * value, len(trial.averages) + 1
    before = trial.averages[-1] if trial.averages else 0.0
    trial.averages.append(before + (score - before) / epoch)
    completed = [other.averages for other in run.job.trials if other.status == "Completed"]
    if judge.hopeless(epoch, score, completed):
        _stop(trial)


def _look(run: _Run) -> None:
    """A training job has ended: whether that is enough."""
    criteria = run.job.config.get("TuningJobCompletionCriteria") or {}
    best = run.job.best()
    if best is None:
        ended = sum(trial.job.ended for trial in run.job.trials)
        # Those under way may still succeed.
        run.over = run.over or ended >= ATTEMPTS
        return
    target = criteria.get("TargetObjectiveMetricValue")
    patience = (criteria.get("BestObjectiveNotImproving") or {}).get("MaxNumberOfTrainingJobsNotImproving")
    if (target is not None and (best.score or 0.0) >= run.job.sign * target) or (
        patience is not None and run.job.not_improving() >= patience
    ):
        _halt(run)


def _fail(run: _Run, reason: str) -> None:
    run.failure = run.failure or reason
    _halt(run)


def _halt(run: _Run) -> None:
    """Launch nothing more and stop what runs."""
    run.over = True
    for trial in run.job.trials:
        _stop(trial)


def _stop(trial: Trial) -> None:
    if trial.job.status == "InProgress":
        trial.job.request_stop()


def _finish(run: _Run) -> None:
    """All training jobs have ended: end the tuning job as it deserves."""
    job = run.job
    if run.failure:
        job.end("Failed", run.failure)
    elif job.stop.is_set():
        job.end("Stopped")
    elif job.best() is None:
        job.end("Failed", _NO_SUCCESS.format(len(job.trials)))
    else:
        job.end("Completed")


def _judge(job: TuningJob) -> Judge | None:
    """Who decides which training jobs are stopped early; nobody unless asked for."""
    if job.config["Strategy"] == "Hyperband":
        resources = job.config["StrategyConfig"]["HyperbandStrategyConfig"]
        return Hyperband(resources["MinResource"], resources["MaxResource"])
    return Median() if job.config.get("TrainingJobEarlyStoppingType") == "Auto" else None
