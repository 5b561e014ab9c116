"""InvokeEndpoint: the service `sagemaker-runtime`, which speaks REST with JSON errors.

A request goes to a healthy container of a variant, chosen by weight unless the request names one, and the container's
answer goes back as it is. What the container refuses becomes a ModelError, in AWS's words.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping

from aiohttp import hdrs, web

from components.aws.embedded.cloud import ACCOUNT
from components.aws.embedded.errors import ApiError, not_implemented
from components.aws.embedded.inbound import Inbound
from components.aws.embedded.sagemaker.hosting.endpoints import Endpoints
from components.aws.embedded.sagemaker.hosting.fleet import LOG_GROUP
from components.aws.embedded.sagemaker.hosting.record import Endpoint, Variant
from components.aws.embedded.sagemaker.hosting.serving import NoAnswerError, Reply, TimedOutError

LONGEST_BODY = 6 * 1024**2
"""Bytes of a request or of its answer."""
_LONGEST_MESSAGE = 8192
"""Characters of a container's answer that an error repeats."""
_PREFIX = "X-Amzn-SageMaker-"
_UNKNOWN = (
    "Target-Model",
    "Target-Container-Hostname",
    "Inference-Component",
    "Enable-Explanations",
    "Session-Id",
)


class ModelError(ApiError):
    """A container's refusal."""

    def __init__(self, text: str, status: int, message: str) -> None:
        super().__init__("ModelError", text, 424)
        self.members = {"OriginalStatusCode": status, "OriginalMessage": message}


def error_answer(error: ApiError) -> web.Response:
    """An error as REST clients read it."""
    members = error.members if isinstance(error, ModelError) else {}
    headers = {"x-amzn-ErrorType": error.code, "x-amzn-RequestId": str(uuid.uuid4())}
    return web.json_response({"Message": error.text, **members}, status=error.status, headers=headers)


class Runtime:
    """Answers InvokeEndpoint."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._random = random.Random()

    async def answer(self, inbound: Inbound, headers: Mapping[str, str], body: bytes) -> web.Response:
        """Have an endpoint work on a request. Raises `ApiError`."""
        if inbound.operation != "InvokeEndpoint":
            raise not_implemented(f"{inbound.service} {inbound.operation}")
        for header in _UNKNOWN:
            if headers.get(_PREFIX + header):
                raise not_implemented(f"InvokeEndpoint with {_PREFIX}{header}")
        if len(body) > LONGEST_BODY:
            # Code and sentence as API users of AWS meet them, whatever the size of the limit is there just now.
            raise ApiError("413", f"HTTP content length exceeded {LONGEST_BODY} bytes.", 413)
        name = inbound.body["EndpointName"]
        endpoint = self._endpoints.books.get(inbound.region, name)
        if endpoint is None or endpoint.current is None or endpoint.status == "Deleting":
            # Source of the sentence, also for endpoints that are not in service yet: amazon-sagemaker-examples issue 293.
            raise ApiError("ValidationError", f"Endpoint {name} of account {ACCOUNT} not found.")
        variant = self._choose(endpoint, headers.get(f"{_PREFIX}Target-Variant", ""))
        reply = await _ask(endpoint, variant, _forwarded(headers), body)
        return _answer(reply, variant)

    def _choose(self, endpoint: Endpoint, wanted: str) -> Variant:
        fleet = endpoint.current
        if fleet is None:
            raise AssertionError("an endpoint without a fleet was invoked")
        if wanted:
            variant = fleet.variant(wanted)
            if variant is None:
                raise ApiError("ValidationError", f"Variant {wanted} of endpoint {endpoint.name} not found.")
            return variant
        weights = [variant.weight for variant in fleet.variants]
        if not any(weights):
            raise ApiError(
                "ValidationError", f"No variant of endpoint {endpoint.name} takes traffic: all weights are 0."
            )
        return self._random.choices(fleet.variants, weights)[0]


def _forwarded(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that a container sees."""
    names = (hdrs.CONTENT_TYPE, hdrs.ACCEPT, f"{_PREFIX}Custom-Attributes", f"{_PREFIX}Inference-Id")
    return {str(name): headers[name] for name in names if name in headers}


async def _ask(endpoint: Endpoint, variant: Variant, headers: Mapping[str, str], body: bytes) -> Reply:
    """Ask the least busy container. Raises `ApiError`."""
    if not variant.servers:
        raise ApiError(
            "ServiceUnavailable",
            f"The containers of variant {variant.name} are being started again. Please check CloudWatch logs for this"
            " endpoint.",
            503,
        )
    server = min(variant.servers, key=lambda each: each.busy)
    try:
        reply = await server.invoke(body, headers)
    except TimedOutError as error:
        message = (
            "Your invocation timed out while waiting for a response from container primary. Review the latency metrics"
            " for each container in Amazon CloudWatch, resolve the issue, and try again."
        )
        raise _model_error(endpoint, 0, message) from error
    except NoAnswerError as error:
        # AWS's sentence is not known from a public place.
        raise _model_error(endpoint, 0, f"The container gave no answer ({error}).") from error
    if not 200 <= reply.status < 300:
        raise _model_error(endpoint, reply.status, reply.body.decode(errors="replace"))
    if len(reply.body) > LONGEST_BODY:
        raise _model_error(endpoint, reply.status, f"The answer is longer than {LONGEST_BODY} bytes.")
    return reply


def _model_error(endpoint: Endpoint, status: int, message: str) -> ModelError:
    """Source of the sentences: amazon-sagemaker-examples issues 1809 and 4324."""
    kind = "client" if 400 <= status < 500 else "server"
    short = len(message) <= _LONGEST_MESSAGE
    said = f'with message "{message}"' if short else "and could not load the entire response body"
    where = (
        f"https://{endpoint.region}.console.aws.amazon.com/cloudwatch/home?region={endpoint.region}"
        f"#logEventViewer:group={LOG_GROUP}/{endpoint.name} in account {ACCOUNT}"
    )
    text = f"Received {kind} error ({status}) from primary {said}. See {where} for more information."
    return ModelError(text, status, message[:_LONGEST_MESSAGE])


def _answer(reply: Reply, variant: Variant) -> web.Response:
    headers = {
        hdrs.CONTENT_TYPE: reply.headers.get(hdrs.CONTENT_TYPE, "application/octet-stream"),
        "x-Amzn-Invoked-Production-Variant": variant.name,
        "x-amzn-RequestId": str(uuid.uuid4()),
    }
    if attributes := reply.headers.get(f"{_PREFIX}Custom-Attributes"):
        headers[f"{_PREFIX}Custom-Attributes"] = attributes
    return web.Response(body=reply.body, headers=headers)
