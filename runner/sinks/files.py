"""Files that are replaced, never half written: a reader sees the old content or the new one."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from uuid import uuid4


class Draft:
    """New content for a path, on disk already but not in its place: `commit` it or `discard` it."""

    def __init__(self, path: Path, text: str) -> None:
        """Write a temporary file beside `path`, making its parents. Raises `OSError`.

        The text is UTF-8, to the byte; a lone surrogate, which UTF-8 lacks, is backslash-escaped.
        """
        # A link stays a link; what it points to is replaced. In a folder like /tmp anybody may have put it there.
        self._path = path if _shared(path.parent) else Path(os.path.realpath(path))
        self._data = text.encode("utf-8", "backslashreplace")
        link = self._path.is_symlink()
        if self._path.is_dir() and not link:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        # /dev/null must not be replaced by a file, which root could well do.
        self._device = not link and self._path.exists() and not self._path.is_file()
        if self._device:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # Not `tempfile`: its mode 0600 hides the file from a sidecar of another user.
        self._temporary = self._path.parent / f".{uuid4().hex}.tmp"
        try:
            self._temporary.write_bytes(self._data)
        except OSError:
            self.discard()
            raise

    def commit(self) -> None:
        """Put it in its place, at one stroke."""
        if self._device:
            self._path.write_bytes(self._data)
        else:
            self._temporary.replace(self._path)

    def discard(self) -> None:
        """Leave no trace of it; nothing to do once it is committed."""
        if not self._device:
            self._temporary.unlink(missing_ok=True)


def _shared(folder: Path) -> bool:
    """Whether anybody may make files in the folder, as in /tmp."""
    try:
        return bool(folder.stat().st_mode & (stat.S_IWOTH | stat.S_ISVTX))
    except OSError:
        return False  # It is made by us.


def replace(path: Path, text: str) -> None:
    """Put the text at the path at one stroke, making the path's parents. Raises `OSError`."""
    draft = Draft(path, text)
    try:
        draft.commit()
    finally:
        draft.discard()
