"""The embedded AWS: SageMaker training jobs that really run, on this machine, without an account.

    async with serve(images={"my-image:latest": "python train.py"}) as cloud:
        ...  # any AWS SDK, with cloud.environment in its environment

One port on loopback answers every service: SageMaker and CloudWatch Logs are our own, the rest (S3, STS, …) is moto
behind the same door. Jobs run as subprocesses of this process and never outlive it; nothing is kept unless asked.
Requests are not authenticated: whoever may open a loopback connection on this machine may use it.

This module stays import-light: the local algorithm images are started from within this package.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from components.aws.embedded.cloud import Call, Cloud
from components.aws.embedded.faults import Fault
from runner.errors import InputError

__all__ = ["NEEDS", "SUMMARY", "Call", "Cloud", "Fault", "options", "serve", "serving"]

SUMMARY = "It really executes jobs, as processes of this machine."
"""What it does, for the help of the command."""
NEEDS = ("moto", "flask", "flask_cors", "sklearn")
"""Modules beyond the core dependencies; the extra `local` has them."""


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `kfp-runner emulate aws`."""
    parser.add_argument(
        "--image",
        action="append",
        default=[],
        metavar="NAME=CMD",
        help="run CMD for the image NAME; a word {verb} in CMD becomes train or serve; what serves listens on "
        "127.0.0.1, at the port that its environment names (SAGEMAKER_BIND_TO_PORT)",
    )
    parser.add_argument(
        "--folder", type=Path, help="buckets are its folders; read at the start, written back at the end"
    )


def serving(given: argparse.Namespace) -> AbstractAsyncContextManager[Cloud]:
    """Serve with the options of `kfp-runner emulate`. Raises `InputError`."""
    folder = given.folder
    if folder is not None and not folder.is_dir():
        raise InputError(f"--folder is {str(folder)!r}, which is not a folder")
    if folder is not None and not os.access(folder, os.W_OK):
        raise InputError(f"--folder is {str(folder)!r}, which can't be written to; what jobs make goes there")
    images = dict(_image(text) for text in given.image)
    return serve(port=given.port, images=images, s3=folder, faults=given.faults)


def _image(text: str) -> tuple[str, str]:
    name, equals, command = text.partition("=")
    if not (name and equals and command):
        raise InputError(f"--image is {text!r}; write NAME=COMMAND")
    return name, command


@asynccontextmanager
async def serve(
    port: int = 0,
    images: Mapping[str, str] | None = None,
    s3: Path | None = None,
    *,
    faults: bool = False,
    grace: float = 120.0,
    capacity: int = 32,
) -> AsyncIterator[Cloud]:
    """Run an embedded AWS on 127.0.0.1 for the length of the block.

    `port`: 0 takes a free one. `images`: image name (full URI, or repository with or without tag, without registry) →
    the command that stands for it, split as a shell would but run without one, exactly as given but for a word
    `{verb}`, which becomes `train` or `serve` (and is left out for processing), in the folder where this process was
    started. `s3`: a folder whose sub-folders are buckets; read at the start, written back at the end. `faults`: allows
    `cloud.faults` and the control routes under `/_embedded`, for tests. `grace`: seconds from SIGTERM to SIGKILL when a
    job is stopped (AWS: 120). `capacity`: how many jobs run at a time; more wait in `Starting`.

    Raises RuntimeError when the `local` extra is not installed, OSError when the port is taken, ValueError when an
    image's command is empty. S3 is process-wide (moto keeps it in globals): servers that run in one process at the same
    time share their buckets, which are dropped when the last of them ends.
    """
    from components.aws.embedded.server import Settings, running

    settings = Settings(port, images or {}, s3, faults, grace, capacity)
    async with running(settings) as cloud:
        yield cloud
