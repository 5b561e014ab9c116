"""How much a job may bring to this machine's disk: a bound for archives that unpack to far more than they are."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_DEFAULT_GB = 30
_RESERVE = 1024**3
"""Bytes that are left free for everyone else."""


class Space:
    """The volume that the request asked for, or what this disk has left if that is less."""

    def __init__(self, resources: Mapping[str, Any], folder: Path) -> None:
        volume = (resources.get("VolumeSizeInGB") or _DEFAULT_GB) * 1024**3 * resources["InstanceCount"]
        self._left = max(0, min(volume, shutil.disk_usage(folder).free - _RESERVE))

    def take(self, size: int) -> None:
        """Use up `size` bytes. Raises OSError (ENOSPC) when they are not there."""
        self._left -= size
        if self._left < 0:
            text = "No space left: more than VolumeSizeInGB, or than this disk has to give"
            raise OSError(errno.ENOSPC, text)
