"""Starts a provider's embedded cloud beside us, as a process of its own, for the length of a context.

It is a separate process so that what is measured and stopped is as far away as a real service; in a session of its own, so
that a Ctrl-C meant for us leaves it alive to take the stop request; and it ends when its standard input does, so that it
can't outlive us, whatever ends us.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import json
import os
import sys
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypedDict, cast

from runner import catalog
from runner.errors import InputError, RunnerError, ServiceError
from runner.sinks.quiet import say

if TYPE_CHECKING:
    import argparse

MARK = "KFP_RUNNER_EMBEDDED"
"""Environment variable that says whose embedded clouds components are talking to; blanks lie between several."""
READY_SECONDS = 60.0
STOP_SECONDS = 20.0
_TAIL = 5
"""Lines of its output that an error repeats."""
_TAIL_BYTES = 2**16
_LAST_WORDS_SECONDS = 1.0


class _Ready(TypedDict):
    url: str
    environment: dict[str, str]


@dataclass(frozen=True, slots=True)
class EmbeddedOptions:
    """What an embedded cloud is started with."""

    images: Mapping[str, str] = field(default_factory=dict)
    """Image name → command line that stands for it."""
    folder: Path | None = None
    """Folder whose sub-folders are its buckets: read at the start, written back at the end."""

    @property
    def arguments(self) -> Sequence[str]:
        """The options as `kfp-runner emulate` takes them."""
        given = [f"--image={name}={command}" for name, command in self.images.items()]
        return given + ([f"--folder={self.folder}"] if self.folder else [])


class Module(Protocol):
    """What the package `components.<provider>.embedded` offers to whoever starts the provider's embedded cloud."""

    SUMMARY: str
    """What the cloud does and doesn't, as a sentence for the help of `kfp-runner emulate`."""
    NEEDS: Sequence[str]
    """Modules beyond the core dependencies; the extra `local` has them."""

    def options(self, parser: argparse.ArgumentParser) -> None:
        """Add the options that `kfp-runner emulate` has for this provider alone."""
        ...

    def serving(self, given: argparse.Namespace) -> AbstractAsyncContextManager[Cloud]:
        """Serve as `given` says: `port`, `faults`, and the provider's own options. Raises `InputError`, `OSError`."""
        ...


class Cloud(Protocol):
    """A running embedded cloud."""

    @property
    def url(self) -> str:
        """Where it listens."""
        ...

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables that lead a client there."""
        ...


def providers() -> list[str]:
    """Return whose clouds can be embedded, sorted."""
    return sorted(path.parents[1].name for path in catalog.folder().glob("*/embedded/__init__.py"))


def module(provider: str) -> Module:
    """Return a provider's embedded cloud. Raises `InputError` if there is none, or if what it needs isn't installed."""
    if provider not in (known := providers()):
        raise InputError(f"there is no embedded cloud {provider!r}; there are: {', '.join(known)}")
    found = cast("Module", importlib.import_module(f"{catalog.PACKAGE}.{provider}.embedded"))
    if any(importlib.util.find_spec(name) is None for name in found.NEEDS):
        raise InputError(
            "the embedded cloud needs more packages; install them with: pip install 'kfp-runner[local]'"
        )
    return found


def require(provider: str, options: EmbeddedOptions = EmbeddedOptions()) -> None:
    """Raise `InputError` unless the provider has an embedded cloud, with all it needs, that takes these options."""
    import argparse  # The way of a step does without.

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    module(provider).options(parser)
    _, unknown = parser.parse_known_args(options.arguments)
    if unknown:
        names = ", ".join(sorted({word.partition("=")[0].replace("--", "--local-") for word in unknown}))
        raise InputError(f"the embedded cloud {provider!r} has no {names}; leave it out")


def inside(provider: str) -> bool:
    """Return whether this process's environment leads to the embedded cloud of `provider`."""
    return provider in os.environ.get(MARK, "").split()


@asynccontextmanager
async def embedded(provider: str, options: EmbeddedOptions = EmbeddedOptions()) -> AsyncIterator[str]:
    """Run the embedded cloud of `provider`, with this process's environment pointed at it; yield its address."""
    require(provider, options)
    command = [
        sys.executable,
        "-m",
        "runner",
        "emulate",
        provider,
        "--port=0",
        "--attached",
        *options.arguments,
    ]
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None and process.stderr is not None  # noqa: S101, PT018  both are pipes
    said = _Tail()
    draining = {asyncio.create_task(said.follow(process.stderr))}
    try:
        ready = await _ready(process.stdout, provider, draining, said)
        # A pipe that nobody reads is full one day, and then the other end stands still.
        draining.add(asyncio.create_task(said.follow(process.stdout)))
        marked = " ".join(sorted({*os.environ.get(MARK, "").split(), provider}))
        with _environment({**ready["environment"], MARK: marked}):
            async with _alive(process, provider, draining, said):
                yield ready["url"]
    finally:
        await _end(process)
        await _ended(draining)


class _Tail:
    """The last that a process said."""

    def __init__(self) -> None:
        self._data = b""

    async def follow(self, stream: asyncio.StreamReader) -> None:
        """Read to the end."""
        while chunk := await stream.read(_TAIL_BYTES):
            self._data = (self._data + chunk)[-_TAIL_BYTES:]

    def __str__(self) -> str:
        """Return its last lines as one."""
        lines = self._data.decode(errors="replace").strip().splitlines()[-_TAIL:]
        return " | ".join(lines) or "it said nothing"


async def _ready(
    stdout: asyncio.StreamReader, provider: str, draining: Collection[asyncio.Task[None]], said: _Tail
) -> _Ready:
    """Read the line in which it tells its address and the environment that leads there."""
    try:
        async with asyncio.timeout(READY_SECONDS):
            line = await stdout.readline()
    except TimeoutError:
        raise ServiceError(
            f"the embedded cloud {provider!r} did not start within {READY_SECONDS:g} s: {said}"
        ) from None
    if not line:
        await _ended(draining)
        raise ServiceError(f"the embedded cloud {provider!r} did not start: {said}")
    ready: _Ready = json.loads(line)
    return ready


@asynccontextmanager
async def _alive(
    process: asyncio.subprocess.Process, provider: str, draining: Collection[asyncio.Task[None]], said: _Tail
) -> AsyncIterator[None]:
    """End the block with a `ServiceError` as soon as the process ends: whoever uses it would try for ever."""
    task, death = asyncio.current_task(), ""
    assert task is not None  # noqa: S101  we are in a coroutine

    async def guard() -> None:
        nonlocal death
        code = await process.wait()
        await _ended(draining)
        death = f"the embedded cloud {provider!r} died (exit code {code}), and its jobs with it: {said}"
        say(death)
        task.cancel(death)

    guarding = asyncio.create_task(guard())
    try:
        yield
    except (asyncio.CancelledError, RunnerError) as error:
        if not death:
            raise
        task.uncancel()
        raise ServiceError(death) from error
    finally:
        guarding.cancel()


async def _ended(draining: Collection[asyncio.Task[None]]) -> None:
    """Wait a moment for the last words; a process of its own may still hold the pipe."""
    await asyncio.wait(draining, timeout=_LAST_WORDS_SECONDS)
    for task in draining:
        task.cancel()


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


@contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Point this process at the embedded cloud, and at nothing else.

    Of the user's own environment, what is about the same cloud (a profile, another endpoint) or a proxy would lead away
    from it, to the real one perhaps.
    """
    before = dict(os.environ)
    about = tuple({f"{name.partition('_')[0]}_" for name in changes if name != MARK})
    for name in before:
        if name.startswith(about) or name.lower() in _PROXIES:
            del os.environ[name]
    os.environ.update(changes)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


_PROXIES = frozenset({"http_proxy", "https_proxy", "all_proxy"})
