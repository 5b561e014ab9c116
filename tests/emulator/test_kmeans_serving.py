"""The local k-means image as a server: formats, refusals, and that its answers are right."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import numpy as np
import pytest
import pytest_asyncio
from botocore.exceptions import ClientError

from components.aws.embedded.algorithms.kmeans_serving import (
    BadRequestError,
    UnsupportedError,
    answer_type,
    predict,
    read_centers,
    read_rows,
    written,
)
from tests.emulator.serving_kit import SAMPLE, Hosting, hosting

in_module = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def digits() -> AsyncIterator[Hosting]:
    """One endpoint with the sample model for the module."""
    async with hosting() as cloud:
        assert (await cloud.deploy("digits", SAMPLE))["EndpointStatus"] == "InService"
        yield cloud


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/csv", b"1,2\n3,4\n"),
        ("text/csv; charset=utf-8", b"1,2\r\n3,4"),
        ("text/csv;label_size=0", b"1,2\n\n3,4"),
        ("text/csv; label_size=1", b"9,1,2\n9,3,4"),
        ("application/json", b'{"instances": [{"features": [1, 2]}, {"features": [3.0, 4.0]}]}'),
        (
            "application/json",
            b'{"instances": [{"data": {"features": {"values": [1, 2]}}}, {"features": [3, 4]}]}',
        ),
        ("application/jsonlines", b'{"features": [1, 2]}\n{"data": {"features": {"values": [3, 4]}}}\n'),
    ],
)
def test_every_input_format_gives_the_same_rows(content_type: str, body: bytes) -> None:
    assert read_rows(body, content_type, 2).tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("content_type", "body", "reason"),
    [
        ("text/csv", b"1,2,3", "record 1 has 3 features, the model was trained with 2"),
        ("text/csv", b"1,2\n3", "record 2 has 1 features"),
        ("text/csv", b"1,x", "could not convert string to float: 'x'"),
        ("text/csv", b"", "it holds no record"),
        ("text/csv", b"1,nan", "no finite numbers"),
        ("text/csv", b"\xff", "codec can't decode"),
        ("text/csv;label_size=2", b"1,2", "only 0 or 1"),
        ("application/json", b"[1, 2]", '{"instances": [{"features": […]}, …]} is needed'),
        ("application/json", b'{"instances": [[1, 2]]}', 'is no {"features": [numbers]}'),
        ("application/json", b'{"instances": [{"features": [1, "2"]}]}', 'is no {"features": [numbers]}'),
        ("application/json", b'{"instances": [{"features": [true, 2]}]}', 'is no {"features": [numbers]}'),
        ("application/json", b"[" * 100_000, "unable to evaluate payload provided"),
        ("application/jsonlines", b'{"features": ', "unable to evaluate payload provided"),
    ],
)
def test_what_is_wrong_with_a_request_is_named(content_type: str, body: bytes, reason: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        read_rows(body, content_type, 2)
    assert reason in str(caught.value)


def test_formats_that_are_not_known_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="x-recordio-protobuf"):
        read_rows(b"", "application/x-recordio-protobuf", 2)
    with pytest.raises(UnsupportedError, match="image/png"):
        answer_type("image/png")


def test_the_answer_has_the_format_that_was_asked_for() -> None:
    assert [
        answer_type(accept) for accept in ("", "*/*", "image/png, text/csv;q=0.5", "application/jsonlines")
    ] == [
        "application/json",
        "application/json",
        "text/csv",
        "application/jsonlines",
    ]
    rows = predict(np.array([[3.0, 4.0], [9.0, 9.0]]), np.array([[0.0, 0.0], [9.0, 8.0]]))
    assert json.loads(written(rows, "application/json")) == {
        "predictions": [
            {"distance_to_cluster": 5.0, "closest_cluster": 0.0},
            {"distance_to_cluster": 1.0, "closest_cluster": 1.0},
        ]
    }
    assert written(rows, "text/csv") == "0.0,5.0\n1.0,1.0\n"
    assert [json.loads(line) for line in written(rows, "application/jsonlines").splitlines()] == rows


def test_a_model_is_never_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "evil.npy", np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        read_centers(tmp_path / "evil.npy")
    np.save(tmp_path / "flat.npy", np.zeros(3))
    with pytest.raises(ValueError, match="no matrix of centers"):
        read_centers(tmp_path / "flat.npy")


@pytest.mark.parametrize("content", [None, b"no model"])
def test_without_a_model_it_says_so_and_ends(tmp_path: Path, content: bytes | None) -> None:
    (tmp_path / "model").mkdir()
    if content is not None:
        (tmp_path / "model" / "model_algo-1").write_bytes(content)
    ended = subprocess.run(
        [sys.executable, "-m", "components.aws.embedded.algorithms.kmeans", "serve"],
        env={**os.environ, "SAGEMAKER_BASE_DIR": str(tmp_path), "SAGEMAKER_BIND_TO_PORT": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert "Customer Error: no k-means model could be loaded" in ended.stdout


@in_module
async def test_the_sample_model_tells_digits_apart(digits: Hosting) -> None:
    """Clusters are no digits; but rows of one cluster are mostly of one digit."""
    test = await digits.aws.get("kfp-runner-samples", "digits/test/test.csv")
    labels = (await digits.aws.get("kfp-runner-samples", "digits/labels/test.csv")).decode().split()
    answer = json.loads(await digits.invoke("digits", test, ContentType="text/csv"))
    clusters: dict[float, list[str]] = {}
    for row, label in zip(answer["predictions"], labels, strict=True):
        assert row["distance_to_cluster"] > 0
        clusters.setdefault(row["closest_cluster"], []).append(label)
    right = sum(max(found.count(label) for label in found) for found in clusters.values())
    assert len(clusters) > 30
    assert right / len(labels) > 0.85


@in_module
async def test_answers_over_the_wire_carry_their_type(digits: Hosting) -> None:
    row = ",".join(["1"] * 64).encode()
    answer = await digits.answer("digits", row, ContentType="text/csv", Accept="application/jsonlines")
    assert answer["ContentType"] == "application/jsonlines"
    assert set(json.loads(answer["Body"])) == {"distance_to_cluster", "closest_cluster"}


@in_module
@pytest.mark.parametrize(
    ("options", "status"), [({"ContentType": "text/csv"}, 400), ({"ContentType": "image/png"}, 415)]
)
async def test_a_wrong_request_is_a_model_error(
    digits: Hosting, options: dict[str, str], status: int
) -> None:
    with pytest.raises(ClientError) as caught:
        await digits.invoke("digits", b"1,2", **options)
    assert caught.value.response["OriginalStatusCode"] == status
    assert any(line.startswith("Customer Error: ") for line in await digits.lines("digits"))


@in_module
async def test_it_listens_on_loopback_only(digits: Hosting) -> None:
    line = next(line for line in await digits.lines("digits") if line.startswith("local k-means"))
    port = int(line.rpartition(":")[2])
    assert f"127.0.0.1:{port}" in line
    async with aiohttp.ClientSession() as session:
        for method, path in (("GET", "/nothing"), ("POST", "/nothing")):
            async with session.request(method, f"http://127.0.0.1:{port}{path}") as answer:
                assert answer.status == 404
        async with session.post(
            f"http://127.0.0.1:{port}/invocations", headers={"Content-Length": "999999999"}
        ) as answer:
            assert answer.status == 400
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncio.open_connection("127.0.0.2", port)


def test_other_line_ends_stand_within_a_record() -> None:
    body = '{"features": [1, 2], "id": "a\u2028b\x85c"}\r\n{"features": [3, 4]}\n'.encode()
    assert read_rows(body, "application/jsonlines", 2).tolist() == [[1, 2], [3, 4]]
    assert read_rows(b"1,2\r\n\n3,4", "text/csv", 2).tolist() == [[1, 2], [3, 4]]
