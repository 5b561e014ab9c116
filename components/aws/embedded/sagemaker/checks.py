"""What CreateTrainingJob checks beyond the service model: AWS's own further rules, and what only AWS can do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from components.aws.embedded.errors import ApiError, invalid, not_implemented
from components.aws.embedded.machine.paths import container_key
from components.aws.embedded.s3.objects import Location, Objects, S3Error
from runner.emulation.paths import UnsafeKeyError

Json = dict[str, Any]
_MEMBERS = (
    "ServerlessJobConfig",
    "ModelPackageConfig",
    "MlflowConfig",
    "SessionChainingConfig",
)
MOST_INSTANCES = 100
"""Each is a process here. AWS's own limits depend on the account."""
# These would let a request choose what code runs, by way of the loader, the interpreter, or a library's configuration;
# or lead it to the user's own credentials. No list of such can be complete: it is a second line of defence.
_ENVIRONMENT = re.compile(
    r"PATH|LD_.*|DYLD_.*|GLIBC_TUNABLES|GCONV_PATH|LOCPATH|BASH_.*|ENV|SHELLOPTS|BASHOPTS|IFS|PS4|PROMPT_COMMAND|ZDOTDIR"
    r"|(?!PYTHON(UNBUFFERED|HASHSEED|FAULTHANDLER|IOENCODING|UTF8|DONTWRITEBYTECODE|OPTIMIZE|MALLOC|NOUSERSITE)$)_?PYTHON.*"
    r"|PERL.*|RUBY(OPT|LIB|SHELL)|GEM_.*|BUNDLE_.*|LUA_.*|JULIA_(LOAD|DEPOT)_PATH|JULIA_PROJECT|NODE_(OPTIONS|PATH)|CLASSPATH"
    r"|_?JAVA_(TOOL_)?OPTIONS|JAVA_HOME|JDK_JAVA_OPTIONS|R_(HOME|PROFILE|ENVIRON|LIBS)(_USER|_SITE)?|OPENSSL_.*|GIT_.*"
    r"|PYTEST_.*|COVERAGE_PROCESS_.*|CUDA_INJECTION64_PATH|VIRTUAL_ENV|HOME|TMPDIR|TEMP|TMP|XDG_.*"
    r"|AWS_(CONFIG_FILE|SHARED_CREDENTIALS_FILE|DATA_PATH)|GOOGLE_APPLICATION_CREDENTIALS|SAGEMAKER_BASE_DIR"
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
    if (resources.get("InstanceCount") or 0) > MOST_INSTANCES:
        text = f"The embedded cloud runs at most {MOST_INSTANCES} instances of a job."
        raise ApiError("ResourceLimitExceeded", text)
    check_texts(body, "Environment", "HyperParameters")
    present = {name: value for name, value in body.items() if value is not None}
    return switches | present | {"StoppingCondition": limits}


def check_texts(body: Json, *members: str) -> None:
    """Raise `ApiError` for what no environment variable can hold."""
    for member in members:
        for name, value in (body.get(member) or {}).items():
            text = f"{name}{value}"
            if "\0" in text or any(0xD800 <= ord(character) <= 0xDFFF for character in text):
                raise invalid(f"{member}: the value of {name!a} holds a character that no variable can hold.")


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
    yield from unsafe_variables(body.get("Environment") or ())
    yield from _unknown_folders(body)


def unsafe_variables(names: Iterable[str]) -> Iterator[str]:
    """Say which environment variables no request may set."""
    for name in names:
        if _ENVIRONMENT.fullmatch(name):
            yield f"Environment variable {name}: it could choose what code runs"


def _unknown_folders(body: Json) -> Iterator[str]:
    """Paths in the container: only those below /opt/ml are ours to give. Most are shown again only; none may lie."""
    settings = [
        (name, body[name])
        for name in ("CheckpointConfig", "DebugHookConfig", "TensorBoardOutputConfig")
        if body.get(name)
    ]
    for name in ("DebugRuleConfigurations", "ProfilerRuleConfigurations"):
        settings += [(name, row) for row in body.get(name) or ()]
    for name, row in settings:
        if (path := row.get("LocalPath")) is None:
            continue
        try:
            key = container_key(path)
        except UnsafeKeyError:
            yield f"{name}.LocalPath {path!a}, which is no folder below /opt/ml,"
            continue
        # There it would lie upon the channels and the configuration files.
        if name == "CheckpointConfig" and key.partition("/")[0] == "input":
            yield f"CheckpointConfig.LocalPath {path!a} within /opt/ml/input"


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
        await check_source(channel["DataSource"]["S3DataSource"]["S3Uri"], body["RoleArn"], region, objects)


async def check_source(uri: str, role: str, region: str, objects: Objects) -> None:
    """Raise `ApiError` unless there is at least one object under `uri`."""
    where = s3_location(uri)
    reason = ""
    try:
        if await objects.list(where.bucket, where.key, most=1):
            return
    except S3Error as error:
        reason = f" Error message from S3: {error.text}"
    raise invalid(
        f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the bucket'
        f" exists in the selected region ({region}), that objects exist under that S3 prefix, and that the role"
        f' "{role}" has "s3:ListBucket" permissions on bucket "{where.bucket}".{reason}'
    )


def check_outputs(body: Json) -> None:
    """Raise `ApiError` unless every place to write to is an S3 URI; whether its bucket exists shows at upload."""
    s3_location(body["OutputDataConfig"]["S3OutputPath"])
    if checkpoints := body.get("CheckpointConfig"):
        s3_location(checkpoints["S3Uri"])


def s3_location(uri: str) -> Location:
    """Read an S3 URI of a request. Raises `ApiError`."""
    try:
        return Location.parse(uri)
    except ValueError as error:
        raise invalid(f"Invalid S3 URI: {uri} (embedded cloud: only s3:// is known)") from error
