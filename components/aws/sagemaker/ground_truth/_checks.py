"""What is wrong with a labeling job's arguments, told all at once. Importing this imports no cloud."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Protocol

from components.aws.sagemaker.ground_truth._tasks import CUSTOM, FUNCTIONS, price
from runner.errors import InputError

PUBLIC = "public"
WORKERS = (PUBLIC, "private", "vendor")
TASKS = (*FUNCTIONS, CUSTOM)
LONGEST_TASK = 28_800
"""Seconds that a worker may have for a built-in task on images or text (HumanTaskConfig's reference)."""
LONGEST_PUBLIC_OFFER = 43_200
"""Seconds that a task may be on offer at Amazon Mechanical Turk (the same)."""


class Asked(Protocol):
    """The arguments that are looked at together."""

    @property
    def task_type(self) -> str: ...
    @property
    def worker_type(self) -> str: ...
    @property
    def workteam_arn(self) -> str: ...
    @property
    def enable_auto_labeling(self) -> bool: ...
    @property
    def pre_human_task_function(self) -> str: ...
    @property
    def post_human_task_function(self) -> str: ...
    @property
    def time_limit(self) -> int: ...
    @property
    def task_availibility(self) -> int: ...
    @property
    def workforce_task_price(self) -> str: ...


def check(inputs: Asked) -> tuple[str, str]:
    """Return the task and the kind of workers, as they are known here. Raises `InputError`."""
    task, workers = (" ".join(text.lower().split()) for text in (inputs.task_type, inputs.worker_type))
    task = task or CUSTOM
    wrong = [
        *_none_of("task_type", inputs.task_type, task, TASKS),
        *_none_of("worker_type", inputs.worker_type, workers, WORKERS),
        *_wrong_task(inputs, task),
        *_wrong_workers(inputs, workers),
    ]
    if wrong:
        raise InputError("; ".join(wrong))
    return task, workers


def _none_of(argument: str, given: str, value: str, known: tuple[str, ...]) -> Iterable[str]:
    if value not in known:
        near = difflib.get_close_matches(value, known, n=1)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        yield f"--{argument} is {given[:60]!r}, which is none of {', '.join(known)}{meant}"


def _wrong_task(inputs: Asked, task: str) -> Iterable[str]:
    if task == CUSTOM:
        for name, given in (
            ("pre_human_task_function", inputs.pre_human_task_function),
            ("post_human_task_function", inputs.post_human_task_function),
        ):
            if not given:
                yield f"--{name} is blank; a custom task needs the ARN of a Lambda function of yours"
        if inputs.enable_auto_labeling:
            yield "--enable_auto_labeling is True, but only built-in tasks have a model; leave it out for a custom one"
    elif task in FUNCTIONS and inputs.time_limit > LONGEST_TASK:
        yield f"--time_limit is {inputs.time_limit}, which is too long; at most {LONGEST_TASK} seconds are possible"


def _wrong_workers(inputs: Asked, workers: str) -> Iterable[str]:
    if workers in WORKERS and workers != PUBLIC and not inputs.workteam_arn:
        yield f"--workteam_arn is blank; {workers} workers are those of a team, so give its ARN"
    if workers == PUBLIC and inputs.task_availibility > LONGEST_PUBLIC_OFFER:
        yield (
            f"--task_availibility is {inputs.task_availibility}, which is too long for public workers; at most "
            f"{LONGEST_PUBLIC_OFFER} seconds are possible"
        )
    if workers == PUBLIC:  # Nobody else is paid by the task: no price is sent.
        try:
            price(inputs.workforce_task_price)
        except InputError as error:
            yield str(error)
