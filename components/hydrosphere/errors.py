"""What goes wrong between us and a Hydrosphere cluster → the errors of the engine."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from urllib.request import getproxies

import aiohttp

from runner.errors import InputError, NotFound, ServiceError, Throttled, Transient, Unreachable
from runner.sinks.text import clipped, one_line

LONGEST = 300
"""Characters of a server's own words that an error repeats."""
_SECRET = 4
"""Characters from which on a value is something that could be given away."""
_TOO_MANY, _UNAVAILABLE = 429, 503
_GONE = 404
_TIMED_OUT = 408
_SERVER_ERROR = 500


class Unread(Transient):
    """A read failed; it changed nothing, whatever became of it."""

    ambiguous = False


class Answered(Transient):
    """The server itself said that it failed: whatever the call has done is done, nothing comes of it later."""


def of_status(status: int, body: bytes, what: str, *, read: bool, later: bool = False) -> ServiceError:
    """Return the error for an HTTP status that is none of success.

    `read`: whether the call could change nothing; `later`: whether the answer says when to try again, as whoever turns
    requests away does. Without that, a 503 may come of a proxy that lost the answer (Envoy's does).
    """
    text = f"Hydrosphere: {what} was answered with {status}: {words(body)}"
    if status == _GONE:
        return NotFound(text)
    if status == _TOO_MANY or (status == _UNAVAILABLE and (read or later)):
        return Throttled(text)
    if status >= _SERVER_ERROR or status == _TIMED_OUT:
        if read:
            return Unread(text)
        return Answered(text) if status == _SERVER_ERROR and _message(body) else Transient(text)
    if 300 <= status < 400:
        return ServiceError(f"{text}; a redirection is not followed, give its target as --cluster")
    return ServiceError(text)


def without(text: str, secrets: Collection[str]) -> str:
    """Return somebody's words without the values that they may quote of what we sent."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SECRET:
            quoted = json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]
            for written in (secret, *quoted):
                text = text.replace(written, "…")
    return text


def words(body: bytes) -> str:
    """Return what a server said, in one line of bounded length: its JSON `message`, or else its text."""
    text = _message(body) or body.decode(errors="replace")
    return clipped(one_line(text).strip(), LONGEST) or "it said nothing more"


def _message(body: bytes) -> str:
    """Return the `message` of the manager's own errors, which a proxy's lack."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    message = said.get("message") if isinstance(said, dict) else None
    return message if isinstance(message, str) else ""


@contextmanager
def translated(url: str, what: str, *, read: bool) -> Iterator[None]:
    """Raise what aiohttp raises as the engine's errors."""
    lost = Unread if read else Transient
    try:
        yield
    except (aiohttp.InvalidURL, UnicodeError, ValueError) as error:
        raise InputError(_no_address(url)) from error
    except aiohttp.ClientConnectorCertificateError as error:
        raise ServiceError(f"the certificate of {url} can't be trusted: {_text(error)}") from error
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise Unreachable(f"can't reach Hydrosphere at {url}: {_text(error)}; is --cluster right?") from error
    except (TimeoutError, aiohttp.ServerTimeoutError) as error:
        raise lost(f"Hydrosphere at {url} did not answer in time ({what})") from error
    except (aiohttp.ClientError, OSError) as error:
        raise lost(f"the connection to Hydrosphere at {url} was lost ({what}): {_text(error)}") from error


def _no_address(url: str) -> str:
    """Return whose address is none: the cluster's, or a proxy's, which may hold a password and is not shown."""
    proxies = getproxies()
    named = [f"{name}_proxy" for name in ("http", "https", "all") if proxies.get(name)]
    also = f", or the address in {' or '.join(named)} is none" if named else ""
    return f"--cluster is {url!r}, which can't be an address{also}"


def _text(error: BaseException) -> str:
    return clipped(one_line(str(error)) or type(error).__name__, LONGEST)
