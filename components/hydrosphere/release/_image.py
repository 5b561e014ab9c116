"""The name of a container image, as Docker writes it: [host[:port]/]path[:tag][@digest]."""

from __future__ import annotations

import re
from dataclasses import dataclass

from components.hydrosphere.release._words import shown
from runner.errors import InputError

_ARGUMENT = "--runtime"
_LONGEST = 255
"""Characters of a name, by Docker's rules."""
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_NAME = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*(?::[0-9]+)?/)?{_PART}(?:/{_PART})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Image:
    """A container image."""

    name: str
    """With the registry, if the user named one; without tag and digest."""
    tag: str
    sha256: str | None = None
    """The digest, `sha256:` and 64 digits."""
    tagged: bool = True
    """Whether the user gave the tag; otherwise it is `latest`, as for Docker."""

    @classmethod
    def parse(cls, text: str) -> Image:
        """Read an image's name. Raises `InputError` that begins with `--runtime`."""
        if not text.strip():
            raise InputError(
                f"{_ARGUMENT} is blank; it has to name an image, such as registry.example/name:tag"
            )
        rest, at, digest = text.partition("@")
        name, tag = _split(rest)
        wrong = _wrong(name, tag, digest if at else None)
        if wrong:
            raise InputError(f"{_ARGUMENT}: {shown(text)} {wrong}")
        return cls(name, tag or "latest", digest or None, tagged=tag is not None)


def _split(text: str) -> tuple[str, str | None]:
    """Split the tag off. A colon before the last slash is a port's."""
    name, colon, tag = text.rpartition(":")
    if not colon or "/" in tag:
        return text, None
    return name, tag


def _wrong(name: str, tag: str | None, digest: str | None) -> str:
    """Say what is wrong with an image's parts; None is a part that was not given."""
    if len(name) > _LONGEST:
        return f"has a name of more than {_LONGEST} characters"
    if not _NAME.fullmatch(name):
        return _wrong_name(name)
    if tag is not None and not _TAG.fullmatch(tag):
        return (
            f"has the tag {shown(tag)}; a tag has 1 to 128 letters, digits, dots, underscores and hyphens, and begins "
            "with none of the last two but the underscore"
            if tag
            else "ends with a colon; a tag has to follow it"
        )
    if digest is not None and not _DIGEST.fullmatch(digest):
        return f"has the digest {shown(digest)}; it has to be sha256: and 64 digits of 0-9 and a-f"
    if digest is not None and tag is None:
        return "has a digest but no tag, which the platform needs; add the tag, as in name:tag@sha256:…"
    return ""


def _wrong_name(name: str) -> str:
    if any(character.isspace() for character in name):
        return "has blanks in it"
    if not all(name.split("/")):
        return "has an empty part in its name"
    if _NAME.fullmatch(name.lower()):
        return "has capital letters in its name; only the registry's host may have them"
    return "is no image name; it has to be like registry.example/name:tag"
