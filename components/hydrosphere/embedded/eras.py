"""What tells the two eras of Hydrosphere apart: how a version is described when it is sent, and when it is shown."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.hydrosphere.embedded import signatures
from components.hydrosphere.embedded.books import Draft, Signature, Version
from components.hydrosphere.embedded.wire.reading import member, texts

Json = Mapping[str, Any]
RELEASES = {2: "2.4.1", 3: "3.0.3"}
"""The releases that it stands for."""


@dataclass(frozen=True, slots=True)
class Era:
    """One of the two."""

    number: int

    def __post_init__(self) -> None:
        if self.number not in RELEASES:
            raise ValueError(f"there is no era {self.number}; there are: 2 and 3")

    def build_info(self, service: str) -> Json:
        """What a service says about itself."""
        return {
            "name": service,
            "version": RELEASES[self.number],
            "gitCurrentBranch": "embedded",
            "gitHeadCommit": "embedded",
        }

    def upload(self, body: Json) -> Draft:
        """Read the metadata of an upload. Raises `ApiError`; signature and name are yet to be checked."""
        runtime = member(body, "runtime", dict)
        image = {"name": member(runtime, "name", str), "tag": member(runtime, "tag", str)}
        if self.number == 2:
            image["sha256"] = member(runtime, "sha256", str, None)
        monitoring = member(body, "monitoringConfiguration", dict, {"batchSize": 100})
        return Draft(
            name=member(body, "name", str),
            signature=self._signature(body, "modelSignature"),
            metadata=texts(body, "metadata"),
            runtime=image,
            install_command=member(body, "installCommand", str, None),
            batch_size=member(monitoring, "batchSize", int),
        )

    def external(self, body: Json) -> Draft:
        """Read the description of an external model. Raises `ApiError`; signature and name are yet to be checked."""
        return Draft(
            name=member(body, "name", str),
            signature=self._signature(body, "signature"),
            metadata=texts(body, "metadata"),
        )

    def view(self, version: Version) -> dict[str, Any]:
        """All that there is to show of a version."""
        draft, model = version.draft, version.model
        shown: dict[str, Any] = {
            "id": version.id,
            "model": {"id": model.id, "name": model.name},
            "modelVersion": version.number,
        }
        shown |= self._shown_signature(draft.signature)
        if draft.runtime is not None:
            image = {"name": f"embedded/{model.name}", "tag": str(version.number)}
            # No image is made, so that there is no digest of one.
            shown |= {
                "runtime": draft.runtime,
                "image": image | ({"sha256": None} if self.number == 2 else {}),
                "installCommand": draft.install_command,
            }
        if self.number == 2:
            shown["hostSelector"] = None
        return shown | {
            "status": version.status,
            "metadata": draft.metadata,
            "monitoringConfiguration": {"batchSize": draft.batch_size},
            "created": _moment(version.created),
            "finished": _moment(version.finished) if version.finished else None,
            "isExternal": version.external,
            "applications": list(version.applications),
        }

    def listed(self, version: Version) -> Json:
        """A version as the list of all shows it: without the install command."""
        return {name: value for name, value in self.view(version).items() if name != "installCommand"}

    def alone(self, version: Version) -> Json:
        """A version as it is shown by itself: without the applications that use it."""
        return {name: value for name, value in self.view(version).items() if name != "applications"}

    def registered(self, version: Version) -> Json:
        """An external version as the answer to its registration shows it: without a status."""
        return {name: value for name, value in self.view(version).items() if name != "status"}

    def _signature(self, body: Json, name: str) -> Signature:
        if self.number == 3:
            return signatures.read(member(body, name, dict), 3)
        contract = member(body, "contract", dict)
        return signatures.read(member(contract, "predict", dict), 2, member(contract, "modelName", str))

    def _shown_signature(self, signature: Signature) -> Json:
        shown = {
            "signatureName": signature.name,
            "inputs": list(signature.inputs),
            "outputs": list(signature.outputs),
        }
        if self.number == 3:
            return {"modelSignature": shown}
        return {"modelContract": {"modelName": signature.contract, "predict": shown}}


def _moment(when: dt.datetime) -> str:
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
