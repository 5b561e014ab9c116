"""The install command: looked at as the shell would read it, and never run."""

from __future__ import annotations

import itertools
import posixpath
import re
import shlex
import shutil
from collections.abc import Iterator

from components.hydrosphere.embedded.building.findings import Findings
from components.hydrosphere.embedded.building.payloads import Payload
from components.hydrosphere.embedded.building.requirements import Requirements
from components.hydrosphere.embedded.building.tools import ran
from runner.emulation.archives import shortened

FILES = "/model/files"
"""Where a model's files lie in its image."""
_INSTRUCTIONS = frozenset(
    [
        "ADD",
        "ARG",
        "CMD",
        "COPY",
        "ENTRYPOINT",
        "ENV",
        "EXPOSE",
        "FROM",
        "HEALTHCHECK",
        "LABEL",
        "MAINTAINER",
        "ONBUILD",
        "RUN",
        "SHELL",
        "STOPSIGNAL",
        "USER",
        "VOLUME",
        "WORKDIR",
    ]
)
_PIP = re.compile(r"(?:.*/)?pip[0-9.]*")
_UNKNOWN = re.compile(r"[$`*?~]")


def dockerfile_problem(command: str) -> str:
    """Why docker would not even begin; empty if it would."""
    lines = command.split("\n")
    if not lines[0].strip():
        return "RUN requires at least one argument"
    for before, line in itertools.pairwise(lines):
        word = line.split(maxsplit=1)[:1]
        if before.rstrip().endswith("\\") or not word or word[0].startswith("#"):
            continue
        if word[0].upper() not in _INSTRUCTIONS:
            return f"unknown instruction: {word[0][:100]}"
    return ""


async def check(command: str, payload: Payload) -> Findings:
    """Look at the command and the files of requirements that it names. Cancelled, it ends soon."""
    findings = Findings()
    if problem := await _syntax_problem(command):
        findings.problem(problem)
        return findings
    await payload.claim.filled(_check_files, command, payload, findings)
    return findings


async def _syntax_problem(command: str) -> str:
    if bash := shutil.which("bash"):
        try:
            ended = await ran([bash, "--noprofile", "--norc", "-n"], f"{command}\n".encode(errors="replace"))
        except TimeoutError:
            return "bash can't read the command within a reasonable time"
        if not ended.code:
            return ""
        first = [*ended.errors.strip().splitlines(), f"it ended with exit code {ended.code}"][0]
        return f"bash can't read the command: {re.sub(r'^[^:]*: ', '', first)[:500]}"
    try:
        shlex.split(command)
    except ValueError as error:
        return str(error)
    return ""


def _check_files(command: str, payload: Payload, findings: Findings) -> None:
    where: str | None = "."
    requirements = Requirements(payload, findings)
    for words in _simple_commands(command):
        if words[0] == "cd":
            where = _joined(where, words[1]) if len(words) > 1 else None
            continue
        for name in _files(words):
            payload.claim.check()
            place = _joined(where, name)
            if place is None:
                findings.note(
                    f"whether there is a file {shortened(name)!r} can't be told without running the command"
                )
            elif place.startswith(("/", "../")):
                findings.note(f"{shortened(name)} is not in the payload; the runtime may have it")
            else:
                requirements.check(place)


def _simple_commands(command: str) -> Iterator[list[str]]:
    """The commands of a line, as words."""
    lexer = shlex.shlex(command.replace("\\\n", " "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    try:
        for word in lexer:
            if word and set(word) <= set("();<>|&"):
                if words:
                    yield words
                words = []
            else:
                words.append(word)
    except ValueError:  # the shell understands more than this does
        return
    if words:
        yield words


def _files(words: list[str]) -> Iterator[str]:
    """The files of requirements that `pip install` is given."""
    pip = next((index for index, word in enumerate(words) if _PIP.fullmatch(word)), None)
    if pip is None or "install" not in words[pip:]:
        return
    rest = iter(words[pip:])
    for word in rest:
        if word in ("-r", "--requirement"):
            yield next(rest, "")
        elif word.startswith("--requirement="):
            yield word.partition("=")[2]
        elif word.startswith("-r") and not word.startswith("--"):
            yield word[2:]


def _joined(where: str | None, name: str) -> str | None:
    """Where a path leads, seen from the model's files; None if only the shell knows."""
    if where is None or _UNKNOWN.search(name):
        return None
    return posixpath.relpath(posixpath.join(FILES, where, name), FILES) if _below(where, name) else name


def _below(where: str, name: str) -> bool:
    path = posixpath.normpath(posixpath.join(FILES, where, name))
    return path == FILES or path.startswith(f"{FILES}/")
