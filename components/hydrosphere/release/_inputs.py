"""The arguments and outputs of a release."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import field_validator
from pydantic_core import PydanticCustomError

from components.hydrosphere.inputs import Where
from runner.inputs import FileOf, Flag, JsonArray, JsonObject, Outputs, arg

_NAME = re.compile(r"[a-z\-_0-9]+")


class ReleaseInputs(Where):
    """Arguments of a release: the predecessor's, in its order, then ours."""

    model_name: str = arg("Name of the model to release a version of: lower-case letters, digits, - and _.")
    path: str = arg("Root folder of the model's files. Not for external models.", "")
    payload: JsonArray = arg(
        "What to upload of path: files, folders with all that is in them, patterns (which leave hidden files out): "
        '["./src/", "./*.joblib"]. Not for external models.',
        [],
    )
    contract_path: Annotated[str, FileOf("contract")] = arg(
        "File with the contract, as JSON or YAML: the model's inputs and outputs."
    )
    runtime: str = arg(
        "Image that serves the model, as name:tag; without a tag, latest. Blank for external models, like path and payload.",
        "",
    )
    install_command: str = arg("Shell command that the build runs in the runtime; blank for none.", "")
    training_data: str = arg("CSV file with the training data: a local path, or an s3:// URI.", "")
    metadata: JsonObject = arg('What else to note about the version; text by text: {"key": "value"}.', {})
    require_training_profile: Flag = arg(
        "Wait for the training data's profile, and fail if there is none.", False
    )
    delete_on_cancel: Flag = arg(
        "If the step is cancelled, delete the version it made: only if it is the model's only one, and unused.",
        False,
    )
    backend: Literal["native", "hydrosdk"] = arg(
        "Who sends the upload: our own client, or hydrosdk in a process beside us (3.x clusters only).",
        "native",
    )

    @field_validator("model_name")
    @classmethod
    def _a_name(cls, value: str) -> str:
        if not _NAME.fullmatch(value):
            raise PydanticCustomError("name", "does not match [a-z-_0-9]+, which Hydrosphere requires")
        return value

    @field_validator("install_command")
    @classmethod
    def _one_command(cls, value: str) -> str:
        if "\n" in value.strip().replace("\\\n", " ") or "\r" in value:
            raise PydanticCustomError(
                "command",
                "has several lines, which would become instructions of the build; join them with &&",
            )
        return value.strip()


class ReleaseOutputs(Outputs):
    """What is left behind."""

    version: int = arg("Number of the version that was released, among those of its model.")
