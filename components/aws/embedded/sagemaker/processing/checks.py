"""What CreateProcessingJob checks beyond the service model: AWS's own further rules, and what only AWS can do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from components.aws.embedded.errors import invalid, not_implemented
from components.aws.embedded.machine.paths import container_key
from components.aws.embedded.s3.objects import Objects
from components.aws.embedded.sagemaker.checks import (
    check_source,
    check_texts,
    s3_location,
    unsafe_variables,
)
from components.aws.embedded.sagemaker.processing.command import check
from runner.emulation.paths import UnsafeKeyError

Json = dict[str, Any]
_ROOT = "processing/"
_DEFAULTS = {"S3DataDistributionType": "FullyReplicated", "S3CompressionType": "None", "S3InputMode": "File"}


def with_defaults(body: Json) -> Json:
    """The request as the service books it. Raises `ApiError` for what the service model calls optional but is not."""
    cluster = body["ProcessingResources"]["ClusterConfig"]
    if cluster.get("InstancePreferences"):
        raise not_implemented("CreateProcessingJob: ClusterConfig.InstancePreferences")
    for name in ("InstanceType", "InstanceCount"):
        if not cluster.get(name):
            raise invalid(f"{name} must be specified in ClusterConfig.")
    check_texts(body, "Environment")
    for value in (body.get("Environment") or {}).values():
        check(value, "Environment")
    present = {name: value for name, value in body.items() if value is not None}
    booked = {"StoppingCondition": {"MaxRuntimeInSeconds": 86400}} | present
    if inputs := booked.get("ProcessingInputs"):
        booked["ProcessingInputs"] = [_input(row) for row in inputs]
    if outputs := (booked.get("ProcessingOutputConfig") or {}).get("Outputs"):
        rows = [{"AppManaged": False} | row for row in outputs]
        booked["ProcessingOutputConfig"] = booked["ProcessingOutputConfig"] | {"Outputs": rows}
    return booked


def _input(row: Json) -> Json:
    if not row.get("S3Input"):
        return row
    given = {name: value for name, value in row["S3Input"].items() if value is not None}
    return {"AppManaged": False} | row | {"S3Input": _DEFAULTS | given}


def refuse_unknown(body: Json) -> None:
    """Raise `ApiError` for what the embedded cloud can't do."""
    if missing := next(_unknown(body), ""):
        raise not_implemented(f"CreateProcessingJob: {missing}")


def _unknown(body: Json) -> Iterator[str]:
    for row in body.get("ProcessingInputs") or ():
        name = row["InputName"]
        if row.get("AppManaged"):
            yield f"input {name!a}: AppManaged"
        if row.get("DatasetDefinition"):
            yield f"input {name!a}: DatasetDefinition"
        if (row.get("S3Input") or {}).get("S3InputMode") == "Pipe":
            yield f"input {name!a}: S3InputMode Pipe"
    for row in (body.get("ProcessingOutputConfig") or {}).get("Outputs", ()):
        name = row["OutputName"]
        if row.get("AppManaged"):
            yield f"output {name!a}: AppManaged"
        if row.get("FeatureStoreOutput"):
            yield f"output {name!a}: FeatureStoreOutput"
    yield from unsafe_variables(body.get("Environment") or ())


async def check_places(body: Json, region: str, objects: Objects) -> None:
    """Raise `ApiError` unless inputs are there, and inputs and outputs have places of their own in the container."""
    inputs = body.get("ProcessingInputs") or []
    outputs = (body.get("ProcessingOutputConfig") or {}).get("Outputs") or []
    for what, kind, rows in (("Input", "S3Input", inputs), ("Output", "S3Output", outputs)):
        _refuse_twins(f"{what} names", [row[f"{what}Name"] for row in rows])
        places = [_place(row, f"{what}Name", kind) for row in rows]
        # AWS demands this, too, with a ValidationException that has no text (aws/sagemaker-python-sdk issue 4939).
        _refuse_twins(f"The LocalPath values of {what.lower()}s", places)
    for row in outputs:
        s3_location(row["S3Output"]["S3Uri"])
    for row in inputs:
        await check_source(row["S3Input"]["S3Uri"], body["RoleArn"], region, objects)


def _refuse_twins(what: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise invalid(f"{what} must be unique, {name!a} is not.")


def _place(row: Json, naming: str, kind: str) -> str:
    """The folder's key below /opt/ml. Raises `ApiError`."""
    name, source = row[naming], row.get(kind)
    if not source:
        raise invalid(f"{kind} must be specified for {name!a}.")
    path = source.get("LocalPath")
    if not path:
        raise invalid(f"LocalPath must be specified in the {kind} of {name!a}.")
    return _key(path, f"The {kind} of {name!a}")


def _key(path: str, where: str) -> str:
    try:
        key = container_key(path)
    except UnsafeKeyError:
        key = ""
    if not key.startswith(_ROOT):
        raise invalid(f"{where}: LocalPath {path!a} must be a folder below /opt/ml/processing/.")
    return key
