"""What to stop, and what came of it."""

from __future__ import annotations

import json
from typing import Any

from pydantic import field_validator
from pydantic_core import PydanticCustomError

from components.aws.inputs import Where
from runner.inputs import Flag, JsonArray, Outputs, arg


class StopInputs(Where):
    """What to stop, and where."""

    run_id: str = arg(
        "Pipeline run whose jobs to stop: all that bear its tag, of every kind. In a pipeline, "
        "dsl.PIPELINE_JOB_ID_PLACEHOLDER.",
        "",
    )
    job_names: str = arg(
        "Names of jobs to stop, whosever they are, separated by commas or as a JSON list; beside run_id, or alone. A name "
        "that no job has fails the step in the end. Endpoints are not stopped by name.",
        "",
    )
    dry_run: Flag = arg("Only tell what would be stopped.", False)

    @field_validator("job_names", mode="before")
    @classmethod
    def _commas(cls, given: Any) -> Any:  # noqa: ANN401  whatever was given
        """Return names as text with commas, each once; a list may come as text, too, as from another step's output."""
        names = given
        if isinstance(given, str):
            names = given.split(",")
            if given.lstrip().startswith("["):
                try:
                    names = json.loads(given)
                except ValueError:
                    raise PydanticCustomError("names", "is no JSON list; write a,b or [...]") from None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise PydanticCustomError("names", "is no list of names; write a,b")
        return ",".join(dict.fromkeys(filter(None, (name.strip() for name in names))))


class StopOutputs(Outputs):
    """What came of it."""

    stopped: JsonArray = arg(
        "Names of the jobs that this step stopped; in a dry run, of those that it would stop."
    )
