"""How a version is read, whichever way and in whichever era a cluster shows it."""

from __future__ import annotations

from typing import Any

import pytest

from components.hydrosphere.versions import Version
from runner.errors import ServiceError

SIGNATURE = {"signatureName": "predict", "inputs": [{"name": "x"}], "outputs": [{"name": "y"}, {"name": "z"}]}
LEAST = {"id": 3, "model": {"id": 2, "name": "m"}, "modelVersion": 1}


def test_of_era_3_in_a_list() -> None:
    shown = {
        **LEAST,
        "modelSignature": SIGNATURE,
        "runtime": {"name": "r/i", "tag": "1"},
        "image": {"name": "m", "tag": "1", "sha256": None},
        "status": "Assembling",
        "metadata": {"k": "v"},
        "applications": ["shop"],
    }
    version = Version.of(shown)
    assert (version.name, version.status, version.runtime, version.image) == (
        "m:1",
        "Assembling",
        "r/i:1",
        "m:1",
    )
    assert (version.metadata, version.applications, version.fields) == (
        {"k": "v"},
        ("shop",),
        ("x", "y", "z"),
    )
    assert version.install_command is None


def test_of_era_2_by_itself() -> None:
    shown = {
        **LEAST,
        "modelContract": {"modelName": "m", "predict": SIGNATURE},
        "runtime": {"name": "r/i", "tag": "1", "sha256": None},
        "status": "Released",
        "installCommand": None,
        "metadata": {},
    }
    version = Version.of(shown)
    assert (version.status, version.fields, version.install_command) == ("Released", ("x", "y", "z"), "")


def test_an_external_one_says_no_status_and_is_released() -> None:
    version = Version.of({**LEAST, "metadata": None, "runtime": None})
    assert (version.status, version.runtime, version.metadata) == ("Released", "", {})


@pytest.mark.parametrize(
    "junk",
    [
        *(None, [], "x", 3, {}),
        *(
            {**LEAST, "id": "x"},
            {**LEAST, "id": float("inf")},
            {**LEAST, "model": "m"},
            {**LEAST, "metadata": [1]},
        ),
    ],
)
def test_what_is_no_version_is_said_so(junk: Any) -> None:
    with pytest.raises(ServiceError, match="no model version"):
        Version.of(junk)
