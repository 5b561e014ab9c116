"""hydrosdk itself as the sender of an upload, in a child process.

In a child, because hydrosdk needs an old protobuf or protobuf's slow half, chosen before the first import and for the whole
process; because it waits without any bound and can't be cancelled; and because it leaves its archives lying about. See
docs/decisions/0005-hydrosdk-in-a-child.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from components.hydrosphere.errors import LONGEST, of_status, without
from components.hydrosphere.release._eras import Era
from components.hydrosphere.release._release import Release, Uploaded
from components.hydrosphere.release._words import shown
from components.hydrosphere.release.backends import hydrosdk_child
from components.hydrosphere.release.backends.hydrosdk_child import MARK, Kind
from components.hydrosphere.release.contract.reading import Field, Signature
from components.hydrosphere.release.payload.members import Member
from runner.errors import InputError, RunnerError, ServiceError, Transient, Unreachable
from runner.sinks.text import clipped, one_line

STALL_SECONDS = 180.0
"""How long there may be no answer beyond the time that packing and sending take."""
SLOWEST = 2**18
"""Bytes of the payload that are packed and sent in a second, at least."""
END_SECONDS = 5.0
"""How long a killed child is waited for; one that hangs in a dead file system can't even be killed."""
INSTALL = (
    "install it from a checkout with: uv pip install '.[hydrosphere]', or with pip in two steps: "
    "pip install --constraint constraints.txt '.[hydrosphere-pip]', then "
    "pip install --no-deps hydrosdk==3.0.3 hydro-serving-grpc==3.0.3 docker-image-py==0.1.13"
)
_NATIVE = "use --backend native"
_PATHS = {True: "/api/v2/externalmodel", False: "/api/v2/model/upload"}
_LINE = 2**23
"""Bytes that one line of the child's may have."""
_LAST_WORDS = 2**12


def refusal(release: Release, members: Sequence[Member], era: Era) -> str:
    """Return why hydrosdk can't send this as we would, and what to do; blank if it can."""
    return next((f"--backend hydrosdk {why}; {_NATIVE}" for why in _refusals(release, members, era)), "")


def _refusals(release: Release, members: Sequence[Member], era: Era) -> Iterator[str]:
    if era is not Era.THREE:
        yield f"is for clusters of version 3, and this one is of version {era.value}"
    signature = release.signature
    if not signature.name:
        yield "refuses a contract whose name is blank"
    for side, fields in (("inputs", signature.inputs), ("outputs", signature.outputs)):
        if not fields:
            yield f"refuses a contract without {side}"
        for field in fields:
            if field.subfields:
                yield f"can't send subfields, which {shown(field.name)} in the contract's {side} has"
            elif not field.dtype:
                yield f"refuses a field without a type, such as {shown(field.name)} in the contract's {side}"
    if release.runtime is not None and release.runtime.sha256:
        yield "would drop the digest of --runtime without a word"
    yield from _misfits(members)


def _misfits(members: Sequence[Member]) -> Iterator[str]:
    """Tell which members hydrosdk would send otherwise: it walks folders by itself, and knows a source but once."""
    roots = _roots(members)
    sources = [member.source for member in roots]
    if len({*sources}) < len(sources):
        yield "can't send one file of --payload under two names"
    under: Member | None = None
    for member in members:
        if under is not None and member.name.startswith(f"{under.name}/"):
            # Links are resolved in the source, so it is elsewhere than the name says.
            if member.source != under.source / member.name[len(under.name) + 1 :]:
                yield f"would send {shown(member.name)} of --payload as a link"
        else:
            under = member if member.folder else None
            if member not in roots:
                yield f"would send {shown(member.name)} of --payload twice"


def _roots(members: Sequence[Member]) -> list[Member]:
    """Return what has to be named to hydrosdk: members that no folder among them brings in."""
    folders = {member.name for member in members if member.folder}
    return [m for m in members if not any(above in folders for above in _above(m.name))]


def _above(name: str) -> Iterator[str]:
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name


async def upload(
    cluster: str,
    release: Release,
    members: Sequence[Member],
    *,
    sending: Callable[[], object] = lambda: None,
) -> Uploaded:
    """Send a release with hydrosdk, once; return the version that was made.

    `cluster`: its address. `sending` is called when the request goes out: before that the cluster can't have taken anything,
    and after it anything. Raises the engine's errors, of which an ambiguous `Transient` says that the answer was lost. When
    it is left, in whatever way, the child and its files are gone.
    """
    if why := refusal(release, members, Era.THREE):
        raise InputError(why)
    patience = STALL_SECONDS + sum(member.size for member in members) / SLOWEST
    prefix = "kfp-runner-hydrosdk-"
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as folder:
        exchange = _Exchange(cluster, release, Path(folder), sending)
        try:
            async with asyncio.timeout(patience), _child(Path(folder)) as process:
                answer = await exchange.answer(process, _work(cluster, release, members, folder))
        except TimeoutError:
            raise exchange.lost(f"gave no answer within {patience:.0f} s") from None
    return exchange.read(answer)


class _Exchange:
    """What is said between us and the child, and what it means."""

    def __init__(self, cluster: str, release: Release, folder: Path, sending: Callable[[], object]) -> None:
        self._cluster = cluster
        self._path = _PATHS[release.runtime is None]
        self._secrets = {*(release.metadata or {}).values()}
        self._folder = folder
        self._sending = sending
        self._sent = False

    async def answer(
        self, process: asyncio.subprocess.Process, work: Mapping[str, object]
    ) -> Mapping[str, Any]:
        """Hand the work over and wait for the answer. Raises if the child ends without one."""
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018  both are pipes
        process.stdin.write(json.dumps(work).encode() + b"\n")
        with contextlib.suppress(ConnectionError):  # It has died; why, its last words tell.
            await process.stdin.drain()
        try:
            async for line in process.stdout:
                _, mark, text = line.decode(errors="replace").rpartition(MARK)
                if not mark:
                    continue
                said: Mapping[str, Any] = json.loads(text)
                if "sending" not in said:
                    return said
                self._sent = True
                self._sending()
        except ValueError as error:  # A line beyond all bounds, or none of the child's.
            raise self.lost("gave an answer that can't be read") from error
        code = await process.wait()
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        raise self.lost(how + self._last_words())

    def lost(self, how: str) -> ServiceError:
        """Return the error for an answer that never came."""
        if not self._sent:
            return ServiceError(f"the process of --backend hydrosdk {how}; nothing was sent")
        return Transient(
            f"the process of --backend hydrosdk {how}: the answer of {self._cluster} is lost, and the version may be made "
            "all the same"
        )

    def read(self, answer: Mapping[str, Any]) -> Uploaded:
        """Return the version that an answer tells, or raise the error."""
        if "version" in answer:
            return Uploaded(**answer["version"])
        if "status" in answer:
            body = without(answer["body"], self._secrets).encode(errors="replace")
            raise of_status(answer["status"], body, f"POST {self._path} by hydrosdk", read=False)
        raise self._error(Kind(answer["error"]), self._text(answer["text"]))

    def _error(self, kind: Kind, text: str) -> RunnerError:
        at = f"Hydrosphere at {self._cluster}"
        match kind:
            case Kind.MISSING:
                return InputError(f"--backend hydrosdk: hydrosdk can't be imported ({text}); {INSTALL}")
            case Kind.REFUSED:
                return InputError(f"--backend hydrosdk: hydrosdk refuses to send it: {text}; {_NATIVE}")
            case Kind.ADDRESS:
                return InputError(f"--cluster is {shown(self._cluster)}, which is no address")
            case Kind.UNTRUSTED:
                return ServiceError(f"the certificate of {self._cluster} can't be trusted: {text}")
            case Kind.UNREACHABLE:
                return Unreachable(f"can't reach {at}: {text}; is --cluster right?")
            case Kind.LOST:
                return Transient(
                    f"POST {self._path} by hydrosdk: {at} gave no answer, or none that can be read, and the version may be "
                    f"made all the same: {text}"
                )

    def _last_words(self) -> str:
        said = (self._folder / "stderr").read_bytes()[-_LAST_WORDS:].decode(errors="replace").split("\n")
        last = next((line for line in reversed(said) if line.strip()), "")
        return f" ({self._text(last)})" if last else ""

    def _text(self, text: str) -> str:
        return clipped(one_line(without(text, self._secrets)).strip(), LONGEST)


def _work(cluster: str, release: Release, members: Sequence[Member], folder: str) -> Mapping[str, object]:
    """Return what the child is told."""
    image = release.runtime
    return {
        "folder": folder,
        "cluster": cluster,
        "model": release.model,
        "signature": _signature(release.signature),
        "runtime": f"{image.name}:{image.tag}" if image else None,
        "install_command": release.install_command,
        "metadata": dict(release.metadata or {}),
        "payload": {str(member.source.absolute()): member.name for member in _roots(members)},
    }


def _signature(signature: Signature) -> Mapping[str, object]:
    def told(fields: Sequence[Field]) -> list[object]:
        return [(field.name, field.dtype, field.dims, field.profile) for field in fields]

    return {
        "name": signature.name,
        "inputs": told(signature.inputs),
        "outputs": told(signature.outputs),
    }


@asynccontextmanager
async def _child(folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the child in a session of its own; kill it, and whatever it may have started, at the end of the block."""
    with (folder / "stderr").open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-P", "-W", "ignore", "-m", hydrosdk_child.__name__),
            cwd=folder,
            env=_environment(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=said,
            start_new_session=True,
            limit=_LINE,
        )
    try:
        yield process
    finally:
        # There is nothing to end gently: what it has sent, or made, no signal could take back.
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS's word for a group of the dead
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                await process.wait()


def _environment() -> Mapping[str, str]:
    root = str(Path(__file__).parents[4])
    found = os.environ.get("PYTHONPATH")
    return {
        **os.environ,
        "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python",
        "PYTHONPATH": os.pathsep.join([root, found] if found else [root]),
    }
