"""What `serve` hands out: where the embedded cloud listens and what it was asked."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from components.aws.embedded.faults import Faults

ACCOUNT = "123456789012"
"""The only account there is; also moto's."""
REGION = "us-east-1"
"""The region of unsigned requests, and of `Cloud.environment`."""
JOURNAL_LENGTH = 20_000
LONGEST_BODY = 64 * 1024
"""Bytes of a body, as JSON, that the journal keeps; of a longer one it keeps the size."""
JOURNAL_BYTES = 16 * 1024**2
"""Of all bodies together: beyond, the oldest calls are forgotten."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request that a client made."""

    service: str
    """`sagemaker`, `logs`, `s3`, `sts`, …"""
    operation: str
    """`CreateTrainingJob`, `GetObject`, …"""
    body: Mapping[str, Any]
    """The JSON body, of PutLogEvents only how many events; for other protocols the form, or method and target.

    Of what is longer than `LONGEST_BODY` only the size: `{"(bytes)": 70000}`.
    """
    status: int
    """HTTP status of the answer; 0 when the connection was dropped instead."""
    monotonic: float
    """Arrival on `time.monotonic`'s clock, for intervals."""
    epoch: float
    """Arrival in seconds since the Unix epoch."""


@dataclass(slots=True)
class Journal:
    """The latest calls, at most `JOURNAL_LENGTH` of them and `JOURNAL_BYTES`."""

    # Bodies as JSON: objects in memory may take twenty times as much.
    _rows: deque[tuple[str, str, bytes, int, float, float]] = field(default_factory=deque)
    _size: int = 0

    def add(
        self, service: str, operation: str, body: Mapping[str, Any], size: int, status: int, began: float
    ) -> None:
        """Note an answered call; `size` of its body in bytes, `began`: its arrival on `time.monotonic`'s clock."""
        epoch = time.time() - (time.monotonic() - began)
        if isinstance(events := body.get("logEvents"), list):
            body = {**body, "logEvents": len(events)}  # a journal of all log text would fill the memory
        elif size > LONGEST_BODY:
            body = {"(bytes)": size}
        # What says it is short may be longer than it says: escapes.
        if len(noted := json.dumps(body).encode()) > LONGEST_BODY:
            noted = json.dumps({"(bytes)": len(noted)}).encode()
        self._rows.append((service, operation, noted, status, began, epoch))
        self._size += len(noted)
        while self._size > JOURNAL_BYTES or len(self._rows) > JOURNAL_LENGTH:
            self._size -= len(self._rows.popleft()[2])

    @property
    def entries(self) -> list[Call]:
        """The calls, oldest first."""
        return [
            Call(service, operation, json.loads(body), status, began, epoch)
            for service, operation, body, status, began, epoch in self._rows
        ]


@dataclass(frozen=True, slots=True)
class Cloud:
    """A running embedded AWS."""

    url: str
    """`http://127.0.0.1:<port>`: the endpoint of every service."""
    faults: Faults
    """Failures to come; refuses to take any unless the server was started with `faults=True`."""
    journal: Journal

    @property
    def environment(self) -> dict[str, str]:
        """Variables that point any AWS SDK here, with credentials that are good for nothing else."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "embedded",
            "AWS_SECRET_ACCESS_KEY": "embedded",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @property
    def calls(self) -> list[Call]:
        """What clients have asked so far, oldest first; the latest 20,000, or fewer if they were long."""
        return self.journal.entries
