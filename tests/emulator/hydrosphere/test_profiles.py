"""Training data: received, really read, and told as what they are."""

from __future__ import annotations

import asyncio
import math
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from components.hydrosphere.embedded.training import monitoring, profiles, tables
from components.hydrosphere.embedded.training.tables import TableError, profile
from tests.emulator.helpers import eventually
from tests.emulator.hydrosphere.helpers import Hydrosphere, below, external, hydrosphere, scalar, signature

CSV = b"x,w,extra\n1,a,0.5\n2,b,\n3,a,nan\n"
ERAS = pytest.mark.parametrize("era", [2, 3])


@asynccontextmanager
async def registered(era: int = 3, inputs: list[Any] | None = None) -> AsyncIterator[Hydrosphere]:
    """With a version that takes `x` and `w`."""
    async with hydrosphere(era) as hs:
        whole = signature(era, **({"inputs": inputs} if inputs else {}))
        changes = {"signature": whole} if era == 3 else {"contract": {"modelName": "a", "predict": whole}}
        await hs.post("/api/v2/externalmodel", json=external(era, **changes))
        yield hs


async def status(hs: Hydrosphere, version: int = 1) -> dict[str, Any]:
    answer: dict[str, Any] = await hs.get(f"/monitoring/profiles/batch/{version}/status")
    return answer


async def profiled(hs: Hydrosphere, data: Any) -> dict[str, Any]:
    """Upload data and wait for what comes of them."""
    assert await hs.post("/monitoring/profiles/batch/1", data=data) == "ok"
    return await ended(hs)


async def ended(hs: Hydrosphere) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        found = await status(hs)
        return found if found["kind"] != "Processing" else None

    found: dict[str, Any] = await eventually(look)
    return found


@ERAS
async def test_data_are_processed_and_profiled(era: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async with registered(era) as hs:
        assert await status(hs) == {"kind": "NotRegistered"}
        assert await hs.get("/monitoring/training_data?modelVersionId=1") == []

        async def chunks() -> AsyncIterator[bytes]:
            for start in range(0, len(CSV), 5):
                yield CSV[start : start + 5]

        assert await hs.post("/monitoring/profiles/batch/1", data=chunks()) == "ok"
        assert (await status(hs))["kind"] == "Processing"
        found = await ended(hs)
        assert found["kind"] == "Success"
        assert found["profile"]["rows"] == 3
        assert found["profile"]["columns"] == {
            "x": {"count": 3, "missing": 0, "mean": 2.0, "std": 1.0, "min": 1.0, "max": 3.0},
            "w": {"count": 3, "missing": 0, "distinct": 2},
            "extra": {"count": 1, "missing": 2, "mean": 0.5, "std": 0.0, "min": 0.5, "max": 0.5},
        }
        (uri,) = await hs.get("/monitoring/training_data?modelVersionId=1")
        assert uri == "s3://embedded/simulated/training-data/1/1.csv"
        (call,) = [call for call in hs.cloud.calls if call.operation == "UploadProfile"]
        assert call.body == {"(bytes)": len(CSV)}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "it has no header"),
        (b"\n1,2\n", "it has no header"),
        (b"x,w\n", "it has no rows"),
        (b"x\n1\n", "its header lacks inputs of the model: w"),
        (b"1,2\n3,4\n", "its header lacks inputs of the model: x, w"),
        (b"x,w\n1,2\n3\n", "line 3 has 1 cells, the header has 2"),
        (b"x,w\n1,2,3\n", "line 2 has 3 cells, the header has 2"),
        (b"x,w,x\n1,2,3\n", "two columns of its header have the same name"),
        (b"x,w\n1,\xff\n", "it is no text in UTF-8"),
        (b'x,w\n1,"a\n', "it is no CSV"),
    ],
)
async def test_data_that_are_no_table_of_the_model_fail(data: bytes, why: str) -> None:
    async with registered() as hs:
        found = await profiled(hs, data)
        assert found["kind"] == "Failure"
        assert found["error"].startswith(why)


async def test_only_what_a_cell_can_hold_has_to_be_there() -> None:
    image = scalar(3, "img") | {"shape": {"dims": [-1, 28, 28]}}
    single = scalar(3, "one") | {"shape": {"dims": [1]}}
    async with registered(inputs=[scalar(3, "x"), image, single]) as hs:
        assert (await profiled(hs, b"x\n1\n"))["error"] == "its header lacks inputs of the model: one"
        assert (await profiled(hs, b"x,one\n1,2\n"))["kind"] == "Success"


async def test_quotes_line_breaks_and_a_byte_order_mark_are_understood() -> None:
    async with registered() as hs:
        found = await profiled(hs, b'\xef\xbb\xbfx,w\r\n1,"a, b\r\nc"\r\n\r\n2,"""q"""\r\n')
        assert (found["kind"], found["profile"]["rows"]) == ("Success", 2)


async def test_new_data_take_the_place_of_old_ones() -> None:
    async with registered() as hs:
        await hs.post("/monitoring/profiles/batch/1", data=b"nonsense")
        assert (await profiled(hs, CSV))["kind"] == "Success"
        assert len(await hs.get("/monitoring/training_data?modelVersionId=1")) == 2


async def test_s3_is_out_of_reach_so_that_nothing_is_claimed() -> None:
    async with registered() as hs:
        path = {"path": "s3://bucket/train.csv"}
        assert await hs.post("/monitoring/profiles/batch/1/s3", json=path) == "ok"
        assert (await status(hs))["kind"] == "Processing"
        found = await ended(hs)
        assert found["kind"] == "Failure"
        assert "no access to S3" in found["error"]
        assert await hs.get("/monitoring/training_data?modelVersionId=1") == ["s3://bucket/train.csv"]


async def test_objects_that_a_test_puts_there_are_read() -> None:
    async with registered() as hs:
        hs.cloud.objects["s3://bucket/train.csv"] = CSV
        await hs.post("/monitoring/profiles/batch/1/s3", json={"path": "s3://bucket/train.csv"})
        found = await ended(hs)
        assert (found["kind"], found["profile"]["rows"]) == ("Success", 3)


@pytest.mark.parametrize("body", [{"path": "/etc/passwd"}, {"path": "s3://" + "x" * 3000}, {}, {"path": 1}])
async def test_only_s3_uris_are_taken(body: dict[str, Any]) -> None:
    async with registered() as hs:
        await hs.post("/monitoring/profiles/batch/1/s3", 400, json=body)
        assert await status(hs) == {"kind": "NotRegistered"}


async def test_unknown_versions_are_404_and_bad_numbers_400() -> None:
    async with hydrosphere() as hs:
        await hs.post("/monitoring/profiles/batch/1", 404, data=CSV)
        await hs.post("/monitoring/profiles/batch/1/s3", 404, json={"path": "s3://b/k"})
        for query in ("", "?modelVersionId=", "?modelVersionId=x", "?modelVersionId=-1"):
            await hs.get(f"/monitoring/training_data{query}", 400)


async def test_data_go_with_the_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(profiles, "DELAY_SECONDS", 600)
    async with registered() as hs:
        await hs.post("/monitoring/profiles/batch/1", data=CSV)
        (data,) = below(tmp_path, "data.csv")
        await hs.delete("/api/v2/model/1")
        await hs.get("/monitoring/profiles/batch/1/status", 404)

        async def look() -> bool:
            return not data.exists()  # Not by a walk: what is deleted meanwhile would break it.

        await eventually(look)
    assert list(tmp_path.iterdir()) == []


async def test_a_server_that_ends_does_not_wait_for_data(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(profiles, "DELAY_SECONDS", 0)
    begun, loop = asyncio.Event(), asyncio.get_running_loop()

    def endless(_: Path, __: object, going: Any) -> None:
        loop.call_soon_threadsafe(begun.set)
        while True:
            going()

    monkeypatch.setattr(tables, "profile", endless)
    async with registered() as hs:
        await hs.post("/monitoring/profiles/batch/1", data=CSV)
        await asyncio.wait_for(begun.wait(), 10)
    assert list(tmp_path.iterdir()) == []


async def test_data_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitoring, "CSV_BYTES", 1000)
    async with registered() as hs:

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(10):
                yield b"x" * 200

        for data in (b"x" * 2000, chunks()):
            error = await hs.post("/monitoring/profiles/batch/1", 413, data=data)
            assert "1000 bytes" in error["message"]
        assert await status(hs) == {"kind": "NotRegistered"}


def test_profiles_are_those_of_the_textbook(tmp_path: Path) -> None:
    values = [1e9 + number / 7 for number in range(100)]
    path = tmp_path / "x.csv"
    path.write_text("v\n" + "\n".join(map(str, values)) + "\n")
    (column,) = profile(path, ["v"], lambda: None).columns
    assert math.isclose(column.mean, statistics.mean(values))
    assert math.isclose(column.std, statistics.stdev(values), rel_tol=1e-6)
    assert (column.low, column.high) == (min(values), max(values))


def test_what_is_no_number_is_text_and_what_has_no_end_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a,b,c\n1,1,1_0\ninf,x,2\n3,3,3\n")
    a, b, c = profile(path, [], lambda: None).columns
    assert (a.numeric, a.count, a.mean, a.std) == (True, 3, 2.0, math.sqrt(2))
    assert (b.numeric, b.distinct, c.numeric) == (False, 3, False)


def test_a_table_has_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.csv"
    for limit, text in (("MOST_COLUMNS", "a,b,c,d\n1,2,3,4\n"), ("LONGEST_ROW", "a\nlong\n")):
        with monkeypatch.context() as patch:
            patch.setattr(tables, limit, 3)
            path.write_text(text)
            with pytest.raises(TableError, match="more than 3"):
                profile(path, [], lambda: None)
    monkeypatch.setattr(tables, "MOST_DISTINCT", 2)
    path.write_text("a\nx\ny\nz\n")
    (column,) = profile(path, [], lambda: None).columns
    assert (column.count, column.distinct) == (3, 2)
