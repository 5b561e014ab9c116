"""An upload, received: streamed to the disk, in whatever order its parts come."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from components.hydrosphere.embedded.storage import Claim
from components.hydrosphere.embedded.wire.errors import internal, invalid, too_large, unreadable
from runner.emulation.loopback import invite

BODY_BYTES = 200_000_000
"""The most that the manager takes, all parts and what is between them."""
JSON_BYTES = 256 * 1024
"""The most that is read of a JSON body, or of the metadata: far more than any model needs."""
_CHUNK = 256 * 1024
# What aiohttp raises for a body that ends too early, or is no multipart; the last two: asserts, and odd headers.
_BROKEN = (
    aiohttp.ClientError,
    HttpProcessingError,
    ConnectionError,
    ValueError,
    AssertionError,
    RuntimeError,
)


@dataclass(slots=True)
class Uploaded:
    """The two parts that count."""

    payload: Path
    metadata: bytes


async def receive(request: web.BaseRequest, claim: Claim) -> Uploaded:
    """Receive an upload into the claim's folder. Raises `ApiError`, also for a body that ends too early."""
    if request.content_type != "multipart/form-data":
        raise unreadable("the body is no multipart/form-data")
    _check_length(request, BODY_BYTES)
    await invite(request)
    payload, metadata = claim.folder / "payload.tar.gz", None
    try:
        # Ends only at the last boundary: what was cut off on the way is no upload.
        async for part in MultipartReader(request.headers, request.content):
            if not isinstance(part, BodyPartReader):
                raise unreadable("a part of the body is a multipart itself")
            if part.name == "payload" and part.filename is not None:
                await _store(request, part, payload, claim)
            elif part.name == "metadata" and part.filename is None:
                metadata = await _short(request, part)
            else:
                await _skip(request, part)
        _check_total(request, BODY_BYTES)
    except _BROKEN as error:
        raise unreadable(f"the body is no complete multipart/form-data: {error}") from error
    if not payload.exists():
        raise invalid("Couldn't find a payload in request")
    if metadata is None:
        raise invalid("Couldn't find a metadata in request")
    return Uploaded(payload, metadata)


async def json_body(request: web.BaseRequest) -> bytes:
    """Read a JSON body. Raises `ApiError`."""
    _check_length(request, JSON_BYTES)
    await invite(request)
    text = bytearray()
    async for chunk in request.content.iter_any():
        text += chunk
        _check_total(request, JSON_BYTES)
    return bytes(text)


async def store(request: web.BaseRequest, path: Path, claim: Claim, most: int) -> None:
    """Receive a raw body into a file in the claim's folder. Raises `ApiError`."""
    _check_length(request, most)
    await invite(request)
    with path.open("wb") as file:
        async for chunk in request.content.iter_chunked(_CHUNK):
            _check_total(request, most)
            take(claim, len(chunk))
            await asyncio.to_thread(file.write, chunk)


async def swallow(request: web.BaseRequest) -> None:
    """Read a body that nobody wants, so that the client is there when the answer comes."""
    await invite(request)
    async for _ in request.content.iter_any():
        if request.content.total_bytes > BODY_BYTES:
            return


async def drain(request: web.BaseRequest) -> None:
    """Read whatever comes and forget it, so that the end of the connection is seen. Ends as soon as the body does."""
    with suppress(*_BROKEN):
        async for _ in request.content.iter_any():
            pass


async def _store(request: web.BaseRequest, part: BodyPartReader, path: Path, claim: Claim) -> None:
    with path.open("wb") as file:
        while chunk := await part.read_chunk(_CHUNK):
            _check_total(request, BODY_BYTES)
            take(claim, len(chunk))
            await asyncio.to_thread(file.write, chunk)


async def _short(request: web.BaseRequest, part: BodyPartReader) -> bytes:
    text = bytearray()
    while chunk := await part.read_chunk():
        text += chunk
        if len(text) > JSON_BYTES:
            raise too_large(JSON_BYTES)
        _check_total(request, BODY_BYTES)
    return bytes(text)


async def _skip(request: web.BaseRequest, part: BodyPartReader) -> None:
    while await part.read_chunk(_CHUNK):
        _check_total(request, BODY_BYTES)


def _check_length(request: web.BaseRequest, most: int) -> None:
    if (request.content_length or 0) > most:
        raise too_large(most)


def _check_total(request: web.BaseRequest, most: int) -> None:
    # Whatever the headers say, and with all that lies between the parts.
    if request.content.total_bytes > most:
        raise too_large(most)


def take(claim: Claim, size: int) -> None:
    """Use up so many bytes. Raises `ApiError` when they are not there."""
    try:
        claim.take(size)
    except OSError as error:
        raise internal(f"{error.strerror}", 507) from error
