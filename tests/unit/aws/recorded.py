"""What the predecessor's recorded requests say of a component, and what the tests of all components ask alike."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from runner.events import Phase
from runner.inputs import Inputs, Outputs
from tests.support.paths import SHARED

REQUESTS = SHARED / "data" / "sagemaker_requests.json"
CONNECTION = {"region", "endpoint_url", "assume_role"}
"""Inputs that are no member of any request."""
JOB_STATES = [
    ("InProgress", Phase.RUNNING, False),
    ("Completed", Phase.SUCCEEDED, False),
    ("Failed", Phase.FAILED, False),
    ("Stopping", Phase.STOPPING, True),
    ("Stopped", Phase.STOPPED, False),
    ("SomethingNew", Phase.RUNNING, False),
]
"""A job's states in the service's words → its phase, and whether that is brief."""

needs_recorded = pytest.mark.skipif(
    not REQUESTS.exists(), reason="the material recorded from the predecessor is not here"
)


def recorded(component: str) -> dict[str, Any]:
    """Return what was recorded of a component."""
    found: dict[str, Any] = json.loads(REQUESTS.read_text())["components"][component]
    return found


def arguments(component: str) -> set[str]:
    """Return the words in the recorded lists of arguments."""
    return {name for entry in recorded(component)["fields"] for name in re.findall(r"[a-z_]+", entry["arg"])}


def holds_all(component: str, inputs: type[Inputs], outputs: type[Outputs], names: set[str]) -> bool:
    """Say whether a component has exactly these inputs beside the connection's, and the recorded outputs."""
    assert set(inputs.model_fields) - CONNECTION == names
    assert set(outputs.model_fields) == set(recorded(component)["outputs"])
    return True


def at(found: Any, where: str) -> Any:
    """Return the member of a body at a dotted path; None where there is none."""
    for part in where.split("."):
        found = found[int(part)] if part.isdigit() else (found or {}).get(part)
    return found
