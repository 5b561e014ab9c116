"""Frames of AWS's event stream encoding (`application/vnd.amazon.eventstream`), the writing half.

A frame is: total length, header length, CRC of these two, headers, payload, CRC of all before; big-endian. Source: the
Smithy specification, "Amazon Event Stream"; botocore's `eventstream` module is the reading half.
"""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any

_STRING = 7


def event(name: str, body: dict[str, Any]) -> bytes:
    """One event with a JSON payload."""
    return _json("event", ":event-type", name, body)


def exception(name: str, body: dict[str, Any]) -> bytes:
    """A modelled exception, the last frame of a stream."""
    return _json("exception", ":exception-type", name, body)


def _json(kind: str, header: str, name: str, body: dict[str, Any]) -> bytes:
    headers = {":message-type": kind, header: name, ":content-type": "application/json"}
    return _frame(headers, json.dumps(body).encode())


def _frame(headers: dict[str, str], payload: bytes) -> bytes:
    encoded = b"".join(_header(name, value) for name, value in headers.items())
    prelude = struct.pack("!II", len(encoded) + len(payload) + 16, len(encoded))
    message = prelude + struct.pack("!I", zlib.crc32(prelude)) + encoded + payload
    return message + struct.pack("!I", zlib.crc32(message))


def _header(name: str, value: str) -> bytes:
    key, text = name.encode(), value.encode()
    return struct.pack("!B", len(key)) + key + struct.pack("!BH", _STRING, len(text)) + text
