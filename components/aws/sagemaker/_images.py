"""SageMaker's built-in algorithms: friendly names → the image of a region."""

from __future__ import annotations

import difflib
import json
from functools import cache
from pathlib import Path
from typing import Any

from runner.errors import InputError

_XGBOOST = "xgboost"


def builtin_image(algorithm: str, region: str) -> str | None:
    """Return the image of a built-in algorithm by its name or friendly name, or None for any other algorithm.

    xgboost exists in several versions and needs one: `xgboost:1.7-1`. Raises `InputError` for a region or version that
    has no image.
    """
    table = _table()
    name, _, version = algorithm.lower().strip().partition(":")
    name = table["aliases"].get(name, name)
    known = {r for registry in table["registries"] for r in registry["repositories"]}
    if name not in known:
        return None
    if name == _XGBOOST:
        return _xgboost(version, region)
    return _image(name, version or "1", region, algorithm)


def _xgboost(version: str, region: str) -> str:
    versions = [
        v
        for r in _table()["registries"]
        for v in r["versions"]
        if set(r["repositories"]) & {_XGBOOST, f"sagemaker-{_XGBOOST}"}
    ]
    if version not in versions:
        near = difflib.get_close_matches(version, versions, n=1) or versions[-1:]
        problem = f"{version!r} is none of its versions" if version else "comes in several versions"
        raise InputError(
            f"--algorithm_name: the built-in xgboost {problem} ({', '.join(versions)}); "
            f"write --algorithm_name xgboost:{near[0]}"
        )
    return _image(
        _XGBOOST if version == "1" else f"sagemaker-{_XGBOOST}", version, region, f"xgboost:{version}"
    )


def _image(repository: str, version: str, region: str, asked: str) -> str:
    for registry in _table()["registries"]:
        if repository in registry["repositories"] and version in registry["versions"]:
            account = registry["accounts"].get(region)
            if account is None:
                raise InputError(
                    f"--algorithm_name: no image of the built-in {asked.strip()} is known for region {region!r} (there are: "
                    f"{', '.join(registry['accounts'])}); give the image's full name with --image"
                )
            suffix = _SUFFIXES.get(region.partition("-")[0], "amazonaws.com")
            tag = f"{version}-cpu-py3" if version in _PROCESSOR_TAGGED else version
            return f"{account}.dkr.ecr.{region}.{suffix}/{repository}:{tag}"
    raise InputError(f"--algorithm_name: the built-in {repository} has no version {version!r}")


_SUFFIXES = {"cn": "amazonaws.com.cn"}
_PROCESSOR_TAGGED = frozenset({"0.90-1", "0.90-2", "1.0-1"})
"""Versions of xgboost whose tags name processor and Python."""


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads((Path(__file__).parent / "builtin_images.json").read_text())
    return table
