"""The commands `run`, `watch` and `stop`: options of ours, then arguments of the component."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner import catalog, loop, spec
from runner.errors import InputError
from runner.given import OPTIONS, RUN, STOP, WATCH, Given, arguments_of_file, job_name, read
from runner.identity import Identity
from runner.inputs import Inputs
from runner.job import Component, Job
from runner.sinks.jsonl import check_path
from runner.sinks.outputs import check_paths

if TYPE_CHECKING:
    from runner.step import Options

_HELP = frozenset({"-h", "--help"})
_USAGE_OF_RUN = f"""\
usage: kfp-runner run COMPONENT [options] [--ARGUMENT VALUE ...]

{OPTIONS}
`kfp-runner components` lists the components, `kfp-runner run COMPONENT --help` shows one's arguments."""
_USAGE_OF_WATCH = """\
usage: kfp-runner watch COMPONENT NAME [--events FILE] [--time-limit S] [--stop-on-exit] --ARGUMENT VALUE ...

Follows a job that already runs: its log from the beginning, its status, its metrics. Leaving lets it go on,
unless --stop-on-exit is given. `kfp-runner watch COMPONENT --help` shows the arguments that tell where it is."""
_USAGE_OF_STOP = """\
usage: kfp-runner stop [COMPONENT] [--dry-run] [--events FILE] [--time-limit S] --ARGUMENT VALUE ...

Stops what still runs of a pipeline run, or jobs by name. --dry-run tells what would be stopped, and stops nothing.
COMPONENT is only needed where several components stop jobs.
"""


def component_help(name: str, component: Component) -> str:
    """Return a component's arguments as help text."""
    lines = [
        f"{component.name} ({name})",
        "",
        component.summary,
        "",
        *_inputs_help(component.inputs),
        "",
        "outputs:",
    ]
    outputs = (*spec.arguments(component.outputs), *spec.UI_OUTPUTS)
    lines += [f"  --{a.path_argument} FILE\n  {'':27} {a.description}" for a in outputs]
    return "\n".join([*lines, "", OPTIONS])


def _inputs_help(inputs: type[Inputs]) -> list[str]:
    lines = ["inputs:"]
    for a in spec.arguments(inputs):
        note = "required" if a.required else f"default {a.default}" if a.default else "optional"
        lines.append(f"  --{a.name:25} {a.kfp_type}, {note}\n  {'':27} {a.description}")
        if a.choices:
            lines.append(f"  {'':27} one of: {', '.join(a.choices)}")
    return lines


def run_command(argv: Sequence[str]) -> int:
    """Run a component."""
    if not argv or argv[0].startswith("-"):
        print(_USAGE_OF_RUN)
        if _HELP & {*argv}:
            return 0
        raise InputError("COMPONENT is missing: the first word after `run`")
    name, component = argv[0], catalog.load(argv[0])
    given = read(argv[1:], spec.names(component), RUN)
    if given.wants_help:
        print(component_help(name, component))
        return 0
    arguments = [*arguments_of_file(given, component).items(), *given.component]
    call = spec.parse(component, arguments, RUN.names)
    identity = Identity.of_environment(name, {**os.environ, **given.run_key})
    component.request(call.inputs, identity)  # Bad input is told before anything is started.
    options = _options(given, call, call.outputs)
    if "dry-run" in given.flags:
        loop.run(_checked(component, call.inputs, identity))
        print(json.dumps(component.request(call.inputs, identity), indent=2, default=str))
        return 0
    return _start(component, component.connect(call.inputs, identity), options)


def watch_command(argv: Sequence[str]) -> int:
    """Attach to a job that runs, and follow it."""
    helped, name, rest = _HELP & {*argv}, "", argv[1:]
    if argv and not argv[0].startswith("-"):
        name, rest = job_name(argv[1:])
    if helped or not name:
        print(_USAGE_OF_WATCH)
        if helped:
            if argv and not argv[0].startswith("-"):
                print("\n".join(["", *_inputs_help(catalog.load(argv[0]).where)]))
            return 0
        raise InputError(
            "COMPONENT and NAME are missing" if not argv else "NAME is missing: the job to follow"
        )
    component = catalog.load(argv[0])
    given = read(rest, set(component.where.model_fields), WATCH)
    where = spec.checked(component.where, given.component, WATCH.names)
    options = _options(given, stop_on_exit="stop-on-exit" in given.flags)
    return _start(component, component.attach(where, name), options)


def stop_command(argv: Sequence[str]) -> int:
    """Stop what a pipeline run, or a list of names, still has running."""
    named = bool(argv) and not argv[0].startswith("-")
    name, rest = _stopper(argv[0] if named else ""), argv[named:]
    component = catalog.load(name)
    given = read(rest, spec.names(component), STOP)
    if given.wants_help or not argv:
        print("\n".join([_USAGE_OF_STOP, *_inputs_help(component.inputs)]))
        if argv:
            return 0
    if "dry-run" in given.flags:
        given.component.append(("dry_run", "True"))
    call = spec.parse(component, given.component, STOP.names)
    identity = Identity.of_environment(name, os.environ)
    component.request(call.inputs, identity)  # Bad input is told before anything is started.
    # Nobody reads files of a command of a person's, unless they were asked for.
    asked = {argument for argument, _ in given.component}
    files = {output: path for output, path in call.outputs.items() if f"{output}_output_path" in asked}
    options = _options(given, call, files)
    return _start(component, component.connect(call.inputs, identity), options)


def _options(
    given: Given,
    call: spec.Call | None = None,
    outputs: Mapping[str, Path] | None = None,
    *,
    stop_on_exit: bool = True,
) -> Options:
    """Return how to run. Raises `InputError` for a wrong option, or a file that can't be written to."""
    from runner.step import Options

    ui, warnings = (call.ui, call.warnings) if call else ({}, ())
    options = Options(given.events, given.time_limit, given.local, stop_on_exit, outputs or {}, ui, warnings)
    check_paths({**options.outputs, **ui})
    if given.events:
        check_path(given.events)
    return options


def _start(component: Component, connection: AbstractAsyncContextManager[Job], options: Options) -> int:
    from runner.step import run_step

    loop.run(run_step(component, _collecting(connection), options))
    return 0


def _stopper(wanted: str) -> str:
    """Return the id of the component that stops jobs: its last word is `stop`."""
    known = [each for each in catalog.ids() if each.rpartition(".")[2] == "stop"]
    if wanted in known or (not wanted and len(known) == 1):
        return wanted or known[0]
    what = f"COMPONENT is {wanted!r}, which does not stop jobs" if wanted else "COMPONENT is missing"
    raise InputError(f"{what}; there are: {', '.join(known)}")


@asynccontextmanager
async def _collecting(connection: AbstractAsyncContextManager[Job]) -> AsyncIterator[Job]:
    """Collect garbage again once the connections are open; what was made till then stays, and isn't looked at."""
    async with connection as job:
        gc.freeze()
        gc.enable()
        yield job


async def _checked(component: Component, inputs: Any, identity: Identity) -> None:  # noqa: ANN401
    await component.check(inputs, identity)
