"""The requests that the real SDKs sent are understood by the era they were meant for, and by no other."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from components.hydrosphere.embedded import serve
from tests.emulator.hydrosphere.helpers import external, form, hydrosphere, metadata, packed
from tests.support.paths import CONFORMANCE

FOLDER = CONFORMANCE / "hydrosphere"
RECORDED = {2: FOLDER / "requests-hydrosdk-2.4.1.json", 3: FOLDER / "requests-hydrosdk-3.0.3.json"}
REFUSED = {"Bad Name": "InvalidRequest"}
"""Models whose uploads every server refuses."""
recorded = pytest.mark.skipif(
    not all(path.exists() for path in RECORDED.values()), reason=f"no recorded requests in {FOLDER}"
)
ERAS = pytest.mark.parametrize("era", [2, 3])


def requests(era: int) -> list[dict[str, Any]]:
    """The recorded requests, of the SDK alone."""
    rows: list[dict[str, Any]] = json.loads(RECORDED[era].read_text())
    return [row for row in rows if dict(row["headers"])["User-Agent"].startswith("python-requests")]


def sent(row: dict[str, Any]) -> dict[str, Any]:
    headers = {name: value for name, value in row["headers"] if name == "Content-Type"}
    return {
        "method": row["method"],
        "url": row["path"],
        "data": base64.b64decode(row["body_base64"]),
        "headers": headers,
    }


def described(row: dict[str, Any]) -> dict[str, Any]:
    """The description of the version that a request wants, if it wants one."""
    found: dict[str, Any] = next((part["json"] for part in row.get("parts", []) if "json" in part), {})
    return found or row.get("json", {})


def refusal(row: dict[str, Any]) -> str:
    """The error with which the era's own server answers this request."""
    body = described(row)
    if body.get("runtime", {"tag": ""})["tag"] is None:  # 2.4.1 sends an image without tag so
        return "RequestDeserializationError"
    return REFUSED.get(body.get("name", ""), "")


@recorded
@ERAS
async def test_what_the_sdk_sent_is_understood(era: int) -> None:
    uploads = 0
    async with hydrosphere(era) as hs:
        for row in requests(era):
            if row["path"] == "/api/v2/events":  # endless
                continue
            async with hs.http.request(**sent(row)) as answer:
                text = await answer.text()
            assert answer.status == (400 if refusal(row) else 200), text
            if refusal(row):
                assert json.loads(text)["error"] == refusal(row)
            elif row["path"].endswith("/upload"):
                uploads += 1
                call = hs.cloud.calls[-1]
                names = [part["tar_members"] for part in row["parts"] if "tar_members" in part]
                assert list(call.members) == [name["name"] for name in names[0]]
                version, told = json.loads(text), described(row)
                assert version["model"]["name"] == told["name"]
                assert version["runtime"] == told["runtime"]
                assert version["metadata"] == told["metadata"]
                assert version["installCommand"] == told["installCommand"]
                signature = version["modelSignature"] if era == 3 else version["modelContract"]
                assert signature == told["modelSignature" if era == 3 else "contract"]
    assert uploads == {2: 1, 3: 3}[era]


@recorded
@ERAS
async def test_what_the_other_eras_sdk_sent_is_refused(era: int) -> None:
    rows = [row for row in requests(5 - era) if row["path"].endswith(("/upload", "/externalmodel"))]
    async with hydrosphere(era) as hs:
        for row in rows:
            async with hs.http.request(**sent(row)) as answer:
                error = await answer.json()
            assert (answer.status, error["error"]) == (400, "RequestDeserializationError")
        assert await hs.versions() == []
        assert len(rows) >= 3


@ERAS
async def test_each_era_refuses_the_others_descriptions(era: int) -> None:
    async with hydrosphere(era) as hs:
        answer = await hs.post("/api/v2/model/upload", 400, data=form(packed(), metadata(5 - era)))
        assert answer["error"] == "RequestDeserializationError"
        answer = await hs.post("/api/v2/externalmodel", 400, json=external(5 - era))
        assert answer["error"] == "RequestDeserializationError"


@ERAS
async def test_the_version_tells_the_era(era: int) -> None:
    async with hydrosphere(era) as hs:
        for service in ("api", "gateway", "monitoring", "rootcause", "visualization", "stat"):
            info = await hs.get(f"/{service}/buildinfo")
            assert info["version"].startswith(f"{era}.")
        assert (await hs.get("/api/buildinfo"))["name"] == "serving-manager"


async def test_there_are_two_eras() -> None:
    with pytest.raises(ValueError, match="no era 4"):
        async with serve(era=4):
            pass
    with pytest.raises(ValueError, match="less than no time"):
        async with serve(build_seconds=-1):
            pass
