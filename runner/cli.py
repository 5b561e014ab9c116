"""The command line. Nothing here imports a cloud: help and wrong arguments are answered at once."""

from __future__ import annotations

import gc
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import runner
from runner.errors import InputError, RunnerError, StopFailed

if TYPE_CHECKING:
    import argparse

PROGRAM = "kfp-runner"

_EPILOG = """\
A component is named by its id, such as aws.sagemaker.train; `kfp-runner components` lists them all.

  kfp-runner run aws.sagemaker.train --region eu-west-1 --role arn:... --channels '[...]' ...
  kfp-runner run aws.sagemaker.train --local -f inputs.yaml     on the embedded cloud, no account needed
  kfp-runner watch aws.sagemaker.train NAME --region eu-west-1  follow a job that already runs
  kfp-runner stop --run-id ID --region eu-west-1                stop what a pipeline run left running

Exit codes: 0 success · 1 the job failed or was stopped · 2 wrong input, nothing was sent · 3 the service refused or
can't be reached · 128+n ended by signal n. The last line on standard error is the reason.
"""


class Command(NamedTuple):
    """A word of the command line."""

    run: Callable[[Sequence[str]], int]
    summary: str


_SENDING = frozenset({"run", "watch", "stop"})
"""Commands that send something."""
_BESIDE = 300
"""Characters for what came up beside the reason."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code. Without `argv`, the process is ours, and ends here."""
    if argv is not None:
        return _answered(argv)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _too_early)
    code = _answered(sys.argv[1:])
    from runner.sinks.quiet import quiet_stdout

    quiet_stdout()
    _too_late_for_signals()
    # All is said. Taking the interpreter down would join threads, of which one may hang.
    os._exit(code)


def _answered(argv: Sequence[str]) -> int:
    """Carry out a command; say how it ended if that was not well; return the exit code."""
    debug = "--debug" in argv
    try:
        return _dispatch([a for a in argv if a != "--debug"])
    except SystemExit as leaving:  # argparse's way to end
        return leaving.code if isinstance(leaving.code, int) else 0
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  whatever it is: one clear line, no traceback
        if debug:
            traceback.print_exc()
        return _last_word(*_reason(error, debug=debug), code=_exit_code(error))


def _too_early(number: int, _frame: object) -> None:
    """Leave at once: nothing is under way before a command takes the signals over (see `runner.signals`).

    Standard error may be stalled: what it has no room for is not said.

    As PID 1, the process would not even be ended by a signal that it has no handler for. No exception is raised, for one
    that meets a callback of the interpreter's own (an import has some) is lost.
    """
    what = "interrupted (Ctrl-C)" if number == signal.SIGINT else "terminated (SIGTERM)"
    rest = "; nothing had been sent" if _SENDING & {*sys.argv[1:2]} else ""
    try:
        if select.select([], [2], [], 0)[1]:
            os.write(2, f"{PROGRAM}: {what}{rest}\n".encode())
    finally:
        os._exit(128 + number)


def _too_late_for_signals() -> None:
    """All is said and done: what comes while the interpreter is taken down must not change the exit code."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _dispatch(argv: Sequence[str]) -> int:
    if not argv or argv[0] in {"-h", "--help", "--version"}:
        parser = _parser()
        if not argv:
            parser.print_help()
            return 0
        parser.parse_args(argv)
    command = COMMANDS.get(argv[0])
    if command is None:
        raise InputError(f"there is no command {argv[0]!r}; there are: {', '.join(COMMANDS)}")
    return command.run(argv[1:])


def _parser() -> argparse.ArgumentParser:
    import argparse  # The way of a step does without.

    width = max(map(len, COMMANDS))
    listed = "\n".join(f"  {name:{width}}  {command.summary}" for name, command in COMMANDS.items())
    parser = argparse.ArgumentParser(
        PROGRAM,
        description=f"Run remote managed jobs with live logs, metrics and a stop that really stops.\n\ncommands:\n{listed}",
        epilog=_EPILOG,
        usage=f"{PROGRAM} COMMAND ... [--debug]",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    parser.add_argument(
        "-h", "--help", action="help", help="show this text; every command has its own --help"
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {runner.__version__}")
    return parser


def _exit_code(error: BaseException) -> int:
    if isinstance(error, BaseExceptionGroup):
        from runner.ending import first_cause

        return _exit_code(first_cause(error))
    if isinstance(error, KeyboardInterrupt):
        return 128 + signal.SIGINT
    return error.exit_code if isinstance(error, RunnerError) else 1


def _reason(error: BaseException, *, debug: bool) -> Sequence[str]:
    """Return an error's lines. Only a stop that failed has several, all ours but the first: how to stop each job by hand."""
    if isinstance(error, BaseExceptionGroup):
        return _reason_of_group(error, debug=debug)
    if isinstance(error, RunnerError):
        failed = next((e for e in (error, error.__cause__) if isinstance(e, StopFailed)), None)
        return str(error).rsplit("\n", failed.jobs) if failed else [str(error)]
    if isinstance(error, KeyboardInterrupt):
        return ["interrupted (Ctrl-C)"]
    if isinstance(error, BrokenPipeError):
        return ["nobody reads the output any more"]
    if isinstance(error, OSError):
        return [(f"{error.filename}: " if error.filename else "") + (error.strerror or str(error))]
    hint = "" if debug else "; run again with --debug for the traceback, and please report it"
    return [f"internal error: {type(error).__name__}: {error}{hint}"]


def _reason_of_group(group: BaseExceptionGroup[BaseException], *, debug: bool) -> Sequence[str]:
    """Return the lines of the error that matters most, and, where they are short, what came up beside it."""
    from runner.ending import first_cause, leaves

    cause = first_cause(group)
    first, *others = _reason(cause, debug=debug)
    rest = [e for e in leaves(group) if e is not cause and not isinstance(e, StopFailed)]
    beside = "; ".join(str(e) if isinstance(e, RunnerError) else f"{type(e).__name__}: {e}" for e in rest)
    return [f"{first}; at the same time: {beside}" if 0 < len(beside) <= _BESIDE else first, *others]


def _last_word(*lines: str, code: int) -> int:
    """Say the reason as the last line on standard error, which may be broken or stalled by now."""
    from runner.sinks.quiet import say
    from runner.sinks.text import one_line

    say("\n".join(f"{PROGRAM}: {one_line(line)}" for line in lines))
    return code


# ── components, compile ─────────────────────────────────────────────────────────────────────────────────────────────


def _components(argv: Sequence[str]) -> int:
    import argparse

    from runner import catalog
    from runner.commands import component_help

    parser = argparse.ArgumentParser(
        f"{PROGRAM} components", description="List the components, or one's arguments."
    )
    parser.add_argument("component", nargs="?", help="id of a component whose arguments to show")
    name = parser.parse_args(argv).component
    if name:
        print(component_help(name, catalog.load(name)))
    else:
        width = max(map(len, catalog.ids()))
        for each in catalog.ids():
            print(f"{each:{width}}  {catalog.load(each).summary}")
    return 0


def _compile(argv: Sequence[str]) -> int:
    import argparse

    from runner import catalog, manifest

    parser = argparse.ArgumentParser(
        f"{PROGRAM} compile", description="Write component.yaml and README.md of components from their specs."
    )
    parser.add_argument("component", nargs="*", help="ids; all components where none is given")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail where a file differs from its spec"
    )
    parser.add_argument(
        "--image", default=manifest.DEFAULT_IMAGE, help="image that the steps run in (%(default)s)"
    )
    parser.add_argument("--output", type=Path, help="folder to write to, instead of beside the component")
    given = parser.parse_args(argv)
    if not given.image.strip():
        raise InputError("--image is blank; name the image that the steps run in, or leave the option out")
    stale = []
    for name in given.component or catalog.ids():
        for path, text in manifest.files(name, given.image).items():
            target = given.output.joinpath(*name.split("."), path.name) if given.output else path
            if given.check:
                if not target.exists() or target.read_text(encoding="utf-8") != text:
                    stale.append(str(target))
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text, encoding="utf-8")
                print(target)
    if stale:
        print(f"out of step with their specs: {', '.join(stale)}; run `{PROGRAM} compile`", file=sys.stderr)
    return 1 if stale else 0


# ── run, watch, stop ────────────────────────────────────────────────────────────────────────────────────────────────


def _run(argv: Sequence[str]) -> int:
    with _quick_start():
        from runner.commands import run_command

        return run_command(argv)


def _watch(argv: Sequence[str]) -> int:
    with _quick_start():
        from runner.commands import watch_command

        return watch_command(argv)


def _stop(argv: Sequence[str]) -> int:
    with _quick_start():
        from runner.commands import stop_command

        return stop_command(argv)


@contextmanager
def _quick_start() -> Iterator[None]:
    """Spare a step's start what is of no use to it: garbage collections of what only grows, a search for plug-ins.

    Imports and a cloud's service model make some 400,000 objects that stay; collecting them takes a tenth of the start.
    `runner.commands` collects again from the moment the job's connections are open.
    """
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


# ── emulate, demo ───────────────────────────────────────────────────────────────────────────────────────────────────


def _emulate(argv: Sequence[str]) -> int:
    from runner.emulate import main as emulate

    return emulate(argv)


def _demo(argv: Sequence[str]) -> int:
    import argparse
    import importlib

    from runner.embedded import require

    parser = argparse.ArgumentParser(
        f"{PROGRAM} demo",
        description="See it work, without an account: every step of a pipeline runs through its component, on embedded "
        "clouds. aws: from data to an endpoint that reads digits; split, tune, train, model, deploy and transform, "
        "predictions, teardown. hydrosphere: a model trained on the embedded AWS and released to the embedded Hydrosphere.",
    )
    parser.add_argument("provider", nargs="?", default="aws", help="which demo (%(default)s)")
    parser.add_argument(
        "--output", type=Path, default=Path("demo-output"), help="where its files go (%(default)s)"
    )
    given = parser.parse_args(argv)
    require(given.provider)
    code: int = importlib.import_module(f"components.{given.provider}.demo").main(given.output)
    return code


COMMANDS = {
    "run": Command(_run, "run a component: submit its job, stream its logs, wait, write its outputs"),
    "watch": Command(_watch, "attach to a job that runs; leaving lets it go on"),
    "stop": Command(_stop, "stop what a pipeline run still has running, or jobs by name"),
    "components": Command(_components, "list the components, or show one's arguments"),
    "compile": Command(_compile, "write component.yaml and README.md of components from their specs"),
    "emulate": Command(_emulate, "start an embedded cloud as a server"),
    "demo": Command(_demo, "see it work, on embedded clouds"),
}
