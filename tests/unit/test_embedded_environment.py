"""What is meant for the embedded cloud goes nowhere else, whatever the user's environment says."""

from __future__ import annotations

import os

import pytest

from runner.embedded import _environment

OURS = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "embedded"}


@pytest.mark.parametrize(
    "name",
    [
        "AWS_PROFILE",
        "AWS_ENDPOINT_URL_SAGEMAKER",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
        "AWS_CA_BUNDLE",
        "HTTP_PROXY",
        "https_proxy",
        "ALL_PROXY",
    ],
)
def test_what_leads_away_is_set_aside_and_comes_back(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "elsewhere")
    monkeypatch.setenv("HOME_OF_SOMETHING_ELSE", "stays")
    before = dict(os.environ)
    with _environment(OURS):
        assert name not in os.environ
        assert os.environ["HOME_OF_SOMETHING_ELSE"] == "stays"
        assert {k: os.environ[k] for k in OURS} == OURS
    assert dict(os.environ) == before
