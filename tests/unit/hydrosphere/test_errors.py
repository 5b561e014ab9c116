"""What a cluster answers, and what becomes of a connection → the engine's errors."""

from __future__ import annotations

import aiohttp
import pytest

from components.hydrosphere.errors import Answered, Unread, of_status, translated, without, words
from runner.errors import InputError, NotFound, RunnerError, ServiceError, Throttled, Transient

MANAGERS = b'{"error": "InternalException", "message": "it broke"}'


@pytest.mark.parametrize(
    ("status", "read", "later", "kind", "ambiguous"),
    [
        (400, False, False, ServiceError, None),
        (404, False, False, NotFound, None),
        (302, False, False, ServiceError, None),
        (429, False, False, Throttled, False),
        (503, True, False, Throttled, False),
        (503, False, True, Throttled, False),
        # Envoy answers so when the connection broke after it had passed the request on.
        (503, False, False, Transient, True),
        (502, False, False, Transient, True),
        (504, True, False, Unread, False),
        (408, False, False, Transient, True),
    ],
)
def test_statuses(
    status: int, read: bool, later: bool, kind: type[RunnerError], ambiguous: bool | None
) -> None:
    error = of_status(status, b"<h1>Bad</h1>", "POST /x", read=read, later=later)
    assert type(error) is kind
    assert getattr(error, "ambiguous", None) is ambiguous
    assert f"POST /x was answered with {status}: <h1>Bad</h1>" in str(error)


def test_a_500_of_the_manager_s_own_is_told_from_a_proxy_s() -> None:
    assert type(of_status(500, MANAGERS, "POST /x", read=False)) is Answered
    assert type(of_status(500, b"oops", "POST /x", read=False)) is Transient


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (MANAGERS, "it broke"),
        (b"", "it said nothing more"),
        (b"a\nb\x1b[31m", "a b"),
        (b'{"message": 3}', '{"message": 3}'),
        (b"[" * 100_000, None),
        (b"x" * 10_000, None),
    ],
)
def test_words_are_one_line_and_few(body: bytes, told: str | None) -> None:
    said = words(body)
    assert len(said) < 400
    assert told is None or said == told


def test_what_was_sent_is_not_repeated() -> None:
    text = 'can not read {"k": "se\\"cret", "n": "no"} and se"cret'
    assert without(text, ['se"cret', "no"]) == 'can not read {"k": "…", "n": "no"} and …'


@pytest.mark.parametrize(
    ("raised", "read", "kind"),
    [
        (TimeoutError(), True, Unread),
        (TimeoutError(), False, Transient),
        (aiohttp.ServerDisconnectedError(), True, Unread),
        (aiohttp.ClientPayloadError("half"), False, Transient),
        (ConnectionResetError(), False, Transient),
        (aiohttp.InvalidURL("x"), True, InputError),
        (UnicodeError("label too long"), True, InputError),
    ],
)
def test_what_becomes_of_a_connection(raised: Exception, read: bool, kind: type[RunnerError]) -> None:
    with pytest.raises(kind) as caught, translated("http://c", "GET /x", read=read):
        raise raised
    assert type(caught.value) is kind


def test_an_address_that_is_none_may_be_a_proxy_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "user:secret@host")
    with pytest.raises(InputError) as caught, translated("http://c", "GET /x", read=True):
        raise ValueError("Port out of range 0-65535")
    assert "the address in http_proxy is none" in str(caught.value)
    assert "secret" not in str(caught.value)
