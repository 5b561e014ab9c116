"""A labeling job's way: objects in batches, each with its answer, into the output manifest.

    Initializing ─► InProgress ─► Completed
                        │  └────► Failed      not one object could be labeled, or the manifest can't be written
                        │  └────► Stopped     a stopping condition was met
                        └─► Stopping ─► Stopped    StopLabelingJob

There are no workers (see `answers`), so nothing takes time; the batches are spread over a few seconds in order
that whoever watches sees the counters move. A stopped job's manifest holds what was done by then.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.aws.embedded.clock import now
from components.aws.embedded.machine.logged import expired
from components.aws.embedded.s3.objects import Location, Objects, S3Error
from components.aws.embedded.sagemaker.labeling.answers import Task
from components.aws.embedded.sagemaker.labeling.record import LabelingJob
from components.aws.embedded.sagemaker.labeling.types import Categories, kind, label, type_name
from components.aws.embedded.sagemaker.site import JobFailed, Site, conduct

Json = dict[str, Any]
SIMULATED = "kfp-runner embedded cloud"
"""What every label's metadata say under `simulated-by`."""
STEPS = 40
"""Into how many batches the objects are divided at least, if there are as many."""
SECONDS = 4.0
"""How long all pauses take at most."""
PAUSE = 0.1
"""Seconds between two batches at most."""


async def execute(job: LabelingJob, categories: Categories, site: Site) -> None:
    """Take a job to its end. Never raises; cancelling leaves it unfinished."""

    async def live(_folder: Path) -> None:
        await _live(job, categories, site.objects)

    await conduct(job, site, live)


async def _live(job: LabelingJob, categories: Categories, objects: Objects) -> None:
    job.begin()
    lines: list[bytes] = []
    failure = ""
    size = min(job.batch, max(1, len(job.tasks) // STEPS))
    pause = min(PAUSE, SECONDS * size / len(job.tasks))
    for begin in range(0, len(job.tasks), size):
        # Set by a stop, which may come at any time.
        if not await expired(job.stop, pause) or job.labeled >= job.limit:
            break
        batch = await _batch(job, job.tasks[begin : begin + size], objects)
        lines.append(await asyncio.to_thread(_lines, job, batch, categories))
        for task in batch:
            job.count(task)
            failure = task.failure
    await _write(job, lines, objects)
    if job.stop.is_set() or job.counters["Unlabeled"]:
        job.end("Stopped")
    elif not job.labeled:
        raise JobFailed(f"ClientError: No object could be labeled. Of the last: {failure}")
    else:
        job.end("Completed")


async def _batch(job: LabelingJob, tasks: Sequence[Task], objects: Objects) -> list[Task]:
    """What is done of these tasks before a stopping condition is met."""
    left = job.limit - job.labeled
    done: list[Task] = []
    for task in tasks:
        if left <= 0:
            break
        seen = await _seen(task, objects)
        left -= not seen.failure
        done.append(seen)
    return done


async def _seen(task: Task, objects: Objects) -> Task:
    """The task, or its failure if the object is not there to be looked at."""
    uri = task.row.get("source-ref")
    if task.failure or not isinstance(uri, str):
        return task
    try:
        place = Location.parse(uri)
        if place.key in await objects.list(place.bucket, place.key, most=1):
            return task
        reason = "The specified key does not exist."
    except S3Error as error:
        reason = error.text
    except ValueError as error:
        reason = str(error)
    return Task(task.row, failure=f"source-ref can't be read: {reason}")


def _lines(job: LabelingJob, tasks: Sequence[Task], categories: Categories) -> bytes:
    """The tasks' rows of the output manifest. Written at once: as text they are many times smaller than as objects."""
    return "".join(json.dumps(_row(job, task, categories)) + "\n" for task in tasks).encode()


def _row(job: LabelingJob, task: Task, categories: Categories) -> Json:
    """The object's row of the output manifest."""
    name = kind(job.request["HumanTaskConfig"])
    # No one has looked at it; who uses the manifest must be able to tell.
    metadata: Json = {
        "type": type_name(name),
        "job-name": f"labeling-job/{job.name.lower()}",
        "human-annotated": "no",
        "simulated-by": SIMULATED,
        "creation-date": datetime.fromtimestamp(now(), UTC)
        .replace(tzinfo=None)
        .isoformat(timespec="microseconds"),
    }
    row = {key: value for key, value in task.row.items() if key != job.attribute}
    if task.failure:
        return row | {
            f"{job.attribute}-metadata": metadata | {"failure-reason": f"ClientError: {task.failure}"}
        }
    value, described = label(name, task.answer, categories, task.confidence)
    return row | {job.attribute: value, f"{job.attribute}-metadata": described | metadata}


async def _write(job: LabelingJob, lines: list[bytes], objects: Objects) -> None:
    try:
        await objects.put(job.target.bucket, job.target.key, b"".join(lines))
    except S3Error as error:
        raise JobFailed(f"ClientError: {error.text} ({job.target.uri})") from error
    job.output = job.target.uri
