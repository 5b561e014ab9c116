"""What is to be released, read and checked: the same for both eras of the platform and for both backends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from components.hydrosphere.release._image import Image
from components.hydrosphere.release.contract.reading import Signature


@dataclass(frozen=True, slots=True)
class Release:
    """One version of a model, without its files."""

    model: str
    signature: Signature
    runtime: Image | None = None
    """The image that the model is served in; None for an external model, which runs somewhere else."""
    install_command: str | None = None
    metadata: Mapping[str, str] | None = None
    """Text by text, as the user gave it, and what we add so that we know the version again."""


@dataclass(frozen=True, slots=True)
class Uploaded:
    """The version that a cluster has made of a release."""

    id: int
    """Its number among all versions of the cluster."""
    model_id: int
    model: str
    version: int
    """Its number among those of its model."""
