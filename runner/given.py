"""What stood on the command line of `run`, `watch` or `stop`: options of ours told from arguments of the component."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runner import spec
from runner.embedded import EmbeddedOptions
from runner.errors import InputError
from runner.identity import RUN_ID
from runner.job import Component

OPTIONS = """\
options of run:
  --local                 run on the embedded cloud, which really executes; no account needed
  --local-image NAME=CMD  with --local: run CMD where the job asks for the image NAME (may be repeated); a word {verb}
                          in CMD becomes train or serve; what serves listens on 127.0.0.1, at the port that its
                          environment names (aws: SAGEMAKER_BIND_TO_PORT)
  --local-folder DIR      with --local: buckets are the folders in DIR, read at the start, written back at the end
  --dry-run               check everything, print the request, send nothing
  -f, --inputs FILE       take arguments from a YAML or JSON file; those on the command line win
  --events FILE           append every event to FILE, one JSON object a line
  --time-limit SECONDS    stop the job after so long
  --run-key KEY           what a restart is known by: a second start with the same key re-attaches to the job of the
                          first, instead of starting another (default: $KFP_RUN_ID)
  --debug                 show tracebacks
"""
_HELP = frozenset({"help", "h"})
_SHORT = {"f": "inputs"}


@dataclass(frozen=True, slots=True)
class Known:
    """The options of one command, beside the component's arguments."""

    flags: frozenset[str]
    """They take no value."""
    valued: frozenset[str]

    @property
    def names(self) -> frozenset[str]:
        """All but those that are only a letter."""
        return frozenset(name for name in self.flags | self.valued if len(name) > 1)


_EVERYWHERE = frozenset({"events", "time-limit"})
RUN = Known(
    frozenset({"local", "dry-run"}) | _HELP,
    frozenset({"local-image", "local-folder", "inputs", "f", "run-key"}) | _EVERYWHERE,
)
WATCH = Known(frozenset({"stop-on-exit"}), _EVERYWHERE)
_OF_ANY = RUN.flags | RUN.valued | WATCH.flags
STOP = Known(frozenset({"dry-run"}) | _HELP, _EVERYWHERE)


@dataclass
class Given:
    """What stood on the command line, sorted."""

    flags: set[str] = field(default_factory=set)
    values: dict[str, str] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)
    component: list[tuple[str, object]] = field(default_factory=list)

    @property
    def local(self) -> EmbeddedOptions | None:
        """How to start the embedded cloud, or None for the real one."""
        folder = self.values.get("local-folder")
        if "local" not in self.flags:
            if self.images or folder:
                raise InputError("--local-image and --local-folder go with --local")
            return None
        if folder is not None and not (Path(folder).is_dir() and os.access(folder, os.W_OK)):
            raise InputError(f"--local-folder is {folder!r}, which is not a folder that can be written to")
        return EmbeddedOptions(self.images, Path(folder) if folder else None)

    @property
    def time_limit(self) -> float | None:
        """Seconds, or None."""
        text = self.values.get("time-limit")
        if text is None:
            return None
        try:
            seconds = float(text)
        except ValueError:
            seconds = -1.0
        if not 0 < seconds < float("inf"):
            raise InputError(f"--time-limit is {text!r}, which is not a number of seconds above 0")
        return seconds

    @property
    def events(self) -> Path | None:
        """The file of `--events`."""
        return Path(self.values["events"]) if "events" in self.values else None

    @property
    def run_key(self) -> dict[str, str]:
        """The environment that `--run-key` stands for."""
        key = self.values.get("run-key")
        if key is None:
            return {}
        if not RUN_ID.fullmatch(key):
            raise InputError(
                f"--run-key is {key[:60]!r}; it may hold up to 200 letters, digits, blanks and any of _.:/=+-@"
            )
        return {"KFP_RUN_ID": key}

    @property
    def wants_help(self) -> bool:
        """Whether help was asked for."""
        return bool(self.flags & _HELP)


def read(argv: Sequence[str], names: set[str], options: Known) -> Given:
    """Sort a command line. `names` are the component's arguments. Raises `InputError`."""
    given = Given()
    for name, value in spec.pairs(argv, names | options.valued, options.flags):
        if name in options.flags:
            given.flags.add(name)
        elif name == "local-image" and name in options.valued:
            given.images.update([_image(value)])
        elif name in options.valued:
            known = _SHORT.get(name, name)
            if known in given.values:
                raise InputError(f"--{known} is given twice; once is enough")
            given.values[known] = value
        else:
            given.component.append((name, value))
    return given


def job_name(argv: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Return the one word that belongs to no option, blank if there is none, and all others."""
    at = 0
    while at < len(argv) and argv[at].startswith("-"):
        at += 1 if "=" in argv[at] or argv[at] == "--stop-on-exit" else 2
    return ("", argv) if at >= len(argv) else (argv[at], [*argv[:at], *argv[at + 1 :]])


def _image(value: str) -> tuple[str, str]:
    name, equals, command = value.partition("=")
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise InputError(f"--local-image {name}: {command!r} is no command line: {error}") from error
    if not (name and equals and words):
        raise InputError(f"--local-image is {value!r}; write NAME=COMMAND")
    if shutil.which(words[0]) is None:
        raise InputError(f"--local-image {name}: there is no command {words[0]!r} that can be run")
    return name, command


def arguments_of_file(given: Given, component: Component) -> dict[str, object]:
    """Return the arguments of the inputs file, less those that the command line gives too."""
    name = given.values.get("inputs")
    if name is None:
        return {}
    import yaml

    try:
        content = yaml.safe_load(Path(name).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"--inputs: can't read {name}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(
            f"--inputs: {name} is neither YAML nor JSON: {' '.join(str(error).split())}"
        ) from error
    if not isinstance(content, dict):
        raise InputError(f"--inputs: {name} does not hold a mapping of arguments to values")
    known = spec.names(component)
    canonical = {alias: a.name for a in spec.arguments(component.inputs) for alias in a.aliases}
    on_command_line = {canonical.get(k, k) for k, _ in given.component}

    def argument(key: object) -> str:
        # An option's own name is none of the component's arguments, whatever the dashes: it is told as unknown.
        name = str(key) if str(key) in _OF_ANY else spec.spelled(str(key), known)
        return canonical.get(name, name)

    return {str(k): v for k, v in content.items() if argument(k) not in on_command_line and v is not None}
