"""SageMaker hyperparameter tuning: one tuning job, which runs many training jobs and finds the best.

What is sent, and what is left out when blank, follows the predecessor's observed behaviour; where it does not, on
purpose, `DEVIATIONS` says so.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

from components.aws.inputs import Where
from components.aws.sagemaker import _training
from components.aws.sagemaker._api import TUNING
from components.aws.sagemaker._reading import Reading
from components.aws.sagemaker._request import blank_dropped, identified, key_value_tags, refuse
from components.aws.sagemaker._wiring import Wiring
from components.aws.sagemaker.hyperparameter_tuning._checks import parent_names, wrong
from components.aws.sagemaker.hyperparameter_tuning._inputs import TuningInputs, TuningOutputs
from components.aws.sagemaker.hyperparameter_tuning._reading import (
    best_training_job,
    metric_definitions,
    status,
)
from components.aws.sagemaker.hyperparameter_tuning._search_space import SearchSpace
from runner.identity import Identity
from runner.job import Component, Job

if TYPE_CHECKING:
    from components.aws.sagemaker.hyperparameter_tuning._job import TuningJob
    from components.aws.session import Aws

DEVIATIONS = (
    "Wrong input ends with exit code 2 and names the argument; the predecessor ended with 1.",
    "Wrong ranges, doubled names and too long a `job_name` are named before anything is sent; the service refused them.",
    (
        "Where the service refuses the job, what speaks for it is named with the refusal: no range at all, and an image of "
        "one's own without the objective among `metric_definitions`."
    ),
    "Trials are told as they start and end, with their parameters and objective; it printed nothing of them.",
    "The logs of all trials are shown live, each line with its trial's number (`trial_logs`); it printed none.",
    "`strategy` also takes `Grid` and `Hyperband`, with `strategy_config`.",
    "With `Grid`, `max_num_jobs` has to be the number of combinations, or 0, which stands for it.",
    "A tuning job that completed, but none of its training jobs with an objective, failed; it ended with a KeyError.",
    (
        "`best_hyperparameters` leaves out all names that begin with `_`, which are the service's own; it left out just "
        "`_tuning_objective_metric`, and ended with a KeyError where that was missing."
    ),
    "One of `vpc_security_group_ids` and `vpc_subnets` without the other is an error; it was dropped silently.",
    "The built-in xgboost takes a version (`xgboost:1.7-1`); it always failed.",
    "`instance_count`, `volume_size` and `max_run_time` of 0 are errors; they were replaced silently.",
    "`training_input_mode` also takes `FastFile`.",
    (
        "What in `metric_definitions` is no regular expression in any dialect is an error; one without a group is sent, as "
        "it was, and told to find nothing."
    ),
    "Unknown, abbreviated and doubled arguments are errors.",
    "What the service's own patterns and limits refuse, and tags that are AWS's or kfp-runner's, is an error.",
    (
        "In a pipeline run that passes its id (`runner.pipeline.identified`), a blank `job_name` becomes the same one "
        "in every attempt, and two tags are added, so that a restarted pod finds its job again."
    ),
)


EXAMPLE = """\
  --region us-east-1 --role arn:aws:iam::123456789012:role/sagemaker \\
  --algorithm_name k-means --metric_name test:msd --metric_type Minimize \\
  --static_parameters '{"k": "10", "feature_dim": "64"}' \\
  --integer_parameters '[{"Name": "extra_center_factor", "MinValue": "4", "MaxValue": "10"}]' \\
  --categorical_parameters '[{"Name": "init_method", "Values": ["random", "kmeans++"]}]' \\
  --max_num_jobs 4 --max_parallel_jobs 2 \\
  --channels '[{"ChannelName": "train", "ContentType": "text/csv;label_size=0", "DataSource": {"S3DataSource":
    {"S3DataType": "S3Prefix", "S3Uri": "s3://kfp-runner-samples/digits/train/",
     "S3DataDistributionType": "FullyReplicated"}}},
   {"ChannelName": "test", "ContentType": "text/csv;label_size=0", "DataSource": {"S3DataSource":
    {"S3DataType": "S3Prefix", "S3Uri": "s3://kfp-runner-samples/digits/test/",
     "S3DataDistributionType": "FullyReplicated"}}}]' \\
  --output_location s3://kfp-runner-samples/output"""


ARGUMENTS = {
    **_training.ARGUMENTS,
    "HyperParameterTuningJobName": "job_name",
    "HyperParameterTuningJobConfig.Strategy": "strategy",
    "HyperParameterTuningJobConfig.StrategyConfig": "strategy_config",
    "HyperParameterTuningJobObjective": "metric_name",
    "HyperParameterTuningJobObjective.Type": "metric_type",
    "ResourceLimits.MaxNumberOfTrainingJobs": "max_num_jobs",
    "ResourceLimits.MaxParallelTrainingJobs": "max_parallel_jobs",
    "ParameterRanges.IntegerParameterRanges": "integer_parameters",
    "ParameterRanges.ContinuousParameterRanges": "continuous_parameters",
    "ParameterRanges.CategoricalParameterRanges": "categorical_parameters",
    "TrainingJobEarlyStoppingType": "early_stopping_type",
    "StaticHyperParameters": "static_parameters",
    "OutputDataConfig": "output_location",
    "WarmStartConfig": "parent_hpo_jobs",
    "WarmStartConfig.WarmStartType": "warm_start_type",
}
"""Request member, with its path → the argument that fills it, or most of it."""


def request(inputs: TuningInputs, identity: Identity) -> dict[str, Any]:
    """Return the CreateHyperParameterTuningJob body. Raises `InputError`."""
    space = SearchSpace(
        inputs.strategy,
        inputs.integer_parameters,
        inputs.continuous_parameters,
        inputs.categorical_parameters,
        inputs.static_parameters,
        inputs.strategy_config,
    )
    refuse(wrong(inputs, space))
    parents = parent_names(inputs.parent_hpo_jobs)
    body: dict[str, Any] = {
        "HyperParameterTuningJobName": inputs.job_name,
        "HyperParameterTuningJobConfig": _config(inputs, inputs.max_num_jobs or space.combinations),
        "TrainingJobDefinition": {
            "StaticHyperParameters": inputs.static_parameters,
            **_training.definition(inputs, inputs.output_location),
        },
        "Tags": key_value_tags(inputs.tags),
    }
    if parents:
        body["WarmStartConfig"] = {
            "WarmStartType": inputs.warm_start_type,
            "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": name} for name in parents],
        }
    return {TUNING.create: identified(TUNING, body, identity)}


def _config(inputs: TuningInputs, jobs: int) -> dict[str, Any]:
    return {
        "Strategy": inputs.strategy,
        "HyperParameterTuningJobObjective": {"Type": inputs.metric_type, "MetricName": inputs.metric_name},
        "ResourceLimits": {
            "MaxNumberOfTrainingJobs": jobs,
            "MaxParallelTrainingJobs": inputs.max_parallel_jobs,
        },
        "ParameterRanges": {
            "IntegerParameterRanges": inputs.integer_parameters,
            "ContinuousParameterRanges": inputs.continuous_parameters,
            "CategoricalParameterRanges": inputs.categorical_parameters,
        },
        "TrainingJobEarlyStoppingType": inputs.early_stopping_type,
        **blank_dropped(StrategyConfig=inputs.strategy_config),
    }


async def outputs(aws: Aws, description: Mapping[str, Any]) -> TuningOutputs:
    """Read the outputs off an ended tuning job's best training job."""
    best = best_training_job(description)
    trained = await aws.call("sagemaker", "describe_training_job", TrainingJobName=best["TrainingJobName"])
    return TuningOutputs(
        hpo_job_name=description["HyperParameterTuningJobName"],
        model_artifact_url=_training.artifact(trained),
        best_job_name=best["TrainingJobName"],
        best_hyperparameters={
            name: value
            for name, value in trained.get("HyperParameters", {}).items()
            if not name.startswith("_")
        },
        training_image=await _training.training_image(aws, trained),
    )


def _job() -> type[TuningJob]:
    from components.aws.sagemaker.hyperparameter_tuning._job import TuningJob

    return TuningJob


WIRING = Wiring(
    "aws.sagemaker.hyperparameter_tuning",
    TUNING,
    request,
    ARGUMENTS,
    Reading(status, outputs, metric_definitions),
    _job,
)


@asynccontextmanager
async def connect(inputs: TuningInputs, identity: Identity) -> AsyncIterator[Job]:
    """Check the request, and open the connections; nothing is sent before `launch`."""
    async with WIRING.connect(inputs, identity) as job:
        cast("TuningJob", job).trial_logs = inputs.trial_logs
        yield job


component = Component(
    name="SageMaker - Hyperparameter Tuning",
    summary=(
        "Search for the best hyperparameters with a SageMaker tuning job: every trial live, with its log, metrics and "
        "objective, and a stop that stops them all."
    ),
    inputs=TuningInputs,
    outputs=TuningOutputs,
    request=request,
    check=WIRING.check,
    connect=connect,
    attach=WIRING.attach,
    where=Where,
    provider="aws",
    deviations=DEVIATIONS,
    example=EXAMPLE,
)
