"""hydrosdk at work, in a process of its own. `_hydrosdk` starts it, hands it one release, and takes one answer.

Standard input brings one line of JSON, the work (see `_hydrosdk.upload`), and after it nothing but its end, by which we know
that nobody waits any more: then we end, at once and in the middle of anything, so that an upload is cut off and makes no
version. Standard output takes JSON, each text between `MARK` and a line end, so that what others print there before us
harms nothing: `{"sending": true}` when the request goes out, and then one of

    {"version": {id, model_id, model, version}}   it was made
    {"status": 400, "body": "…"}                  the server's answer was another one
    {"error": "lost", "text": "…"}                there was none; the kinds are those of `Kind`

There is no second try of anything. Nothing is imported here that has to come after the environment is right.
"""

from __future__ import annotations

import enum
import json
import os
import shutil
import ssl
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

MARK = "\x1e"
CONNECT_SECONDS = 60.0
"""For the connection, and for any piece that is sent: requests takes one number for both."""
_ANSWER = 2**20
"""Bytes of an answer that are read."""
_BODY = 2**14
"""Bytes of a server's refusal that are passed on."""
_TEXT = 1000
_CHUNK = 2**16
_OLD_NAMES = {"bool": bool, "float": float, "int": int, "unicode_": str}
"""What NumPy no longer calls so, and hydrosdk still does."""
_WIDE = ("float128", "complex256")
"""Types that NumPy does not have on every machine. hydrosdk has no use for them but needs the names."""

Say = Callable[[Mapping[str, object]], None]


class Kind(enum.StrEnum):
    """Why there is no answer of the server."""

    MISSING = "missing"
    """hydrosdk can't be imported."""
    REFUSED = "refused"
    """hydrosdk would not send it."""
    ADDRESS = "address"
    """The cluster's address is none."""
    UNREACHABLE = "unreachable"
    """No connection was made."""
    UNTRUSTED = "untrusted"
    """The cluster's certificate."""
    LOST = "lost"
    """It was sent, or a part of it, and what came back was no answer."""


def main() -> None:
    """Do the work that standard input brings."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # hydrosdk and what it stands on may print; the answers are ours alone.

    def say(answer: Mapping[str, object]) -> None:
        answers.write(f"{MARK}{json.dumps(answer)}\n")
        answers.flush()

    work = json.loads(_line())
    threading.Thread(target=_end_with_parent, args=(work["folder"],), daemon=True).start()
    os.chdir(work["folder"])
    say(_answer(work, say))


def _line() -> bytes:
    # Not through sys.stdin: the thread that reads on would keep its lock, which the interpreter wants when it ends.
    read = bytearray()
    while not read.endswith(b"\n"):
        chunk = os.read(0, _CHUNK)
        if not chunk:
            sys.exit("standard input ended before the work came")
        read += chunk
    return bytes(read)


def _end_with_parent(folder: str) -> None:
    while os.read(0, _CHUNK):
        pass
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def _answer(work: Mapping[str, Any], say: Say) -> Mapping[str, object]:
    try:
        _shim()
        import hydrosdk  # noqa: F401  everything that it may lack is found missing here
    except Exception as error:  # noqa: BLE001  whatever an import does, nothing was sent
        return _error(Kind.MISSING, error)
    cluster = _cluster(work["cluster"], say)
    try:
        _build(work, cluster)
    except Exception as error:  # noqa: BLE001  told by what we have seen of the exchange
        if cluster.answer is None:
            return _error(_kind(error) if cluster.asked else Kind.REFUSED, error)
    return _read(cluster.answer)


def _read(answer: Any) -> Mapping[str, object]:  # noqa: ANN401  requests' own
    """Read the server's answer, by ourselves: hydrosdk wants more of it than a version needs in order to exist."""
    if not 200 <= answer.status_code < 300:
        return {"status": answer.status_code, "body": answer.content[:_BODY].decode(errors="replace")}
    try:
        return {"version": _version(answer.json())}
    except (ArithmeticError, KeyError, TypeError, ValueError):
        return _error(
            Kind.LOST, ValueError(f"an answer of {len(answer.content):,} bytes that tells no version")
        )


def _shim() -> None:
    """Give NumPy back the names that hydrosdk takes for granted."""
    import numpy as np

    for name, kind in _OLD_NAMES.items():
        if name not in vars(np):
            setattr(np, name, kind)
    for name in _WIDE:
        if name not in vars(np):
            setattr(np, name, type(name, (), {}))


def _cluster(address: str, say: Say) -> Any:  # noqa: ANN401  hydrosdk has no types
    """Return hydrosdk's cluster, watched: what was asked and what came back says more than what hydrosdk raises."""
    from hydrosdk.cluster import Cluster

    class Watched(Cluster):  # type: ignore[misc]  # hydrosdk has no types
        asked = False
        answer: Any = None

        def request(self, method: str, url: str, **more: Any) -> Any:  # noqa: ANN401  requests' own
            say({"sending": True})
            self.asked = True
            # A redirection would send it a second time, or turn it into a GET.
            more |= {"allow_redirects": False, "timeout": (CONNECT_SECONDS, None), "stream": True}
            answer = super().request(method, url, **more)
            # Read here, up to a bound: hydrosdk would take an answer of any size into the memory.
            answer._content = _bounded(answer.iter_content(_CHUNK))  # noqa: SLF001  what its `content` gives
            answer.close()
            self.answer = answer
            return answer

    return Watched(address)


def _bounded(chunks: Iterator[bytes]) -> bytes:
    read = bytearray()
    for chunk in chunks:
        read += chunk
        if len(read) > _ANSWER:
            break
    return bytes(read)


def _build(work: Mapping[str, Any], cluster: Any) -> None:  # noqa: ANN401  hydrosdk has no types
    from hydrosdk.image import DockerImage
    from hydrosdk.modelversion import ModelVersionBuilder

    builder = ModelVersionBuilder(work["model"], work["folder"])
    builder.with_signature(_signature(work["signature"]))
    builder.with_metadata(work["metadata"])
    if work["runtime"] is None:
        builder.build_external(cluster)
        return
    builder.with_runtime(DockerImage.from_string(work["runtime"]))
    builder.with_install_command(work["install_command"])
    # What with_payload would make of names, but for ours the sources are known: the names need not lie in one folder.
    builder.payload = work["payload"]
    builder.build(cluster)


def _signature(given: Mapping[str, Any]) -> Any:  # noqa: ANN401  hydrosdk has no types
    from hydrosdk.signature import ProfilingType, SignatureBuilder

    builder = SignatureBuilder(given["name"])
    for side, add in (("inputs", builder.with_input), ("outputs", builder.with_output)):
        for name, dtype, dims, profile in given[side]:
            add(name, dtype, dims or "scalar", ProfilingType[profile])
    return builder.build()


def _version(said: Mapping[str, Any]) -> Mapping[str, object]:
    model = said["model"]
    return {
        "id": int(said["id"]),
        "model_id": int(model["id"]),
        "model": str(model["name"]),
        "version": int(said["modelVersion"]),
    }


def _kind(error: BaseException) -> Kind:
    """Tell why a request had no answer."""
    from requests.exceptions import InvalidSchema, InvalidURL, MissingSchema
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

    for cause in _causes(error):
        if isinstance(cause, InvalidSchema | InvalidURL | MissingSchema):
            return Kind.ADDRESS
        if isinstance(cause, ConnectTimeoutError | NewConnectionError):
            return Kind.UNREACHABLE
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Kind.UNTRUSTED
    return Kind.LOST


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _error(kind: Kind, error: BaseException) -> Mapping[str, object]:
    return {"error": kind, "text": (str(error) or type(error).__name__)[:_TEXT]}


if __name__ == "__main__":
    main()
