"""Bodies that are too large for the memory: sent piece by piece, with a record of how far they got."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import secrets
import stat
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import IO

STALL_SECONDS = 60.0
"""How long one piece may take to get through."""
ANSWER_SECONDS = 120.0
"""How long the answer may take once all is sent: the server unpacks it first."""
PIECE = 2**18
"""Bytes handed over at a time."""


class Body:
    """A file's content, between a head and a tail. Sent once; `sent` and `whole` tell what became of it."""

    def __init__(self, content: IO[bytes], size: int, head: bytes = b"", tail: bytes = b"") -> None:
        self._content = content
        self._head, self._tail = head, tail
        self.size = len(head) + size + len(tail)
        """Bytes of it all."""
        self.sent = 0
        """Bytes that were handed over."""
        self.whole = False
        """Whether the last piece was handed over: only then can the server have carried out what it asks for."""

    @asynccontextmanager
    async def patience(self) -> AsyncIterator[AsyncIterator[bytes]]:
        """Give the pieces, for a block that must end in time after the latest of them. Raises `TimeoutError`."""
        now = asyncio.get_running_loop().time
        async with asyncio.timeout_at(now() + STALL_SECONDS) as limit:

            async def pieces() -> AsyncIterator[bytes]:
                async for piece in self._pieces():
                    limit.reschedule(now() + (ANSWER_SECONDS if self.whole else STALL_SECONDS))
                    yield piece

            yield pieces()

    async def _pieces(self) -> AsyncIterator[bytes]:
        # Read aside: a network's file system may stall, and a signal has to get through all the same.
        following = self._head or await asyncio.to_thread(self._content.read, PIECE)
        while piece := following:
            following = await asyncio.to_thread(self._content.read, PIECE)
            if not following:
                following, self._tail = self._tail, b""
            self.sent += len(piece)
            # Noted before it is handed over: whoever takes the last piece does not come back.
            self.whole = not following
            yield piece


def opened(path: str) -> IO[bytes]:
    """Open a regular file. Raises `OSError` for anything else: to open a pipe would wait for its writer."""
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    file = open(number, "rb")  # noqa: PTH123, SIM115  a descriptor; whoever asked for it closes it
    if not stat.S_ISREG(os.fstat(number).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is no regular file")
    return file


def multipart(content: IO[bytes], size: int, metadata: Mapping[str, object]) -> tuple[Body, dict[str, str]]:
    """Return the body of an upload, and its headers: the manager wants a file `payload` and a text `metadata`.

    It tells a file from a text by whether the part has a file name. The metadata comes last, so that a body that was cut
    off can't be taken for a whole one.
    """
    boundary = secrets.token_hex(16)
    line = f"--{boundary}\r\nContent-Disposition: form-data; name="
    head = f'{line}"payload"; filename="filename"\r\n\r\n'.encode()
    text = json.dumps(metadata)
    tail = f'\r\n{line}"metadata"\r\n\r\n{text}\r\n--{boundary}--\r\n'.encode()
    body = Body(content, size, head, tail)
    return body, {
        "Content-Type": f"multipart/form-data; boundary={boundary}",
        "Content-Length": str(body.size),
    }
