"""The command `emulate`: an embedded cloud as a server, for any client of that cloud."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import json
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack

from runner import loop
from runner.embedded import Module, module, providers
from runner.errors import ServiceError


def main(argv: Sequence[str]) -> int:
    """Serve until a signal comes."""
    named = next((word for word in argv if word in providers()), None)
    cloud = module(named) if named else None  # With it, its own options are known, and shown by --help.
    parser = argparse.ArgumentParser(
        "kfp-runner emulate",
        description="Start a provider's embedded cloud on loopback. It really executes jobs, as processes of this machine.",
        epilog=None if named else "Name the provider before --help to see the options of its cloud.",
    )
    parser.add_argument("provider", help=f"whose cloud: {', '.join(providers())}")
    parser.add_argument(
        "--port", type=_port, default=4566, help="port on 127.0.0.1; 0 for a free one (%(default)s)"
    )
    parser.add_argument("--faults", action="store_true", help="let tests switch on faults at /_embedded")
    parser.add_argument(
        "--attached", action="store_true", help="tell the address as JSON, end with standard input"
    )
    if cloud is not None:
        cloud.options(parser)
    given = parser.parse_args(argv)
    return loop.run(_serve(module(given.provider), given))


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
            for name, value in cloud.environment.items():
                print(f"export {name}={value}")
            sys.stdout.flush()
        await done.wait()
    return 0


def _at_end_of_input(done: asyncio.Event) -> None:
    with contextlib.suppress(BlockingIOError):
        if not os.read(sys.stdin.fileno(), 4096):
            asyncio.get_running_loop().remove_reader(sys.stdin)
            done.set()
