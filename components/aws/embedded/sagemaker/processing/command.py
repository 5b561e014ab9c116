"""What a processing container runs. The program always comes from the image table; a request adds words to it.

The table's command stands for the image's ENTRYPOINT:

    image → `python prepare.py`   ContainerArguments are appended, as Docker does; a ContainerEntrypoint is refused
    image → `python`              the same; or a ContainerEntrypoint whose first word is this program by another name
                                  (`python3`, `/usr/bin/python3.11`): its other words and ContainerArguments follow

So whoever maps an image to a bare interpreter lets requests say what it interprets, and nobody else does. Words that
are or end in (`--data=…`) a path of the container's, `/opt/ml/…`, become paths in the instance's folder, and so do
values of environment variables. Such a path within a file or a longer word stays what it is: a script should look at
SAGEMAKER_BASE_DIR, because /opt/ml itself is not there.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from components.aws.embedded.errors import ApiError, invalid
from components.aws.embedded.machine.paths import container_key
from components.aws.embedded.sagemaker.images import Command
from runner.emulation.paths import UnsafeKeyError

_BASE = "/opt/ml"
_WORD = re.compile(rf"((?:[^=]*=)?)({_BASE}(?:/.*)?)", re.DOTALL)


def arguments(
    command: Command, image: str, entrypoint: Sequence[str] | None, extra: Sequence[str] | None
) -> tuple[str, ...]:
    """The words behind the image's command. Raises `ApiError` for an entry point that it does not stand for."""
    rest: tuple[str, ...] = ()
    if entrypoint:
        if problem := _problem(command, entrypoint[0]):
            raise _refused(image, entrypoint, problem)
        rest = tuple(entrypoint[1:])
    words = (*rest, *(extra or ()))
    for word in words:
        check(word, "AppSpecification")
    return words


def _problem(command: Command, program: str) -> str:
    """Why this entry point can't be run; empty if it can."""
    if command.algorithm:
        return "a built-in image has an entry point of its own"
    mapped = " ".join(command.argv)
    if len(command.argv) > 1:
        return f"the image's local command, {mapped!r}, is more than a program, so it stands for an entry point itself"
    if _program(program) != _program(command.argv[0]):
        return f"the image's local command is {mapped!r}, and a request can't name another program"
    return ""


def _program(path: str) -> str:
    """A program's name without folder and version: `/usr/bin/python3.11` is `python`."""
    return re.sub(r"[\d.]+$", "", path.rpartition("/")[2])


def _refused(image: str, entrypoint: Sequence[str], problem: str) -> ApiError:
    # A command line that somebody may copy: nothing of a request gets into it that is more than a program's name.
    program = _program(entrypoint[0])
    shown = program if re.fullmatch(r"[A-Za-z][\w-]*", program, re.ASCII) else "python"
    return invalid(
        f"ContainerEntrypoint {list(entrypoint)!a}: {problem}. (Embedded cloud: map the image to the bare program,"
        f" --local-image {shlex.quote(f'{image}={shown}')}, or leave ContainerEntrypoint out.)"
    )


def check(word: str, where: str) -> None:
    """Raise `ApiError` for a word that names a path out of /opt/ml, or that no process can be given."""
    if "\0" in word or any(0xD800 <= ord(character) <= 0xDFFF for character in word):
        raise invalid(f"{where}: {word!a} holds a character that no process can be given.")
    try:
        translated(word, Path())
    except UnsafeKeyError as error:
        raise invalid(f"{where}: {word!a} does not stay below {_BASE}: {error}") from error


def translated(word: str, root: Path) -> str:
    """The word as the instance is given it, whose /opt/ml is `root`. Raises `UnsafeKeyError`."""
    match = _WORD.fullmatch(word)
    if match is None:
        return word
    name, path = match[1], match[2]
    key = re.sub(r"/+", "/", path)
    if key.rstrip("/") != _BASE:
        container_key(key)
    return f"{name}{root}{key.removeprefix(_BASE)}"
