"""Reads a Dockerfile and its .dockerignore as far as ours go: no parser directives, heredocs or build arguments."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Instruction:
    """One instruction, its continuation lines joined."""

    name: str
    text: str

    @property
    def exec_form(self) -> list[str] | None:
        """The words, if they're written as a JSON list."""
        try:
            words = json.loads(self.text)
        except ValueError:
            return None
        return words if isinstance(words, list) else None

    @property
    def flags(self) -> list[str]:
        """The `--flags` that come first."""
        return [word for word in shlex.split(self.text) if word.startswith("--")]

    @property
    def words(self) -> list[str]:
        """The words without the flags."""
        return [word for word in shlex.split(self.text) if not word.startswith("--")]


@dataclass
class Stage:
    """What stands between one FROM and the next."""

    base: str
    name: str
    instructions: list[Instruction] = field(default_factory=list)

    def all(self, name: str) -> list[Instruction]:
        """Return the stage's instructions of one kind."""
        return [instruction for instruction in self.instructions if instruction.name == name]


def stages(text: str) -> list[Stage]:
    """Return a Dockerfile's stages."""
    found: list[Stage] = []
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in code.replace("\\\n", " ").splitlines():
        name, _, rest = line.strip().partition(" ")
        if name.upper() == "FROM":
            base, _, alias = re.sub(r"\s+AS\s+", " ", rest.strip(), flags=re.IGNORECASE).partition(" ")
            found.append(Stage(base, alias))
        elif name:
            found[-1].instructions.append(Instruction(name.upper(), " ".join(rest.split())))
    return found


def whole(found: list[Stage], name: str) -> Stage:
    """Return a stage with all that it is built upon; a blank name is the last one's."""
    stage = next(stage for stage in found if stage.name == name) if name else found[-1]
    if stage.base not in {other.name for other in found if other.name}:
        return stage
    below = whole(found, stage.base)
    return Stage(below.base, stage.name, [*below.instructions, *stage.instructions])


@dataclass(frozen=True)
class Ignore:
    """A .dockerignore: the last pattern that matches a path, or a folder it's in, decides."""

    patterns: list[tuple[bool, re.Pattern[str]]]

    @classmethod
    def parse(cls, text: str) -> Ignore:
        lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
        return cls(
            [(not line.startswith("!"), _pattern(line.removeprefix("!").strip("/"))) for line in lines]
        )

    def excludes(self, path: Path) -> bool:
        """Whether a path, relative to the context, stays out of it."""
        excluded = False
        names = [path.as_posix(), *(parent.as_posix() for parent in path.parents if parent.name)]
        for excludes, pattern in self.patterns:
            if any(pattern.fullmatch(name) for name in names):
                excluded = excludes
        return excluded


def _pattern(text: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", text)
    special = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(special.get(part, re.escape(part)) for part in parts))
