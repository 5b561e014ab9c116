"""The inputs that every AWS component has. Importing this imports no cloud."""

from __future__ import annotations

import re
from typing import Any

from pydantic import field_validator, model_validator
from pydantic_core import PydanticCustomError

from runner.inputs import Inputs, JsonObject, arg, refuse_user


class Where(Inputs):
    """Where to connect: all that is needed to reach a job that exists."""

    region: str = arg("AWS region to work in, such as eu-west-1.")
    endpoint_url: str = arg(
        "Another address of the SageMaker API (a private link); logs and STS keep theirs.", ""
    )
    assume_role: str = arg("ARN of a role to assume for all calls, refreshed before it expires.", "")

    @model_validator(mode="before")
    @classmethod
    def _no_secret(cls, given: Any) -> Any:  # noqa: ANN401  whatever was given
        refuse_user(given, "endpoint_url")
        return given

    @field_validator("region")
    @classmethod
    def _a_region(cls, value: str) -> str:
        if not re.fullmatch(r"[a-z]{2,4}(-[a-z]+)+-\d+", value):
            raise PydanticCustomError("region", "is no AWS region; write one such as eu-west-1")
        return value

    @field_validator("endpoint_url")
    @classmethod
    def _an_address(cls, value: str) -> str:
        value = value.strip()
        if value and not re.fullmatch(r"https?://[^\s/]+\S*", value):
            raise PydanticCustomError("address", "is no address; write https://HOST, or leave it blank")
        return value


class AwsInputs(Where):
    """Where to connect, and the tags of what is made there."""

    tags: JsonObject = arg('Tags of what is made, as {"key": "value"}.', {})
