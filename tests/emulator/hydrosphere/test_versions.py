"""Models and versions on the books: how they get there, how they are shown and how they go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.emulator.hydrosphere.helpers import (
    FILES,
    Row,
    external,
    form,
    hydrosphere,
    metadata,
    packed,
    scalar,
    signature,
)

ERAS = pytest.mark.parametrize("era", [2, 3])


@ERAS
async def test_an_upload_is_answered_with_the_new_version(era: int) -> None:
    async with hydrosphere(era, build_seconds=60) as hs:
        version = await hs.upload(installCommand="pip install -r requirements.txt")
        assert (version["id"], version["model"], version["modelVersion"]) == (
            1,
            {"id": 1, "name": "adult"},
            1,
        )
        assert (version["status"], version["finished"], version["isExternal"]) == ("Assembling", None, False)
        assert version["metadata"] == {"a": "b"}
        assert version["monitoringConfiguration"] == {"batchSize": 100}
        assert version["installCommand"] == "pip install -r requirements.txt"
        assert version["applications"] == []
        sent = metadata(era)
        assert version["runtime"] == sent["runtime"]
        if era == 3:
            assert version["modelSignature"] == sent["modelSignature"]
            assert "modelContract" not in version
        else:
            assert version["modelContract"] == sent["contract"]
            assert "modelSignature" not in version
        assert hs.cloud.versions == [version]
        # As the manager has it: its list tells no install command, and what it shows alone no applications.
        assert await hs.versions() == [without("installCommand", version)]
        assert await hs.get("/api/v2/model/version/adult/1") == without("applications", version)
        (call,) = [call for call in hs.cloud.calls if call.operation == "Upload"]
        assert call.members == tuple(FILES)
        assert call.body["name"] == "adult"
        assert (call.path, call.status) == ("/api/v2/model/upload", 200)


def without(name: str, shown: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in shown.items() if key != name}


async def test_the_parts_may_come_in_any_order_and_with_others() -> None:
    async with hydrosphere() as hs:
        body = form(packed(), metadata(3), first="metadata")
        body.add_field("more", "ignored")
        body.add_field("payload", "no file name, so that it does not count")
        await hs.post("/api/v2/model/upload", data=body)
        assert len(await hs.versions()) == 1


async def test_numbers_are_per_model_and_ids_are_not() -> None:
    async with hydrosphere() as hs:
        for name in ("one", "two", "one"):
            await hs.upload(name=name)
        rows = [(v["id"], v["model"]["name"], v["modelVersion"]) for v in await hs.versions()]
        assert rows == [(1, "one", 1), (2, "two", 1), (3, "one", 2)]
        models = [{"id": 1, "name": "one"}, {"id": 2, "name": "two"}]
        assert await hs.get("/api/v2/model") == models
        assert await hs.get("/api/v2/model/2") == models[1]


@ERAS
async def test_an_external_model_is_released_at_once(era: int) -> None:
    async with hydrosphere(era) as hs:
        version = await hs.post("/api/v2/externalmodel", json=external(era, monitoringConfiguration=None))
        assert "status" not in version
        assert not {"runtime", "image", "installCommand"} & set(version)
        assert version["isExternal"]
        (listed,) = await hs.versions()
        assert listed == version | {"status": "Released"}
        error = await hs.get("/api/v2/model/version/1/logs", 404)
        assert error["error"] == "NotFound"


@ERAS
@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"name": "Bad Name"}, "InvalidRequest", "Model name contains invalid characters"),
        ({"name": "a\n"}, "InvalidRequest", "Model name contains invalid characters"),
        ({"name": None}, "RequestDeserializationError", "'name'"),
        ({"name": 3}, "RequestDeserializationError", "'name'"),
        ({"runtime": {"name": "r/i", "tag": None}}, "RequestDeserializationError", "'tag'"),
        ({"runtime": "r/i:1"}, "RequestDeserializationError", "'runtime'"),
        ({"metadata": {"a": 1}}, "RequestDeserializationError", "'metadata.a'"),
        ({"metadata": ["a"]}, "RequestDeserializationError", "'metadata'"),
        ({"installCommand": ["a"]}, "RequestDeserializationError", "'installCommand'"),
        ({"monitoringConfiguration": {}}, "RequestDeserializationError", "'batchSize'"),
        ({"monitoringConfiguration": {"batchSize": True}}, "RequestDeserializationError", "'batchSize'"),
    ],
)
async def test_metadata_are_checked(era: int, changes: dict[str, Any], error: str, message: str) -> None:
    async with hydrosphere(era) as hs:
        answer = await hs.upload(status=400, **changes)
        assert answer["error"] == error
        assert message in answer["message"]
        assert await hs.versions() == []


def _signatures(era: int) -> list[tuple[dict[str, Any], str, str]]:
    bad_shape = scalar(era, "x") | {"shape": {"dims": ["a"], "dim": [{"size": "a"}]}}
    return [
        ({"inputs": []}, "InvalidRequest", "no inputs"),
        ({"outputs": []}, "InvalidRequest", "no outputs"),
        ({"signatureName": " "}, "InvalidRequest", "no name"),
        ({"inputs": [scalar(era, "")]}, "InvalidRequest", "has no name"),
        ({"outputs": [scalar(era, "y", "DT_INVALID")]}, "InvalidRequest", "DT_INVALID"),
        ({"inputs": [scalar(era, "x", "DT_NEW")]}, "RequestDeserializationError", "data type 'DT_NEW'"),
        ({"inputs": [scalar(era, "x", profile="FUNNY")]}, "RequestDeserializationError", "profile 'FUNNY'"),
        ({"inputs": [{"name": "x"}]}, "RequestDeserializationError", "'profile'"),
        ({"inputs": "x"}, "RequestDeserializationError", "'inputs'"),
        ({"inputs": ["x"]}, "RequestDeserializationError", "'inputs'"),
        ({"signatureName": None}, "RequestDeserializationError", "'signatureName'"),
        ({"inputs": [bad_shape]}, "RequestDeserializationError", "whole number"),
    ]


@ERAS
async def test_signatures_are_checked(era: int) -> None:
    async with hydrosphere(era) as hs:
        for changes, error, message in _signatures(era):
            bad = signature(era, **changes)
            named = {"modelSignature": bad} if era == 3 else {"contract": {"modelName": "a", "predict": bad}}
            answer = await hs.upload(status=400, **named)
            assert (answer["error"], message in answer["message"]) == (error, True), answer
            named = {"signature": bad} if era == 3 else named
            answer = await hs.post("/api/v2/externalmodel", 400, json=external(era, **named))
            assert answer["error"] == error
        assert await hs.versions() == []
        assert await hs.get("/api/v2/model") == []


@ERAS
async def test_fields_may_lie_within_fields(era: int) -> None:
    async with hydrosphere(era) as hs:
        outer = scalar(era, "outer") | {"subfields": [scalar(era, "inner")]}
        del outer["dtype"]
        whole = signature(era, inputs=[outer])
        named = {"modelSignature": whole} if era == 3 else {"contract": {"modelName": "a", "predict": whole}}
        version = await hs.upload(**named)
        shown = version["modelSignature"] if era == 3 else version["modelContract"]["predict"]
        assert shown["inputs"] == [outer]
        outer["subfields"][0]["dtype"] = "DT_INVALID"
        assert "DT_INVALID" in (await hs.upload(status=400, **named))["message"]


async def test_each_part_is_needed() -> None:
    async with hydrosphere() as hs:
        for body, lacking in ((form(None, metadata(3)), "payload"), (form(packed(), None), "metadata")):
            answer = await hs.post("/api/v2/model/upload", 400, data=body)
            assert answer == {"error": "InvalidRequest", "message": f"Couldn't find a {lacking} in request"}
        answer = await hs.post("/api/v2/model/upload", 400, data=form(packed(), "{no JSON"))
        assert answer["error"] == "RequestDeserializationError"
        answer = await hs.post("/api/v2/model/upload", 400, json=metadata(3))
        assert answer["error"] == "RequestDeserializationError"
        answer = await hs.post("/api/v2/externalmodel", 400, data=b"[]")
        assert answer["error"] == "RequestDeserializationError"


async def test_what_is_not_there_is_404() -> None:
    async with hydrosphere() as hs:
        await hs.upload()
        for path in (
            "/api/v2/model/9",
            "/api/v2/model/version/adult/2",
            "/api/v2/model/version/other/1",
            "/api/v2/model/version/9/logs",
            "/monitoring/profiles/batch/9/status",
            "/monitoring/training_data?modelVersionId=9",
        ):
            assert (await hs.get(path, 404))["error"] == "NotFound"
        assert (await hs.delete("/api/v2/model/9", 404))["error"] == "NotFound"


@pytest.mark.parametrize("path", ["/api/v2/application", "/api/v2/servable/1", "/gateway/x", "/monitoring/x"])
async def test_what_hydrosphere_has_and_we_have_not_says_so(path: str) -> None:
    async with hydrosphere() as hs:
        answer = await hs.get(path, 404)
        assert answer == {"error": "NotFound", "message": "not implemented by the embedded Hydrosphere"}
        assert [call.operation for call in hs.cloud.calls] == [f"GET {path}"]


async def test_other_paths_and_methods_are_refused_plainly() -> None:
    async with hydrosphere() as hs:
        async with hs.http.get("/nowhere") as answer:
            assert (answer.status, answer.content_type) == (404, "text/plain")
        async with hs.http.put("/api/v2/model") as answer:
            assert (answer.status, answer.headers["Allow"]) == (405, "GET")


async def test_a_model_goes_with_all_its_versions_and_tells_of_each() -> None:
    async with hydrosphere(build_seconds=60) as hs:
        for name in ("gone", "kept", "gone"):
            await hs.upload(name=name)
        async with hs.listening() as stream:
            assert await hs.delete("/api/v2/model/1") == {"id": 1, "name": "gone"}
            rows = [await anext(stream), await anext(stream)]
        assert rows == [Row("ModelRemove", "1"), Row("ModelRemove", "3")]
        assert [version["id"] for version in await hs.versions()] == [2]
        await hs.get("/api/v2/model/1", 404)
        again = await hs.upload(name="gone")
        assert (again["id"], again["model"]["id"], again["modelVersion"]) == (4, 3, 1)


async def test_a_model_in_use_stays() -> None:
    async with hydrosphere(build_seconds=60) as hs:
        await hs.upload()
        hs.cloud.use("adult", 1, "app")
        hs.cloud.use("adult", 1, "app")
        answer = await hs.delete("/api/v2/model/1", 400)
        assert answer["error"] == "InvalidRequest"
        assert answer["message"] == "Can't delete the model. It's used in [app]."
        assert (await hs.versions())[0]["applications"] == ["app"]
        with pytest.raises(KeyError):
            hs.cloud.use("adult", 2, "app")


async def test_the_environment_leads_here() -> None:
    async with hydrosphere() as hs:
        assert hs.cloud.environment == {"HYDROSPHERE_CLUSTER": hs.cloud.url}
        assert hs.cloud.url.startswith("http://127.0.0.1:")
