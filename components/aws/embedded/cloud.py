"""What `serve` hands out: where the embedded cloud listens and what it was asked."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from components.aws.embedded.faults import Faults
from runner.emulation.journal import Rows

ACCOUNT = "123456789012"
"""The only account there is; also moto's."""
REGION = "us-east-1"
"""The region of unsigned requests, and of `Cloud.environment`."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request that a client made."""

    service: str
    """`sagemaker`, `logs`, `s3`, `sts`, …"""
    operation: str
    """`CreateTrainingJob`, `GetObject`, …"""
    body: Mapping[str, Any]
    """The JSON body, of PutLogEvents only how many events; for other protocols the form, or method and target.

    Of what is very long only the size: `{"(bytes)": 70000}`.
    """
    status: int
    """HTTP status of the answer; 0 when the connection was dropped instead."""
    monotonic: float
    """Arrival on `time.monotonic`'s clock, for intervals."""
    epoch: float
    """Arrival in seconds since the Unix epoch."""


@dataclass(slots=True)
class Journal:
    """The latest calls, in bounds."""

    _rows: Rows[tuple[str, str, int, float, float]] = field(default_factory=Rows)

    def add(
        self, service: str, operation: str, body: Mapping[str, Any], size: int, status: int, began: float
    ) -> None:
        """Note an answered call; `size` of its body in bytes, `began`: its arrival on `time.monotonic`'s clock."""
        epoch = time.time() - (time.monotonic() - began)
        if isinstance(events := body.get("logEvents"), list):
            # A journal of all log text would fill the memory.
            body, size = {**body, "logEvents": len(events)}, 0
        self._rows.append((service, operation, status, began, epoch), body, size)

    @property
    def entries(self) -> list[Call]:
        """The calls, oldest first."""
        return [
            Call(service, operation, body, status, began, epoch)
            for (service, operation, status, began, epoch), body in self._rows
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
