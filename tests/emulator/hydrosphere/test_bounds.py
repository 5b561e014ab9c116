"""What a client could make grow without end has a bound; and who is not listened to at all."""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from components.hydrosphere.embedded import app, books, events, options, serve, serving, storage
from components.hydrosphere.embedded.building import logs as logs_module
from components.hydrosphere.embedded.building.logs import BuildLog
from components.hydrosphere.embedded.cloud import Journal
from components.hydrosphere.embedded.wire import uploads
from runner.emulation import journal as journal_module
from tests.emulator.helpers import eventually
from tests.emulator.hydrosphere.helpers import (
    DEADLINE,
    below,
    external,
    form,
    hydrosphere,
    metadata,
    packed,
)

HEAD = (
    "POST /api/v2/model/upload HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    "Connection: close\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: {}\r\n\r\n"
)
PARTS = (
    b'--b\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n%s\r\n'
    b'--b\r\nContent-Disposition: form-data; name="payload"; filename="f"\r\n\r\n%s'
)


async def raw(url: str, head: str, body: bytes, *, hang_up: bool = False) -> bytes:
    """Send bytes, and read the answer; or hang up before it comes."""
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(head.encode() + body)
    if hang_up:
        writer.write_eof()
    try:
        return await asyncio.wait_for(reader.read(), DEADLINE)
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("longer", [0, 1000])
async def test_a_cut_off_upload_makes_no_version(
    longer: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Also if it says that it is whole: the last boundary is missing."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    body = PARTS % (json.dumps(metadata(3)).encode(), packed())
    async with hydrosphere() as hs:
        answer = await raw(hs.cloud.url, HEAD.format(len(body) + longer), body, hang_up=bool(longer))
        assert (b"RequestDeserializationError" in answer) == (not longer)
        whole = body + b"\r\n--b--\r\n"
        assert b"200 OK" in await raw(hs.cloud.url, HEAD.format(len(whole)), whole)
        assert [version["id"] for version in await hs.versions()] == [1]

        async def cleared() -> bool:
            return not below(tmp_path, "payload.tar.gz")

        await eventually(cleared)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--b--\r\n",
        b"no boundary",
        b"--b\r\n\r\n",
        b"--b\r\nno header\r\n\r\n\r\n--b--\r\n",
        b'--b\r\nContent-Disposition: form-data; name="payload"; filename="f"\r\nContent-Length: 9\r\n\r\nx\r\n--b--\r\n',
        b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\n--c--\r\n--b--\r\n",
        b"--b\r\n" + b"A: b\r\n" * 1000 + b"\r\n\r\n--b--\r\n",
        b"--b\r\n" + b"A" * 100_000 + b"\r\n\r\n--b--\r\n",
    ],
)
async def test_broken_multiparts_are_refused(body: bytes) -> None:
    async with hydrosphere() as hs:
        answer = await raw(hs.cloud.url, HEAD.format(len(body)), body)
        assert answer.startswith(b"HTTP/1.1 400"), answer
        assert await hs.versions() == []


async def test_an_upload_has_a_bound_whatever_its_head_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(uploads, "BODY_BYTES", 100_000)

    async def chunks() -> AsyncIterator[bytes]:
        yield PARTS % (json.dumps(metadata(3)).encode(), b"")
        for _ in range(50):
            yield bytes(10_000)

    async with hydrosphere() as hs:
        error = await hs.upload(b"x" * 200_000, status=413)
        assert "100000 bytes" in error["message"]
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        error = await hs.post("/api/v2/model/upload", 413, data=chunks(), headers=headers)
        assert "100000 bytes" in error["message"]
        await hs.upload()

        async def cleared() -> bool:
            return not below(tmp_path, "payload.tar.gz")

        await eventually(cleared)


async def test_metadata_and_json_bodies_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "JSON_BYTES", 2000)
    async with hydrosphere() as hs:
        await hs.upload(status=413, metadata={"a": "x" * 3000})
        await hs.post("/api/v2/externalmodel", 413, json=external(3, metadata={"a": "x" * 3000}))
        await hs.upload()


async def test_deep_json_is_refused() -> None:
    async with hydrosphere() as hs:
        body = "[" * 100_000
        await hs.post("/api/v2/externalmodel", 400, data=body)
        field: dict[str, Any] = {"name": "x", "profile": "NONE", "shape": {"dims": []}, "dtype": "DT_BOOL"}
        for _ in range(40):
            field = {"name": "x", "profile": "NONE", "shape": {"dims": []}, "subfields": [field]}
        deep = {"signatureName": "predict", "inputs": [field], "outputs": [field]}
        error = await hs.post("/api/v2/externalmodel", 400, json=external(3, signature=deep))
        assert "32 levels deep" in error["message"]


async def test_the_books_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "MOST_VERSIONS", 2)
    async with hydrosphere() as hs:
        for name in ("one", "two"):
            await hs.post("/api/v2/externalmodel", json=external(3, name))
        assert "at most 2 versions" in (await hs.upload(status=400))["message"]
        await hs.delete("/api/v2/model/1")
        await hs.upload()
        monkeypatch.setattr(books, "MOST_VERSIONS", 100)
        monkeypatch.setattr(books, "MOST_BYTES", 2000)
        error = await hs.upload(status=400, metadata={"a": "x" * 2000})
        assert "2000 bytes of descriptions" in error["message"]


async def test_the_disk_has_a_bound_which_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "MOST_BYTES", 100_000)
    async with hydrosphere(build_seconds=600) as hs:
        large = packed({"a": bytes(60_000)})
        await hs.upload(large)
        error = await hs.upload(large, status=400, name="second")
        assert "no more room on this disk" in error["message"]
        error = await hs.post("/monitoring/profiles/batch/1", 507, data=bytes(60_000))
        assert "no more room on this disk" in error["message"]
        await hs.delete("/api/v2/model/1")

        async def fits() -> bool:
            async with hs.http.post(
                "/api/v2/model/upload", data=form(large, metadata(3, "second"))
            ) as answer:
                return answer.status == 200

        await eventually(fits)


async def test_a_listener_that_does_not_keep_up_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MOST_CHARACTERS", 100_000)
    async with hydrosphere() as hs, asyncio.timeout(DEADLINE), hs.listening() as fast:
        with socket.create_connection(("127.0.0.1", int(hs.cloud.url.rpartition(":")[2]))) as slow:
            slow.sendall(b"GET /api/v2/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            slow.setblocking(False)
            loop, head = asyncio.get_running_loop(), b""
            while b"\r\n\r\n" not in head:
                head += await loop.sock_recv(slow, 1000)
            # Far more than the system keeps for who does not read.
            for number in range(200):
                body = external(3, f"m{number}", metadata={"a": "x" * 60_000})
                await hs.post("/api/v2/externalmodel", json=body)
                assert (await anext(fast)).event == "ModelUpdate"
            read = 0
            while piece := await loop.sock_recv(slow, 1_000_000):
                read += len(piece)
        assert read < 200 * 60_000


async def test_streams_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "MOST_FEEDS", 2)
    async with hydrosphere() as hs:
        first, second = [await hs.http.get("/api/v2/events") for _ in range(2)]
        assert (await hs.get("/api/v2/events", 503))["error"] == "InternalException"
        first.close()

        async def free() -> bool:
            answer = await hs.http.get("/api/v2/events")
            answer.close()
            return answer.status == 200

        await eventually(free)
        second.close()


async def test_who_has_gone_is_forgotten() -> None:
    async with hydrosphere() as hs:
        answers = [await hs.http.get("/api/v2/events") for _ in range(5)]
        for answer in answers:
            answer.close()
        await hs.upload()
        async with hs.listening() as stream:
            await hs.upload()
            assert (await anext(stream)).event == "ModelUpdate"


async def test_a_log_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs_module, "LONGEST_LINE", 10)
    monkeypatch.setattr(logs_module, "MOST_CHARACTERS", 25)
    log = BuildLog()
    for _ in range(5):
        log.write("x" * 20 + "\nshort")
    assert log.lines == ["x" * 10, "short"]


def test_the_journal_has_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal()
    journal.add("Upload", "/u", {"name": "a"}, ["b"] * 100_000, 200, 0.0)
    assert (journal.entries[0].members, list(journal.entries[0].body)) == ((), ["(bytes)"])
    monkeypatch.setattr(journal_module, "LENGTH", 3)
    for number in range(5):
        journal.add("ListModels", f"/{number}", {}, (), 200, 0.0)
    assert [call.path for call in journal.entries] == ["/2", "/3", "/4"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://127.0.0.1"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Host": "example.com"},
        {"Host": "127.0.0.1.example.com"},
    ],
)
async def test_web_pages_are_refused(headers: dict[str, str]) -> None:
    async with hydrosphere(faults=True) as hs:
        for path in ("/api/v2/model", "/_embedded/calls"):
            async with hs.http.get(path, headers=headers) as answer:
                assert answer.status == 403
                assert "Access-Control-Allow-Origin" not in answer.headers
        async with hs.http.options("/api/v2/model") as answer:
            assert answer.status == 405
        assert await hs.get("/api/v2/model", headers={"Host": "localhost:1"}) == []


async def test_it_asks_for_a_body_that_waits_to_be_asked() -> None:
    async with hydrosphere() as hs:
        await hs.post(
            "/api/v2/model/upload", data=form(packed(), metadata(3)), headers={"Expect": "100-continue"}
        )
        assert len(await hs.versions()) == 1


async def test_it_is_bound_to_loopback_alone_and_leaves_no_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    async with serve() as cloud:
        port = int(cloud.url.rpartition(":")[2])
        assert len(list(tmp_path.iterdir())) == 1
        with pytest.raises(OSError, match="address already in use"):
            async with serve(port):
                pass
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(aiohttp.ClientConnectorError):
        async with aiohttp.ClientSession() as http:
            await http.get(cloud.url)


async def test_it_is_served_with_the_options_of_the_command_line() -> None:
    parser = argparse.ArgumentParser()
    options(parser)
    given = parser.parse_args(["--era", "2", "--build-seconds", "0.5"])
    assert (given.era, given.build_seconds) == (2, 0.5)
    assert (parser.parse_args([]).era, parser.parse_args([]).build_seconds) == (3, 2.0)
    given.port, given.faults = 0, True
    async with serving(given) as cloud, aiohttp.ClientSession(cloud.url) as http:
        async with http.get("/api/buildinfo") as answer:
            assert (await answer.json())["version"].startswith("2.")
        assert cloud.faults.enabled


@pytest.mark.parametrize("arguments", [["--era", "4"], ["--build-seconds", "-1"], ["--build-seconds", "nan"]])
def test_senseless_options_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    options(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(arguments)
    assert arguments[0] in capsys.readouterr().err
