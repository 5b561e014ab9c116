"""Listening on this machine only, and not to its web pages."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import hdrs, web

HOST = "127.0.0.1"
CLOSING_SECONDS = 0.25
"""How long answers under way may take once the server ends."""
_LOOPBACK = re.compile(r"(.+\.)?localhost|127(\.\d{1,3}){3}|\[::1\]")


@asynccontextmanager
async def listening(server: web.Server, port: int) -> AsyncIterator[str]:
    """Keep the port open for the length of the block, 0: a free one; yield its URL. Raises OSError when it is taken."""
    runner = web.ServerRunner(server, shutdown_timeout=CLOSING_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, port).start()
        _, actual = runner.addresses[0][:2]
        yield f"http://{HOST}:{actual}"
    finally:
        await runner.cleanup()


def refusal(request: web.BaseRequest, prefix: str = "") -> str:
    """Why this request is not even looked at; empty if it is welcome.

    The port is open to every process of this machine, and so to every web page its browser shows. A page can't set
    what it gives away about itself: `Origin`, `Sec-Fetch-Site`, and the host that it was led to (DNS rebinding).
    `prefix`: what clients of this service may put before the host.
    """
    host = request.headers.get(hdrs.HOST, "").lower()
    name = re.sub(r":\d+$", "", host).removeprefix(prefix)
    if not _LOOPBACK.fullmatch(name):
        return f"host {host!r} is not a loopback name"
    if hdrs.ORIGIN in request.headers:
        return "requests of web pages are refused"
    if request.headers.get("Sec-Fetch-Site", "none") != "none":
        return "requests of web pages are refused"
    return ""


async def invite(request: web.BaseRequest) -> None:
    """Ask for the body, if the client waits to be asked.

    aiohttp does this in its router, which rewrites paths, so that the embedded clouds do without it.
    """
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
