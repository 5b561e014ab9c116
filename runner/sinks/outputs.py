"""The output files, by which a step hands its results to the next one."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from runner.errors import InputError, RunnerError
from runner.sinks.files import Draft


def check_paths(paths: Mapping[str, Path]) -> None:
    """Raise `InputError` if an output could not be written where it is to go. Folders are made, files are not."""
    for name, path in paths.items():
        argument = f"--{name}_output_path"
        if path == Path() or not str(path).strip():
            raise InputError(f"{argument} is blank; give a file, or leave it out")
        try:
            Draft(path, "").discard()
        except (OSError, ValueError) as error:
            raise InputError(f"{argument} {os.fspath(path)!r}: can't write there: {_why(error)}") from error


def write_outputs(outputs: Mapping[str, object], paths: Mapping[str, Path]) -> None:
    """Write every output that has a path: all of them, or none.

    Each is written to a temporary file first; only when all are on disk do they take their places. An output
    without a value becomes an empty file, for a KFP step fails if a declared output's file is missing
    (facts/kfp.md §2). Outputs without a path are left out. Raises `RunnerError` that names the output.
    """
    with ExitStack() as stack:
        drafts = []
        for name, path in paths.items():
            try:
                draft = Draft(path, rendered(outputs.get(name)))
            except (OSError, ValueError) as error:
                raise _unwritten(name, path, error) from error
            stack.callback(draft.discard)
            drafts.append((name, path, draft))
        for name, path, draft in drafts:
            try:
                draft.commit()
            except OSError as error:
                raise _unwritten(name, path, error) from error


def _unwritten(name: str, path: Path, error: Exception) -> RunnerError:
    return RunnerError(f"the job's output {name} could not be written to {os.fspath(path)!r}: {_why(error)}")


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def rendered(value: object) -> str:
    """A value as the SageMaker components wrote it: dicts and lists as JSON, None as nothing, else `str`."""
    if value is None:
        return ""
    return json.dumps(value) if isinstance(value, dict | list) else str(value)
