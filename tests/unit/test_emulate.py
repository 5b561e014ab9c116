"""`kfp-runner emulate`: what is common to all providers, and what is each one's own."""

from __future__ import annotations

import pytest

from runner.emulate import main
from runner.errors import InputError


def shown(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    with pytest.raises(SystemExit) as left:
        main(argv)
    assert left.value.code == 0
    return capsys.readouterr().out


def test_help_without_a_provider_says_where_the_rest_is(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "--help")
    assert "whose cloud: aws, hydrosphere" in text
    assert "--era" not in text
    assert "Name the provider before --help" in text


@pytest.mark.parametrize(
    ("provider", "own", "other"), [("aws", "--image", "--era"), ("hydrosphere", "--era", "--image")]
)
def test_help_with_one_shows_its_own_options(
    provider: str, own: str, other: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = shown(capsys, "--port", "0", provider, "--help")
    assert own in text
    assert other not in text


def test_no_such_provider() -> None:
    with pytest.raises(InputError, match="there is no embedded cloud 'azure'"):
        main(["azure"])


@pytest.mark.parametrize(
    ("argv", "wrong"),
    [
        (["hydrosphere", "--era", "4"], "--era"),
        (["hydrosphere", "--image", "a=b"], "--image"),
        (["aws", "--era", "2"], "--era"),
        (["aws", "--port", "70000"], "no port"),
    ],
)
def test_a_wrong_option_is_named(argv: list[str], wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(argv)
    assert left.value.code == 2
    assert wrong in capsys.readouterr().err
