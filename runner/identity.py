"""Who a job belongs to: names and owner tags that stay the same when a step is started again.

A step of a pipeline run has a *run key*: the run's id, the step's name, and a digest of what is asked for. From it follow
the job's name (`TrainingJob-<digest>`, unless the user chose one) and the owner tag by which a restarted step knows its
own job again, instead of paying twice. A pod's name or uid is no part of it: those differ per attempt. The step's name
alone would not do: the branches of a parallel loop share it.

Without a run key, names are those of the predecessor: `TrainingJob-20260131120000-AB12`.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

OUR_TAGS = "kfp-runner/"
"""What the keys of all tags of ours begin with."""
RUN_TAG = "kfp-runner/run"
"""Tag whose value is the pipeline run's id: all jobs of a run can be found, and stopped, by it."""
RUN_ID = re.compile(r"[\w .:/=+@-]{0,200}")
"""What a run's id may hold: it becomes the value of a tag, at AWS and elsewhere."""
OWNER_TAG = "kfp-runner/owner"
"""Tag whose value is the run key: the job belongs to exactly this step of this run."""


def _suffix() -> str:
    """`YYYYMMDDHHMMSS-XXXX`: the time in UTC and four random characters of A-Z0-9."""
    alphabet = string.ascii_uppercase + string.digits
    return f"{datetime.now(UTC):%Y%m%d%H%M%S}-{''.join(secrets.choice(alphabet) for _ in range(4))}"


@dataclass(frozen=True, slots=True)
class Identity:
    """Of one start of one step. Made once, so that everything derived from it is pure."""

    component: str
    """The component's dotted id."""
    run_id: str = ""
    """The pipeline run's id; empty outside a pipeline."""
    step: str = ""
    """The step's name within the run."""
    suffix: str = field(default_factory=_suffix)
    """What makes a generated name unique."""

    @classmethod
    def of_environment(cls, component: str, environment: Mapping[str, str]) -> Identity:
        """Read `KFP_RUN_ID` and `KFP_STEP_NAME`, which `runner.pipeline.identified` sets on a step."""
        return cls(component, environment.get("KFP_RUN_ID", ""), environment.get("KFP_STEP_NAME", ""))

    def owner(self, request: Mapping[str, object]) -> str:
        """Return the run key of this step for a request (without its name and tags of ours), or nothing outside a run."""
        return _digest([self.run_id, self.step, self.component, request]) if self.run_id else ""

    def name(self, prefix: str, owner: str, limit: int = 63) -> str:
        """Return the job's name: of the run key where there is one, else generated; its last `limit` characters."""
        return f"{prefix}-{owner[:20] if owner else self.suffix}"[-limit:]


def nth(name: str, attempt: int, limit: int = 63) -> str:
    """Return the name of a step's n-th job: a step that is retried after its job failed needs a fresh name."""
    ending = f"-{attempt}"
    return name if attempt == 1 else name[: limit - len(ending)] + ending


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:40]
