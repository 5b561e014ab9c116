"""What is sent to servers of either era. They refuse each other's bodies."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any

from components.hydrosphere.release._image import Image
from components.hydrosphere.release._release import Release
from components.hydrosphere.release.contract.reading import Field, Signature
from runner.errors import InputError

_VERSION = re.compile(r"v?([0-9]+)(?:[.+-].*)?", re.DOTALL)


class Era(IntEnum):
    """The major version of a server's protocol."""

    TWO = 2
    THREE = 3


def era_of(version: str) -> Era | None:
    """Tell the era by the version in a server's build information; None if it is none that we know."""
    found = _VERSION.fullmatch(version.strip())
    return next((era for era in Era if found and found[1] == str(era.value)), None)


def upload_body(release: Release, era: Era) -> dict[str, Any]:
    """Return what goes with a model's files, as the `metadata` part. Raises `InputError` without a runtime."""
    if release.runtime is None:
        raise InputError("--runtime is missing; it has to name the image that the model is served in")
    described = (
        {"contract": _contract(release)}
        if era is Era.TWO
        else {"modelSignature": _signature(release.signature, _dims)}
    )
    return {
        "name": release.model,
        "runtime": _runtime(release.runtime, era),
        **described,
        "installCommand": release.install_command,
        "metadata": _metadata(release.metadata),
    }


def external_body(release: Release, era: Era) -> dict[str, Any]:
    """Return the body that registers a model which runs somewhere else."""
    described = (
        {"contract": _contract(release)}
        if era is Era.TWO
        else {"signature": _signature(release.signature, _dims)}
    )
    return {"name": release.model, **described, "metadata": _metadata(release.metadata)}


def _runtime(image: Image, era: Era) -> dict[str, Any]:
    named = {"name": image.name, "tag": image.tag}
    return {**named, "sha256": image.sha256} if era is Era.TWO else named


def _contract(release: Release) -> dict[str, Any]:
    return {"modelName": release.model, "predict": _signature(release.signature, _named_dims)}


_Shape = Callable[[tuple[int, ...]], dict[str, Any]]


def _signature(signature: Signature, shape: _Shape) -> dict[str, Any]:
    return {
        "signatureName": signature.name,
        "inputs": [_field(field, shape) for field in signature.inputs],
        "outputs": [_field(field, shape) for field in signature.outputs],
    }


def _field(field: Field, shape: _Shape) -> dict[str, Any]:
    made: dict[str, Any] = {"name": field.name, "profile": field.profile, "shape": shape(field.dims)}
    if field.subfields:
        return {**made, "subfields": [_field(inner, shape) for inner in field.subfields]}
    return {**made, "dtype": field.dtype}


def _dims(dims: tuple[int, ...]) -> dict[str, Any]:
    return {"dims": list(dims)}


def _named_dims(dims: tuple[int, ...]) -> dict[str, Any]:
    return {"dim": [{"size": size, "name": ""} for size in dims], "unknownRank": False}


def _metadata(given: Mapping[str, str] | None) -> dict[str, str]:
    return dict(given or {})
