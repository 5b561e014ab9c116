"""The output files, by which a step hands its results to the next one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from runner.sinks.files import Draft


def write_outputs(outputs: Mapping[str, object], paths: Mapping[str, Path]) -> None:
    """Write every output that has a path: all of them, or none.

    Each is written to a temporary file first; only when all are on disk do they take their places. An output
    without a value becomes an empty file, for a KFP step fails if a declared output's file is missing
    (facts/kfp.md §2). Outputs without a path are left out. Raises `OSError`.
    """
    with ExitStack() as stack:
        drafts = []
        for name, path in paths.items():
            draft = Draft(path, rendered(outputs.get(name)))
            stack.callback(draft.discard)
            drafts.append(draft)
        for draft in drafts:
            draft.commit()


def rendered(value: object) -> str:
    """A value as the SageMaker components wrote it: dicts and lists as JSON, None as nothing, else `str`."""
    if value is None:
        return ""
    return json.dumps(value) if isinstance(value, dict | list) else str(value)
