"""Failures on order, for tests: the embedded Hydrosphere misbehaves as the real one, or what lies between, on a bad day.

    kind                what happens to a matching call
    error_before        500 InternalException; not carried out
    error_after         500 InternalException; carried out, the answer is lost
    drop_before         the connection is closed; not carried out
    drop_after          the connection is closed; carried out, the answer is lost
    bad_gateway         502 with a proxy's HTML page; not carried out
    bad_gateway_after   502 with a proxy's HTML page; carried out, the answer is lost
    unavailable         503 with a proxy's HTML page; not carried out
    forbidden           403 with a proxy's HTML page; not carried out
    latency             it waits `seconds`, then goes on; adds to any other fault
    hang                it is never answered, until the client or the server ends the connection; not carried out
    missing             GetVersion: 404, ListVersions: the latest version is left out
    cut                 Events, Logs: the stream ends after `seconds`; 0: right after the first event
    silent              Events, Logs: the stream stays open and says nothing, no heartbeat either
    garbage             Events, Logs: a line comes that is no server-sent event, then it goes on
    fail_build          Build: it fails, and its log says so
    hang_build          Build: it never ends, until the version is deleted or the server ends

Operations: BuildInfo, Upload, RegisterExternal, ListModels, GetModel, DeleteModel, ListVersions, GetVersion, Events, Logs,
UploadProfile, UploadProfileS3, ProfileStatus, TrainingData; and Build, which is no call. `*` stands for all of them; a
kind that is about some operations only meets those. Of several matching faults (`latency` apart) the one added first is
used up first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from runner.emulation import faults

OPERATIONS = frozenset(
    {
        "BuildInfo",
        "Upload",
        "RegisterExternal",
        "ListModels",
        "GetModel",
        "DeleteModel",
        "ListVersions",
        "GetVersion",
        "Events",
        "Logs",
        "UploadProfile",
        "UploadProfileS3",
        "ProfileStatus",
        "TrainingData",
        "Build",
    }
)
BEFORE = frozenset({"error_before", "drop_before", "bad_gateway", "unavailable", "forbidden", "hang"})
AFTER = frozenset({"error_after", "drop_after", "bad_gateway_after"})
STREAMS = frozenset({"cut", "silent", "garbage"})
BUILDS = frozenset({"fail_build", "hang_build"})
MISSING = frozenset({"missing"})
_ONLY = {
    "missing": frozenset({"GetVersion", "ListVersions"}),
    **dict.fromkeys(STREAMS, frozenset({"Events", "Logs"})),
    **dict.fromkeys(BUILDS, frozenset({"Build"})),
}


@dataclass(frozen=True, slots=True)
class Fault(faults.Fault):
    """One failure on order. Raises ValueError for a kind or an operation that does not exist, or that don't go together."""

    KINDS: ClassVar[frozenset[str]] = BEFORE | AFTER | STREAMS | BUILDS | MISSING | {faults.LATENCY}

    def __post_init__(self) -> None:
        faults.Fault.__post_init__(self)
        if self.operation == "*":
            return
        if self.operation not in OPERATIONS:
            raise ValueError(
                f"no operation {self.operation!r}; there are: {', '.join(sorted(OPERATIONS))}, and *"
            )
        only = _ONLY.get(self.kind, OPERATIONS - {"Build"})
        if self.operation not in only:
            raise ValueError(f"the fault {self.kind} is for: {', '.join(sorted(only))}")


class Faults(faults.Faults[Fault]):
    """The faults on order."""

    def __init__(self, *, enabled: bool) -> None:
        super().__init__(Fault, enabled)

    def outcome(self, operation: str) -> str:
        """The kind of failure that this call meets; empty for none. Uses the fault up by one."""
        fault = self.take(operation, BEFORE | AFTER)
        return fault.kind if fault else ""

    def missing(self, operation: str) -> bool:
        """Whether this call is not to find what is there."""
        return self.take(operation, MISSING) is not None

    def stream(self, operation: str) -> Fault | None:
        """What this stream of events suffers."""
        return self.take(operation, STREAMS)

    def build(self) -> str:
        """The kind of failure that this build meets; empty for none."""
        fault = self.take("Build", BUILDS)
        return fault.kind if fault else ""
