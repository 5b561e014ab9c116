"""What hostile models, requirements and training data can't make the embedded Hydrosphere do."""

from __future__ import annotations

import asyncio
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from components.hydrosphere.embedded import books, storage
from components.hydrosphere.embedded.books import Books, Draft, Signature
from components.hydrosphere.embedded.building import builds, payloads, requirements, tools
from components.hydrosphere.embedded.building.findings import Findings
from components.hydrosphere.embedded.building.logs import BuildLog
from components.hydrosphere.embedded.building.payloads import Payload
from components.hydrosphere.embedded.building.requirements import Requirements
from components.hydrosphere.embedded.building.tools import Ended
from components.hydrosphere.embedded.storage import Storage
from components.hydrosphere.embedded.training import tables
from components.hydrosphere.embedded.training.profiles import Profiles
from components.hydrosphere.embedded.training.tables import TableError, profile
from runner.emulation.tasks import Tasks
from tests.emulator.helpers import eventually
from tests.emulator.hydrosphere.helpers import below, external, form, hydrosphere, member, metadata, packed

INSTALL = "pip install -r r.txt"


# Builds


async def test_a_file_of_requirements_is_looked_at_once_however_often_it_is_named() -> None:
    files = {"r.txt": b"-r other.txt\n" * 50 + b"numpy\n", "other.txt": b"-r r.txt\nscipy\n"}
    async with hydrosphere() as hs:
        command = INSTALL + " -r other.txt -r r.txt" * 1000
        status, lines = await hs.built(payload=packed(files), installCommand=command)
    assert status == "Released"
    assert sorted(line for line in lines if "requirement" in line and "--->" in line) == [
        " ---> other.txt: 1 requirement",
        " ---> r.txt: 1 requirement",
    ]


@pytest.mark.parametrize(("limit", "value"), [("MOST_FILES", 2), ("MOST_BYTES", 10)])
async def test_all_files_of_a_build_have_one_bound(
    monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(requirements, limit, value)
    names = [f"{number}.txt" for number in range(5)]
    command = " && ".join(f"pip install -r {name}" for name in names)
    async with hydrosphere() as hs:
        files = dict.fromkeys(names, b"numpy\n")
        status, lines = await hs.built(payload=packed(files), installCommand=command)
    assert status == "Released"
    assert [line for line in lines if line.startswith(" ---> ") and ".txt" in line] == [
        " ---> 0.txt: 1 requirement",
        " ---> 1.txt: 1 requirement",
        " ---> 2.txt and further files of requirements are not looked at",
    ]


async def test_nobody_waits_for_requirements_any_more(tmp_path: Path) -> None:
    claim = Storage(tmp_path).claim(1000, "it")
    (claim.folder / "r.txt").write_text("numpy\n")
    look = Requirements(Payload(claim, (), frozenset()), Findings())
    claim.shut()
    with pytest.raises(OSError, match="nobody waits"):
        look.check("r.txt")


async def test_problems_beyond_those_that_are_shown_are_counted() -> None:
    payload = packed({"r.txt": b"!\n" * 1000})
    async with hydrosphere() as hs:
        status, lines = await hs.built(payload=payload, installCommand=INSTALL)
    assert status == "Failed"
    assert len([line for line in lines if "Invalid requirement" in line]) == 20
    assert "ERROR: and 980 more" in lines


async def test_findings_do_not_grow_without_end() -> None:
    findings = Findings()
    for number in range(1000):
        findings.problem(f"{number}")
        findings.note(f"{number}")
    assert (findings.problems.count, len(findings.problems.kept), len(findings.notes.kept)) == (1000, 20, 20)


async def test_only_two_builds_look_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    looking, most, go_on = 0, 0, asyncio.Event()

    async def counted(*_: object) -> Ended:
        nonlocal looking, most
        looking += 1
        most = max(most, looking)
        await go_on.wait()
        looking -= 1
        return Ended(0, '{"names": ["predict"]}', "")

    monkeypatch.setattr(builds, "ran", counted)
    async with hydrosphere() as hs:
        for number in range(6):
            await hs.upload(name=f"m{number}")

        async def busy() -> bool:
            return looking >= 2

        await eventually(busy)
        go_on.set()
        for number in range(6):
            await hs.lines(number + 1)
        assert {version["status"] for version in await hs.versions()} == {"Released"}
    assert most == 2


async def test_programs_have_limits() -> None:
    ended = await tools.ran(["sh", "-c", "ulimit -v; ulimit -t; ulimit -c; cat"], b"its input")
    memory, seconds, core, text = ended.output.splitlines()
    assert int(memory) * 1024 == tools.MEMORY
    assert (int(seconds), int(core), text) == (tools.CPU_SECONDS, 0, "its input")


async def test_code_beyond_half_a_megabyte_is_not_looked_at() -> None:
    async with hydrosphere() as hs:
        source = b"def (\n" + b"x=1\n" * 150_000
        status, lines = await hs.built(payload=packed({"src/func_main.py": source}))
    assert status == "Released"
    assert "WARNING: src/func_main.py is larger than 524288 bytes and not looked at" in lines


async def test_the_last_word_always_gets_into_the_log() -> None:
    links = [
        member(f"{number:02d}/" + "/".join(["n" * 200] * 19), tarfile.SYMTYPE, "a") for number in range(20)
    ]
    async with hydrosphere() as hs:
        status, lines = await hs.built(payload=packed({"src/func_main.py": b"def (\n"}, *links))
    assert status == "Failed"
    assert lines[-1].startswith("ERROR: SyntaxError: ")
    assert max(len(line) for line in lines if "is a link" in line) < 300


def test_a_log_that_is_full_takes_a_last_word() -> None:
    log = BuildLog()
    for _ in range(100):
        log.write("x" * 4000)
    log.last("the\nend")
    assert log.lines[-1] == "the end"


# Payloads


async def test_names_together_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payloads, "MOST_CHARACTERS", 1000)
    links = [member(f"{number}{'n' * 200}", tarfile.SYMTYPE, "a") for number in range(10)]
    async with hydrosphere() as hs:
        error = await hs.upload(packed({}, *links), status=400)
        assert "more than 1000 characters together" in error["message"]


@pytest.mark.parametrize(
    ("name", "limit", "value", "why"),
    [
        ("a/" * 100 + "f", "", 0, "more than 64 folders"),
        ("a/b/c/d/f", "MOST_MEMBERS", 4, "more than 4 files and folders"),
        ("a/b/c/d/f", "MOST_BYTES", 10_000, "larger than 10000 bytes"),
    ],
)
async def test_folders_have_bounds(
    monkeypatch: pytest.MonkeyPatch, name: str, limit: str, value: int, why: str
) -> None:
    if limit:
        monkeypatch.setattr(payloads, limit, value)
    async with hydrosphere() as hs:
        error = await hs.upload(packed({name: b"x"}), status=400)
        assert why in error["message"]


async def test_dots_in_the_way_to_the_code_do_no_harm() -> None:
    async with hydrosphere() as hs:
        _, lines = await hs.built(payload=packed({"src/./func_main.py": b"def predict(x): pass\n"}))
    assert " ---> src/func_main.py has the function predict" in lines


def test_room_comes_back_whatever_becomes_of_the_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(_: Path) -> None:
        raise RecursionError

    monkeypatch.setattr(storage, "remove", broken)
    monkeypatch.setattr(storage, "MOST_BYTES", 1000)
    store = Storage(tmp_path)
    claim = store.claim(1000, "it")
    claim.take(1000)
    with pytest.raises(RecursionError):
        claim.close()
    claim.close()  # gives nothing twice
    other = store.claim(2000, "more")
    other.take(1000)
    with pytest.raises(OSError, match="no more room"):
        other.take(1)


# Requests


@pytest.mark.parametrize("depth", [101, 900, 990, 100_000])
async def test_deep_json_is_refused_before_it_is_noted(depth: int) -> None:
    whole = external(3)
    body = json.dumps(whole)[:-1] + ',"extra":' + "[" * depth + "]" * depth + "}"
    async with hydrosphere(faults=True) as hs:
        error = await hs.post("/api/v2/externalmodel", 400, data=body)
        assert error["error"] == "RequestDeserializationError"
        await hs.post("/api/v2/externalmodel", json=whole | {"extra": json.loads("[" * 90 + "]" * 90)})
        assert [call["status"] for call in (await hs.get("/_embedded/calls"))["calls"]] == [400, 200]


async def test_the_books_count_all_of_a_description(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "MOST_BYTES", 3000)
    async with hydrosphere() as hs:
        for changes in (
            {"runtime": {"name": "r" * 3000, "tag": "1"}},
            {"runtime": {"name": "r", "tag": "1" * 3000}},
            {"installCommand": "x" * 3000},
        ):
            error = await hs.upload(status=400, **changes)
            assert "3000 bytes of descriptions" in error["message"]
        await hs.upload()


# Training data


def table(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_row_of_many_lines_has_a_bound(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tables, "LONGEST_ROW", 100)
    profile(table(tmp_path / "fine.csv", "x\n" + "1\n" * 1000), ["x"], lambda: None)
    with pytest.raises(TableError, match="a row of more than 100 characters"):
        profile(table(tmp_path / "x.csv", "x\n" + '"a\n",' * 100 + "1\n"), ["x"], lambda: None)


def test_within_a_row_it_is_noticed_that_nobody_waits(tmp_path: Path) -> None:
    looks = 0

    def going() -> None:
        nonlocal looks
        looks += 1

    profile(table(tmp_path / "x.csv", 'x\n"' + "a\n" * 500 + '"\n'), ["x"], going)
    assert looks >= 500


def test_values_of_all_columns_together_have_a_bound(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tables, "MOST_KEPT", 20)
    rows = "".join(f"{number},{number},{number},{number}\n" for number in range(50))
    found = profile(table(tmp_path / "x.csv", "a,b,c,d\n" + rows), [], lambda: None)
    assert [(column.count, column.distinct) for column in found.columns] == [(50, 5)] * 4


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"x\n1e308\n-1e308\n", {"count": 2, "missing": 0, "min": -1e308, "max": 1e308}),
        (b"x\n1e200\n-1e200\n", {"count": 2, "missing": 0, "mean": 0.0, "min": -1e200, "max": 1e200}),
    ],
)
async def test_a_profile_has_no_number_that_json_has_not(data: bytes, shown: dict[str, Any]) -> None:
    async with hydrosphere() as hs:
        await hs.post("/api/v2/externalmodel", json=external(3, signature=_signature()))
        await hs.post("/monitoring/profiles/batch/1", data=data)

        async def ended() -> Any:
            async with hs.http.get("/monitoring/profiles/batch/1/status") as answer:
                text = await answer.text()
            return None if "Processing" in text else text

        text = await eventually(ended)
    assert "NaN" not in text
    assert "Infinity" not in text
    assert json.loads(text) == {"kind": "Success", "profile": {"rows": 2, "columns": {"x": shown}}}


def _signature() -> Any:
    field = {"name": "x", "profile": "NUMERICAL", "shape": {"dims": []}, "dtype": "DT_DOUBLE"}
    return {"signatureName": "predict", "inputs": [field], "outputs": [field]}


async def test_what_is_cancelled_before_it_begins_leaves_nothing(tmp_path: Path) -> None:
    store, tasks = Storage(tmp_path), Tasks()
    known = Profiles(tasks)
    version = Books().enter(Draft("m", Signature("p", (), ()), {}))
    for _ in range(2):  # the second takes the place of the first, which has not begun
        claim = store.claim(1000, "the data")
        claim.take(600)
        csv = claim.folder / "data.csv"
        csv.write_text("x\n1\n")
        known.register(version, csv, claim)
    assert len(list(tmp_path.iterdir())) == 2

    async def over() -> bool:
        return known.status(version)["kind"] == "Success" and not list(tmp_path.iterdir())

    await eventually(over)
    await tasks.close()
    store.close()


async def test_objects_that_do_not_fit_leave_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(storage, "MOST_BYTES", 1000)
    async with hydrosphere() as hs:
        await hs.post("/api/v2/externalmodel", json=external(3))
        hs.cloud.objects["s3://bucket/train.csv"] = bytes(2000)
        await hs.post("/monitoring/profiles/batch/1/s3", 507, json={"path": "s3://bucket/train.csv"})
        assert [path for path in tmp_path.rglob("*") if path.parent != tmp_path] == []
        assert await hs.get("/monitoring/profiles/batch/1/status") == {"kind": "NotRegistered"}


async def test_a_deleted_models_build_that_never_began_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    start = builds.Builds.start

    def cancelled(self: builds.Builds, version: Any, payload: Payload) -> None:
        start(self, version, payload)
        self.forget(version)

    monkeypatch.setattr(builds.Builds, "start", cancelled)
    async with hydrosphere() as hs:
        async with hs.http.post("/api/v2/model/upload", data=form(packed(), metadata(3))) as answer:
            assert answer.status == 200

        async def cleared() -> bool:
            return not below(tmp_path, "func_main.py")

        await eventually(cleared)
