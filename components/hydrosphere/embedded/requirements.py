"""Files of requirements, as pip reads them: whether they are there, and whether each line is one."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from components.hydrosphere.embedded.payloads import Payload
from runner.emulation.paths import UnsafeKeyError, inside, opened

LARGEST = 1024**2
"""Bytes of a file that are read."""
LONGEST_LINE = 1000
MOST_FILES = 20
"""Files that mention each other."""
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_VERSION = r"(?:===|==|~=|!=|<=|>=|<|>) ?[^ ,;()]+"
_VERSIONS = rf"{_VERSION}(?: ?, ?{_VERSION})*,?"
_REQUIREMENT = re.compile(
    rf"{_NAME} ?(?:\[ ?(?:{_NAME}(?: ?, ?{_NAME})*)? ?\])? ?(?:@ ?[^ ]+|\( ?{_VERSIONS} ?\)|{_VERSIONS})? ?(?:;.+)?"
)
# A place instead of a name: an address, a path, an archive.
_PLACE = re.compile(r"[a-z][a-z0-9+.-]*:.+|[.~/].*|.*\.(?:whl|zip|tar\.gz|tgz)|[^ ]*/[^ ]*", re.IGNORECASE)
_OTHER_FILE = re.compile(r"(?:-r|-c|--requirement|--constraint)(?: ?= ?| ?)([^ ].*)")


@dataclass(slots=True)
class Findings:
    """What a look at the payload brought."""

    problems: list[str] = field(default_factory=list)
    """Each of them makes the build fail."""
    notes: list[str] = field(default_factory=list)


def check(payload: Payload, name: str, findings: Findings) -> None:
    """Look at a file of requirements, `name` as seen from the payload's folder, and at those that it mentions."""
    waiting, known = [posixpath.normpath(name)], set[str]()
    while waiting:
        name = waiting.pop()
        if name in known:
            continue
        known.add(name)
        if len(known) > MOST_FILES:
            findings.notes.append(f"{name} and further files of requirements are not looked at")
            return
        if name in payload.links:
            findings.notes.append(f"{name} is a link, which is not looked at")
        elif (text := _read(payload, name, findings)) is not None:
            waiting += _check_lines(name, text, findings)


def _read(payload: Payload, name: str, findings: Findings) -> str | None:
    try:
        path = inside(payload.folder, name)
        with opened(payload.folder, path) as descriptor, os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(LARGEST + 1)
    except (OSError, UnsafeKeyError):
        findings.problems.append(f"Could not open requirements file {name!r}: it is not in the payload")
        return None
    if len(content) > LARGEST:
        findings.notes.append(f"{name} is larger than {LARGEST} bytes and not looked at")
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        findings.problems.append(f"The requirements file {name!r} is no text in UTF-8")
        return None


def _check_lines(name: str, text: str, findings: Findings) -> list[str]:
    """Check each line; the further files that they mention."""
    others, count = [], 0
    for number, line in _lines(text):
        if other := _OTHER_FILE.fullmatch(line):
            if ":" not in other[1]:
                others.append(posixpath.normpath(posixpath.join(posixpath.dirname(name), other[1])))
        elif line.startswith("-"):
            continue
        elif len(line) > LONGEST_LINE or not (_REQUIREMENT.fullmatch(line) or _PLACE.fullmatch(line)):
            findings.problems.append(f"Invalid requirement: {line[:200]!r} (line {number} of {name})")
        else:
            count += 1
    findings.notes.append(f"{name}: {count} requirement{'' if count == 1 else 's'}")
    return others


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines that say something, as one where they are continued, with the number of the first."""
    begun, first = "", 0
    for number, raw in enumerate(text.splitlines(), 1):
        first = first if begun else number
        if raw.endswith("\\") and not raw.lstrip().startswith("#"):
            begun += raw[:-1] + " "
            continue
        line = re.sub(r"(^|\s)#.*", "", begun + raw)
        begun = ""
        # Single spaces, so that the expressions above can't be kept busy by many; options of one line belong to pip.
        line = re.sub(r"\s+", " ", line).strip()
        if not line.startswith("-"):
            line = re.sub(r" --[a-z].*", "", line)
        if line:
            yield first, line
