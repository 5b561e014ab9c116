"""Hostile text made safe to show.

All text that a job or a service hands us may hold terminal controls, markup, or lines that pretend to be
ours. Every sink passes it through here, once, at the last moment: events keep it as it came.
"""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
"""SGR sequences: they only colour, so they carry nothing worth an escape."""

_UNSAFE = re.compile(
    r"[\x00-\x08\x0a-\x1f\x7f-\x9f"  # C0 except tab, DEL, C1
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidi controls: they reorder even what is ours
    r"\u2028\u2029"  # line and paragraph separators
    r"\ud800-\udfff]"  # lone surrogates: can't be encoded
)

_MARKDOWN = re.compile(r"[\\`*_\[\]!|~=#]|(?<=\w):(?=//)")
"""What begins markup in CommonMark or KFP's markdown-to-jsx (tables, `==marks==`, bare links as well)."""

_LIST_ITEM = re.compile(r"^(?:([+-])|(\d+)([.)]))")

_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
"""Only these: markdown-to-jsx knows but six names, and no numeric ones; it shows others as they stand."""

_URL_SAFE = "/:?#@$&+,;=%~-._"
"""Left alone in a link's target. Brackets, parentheses, quotes, `|` and blanks might end it, or its cell."""


def printable(text: str) -> str:
    r"""Text whose every control character is visible: `\x1b`, `\u202e`. Colours vanish; the rest stays."""
    return _UNSAFE.sub(_visible, _COLOUR.sub("", text))


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def lines(text: str) -> list[str]:
    """The lines to show for one text, each `printable`; never none.

    Lines end at LF, CR LF and CR (progress bars redraw with CR). A closing line end adds no line; nor does a
    CR with nothing between it and the last line end, for that shows nothing on a terminal either.
    """
    shown = []
    for line in text.removesuffix("\n").split("\n"):
        shown += [printable(part) for part in line.split("\r") if part] or [""]
    return shown


def one_line(text: str) -> str:
    """The text as one printable line, its line ends turned into blanks."""
    return " ".join(line for line in lines(text) if line)


def clipped(text: str, limit: int) -> str:
    """At most `limit` characters of the text, and how many are missing."""
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text) - limit:,} more characters)"


def markdown(text: str) -> str:
    """The text as one line of Markdown that renders as itself: no markup, no link, no HTML, no cell's end.

    Runs of blanks and line ends become one blank, as a browser shows them anyway.
    """
    flat = re.sub(r"[ \t]+", " ", one_line(text)).strip(" ")
    flat = _MARKDOWN.sub(r"\\\g<0>", flat.translate(_ENTITIES))
    return _LIST_ITEM.sub(lambda m: rf"\{m[1]}" if m[1] else rf"{m[2]}\{m[3]}", flat)


def code_block(text: str) -> str:
    """A fenced Markdown block that its content can't leave.

    The fence is longer than any run of backticks within: markdown-to-jsx ends a block at a fence anywhere in
    a line.
    """
    content = "\n".join(lines(text))
    runs: list[str] = re.findall("`+", content)
    fence = "`" * max(3, 1 + max(map(len, runs), default=0))
    return f"{fence}\n{content}\n{fence}\n"


def web_url(url: str) -> str:
    """The URL, fit for a Markdown or HTML link, if it is an http(s) one with a host; else an empty string."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        return ""
    return quote(url, safe=_URL_SAFE, errors="replace")
