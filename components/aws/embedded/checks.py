"""What CreateTrainingJob checks beyond the service model: AWS's own further rules, and what only AWS can do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from components.aws.embedded.errors import invalid, not_implemented
from components.aws.embedded.objects import Location, Objects, S3Error

Json = dict[str, Any]
_MEMBERS = (
    "ServerlessJobConfig",
    "ModelPackageConfig",
    "MlflowConfig",
    "SessionChainingConfig",
)
# These would let a request choose what code runs, by way of the loader or the interpreter.
_ENVIRONMENT = re.compile(
    r"PATH|LD_.*|DYLD_.*|PYTHON(PATH|HOME|STARTUP|USERBASE|WARNINGS|BREAKPOINT|INSPECT|PYCACHEPREFIX)|BASH_ENV|ENV"
    r"|PERL5(OPT|LIB)|RUBY(OPT|LIB)|NODE_OPTIONS|_?JAVA_(TOOL_)?OPTIONS|JDK_JAVA_OPTIONS|R_(PROFILE|ENVIRON|LIBS)(_USER)?|GCONV_PATH|SHELLOPTS|IFS|HOME|TMPDIR"
    r"|SAGEMAKER_BASE_DIR"
)


def with_defaults(body: Json) -> Json:
    """The request as the service books it. Raises `ApiError` for what the service model calls optional but is not."""
    for name in ("AlgorithmSpecification", "ResourceConfig"):
        if body.get(name) is None:
            raise invalid(f"Missing required parameter {name}.")
    resources = body["ResourceConfig"]
    for name in ("InstanceType", "InstanceCount"):
        if not resources.get(name) and not resources.get("InstanceGroups"):
            raise invalid(f"{name} must be specified in ResourceConfig.")
    limits = {"MaxRuntimeInSeconds": 86400} | (body.get("StoppingCondition") or {})
    wait = limits.get("MaxWaitTimeInSeconds")
    spot = bool(body.get("EnableManagedSpotTraining"))
    if spot and (wait is None or wait < limits["MaxRuntimeInSeconds"]):
        raise invalid(
            "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds"
        )
    if wait is not None and not spot:
        # Source of the sentence: Kenza-AI/sagify issue 111.
        raise invalid(
            "Invalid MaxWaitTimeInSeconds. It is only supported when EnableManagedSpotTraining is set to true"
        )
    switches = {
        "EnableNetworkIsolation": False,
        "EnableInterContainerTrafficEncryption": False,
        "EnableManagedSpotTraining": False,
    }
    present = {name: value for name, value in body.items() if value is not None}
    return switches | present | {"StoppingCondition": limits}


def refuse_unknown(body: Json) -> None:
    """Raise `ApiError` for what the embedded cloud can't do."""
    if missing := next(_unknown(body), ""):
        raise not_implemented(f"CreateTrainingJob: {missing}")


def _unknown(body: Json) -> Iterator[str]:
    algorithm, resources = body["AlgorithmSpecification"], body["ResourceConfig"]
    yield from (name for name in _MEMBERS if body.get(name))
    if not algorithm.get("TrainingImage"):
        yield "AlgorithmSpecification without TrainingImage"
    for name in ("ContainerEntrypoint", "ContainerArguments"):
        if algorithm.get(name):
            yield f"AlgorithmSpecification.{name}: commands come only from the image table"
    if resources.get("InstanceGroups"):
        yield "ResourceConfig.InstanceGroups"
    if algorithm["TrainingInputMode"] == "Pipe":
        yield "TrainingInputMode Pipe"
    for channel in body.get("InputDataConfig") or ():
        yield from _unknown_in_channel(channel)
    for name in body.get("Environment") or ():
        if _ENVIRONMENT.fullmatch(name):
            yield f"Environment variable {name}: it could choose what code runs"
    path = (body.get("CheckpointConfig") or {}).get("LocalPath", "/opt/ml/checkpoints")
    if not path.startswith("/opt/ml/") or ".." in path.split("/"):
        yield f"CheckpointConfig.LocalPath {path}: only folders below /opt/ml are"


def _unknown_in_channel(channel: Json) -> Iterator[str]:
    name, source = channel["ChannelName"], channel["DataSource"]
    if set(name) <= {"."}:
        yield f"channel name {name!r}"
    if not source.get("S3DataSource"):
        yield f"channel {name}: a DataSource other than S3DataSource"
    elif source["S3DataSource"]["S3DataType"] not in ("S3Prefix", "ManifestFile"):
        yield f"channel {name}: S3DataType {source['S3DataSource']['S3DataType']}"
    if channel.get("InputMode") == "Pipe":
        yield f"channel {name}: InputMode Pipe"
    if channel.get("RecordWrapperType", "None") != "None":
        yield f"channel {name}: RecordWrapperType {channel['RecordWrapperType']}"


async def check_inputs(body: Json, region: str, objects: Objects) -> None:
    """Raise `ApiError` unless there is at least one object for every channel."""
    names = [channel["ChannelName"] for channel in body.get("InputDataConfig") or ()]
    for name in names:
        if names.count(name) > 1:
            raise invalid(f"Channel names must be unique, {name} is not.")
    for channel in body.get("InputDataConfig") or ():
        uri = channel["DataSource"]["S3DataSource"]["S3Uri"]
        where = _s3(uri)
        reason = ""
        try:
            if await objects.list(where.bucket, where.key, most=1):
                continue
        except S3Error as error:
            reason = f" Error message from S3: {error.text}"
        raise invalid(
            f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the bucket'
            f" exists in the selected region ({region}), that objects exist under that S3 prefix, and that the role"
            f' "{body["RoleArn"]}" has "s3:ListBucket" permissions on bucket "{where.bucket}".{reason}'
        )


def check_outputs(body: Json) -> None:
    """Raise `ApiError` unless every place to write to is an S3 URI; whether its bucket exists shows at upload."""
    _s3(body["OutputDataConfig"]["S3OutputPath"])
    if checkpoints := body.get("CheckpointConfig"):
        _s3(checkpoints["S3Uri"])


def _s3(uri: str) -> Location:
    try:
        return Location.parse(uri)
    except ValueError as error:
        raise invalid(f"Invalid S3 URI: {uri} (embedded cloud: only s3:// is known)") from error
