"""The files of a model: which ones the user means, and under which names they go into the archive.

Names are those that the platform's SDK gives them: as the user wrote them, without a leading slash. Nothing is sent from
outside the model's folder but what the user named by an absolute path: links that lead out are refused, for a pod has
files that nobody means to publish.
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from components.hydrosphere.release._words import PATH_SHOWN, shown, told
from components.hydrosphere.release.payload.archive import ARGUMENT, Member, Stopped, digest, pack
from components.hydrosphere.release.payload.patterns import MAGIC, Unfit, expand, inside
from runner.errors import InputError

__all__ = ["MOST_MEMBERS", "Member", "Stopped", "digest", "find", "pack"]

MOST_MEMBERS = 100_000
"""Files and folders that a model may consist of."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A file or folder that is to be looked at."""

    written: str
    """Its path, written as the user began it."""
    path: str
    above: tuple[tuple[int, int], ...]
    """Device and inode of each folder through which it was reached."""

    def inner(self, real: str, itself: tuple[int, int]) -> list[_Place]:
        above = (*self.above, itself)
        return [
            _Place(os.path.join(self.written, name), os.path.join(real, name), above)  # noqa: PTH118
            for name in sorted(os.listdir(real))  # noqa: PTH208
        ]


def find(root: str, payload: Sequence[object]) -> tuple[Member, ...]:
    """Find the files and folders that `payload` names: each path, relative to `root` or absolute, or pattern.

    Folders come whole, hidden files and all, in the order in which `tarfile` walks them; patterns expand sorted. A blank
    `root` is the current folder. Raises `InputError` that begins with `--path`, or with `--payload` and tells all that is
    wrong.
    """
    search = _Search(_root(root))
    for position, entry in enumerate(payload):
        if not isinstance(entry, str):
            search.wrong.append(
                f"[{position}] is {shown(entry)}; it has to be text, the path of a file or folder"
            )
        elif not entry.strip():
            search.wrong.append(f"[{position}] is blank; it has to be the path of a file or folder")
        else:
            search.add(entry)
    return search.members()


def _root(given: str) -> str:
    root = given if given.strip() else "."
    try:
        if not os.path.isdir(os.path.realpath(root)):  # noqa: PTH112
            what = "is no folder" if os.path.lexists(root) else "does not exist"
            raise InputError(f"--path: {shown(root, PATH_SHOWN)} {what}; it has to be the model's folder")
    except ValueError:  # Characters that no path can have.
        raise InputError(f"--path: {shown(root, PATH_SHOWN)} is no path") from None
    return os.path.abspath(root)  # noqa: PTH100


class _Search:
    """What was found by now, and what is wrong with it."""

    def __init__(self, root: str) -> None:
        self.wrong: list[str] = []
        self._root = root
        self._real = os.path.realpath(root)
        self._found: dict[str, Member] = {}
        self._met = 0

    def members(self) -> tuple[Member, ...]:
        """Return all that was found. Raises `InputError` if something was wrong."""
        fine = {""}
        for name in self._found:
            above = posixpath.dirname(name)
            while above not in fine:
                fine.add(above)
                if above in self._found and not self._found[above].folder:
                    self.wrong.append(f"{_named(name)} would lie in {_named(above)}, which is a file")
                above = posixpath.dirname(above)
        if self.wrong:
            raise told(ARGUMENT, self.wrong)
        return tuple(self._found.values())

    def add(self, entry: str) -> None:
        """Add what an entry names."""
        try:
            written = self._resolved(entry)
            if written is None:
                self.wrong.append(f"{_named(entry)} leads out of the model's folder {_named(self._root)}")
                return
            source = os.path.join(self._root, written)  # noqa: PTH118
            if os.path.lexists(source) or not MAGIC.search(written):
                self._walk(written, self._zone(source))
            else:
                self._expand(written)
        except OSError as error:
            self.wrong.append(f"{_named(entry)} {_reason(error)}")
        except Unfit as error:
            self.wrong.append(f"{_named(entry)} {error}")
        except ValueError:  # Characters that no path can have.
            self.wrong.append(f"{_named(entry)} is no path")

    def _resolved(self, entry: str) -> str | None:
        """Return a path without `..`, otherwise as it was written; None if it leads out of the root."""
        if ".." not in entry.split("/"):
            return entry
        plain = os.path.normpath(os.path.join(self._root, entry))  # noqa: PTH118
        if entry.startswith("/"):
            return plain
        if not inside(plain, self._root):
            return None
        within = os.path.relpath(plain, self._root)
        return f"./{within}" if entry.startswith("./") and within != "." else within

    def _expand(self, pattern: str) -> None:
        head, zone = self._fixed(pattern)
        names = expand(zone, pattern[len(head) :], MOST_MEMBERS)
        if not names:
            self.wrong.append(f"{_named(pattern)} matches nothing in {_named(head or self._root)}")
        for name in names:
            self._walk(head + name, zone)

    def _fixed(self, pattern: str) -> tuple[str, str]:
        """Split off the folder that a pattern begins with. Return it as it is written, and where it is."""
        own = self._root.rstrip("/") + "/"
        if not pattern.startswith("/"):
            return "", self._real
        if pattern.startswith(own):
            return own, self._real
        head = MAGIC.split(pattern, maxsplit=1)[0]
        head = head[: head.rindex("/") + 1]
        return head, os.path.realpath(head)

    def _zone(self, source: str) -> str:
        """Return the folder that links met from here must not leave: the root, or that of what was named absolutely."""
        plain = os.path.normpath(source)
        real = os.path.realpath(plain)
        if inside(plain, self._root) or inside(real, self._real):
            return self._real
        if os.path.isdir(plain) and not os.path.islink(plain):  # noqa: PTH112, PTH114
            return real
        return os.path.realpath(os.path.dirname(plain))  # noqa: PTH120

    def _walk(self, written: str, zone: str) -> None:
        if not os.path.normpath(written).strip("/"):
            self.wrong.append(f"{_named(written)} is the whole file system; name what belongs to the model")
            return
        source = os.path.normpath(os.path.join(self._root, written))  # noqa: PTH118
        stack = [_Place(written, source, ())]
        while stack:
            self._met += 1
            if self._met > MOST_MEMBERS:
                raise InputError(f"{ARGUMENT}: it names more than {MOST_MEMBERS:,} files and folders")
            place = stack.pop()
            try:
                stack += reversed(self._visit(place, zone))
            except OSError as error:
                self.wrong.append(f"{_named(place.written)} {_reason(error)}")

    def _visit(self, place: _Place, zone: str) -> list[_Place]:
        """Take one file or folder, and return what lies in it."""
        name, real = _named(place.written), place.path
        if not place.above or os.path.islink(real):  # noqa: PTH114
            real = os.path.realpath(real)
        if not inside(real, zone):
            self.wrong.append(
                f"{name} is or passes a link that leads to {_named(real)}, outside {_named(zone)}"
            )
            return []
        found = os.stat(real)  # noqa: PTH116
        if stat.S_ISREG(found.st_mode):
            os.close(os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))  # Whether it can be read.
            self._take(Member(place.written.strip("/"), Path(real), found.st_size, folder=False))
        elif not stat.S_ISDIR(found.st_mode):
            self.wrong.append(f"{name} is {_kind(found.st_mode)}; only files and folders can be sent")
        elif (found.st_dev, found.st_ino) in place.above:
            self.wrong.append(f"{name} is a link back to a folder that it lies in")
        elif self._take(Member(place.written.strip("/"), Path(real), 0, folder=True)):
            return place.inner(real, (found.st_dev, found.st_ino))
        return []

    def _take(self, member: Member) -> bool:
        """Keep a member unless it is there. Return whether it, with what lies in it, is new."""
        there = self._found.setdefault(posixpath.normpath(member.name), member)
        if there is not member and there.source != member.source and not (there.folder and member.folder):
            self.wrong.append(
                f"{_named(member.name)} would be both {_named(str(there.source))} and {_named(str(member.source))}"
            )
        return there is member or there.source != member.source


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return kinds.get(stat.S_IFMT(mode), "no file")


def _reason(error: OSError) -> str:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return "does not exist"
    if error.errno == errno.ELOOP:
        return "is a link that leads to itself"
    return f"can't be read: {(error.strerror or str(error)).lower()}"


def _named(path: str) -> str:
    return shown(path, PATH_SHOWN)
