"""What is told of versions as it happens."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest

from components.hydrosphere.embedded import Fault, events
from components.hydrosphere.embedded.building import builds, logs
from tests.emulator.hydrosphere.helpers import DEADLINE, Row, external, hydrosphere
from tests.emulator.hydrosphere.helpers import events as read

ERAS = pytest.mark.parametrize("era", [2, 3])


@ERAS
async def test_a_version_is_told_of_when_it_is_new_and_when_its_build_ends(era: int) -> None:
    async with hydrosphere(era) as hs, hs.listening() as stream:
        version = await hs.upload()
        first, last = await anext(stream), await anext(stream)
        assert first == Row("ModelUpdate", json.dumps(version))
        assert last.event == "ModelUpdate"
        told = json.loads(last.data)
        assert (told["id"], told["status"]) == (1, "Released")
        assert told["finished"] >= told["created"]
        assert hs.cloud.versions == [told]


async def test_a_failure_is_on_the_books_when_it_is_told_in_3() -> None:
    async with hydrosphere(3) as hs, hs.listening() as stream:
        await hs.upload(installCommand="")
        await anext(stream)
        assert json.loads((await anext(stream)).data)["status"] == "Failed"
        assert (await hs.versions())[0]["status"] == "Failed"


async def test_a_failure_is_told_a_moment_before_it_is_on_the_books_in_2(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = asyncio.Event()
    # The moment lasts for as long as it takes to look.
    monkeypatch.setattr(builds, "lag", seen.wait)
    async with hydrosphere(2) as hs, hs.listening() as stream:
        await hs.upload(installCommand="")
        await anext(stream)
        assert json.loads((await anext(stream)).data)["status"] == "Failed"
        assert (await hs.versions())[0]["status"] == "Assembling"
        seen.set()
        await hs.lines(1)  # ends with the build
        assert (await hs.versions())[0]["status"] == "Failed"


async def test_nothing_is_repeated_for_who_comes_late() -> None:
    async with hydrosphere() as hs:
        await hs.built()
        async with hs.listening() as stream:
            await hs.post("/api/v2/externalmodel", json=external(3, "late"))
            told = json.loads((await anext(stream)).data)
            assert (told["model"]["name"], told["status"]) == ("late", "Released")


async def test_silence_is_broken_by_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(logs, "HEARTBEAT_SECONDS", 0.05)
    async with hydrosphere(faults=True) as hs, hs.listening() as stream:
        assert [await anext(stream), await anext(stream)] == [Row("", ""), Row("", "")]
        hs.cloud.faults.add(Fault("Build", "hang_build"))
        await hs.upload()
        async with hs.http.get("/api/v2/model/version/1/logs") as answer:
            async for row in read(answer):
                if row == Row("", ""):
                    break
            assert row == Row("", "")


async def test_a_heartbeat_is_an_event_with_empty_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_SECONDS", 0.01)
    async with hydrosphere() as hs, hs.http.get("/api/v2/events") as answer:
        assert await answer.content.readline() == b"data:\n"
        assert await answer.content.readline() == b"\n"


async def test_a_log_is_followed_while_it_grows_and_replayed_when_it_is_whole() -> None:
    async with hydrosphere(build_seconds=0.3) as hs:
        await hs.upload()
        rows = await hs.log(1)
        assert (await hs.versions())[0]["status"] == "Released"
        assert await hs.log(1) == rows
        assert rows[-1] == Row("EndOfStream", "")
        assert [row.id for row in rows[:-1]] == [str(number) for number in range(len(rows) - 1)]
        assert {row.event for row in rows[:-1]} == {"Log"}


@pytest.mark.parametrize(("last", "first"), [("0", 1), ("4", 5), ("1000", None), ("junk", 0), ("-1", 0)])
async def test_a_log_is_taken_up_again_behind_the_last_line_that_came(last: str, first: int | None) -> None:
    async with hydrosphere() as hs:
        await hs.upload()
        rows = await hs.log(1)
        again = await hs.log(1, **{"Last-Event-ID": last})
        assert again == (rows[-1:] if first is None else rows[first:])


async def test_a_deleted_versions_log_ends() -> None:
    async with hydrosphere(build_seconds=60) as hs:
        await hs.upload()
        async with asyncio.timeout(DEADLINE), hs.http.get("/api/v2/model/version/1/logs") as answer:
            stream = read(answer)
            assert (await anext(stream)).id == "0"
            await hs.delete("/api/v2/model/1")
            assert [row async for row in stream][-1] == Row("EndOfStream", "")


async def test_many_listeners_hear_the_same() -> None:
    async with hydrosphere() as hs, aiohttp.ClientSession(hs.cloud.url) as http:
        answers = [await http.get("/api/v2/events") for _ in range(20)]
        await hs.upload()
        heard = [await anext(read(answer)) for answer in answers]
        assert len(set(heard)) == 1
        for answer in answers:
            answer.close()
