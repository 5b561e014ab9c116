"""What is asked of SageMaker to find what runs. Pure, and importing this imports no cloud.

The lists are asked, kind by kind: what searches by tags (the Resource Groups Tagging API, SageMaker's Search) lags behind,
and would miss a job that was made seconds ago.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from components.aws.sagemaker._api import ENDPOINT, JOBS, Kind
from runner.events import Phase

KINDS = (*JOBS, ENDPOINT)
"""All of a run that can be stopped: jobs, and endpoints as long as they are being made."""
KEPT = ("InService", "Updating", "SystemUpdating")
"""States of an endpoint that is of use to somebody: it is told of, and never touched."""
PAGE = 100
_ROWS = {"LabelingJob": "LabelingJobSummaryList", "Endpoint": "Endpoints"}


@dataclass(frozen=True, slots=True)
class Found:
    """Something that can be stopped, and may be."""

    kind: Kind
    name: str
    arn: str
    run: str = ""
    """The run by whose tag it was found; blank for what was found by name."""
    parent: str = ""
    """ARN of the tuning job that started it, where that is known."""

    @property
    def title(self) -> str:
        """As in `training job digits-1`."""
        return f"{noun(self.kind)} {self.name}"


def noun(kind: Kind) -> str:
    """Return a kind's word in a sentence (`training job`)."""
    return kind.shell.replace("-", " ").replace("hyper parameter ", "")


def running(kind: Kind) -> Sequence[str]:
    """Return the service's words for the states in which something of a kind is stopped."""
    if kind is ENDPOINT:
        return ("Creating",)
    # In the order in which a job passes through them: asked one after the other, none is missed that goes on meanwhile.
    return [
        state for wanted in (Phase.PENDING, Phase.RUNNING) for state, p in kind.phases.items() if p is wanted
    ]


def listing(state: str) -> dict[str, Any]:
    """Return the body of a list's first page; the newest come first, for they are the likeliest."""
    return {"StatusEquals": state, "SortBy": "CreationTime", "SortOrder": "Descending", "MaxResults": PAGE}


def rows_key(kind: Kind) -> str:
    """Return the member of a list's answer that holds the rows."""
    return _ROWS.get(kind.noun, f"{kind.noun}Summaries")


def candidates(name: str) -> list[Kind]:
    """Return the kinds of which a job may have this name; an endpoint of that name is not what is meant."""
    return [kind for kind in JOBS if len(name) <= kind.limit]


def requests(run_id: str, names: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Return operation → the bodies of all first requests."""
    made: dict[str, list[dict[str, Any]]] = {}
    if run_id:
        made |= {f"List{kind.noun}s": [listing(state) for state in running(kind)] for kind in KINDS}
    for name in names:
        for kind in candidates(name):
            made.setdefault(f"Describe{kind.noun}", []).append({kind.name_key: name})
    return made
