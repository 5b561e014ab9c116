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
from pathlib import Path

from runner import loop
from runner.embedded import require
from runner.errors import InputError, ServiceError


def main(argv: Sequence[str]) -> int:
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser(
        "kfp-runner emulate",
        description="Start a provider's embedded cloud on loopback. It really executes jobs, as processes of this machine.",
    )
    parser.add_argument("provider", help="whose cloud: aws")
    parser.add_argument(
        "--port", type=_port, default=4566, help="port on 127.0.0.1; 0 for a free one (%(default)s)"
    )
    parser.add_argument(
        "--image",
        action="append",
        default=[],
        metavar="NAME=CMD",
        help="run CMD for the image NAME; a word {verb} in CMD becomes train or serve; what serves listens on "
        "127.0.0.1, at the port that its environment names (aws: SAGEMAKER_BIND_TO_PORT)",
    )
    parser.add_argument(
        "--folder", type=Path, help="buckets are its folders; read at the start, written back at the end"
    )
    parser.add_argument("--faults", action="store_true", help="let tests switch on faults at /_embedded")
    parser.add_argument(
        "--attached", action="store_true", help="tell the address as JSON, end with standard input"
    )
    given = parser.parse_args(argv)
    require(given.provider)
    images = dict(_image(text) for text in given.image)
    if given.folder is not None and not given.folder.is_dir():
        raise InputError(f"--folder is {str(given.folder)!r}, which is not a folder")
    if given.folder is not None and not os.access(given.folder, os.W_OK):
        raise InputError(
            f"--folder is {str(given.folder)!r}, which can't be written to; what jobs make goes there"
        )
    return loop.run(_serve(given, images))


def _image(text: str) -> tuple[str, str]:
    name, equals, command = text.partition("=")
    if not (name and equals and command):
        raise InputError(f"--image is {text!r}; write NAME=COMMAND")
    return name, command


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number < 2**16:
        raise argparse.ArgumentTypeError(f"{text} is no port; it is a number from 0 to 65535")
    return number


async def _serve(given: argparse.Namespace, images: dict[str, str]) -> int:
    done = asyncio.Event()
    running = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        running.add_signal_handler(number, done.set)
    cloud_module = importlib.import_module(f"components.{given.provider}.embedded")
    async with AsyncExitStack() as stack:
        serving = cloud_module.serve(port=given.port, images=images, s3=given.folder, faults=given.faults)
        try:
            cloud = await stack.enter_async_context(serving)
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
