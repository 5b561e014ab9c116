"""The training container contract: folders, configuration files and environment below SAGEMAKER_BASE_DIR.

The layout is that of /opt/ml (SageMaker developer guide, "How Amazon SageMaker Provides Training Information"), in a
folder of its own per instance. A script finds it by the SM_* variables or SAGEMAKER_BASE_DIR, as the
sagemaker-training toolkit does; the literal path /opt/ml is not there. The environment is made from nothing: of the
server's own variables only those needed to run programs are passed on, so no secret of the user's leaks into a job.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.aws.embedded.machine.paths import container_key
from components.aws.embedded.sagemaker.images import Command, search_path
from components.aws.embedded.sagemaker.training.record import FAILURE_LENGTH, TrainingJob
from runner.emulation.paths import inside, opened, write

Json = dict[str, Any]
_PASSED_ON = (
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LD_LIBRARY_PATH",
    "LOGNAME",
    "PYTHONPATH",
    "TMPDIR",
    "TZ",
    "USER",
    "VIRTUAL_ENV",
)


@dataclass(frozen=True, slots=True)
class Host:
    """One instance of a job: its name within the cluster and its /opt/ml."""

    name: str
    """`algo-1` … `algo-n`."""
    root: Path

    @property
    def job(self) -> Path:
        """The job's folder, with all instances: what nothing of the job's may lead out of."""
        return self.root.parent

    @property
    def model(self) -> Path:
        """What becomes model.tar.gz."""
        return self.root / "model"

    @property
    def output(self) -> Path:
        """What becomes output.tar.gz."""
        return self.root / "output" / "data"

    def channel(self, name: str) -> Path:
        """Where a channel's files lie."""
        return inside(self.root, f"input/data/{name}")

    def checkpoints(self, job: TrainingJob) -> Path:
        """What is synchronized with CheckpointConfig.S3Uri. Raises `UnsafeKeyError`."""
        path = (job.request.get("CheckpointConfig") or {}).get("LocalPath", "/opt/ml/checkpoints")
        return inside(self.root, container_key(path))

    def failure(self) -> str:
        """The beginning of output/failure; empty if there is none."""
        try:
            with opened(self.job, self.root / "output" / "failure") as file:
                return os.read(file, 4 * FAILURE_LENGTH).decode(errors="replace")[:FAILURE_LENGTH]
        except OSError:
            return ""


def hosts(job: TrainingJob, root: Path) -> list[Host]:
    """The job's instances, their folders below `root`."""
    count = job.request["ResourceConfig"]["InstanceCount"]
    return [Host(f"algo-{n}", root / f"algo-{n}") for n in range(1, count + 1)]


def prepare(job: TrainingJob, host: Host, cluster: list[Host]) -> None:
    """Make the folders and configuration files of one instance. Raises `UnsafeKeyError` or OSError."""
    config = host.root / "input" / "config"
    data = host.root / "input" / "data"
    for folder in (config, data, host.model, host.output, host.checkpoints(job)):
        folder.mkdir(parents=True, exist_ok=True)
    files = {
        "hyperparameters": job.request.get("HyperParameters") or {},
        "inputdataconfig": _input_data(job),
        "resourceconfig": _resources(job, host, cluster),
    }
    for name, content in files.items():
        write(host.job, config / f"{name}.json", json.dumps(content).encode())


def environment(
    job: TrainingJob, host: Host, cluster: list[Host], cloud: Mapping[str, str]
) -> dict[str, str]:
    """All variables of one instance's process. `cloud` leads SDKs to us; withheld under network isolation."""
    reachable = {} if job.request["EnableNetworkIsolation"] else cloud
    own = base_environment(job.command, job.region, reachable)
    return own | (job.request.get("Environment") or {}) | _contract(job, host, cluster)


def base_environment(command: Command, region: str, cloud: Mapping[str, str]) -> dict[str, str]:
    """The variables that any container's process starts with; `cloud` is empty under network isolation."""
    own = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    own |= {
        "PATH": search_path(),
        "LANG": own.get("LANG", "C.UTF-8"),
        "PYTHONUNBUFFERED": "1",
        # The user's own credentials are none of the job's business.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    if command.path:
        own["PYTHONPATH"] = os.pathsep.join(filter(None, [command.path, own.get("PYTHONPATH")]))
    return {**own, **cloud, "AWS_REGION": region, "AWS_DEFAULT_REGION": region}


def _contract(job: TrainingJob, host: Host, cluster: list[Host]) -> dict[str, str]:
    """What SageMaker sets, and the SM_* variables that its toolkit derives."""
    channels = [channel["ChannelName"] for channel in job.request.get("InputDataConfig", ())]
    parameters = job.request.get("HyperParameters") or {}
    variables = {
        "SAGEMAKER_BASE_DIR": str(host.root),
        "SAGEMAKER_REGION": job.region,
        "TRAINING_JOB_NAME": job.name,
        "TRAINING_JOB_ARN": job.arn,
        "SM_MODEL_DIR": str(host.model),
        "SM_INPUT_DIR": str(host.root / "input"),
        "SM_INPUT_CONFIG_DIR": str(host.root / "input" / "config"),
        "SM_INPUT_DATA_CONFIG": json.dumps(_input_data(job)),
        "SM_OUTPUT_DIR": str(host.root / "output"),
        "SM_OUTPUT_DATA_DIR": str(host.output),
        "SM_CHANNELS": json.dumps(channels),
        "SM_HPS": json.dumps(parameters),
        "SM_HOSTS": json.dumps([each.name for each in cluster]),
        "SM_CURRENT_HOST": host.name,
        "SM_MASTER_ADDR": "localhost",
        "SM_NETWORK_INTERFACE_NAME": "lo",
        "SM_NUM_GPUS": "0",
        "SM_NUM_CPUS": str(os.cpu_count() or 1),
        "SM_RESOURCE_CONFIG": json.dumps(_resources(job, host, cluster)),
        "SM_LOG_LEVEL": "20",
    }
    variables |= {f"SM_CHANNEL_{_upper(name)}": str(host.channel(name)) for name in channels}
    return variables | {f"SM_HP_{_upper(name)}": value for name, value in parameters.items()}


def _upper(name: str) -> str:
    return re.sub(r"[^A-Z0-9_]", "_", name.upper())


def _input_data(job: TrainingJob) -> Json:
    return {
        channel["ChannelName"]: {
            "TrainingInputMode": "File",
            "S3DistributionType": channel["DataSource"]["S3DataSource"].get(
                "S3DataDistributionType", "FullyReplicated"
            ),
            "RecordWrapperType": channel.get("RecordWrapperType", "None"),
        }
        | ({"ContentType": channel["ContentType"]} if channel.get("ContentType") else {})
        for channel in job.request.get("InputDataConfig", ())
    }


def _resources(job: TrainingJob, host: Host, cluster: list[Host]) -> Json:
    names = [each.name for each in cluster]
    kind = job.request["ResourceConfig"]["InstanceType"]
    group = {"instance_group_name": "homogeneousCluster", "instance_type": kind, "hosts": names}
    return {
        "current_host": host.name,
        "current_instance_type": kind,
        "current_group_name": "homogeneousCluster",
        "hosts": names,
        "instance_groups": [group],
        "network_interface_name": "lo",
    }
