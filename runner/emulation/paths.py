"""Paths made from what others say: requests, object keys, and folders that a job could write in.

Nothing here leaves the folder it is given. Names are checked as text; and because a job may have put links where we
then read or write, files are opened one folder at a time, without following any (as `openat(2)` allows).
"""

from __future__ import annotations

import itertools
import logging
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# Not to wait for the other end of a named pipe.
_FILE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_log = logging.getLogger(__name__)


class UnsafeKeyError(ValueError):
    """A key that does not name a file inside the folder."""


def inside(folder: Path, key: str) -> Path:
    """Where `key` lies in `folder`. Raises `UnsafeKeyError` for a key that would leave it or that no file can have."""
    path = folder.joinpath(*parts(key))
    # A symbolic link on the way could lead outside although the key looks harmless.
    with suppress(RuntimeError):  # links in a circle
        if path.resolve().is_relative_to(folder.resolve()):
            return path
    raise _unsafe(key)


def read(folder: Path, path: Path) -> bytes:
    """A regular file's content. Raises OSError if a link lies between `folder` and it, or is it."""
    with opened(folder, path) as descriptor, os.fdopen(descriptor, "rb", closefd=False) as file:
        return file.read()


@contextmanager
def opened(folder: Path, path: Path) -> Iterator[int]:
    """Open a regular file to read it. Raises OSError as `read` does."""
    with _parent(folder, path) as parent:
        descriptor = os.open(path.name, os.O_RDONLY | _FILE, dir_fd=parent)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path.name} is no regular file")
        yield descriptor
    finally:
        os.close(descriptor)


def _nothing() -> None:
    pass


@contextmanager
def created(folder: Path, path: Path, made: Callable[[], None] = _nothing) -> Iterator[int]:
    """Open a file to write it from its beginning, its folders made where missing. Raises OSError as `read` does.

    `made` is called before each folder that is made; it may raise.
    """
    with _parent(folder, path, made) as parent:
        descriptor = os.open(path.name, os.O_WRONLY | os.O_CREAT | _FILE, 0o666, dir_fd=parent)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path.name} is no regular file")
        os.ftruncate(descriptor, 0)
        yield descriptor
    finally:
        os.close(descriptor)


def write(folder: Path, path: Path, content: bytes) -> None:
    """Write a file, its folders made where missing. Raises OSError as `read` does."""
    with created(folder, path) as descriptor, os.fdopen(descriptor, "wb", closefd=False) as file:
        file.write(content)


def make(folder: Path, path: Path, made: Callable[[], None] = _nothing) -> None:
    """Make a folder where it is missing, and those that it lies in. See `created`."""
    with _parent(folder, path / "_", made):
        pass


def tree(folder: Path, below: Path) -> list[Path]:
    """All that lies below `below`, sorted; links are listed, not followed.

    Nothing, with a warning, if a link has taken the place of `below` or of a folder between it and `folder`.
    """
    if below != folder and not _is_real(folder, below):
        _log.warning("%s is a link or no folder: nothing in it is taken", below)
        return []
    found = []
    for where, folders, names in os.walk(below):
        found += [Path(where, name) for name in (*folders, *names)]
    return sorted(found)


def files(folder: Path, below: Path, *, quiet: bool = False) -> list[Path]:
    """The regular files below `below`, sorted. What is a link, pipe or device is left out, with a warning unless `quiet`."""
    found = []
    for path in tree(folder, below):
        mode = _mode(path)
        if stat.S_ISREG(mode):
            found.append(path)
        elif not stat.S_ISDIR(mode) and not quiet:
            _log.warning("%s is no regular file and is not taken", path)
    return found


def remove(folder: Path) -> None:
    """Delete a folder that a job wrote in, however deep, also what the job made unreadable; links are not followed.

    Never raises: what can't be deleted stays.
    """
    with suppress(OSError):
        # Looked at before: chmod follows links.
        if not stat.S_ISDIR(folder.lstat().st_mode):
            return
        folder.chmod(0o700)
        descriptor = os.open(folder, _DIRECTORY | os.O_NOFOLLOW)
        try:
            _empty(descriptor)
        finally:
            os.close(descriptor)
        folder.rmdir()


def _empty(top: int) -> None:
    """Delete all in a folder. Each folder below is brought up first: no path is too long, and there's no recursion."""
    token, numbers = secrets.token_hex(8), itertools.count()
    waiting = _swept(top)
    while waiting:
        name = waiting.pop()
        with suppress(OSError):
            descriptor = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
            try:
                for inner in _swept(descriptor):
                    new = f"{token}-{next(numbers)}"
                    os.rename(inner, new, src_dir_fd=descriptor, dst_dir_fd=top)
                    waiting.append(new)
            finally:
                os.close(descriptor)
            os.rmdir(name, dir_fd=top)


def _swept(descriptor: int) -> list[str]:
    """Delete what lies in a folder but for its folders; their names, now open to us."""
    folders = []
    with os.scandir(descriptor) as found:
        entries = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in found]
    for name, is_folder in entries:
        with suppress(OSError):
            if not is_folder:
                os.unlink(name, dir_fd=descriptor)
                continue
            os.chmod(name, 0o700, dir_fd=descriptor)
            folders.append(name)
    return folders


def parts(key: str) -> list[str]:
    """Split a key into the names on its way. Raises `UnsafeKeyError` for a key that no file in a folder can have."""
    names = key.split("/")
    if "\0" in key or any(name in ("", ".", "..") for name in names):
        raise _unsafe(key)
    try:
        os.fsencode(key)
    except UnicodeEncodeError:  # half of a surrogate pair
        raise _unsafe(key) from None
    return names


def _unsafe(key: str) -> UnsafeKeyError:
    shown = key if key.isprintable() else ascii(key)
    return UnsafeKeyError(f"the key {shown} is no safe file name")


@contextmanager
def _parent(folder: Path, path: Path, made: Callable[[], None] | None = None) -> Iterator[int]:
    """The folder that `path` lies in, reached from `folder` without following a link. `folder` itself is trusted."""
    descriptor = os.open(folder, _DIRECTORY)
    try:
        for part in parts(path.relative_to(folder).as_posix())[:-1]:
            if made is not None and not _exists(descriptor, part):
                made()
                with suppress(FileExistsError):
                    os.mkdir(part, dir_fd=descriptor)
            following = os.open(part, _DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = following
        yield descriptor
    finally:
        os.close(descriptor)


def _exists(descriptor: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=descriptor, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _is_real(folder: Path, below: Path) -> bool:
    steps = [below, *below.parents]
    return all(stat.S_ISDIR(_mode(step)) for step in steps[: steps.index(folder)])


def _mode(path: Path) -> int:
    try:
        return path.lstat().st_mode
    except OSError:  # gone meanwhile
        return 0
