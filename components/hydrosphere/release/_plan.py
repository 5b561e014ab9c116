"""From checked arguments to all that a release needs to know before it meets a cluster."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.hydrosphere.release._eras import Era, external_body, upload_body
from components.hydrosphere.release._image import Image
from components.hydrosphere.release._inputs import ReleaseInputs
from components.hydrosphere.release._release import Release
from components.hydrosphere.release.contract import reading as contracts
from components.hydrosphere.release.contract.reading import Signature
from components.hydrosphere.release.payload import members as payloads
from components.hydrosphere.release.payload.members import Member
from components.hydrosphere.upload import opened
from runner.errors import InputError
from runner.identity import OUR_TAGS, OWNER_TAG, RUN_TAG, Identity

_LONGEST_HEADER = 2**20
"""Bytes of a CSV file's first line that are looked at."""
UPLOAD, EXTERNAL = "POST /api/v2/model/upload", "POST /api/v2/externalmodel"


@dataclass(frozen=True, slots=True)
class Plan:
    """A release, read and checked."""

    release: Release
    members: tuple[Member, ...]
    """What the upload's archive will hold."""
    training_data: str = ""
    """A path that exists, or an S3 URI; blank for none."""
    owner: str = ""
    """The run key, by which a step that was started again knows its version; blank outside a pipeline run."""
    remarks: tuple[str, ...] = ()
    """What the user should know of what we made of the arguments."""

    @property
    def secrets(self) -> frozenset[str]:
        """What no error may repeat: the values of the user's metadata."""
        return frozenset(
            value for key, value in (self.release.metadata or {}).items() if not key.startswith(OUR_TAGS)
        )

    @property
    def external(self) -> bool:
        """Whether the model runs somewhere else: there is nothing to upload."""
        return self.release.runtime is None

    def request(self, era: Era) -> dict[str, Any]:
        """Return the body that registers the version: of an upload, its `metadata` part."""
        return external_body(self.release, era) if self.external else upload_body(self.release, era)


def plan(inputs: ReleaseInputs, identity: Identity, stopped: Callable[[], bool] = lambda: False) -> Plan:
    """Read and check everything that is named. Raises `InputError` with all that is wrong.

    In a pipeline run it reads the whole payload, which may take seconds; once `stopped()` is true, it raises `Stopped`.
    """
    wrong: list[str] = []

    def tried(make: Any, *given: Any) -> Any:  # noqa: ANN401  whatever it makes of whatever it takes
        try:
            return make(*given)
        except InputError as error:
            wrong.append(str(error))
        return None

    external = not (inputs.path or inputs.payload or inputs.runtime)
    signature = tried(contracts.read, inputs.contract_path)
    image = None if external else tried(_runtime, inputs)
    members = () if external else tried(payloads.find, inputs.path, inputs.payload)
    training = tried(_training_data, inputs)
    wrong += _contradictions(inputs, external=external)
    wrong += _metadata(inputs.metadata)
    if wrong:
        raise InputError("; ".join(wrong))
    release = Release(
        inputs.model_name, signature, image, inputs.install_command or None, dict(inputs.metadata)
    )
    remarks = tuple(_remarks(inputs, release, training))
    return _owned(Plan(release, members, training, remarks=remarks), identity, stopped)


def _owned(plan: Plan, identity: Identity, stopped: Callable[[], bool]) -> Plan:
    """Return the plan with tags of ours in the version's metadata, if it is made in a pipeline run."""
    if not identity.run_id:
        return plan
    asked = {"request": plan.request(Era.THREE), "payload": payloads.digest(plan.members, stopped)}
    owner = identity.owner({**asked, "training_data": plan.training_data})
    release = plan.release
    tagged = {**(release.metadata or {}), RUN_TAG: identity.run_id, OWNER_TAG: owner}
    made = Release(release.model, release.signature, release.runtime, release.install_command, tagged)
    return Plan(made, plan.members, plan.training_data, owner, plan.remarks)


def _runtime(inputs: ReleaseInputs) -> Image:
    if not inputs.runtime.strip():
        raise InputError(
            "--runtime is required with --path and --payload: the image that serves the model; all three are blank for "
            "an external model"
        )
    return Image.parse(inputs.runtime.strip())


def _training_data(inputs: ReleaseInputs) -> str:
    """Return the training data's path, which may be given as seen from the model's folder, or its URI."""
    given = inputs.training_data.strip()
    if not given or given.startswith("s3://"):
        if given and not given.removeprefix("s3://").strip("/"):
            raise InputError(
                f"--training_data is {given[:60]!r}, which names no object; write s3://BUCKET/KEY"
            )
        return given
    if "://" in given:
        raise InputError(f"--training_data is {given[:60]!r}; write a local path, or s3://BUCKET/KEY")
    try:
        found = next((p for p in (Path(given), Path(inputs.path, given)) if p.exists()), None)
    except (OSError, ValueError) as error:
        raise InputError(
            f"--training_data is {given[:60]!r}, which can't be a path ({error!s:.60})"
        ) from None
    if found is None:
        where = f", nor in {inputs.path!r}" if inputs.path else ""
        raise InputError(f"--training_data: there is no file {given!r}{where}")
    if not found.is_file():
        raise InputError(f"--training_data: {given!r} is no file; it has to be a CSV file")
    if not os.access(found, os.R_OK):
        raise InputError(f"--training_data: {given!r} can't be read; check its permissions")
    if not found.stat().st_size:
        raise InputError(f"--training_data: {given!r} is empty; it needs a line of column names, and rows")
    return str(found)


def _contradictions(inputs: ReleaseInputs, *, external: bool) -> Iterator[str]:
    if external and inputs.install_command:
        yield "--install_command is of no use to an external model, which is not built; leave it out, or give --runtime"
    if inputs.require_training_profile and not inputs.training_data.strip():
        yield "--require_training_profile needs --training_data"


def _metadata(given: Mapping[str, Any]) -> Iterator[str]:
    for key, value in given.items():
        if not isinstance(value, str):
            yield f"--metadata: the value of {key[:60]!r} is not text; put it in quotes"
        if key.startswith(OUR_TAGS):
            yield f"--metadata: {key[:60]!r} begins with {OUR_TAGS!r}, which is kept for the runner; choose another name"


def _remarks(inputs: ReleaseInputs, release: Release, training: str) -> Iterator[str]:
    image = release.runtime
    if image is not None and not image.tagged:
        yield f"--runtime {image.name} has no tag; taken as {image.name}:latest"
    if image is not None and not inputs.payload:
        yield "--payload lists nothing, so the version holds no files" + (
            """; for what is in --path, write --payload '["./*"]'""" if inputs.path else ""
        )
    for entry in inputs.payload:
        if isinstance(entry, str) and os.path.isabs(entry):  # noqa: PTH117
            yield f"--payload names {entry[:200]!r}, which need not lie in --path; it goes along without its first slash"
    if training and not training.startswith("s3://"):
        yield from _lacking(training, release.signature)


def _lacking(path: str, signature: Signature) -> Iterator[str]:
    """Say which columns a file of training data seems to lack: those of the inputs that a cell can hold."""
    with opened(path) as file:
        header = file.readline(_LONGEST_HEADER).decode(errors="replace")
    columns = {name.strip() for name in next(csv.reader([header]), [])}
    missing = [f.name for f in signature.inputs if f.dtype and not f.dims and f.name not in columns]
    if missing:
        yield f"--training_data has no column {', '.join(missing[:5])}, an input of the contract; its profile may fail"
