"""Hostile text, made safe: terminals, Markdown, HTML, links."""

from __future__ import annotations

import re
from html import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from runner.sinks.text import code_block, lines, markdown, one_line, printable, web_url

CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

plain = st.text(st.characters(categories=["L", "M", "N", "P", "S", "Zs"], include_characters="\t"))
hostile = st.text(
    st.one_of(
        st.characters(categories=["L", "N", "P", "S", "Zs", "Cc", "Cf", "Cs", "Zl", "Zp"]),
        st.sampled_from("\x1b[]0;m\r\n|`*_<>&#!~=:/-+.)(\\"),
    )
)


@given(hostile)
def test_no_control_survives(text: str) -> None:
    assert not CONTROL.search(printable(text))


@given(hostile)
def test_once_is_enough(text: str) -> None:
    assert printable(printable(text)) == printable(text)


@given(plain)
def test_plain_text_is_unchanged(text: str) -> None:
    assert printable(text) == text
    assert lines(text) == [text]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b[38:2:1:2:3mtrue colour\x1b[m", "true colour"),
        ("\x1b[2J\x1b[1;1Hhome", r"\x1b[2J\x1b[1;1Hhome"),
        (
            "\x1b]8;;http://evil\x1b\\here\x1b]8;;\x1b\\",
            "\\x1b]8;;http://evil\\x1b\\here\\x1b]8;;\\x1b\\",
        ),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("a\x08b\x7f", r"a\x08b\x7f"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\u2067x\u2069", r"\u2067x\u2069"),
        ("\u2028::error::", r"\u2028::error::"),
        ("\udcff", r"\udcff"),
        ("\x1b[\x1b[0m31mnested", r"\x1b[31mnested"),
        ("tab\tstays", "tab\tstays"),
    ],
)
def test_terminal_tricks_are_shown(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", [""]),
        ("\n", [""]),
        ("a", ["a"]),
        ("a\n", ["a"]),
        ("a\r\n", ["a"]),
        ("a\n\n", ["a", ""]),
        ("a\n\nb", ["a", "", "b"]),
        ("a\r\nb", ["a", "b"]),
        ("\r10%\r20%\r", ["10%", "20%"]),
        ("ok\r14:02:07 ← Succeeded", ["ok", "14:02:07 ← Succeeded"]),
        ("a\x0bb\x0cc\x85d", [r"a\x0bb\x0cc\x85d"]),
    ],
)
def test_lines(text: str, shown: list[str]) -> None:
    assert lines(text) == shown


@given(hostile)
def test_lines_lose_nothing_and_hold_no_line_end(text: str) -> None:
    shown = lines(text)
    assert shown
    assert not any(CONTROL.search(line) for line in shown)
    assert "".join(shown) == "".join(printable(part) for part in re.split(r"[\r\n]", text))


def test_a_megabyte_is_one_line() -> None:
    text = "x" * 2**20
    assert lines(text) == [text]


RENDER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def _shown(text: str) -> str:
    return re.sub("[ \t]+", " ", one_line(text)).strip()


@given(hostile)
def test_markdown_renders_as_the_text_itself(text: str) -> None:
    rendered = RENDER.render(markdown(text))
    inner = rendered.removeprefix("<p>").removesuffix("</p>\n").strip()
    assert inner == escape(_shown(text), quote=False).replace('"', "&quot;")


@given(hostile)
def test_markdown_stays_in_its_table_cell(text: str) -> None:
    rendered = RENDER.render(f"| a | b |\n|---|---|\n| {markdown(text)} | end |\n")
    cells = re.findall(r"<td>(.*?)</td>", rendered, re.DOTALL)
    assert [cell.strip() for cell in cells] == [
        escape(_shown(text), quote=False).replace('"', "&quot;"),
        "end",
    ]


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("![x](javascript:alert(1))", r"\!\[x\](javascript:alert(1))"),
        ("# head", r"\# head"),
        ("- item", r"\- item"),
        ("12. item", r"12\. item"),
        ("a | b\nc", r"a \| b c"),
        ("see https://example.com/a_b", r"see https\://example.com/a\_b"),
        ("&copy;", "&amp;copy;"),
        ("`code`", r"\`code\`"),
        ("    indented", "indented"),
        ("loss-0.3 (ok)", "loss-0.3 (ok)"),
    ],
)
def test_markdown(text: str, source: str) -> None:
    assert markdown(text) == source


@given(hostile)
def test_nothing_breaks_out_of_a_code_block(text: str) -> None:
    content = "\n".join(lines(text))
    tokens = RENDER.parse(code_block(text) + "\nafter\n")
    assert [token.type for token in tokens] == ["fence", "paragraph_open", "inline", "paragraph_close"]
    assert tokens[0].content == content + "\n"
    fence = code_block(text).split("\n", 1)[0]
    assert fence not in content


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://example.com/a?b=c&d#/jobs/x", "https://example.com/a?b=c&d#/jobs/x"),
        ("https://example.com/$252Faws", "https://example.com/$252Faws"),
        ("http://e.com/a) [b](x", "http://e.com/a%29%20%5Bb%5D%28x"),
        ("https://e.com/\n|<\"'`", "https://e.com/%0A%7C%3C%22%27%60"),
        ("javascript:alert(1)", ""),
        ("data:text/html,x", ""),
        ("https:evil", ""),
        ("//example.com", ""),
        ("https://[", ""),
        ("s3://bucket/key", ""),
        ("", ""),
    ],
)
def test_only_web_links_are_links(url: str, target: str) -> None:
    assert web_url(url) == target
