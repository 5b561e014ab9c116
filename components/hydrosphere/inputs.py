"""The inputs that every Hydrosphere component has. Importing this imports no client."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from pydantic import field_validator, model_validator
from pydantic_core import PydanticCustomError

from runner.inputs import Inputs, arg, refuse_user


class Where(Inputs):
    """Where to connect: all that is needed to reach a model version that exists."""

    cluster: str = arg(
        "HTTP address of the Hydrosphere platform, as http://HOST:PORT. With --local the embedded one stands for it."
    )

    @model_validator(mode="before")
    @classmethod
    def _no_secret(cls, given: Any) -> Any:  # noqa: ANN401  whatever was given
        refuse_user(given, "cluster")
        return given

    @field_validator("cluster")
    @classmethod
    def _an_address(cls, value: str) -> str:
        value = value.strip().rstrip("/")
        try:
            parts = urlsplit(value)
            port = parts.port
        except ValueError:
            port = -1
        if port == -1 or parts.scheme not in {"http", "https"} or not _is_host(parts.hostname):
            raise PydanticCustomError("address", "is no address; write http://HOST or http://HOST:PORT")
        if parts.path or parts.query or parts.fragment:
            # hydrosdk joins its paths to the host alone, so nobody's cluster can lie below a path.
            raise PydanticCustomError("address", "is more than an address; write http://HOST:PORT alone")
        return value


def _is_host(name: str | None) -> bool:
    try:
        return bool(name and name.encode("idna"))
    except UnicodeError:
        return False
