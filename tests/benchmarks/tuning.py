"""A search over hyperparameters, watched: how late its trials' lines and news are, and how often the service is asked.

Trials say when they speak, on the clock that all processes of a machine share, so each line's delay is known.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.benchmarks.cloud import LOGS, SPOKEN, SPOKEN_BRIEFLY, Cloud, cloud
from tests.benchmarks.process import Process, running
from tests.benchmarks.report import Row, check, middle, share
from tests.benchmarks.step import BODY, CHANNEL

JOB = "search"
ASKED = (
    "DescribeHyperParameterTuningJob",
    "ListTrainingJobsForHyperParameterTuningJob",
    "DescribeTrainingJob",
)


def argv(image: str, trials: int) -> list[str]:
    """Python's arguments for the step: `trials` in all, two at a time."""
    given = {
        "region": "us-east-1",
        "job_name": JOB,
        "role": BODY["RoleArn"],
        "image": image,
        "strategy": "Random",
        "metric_name": "objective",
        "metric_type": "Minimize",
        "metric_definitions": json.dumps({"objective": "objective=(.*)"}),
        "continuous_parameters": json.dumps([{"Name": "x", "MinValue": "0", "MaxValue": "10"}]),
        "channels": json.dumps([CHANNEL]),
        "output_location": "s3://bench/out",
        "max_num_jobs": str(trials),
        "max_parallel_jobs": "2",
    }
    pairs = (x for k, v in given.items() for x in (f"--{k}", v))
    return ["-m", "runner", "run", "aws.sagemaker.hyperparameter_tuning", *pairs]


def delays(process: Process) -> list[float]:
    """Each spoken line's delay, from being printed by the trial to standing on our standard output."""
    found = [(at, re.search(r" speaks at (\d+\.\d+)$", text)) for at, text in process.lines]
    return [at - float(match[1]) for at, match in found if match]


def news(process: Process) -> list[float]:
    """How long after each trial's end the line stood on our standard output that tells its objective."""
    ends: dict[str, float] = {}
    for _, text in process.lines:
        if match := re.search(r"(\S+) ends at (\d+\.\d+)$", text):
            ends[match[1]] = float(match[2])
    told = [(at, re.search(r"[▸★>^] (\S+) Succeeded: objective ", text)) for at, text in process.lines]
    return [at - ends[match[1]] for at, match in told if match]


async def measure(folder: Path, *, smoke: bool) -> list[Row]:
    """Run it."""
    trials, image = (2, SPOKEN_BRIEFLY) if smoke else (4, SPOKEN)
    async with cloud(folder / "cloud") as service:
        async with running(argv(image, trials), service.environment) as process:
            ended = await process.end()
        check(ended.code == 0, f"the search ended with {ended.code}: {process.last_word}")
        state = await _state(service)
        check(state == "Completed", f"the search is {state}")
        calls = [len(await service.calls(*names)) for names in (ASKED, LOGS)]
    spoken, told = delays(process), news(process)
    check(len(told) == trials, f"{len(told)} of {trials} trials were told")
    check(len(spoken) >= trials, f"only {len(spoken)} lines were shown")
    return [
        Row(
            f"a search of {trials} trials of {1 if smoke else 10} s, two at a time",
            "no log, no trial progress",
            f"every trial's start, end and {len(spoken)} lines live, in {ended.at - process.began:.0f} s; "
            f"{calls[0]} calls of SageMaker, {calls[1]} of Logs",
        ),
        Row(
            "the same: delay of the trials' lines, min / median / p95 / max",
            "never shown",
            f"{min(spoken):.2f} / {middle(spoken):.2f} / {share(spoken, 0.95):.2f} / {max(spoken):.2f} s",
            "median ≤ 1.0 s, p95 ≤ 2 s",
            middle(spoken) <= 1.0 and share(spoken, 0.95) <= 2.0,
        ),
        Row(
            "the same: from a trial's end to the line with its objective, median / max",
            "never shown",
            f"{middle(told):.2f} / {max(told):.2f} s",
        ),
    ]


async def _state(service: Cloud) -> str:
    answer = await service.sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=JOB)
    return str(answer["HyperParameterTuningJobStatus"])
