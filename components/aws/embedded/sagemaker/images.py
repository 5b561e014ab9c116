"""Which local command stands for which container image: the only place that commands come from.

A request names an image, never a command; an image that is not in the table can't run. AWS starts an image as
`<image> train` or `<image> serve`; the built-in algorithms get that argument. A command of the user's own is run exactly
as given, except that a word `{verb}` in it becomes `train` or `serve`: so one command can stand for an image that does
both, `--local-image my-image='python main.py {verb}'`. Processing jobs start an image without a verb: the word is left
out. What serves finds its port in SAGEMAKER_BIND_TO_PORT.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from components.aws.embedded.errors import ApiError, invalid

Verb = Literal["train", "serve"]
"""The argument that AWS starts an image with."""
_VERB = "{verb}"

_PACKAGE = __name__.removesuffix(".sagemaker.images")
_REGISTRY = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/(.+)")
_ALGORITHMS = {"kmeans:1": "kmeans", "kmeans:latest": "kmeans"}

# Processing images of ours, with or without a registry before them; they are started without a verb.
_SAMPLES = {"kfp-runner-samples/split:1": "split"}

# As AWS's k-means declares them, but for the optional `epoch=…`: the local algorithm reports every epoch's msd.
METRICS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "kmeans": (
        ("train:msd", r"#quality_metric: host=\S+, (?:epoch=\S+, )?train msd <loss>=(\S+)"),
        ("train:progress", r"#progress_metric: host=\S+, completed (\S+) %"),
        ("train:throughput", r"#throughput_metric: host=\S+, train throughput=(\S+) records/second"),
        ("test:msd", r"#quality_metric: host=\S+, test msd <loss>=(\S+)"),
        ("test:ssd", r"#quality_metric: host=\S+, test ssd <loss>=(\S+)"),
    )
}


@dataclass(frozen=True, slots=True)
class Command:
    """What to run instead of an image."""

    argv: tuple[str, ...]
    """The first is an absolute path."""
    algorithm: str = ""
    """The built-in algorithm's name; empty for a command of the user's own."""
    path: str = ""
    """A folder that the command's Python must find modules in; empty for the user's own."""


class Images:
    """The table. Raises ValueError for a command that is empty or not to be found on this machine."""

    def __init__(self, commands: Mapping[str, str]) -> None:
        self._commands = {image: _own(image, line) for image, line in commands.items()}

    def command(self, image: str, role: str, verb: Verb | None = "train") -> Command:
        """What stands for `image`; with None as verb, as a processing job starts it.

        Raises `ApiError` in AWS's words, and how to map the image, if nothing does.
        """
        match = _REGISTRY.fullmatch(image)
        repository = match[3] if match else image
        for name in (image, repository, repository.partition("@")[0].partition(":")[0]):
            if name in self._commands:
                return _told(self._commands[name], verb)
        if match and repository in _ALGORITHMS:
            return _builtin(_ALGORITHMS[repository], *([verb] if verb else []))
        if repository in _SAMPLES:
            return _builtin(_SAMPLES[repository])
        raise _unknown(image, match, role)


def _own(image: str, line: str) -> Command:
    try:
        argv = shlex.split(line)
    except ValueError as error:
        raise ValueError(f"image {image!r}: its command {line!r} can't be split: {error}") from None
    if not argv:
        raise ValueError(f"image {image!r}: its command {line!r} is empty")
    # Looked up once and here: a job's own PATH has no say in what is run.
    program = shutil.which(argv[0], path=search_path())
    if program is None:
        raise ValueError(
            f"image {image!r}: its command {argv[0]!r} is not on this machine (looked on PATH; the whole command: {line!r})"
        )
    return Command((str(Path(program).absolute()), *argv[1:]))


def _told(command: Command, verb: Verb | None) -> Command:
    words = (verb if word == _VERB else word for word in command.argv)
    return replace(command, argv=tuple(word for word in words if word is not None))


def _builtin(algorithm: str, *verb: Verb) -> Command:
    module = f"{_PACKAGE}.algorithms.{algorithm}"
    root = Path(__file__).parents[__name__.count(".")]
    # -P: modules of the folder we were started in must not take the place of the algorithm's.
    return Command((sys.executable, "-P", "-m", module, *verb), algorithm, str(root))


def search_path() -> str:
    """Where programs are looked for: beside our own interpreter first, so that `python` means the same one."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


def mapping_hint(image: str) -> str:
    """How to have an image that nothing stands for."""
    return f"(Embedded cloud: no local command stands for this image; map one with --local-image {image}='python …'.)"


def _unknown(image: str, match: re.Match[str] | None, role: str) -> ApiError:
    hint = mapping_hint(image)
    if match is None:
        return invalid(
            f"Invalid image URI {image}. Please provide a valid Amazon Elastic Container Registry path of the"
            f" Docker image to run. {hint}"
        )
    repository = re.split("[:@]", match[3])[0]
    return invalid(
        f"Cannot find repository: {repository} in registry ID: {match[1]} Please check if your ECR repository and"
        f" image exist and role {role} has proper pull permissions for SageMaker: ecr:BatchCheckLayerAvailability,"
        f" ecr:BatchGetImage, ecr:GetDownloadUrlForLayer {hint}"
    )
