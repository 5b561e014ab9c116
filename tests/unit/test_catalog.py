"""Components are found by their folder's dotted path."""

from __future__ import annotations

import pytest

from runner import catalog
from runner.errors import InputError
from runner.job import Component

TRAIN = "aws.sagemaker.train"


def test_ids_are_the_folders_sorted() -> None:
    ids = list(catalog.ids())
    assert TRAIN in ids
    assert ids == sorted(ids)
    assert all((catalog.folder().joinpath(*name.split(".")) / "component.py").is_file() for name in ids)


def test_every_component_can_be_loaded() -> None:
    for name in catalog.ids():
        assert isinstance(catalog.load(name), Component)


@pytest.mark.parametrize(
    "name", ["aws.sagemaker.trian", "train", "sagemaker.train", "aws.sagemaker.training"]
)
def test_a_near_name_is_suggested(name: str) -> None:
    with pytest.raises(InputError, match=f"^there is no component '{name}'; did you mean {TRAIN}\\?$"):
        catalog.load(name)


@pytest.mark.parametrize("name", ["", "zzzzzz", "../../etc/passwd", "os", "aws"])
def test_otherwise_all_are_listed_and_nothing_is_imported(name: str) -> None:
    with pytest.raises(InputError, match="there is no component") as raised:
        catalog.load(name)
    assert "\n" not in str(raised.value)
    assert "aws.sagemaker" in str(raised.value)


def test_without_the_components_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "PACKAGE", "no_such_components")
    with pytest.raises(InputError, match="'no_such_components' is not installed beside the runner"):
        list(catalog.ids())
