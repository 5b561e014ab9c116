"""The processing container contract: folders, configuration files and environment below SAGEMAKER_BASE_DIR.

Source: SageMaker developer guide, "Build Your Own Processing Container". As with training (see `container`), the
folder stands for /opt/ml, which itself is not there, and the environment is made from nothing. The configuration files
are AWS's, so the paths in them begin with /opt/ml.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from components.aws.embedded.machine.paths import container_key
from components.aws.embedded.s3.objects import Location
from components.aws.embedded.sagemaker.channels import Source
from components.aws.embedded.sagemaker.container import Host, base_environment
from components.aws.embedded.sagemaker.processing.command import translated
from components.aws.embedded.sagemaker.processing.record import ProcessingJob
from components.aws.embedded.sagemaker.training.record import FAILURE_LENGTH
from runner.emulation.paths import inside, opened, write

Json = dict[str, Any]
_CONFIGURED = (
    "ProcessingJobName",
    "AppSpecification",
    "Environment",
    "ProcessingInputs",
    "ProcessingOutputConfig",
    "ProcessingResources",
    "RoleArn",
    "StoppingCondition",
)


def hosts(job: ProcessingJob, root: Path) -> list[Host]:
    """The job's instances, their folders below `root`."""
    return [Host(f"algo-{n}", root / f"algo-{n}") for n in range(1, job.cluster["InstanceCount"] + 1)]


def sources(job: ProcessingJob) -> Iterator[Source]:
    """What is to be brought in."""
    for row in job.request.get("ProcessingInputs") or ():
        given = row["S3Input"]
        yield Source(
            f"input {row['InputName']}",
            given["S3Uri"],
            container_key(given["LocalPath"]),
            manifest=given["S3DataType"] == "ManifestFile",
            sharded=given["S3DataDistributionType"] == "ShardedByS3Key",
            packed=given["S3CompressionType"] == "Gzip",
        )


def targets(job: ProcessingJob, *, continuous: bool | None = None) -> Iterator[tuple[str, Location]]:
    """The folders' keys below /opt/ml and where they are uploaded to; those of one upload mode only, if given."""
    for row in (job.request.get("ProcessingOutputConfig") or {}).get("Outputs", ()):
        given = row["S3Output"]
        if continuous is None or continuous == (given["S3UploadMode"] == "Continuous"):
            yield container_key(given["LocalPath"]), Location.parse(given["S3Uri"])


def prepare(job: ProcessingJob, host: Host, cluster: list[Host]) -> None:
    """Make the folders and configuration files of one instance. Raises `UnsafeKeyError` or OSError."""
    folders = ["processing", "output", *(source.folder for source in sources(job))]
    for key in folders + [key for key, _ in targets(job)]:
        inside(host.root, key).mkdir(parents=True, exist_ok=True)
    files = {
        "processingjobconfig": {"ProcessingJobArn": job.arn}
        | {name: job.request[name] for name in _CONFIGURED if name in job.request},
        "resourceconfig": {"current_host": host.name, "hosts": [each.name for each in cluster]},
    }
    for name, content in files.items():
        write(host.job, host.root / "config" / f"{name}.json", json.dumps(content).encode())


def environment(job: ProcessingJob, host: Host, cloud: Mapping[str, str]) -> dict[str, str]:
    """All variables of one instance's process. `cloud` leads SDKs to us; withheld under network isolation."""
    own = base_environment(job.command, job.region, {} if job.isolated else cloud)
    given = job.request.get("Environment") or {}
    contract = {
        "SAGEMAKER_BASE_DIR": str(host.root),
        "PROCESSING_JOB_NAME": job.name,
        "PROCESSING_JOB_ARN": job.arn,
    }
    return own | {name: translated(value, host.root) for name, value in given.items()} | contract


def argv(job: ProcessingJob, host: Host) -> list[str]:
    """The command line of one instance. Raises `UnsafeKeyError`."""
    return [*job.command.argv, *(translated(word, host.root) for word in job.arguments)]


def exit_message(host: Host) -> str:
    """The beginning of output/message, which becomes ExitMessage; empty if there is none."""
    try:
        with opened(host.job, host.root / "output" / "message") as file:
            return os.read(file, 4 * FAILURE_LENGTH).decode(errors="replace")[:FAILURE_LENGTH]
    except OSError:
        return ""
