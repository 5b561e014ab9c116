"""Patterns of file names. The standard library's would follow links out of the model's folder, and round in circles."""

from __future__ import annotations

import fnmatch
import os
import re
from dataclasses import dataclass, field

from components.hydrosphere.release._words import PATH_SHOWN, shown

MAGIC = re.compile(r"[*?\[]")
"""What makes a path a pattern."""
_Chain = tuple[tuple[int, int], ...]


def inside(real: str, top: str) -> bool:
    """Tell whether a path lies in the folder `top`, or is it. Both have to be without links."""
    return real == top or real.startswith(top.rstrip("/") + "/")


class Unfit(Exception):
    """A pattern that can't be expanded; the text goes on after its name."""


def expand(top: str, pattern: str, most: int) -> list[str]:
    """Return the sorted paths in the folder `top` that match, written like the pattern.

    `*`, `?` and `[…]` match in one name, and no leading dot; `**` stands for any number of folders, none of them hidden.
    At the end it is the same as `*`, because folders are sent whole. A name that is written exactly so wins.

    top: without links; it is never left. most: folders that may be looked at. Raises `Unfit` if either does not do,
    `OSError` if a folder can't be read.
    """
    parts = pattern.split("/")
    if parts[-1] == "**":
        parts[-1] = "*"
    search = _Expansion(parts, top, most)
    search.enter(top, (), 0, ())
    while search.stack:
        search.go_on()
    return sorted(search.found)


@dataclass(slots=True)
class _Place:
    """A folder in which the rest of the pattern, from part `index`, is to be matched."""

    folder: str
    written: tuple[str, ...]
    """How it is to be written: the parts of its path."""
    index: int
    chain: _Chain
    """The folders that `**` went through to get there."""


@dataclass(slots=True)
class _Expansion:
    parts: list[str]
    top: str
    most: int
    found: set[str] = field(default_factory=set)
    stack: list[_Place] = field(default_factory=list)
    seen: set[tuple[tuple[str, ...], int]] = field(default_factory=set)

    def go_on(self) -> None:
        place = self.stack.pop()
        part = self.parts[place.index]
        if part in ("", "."):
            self._take(place, part, place.folder)
        elif part == "**":
            self.enter(place.folder, place.written, place.index + 1, ())
            found = os.stat(place.folder)  # noqa: PTH116
            chain = (*place.chain, (found.st_dev, found.st_ino))
            for name in os.listdir(place.folder):  # noqa: PTH208
                if not name.startswith("."):
                    self.enter(os.path.join(place.folder, name), (*place.written, name), place.index, chain)  # noqa: PTH118
        else:
            for name in self._matching(place.folder, part):
                self._take(place, name, os.path.join(place.folder, name))  # noqa: PTH118

    def _take(self, place: _Place, name: str, path: str) -> None:
        written = (*place.written, name)
        if place.index == len(self.parts) - 1:
            self.found.add("/".join(written))
        else:
            self.enter(path, written, place.index + 1, ())

    def enter(self, path: str, written: tuple[str, ...], index: int, chain: _Chain) -> None:
        """Match from part `index` on in the folder at `path`. What is no folder has nothing to match."""
        if not os.path.isdir(path) or (written, index) in self.seen:  # noqa: PTH112
            return
        self.seen.add((written, index))
        if len(self.seen) > self.most:
            raise Unfit(f"makes it look at more than {self.most:,} folders")
        real = os.path.realpath(path) if os.path.islink(path) else path  # noqa: PTH114
        name = shown("/".join(written), PATH_SHOWN)
        if not inside(real, self.top):
            raise Unfit(f"meets {name}, a link that leads out to {shown(real, PATH_SHOWN)}")
        if chain:
            found = os.stat(real)  # noqa: PTH116
            if (found.st_dev, found.st_ino) in chain:
                raise Unfit(f"meets {name}, a link back to a folder that it lies in")
        self.stack.append(_Place(real, written, index, chain))

    def _matching(self, folder: str, part: str) -> list[str]:
        if os.path.lexists(os.path.join(folder, part)):  # noqa: PTH118
            return [part]
        if not MAGIC.search(part):
            return []
        hidden = part.startswith(".")
        return [
            name
            for name in os.listdir(folder)  # noqa: PTH208
            if fnmatch.fnmatchcase(name, part) and (hidden or not name.startswith("."))
        ]
