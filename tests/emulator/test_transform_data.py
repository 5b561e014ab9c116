"""Filters, joins and batches, apart from any job."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import IO, Any, cast

import pytest

from components.aws.embedded.errors import ApiError
from components.aws.embedded.machine.space import Space, counted
from components.aws.embedded.sagemaker.transform import data
from components.aws.embedded.sagemaker.transform.data import DataError, Shaping, kind_of
from components.aws.embedded.sagemaker.transform.paths import JsonPath, SelectionError

ROW = ["id", "1", "2", "3"]
RECORD = {"id": 7, "x": {"y": [10, 20, 30]}, "SageMakerOutput": {"score": 0.5}, "a b": 1}


@pytest.mark.parametrize(
    ("path", "value", "taken"),
    [
        ("$", ROW, ROW),
        ("", ROW, ROW),
        ("$[1:]", ROW, ["1", "2", "3"]),
        ("$[:2]", ROW, ["id", "1"]),
        ("$[1:-1]", ROW, ["1", "2"]),
        ("$[0]", ROW, "id"),
        ("$[-1]", ROW, "3"),
        ("$[0,2:]", ROW, ["id", "2", "3"]),
        ("$[0, -1]", ROW, ["id", "3"]),
        ("$.id", RECORD, 7),
        ("$['id']", RECORD, 7),
        ("$['a b']", RECORD, 1),
        ("$.x.y[1]", RECORD, 20),
        ("$.x['y'][1:]", RECORD, [20, 30]),
        ("$['id','SageMakerOutput']", RECORD, {"id": 7, "SageMakerOutput": {"score": 0.5}}),
        ("$.x.['y']", RECORD, [10, 20, 30]),
    ],
)
def test_an_expression_takes_its_part(path: str, value: Any, taken: Any) -> None:
    assert JsonPath.parse(path).select(value) == taken


@pytest.mark.parametrize(
    "path",
    [
        "$.*",
        "$[*]",
        "$..a",
        "$[?(@.a)]",
        "a",
        "$.",
        "$[",
        "$['a]",
        "$[1:].a",
        "$['a','b'].c",
        "$[1:2:3]",
        "$[9999999999]",
    ],
)
def test_an_expression_that_is_not_known_is_refused(path: str) -> None:
    with pytest.raises(ApiError) as caught:
        JsonPath.parse(path)
    assert caught.value.code == "NotImplementedByEmbeddedCloud"


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("$[4]", ROW, "beyond the 4 items"),
        ("$[-5]", ROW, "beyond the 4 items"),
        ("$[0,9:]", ROW, "beyond the 4 items"),
        ("$.nothing", RECORD, "has no 'nothing'"),
        ("$['id','nothing']", RECORD, "has no 'nothing'"),
        ("$.id", ROW, "has no 'id'"),
        ("$[0]", RECORD, "is no array"),
    ],
)
def test_what_a_record_does_not_have_is_named(path: str, value: Any, reason: str) -> None:
    with pytest.raises(SelectionError, match=reason):
        JsonPath.parse(path).select(value)


def shaping(kind: str = "text/csv", **changes: Any) -> Shaping:
    options: dict[str, Any] = {
        "by_line": True,
        "multi": True,
        "limit": 0,
        "lines_out": False,
        "taken": JsonPath.parse(changes.pop("taken", "$")),
        "join": False,
        "kept": JsonPath.parse(changes.pop("kept", "$")),
    }
    return Shaping(kind=kind_of(kind), **(options | changes))


def payloads(shape: Shaping, content: bytes) -> list[bytes]:
    return [batch.payload for batch in shape.batches(io.BytesIO(content))]


def test_kinds() -> None:
    kinds = [
        kind_of(each)
        for each in ("text/csv;label_size=0", "APPLICATION/JSON", "application/jsonlines", "image/png", "")
    ]
    assert kinds == ["csv", "json", "jsonlines", "", ""]


def test_without_a_split_an_object_is_one_request() -> None:
    content = b"\x00\xff\n\n anything"
    assert payloads(shaping("image/png", by_line=False), content) == [content]
    assert payloads(shaping("image/png", by_line=False), b"") == []


def test_lines_are_records() -> None:
    content = b"1,2\r\n\n3,4\n5,6"
    assert payloads(shaping(), content) == [b"1,2\n3,4\n5,6"]
    assert payloads(shaping(multi=False), content) == [b"1,2", b"3,4", b"5,6"]


def test_a_mini_batch_is_as_full_as_it_may_be() -> None:
    content = b"\n".join(b"%03d" % number for number in range(10))
    sizes = [len(payload) for payload in payloads(shaping(limit=11), content)]
    assert sizes == [11, 11, 11, 3]
    assert b"\n".join(payloads(shaping(limit=11), content)) == content


def test_a_record_beyond_the_limit_is_an_error() -> None:
    with pytest.raises(DataError, match="a record of 12 bytes exceeds MaxPayloadInMB"):
        payloads(shaping(limit=11), b"1\n" + b"2" * 12)
    with pytest.raises(DataError, match="the object of 12 bytes"):
        payloads(shaping(limit=11, by_line=False), b"2" * 12)


def test_a_csv_row_is_filtered_and_joined() -> None:
    shape = shaping(taken="$[1:]", join=True, kept="$[0,-1]")
    (batch,) = shape.batches(io.BytesIO(b'"a, b",1,2\nc,3,4'))
    assert batch.payload == b"1,2\n3,4"
    assert shape.output(batch, b"0.1,0.2\n0.3,0.4\n") == b'"a, b",0.2\nc,0.4\n'


def test_json_records_are_filtered_and_joined() -> None:
    shape = shaping("application/jsonlines", taken="$.x", join=True, kept="$['id','SageMakerOutput']")
    (batch,) = shape.batches(io.BytesIO('{"id": 1, "x": [1]}\n{"id": 2, "x": "ä"}\n'.encode()))
    assert batch.payload == '[1]\n"ä"'.encode()
    assert shape.output(batch, b'{"p": 1}\n{"p": 2}\n') == (
        b'{"id": 1, "SageMakerOutput": {"p": 1}}\n{"id": 2, "SageMakerOutput": {"p": 2}}\n'
    )


def test_what_is_no_object_is_joined_in_a_new_one() -> None:
    shape = shaping("application/json", by_line=False, join=True)
    (batch,) = shape.batches(io.BytesIO(b"[1,\n2]"))
    assert shape.output(batch, b'{"p":\n 1}') == b'{"SageMakerInput": [1, 2], "SageMakerOutput": {"p": 1}}'


def test_one_record_at_a_time_may_be_answered_on_several_lines() -> None:
    shape = shaping("application/json", multi=False, join=True, kept="$.SageMakerOutput")
    (batch,) = shape.batches(io.BytesIO(b'{"a": 1}'))
    assert shape.output(batch, b'{\n "p": 1\n}\n') == b'{"p": 1}\n'


def test_an_answer_of_another_length_can_not_be_joined() -> None:
    shape = shaping(join=True)
    (batch,) = shape.batches(io.BytesIO(b"1\n2"))
    with pytest.raises(
        DataError, match="Fail to join data: mismatched line count between the input and the output"
    ):
        shape.output(batch, b"1\n2\n3")


@pytest.mark.parametrize(
    ("kind", "content"), [("application/jsonlines", b"{"), ("text/csv", b"\xff"), ("text/csv", b'"a"b,1')]
)
def test_what_can_not_be_understood_is_named(kind: str, content: bytes) -> None:
    with pytest.raises(DataError, match="Failed to parse the input as"):
        list(shaping(kind, join=True).batches(io.BytesIO(content)))


def test_answers_without_filters_pass_through() -> None:
    (batch,) = shaping("").batches(io.BytesIO(b"1\n2"))
    assert shaping("").output(batch, b"\xff no line") == b"\xff no line"
    assert shaping("", lines_out=True).output(batch, b"one") == b"one\n"
    assert shaping("", lines_out=True).output(batch, b"one\n") == b"one\n"


def test_a_small_gzip_can_not_fill_the_memory(tmp_path: Path) -> None:
    def read(content: bytes) -> bytes:
        space = Space({"VolumeSizeInGB": 0.01, "InstanceCount": 1}, tmp_path)
        return counted(cast("IO[bytes]", gzip.GzipFile(fileobj=io.BytesIO(content))), space).read()

    assert read(gzip.compress(b"abc")) == b"abc"
    with pytest.raises(OSError, match="No space left"):
        read(gzip.compress(bytes(16 * 1024**2)))


def test_an_object_is_read_no_further_than_it_is_asked_for() -> None:
    stream = io.BytesIO(b"0\n" * 100_000)
    batches = shaping(multi=False).batches(stream)
    assert [next(batches).payload, next(batches).payload] == [b"0", b"0"]
    assert stream.tell() < 10


@pytest.mark.parametrize("kind", ["application/jsonlines", "text/csv"])
def test_other_line_ends_stand_within_a_text(kind: str) -> None:
    text = "a\u2028b\x85c"
    line = (text if kind == "text/csv" else json.dumps({"t": text}, ensure_ascii=False)).encode()
    shape = shaping(kind, join=True)
    (batch,) = shape.batches(io.BytesIO(line + b"\r\n"))
    assert batch.payload == line
    joined = shape.output(batch, line + b"\n").decode()
    assert joined.count(text) == 2


@pytest.mark.parametrize("by_line", [True, False])
def test_what_is_too_long_to_be_understood_is_refused(monkeypatch: pytest.MonkeyPatch, by_line: bool) -> None:
    monkeypatch.setattr(data, "LONGEST", 10)
    with pytest.raises(DataError, match="longer than"):
        list(shaping("application/json", by_line=by_line, join=True).batches(io.BytesIO(b"1" * 11)))


def test_records_are_gathered_up_to_a_bound_even_without_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "LONGEST", 5)
    assert payloads(shaping(), b"1\n2\n3\n4\n") == [b"1\n2\n3", b"4"]


def test_records_are_kept_for_joins_only() -> None:
    (batch,) = shaping(taken="$[1:]").batches(io.BytesIO(b"a,1\nb,2"))
    assert batch.sources == ()


def test_reading_ends_soon_once_nobody_waits_for_it(tmp_path: Path) -> None:
    space = Space({"VolumeSizeInGB": 1, "InstanceCount": 1}, tmp_path)
    batches = shaping().batches(counted(io.BytesIO(b"\n" * 200_000), space))
    space.shut()
    with pytest.raises(OSError, match="has ended meanwhile"):
        next(batches)
