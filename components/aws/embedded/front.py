"""Every service that is not our own: moto's WSGI application, called in threads behind our port.

An object passes through memory whole, once: moto itself does not stream.
"""

from __future__ import annotations

import asyncio
import functools
import io
import logging
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO, Any, ClassVar
from urllib.parse import unquote_to_bytes

from components.aws.embedded.errors import ApiError, not_implemented

_log = logging.getLogger(__name__)
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "date", "server"})


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, whole."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Front:
    """The way to moto. Loading it takes some 0.4 s: it begins in the background, and the first call waits for it."""

    _open: ClassVar[set[Front]] = set()
    """All of this process that use moto, whose state is global."""

    def __init__(self) -> None:
        self._open.add(self)
        # moto iterates over plain dicts while other threads may change them: S3, which every job uses, goes one by one.
        self._s3 = ThreadPoolExecutor(1, "embedded-s3")
        # The others get threads of their own, because some (a long poll of SQS) sleep inside moto.
        self._others = ThreadPoolExecutor(8, "embedded-aws")
        self._app = asyncio.get_running_loop().run_in_executor(self._s3, _load)

    async def call(
        self, service: str, method: str, target: str, headers: Mapping[str, str], body: IO[bytes]
    ) -> Answer:
        """Have one request answered. `target` is the raw request target. Raises `ApiError` where moto can't."""
        app = await asyncio.shield(self._app)
        environ = _environ(method, target, headers, body)
        pool = self._s3 if service == "s3" else self._others
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, _run, app, environ)
        except (NotImplementedError, ImportError) as error:
            raise not_implemented(f"{service}: {method} {target}") from error
        except Exception as error:
            _log.exception("moto failed on %s %s %s", service, method, target)
            raise ApiError("InternalFailure", f"moto: {error}", 500) from error

    async def close(self) -> None:
        """Wait for calls under way; drop all state if nobody else in this process uses it."""
        self._open.discard(self)
        await asyncio.wait([self._app])
        await asyncio.to_thread(self._s3.shutdown)
        self._others.shutdown(wait=False, cancel_futures=True)
        if self._app.exception() is None and not self._open:
            await asyncio.to_thread(_reset)


@functools.cache
def _load() -> Any:
    """Import moto and make its application, one for the process. Raises ImportError without the extra `local`."""
    from moto.core.config import default_user_config
    from moto.moto_server import werkzeug_app

    # Whatever way a request finds to them: commands come from the image table only.
    default_user_config["batch"]["use_docker"] = default_user_config["lambda"]["use_docker"] = False

    # moto would allow every web page to read its answers; its own switch is an environment variable read at import.
    vars(werkzeug_app)["DISABLE_GLOBAL_CORS"] = True
    app = werkzeug_app.DomainDispatcherApplication(werkzeug_app.create_backend_app)
    import moto.s3.responses  # noqa: F401  the slowest part of the first call

    return app


def _reset() -> None:
    from moto.core.base_backend import BackendDict
    from moto.core.model_instances import reset_model_data

    BackendDict.reset()
    reset_model_data()


def _environ(method: str, target: str, headers: Mapping[str, str], body: IO[bytes]) -> dict[str, Any]:
    path, _, query = target.partition("?")
    size = body.seek(0, io.SEEK_END)
    body.seek(0)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "RAW_URI": target,
        "QUERY_STRING": query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": body,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    names = {}
    for name, value in headers.items():
        key = f"HTTP_{name.upper().replace('-', '_')}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
        # An underscore in a metadata key would be lost on the way through WSGI; moto looks the spelling up here.
        if name.lower().startswith("x-amz-meta-") and "_" in name:
            names[key] = name
    environ["moto.preserved_header_names"] = names
    environ["CONTENT_TYPE"] = environ.pop("HTTP_CONTENT_TYPE", "")
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    environ.pop("HTTP_CONTENT_LENGTH", None)
    environ["CONTENT_LENGTH"] = str(size)
    return environ


def _run(app: Any, environ: dict[str, Any]) -> Answer:
    begun: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], _: object = None) -> Any:
        begun.append((status, headers))
        return io.BytesIO().write

    chunks: Iterable[bytes] = app(environ, start_response)
    try:
        body = b"".join(chunks)
    finally:
        if close := getattr(chunks, "close", None):
            close()
    status, headers = begun[-1]
    kept = tuple((name, value) for name, value in headers if _passes(name.lower()))
    return Answer(int(status.split()[0]), kept, body)


def _passes(name: str) -> bool:
    return name not in _HOP_BY_HOP and not name.startswith("access-control-")
