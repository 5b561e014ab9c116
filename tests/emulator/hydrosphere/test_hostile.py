"""Servers that answer what no cluster would, over real sockets: bounded, told, and never taken for a release."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from components.hydrosphere.api import LONGEST_ANSWER, Api
from components.hydrosphere.inputs import Where
from components.hydrosphere.release._image import Image
from components.hydrosphere.release._release import Release
from components.hydrosphere.release.backends import hydrosdk as backend
from components.hydrosphere.release.contract.reading import parse
from components.hydrosphere.versions import Versions
from runner.errors import InputError, RunnerError, ServiceError, Transient
from tests.emulator.hydrosphere.hydrosdk_kit import needs_hydrosdk

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
CONTRACT = "inputs: {x: {type: double}}\noutputs: {y: {type: double}}"


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[str]:
    runner = web.ServerRunner(web.Server(answer, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


def text(body: str, status: int = 200, **headers: str) -> Answer:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        return web.Response(status=status, text=body, headers=headers)

    return answer


async def endless(request: web.BaseRequest) -> web.StreamResponse:
    """Answer for ever."""
    await request.read()
    answer = web.StreamResponse()
    await answer.prepare(request)
    while True:
        await answer.write(b"[" * 65536)


async def half(request: web.BaseRequest) -> web.StreamResponse:
    """Promise more than comes."""
    await request.read()
    answer = web.StreamResponse(headers={"Content-Length": "100"})
    await answer.prepare(request)
    await answer.write(b'{"id": 1')
    assert request.transport is not None
    request.transport.close()
    return answer


async def called(answer: Answer, method: str) -> RunnerError:
    async with serving(answer) as url, Api(Where(cluster=url)) as api:
        with pytest.raises(RunnerError) as caught:
            await api.call(method, "/api/v2/externalmodel" if method == "POST" else "/api/buildinfo")
    return caught.value


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(text("<html>"), id="html"),
        pytest.param(text("[" * 100_000), id="deep"),
        pytest.param(endless, id="endless"),
        pytest.param(half, id="half"),
        pytest.param(text("oops", 502), id="502"),
    ],
)
async def test_what_is_no_answer_leaves_a_change_in_doubt_and_a_read_undone(
    answer: Answer, method: str
) -> None:
    error = await called(answer, method)
    doubt = isinstance(error, Transient) and error.ambiguous
    assert doubt is (method == "POST")
    assert len(str(error)) < 600


async def test_a_redirection_is_not_followed() -> None:
    error = await called(text("", 301, Location="http://127.0.0.1:1/"), "POST")
    assert isinstance(error, ServiceError)
    assert "a redirection is not followed, give its target as --cluster" in str(error)


async def test_a_list_may_be_longer_but_has_a_bound_too() -> None:
    row = {"id": 1, "model": {"id": 1, "name": "m"}, "modelVersion": 1, "pad": "x" * LONGEST_ANSWER}
    async with serving(text(json.dumps([row]))) as url, Api(Where(cluster=url)) as api:
        assert [version.name for version in await Versions(api).of_model("m")] == ["m:1"]
    async with serving(endless) as url, Api(Where(cluster=url)) as api:
        with pytest.raises(ServiceError, match="has more than 16,777,216 bytes"):
            await Versions(api).of_model("m")


async def test_an_address_in_the_environment_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://user:secret@127.0.0.1:99999")
    async with Api(Where(cluster="http://h.example")) as api:
        with pytest.raises(InputError) as caught:
            await api.call("GET", "/api/buildinfo")
    assert "http_proxy" in str(caught.value)
    assert "secret" not in str(caught.value)


@needs_hydrosdk
@pytest.mark.parametrize("answer", [pytest.param(endless, id="endless"), pytest.param(text("{}"), id="{}")])
async def test_hydrosdk_reads_no_more_than_we(answer: Answer) -> None:
    release = Release("m", parse(CONTRACT), Image("r/i", "1"), None, {})
    async with serving(answer) as url:
        with pytest.raises(Transient) as caught:
            await backend.upload(url, release, ())
    assert caught.value.ambiguous
