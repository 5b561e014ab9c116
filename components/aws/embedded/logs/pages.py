"""Pages of log events and their tokens, and filter patterns.

Pages hold at most 10,000 events and 1 MB. A token names a place in the order (timestamp, sequence), so a late event
shifts nothing and no event comes twice. An event that arrives late behind the place is not met by going on from the
token, only by reading again from before.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from typing import Any

from components.aws.embedded.errors import ApiError, not_implemented
from components.aws.embedded.logs.store import Key, LogEvent

PAGE_EVENTS = 10_000
PAGE_BYTES = 1_048_576
Json = dict[str, Any]


def page(events: Iterable[LogEvent], limit: int) -> tuple[list[LogEvent], bool]:
    """As many events as a page holds, and whether there are more."""
    found: list[LogEvent] = []
    size = 0
    for event in events:
        size += event.size
        if len(found) >= limit or (found and size > PAGE_BYTES):
            return found, True
        found.append(event)
    return found, False


def identifier(key: Key) -> str:
    """An event's id, and the heart of a token: 56 digits, as AWS's are."""
    return f"{key[0]:020d}{key[1] + 1:036d}"


def place(token: str) -> Key:
    """The key within a token. Raises `ApiError` for what is no token."""
    digits = token[2:]
    if token[:2] not in ("f/", "b/") or len(digits) != 56 or not digits.isdecimal():
        raise bad("The specified nextToken is invalid.")
    return int(digits[:20]), int(digits[20:]) - 1


def behind(key: Key) -> Key:
    """The first place after `key`."""
    return key[0], key[1] + 1


def matcher(pattern: str) -> Callable[[str], bool]:
    """A filter pattern's test. Only plain terms are known: `a b` both, `?a ?b` either, `-a` without, `"a b"` a phrase.

    Raises `ApiError` for JSON (`{…}`), columns (`[…]`) and regular expressions (`%…%`).
    """
    if any(sign in pattern for sign in "{}[]%"):
        raise not_implemented("a filter pattern beyond plain terms")
    try:
        terms = shlex.split(pattern)
    except ValueError as error:
        raise bad("Invalid filter pattern") from error
    without = [term[1:] for term in terms if term.startswith("-")]
    either = [term[1:] for term in terms if term.startswith("?")]
    every = [term for term in terms if term[:1] not in ("-", "?")]

    def matches(message: str) -> bool:
        return (
            all(term in message for term in every)
            and not any(term in message for term in without)
            and (not either or any(term in message for term in either))
        )

    return matches


def bad(text: str) -> ApiError:
    """CloudWatch Logs' refusal of a request."""
    return ApiError("InvalidParameterException", text)
