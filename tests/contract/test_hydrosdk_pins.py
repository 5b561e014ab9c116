"""hydrosdk is installed in several ways; all of them, and what we tell users, mean the same releases."""

from __future__ import annotations

import re
import tomllib

from components.hydrosphere.release.backends.hydrosdk import INSTALL
from tests.support.dockerfile import stages, whole
from tests.support.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
PINNED = {one for one in EXTRAS["hydrosphere"] if "==" in one}
NAMES = {one.partition("==")[0] for one in PINNED}


def test_extra_for_uv_is_that_for_pip_and_the_pins() -> None:
    assert {*EXTRAS["hydrosphere"]} - PINNED == {"kfp-runner[hydrosphere-pip]"}
    assert "hydrosdk" in NAMES


def test_constraints_hold_the_same_pins() -> None:
    assert {*(ROOT / "constraints.txt").read_text().splitlines()} >= PINNED


def test_make_and_the_image_install_the_same() -> None:
    (line,) = re.findall(r"^HYDROSDK := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {*line.split()} == NAMES
    build = whole(stages((ROOT / "Dockerfile").read_text()), "build-hydrosphere")
    (run,) = [run for run in build.all("RUN") if "--no-deps" in run.text]
    assert {*run.text.partition("--no-deps")[2].split()} == NAMES


def test_users_are_told_the_same() -> None:
    assert {*re.findall(r"[\w-]+==[\d.]+", INSTALL)} == PINNED
    for extra in re.findall(r"'\.\[([\w-]+)\]'", INSTALL):
        assert extra in EXTRAS
