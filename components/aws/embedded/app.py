"""The one port: each request is understood, perhaps spoilt by a fault, answered, and noted in the journal."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Mapping
from typing import IO, Any
from urllib.parse import unquote
from xml.sax.saxutils import escape

from aiohttp import web

from components.aws.embedded.cloud import Journal
from components.aws.embedded.errors import ApiError, not_implemented
from components.aws.embedded.faults import Faults
from components.aws.embedded.front import Front
from components.aws.embedded.inbound import RUNTIME, Inbound, read
from components.aws.embedded.logs import live_tail
from components.aws.embedded.logs.api import Logs
from components.aws.embedded.s3.objects import Objects
from components.aws.embedded.sagemaker.hosting import invocations
from components.aws.embedded.sagemaker.service import SageMaker
from components.aws.embedded.shapes import Model, model
from runner.emulation.control import Control
from runner.emulation.loopback import refusal

_log = logging.getLogger(__name__)
_HOST_PREFIX = "stream-"
"""Put before the host by clients of StartLiveTail."""
# moto's endpoints answer a canned body; its Lambda and Batch run what a request says, in Docker if that is there.
_CLOSED = ("sagemaker", "lambda", "batch")
# moto's control routes and its instance metadata are not for everyone.
_CLOSED_ROUTES = ("/moto-api", "/latest/meta-data/", "/latest/api/")
_REFUSALS = {
    "throttle": ApiError("ThrottlingException", "Rate exceeded"),
    "error_before": ApiError("InternalFailure", "An internal failure occurred (on order).", 500),
    "expired_token": ApiError(
        "ExpiredTokenException", "The security token included in the request is expired"
    ),
    "access_denied": ApiError(
        "AccessDeniedException", "User: embedded is not authorized to perform this action"
    ),
}
# S3 has words of its own for the same.
_S3_REFUSALS = {
    "throttle": ApiError("SlowDown", "Please reduce your request rate.", 503),
    "expired_token": ApiError("ExpiredToken", "The provided token has expired."),
    "access_denied": ApiError("AccessDenied", "Access Denied", 403),
}


class App:
    """Answers requests."""

    def __init__(
        self,
        sagemaker: SageMaker,
        logs: Logs,
        front: Front,
        objects: Objects,
        faults: Faults,
        journal: Journal,
    ) -> None:
        self._sagemaker = sagemaker
        self._logs = logs
        self._front = front
        self._objects = objects
        self._faults = faults
        self._journal = journal
        self._control = Control(faults, lambda: journal.entries)
        self._models: dict[str, asyncio.Future[Model]] = {}

    def warm_up(self) -> None:
        """Begin to load the service models in the background; a request waits for the one it needs."""
        for service in ("logs", "sagemaker"):
            self._models[service] = asyncio.ensure_future(asyncio.to_thread(model, service))

    async def close(self) -> None:
        """Wait for what `warm_up` began."""
        await asyncio.gather(*self._models.values())

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        if why := refusal(request, _HOST_PREFIX):
            return web.Response(status=403, text=f"embedded cloud: {why}\n")
        if self._control.means(request):
            return await self._control.answer(request)
        began = time.monotonic()
        try:
            inbound = await read(request)
        except ApiError as error:
            return _json_error(error)
        try:
            return await self._answer(request, inbound, began)
        finally:
            if inbound.content is not None:
                inbound.content.close()

    async def _answer(self, request: web.BaseRequest, inbound: Inbound, began: float) -> web.StreamResponse:
        """Do what is asked, unless a fault says otherwise."""
        operation = inbound.operation
        if delay := self._faults.latency(operation):
            await asyncio.sleep(delay)
        fault = self._faults.outcome(operation)
        response: web.StreamResponse
        if fault in ("", "error_after", "drop_after"):
            response = await self._work(request, inbound)
        if fault.startswith("error"):
            response = _error(_REFUSALS["error_before"], inbound)
        elif fault in _REFUSALS:
            own = _S3_REFUSALS if inbound.service == "s3" else _REFUSALS
            response = _error(own.get(fault, _REFUSALS[fault]), inbound)
        elif fault.startswith("drop"):
            response = web.Response()
            if request.transport is not None:
                request.transport.abort()
        status = 0 if fault.startswith("drop") else response.status
        self._journal.add(inbound.service, operation, inbound.body, inbound.size, status, began)
        return response

    async def _work(self, request: web.BaseRequest, inbound: Inbound) -> web.StreamResponse:
        try:
            if inbound.content is None:
                return await self._own(request, inbound)
            if inbound.service == RUNTIME:
                return await self._sagemaker.runtime.answer(inbound, request.headers, inbound.content.read())
            return await self._foreign(request, inbound, inbound.content)
        except ApiError as error:
            return _error(error, inbound)
        except Exception:  # noqa: BLE001  the server answers on, whatever it is
            _log.exception("%s failed", inbound.operation)
            return _error(ApiError("InternalFailure", "see the embedded cloud's log", 500), inbound)

    async def _own(self, request: web.BaseRequest, inbound: Inbound) -> web.StreamResponse:
        shapes = await asyncio.shield(self._models[inbound.service])
        body = {name: value for name, value in inbound.body.items() if value is not None}
        known = inbound.service == "logs" and inbound.operation == "StartLiveTail"
        own = self._logs.operations if inbound.service == "logs" else self._sagemaker.operations
        if inbound.operation not in own and not known:
            raise not_implemented(f"{inbound.service} {inbound.operation}")
        body = shapes.checked(inbound.operation, body)
        if inbound.service == "sagemaker":
            work = self._sagemaker.operations[inbound.operation]
            return _json(await work(body, inbound.region))
        if known:
            return await live_tail.tail(request, self._logs, body, inbound.region)
        return _json(self._logs.operations[inbound.operation](body, inbound.region))

    async def _foreign(
        self, request: web.BaseRequest, inbound: Inbound, content: IO[bytes]
    ) -> web.StreamResponse:
        target = request.raw_path
        path = unquote(target.partition("?")[0])
        if inbound.service in _CLOSED or path.startswith(_CLOSED_ROUTES):
            raise not_implemented(f"{inbound.service}: {request.method} {target}")
        if inbound.service == "s3":
            await self._objects.mentioned(request.host, target)
        answer = await self._front.call(inbound.service, request.method, target, request.headers, content)
        response = web.Response(status=answer.status, body=answer.body or None)
        for name, value in answer.headers:
            # For HEAD, the size of the body that is not there; for others, aiohttp counts itself.
            if name.lower() != "content-length" or request.method == "HEAD":
                response.headers[name] = value
        return response


def _json(body: Mapping[str, Any], status: int = 200) -> web.Response:
    return web.Response(
        status=status,
        body=json.dumps(body).encode(),
        content_type="application/x-amz-json-1.1",
        headers={"x-amzn-RequestId": str(uuid.uuid4())},
    )


def _json_error(error: ApiError) -> web.Response:
    return _json({"__type": error.code, "message": error.text}, error.status)


def _error(error: ApiError, inbound: Inbound) -> web.Response:
    """An error in the words of the protocol that the client speaks."""
    if inbound.content is None:
        return _json_error(error)
    if inbound.service == RUNTIME:
        return invocations.error_answer(error)
    code, text = escape(error.code), escape(error.text)
    inner = f"<Code>{code}</Code><Message>{text}</Message>"
    if inbound.service == "s3":
        xml = f"<Error>{inner}<RequestId>{uuid.uuid4()}</RequestId></Error>"
    else:
        xml = f"<ErrorResponse><Error><Type>Sender</Type>{inner}</Error></ErrorResponse>"
    declaration = '<?xml version="1.0" encoding="UTF-8"?>\n'
    return web.Response(status=error.status, text=declaration + xml, content_type="application/xml")
