"""Arguments and outputs of a tuning job."""

from __future__ import annotations

from typing import Literal

from components.aws.inputs import AwsInputs
from components.aws.sagemaker._inputs import SpotInputs
from runner.inputs import Flag, JsonArray, JsonObject, Outputs, arg


class TuningInputs(AwsInputs, SpotInputs):
    """Arguments of a tuning job, in the predecessor's order; the last two are ours."""

    job_name: str = arg(
        "Name of the job, at most 32 letters, digits and hyphens; blank for a generated one.", ""
    )
    role: str = arg("ARN of the role that SageMaker runs the training jobs as.")
    image: str = arg("Image of the algorithm; wins over algorithm_name.", "")
    algorithm_name: str = arg(
        "Built-in algorithm (k-means, xgboost:1.7-1), or an algorithm resource; not with image.", ""
    )
    training_input_mode: Literal["File", "Pipe", "FastFile"] = arg("How data reaches the container.", "File")
    metric_definitions: JsonObject = arg(
        "Metrics to find in the log, as {name: regular expression with one group}.", {}
    )
    strategy: Literal["Bayesian", "Random", "Grid", "Hyperband"] = arg("How to search.", "Bayesian")
    metric_name: str = arg("Objective: the metric by which training jobs are compared.")
    metric_type: Literal["Maximize", "Minimize"] = arg("Whether more of the objective is better, or less.")
    early_stopping_type: Literal["Off", "Auto"] = arg(
        "Auto stops training jobs that are unlikely to become the best; not with Hyperband, which has its own way.",
        "Off",
    )
    static_parameters: JsonObject = arg(
        'Hyperparameters that are the same in all training jobs; every value is text: {"k": "10"}.', {}
    )
    integer_parameters: JsonArray = arg(
        'Whole numbers to search, as [{"Name": "k", "MinValue": "2", "MaxValue": "9", "ScalingType": "Auto"}].',
        [],
    )
    continuous_parameters: JsonArray = arg(
        'Numbers to search, as [{"Name": "lr", "MinValue": "0.01", "MaxValue": "0.1", "ScalingType": "Auto"}].',
        [],
    )
    categorical_parameters: JsonArray = arg(
        'Choices to search, as [{"Name": "init", "Values": ["a", "b"]}].', []
    )
    channels: JsonArray = arg("Input channels, at least one, each a Channel object of the SageMaker API.")
    output_location: str = arg("S3 prefix under which the models are stored.")
    output_encryption_key: str = arg("KMS key of the stored models.", "")
    instance_type: str = arg("ML instance type.", "ml.m4.xlarge")
    instance_count: int = arg("Number of instances per training job.", 1, ge=1)
    volume_size: int = arg("Storage per instance in GB.", 30, ge=1)
    max_num_jobs: int = arg("Training jobs in total; with Grid 0 for all combinations.", ge=0)
    max_parallel_jobs: int = arg("Training jobs at the same time.", ge=1)
    resource_encryption_key: str = arg("KMS key of the instances' volumes.", "")
    vpc_security_group_ids: str = arg("Security groups, separated by commas; together with vpc_subnets.", "")
    vpc_subnets: str = arg("Subnets, separated by commas; together with vpc_security_group_ids.", "")
    network_isolation: Flag = arg("Run the container without network, and without AWS credentials.", True)
    traffic_encryption: Flag = arg("Encrypt the traffic between instances.", False)
    warm_start_type: Literal["IdenticalDataAndAlgorithm", "TransferLearning", ""] = arg(
        "How to begin from what earlier tuning jobs found: together with parent_hpo_jobs.", ""
    )
    parent_hpo_jobs: str = arg(
        "Tuning jobs to begin from, at most five, separated by commas; together with warm_start_type.", ""
    )
    strategy_config: JsonObject = arg(
        'For Hyperband: {"HyperbandStrategyConfig": {"MinResource": 1, "MaxResource": 10}}.', {}
    )
    trial_logs: Literal["all", "none", "errors", "best"] = arg(
        "Whose log lines to show: all trials', no trial's, or the last lines of those that fail, or of each best.",
        "all",
    )


class TuningOutputs(Outputs):
    """What a tuning job leaves behind."""

    hpo_job_name: str = arg("Name of the tuning job.")
    model_artifact_url: str = arg("S3 address of the best training job's model.tar.gz.")
    best_job_name: str = arg("Name of the best training job.")
    best_hyperparameters: JsonObject = arg("Hyperparameters of the best training job, as train takes them.")
    training_image: str = arg("Image that was trained with.")
