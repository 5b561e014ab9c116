"""Model versions: how a cluster of either era shows them, and how they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from components.hydrosphere.api import Api
from runner.errors import ServiceError

VERSIONS = "/api/v2/model/version"
LONGEST_LIST = 16 * 2**20
"""Bytes of the list of all versions: some ten thousand of them."""
ASSEMBLING, RELEASED, FAILED = "Assembling", "Released", "Failed"


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a model."""

    id: int
    """Of the version, among those of all models."""
    model_id: int
    model: str
    number: int
    """From 1, among those of its model."""
    status: str = ""
    """`Assembling`, `Released` or `Failed`. An external model, which says none, is released as soon as it is known."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    runtime: str = ""
    """`name:tag`; blank for an external model."""
    image: str = ""
    """What was built."""
    install_command: str | None = None
    """Blank for none; None where the cluster does not tell: its list doesn't."""
    fields: tuple[str, ...] = ()
    """Names of the signature's inputs and outputs, in order."""
    applications: tuple[str, ...] = ()
    """Which use it."""

    @property
    def name(self) -> str:
        """As Hydrosphere writes it: `model:number`."""
        return f"{self.model}:{self.number}"

    @classmethod
    def of(cls, told: Any) -> Version:  # noqa: ANN401  JSON
        """Read a version as JSON. Raises `ServiceError` for what is none."""
        try:
            return cls(
                id=int(told["id"]),
                model_id=int(told["model"]["id"]),
                model=str(told["model"]["name"]),
                number=int(told["modelVersion"]),
                status=str(told.get("status") or ("" if told.get("runtime") else RELEASED)),
                metadata={str(k): str(v) for k, v in (told.get("metadata") or {}).items()},
                runtime=_image(told.get("runtime")),
                image=_image(told.get("image")),
                install_command=str(told["installCommand"] or "") if "installCommand" in told else None,
                fields=_fields(told),
                applications=tuple(str(name) for name in told.get("applications") or ()),
            )
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise ServiceError("Hydrosphere answered with something that is no model version") from error


def _fields(told: Mapping[str, Any]) -> tuple[str, ...]:
    contract = told.get("modelContract") or {}
    signature = told.get("modelSignature") or contract.get("predict") or {}
    return tuple(str(each["name"]) for side in ("inputs", "outputs") for each in signature.get(side) or ())


def _model(told: Any) -> object:  # noqa: ANN401  JSON
    model = told.get("model") if isinstance(told, Mapping) else None
    return model.get("name") if isinstance(model, Mapping) else None


def _image(told: Mapping[str, Any] | None) -> str:
    return f"{told['name']}:{told.get('tag') or 'latest'}" if told else ""


class Versions:
    """The versions on one cluster."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def of_model(self, model: str) -> list[Version]:
        """Return all versions of a model, oldest first. The cluster knows no way to list fewer than all models'."""
        told = await self._api.call("GET", VERSIONS, most=LONGEST_LIST)
        if not isinstance(told, list):
            raise ServiceError("Hydrosphere answered with something that is no list of model versions")
        ours = [Version.of(each) for each in told if _model(each) == model]
        return sorted(ours, key=lambda version: version.number)

    async def get(self, model: str, number: int) -> Version:
        """Return one version. Raises `NotFound`."""
        return Version.of(await self._api.call("GET", f"{VERSIONS}/{quote(model, safe='')}/{number}"))

    async def require_model(self, model_id: int) -> None:
        """Return if there is such a model. Raises `NotFound`."""
        await self._api.call("GET", f"/api/v2/model/{model_id}")

    async def delete_model(self, model_id: int) -> None:
        """Delete a model with all its versions; the cluster refuses it while one is in use."""
        await self._api.call("DELETE", f"/api/v2/model/{model_id}")
