"""Paths in a container."""

from __future__ import annotations

from runner.emulation.paths import UnsafeKeyError, parts

_BASE = "/opt/ml/"


def container_key(path: str) -> str:
    """What a container's path, `/opt/ml/checkpoints/`, is below /opt/ml. Raises `UnsafeKeyError` for any other."""
    key = path.removeprefix(_BASE).removesuffix("/")
    if not path.startswith(_BASE):
        raise UnsafeKeyError(f"the path {path} is not below /opt/ml")
    parts(key)
    return key
