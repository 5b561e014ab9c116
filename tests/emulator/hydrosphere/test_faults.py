"""Failures on order: what the client sees, and whether the work was done."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import aiohttp
import pytest

from components.hydrosphere.embedded import Fault, events, serve
from components.hydrosphere.embedded.building import logs
from components.hydrosphere.embedded.faults import OPERATIONS
from tests.emulator.helpers import eventually
from tests.emulator.hydrosphere.helpers import (
    DEADLINE,
    Hydrosphere,
    Row,
    external,
    form,
    hydrosphere,
    metadata,
    packed,
)
from tests.emulator.hydrosphere.helpers import events as read

ERAS = pytest.mark.parametrize("era", [2, 3])
STREAMS = pytest.mark.parametrize("operation", ["Events", "Logs"])


@ERAS
@pytest.mark.parametrize(
    ("kind", "status", "done"),
    [
        ("error_before", 500, False),
        ("error_after", 500, True),
        ("bad_gateway", 502, False),
        ("bad_gateway_after", 502, True),
        ("unavailable", 503, False),
        ("forbidden", 403, False),
    ],
)
async def test_an_upload_fails_before_or_after_its_work(era: int, kind: str, status: int, done: bool) -> None:
    async with hydrosphere(era, faults=True) as hs:
        hs.cloud.faults.add(Fault("Upload", kind))
        body = form(packed({"large": bytes(3_000_000)}), metadata(era))
        async with hs.http.post("/api/v2/model/upload", data=body) as answer:
            text = await answer.text()
        assert answer.status == status
        if status == 500:
            assert json.loads(text)["error"] == "InternalException"
        else:
            assert answer.content_type == "text/html"
            assert f"<h1>{status} " in text
        assert bool(await hs.versions()) == done
        assert [c.status for c in hs.cloud.calls if c.operation == "Upload"] == [status]
        await hs.upload()
        assert len(await hs.versions()) == done + 1


@pytest.mark.parametrize(("kind", "done"), [("drop_before", False), ("drop_after", True)])
async def test_a_connection_is_dropped_before_or_after_the_work(kind: str, done: bool) -> None:
    async with hydrosphere(faults=True) as hs:
        hs.cloud.faults.add(Fault("Upload", kind))
        with pytest.raises(aiohttp.ClientError):
            await hs.upload()
        assert bool(await hs.versions()) == done
        assert [c.status for c in hs.cloud.calls if c.operation == "Upload"] == [0]


async def test_who_hangs_up_while_the_server_hangs_has_made_no_version() -> None:
    """Also with a large body on its way: what waits to be read would hide the end of the connection."""
    head = (
        "POST /api/v2/model/upload HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 90000000\r\n\r\n"
    )
    async with hydrosphere(faults=True) as hs:
        hs.cloud.faults.add(Fault("Upload", "hang"))
        _, writer = await asyncio.open_connection("127.0.0.1", int(hs.cloud.url.rpartition(":")[2]))
        writer.write(head.encode() + bytes(8_000_000))

        async def asked() -> bool:
            return bool(hs.cloud.calls)

        await eventually(asked)
        (answering,) = [
            each for each in asyncio.all_tasks() if "RequestHandler.start" in repr(each.get_coro())
        ]
        # All of it is taken, though it is never looked at.
        await asyncio.wait_for(writer.drain(), DEADLINE)
        writer.transport.abort()
        await asyncio.wait({answering}, timeout=DEADLINE)
        assert answering.done()
        assert await hs.versions() == []
        assert [c.status for c in hs.cloud.calls if c.operation == "Upload"] == [0]


async def test_what_hangs_ends_with_the_server() -> None:
    async with aiohttp.ClientSession() as http:
        async with serve(faults=True) as cloud:
            cloud.faults.add(Fault("ListVersions", "hang"))
            waiting = asyncio.create_task(http.get(f"{cloud.url}/api/v2/model/version"))

            async def asked() -> bool:
                return bool(cloud.calls)

            await eventually(asked)
        with pytest.raises(aiohttp.ClientError):
            await waiting


async def test_latency_holds_a_call_up_and_adds_to_other_faults() -> None:
    async with hydrosphere(faults=True) as hs:
        hs.cloud.faults.add(
            Fault("ListVersions", "latency", seconds=0.2), Fault("ListVersions", "unavailable")
        )
        began = time.monotonic()
        async with hs.http.get("/api/v2/model/version") as answer:
            assert answer.status == 503
        assert time.monotonic() - began >= 0.2


async def test_a_version_is_missing_for_a_while() -> None:
    async with hydrosphere(faults=True) as hs:
        await hs.upload(name="first")
        await hs.upload(name="second")
        hs.cloud.faults.add(Fault("GetVersion", "missing", times=2), Fault("ListVersions", "missing"))
        for _ in range(2):
            error = await hs.get("/api/v2/model/version/second/1", 404)
            assert error["error"] == "NotFound"
        await hs.get("/api/v2/model/version/second/1")
        assert [each["model"]["name"] for each in await hs.versions()] == ["first"]
        assert len(await hs.versions()) == 2


async def test_faults_are_counted_skipped_and_used_up_in_order() -> None:
    async with hydrosphere(faults=True) as hs:
        hs.cloud.faults.add(
            Fault("ListModels", "unavailable", times=2, skip=1), Fault("*", "error_before", times=1)
        )
        seen = []
        for _ in range(5):
            async with hs.http.get("/api/v2/model") as answer:
                seen.append(answer.status)
        assert seen == [500, 503, 503, 200, 200]
        assert hs.cloud.faults.pending == []


REQUESTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "BuildInfo": ("GET", "/api/buildinfo", {}),
    "Upload": ("POST", "/api/v2/model/upload", {}),
    "RegisterExternal": ("POST", "/api/v2/externalmodel", {"json": external(3)}),
    "ListModels": ("GET", "/api/v2/model", {}),
    "GetModel": ("GET", "/api/v2/model/1", {}),
    "DeleteModel": ("DELETE", "/api/v2/model/1", {}),
    "ListVersions": ("GET", "/api/v2/model/version", {}),
    "GetVersion": ("GET", "/api/v2/model/version/adult/1", {}),
    "Events": ("GET", "/api/v2/events", {}),
    "Logs": ("GET", "/api/v2/model/version/1/logs", {}),
    "UploadProfile": ("POST", "/monitoring/profiles/batch/1", {"data": b"x"}),
    "UploadProfileS3": ("POST", "/monitoring/profiles/batch/1/s3", {"json": {"path": "s3://b/k"}}),
    "ProfileStatus": ("GET", "/monitoring/profiles/batch/1/status", {}),
    "TrainingData": ("GET", "/monitoring/training_data?modelVersionId=1", {}),
}


@pytest.mark.parametrize("operation", sorted(OPERATIONS - {"Build"}))
@pytest.mark.parametrize("kind", ["error_after", "bad_gateway", "forbidden"])
async def test_every_operation_can_fail(operation: str, kind: str) -> None:
    async with hydrosphere(faults=True) as hs:
        await hs.upload()
        hs.cloud.faults.add(Fault(operation, kind))
        method, path, options = REQUESTS[operation]
        body = {"data": form(packed(), metadata(3))} if operation == "Upload" else options
        async with hs.http.request(method, path, **body) as answer:
            await answer.read()
        assert answer.status == {"error_after": 500, "bad_gateway": 502, "forbidden": 403}[kind]
        last = hs.cloud.calls[-1]
        assert (last.operation, last.path, last.status) == (operation, path, answer.status)


async def opened(hs: Hydrosphere, operation: str) -> aiohttp.ClientResponse:
    """The head of a stream of events; for Logs of a build that goes on."""
    return await hs.http.get(REQUESTS[operation][1])


@STREAMS
async def test_a_stream_is_cut_after_its_first_event(operation: str) -> None:
    async with hydrosphere(faults=True, build_seconds=600) as hs, asyncio.timeout(DEADLINE):
        await hs.upload()
        hs.cloud.faults.add(Fault(operation, "cut"))
        async with await opened(hs, operation) as answer:
            if operation == "Events":
                await hs.upload()
            rows = [row async for row in read(answer)]
        assert [row.event for row in rows] == ["ModelUpdate" if operation == "Events" else "Log"]


@STREAMS
async def test_a_stream_is_cut_after_a_while(operation: str) -> None:
    async with hydrosphere(faults=True, build_seconds=600) as hs, asyncio.timeout(DEADLINE):
        await hs.upload()
        hs.cloud.faults.add(Fault(operation, "cut", seconds=0.3))
        began = time.monotonic()
        async with await opened(hs, operation) as answer:
            rows = [row async for row in read(answer)]
        assert time.monotonic() - began >= 0.25
        assert "EndOfStream" not in [row.event for row in rows]


@STREAMS
async def test_a_silent_stream_says_nothing(operation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_SECONDS", 0.02)
    monkeypatch.setattr(logs, "HEARTBEAT_SECONDS", 0.02)
    async with hydrosphere(faults=True) as hs, asyncio.timeout(DEADLINE):
        await hs.upload()
        hs.cloud.faults.add(Fault(operation, "silent"))
        async with await opened(hs, operation) as answer:
            assert answer.status == 200
            await hs.upload()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await answer.content.readany()


@STREAMS
async def test_garbage_comes_between(operation: str) -> None:
    async with hydrosphere(faults=True, build_seconds=600) as hs, asyncio.timeout(DEADLINE):
        await hs.upload()
        hs.cloud.faults.add(Fault(operation, "garbage"))
        async with await opened(hs, operation) as answer:
            await hs.upload()
            assert (await answer.content.readline()).startswith(b"<html>")
            assert (await anext(read(answer))).event in ("ModelUpdate", "Log")


@ERAS
async def test_a_build_fails_on_order(era: int) -> None:
    async with hydrosphere(era, faults=True) as hs:
        hs.cloud.faults.add(Fault("Build", "fail_build"))
        status, lines = await hs.built()
        assert (status, lines[-1]) == ("Failed", "ERROR: the build fails, on order")
        assert (await hs.built())[0] == "Released"


async def test_a_build_hangs_until_its_version_is_deleted() -> None:
    async with hydrosphere(faults=True) as hs, asyncio.timeout(DEADLINE):
        hs.cloud.faults.add(Fault("Build", "hang_build"))
        await hs.upload()
        async with hs.http.get("/api/v2/model/version/1/logs") as answer:
            stream = read(answer)
            assert [(await anext(stream)).id, (await anext(stream)).id] == ["0", "1"]
            assert (await hs.versions())[0]["status"] == "Assembling"
            await hs.delete("/api/v2/model/1")
            assert [row async for row in stream] == [Row("EndOfStream", "")]


@pytest.mark.parametrize(
    ("operation", "kind", "why"),
    [
        ("Upload", "throttle", "no fault of kind 'throttle'"),
        ("Uplaod", "error_before", "no operation 'Uplaod'"),
        ("Upload", "cut", "the fault cut is for: Events, Logs"),
        ("Upload", "missing", "the fault missing is for: GetVersion, ListVersions"),
        ("Upload", "hang_build", "the fault hang_build is for: Build"),
        ("Build", "error_before", "the fault error_before is for: "),
    ],
)
def test_senseless_faults_are_refused(operation: str, kind: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Fault(operation, kind)


async def test_faults_and_calls_are_reachable_over_http() -> None:
    async with hydrosphere(faults=True) as hs:
        fault = {"operation": "ListModels", "kind": "unavailable"}
        armed = await hs.post("/_embedded/faults", json=[fault])
        assert [each["kind"] for each in armed["faults"]] == ["unavailable"]
        async with hs.http.get("/api/v2/model") as answer:
            assert answer.status == 503
        await hs.upload()
        calls = (await hs.get("/_embedded/calls"))["calls"]
        assert [(call["operation"], call["status"]) for call in calls] == [
            ("ListModels", 503),
            ("Upload", 200),
        ]
        assert calls[1]["members"] == ["src/func_main.py", "requirements.txt"]
        await hs.post("/_embedded/faults", json=fault)
        assert await hs.delete("/_embedded/faults") == {"faults": []}
        async with hs.http.post("/_embedded/faults", json={"operation": "*", "kind": "nonsense"}) as answer:
            assert answer.status == 400
            assert "no fault of kind 'nonsense'" in await answer.text()


async def test_without_being_asked_for_there_are_no_faults_and_no_control_routes() -> None:
    async with hydrosphere() as hs:
        with pytest.raises(RuntimeError, match="faults are off"):
            hs.cloud.faults.add(Fault("*", "error_before"))
        async with hs.http.get("/_embedded/calls") as answer:
            assert answer.status == 404
