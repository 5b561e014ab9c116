"""The step that is measured: a training job, started with the arguments that component.yaml passes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

COMPONENT = "aws.sagemaker.train"
CHANNEL = {
    "ChannelName": "train",
    "DataSource": {"S3DataSource": {"S3Uri": "s3://bench/in", "S3DataType": "S3Prefix"}},
}
BODY: dict[str, Any] = {
    "TrainingJobName": "",
    "HyperParameters": {"k": "10"},
    "AlgorithmSpecification": {"TrainingImage": "", "TrainingInputMode": "File"},
    "RoleArn": "arn:aws:iam::123456789012:role/bench",
    "InputDataConfig": [CHANNEL],
    "OutputDataConfig": {"KmsKeyId": "", "S3OutputPath": "s3://bench/out"},
    "ResourceConfig": {
        "InstanceType": "ml.m4.xlarge",
        "InstanceCount": 1,
        "VolumeSizeInGB": 30,
        "VolumeKmsKeyId": "",
    },
    "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    "Tags": [],
    "EnableNetworkIsolation": True,
    "EnableInterContainerTrafficEncryption": False,
    "EnableManagedSpotTraining": False,
}
"""What is sent; the bare scripts send the same."""


def body(name: str, image: str) -> dict[str, Any]:
    """The request of the job `name`."""
    return BODY | {
        "TrainingJobName": name,
        "AlgorithmSpecification": {"TrainingImage": image, "TrainingInputMode": "File"},
    }


def argv(name: str, image: str, folder: Path, *options: str) -> list[str]:
    """Python's arguments for the step of the job `name`, whose outputs go to `folder`."""
    given = {
        "spot_instance": "False",
        "max_wait_time": "86400",
        "max_run_time": "3600",
        "checkpoint_config": "{}",
        "region": "us-east-1",
        "endpoint_url": "",
        "assume_role": "",
        "tags": "{}",
        "job_name": name,
        "role": BODY["RoleArn"],
        "image": image,
        "algorithm_name": "",
        "metric_definitions": "{}",
        "training_input_mode": "File",
        "hyperparameters": json.dumps(BODY["HyperParameters"]),
        "channels": json.dumps([CHANNEL]),
        "instance_type": "ml.m4.xlarge",
        "instance_count": "1",
        "volume_size": "30",
        "resource_encryption_key": "",
        "model_artifact_path": "s3://bench/out",
        "output_encryption_key": "",
        "vpc_security_group_ids": "",
        "vpc_subnets": "",
        "network_isolation": "True",
        "traffic_encryption": "False",
        "debug_hook_config": "{}",
        "debug_rule_config": "[]",
    }
    outputs = (
        "model_artifact_url",
        "job_name",
        "training_image",
        "mlpipeline_ui_metadata",
        "mlpipeline_metrics",
    )
    given |= {f"{output}_output_path": str(folder / name / output) for output in outputs}
    return ["-m", "runner", "run", COMPONENT, *options, *(x for k, v in given.items() for x in (f"--{k}", v))]
