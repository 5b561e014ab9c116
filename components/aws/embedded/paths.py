"""Object keys as paths of a local folder: a key never leaves the folder it is meant for."""

from __future__ import annotations

from pathlib import Path


class UnsafeKeyError(ValueError):
    """A key that does not name a file inside the folder."""


def inside(folder: Path, key: str) -> Path:
    """Where `key` lies in `folder`. Raises `UnsafeKeyError` for a key that would leave it or that no file can have."""
    parts = key.split("/")
    if "\0" in key or any(part in ("", ".", "..") for part in parts):
        raise UnsafeKeyError(f"the key {key} is no safe file name")
    path = folder.joinpath(*parts)
    # A symbolic link on the way could lead outside although the key looks harmless.
    if not path.resolve().is_relative_to(folder.resolve()):
        raise UnsafeKeyError(f"the key {key} is no safe file name")
    return path
