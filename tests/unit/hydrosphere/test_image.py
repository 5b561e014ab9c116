"""The runtime's image, as users write it."""

from __future__ import annotations

import pytest

from components.hydrosphere.release._image import Image
from runner.errors import InputError

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("a:t", Image("a", "t")),
        ("a", Image("a", "latest", tagged=False)),
        ("a:latest", Image("a", "latest")),
        ("localhost:5000/x", Image("localhost:5000/x", "latest", tagged=False)),
        ("r.io:5000/a/b:t", Image("r.io:5000/a/b", "t")),
        ("UPPER/x:1", Image("UPPER/x", "1")),
        ("a/b_c/d__e/f-g--h/i.j:T_1.x-y", Image("a/b_c/d__e/f-g--h/i.j", "T_1.x-y")),
        (f"r.io/a:t@{DIGEST}", Image("r.io/a", "t", DIGEST)),
        ("a:" + "t" * 128, Image("a", "t" * 128)),
    ],
)
def test_images(text: str, image: Image) -> None:
    assert Image.parse(text) == image


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is blank"),
        (" \n", "is blank"),
        (" a:t", "has blanks in it"),
        ("a:t\n", "has the tag"),
        ("a b:t", "has blanks in it"),
        ("a//b:t", "has an empty part"),
        ("/a:t", "has an empty part"),
        ("a/:t", "has an empty part"),
        (":t", "has an empty part"),
        ("a:", "ends with a colon"),
        ("a:-t", "has the tag '-t'"),
        ("a:.t", "has the tag '.t'"),
        ("a:t:u", "is no image name"),
        ("a:ä", "has the tag 'ä'"),
        ("a:" + "t" * 129, "has the tag"),
        ("a/B:t", "has capital letters"),
        ("https://a/b:t", "has an empty part"),
        ("a$b:t", "is no image name"),
        ("-a:t", "is no image name"),
        ("a-:t", "is no image name"),
        (f"a@{DIGEST}", "add the tag, as in name:tag@sha256:…"),
        (f"localhost:5000/a@{DIGEST}", "add the tag"),
        ("a:t@", "has the digest ''"),
        ("a:t@sha256:0123", "has the digest"),
        (f"a:t@{DIGEST.upper()}", "has the digest"),
        (f"a:t@{DIGEST}@{DIGEST}", "has the digest"),
        ("a:t@md5:" + "0" * 32, "has the digest"),
        ("a" * 256 + ":t", "more than 255 characters"),
        ("a" + "-" * 5000, "more than 255 characters"),
        ("a" + "-a" * 126 + "$", "is no image name"),
    ],
)
def test_what_is_no_image(text: str, told: str) -> None:
    with pytest.raises(InputError) as caught:
        Image.parse(text)
    assert str(caught.value).startswith("--runtime")
    assert told in str(caught.value)
    assert len(str(caught.value)) < 400
