"""The commands `run` and `watch`: options of ours, then arguments of the component."""

from __future__ import annotations

import asyncio
import gc
import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner import catalog, spec
from runner.embedded import EmbeddedOptions
from runner.errors import InputError
from runner.identity import Identity
from runner.job import Component, Job

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
    lines = [f"{component.name} ({name})", "", component.summary, "", "inputs:"]
    for a in spec.arguments(component.inputs):
        note = "required" if a.required else f"default {a.default}" if a.default else "optional"
        lines.append(f"  --{a.name:25} {a.kfp_type}, {note}\n  {'':27} {a.description}")
        if a.choices:
            lines.append(f"  {'':27} one of: {', '.join(a.choices)}")
    lines += ["", "outputs:"]
    for a in (*spec.arguments(component.outputs), *spec.UI_OUTPUTS):
        lines.append(f"  --{a.path_argument} FILE\n  {'':27} {a.description}")
    return "\n".join([*lines, "", _OPTIONS])


def run_command(argv: Sequence[str]) -> int:
    """Run a component."""
    if not argv or argv[0] in {"-h", "--help"}:
        print(f"usage: kfp-runner run COMPONENT [options] [--ARGUMENT VALUE ...]\n\n{_OPTIONS}")
        print(
            "`kfp-runner components` lists the components, `kfp-runner run COMPONENT --help` shows one's arguments."
        )
        return 0 if argv else 2
    name, component = argv[0], catalog.load(argv[0])
    given = _sorted(argv[1:], spec.names(component), _FLAGS - {"stop-on-exit"})
    if given.flags & {"help", "h"}:
        print(component_help(name, component))
        return 0
    call = spec.parse(component, [*_file(given).items(), *given.component])
    identity = Identity.of_environment(name, {**os.environ, **_run_key(given)})
    component.request(call.inputs, identity)  # Bad input is told before anything is started.
    if "dry-run" in given.flags:
        asyncio.run(_checked(component, call.inputs, identity))
        print(json.dumps(component.request(call.inputs, identity), indent=2, default=str))
        return 0
    from runner.step import Options, run_step

    options = Options(given.events, given.time_limit, given.local, True, call.outputs, call.ui, call.warnings)  # noqa: FBT003
    asyncio.run(run_step(component, _collecting(component.connect(call.inputs, identity)), options))
    return 0


def watch_command(argv: Sequence[str]) -> int:
    """Attach to a job that runs, and follow it."""
    if len(argv) < 2 or argv[0] in {"-h", "--help"}:
        print(
            "usage: kfp-runner watch COMPONENT NAME [--region R] [--events FILE] [--time-limit S] [--stop-on-exit]\n"
        )
        print(
            "Follows a job that already runs: its log from the beginning, its status, its metrics. Leaving lets it go on,"
        )
        print("unless --stop-on-exit is given.")
        return 0 if argv and argv[0] in {"-h", "--help"} else 2
    component = catalog.load(argv[0])
    given = _sorted(argv[2:], set(component.where), _FLAGS)
    where = _where(component, dict(given.component))
    from runner.step import Options, run_step

    options = Options(given.events, given.time_limit, stop_on_exit="stop-on-exit" in given.flags)
    connection: AbstractAsyncContextManager[Job] = component.attach(where, argv[1])
    asyncio.run(run_step(component, _collecting(connection), options))
    return 0


def _where(component: Component, given: Mapping[str, object]) -> Any:  # noqa: ANN401  the component's own model
    """Return inputs of which only those that tell where to connect are set and checked."""
    known = {a.name: a for a in spec.arguments(component.inputs) if a.name in component.where}
    if unknown := set(given) - set(known):
        raise InputError(
            f"--{min(unknown)} is unknown here; `watch` takes: {', '.join(f'--{k}' for k in known)}"
        )
    for name, argument in known.items():
        if argument.required and not given.get(name):
            raise InputError(f"--{name} is required: {argument.description}")
    return component.inputs.model_construct(None, **{k: str(v) for k, v in given.items()})


def _sorted(argv: Sequence[str], names: set[str], flags: frozenset[str]) -> _Given:
    given = _Given()
    for name, value in spec.pairs(argv, names | _VALUED, flags):
        if name in flags:
            given.flags.add(name)
        elif name == "local-image":
            image, equals, command = value.partition("=")
            if not (image and equals and command):
                raise InputError(f"--local-image is {value!r}; write NAME=COMMAND")
            given.images[image] = command
        elif name in _VALUED:
            given.values["inputs" if name == "f" else name] = value
        else:
            given.component.append((name, value))
    return given


def _file(given: _Given) -> dict[str, object]:
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
    on_command_line = {k for k, _ in given.component}
    return {str(k): v for k, v in content.items() if str(k) not in on_command_line and v is not None}


def _run_key(given: _Given) -> dict[str, str]:
    return {"KFP_RUN_ID": given.values["run-key"]} if "run-key" in given.values else {}


@asynccontextmanager
async def _collecting(connection: AbstractAsyncContextManager[Job]) -> AsyncIterator[Job]:
    """Collect garbage again once the connections are open; what was made till then stays, and isn't looked at."""
    async with connection as job:
        gc.freeze()
        gc.enable()
        yield job


async def _checked(component: Component, inputs: Any, identity: Identity) -> None:  # noqa: ANN401
    await component.check(inputs, identity)
