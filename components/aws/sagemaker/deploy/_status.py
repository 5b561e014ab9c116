"""How a DescribeEndpoint answer is read. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from components.aws.sagemaker._api import ENDPOINT
from components.aws.sagemaker._hints import hint
from runner.events import Phase, Status

IN_PROGRESS = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack"})
"""SageMaker refuses to change or delete an endpoint in these: "Cannot update in-progress endpoint"."""
MIXED = "UpdateRollbackFailed"
"""Neither the update nor the way back was carried through: parts of both configurations may run."""
_FAILED = frozenset({Phase.FAILED, Phase.STOPPED})
_UNTOLD = {
    "OutOfService": "the endpoint is out of service",
    MIXED: "the update failed, and so did the way back: the endpoint runs a mix of both configurations",
}


def running(description: Mapping[str, Any]) -> str:
    """Return the configuration that an endpoint runs; while it is being updated, the one before."""
    return str(description.get("EndpointConfigName", ""))


def pending(description: Mapping[str, Any]) -> str:
    """Return the configuration that is being rolled out, where the service says so."""
    return str(description.get("PendingDeploymentSummary", {}).get("EndpointConfigName", ""))


def uses(description: Mapping[str, Any] | None, config: str) -> bool:
    """Whether an endpoint needs a configuration. While one is deleted it needs none; after a failed way back, any."""
    if description is None or description["EndpointStatus"] == "Deleting":
        return False
    return description["EndpointStatus"] == MIXED or config in (running(description), pending(description))


def status(description: Mapping[str, Any], target: str = "", elsewhere: str = "") -> Status:
    """Read a DescribeEndpoint answer.

    `target` is the configuration that an update is to end on; `elsewhere` says why it certainly does not. Without that,
    being in service on another one means only that the update is yet to begin.
    """
    state = str(description["EndpointStatus"])
    phase = ENDPOINT.phases.get(state, Phase.RUNNING)
    reason = str(description.get("FailureReason", ""))
    if elsewhere:
        phase, reason = Phase.FAILED, f"{elsewhere}: {reason}" if reason else elsewhere
    elif target and running(description) == target and pending(description) not in ("", target):
        phase = Phase.SUCCEEDED  # It got there; that somebody moves it on is another matter.
    elif target and phase is Phase.SUCCEEDED and running(description) != target:
        phase = Phase.RUNNING
    if phase is Phase.FAILED and not reason:
        reason = _UNTOLD.get(state, "")
    failed = phase in _FAILED
    return Status(
        phase,
        state,
        _stage(description, state),
        told(description),
        reason if failed else "",
        hint(reason) if failed and reason else "",
        brief=state == "Deleting",
        facts={"endpoint": str(description["EndpointName"]), "configuration": running(description)}
        if phase is Phase.SUCCEEDED
        or (phase.final and target)  # What could not be made is not there to be told of.
        else {},
    )


def told(description: Mapping[str, Any]) -> str:
    """Return how each variant stands: `a: 1 of 2 instances, Creating`; of a deployment under way, the new ones."""
    return "; ".join(_variant(variant) for variant in _variants(description))


def _stage(description: Mapping[str, Any], state: str) -> str:
    """Return the variants' finer word, where they have one in common: `ActivatingTraffic`, `Baking`."""
    words = {
        entry["Status"] for variant in _variants(description) for entry in variant.get("VariantStatus", ())
    }
    return words.pop() if len(words) == 1 and state not in words else ""


def _variants(description: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    summary = description.get("PendingDeploymentSummary", {})
    return summary.get("ProductionVariants") or description.get("ProductionVariants") or ()


def _variant(variant: Mapping[str, Any]) -> str:
    parts = []
    current, desired = variant.get("CurrentInstanceCount"), variant.get("DesiredInstanceCount")
    if desired is not None:
        parts.append(f"{current or 0} of {desired} instance{'s' if desired != 1 else ''}")
    parts += [
        entry["Status"] + (f" ({entry['StatusMessage']})" if entry.get("StatusMessage") else "")
        for entry in variant.get("VariantStatus", ())
    ]
    return f"{variant['VariantName']}: {', '.join(parts)}" if parts else str(variant["VariantName"])


def deleted(name: str, more: str = "") -> Status:
    """Return the status of an endpoint that was there and is no more, by no doing of ours; `more` is what is now."""
    return Status(
        Phase.STOPPED,
        "Deleted",
        reason="the endpoint was deleted by somebody else" + more,
        facts={"endpoint": name},
    )


def amended(before: Status, done: Sequence[str], left: Sequence[str], what: str = "removed") -> Status:
    """Return a final status that also tells what was removed, and what could not be, with the command that does it."""
    facts = {**before.facts, **({what: ", ".join(done)} if done else {})}
    return replace(before, facts=facts, hint="; ".join(part for part in (before.hint, *left) if part))
