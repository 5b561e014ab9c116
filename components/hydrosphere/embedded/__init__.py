"""The embedded Hydrosphere: its manager and its monitoring on this machine, without a cluster.

    async with serve() as cloud:
        ...  # any client of Hydrosphere, with cloud.url as its cluster

One port on loopback answers as Hydrosphere 3.x or 2.x does. A build is a simulation, and its log says so: the payload is
received, unpacked and checked as far as that goes without running it, but nothing is installed and no image is made.
Training data are really read and profiled, and then forgotten. Nothing is kept after the server ends. Requests are not
authenticated: whoever may open a loopback connection on this machine may use it.

This module stays import-light.
"""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from components.hydrosphere.embedded.cloud import Call, Cloud
from components.hydrosphere.embedded.faults import Fault

__all__ = ["NEEDS", "SUMMARY", "Call", "Cloud", "Fault", "options", "serve", "serving"]

SUMMARY = "It checks models and profiles training data. Its builds are simulations: nothing of a model is run or installed."
"""What it does, for the help of the command."""
NEEDS: tuple[str, ...] = ()
"""Modules that it needs beyond the core dependencies."""
BUILD_SECONDS = 2.0


def options(parser: argparse.ArgumentParser) -> None:
    """Add what `kfp-runner emulate hydrosphere` takes beyond what every provider does."""
    parser.add_argument(
        "--era", type=int, choices=(2, 3), default=3, help="Hydrosphere 2.x or 3.x (%(default)s)"
    )
    parser.add_argument(
        "--build-seconds",
        type=_seconds,
        default=BUILD_SECONDS,
        metavar="SECONDS",
        help="how long a build takes (%(default)s)",
    )


def serving(given: argparse.Namespace) -> AbstractAsyncContextManager[Cloud]:
    """`serve` as the options say."""
    return serve(given.port, given.era, faults=given.faults, build_seconds=given.build_seconds)


@asynccontextmanager
async def serve(
    port: int = 0, era: int = 3, *, faults: bool = False, build_seconds: float = BUILD_SECONDS
) -> AsyncIterator[Cloud]:
    """Run an embedded Hydrosphere on 127.0.0.1 for the length of the block.

    `port`: 0 takes a free one. `era`: 2 or 3, the major version. `faults`: allows `cloud.faults` and the control routes
    under `/_embedded`, for tests. `build_seconds`: how long a build takes, spread over its steps.

    Raises ValueError for another era or a negative time, OSError when the port is taken.
    """
    from components.hydrosphere.embedded.server import Settings, running

    async with running(Settings(port, era, faults, build_seconds)) as cloud:
        yield cloud


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 <= number < 24 * 3600:
        raise argparse.ArgumentTypeError(f"{text} is no time that a build takes; give seconds, 0 or more")
    return number
