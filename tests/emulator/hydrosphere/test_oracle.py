"""The oracle: hydrosdk and we send the same. Both send each case to the same server, and what came is compared there.

hydrosdk sends from its child's own code, all cases in one process: starting one for each would take a minute.
"""

from __future__ import annotations

import asyncio
import io
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from components.hydrosphere.api import Api
from components.hydrosphere.embedded import Call, serve
from components.hydrosphere.inputs import Where
from components.hydrosphere.release._eras import Era, external_body, upload_body
from components.hydrosphere.release._image import Image
from components.hydrosphere.release._release import Release
from components.hydrosphere.release.backends import hydrosdk as backend
from components.hydrosphere.release.contract import reading as contracts
from components.hydrosphere.release.contract.fields import ALIASES, DTYPES, PROFILES
from components.hydrosphere.release.payload import members as payloads
from components.hydrosphere.release.payload.members import Member
from components.hydrosphere.upload import multipart
from runner.errors import InputError
from tests.emulator.hydrosphere.hydrosdk_kit import SIGNATURE, model, needs_hydrosdk
from tests.support.paths import CONFORMANCE

RECORDED = CONFORMANCE / "hydrosphere" / "oracle-hydrosdk-3.0.3.json"
IMAGE = Image("some/runtime", "1.0")
TYPES = contracts.parse(
    json.dumps(
        {
            "inputs": {name: {"type": name, "shape": [-1, 3]} for name in (*ALIASES, *DTYPES)},
            "outputs": {name: {"type": "int", "shape": "scalar", "profile": name} for name in PROFILES},
        }
    )
)
RELEASES = {
    "upload": Release("m", SIGNATURE, IMAGE),
    "upload-of-all": Release("m-1_x", SIGNATURE, IMAGE, "pip install 'ä'", {"a": "b", "ü": "ö\n"}),
    "upload-with-a-port": Release("m", SIGNATURE, Image("r.example:5000/a/b", "t")),
    "upload-of-every-type": Release("m", TYPES, IMAGE),
    "external": Release("m", SIGNATURE),
    "external-of-all": Release("m", TYPES, metadata={"a": "b"}),
}
PAYLOADS = (
    *(["./src/", "./a.bin"], ["./a.bin", "./src"], ["src"], ["src/deep", "src/func_main.py"]),
    *(["."], ["./"], ["./*"], ["src/**"], ["src/empty"], ["src/../a.bin"], ["{absolute}/a.bin"], []),
)


RECORDED_PAYLOADS = ('["./src/", "./a.bin"]', '["src"]')
"""Those of the recorded ones that say which files there were."""


@cache
def recorded() -> Mapping[str, Any]:
    return json.loads(RECORDED.read_text()) if RECORDED.exists() else {}


@dataclass(frozen=True)
class Case:
    """What is sent, twice."""

    release: Release
    members: tuple[Member, ...] = ()


@dataclass(frozen=True)
class Pair:
    """What came of a case."""

    theirs: Call
    ours: Call

    def same(self) -> bool:
        """Whether both asked for the same; says what differs."""
        assert (self.theirs.operation, self.theirs.path) == (self.ours.operation, self.ours.path)
        assert self.theirs.body == self.ours.body
        assert self.theirs.members == self.ours.members
        assert self.theirs.status == self.ours.status
        return True


def cases(root: Path) -> Iterator[tuple[str, Case]]:
    whole = payloads.find(model(root / "model"), ["./src/", "./a.bin"])
    for name, release in RELEASES.items():
        yield name, Case(release, whole if release.runtime else ())
    for payload in PAYLOADS:
        yield (
            str(payload),
            Case(Release("m", SIGNATURE, IMAGE), payloads.find(*_placed(root / "model", payload))),
        )
    for name, case in recorded().get("signatures", {}).items():
        if "sends" in case:
            signature = contracts.parse(json.dumps(case["contract_file"]))
            yield f"signature {name}", Case(Release("m", signature, IMAGE))
    for name, case in recorded().get("runtimes", {}).items():
        if "sends" in case and "@" not in name:
            yield f"runtime {name}", Case(Release("m", SIGNATURE, Image.parse(name)))

    small = root / "small"
    (small / "src").mkdir(parents=True)
    for name in ("src/f.py", "a.bin"):
        (small / name).write_text(name)
    for written in RECORDED_PAYLOADS:
        yield f"payload {written}", Case(RELEASES["upload"], payloads.find(str(small), json.loads(written)))


def _placed(root: Path, payload: list[str]) -> tuple[str, list[str]]:
    return str(root), [entry.format(absolute=root) for entry in payload]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pair]:
    root = tmp_path_factory.mktemp("oracle")
    return asyncio.run(compared(dict(cases(root)), root))


async def compared(all_cases: Mapping[str, Case], folder: Path) -> dict[str, Pair]:
    """Send every case from both sides; return what came, by the case's name."""
    async with serve(build_seconds=0) as cloud:
        await by_hydrosdk(cloud.url, [*all_cases.values()], folder)
        async with Api(Where(cluster=cloud.url)) as api:
            for case in all_cases.values():
                await by_us(api, case)
        calls = cloud.calls
    theirs, ours = calls[: len(all_cases)], calls[len(all_cases) :]
    return {name: Pair(*both) for name, both in zip(all_cases, zip(theirs, ours, strict=True), strict=True)}


CHILD = """
import json, sys
from components.hydrosphere.release.backends import hydrosdk_child
for line in sys.stdin:
    print(json.dumps(hydrosdk_child._answer(json.loads(line), lambda said: None)))
"""


async def by_hydrosdk(url: str, all_cases: list[Case], folder: Path) -> None:
    for case in all_cases:
        assert backend.refusal(case.release, case.members, Era.THREE) == ""
    work = [backend._work(url, case.release, case.members, str(folder)) for case in all_cases]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-W", "ignore", "-c", CHILD),
        cwd=folder,
        env=backend._environment(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate("\n".join(map(json.dumps, work)).encode())
    answers = [json.loads(line) for line in said.splitlines()]
    assert len(answers) == len(all_cases)
    assert all("version" in answer for answer in answers), answers


async def by_us(api: Api, case: Case) -> None:
    if case.release.runtime is None:
        await api.call("POST", "/api/v2/externalmodel", external_body(case.release, Era.THREE))
        return
    archive = io.BytesIO()
    size = payloads.pack(case.members, archive, 10**7, lambda: False)
    archive.seek(0)
    body, headers = multipart(archive, size, upload_body(case.release, Era.THREE))
    await api.send("/api/v2/model/upload", body, headers)


@needs_hydrosdk
@pytest.mark.parametrize("name", RELEASES)
def test_same_request(name: str, pairs: dict[str, Pair]) -> None:
    assert pairs[name].same()
    assert pairs[name].ours.status == 200


@needs_hydrosdk
@pytest.mark.parametrize("payload", PAYLOADS, ids=str)
def test_same_names_in_the_archive(payload: list[str], pairs: dict[str, Pair]) -> None:
    assert pairs[str(payload)].same()
    assert bool(payload) == bool(pairs[str(payload)].ours.members)


def needs_record() -> Mapping[str, Any]:
    if not recorded():
        pytest.skip("what hydrosdk was recorded to send is not at hand")
    return recorded()


@needs_hydrosdk
def test_recorded_contracts_are_sent_alike(pairs: dict[str, Pair]) -> None:
    accepted = {name: case for name, case in needs_record()["signatures"].items() if "sends" in case}
    assert len(accepted) > 20
    for name, case in accepted.items():
        pair = pairs[f"signature {name}"]
        assert pair.same()
        assert pair.theirs.body["modelSignature"] == case["sends"], name


@needs_hydrosdk
@pytest.mark.parametrize("written", RECORDED_PAYLOADS)
def test_recorded_payloads_are_packed_alike(written: str, pairs: dict[str, Pair]) -> None:
    names = needs_record()["tar_names"][written]
    pair = pairs[f"payload {written}"]
    assert pair.same()
    assert [*pair.ours.members] == names


@needs_hydrosdk
def test_recorded_runtimes_are_sent_alike(pairs: dict[str, Pair]) -> None:
    accepted = {
        name: case for name, case in needs_record()["runtimes"].items() if "sends" in case and "@" not in name
    }
    assert accepted
    for name, case in accepted.items():
        pair = pairs[f"runtime {name}"]
        assert pair.same()
        assert pair.theirs.body["runtime"] == case["sends"], name


def test_recorded_contracts_that_only_hydrosdk_refuses_never_reach_it() -> None:
    only_theirs = {}
    for name, case in needs_record()["signatures"].items():
        with suppress(InputError):
            signature = contracts.parse(json.dumps(case["contract_file"]))
            if "raises" in case:
                only_theirs[name] = backend.refusal(Release("m", signature, IMAGE), (), Era.THREE)
    assert only_theirs.keys() == {"fields-key"}
    assert "subfields" in only_theirs["fields-key"]


def test_recorded_runtimes_whose_digest_hydrosdk_drops_never_reach_it() -> None:
    dropped = [name for name, case in needs_record()["runtimes"].items() if "sends" in case and "@" in name]
    assert dropped
    for name in dropped:
        release = Release("m", SIGNATURE, Image.parse(name))
        assert "digest" in backend.refusal(release, (), Era.THREE)
