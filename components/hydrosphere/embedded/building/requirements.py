"""Files of requirements, as pip reads them: whether they are there, and whether each line is one."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator

from components.hydrosphere.embedded.building.findings import Findings
from components.hydrosphere.embedded.building.payloads import Payload
from runner.emulation.archives import shortened
from runner.emulation.paths import UnsafeKeyError, inside, opened

LARGEST = 1024**2
"""Bytes of a file that are read."""
MOST_BYTES = 4 * 1024**2
"""Of all files of a build that are read."""
LONGEST_LINE = 1000
MOST_FILES = 20
"""Files of a build."""
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_VERSION = r"(?:===|==|~=|!=|<=|>=|<|>) ?[^ ,;()]+"
_VERSIONS = rf"{_VERSION}(?: ?, ?{_VERSION})*,?"
_REQUIREMENT = re.compile(
    rf"{_NAME} ?(?:\[ ?(?:{_NAME}(?: ?, ?{_NAME})*)? ?\])? ?(?:@ ?[^ ]+|\( ?{_VERSIONS} ?\)|{_VERSIONS})? ?(?:;.+)?"
)
# A place instead of a name: an address, a path, an archive.
_PLACE = re.compile(r"[a-z][a-z0-9+.-]*:.+|[.~/].*|.*\.(?:whl|zip|tar\.gz|tgz)|[^ ]*/[^ ]*", re.IGNORECASE)
_OTHER_FILE = re.compile(r"(?:-r|-c|--requirement|--constraint)(?: ?= ?| ?)([^ ].*)")


class Requirements:
    """Looks at the files of requirements of one build, at each of them once."""

    def __init__(self, payload: Payload, findings: Findings) -> None:
        self._payload = payload
        self._findings = findings
        self._known: set[str] = set()
        self._left = MOST_BYTES
        self._full = False

    def check(self, name: str) -> None:
        """Look at a file, `name` as seen from the payload's folder, and at those that it mentions.

        Raises OSError as soon as nobody waits for the build any more.
        """
        waiting = [posixpath.normpath(name)]
        while waiting and not self._full:
            self._payload.claim.check()
            name = waiting.pop()
            if name in self._known:
                continue
            if len(self._known) >= MOST_FILES or self._left <= 0:
                self._findings.note(f"{shortened(name)} and further files of requirements are not looked at")
                self._full = True
                return
            self._known.add(name)
            if name in self._payload.links:
                self._findings.note(f"{shortened(name)} is a link, which is not looked at")
            elif (text := self._read(name)) is not None:
                waiting += self._check_lines(name, text)

    def _read(self, name: str) -> str | None:
        folder = self._payload.folder
        try:
            path = inside(folder, name)
            with opened(folder, path) as descriptor, os.fdopen(descriptor, "rb", closefd=False) as file:
                content = file.read(LARGEST + 1)
        except (OSError, UnsafeKeyError):
            self._findings.problem(
                f"Could not open requirements file {shortened(name)!r}: it is not in the payload"
            )
            return None
        self._left -= len(content)
        if len(content) > LARGEST:
            self._findings.note(f"{shortened(name)} is larger than {LARGEST} bytes and not looked at")
            return None
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError:
            self._findings.problem(f"The requirements file {shortened(name)!r} is no text in UTF-8")
            return None

    def _check_lines(self, name: str, text: str) -> list[str]:
        """Check each line; the further files that they mention."""
        others, count = dict[str, None](), 0
        for number, line in _lines(text):
            self._payload.claim.check()
            if other := _OTHER_FILE.fullmatch(line):
                # One more than are looked at is enough to say so.
                if ":" not in other[1] and len(others) <= MOST_FILES:
                    others[posixpath.normpath(posixpath.join(posixpath.dirname(name), other[1]))] = None
            elif line.startswith("-"):
                continue
            elif len(line) > LONGEST_LINE or not (_REQUIREMENT.fullmatch(line) or _PLACE.fullmatch(line)):
                self._findings.problem(
                    f"Invalid requirement: {line[:200]!r} (line {number} of {shortened(name)})"
                )
            else:
                count += 1
        self._findings.note(f"{shortened(name)}: {count} requirement{'' if count == 1 else 's'}")
        return list(others)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines that say something, as one where they are continued, with the number of the first."""
    begun, first = list[str](), 0
    for number, raw in enumerate(text.splitlines(), 1):
        first = first if begun else number
        if raw.endswith("\\") and not raw.lstrip().startswith("#"):
            begun.append(raw[:-1] + " ")
            continue
        line = re.sub(r"(^|\s)#.*", "", "".join([*begun, raw]))
        begun = []
        # Single spaces, so that the expressions above can't be kept busy by many; options of one line belong to pip.
        line = re.sub(r"\s+", " ", line).strip()
        if not line.startswith("-"):
            line = re.sub(r" --[a-z].*", "", line)
        if line:
            yield first, line
