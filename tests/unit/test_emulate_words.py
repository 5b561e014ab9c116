"""`kfp-runner emulate` tells the provider from the values of options, and says what its cloud does."""

from __future__ import annotations

import argparse
from typing import Any

import pytest

from runner import emulate
from runner.emulate import main


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[argparse.Namespace]:
    """What would be served."""
    asked: list[argparse.Namespace] = []

    async def serve(_: Any, given: argparse.Namespace) -> int:
        asked.append(given)
        return 0

    monkeypatch.setattr(emulate, "_serve", serve)
    return asked


@pytest.mark.parametrize(
    ("argv", "provider"),
    [
        (["--folder", "hydrosphere", "aws"], "aws"),
        (["--folder=hydrosphere", "aws"], "aws"),
        (["aws", "--folder", "hydrosphere"], "aws"),
        (["--image", "aws=hydrosphere", "aws"], "aws"),
        (["--port", "0", "aws"], "aws"),
        (["aws", "--port", "0"], "aws"),
        (["--era", "2", "hydrosphere", "--port", "0"], "hydrosphere"),
        (["--faults", "hydrosphere", "--build-seconds", "1"], "hydrosphere"),
        (["--build", "1", "hydrosphere"], "hydrosphere"),
    ],
)
def test_the_provider_may_stand_anywhere(
    argv: list[str], provider: str, served: list[argparse.Namespace]
) -> None:
    assert main(argv) == 0
    assert [given.provider for given in served] == [provider]


def test_the_value_of_an_option_is_no_provider(served: list[argparse.Namespace]) -> None:
    main(["--folder", "hydrosphere", "aws"])
    assert str(served[0].folder) == "hydrosphere"


@pytest.mark.parametrize(
    ("provider", "says"), [("aws", "It really executes jobs"), ("hydrosphere", "builds are simulations")]
)
def test_help_says_what_the_cloud_does(provider: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([provider, "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert says in text
    assert ("executes jobs" in text) == (provider == "aws")


def test_what_can_not_be_told_apart_is_not_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    """--f may be --faults or --folder."""
    with pytest.raises(SystemExit) as left:
        main(["--f", "hydrosphere"])
    assert left.value.code == 2
    assert "name the provider first" in capsys.readouterr().err
