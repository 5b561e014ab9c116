"""What CreateLabelingJob checks beyond the service model, and what a job is to label."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from components.aws.embedded.errors import ApiError, invalid, not_implemented
from components.aws.embedded.s3.objects import Location, Objects, S3Error
from components.aws.embedded.sagemaker.checks import s3_location
from components.aws.embedded.sagemaker.labeling.answers import (
    FORMAT,
    LinesError,
    Task,
    answers_key,
    json_lines,
    source,
    tasks,
)
from components.aws.embedded.sagemaker.labeling.types import (
    Categories,
    LabelError,
    kind,
    label,
    least_categories,
    most_objects,
    needs_ref,
)

Json = dict[str, Any]
MOST_CATEGORIES = 1_000
"""Of a job. Ours: AWS's own quotas differ from task to task."""
LARGEST_CONFIG = 1 << 20
"""Bytes of the file that lists them; the parser lets nobody else run meanwhile."""


def refuse_unknown(body: Json) -> None:
    """Raise `ApiError` for what the embedded cloud can't do."""
    if missing := next(_unknown(body), ""):
        raise not_implemented(f"CreateLabelingJob: {missing}")


def _unknown(body: Json) -> Iterator[str]:
    if body["InputConfig"]["DataSource"].get("SnsDataSource"):
        yield "DataSource.SnsDataSource (streaming labeling jobs)"
    if body["OutputConfig"].get("SnsTopicArn"):
        yield "OutputConfig.SnsTopicArn"
    if body.get("LabelingJobAlgorithmsConfig"):
        yield "LabelingJobAlgorithmsConfig: there is no model here that could label; automated labeling"


def check_request(body: Json) -> None:
    """Raise `ApiError` for what the request alone shows to be wrong. The rules: CreateLabelingJob's reference."""
    attribute, human = body["LabelAttributeName"], body["HumanTaskConfig"]
    name = kind(human)
    if attribute.endswith("-metadata"):
        raise invalid(f"LabelAttributeName {attribute} must not end with '-metadata'.")
    if needs_ref(name) is not None and attribute.endswith("-ref") != needs_ref(name):
        must = "must" if needs_ref(name) else "must not"
        raise invalid(f"LabelAttributeName {attribute} {must} end with '-ref' for the task type {name}.")
    interface = human["UiConfig"]
    if bool(interface.get("UiTemplateS3Uri")) == bool(interface.get("HumanTaskUiArn")):
        raise invalid("UiConfig: either UiTemplateS3Uri or HumanTaskUiArn must be specified, not both.")
    if not body["InputConfig"]["DataSource"].get("S3DataSource"):
        raise invalid("InputConfig.DataSource: S3DataSource must be specified.")
    if least_categories(name) and not body.get("LabelCategoryConfigS3Uri"):
        raise invalid(f"LabelCategoryConfigS3Uri must be specified for the task type {name}.")
    s3_location(body["OutputConfig"]["S3OutputPath"])


async def work(body: Json, objects: Objects) -> tuple[list[Task], Categories]:
    """What the job is to do: its objects, each with its answer or why it has none; and the label categories, in order.

    Raises `ApiError` for anything that is not there or can't be read, and when not one object has an answer.
    """
    if template := body["HumanTaskConfig"]["UiConfig"].get("UiTemplateS3Uri"):
        await _content(objects, template, "UiTemplateS3Uri")
    labels = b""
    if uri := body.get("LabelCategoryConfigS3Uri"):
        labels = await _content(objects, uri, "LabelCategoryConfigS3Uri")
    categories = await asyncio.to_thread(_categories, body, labels)
    uri = body["InputConfig"]["DataSource"]["S3DataSource"]["ManifestS3Uri"]
    manifest = await _content(objects, uri, "ManifestS3Uri")
    rows = await asyncio.to_thread(
        _rows, manifest, f"The manifest {uri}", most_objects(kind(body["HumanTaskConfig"]))
    )
    place, answers = await _answers(objects, uri)
    return await asyncio.to_thread(_tasks, body, rows, place, answers, categories), categories


def _tasks(
    body: Json, rows: list[Json], place: Location, content: bytes, categories: Categories
) -> list[Task]:
    """Match the manifest's objects with the answers, which takes seconds if there are many. Raises `ApiError`."""
    name, what = kind(body["HumanTaskConfig"]), f"The answers {place.uri}"
    try:
        found = tasks(rows, json_lines(content, what), body["LabelAttributeName"], what)
    except LinesError as error:
        raise invalid(f"{error}.") from error
    checked = [_checked(task, name, categories) for task in found]
    if all(task.failure for task in checked):
        reason = checked[0].failure
        raise invalid(
            f"The answers {place.uri} have none for any object of the manifest. Of the first: {reason}. (Embedded cloud:"
            f" one line an object, {FORMAT}.)"
        )
    return checked


def _rows(content: bytes, what: str, most: int) -> list[Json]:
    """The objects of a manifest. Raises `ApiError`."""
    try:
        rows = json_lines(content, what, most)
    except LinesError as error:
        raise invalid(f"{error}.") from error
    if not rows:
        raise invalid(f"{what} has no objects.")
    for number, row in enumerate(rows, 1):
        if source(row) is None:
            raise invalid(f"{what}, object {number}: it must have a text as source-ref or source.")
    return rows


def _checked(task: Task, name: str, categories: Categories) -> Task:
    if task.failure:
        return task
    try:
        label(name, task.answer, categories, task.confidence)
    except LabelError as error:
        return replace(task, failure=f"the answer can't be used: {error}")
    return task


def _categories(body: Json, content: bytes) -> Categories:
    """The label categories that the file of this content lists. Raises `ApiError`."""
    uri = body.get("LabelCategoryConfigS3Uri")
    if not uri:
        return Categories()
    if len(content) > LARGEST_CONFIG:
        raise invalid(
            f"LabelCategoryConfigS3Uri {uri}: the file has {len(content)} bytes, at most {LARGEST_CONFIG} are possible"
            " (embedded cloud)."
        )
    try:
        names = [str(row["label"]) for row in json.loads(content)["labels"]]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise invalid(
            f'LabelCategoryConfigS3Uri {uri}: this is not {{"labels": [{{"label": "…"}}, …]}}: {error!a}.'
        ) from error
    least = least_categories(kind(body["HumanTaskConfig"]))
    if len(names) < least or len(set(names)) < len(names):
        raise invalid(
            f"LabelCategoryConfigS3Uri {uri}: there must be at least {least} label categories, each once."
        )
    if len(names) > MOST_CATEGORIES:
        raise invalid(
            f"LabelCategoryConfigS3Uri {uri}: there are {len(names)} label categories, at most {MOST_CATEGORIES} are"
            " possible (embedded cloud)."
        )
    return Categories.of(names)


async def _content(objects: Objects, uri: str, member: str) -> bytes:
    place = s3_location(uri)
    try:
        return await objects.get(place.bucket, place.key)
    except S3Error as error:
        raise invalid(f"{member} {uri} can't be read. Error message from S3: {error.text}") from error


async def _answers(objects: Objects, manifest: str) -> tuple[Location, bytes]:
    """The file of answers and its place. Raises `ApiError`, which says what would be needed."""
    there = s3_location(manifest)
    place = Location(there.bucket, answers_key(there.key))
    try:
        return place, await objects.get(place.bucket, place.key)
    except S3Error as error:
        raise _no_workers(place, error) from error


def _no_workers(place: Location, error: S3Error) -> ApiError:
    return invalid(
        "The embedded cloud has no workers: the answers of a labeling job come from a file, which is not there. Put it"
        f" to {place.uri}, one JSON object a line for every object of the manifest: {FORMAT}. ({error.text})"
    )
