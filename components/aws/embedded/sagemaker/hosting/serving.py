"""One container that serves a model, by the inference contract: a process that answers HTTP on a port of its own.

AWS's containers listen on port 8080, each in a network of its own. Here all share this machine's ports, so a free one is
told by SAGEMAKER_BIND_TO_PORT, the variable that the sagemaker-inference toolkit honours; a server of one's own has to
read it, too, and should listen on 127.0.0.1: what it opens to the network is open. The folders lie below
SAGEMAKER_BASE_DIR, as a training job's do.

GET /ping has to answer 200 before anything else is sent. AWS starts a container that exits again and again until its
time is up; here its end is final, because nothing on this machine would be different the next time.
"""

from __future__ import annotations

import asyncio
import io
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import aiohttp

from components.aws.embedded.machine.logged import Log, run_logged
from components.aws.embedded.sagemaker.container import base_environment
from components.aws.embedded.sagemaker.hosting.data import ModelData, bring
from components.aws.embedded.sagemaker.images import Command
from components.aws.embedded.sagemaker.site import Site

HOST = "127.0.0.1"
STARTUP_SECONDS = 480.0
"""How long a container may take to answer /ping, unless the endpoint's configuration says otherwise. AWS: 8 minutes."""
PING_SECONDS = 2.0
"""How long one answer to /ping may take (developer guide, "How Your Container Should Respond to Health Check")."""
HEALTH_SECONDS = 5.0
"""How often a container at work is asked for its health."""
MOST_MISSES = 3
"""Failed health checks in a row after which a container is given up."""
STOP_SECONDS = 30.0
"""From SIGTERM to SIGKILL (developer guide, "How SageMaker Runs Your Inference Image")."""
INVOCATION_SECONDS = 60.0
"""How long a container may work on a request."""
LONGEST_ANSWER = 100 * 1024**2
"""Bytes of a container's answer."""
_PORT_ATTEMPTS = 3
_LONGEST_PAUSE = 0.5
_NOTE = "[embedded cloud] "
_given: set[int] = set()
"""Ports of all containers of this process: two that start at a time must not get the same one."""


class StartError(Exception):
    """A container does not come up; the text says why, for people."""


class NoAnswerError(Exception):
    """A container does not answer a request; the text says why."""


class TimedOutError(NoAnswerError):
    """It took too long."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A container to start."""

    command: Command
    data: ModelData | None
    region: str
    variables: Mapping[str, str]
    """The model's environment, and what the kind of job adds."""
    isolated: bool
    """Without a way to the cloud."""
    folder: Path
    """Its /opt/ml."""
    log: Log
    startup: float
    """Seconds that it may take to come up."""
    volume: float
    """GB that its data may take."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A container's answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def instance_id() -> str:
    """What log streams are named after: `i-` and 17 hexadecimal digits."""
    return f"i-{uuid4().hex[:17]}"


async def prepare(plan: Plan, site: Site) -> None:
    """Make the folder and bring the model. Raises `ModelDataError` or OSError."""
    await asyncio.to_thread((plan.folder / "model").mkdir, parents=True, exist_ok=True)
    if plan.data is not None:
        await bring(plan.data, plan.folder, plan.volume, site.objects)


@asynccontextmanager
async def serving(plan: Plan, site: Site) -> AsyncIterator[Server]:
    """Run a prepared container: healthy when the block begins, gone when it is left. Raises `StartError`.

    Left in order, it is stopped by the ladder; by an exception or a cancellation, it is killed at once.
    """
    jar = aiohttp.DummyCookieJar()
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(cookie_jar=jar, connector=connector, trust_env=False) as session:
        server = await _started(plan, site, session)
        try:
            yield server
        except BaseException:
            await server.kill()  # who is cancelled has no time for the ladder
            raise
        await server.stop()


async def _started(plan: Plan, site: Site, session: aiohttp.ClientSession) -> Server:
    for attempt in range(1, _PORT_ATTEMPTS + 1):
        port = _free_port()
        server = Server(plan, site, session, port)
        try:
            await server.healthy(plan.startup)
        except StartError as error:
            await server.kill()
            # Between our look and its start somebody else may have taken the port.
            if attempt == _PORT_ATTEMPTS or not await _occupied(port):
                plan.log.write(f"{_NOTE}{error}")
                raise
        except BaseException:
            await server.kill()
            raise
        else:
            return server
    raise AssertionError("unreachable")


class Server:
    """A container's process. Made with its task running; `stop` or `kill` has to be called."""

    def __init__(self, plan: Plan, site: Site, session: aiohttp.ClientSession, port: int) -> None:
        _given.add(port)
        self.port = port
        self.busy = 0
        """Requests under way."""
        self._idle = asyncio.Event()
        self._idle.set()
        self._session = session
        self._halt = asyncio.Event()
        site = replace(site, grace=min(site.grace, STOP_SECONDS))
        variables = environment(plan, port, site.cloud)
        self._process = asyncio.create_task(
            run_logged(plan.command.argv, variables, plan.log, self._halt, site)
        )

    async def healthy(self, patience: float) -> None:
        """Wait until /ping answers 200. Raises `StartError`."""
        pause = 0.02
        try:
            async with asyncio.timeout(patience):
                while not await self.ping():
                    if await self._ended(pause):
                        raise StartError(f"the container ended with exit code {self._process.result()}")
                    pause = min(2 * pause, _LONGEST_PAUSE)
        except TimeoutError:
            raise StartError(
                f"GET /ping at {HOST}:{self.port} (SAGEMAKER_BIND_TO_PORT) did not answer 200 within {patience:g} s"
            ) from None
        if self._process.done():
            raise StartError(f"somebody else answers at port {self.port}")

    async def broken(self) -> str:
        """Wait until it serves no more; say why."""
        misses = 0
        while misses < MOST_MISSES:
            if await self._ended(HEALTH_SECONDS):
                return f"the container ended with exit code {self._process.result()}"
            # One that does one thing at a time answers no ping while it works.
            misses = 0 if self.busy or await self.ping() else misses + 1
        return f"{misses} health checks in a row failed"

    async def ping(self) -> bool:
        """Whether it says that it is well."""
        try:
            return (await self.get("/ping", PING_SECONDS)).status == 200
        except NoAnswerError:
            return False

    async def get(self, path: str, seconds: float) -> Reply:
        """Ask for a path. Raises `NoAnswerError`."""
        return await self._ask("GET", path, b"", {}, seconds)

    async def invoke(self, body: bytes, headers: Mapping[str, str], seconds: float | None = None) -> Reply:
        """Have it work on a request for `INVOCATION_SECONDS` or as given. Raises `NoAnswerError`, `TimedOutError`."""
        self.busy += 1
        self._idle.clear()
        try:
            return await self._ask("POST", "/invocations", body, headers, seconds or INVOCATION_SECONDS)
        finally:
            self.busy -= 1
            if not self.busy:
                self._idle.set()

    async def drained(self) -> None:
        """Wait until it has answered what it was asked. It takes no longer than one request may."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), INVOCATION_SECONDS)

    async def _ask(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], seconds: float
    ) -> Reply:
        timeout = aiohttp.ClientTimeout(total=seconds)
        url = f"http://{HOST}:{self.port}{path}"
        # Not the bytes themselves: many of them at once would hold up the loop.
        content = io.BytesIO(body) if method == "POST" else None
        try:
            async with self._session.request(
                method, url, data=content, headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                return Reply(answer.status, answer.headers.copy(), await _whole(answer))
        except TimeoutError as error:
            raise TimedOutError(f"no answer within {seconds:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NoAnswerError(f"{type(error).__name__}: {error}") from error

    async def _ended(self, seconds: float) -> bool:
        return bool((await asyncio.wait([self._process], timeout=seconds))[0])

    async def stop(self) -> None:
        """End it by the ladder. Cancelling kills it at once."""
        self._halt.set()
        try:
            await asyncio.wait([self._process])
        finally:
            await self.kill()

    async def kill(self) -> None:
        """End it at once."""
        self._process.cancel()
        await asyncio.wait([self._process])
        _given.discard(self.port)


async def _whole(answer: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for piece in answer.content.iter_any():
        content += piece
        if len(content) > LONGEST_ANSWER:
            raise NoAnswerError(f"the answer is longer than {LONGEST_ANSWER} bytes")
    return bytes(content)


def environment(plan: Plan, port: int, cloud: Mapping[str, str]) -> dict[str, str]:
    """All variables of a container's process."""
    own = base_environment(plan.command, plan.region, {} if plan.isolated else cloud)
    contract = {
        "SAGEMAKER_BASE_DIR": str(plan.folder),
        "SAGEMAKER_BIND_TO_PORT": str(port),
        "SAGEMAKER_REGION": plan.region,
        "SM_MODEL_DIR": str(plan.folder / "model"),
    }
    return own | {"SAGEMAKER_CONTAINER_LOG_LEVEL": "20"} | dict(plan.variables) | contract


def _free_port() -> int:
    """A port of loopback that nobody listens on just now."""
    while True:
        with socket.create_server((HOST, 0)) as listener:
            port = int(listener.getsockname()[1])
        if port not in _given:
            return port


async def _occupied(port: int) -> bool:
    """Whether anybody listens on a port."""
    with suppress(OSError):
        _, writer = await asyncio.open_connection(HOST, port)
        writer.close()
        await writer.wait_closed()
        return True
    return False
