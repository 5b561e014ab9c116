"""What a request is: which service and operation it means, and from which region."""

from __future__ import annotations

import io
import json
import re
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import parse_qs, unquote, urlsplit

from aiohttp import hdrs, web

from components.aws.embedded.cloud import REGION
from components.aws.embedded.errors import ApiError
from runner.emulation.loopback import invite

JSON_BYTES = 8 * 1024**2
"""The most that a request to SageMaker or Logs may hold; AWS takes less."""
MOST_FIELDS = 10_000
"""Of a request in AWS's query protocol."""
OBJECT_BYTES = 5 * 1024**3
"""The most that any request may hold: S3's limit for one PUT."""
INVOCATION_BYTES = 64 * 1024**2
"""The most that is read of a request to an endpoint; what is too long for AWS is refused by the service itself."""
RUNTIME = "sagemaker-runtime"
"""The service that invokes endpoints; its requests are signed for `sagemaker`."""
_IN_MEMORY = 16 * 1024**2
_TARGETS = {"SageMaker": "sagemaker", "Logs_20140328": "logs"}
_SCOPE = re.compile(r"Credential=[^/]*/\d{8}/([a-z0-9-]{1,32})/([a-z0-9-]+)/aws4_request")
_INVOCATION = re.compile(r"/endpoints/([^/]+)/(invocations|async-invocations|invocations-response-stream)")
_INVOCATIONS = {
    "invocations": "InvokeEndpoint",
    "async-invocations": "InvokeEndpointAsync",
    "invocations-response-stream": "InvokeEndpointWithResponseStream",
}
_S3_NAMES = {
    ("GET", 2): "GetObject",
    ("PUT", 2): "PutObject",
    ("HEAD", 2): "HeadObject",
    ("DELETE", 2): "DeleteObject",
    ("GET", 1): "ListObjects",
    ("PUT", 1): "CreateBucket",
    ("HEAD", 1): "HeadBucket",
    ("DELETE", 1): "DeleteBucket",
    ("GET", 0): "ListBuckets",
}
# A query parameter that makes another operation of the request.
_S3_QUERIES = {
    ("POST", "uploads"): "CreateMultipartUpload",
    ("PUT", "partNumber"): "UploadPart",
    ("POST", "uploadId"): "CompleteMultipartUpload",
    ("DELETE", "uploadId"): "AbortMultipartUpload",
    ("POST", "delete"): "DeleteObjects",
    ("GET", "list-type"): "ListObjectsV2",
}


@dataclass(frozen=True, slots=True)
class Inbound:
    """One request, understood."""

    service: str
    operation: str
    region: str
    body: Mapping[str, Any]
    """The JSON body of our own services; for the others what the journal shows."""
    size: int
    """Bytes of the request that `body` was read from; 0 for what is short anyway."""
    content: IO[bytes] | None = None
    """The body for moto or an endpoint; None when SageMaker or Logs is meant."""


async def read(request: web.BaseRequest) -> Inbound:
    """Read and understand a request. Raises `ApiError`."""
    scope = _SCOPE.search(request.headers.get(hdrs.AUTHORIZATION, ""))
    region, service = (scope[1], scope[2]) if scope else (REGION, "")
    prefix, _, operation = request.headers.get("X-Amz-Target", "").rpartition(".")
    if prefix in _TARGETS:
        return Inbound(_TARGETS[prefix], operation, region, *await _json(request))
    if service == "sagemaker" and not operation and (invocation := await _invocation(request, region)):
        return invocation
    content = await _content(request, OBJECT_BYTES)
    form = _form(request, content)
    service = service or ("sts" if "Action" in form else "s3")
    name = operation or form.get("Action") or _s3_operation(request)
    shown = form or {"method": request.method, "target": request.raw_path}
    return Inbound(service, name, region, shown, sum(map(len, form.values())), content)


async def _invocation(request: web.BaseRequest, region: str) -> Inbound | None:
    """Read a request to an endpoint; None if it is none. The journal does not show its payload, which may be anything."""
    match = _INVOCATION.fullmatch(unquote(request.raw_path.partition("?")[0]))
    if match is None or request.method != hdrs.METH_POST:
        return None
    content = await _content(request, INVOCATION_BYTES)
    shown: dict[str, Any] = {"EndpointName": match[1], "BodyBytes": content.seek(0, io.SEEK_END)}
    content.seek(0)
    for name in ("Content-Type", "Accept", "X-Amzn-SageMaker-Target-Variant"):
        if name in request.headers:
            shown[name.removeprefix("X-Amzn-SageMaker-").replace("-", "")] = request.headers[name]
    return Inbound(RUNTIME, _INVOCATIONS[match[2]], region, shown, 0, content)


async def _json(request: web.BaseRequest) -> tuple[dict[str, Any], int]:
    """The body and its size in bytes. Raises `ApiError`."""
    with await _content(request, JSON_BYTES) as content:
        text = content.read()
        try:
            body = json.loads(text or b"{}")
        except (ValueError, RecursionError) as error:
            raise ApiError("SerializationException", f"the body is no JSON: {error}") from error
    if not isinstance(body, dict):
        raise ApiError("SerializationException", "the body is no JSON object")
    return body, len(text)


async def _content(request: web.BaseRequest, most: int) -> IO[bytes]:
    """The body; a large one lies on disk. The caller closes it."""
    await invite(request)
    with ExitStack() as undo:
        content = undo.enter_context(tempfile.SpooledTemporaryFile(_IN_MEMORY))
        async for chunk in request.content.iter_any():
            content.write(chunk)
            if content.tell() > most:
                raise ApiError("RequestEntityTooLargeException", f"more than {most} bytes", 413)
        content.seek(0)
        undo.pop_all()
    return content


def _form(request: web.BaseRequest, content: IO[bytes]) -> dict[str, str]:
    """The fields of a request in AWS's query protocol; empty for any other."""
    if not request.headers.get(hdrs.CONTENT_TYPE, "").startswith("application/x-www-form-urlencoded"):
        return {}
    text = content.read(JSON_BYTES).decode(errors="replace")
    content.seek(0)
    try:
        return {name: values[0] for name, values in parse_qs(text, max_num_fields=MOST_FIELDS).items()}
    except ValueError as error:
        content.close()
        raise ApiError("RequestEntityTooLargeException", f"more than {MOST_FIELDS} fields", 413) from error


def _s3_operation(request: web.BaseRequest) -> str:
    parts = urlsplit(request.raw_path)
    query = parse_qs(parts.query, keep_blank_values=True)
    for (method, name), operation in _S3_QUERIES.items():
        if method == request.method and name in query:
            return operation
    depth = len([part for part in parts.path.lstrip("/").split("/", 1) if part])
    return _S3_NAMES.get((request.method, depth), f"{request.method} {parts.path}")
