"""The commands `run`, `watch` and `stop`: options of ours, then arguments of the component."""

from __future__ import annotations

import gc
import json
import os
import shlex
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner import catalog, loop, spec
from runner.embedded import EmbeddedOptions
from runner.errors import InputError
from runner.identity import RUN_ID, Identity
from runner.job import Component, Job
from runner.sinks.jsonl import check_path
from runner.sinks.outputs import check_paths

_OPTIONS = """\
options of run:
  --local                 run on the embedded cloud, which really executes; no account needed
  --local-image NAME=CMD  with --local: run CMD where the job asks for the image NAME (may be repeated)
  --local-folder DIR      with --local: buckets are the folders in DIR, read at the start, written back at the end
  --dry-run               check everything, print the request, send nothing
  -f, --inputs FILE       take arguments from a YAML or JSON file; those on the command line win
  --events FILE           append every event to FILE, one JSON object a line
  --time-limit SECONDS    stop the job after so long
  --run-key KEY           what a restart is known by: a second start with the same key re-attaches to the job of the
                          first, instead of starting another (default: $KFP_RUN_ID)
  --debug                 show tracebacks
"""

_FLAGS = frozenset({"local", "dry-run", "stop-on-exit", "help", "h"})
_VALUED = frozenset({"local-image", "local-folder", "inputs", "f", "events", "time-limit", "run-key"})
_OF_WATCH = frozenset({"events", "time-limit"})
_OF_STOP = _OF_WATCH
_USAGE_OF_STOP = """\
usage: kfp-runner stop [COMPONENT] [--dry-run] [--events FILE] [--time-limit S] --ARGUMENT VALUE ...

Stops what still runs of a pipeline run, or jobs by name. --dry-run tells what would be stopped, and stops nothing.
COMPONENT is only needed where several components stop jobs.
"""


@dataclass
class _Given:
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


def component_help(name: str, component: Component) -> str:
    """Return a component's arguments as help text."""
    lines = [
        f"{component.name} ({name})",
        "",
        component.summary,
        "",
        *_inputs_help(component),
        "",
        "outputs:",
    ]
    outputs = (*spec.arguments(component.outputs), *spec.UI_OUTPUTS)
    lines += [f"  --{a.path_argument} FILE\n  {'':27} {a.description}" for a in outputs]
    return "\n".join([*lines, "", _OPTIONS])


def _inputs_help(component: Component) -> list[str]:
    lines = ["inputs:"]
    for a in spec.arguments(component.inputs):
        note = "required" if a.required else f"default {a.default}" if a.default else "optional"
        lines.append(f"  --{a.name:25} {a.kfp_type}, {note}\n  {'':27} {a.description}")
        if a.choices:
            lines.append(f"  {'':27} one of: {', '.join(a.choices)}")
    return lines


def run_command(argv: Sequence[str]) -> int:
    """Run a component."""
    if not argv or argv[0].startswith("-"):
        print(f"usage: kfp-runner run COMPONENT [options] [--ARGUMENT VALUE ...]\n\n{_OPTIONS}")
        print(
            "`kfp-runner components` lists the components, `kfp-runner run COMPONENT --help` shows one's arguments."
        )
        if {"-h", "--help"} & {*argv}:
            return 0
        raise InputError("COMPONENT is missing: the first word after `run`")
    name, component = argv[0], catalog.load(argv[0])
    flags = _FLAGS - {"stop-on-exit"}
    given = _sorted(argv[1:], spec.names(component), flags, _VALUED)
    if given.flags & {"help", "h"}:
        print(component_help(name, component))
        return 0
    call = spec.parse(
        component, [*_file(given, component).items(), *given.component], (flags | _VALUED) - {"f", "h"}
    )
    identity = Identity.of_environment(name, {**os.environ, **_run_key(given)})
    component.request(call.inputs, identity)  # Bad input is told before anything is started.
    from runner.step import Options, run_step

    options = Options(given.events, given.time_limit, given.local, True, call.outputs, call.ui, call.warnings)  # noqa: FBT003
    check_paths({**call.outputs, **call.ui})
    if given.events:
        check_path(given.events)
    if "dry-run" in given.flags:
        loop.run(_checked(component, call.inputs, identity))
        print(json.dumps(component.request(call.inputs, identity), indent=2, default=str))
        return 0
    loop.run(run_step(component, _collecting(component.connect(call.inputs, identity)), options))
    return 0


def watch_command(argv: Sequence[str]) -> int:
    """Attach to a job that runs, and follow it."""
    helped, name, rest = {"-h", "--help"} & {*argv}, "", argv[1:]
    if argv and not argv[0].startswith("-"):
        name, rest = _job_name(argv[1:])
    if helped or not name:
        print(
            "usage: kfp-runner watch COMPONENT NAME [--region R] [--events FILE] [--time-limit S] [--stop-on-exit]\n"
        )
        print(
            "Follows a job that already runs: its log from the beginning, its status, its metrics. Leaving lets it go on,"
        )
        print("unless --stop-on-exit is given.")
        if helped:
            return 0
        raise InputError(
            "COMPONENT and NAME are missing" if not argv else "NAME is missing: the job to follow"
        )
    component = catalog.load(argv[0])
    given = _sorted(rest, set(component.where.model_fields), frozenset({"stop-on-exit"}), _OF_WATCH)
    where = spec.checked(component.where, given.component, _OF_WATCH | {"stop-on-exit"})
    from runner.step import Options, run_step

    options = Options(given.events, given.time_limit, stop_on_exit="stop-on-exit" in given.flags)
    if given.events:
        check_path(given.events)
    connection: AbstractAsyncContextManager[Job] = component.attach(where, name)
    loop.run(run_step(component, _collecting(connection), options))
    return 0


def stop_command(argv: Sequence[str]) -> int:
    """Stop what a pipeline run, or a list of names, still has running."""
    named = bool(argv) and not argv[0].startswith("-")
    name, rest = _stopper(argv[0] if named else ""), argv[named:]
    component = catalog.load(name)
    flags = frozenset({"dry-run", "help", "h"})
    given = _sorted(rest, spec.names(component), flags, _OF_STOP)
    if given.flags & {"help", "h"} or not argv:
        print("\n".join([_USAGE_OF_STOP, *_inputs_help(component)]))
        if argv:
            return 0
    if "dry-run" in given.flags:
        given.component.append(("dry_run", "True"))
    call = spec.parse(component, given.component, (flags | _OF_STOP) - {"h"})
    identity = Identity.of_environment(name, os.environ)
    component.request(call.inputs, identity)  # Bad input is told before anything is started.
    from runner.step import Options, run_step

    # Nobody reads files of a command of a person's, unless they were asked for.
    asked = {argument for argument, _ in given.component}
    files = {output: path for output, path in call.outputs.items() if f"{output}_output_path" in asked}
    check_paths({**files, **call.ui})
    if given.events:
        check_path(given.events)
    options = Options(given.events, given.time_limit, outputs=files, ui=call.ui, warnings=call.warnings)
    loop.run(run_step(component, _collecting(component.connect(call.inputs, identity)), options))
    return 0


def _stopper(wanted: str) -> str:
    """Return the id of the component that stops jobs: its last word is `stop`."""
    known = [each for each in catalog.ids() if each.rpartition(".")[2] == "stop"]
    if wanted in known or (not wanted and len(known) == 1):
        return wanted or known[0]
    what = f"COMPONENT is {wanted!r}, which does not stop jobs" if wanted else "COMPONENT is missing"
    raise InputError(f"{what}; there are: {', '.join(known)}")


def _job_name(argv: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Return the one word that belongs to no option, blank if there is none, and all others."""
    at = 0
    while at < len(argv) and argv[at].startswith("-"):
        at += 1 if "=" in argv[at] or argv[at] == "--stop-on-exit" else 2
    return ("", argv) if at >= len(argv) else (argv[at], [*argv[:at], *argv[at + 1 :]])


def _sorted(argv: Sequence[str], names: set[str], flags: frozenset[str], valued: frozenset[str]) -> _Given:
    given = _Given()
    for name, value in spec.pairs(argv, names | valued, flags):
        if name in flags:
            given.flags.add(name)
        elif name == "local-image" and name in valued:
            given.images.update([_image(value)])
        elif name in valued:
            known = "inputs" if name == "f" else name
            if known in given.values:
                raise InputError(f"--{known} is given twice; once is enough")
            given.values[known] = value
        else:
            given.component.append((name, value))
    return given


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


def _file(given: _Given, component: Component) -> dict[str, object]:
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
        name = str(key) if str(key) in _FLAGS | _VALUED else spec.spelled(str(key), known)
        return canonical.get(name, name)

    return {str(k): v for k, v in content.items() if argument(k) not in on_command_line and v is not None}


def _run_key(given: _Given) -> dict[str, str]:
    key = given.values.get("run-key")
    if key is None:
        return {}
    if not RUN_ID.fullmatch(key):
        raise InputError(
            f"--run-key is {key[:60]!r}; it may hold up to 200 letters, digits, blanks and any of _.:/=+-@"
        )
    return {"KFP_RUN_ID": key}


@asynccontextmanager
async def _collecting(connection: AbstractAsyncContextManager[Job]) -> AsyncIterator[Job]:
    """Collect garbage again once the connections are open; what was made till then stays, and isn't looked at."""
    async with connection as job:
        gc.freeze()
        gc.enable()
        yield job


async def _checked(component: Component, inputs: Any, identity: Identity) -> None:  # noqa: ANN401
    await component.check(inputs, identity)
