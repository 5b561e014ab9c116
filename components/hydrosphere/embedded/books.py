"""Models and their versions, and how many there may be."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from components.hydrosphere.embedded.building.logs import BuildLog
from components.hydrosphere.embedded.wire.errors import ApiError, invalid

Json = Mapping[str, Any]
ASSEMBLING, RELEASED, FAILED = "Assembling", "Released", "Failed"
MOST_VERSIONS = 2000
"""Of all models together."""
MOST_BYTES = 16 * 1024**2
"""Of all versions' descriptions, as JSON."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model takes and gives, its fields as JSON in the era's words, checked."""

    name: str
    inputs: tuple[Json, ...]
    outputs: tuple[Json, ...]
    contract: str = ""
    """2.x only: the contract's own name of the model."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What a client wants to have on the books."""

    name: str
    signature: Signature
    metadata: Mapping[str, str]
    runtime: Json | None = None
    """Name, tag and in 2.x perhaps sha256; None for an external model."""
    install_command: str | None = None
    batch_size: int = 100
    size: int = field(init=False)
    """Bytes of all of it, as JSON."""

    def __post_init__(self) -> None:
        whole: list[Any] = [self.name, dataclasses.astuple(self.signature), self.metadata, self.runtime]
        whole += [self.install_command, self.batch_size]
        object.__setattr__(self, "size", len(json.dumps(whole)))  # once, and it is frozen


@dataclass(frozen=True, slots=True)
class Model:
    """A model: what its versions share."""

    id: int
    name: str


@dataclass(slots=True)
class Version:
    """One version of a model."""

    id: int
    model: Model
    number: int
    draft: Draft
    status: str
    log: BuildLog | None = None
    """None for an external model, which is not built."""
    created: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))
    finished: dt.datetime | None = None
    applications: list[str] = field(default_factory=list)

    @property
    def external(self) -> bool:
        """Whether it runs somewhere else."""
        return self.draft.runtime is None

    def end(self, status: str) -> None:
        """Note how its build ended."""
        self.status = status
        self.finished = dt.datetime.now(dt.UTC)


class Books:
    """All models and versions."""

    def __init__(self) -> None:
        self._models: dict[int, Model] = {}
        self._versions: dict[int, Version] = {}
        self._model_ids, self._version_ids = itertools.count(1), itertools.count(1)
        self._numbers: dict[int, itertools.count[int]] = {}
        self._size = 0

    @property
    def models(self) -> list[Model]:
        """In the order of their making."""
        return list(self._models.values())

    @property
    def versions(self) -> list[Version]:
        """In the order of their making."""
        return list(self._versions.values())

    def model(self, number: int) -> Model | None:
        """Look a model up by its id."""
        return self._models.get(number)

    def version(self, number: int) -> Version | None:
        """Look a version up by its id."""
        return self._versions.get(number)

    def find(self, name: str, number: int) -> Version | None:
        """Look a version up by its model's name and its number."""
        return next((v for v in self.versions if v.model.name == name and v.number == number), None)

    def check_room(self, draft: Draft) -> None:
        """Raise `ApiError` if there is no room for one more."""
        if len(self._versions) >= MOST_VERSIONS:
            raise _full(f"{MOST_VERSIONS} versions")
        if self._size + draft.size > MOST_BYTES:
            raise _full(f"{MOST_BYTES} bytes of descriptions")

    def enter(self, draft: Draft) -> Version:
        """Put the next version of a model on the books, and the model if it is new. Raises `ApiError`."""
        self.check_room(draft)
        model = next((each for each in self.models if each.name == draft.name), None)
        if model is None:
            model = Model(next(self._model_ids), draft.name)
            self._models[model.id] = model
            self._numbers[model.id] = itertools.count(1)
        number = next(self._numbers[model.id])
        status = RELEASED if draft.runtime is None else ASSEMBLING
        log = None if draft.runtime is None else BuildLog()
        version = Version(next(self._version_ids), model, number, draft, status, log)
        if version.external:
            version.finished = version.created
        self._versions[version.id] = version
        self._size += draft.size
        return version

    def of(self, model: Model) -> list[Version]:
        """The versions of a model."""
        return [version for version in self.versions if version.model == model]

    def remove(self, model: Model, versions: Iterable[Version]) -> None:
        """Take a model with all its versions off the books."""
        del self._models[model.id]
        del self._numbers[model.id]
        for version in versions:
            del self._versions[version.id]
            self._size -= version.draft.size


def _full(what: str) -> ApiError:
    return invalid(f"The embedded Hydrosphere holds at most {what}. Delete a model to make room.")
