"""The command `emulate`: an embedded cloud as a server, for any client of that cloud."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import importlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, NoReturn

from runner import catalog, loop
from runner.embedded import Module, module, providers
from runner.errors import ServiceError

_PROGRAM = "kfp-runner emulate"


def main(argv: Sequence[str]) -> int:
    """Serve until a signal comes."""
    named = _named(argv)
    cloud = module(named) if named else None  # With it, its own options are known, and shown by --help.
    parser = argparse.ArgumentParser(
        _PROGRAM,
        description=f"Start a provider's embedded cloud on loopback. {cloud.SUMMARY if cloud else ''}".rstrip(),
        epilog=None
        if named
        else "Name the provider before --help to see what its cloud does, and its options.",
    )
    parser.add_argument("provider", help=f"whose cloud: {', '.join(providers())}")
    _add_common(parser)
    if cloud is not None:
        cloud.options(parser)
    given = parser.parse_args(argv)
    if cloud is None:
        module(given.provider)  # says so, if there is none
        parser.error("the options before the provider can't be told apart; name the provider first")
    return loop.run(_serve(cloud, given))


class _Words(argparse.ArgumentParser):
    """Tells options from other words, and takes any value: what is wrong with one, the provider's own parser says."""

    def add_argument(self, *names: Any, **how: Any) -> argparse.Action:  # noqa: ANN401  argparse's own are many
        return super().add_argument(
            *names, **{key: how[key] for key in how if key not in {"type", "choices"}}
        )

    def error(self, message: str) -> NoReturn:
        raise _Unclear(message)


class _Unclear(Exception):
    """The command line can't be told apart; the parser that comes next says why."""


def _named(argv: Sequence[str]) -> str | None:
    """Return the provider that is named, if one is. Any provider's options may stand before it, with their values."""
    parser = _Words(add_help=False, conflict_handler="resolve")
    parser.add_argument("provider", nargs="?")
    _add_common(parser)
    for provider in providers():
        # Without a look at what it needs: only the one that is named has to be installed.
        importlib.import_module(f"{catalog.PACKAGE}.{provider}.embedded").options(parser)
    try:
        found: str | None = parser.parse_known_args(argv)[0].provider
    except _Unclear:
        return None
    return found if found in providers() else None


def _add_common(parser: argparse.ArgumentParser) -> None:
    """Add the options of every provider."""
    parser.add_argument(
        "--port", type=_port, default=4566, help="port on 127.0.0.1; 0 for a free one (%(default)s)"
    )
    parser.add_argument("--faults", action="store_true", help="let tests switch on faults at /_embedded")
    parser.add_argument(
        "--attached", action="store_true", help="tell the address as JSON, end with standard input"
    )


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number < 2**16:
        raise argparse.ArgumentTypeError(f"{text} is no port; it is a number from 0 to 65535")
    return number


async def _serve(module: Module, given: argparse.Namespace) -> int:
    done = asyncio.Event()
    running = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        running.add_signal_handler(number, done.set)
    async with AsyncExitStack() as stack:
        try:
            cloud = await stack.enter_async_context(module.serving(given))
        except OSError as error:
            if error.errno not in {errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL}:
                raise
            raise ServiceError(
                f"can't listen on 127.0.0.1:{given.port}: {error.strerror}; choose another --port"
            ) from error
        if given.attached:
            running.add_reader(sys.stdin, _at_end_of_input, done)
            print(json.dumps({"url": cloud.url, "environment": dict(cloud.environment)}), flush=True)
        else:
            print(f"embedded {given.provider} at {cloud.url}; Ctrl-C ends it. To use it:\n")
            usage = getattr(cloud, "usage", "") or "\n".join(
                f"export {k}={v}" for k, v in cloud.environment.items()
            )
            print(usage)
            sys.stdout.flush()
        await done.wait()
    return 0


def _at_end_of_input(done: asyncio.Event) -> None:
    with contextlib.suppress(BlockingIOError):
        if not os.read(sys.stdin.fileno(), 4096):
            asyncio.get_running_loop().remove_reader(sys.stdin)
            done.set()
