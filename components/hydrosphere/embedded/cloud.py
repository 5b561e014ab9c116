"""What `serve` hands out: where the embedded Hydrosphere listens and what it was asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from components.hydrosphere.embedded.books import Books
from components.hydrosphere.embedded.faults import Faults
from runner.emulation.journal import Rows

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One request that a client made."""

    operation: str
    """`Upload`, `ListVersions`, …; of what is none of them method and path."""
    path: str
    """As it was asked for, with its query."""
    body: Mapping[str, Any]
    """The JSON body; of an upload its metadata. Of what is very long only the size: `{"(bytes)": 70000}`."""
    members: tuple[str, ...]
    """Of an upload: the names in the payload, as they stand there and in their order."""
    status: int
    """HTTP status of the answer; 0 when there was none."""
    monotonic: float
    """Arrival on `time.monotonic`'s clock, for intervals."""
    epoch: float
    """Arrival in seconds since the Unix epoch."""


class _Head(NamedTuple):
    operation: str
    path: str
    status: int
    monotonic: float
    epoch: float


@dataclass(slots=True)
class Journal:
    """The latest calls, in bounds."""

    _rows: Rows[_Head] = field(default_factory=Rows)

    def add(
        self, operation: str, path: str, body: Json, members: Sequence[str], status: int, began: float
    ) -> None:
        """Note a call; `began`: its arrival on `time.monotonic`'s clock."""
        epoch = time.time() - (time.monotonic() - began)
        self._rows.append(
            _Head(operation, path, status, began, epoch),
            {"body": body, "members": list(members)},
            sum(map(len, members)),
        )

    @property
    def entries(self) -> list[Call]:
        """The calls, oldest first."""
        return [
            Call(
                head.operation,
                head.path,
                noted.get("body", noted),
                tuple(noted.get("members", ())),
                head.status,
                head.monotonic,
                head.epoch,
            )
            for head, noted in self._rows
        ]


@dataclass(frozen=True, slots=True)
class Cloud:
    """A running embedded Hydrosphere."""

    url: str
    """`http://127.0.0.1:<port>`: the cluster's address."""
    faults: Faults
    """Failures to come; refuses to take any unless the server was started with `faults=True`."""
    objects: dict[str, bytes]
    """For tests: the objects that it can reach in S3, `s3://` URI → CSV. It has no other access to S3."""
    journal: Journal
    books: Books
    view: Callable[[Any], Json]
    """A version as the era shows it."""

    @property
    def usage(self) -> str:
        """How to say that it is meant."""
        return f"kfp-runner run hydrosphere.release --cluster {self.url} …"

    @property
    def environment(self) -> dict[str, str]:
        """Variables that point a component here."""
        return {"HYDROSPHERE_CLUSTER": self.url}

    @property
    def calls(self) -> list[Call]:
        """What clients have asked so far, oldest first; the latest 20,000, or fewer if they were long."""
        return self.journal.entries

    @property
    def versions(self) -> list[Json]:
        """All versions as JSON, oldest first."""
        return [self.view(version) for version in self.books.versions]

    def use(self, model_name: str, version: int, application: str) -> None:
        """Let an application use a version, so that its model can't be deleted. Raises KeyError if there is none."""
        found = self.books.find(model_name, version)
        if found is None:
            raise KeyError(f"{model_name}:{version}")
        if application not in found.applications:
            found.applications.append(application)
