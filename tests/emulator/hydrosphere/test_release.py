"""The release component, whole: a process that releases to an embedded Hydrosphere of either era, with every fault."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from components.hydrosphere.embedded.faults import Fault
from tests.emulator.hydrosphere.release_kit import RUNTIME, Cluster, cluster, stalling

RELEASED = ["m:1 Released"]


@pytest.fixture(params=[2, 3], ids=["2.x", "3.x"])
async def either(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Cluster]:
    async with cluster(tmp_path, request.param) as made:
        yield made


@pytest.fixture
async def three(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with cluster(tmp_path) as made:
        yield made


@pytest.fixture
async def slow(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with cluster(tmp_path, build_seconds=120) as made:
        yield made


async def ended(made: Cluster, *extra: str, **more: str) -> tuple[int, str]:
    """Run a release to its end; return its exit code and all that it said."""
    async with made.release(*extra, **more) as step:
        return await step.end(), str(step)


# ── what comes out ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_model_is_released(either: Cluster) -> None:
    async with either.release(metadata='{"k": "v"}', training_data=str(either.folder / "train.csv")) as step:
        assert await step.end() == 0, step
        assert step.output("version") == "1"
        lines = [event["text"] for event in step.events("log")]
    assert lines[1].endswith(f"FROM {RUNTIME}")
    assert len(lines) == len(set(lines))
    assert either.names == RELEASED
    (upload,) = [call for call in either.cloud.calls if call.operation == "Upload"]
    assert upload.members == ("./src", "./src/func_main.py", "./requirements.txt")
    assert upload.body["metadata"] == {"k": "v"}
    assert upload.body["installCommand"] == "pip install -r requirements.txt"
    assert either.asked("UploadProfile") == 1


async def test_a_second_release_is_the_next_version(either: Cluster) -> None:
    for number in ("1", "2"):
        async with either.release(name=number) as step:
            assert await step.end() == 0, step
            assert step.output("version") == number


async def test_an_external_model_is_registered(either: Cluster) -> None:
    async with either.release(path="", payload="", runtime="", install_command="") as step:
        assert await step.end() == 0, step
        assert step.output("version") == "1"
    assert (either.asked("RegisterExternal"), either.asked("Upload"), either.asked("Logs")) == (1, 0, 0)


async def test_a_runtime_without_a_tag_is_latest_and_that_is_said(three: Cluster) -> None:
    code, said = await ended(three, runtime="r/i")
    assert code == 0
    assert "! --runtime r/i has no tag; taken as r/i:latest" in said
    assert three.cloud.versions[0]["runtime"]["tag"] == "latest"


async def test_a_dry_run_sends_nothing_and_shows_both_bodies(three: Cluster) -> None:
    code, said = await ended(three, "--dry-run", cluster="http://127.0.0.1:9")
    assert code == 0
    shown = json.loads(said)
    assert list(shown["POST /api/v2/model/upload (Hydrosphere 3)"])[:3] == [
        "name",
        "runtime",
        "modelSignature",
    ]
    assert "contract" in shown["POST /api/v2/model/upload (Hydrosphere 2)"]
    assert shown["payload"] == ["./src", "./src/func_main.py", "./requirements.txt"]
    assert three.cloud.calls == []


async def test_a_build_that_fails_fails_the_step(either: Cluster) -> None:
    (either.folder / "model" / "src" / "func_main.py").write_text("def predict(:\n")
    code, said = await ended(either)
    assert code == 1
    assert said.splitlines()[-1].startswith("kfp-runner: m:1 failed: the build failed; its log ends with: ")
    assert either.names == ["m:1 Failed"]


async def test_one_that_fails_without_a_word_does_too(either: Cluster) -> None:
    either.cloud.faults.add(Fault("Build", "fail_build"))
    assert (await ended(either))[0] == 1


# ── never released while it is not, never a second version ──────────────────────────────────────────────────────────

SURVIVED: list[tuple[str, list[dict[str, Any]]]] = [
    ("lost answer", [{"operation": "Upload", "kind": "drop_after"}]),
    ("lost behind a proxy", [{"operation": "Upload", "kind": "bad_gateway_after"}]),
    ("lost in the server", [{"operation": "Upload", "kind": "error_after"}]),
    ("not carried out", [{"operation": "Upload", "kind": "error_before"}]),
    ("slow", [{"operation": "*", "kind": "latency", "times": None, "seconds": 0.3}]),
    ("events cut", [{"operation": "Events", "kind": "cut", "times": None}]),
    ("events silent", [{"operation": "Events", "kind": "silent", "times": None}]),
    ("events garbage", [{"operation": "Events", "kind": "garbage", "times": None}]),
    ("events 502", [{"operation": "Events", "kind": "bad_gateway", "times": None}]),
    ("events hang", [{"operation": "Events", "kind": "hang", "times": None}]),
    ("events dropped", [{"operation": "Events", "kind": "drop_before", "times": None}]),
    ("log cut", [{"operation": "Logs", "kind": "cut", "times": 3}]),
    ("log 502", [{"operation": "Logs", "kind": "bad_gateway", "times": 2}]),
    ("log garbage", [{"operation": "Logs", "kind": "garbage", "times": 2}]),
    ("version missing", [{"operation": "GetVersion", "kind": "missing", "times": 3}]),
    ("version 502", [{"operation": "GetVersion", "kind": "bad_gateway", "times": 3}]),
    ("version dropped", [{"operation": "GetVersion", "kind": "drop_before", "times": 3}]),
    ("version throttled", [{"operation": "GetVersion", "kind": "unavailable", "times": 2}]),
    ("list dropped", [{"operation": "ListVersions", "kind": "drop_before", "times": 2}]),
    (
        "lost, and not to be seen",
        [
            {"operation": "Upload", "kind": "drop_after"},
            {"operation": "ListVersions", "kind": "missing", "times": 3, "skip": 1},
        ],
    ),
    ("build info 502", [{"operation": "BuildInfo", "kind": "bad_gateway", "times": 2}]),
]


LOST = [
    (f"{name}, with a run key", faults, "run-1")
    for name, faults in SURVIVED
    if faults[0]["operation"] == "Upload"
]


@pytest.mark.parametrize(
    ("faults", "key"),
    [pytest.param(faults, "", id=name) for name, faults in SURVIVED]
    + [pytest.param(faults, key, id=name) for name, faults, key in LOST],
)
async def test_it_is_survived(three: Cluster, faults: list[dict[str, Any]], key: str) -> None:
    three.cloud.faults.add_json(faults)
    async with three.release(*(["--run-key", key] if key else [])) as step:
        assert await step.end() == 0, step
        assert step.output("version") == "1"
        lines = [event["text"] for event in step.events("log")]
    assert three.names == RELEASED
    assert len(lines) == len(set(lines)), "a line was shown twice"
    assert lines[-1].startswith("Successfully"), "the log's end was lost"


async def test_it_is_survived_by_the_other_era_too(tmp_path: Path) -> None:
    async with cluster(tmp_path, 2) as two:
        two.cloud.faults.add(Fault("Upload", "drop_after"), Fault("Events", "cut", None))
        code, said = await ended(two)
        assert code == 0, said
        assert two.names == RELEASED


@pytest.mark.parametrize("kind", ["hang", "drop_before", "bad_gateway", "cut"])
async def test_a_build_that_never_ends_is_never_released(slow: Cluster, kind: str) -> None:
    slow.cloud.faults.add(Fault("Build", "hang_build"), Fault("Events", kind, None))
    async with slow.release("--time-limit", "5") as step:
        assert await step.end() == 1
        said = str(step)
    assert "Succeeded" not in said
    assert slow.names == ["m:1 Assembling"]


@pytest.mark.parametrize("kind", ["drop_before", "bad_gateway", "unavailable"])
async def test_an_upload_that_is_never_seen_is_not_repeated(three: Cluster, kind: str) -> None:
    three.cloud.faults.add(Fault("Upload", kind))
    async with three.release() as step:
        await step.until("could not launch or attach yet")
        step.signal(signal.SIGTERM)
        assert await step.end() == 143
        said = str(step)
    assert "bytes were uploaded, but no version of m can be seen" in said
    assert three.asked("Upload") == 1
    assert three.names == []


# ── started again ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_restarted_step_finds_its_version(slow: Cluster) -> None:
    async with slow.release("--run-key", "run-1") as first:
        await first.until("Step 1/")
        first.signal(signal.SIGKILL)
        await first.end()
    async with slow.release("--run-key", "run-1", name="again") as second:
        await second.until("m:1 re-attached")
        await second.until("Step 1/")
    assert slow.names == ["m:1 Assembling"]


async def test_another_run_releases_anew(three: Cluster) -> None:
    for key, number in (("run-1", "1"), ("run-1", "1"), ("run-2", "2")):
        async with three.release("--run-key", key, name=key + number) as step:
            assert await step.end() == 0, step
            assert step.output("version") == number


async def test_other_content_under_the_same_key_is_another_version(three: Cluster) -> None:
    assert (await ended(three, "--run-key", "run-1"))[0] == 0
    (three.folder / "model" / "requirements.txt").write_text("scipy\n")
    assert (await ended(three, "--run-key", "run-1"))[0] == 0
    assert three.names == ["m:1 Released", "m:2 Released"]


# ── cancelled ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
async def test_after_the_upload_the_server_goes_on(slow: Cluster, number: int, code: int) -> None:
    async with slow.release() as step:
        await step.until("Step 1/")
        step.signal(number)
        assert await step.end() == code
        last = step.lines[-1]
    assert "the server goes on building m:1 (a build can't be cancelled there)" in last
    assert slow.asked("DeleteModel") == 0


async def test_before_it_nothing_is_sent(three: Cluster) -> None:
    async with stalling("/api/v2/model/version") as (url, stalled), three.release(cluster=url) as step:
        await stalled.wait()
        step.signal(signal.SIGTERM)
        assert await step.end() == 143
        assert "nothing was uploaded" in step.lines[-1]


async def test_on_demand_the_version_is_deleted(slow: Cluster) -> None:
    async with slow.release(delete_on_cancel="True") as step:
        await step.until("Step 1/")
        step.signal(signal.SIGTERM)
        assert await step.end() == 143
        assert "m:1 was deleted, and its model with it" in step.lines[-1]
    assert slow.names == []


async def test_but_not_with_others_or_in_use(slow: Cluster) -> None:
    async with slow.release(name="first") as first:
        await first.until("Step 1/")
        slow.cloud.use("m", 1, "shop")
        async with slow.release(name="second", delete_on_cancel="True") as second:
            await second.until("Step 1/")
            second.signal(signal.SIGTERM)
            assert await second.end() == 143
            assert "this one has m:1 as well" in second.lines[-1]
    assert slow.names == ["m:1 Assembling", "m:2 Assembling"]


async def test_a_version_in_use_is_kept(slow: Cluster) -> None:
    async with slow.release(delete_on_cancel="True") as step:
        await step.until("Step 1/")
        slow.cloud.use("m", 1, "shop")
        step.signal(signal.SIGINT)
        assert await step.end() == 130
        assert "it was not deleted: it is used by shop" in step.lines[-1]
    assert slow.names == ["m:1 Assembling"]


async def test_a_large_upload_is_broken_off_in_the_middle(three: Cluster) -> None:
    (three.folder / "model" / "weights.bin").write_bytes(os.urandom(30_000_000))
    async with (
        stalling("/api/v2/model/upload") as (url, stalled),
        three.release(cluster=url, payload='["./*"]') as step,
    ):
        await stalled.wait()
        step.signal(signal.SIGTERM)
        assert await step.end() == 143
        words = r"broken off after [\d,]+ of 30,\d+,\d+ bytes, of which the server makes no version"
        assert re.search(words, str(step))


# ── refused ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_cluster_out_of_reach_is_named(three: Cluster) -> None:
    code, said = await ended(three, cluster="http://127.0.0.1:9")
    assert code == 3
    assert said.splitlines()[-1].startswith("kfp-runner: can't reach Hydrosphere at http://127.0.0.1:9: ")
    assert said.splitlines()[-1].endswith("is --cluster right?")


async def test_a_refusal_s_own_words_are_told(three: Cluster) -> None:
    three.cloud.faults.add(Fault("Upload", "forbidden"))
    code, said = await ended(three)
    assert code == 3
    assert "POST /api/v2/model/upload was answered with 403: " in said.splitlines()[-1]
    assert three.names == []


async def test_something_else_at_the_address_is_noticed(three: Cluster) -> None:
    three.cloud.faults.add(Fault("BuildInfo", "forbidden"))
    code, said = await ended(three)
    assert code == 3
    assert "GET /api/buildinfo was answered with 403" in said


BAD_INPUT = {
    "model_name": ("Bad Name", "--model_name is 'Bad Name', which does not match [a-z-_0-9]+"),
    "cluster": ("http://a..b", "--cluster is 'http://a..b', which is no address; write http://HOST"),
    "payload": ('["./src", "./gone.bin"]', "./gone.bin"),
    "contract_path": ("/no/such/contract", "--contract_path: there is no file"),
    "training_data": ("x" * 300, "--training_data is 'xxx"),
    "runtime": ("a:b:c", "--runtime"),
    "metadata": ("[" * 50_000, "--metadata is nested too deeply"),
    "require_training_profile": ("True", "--require_training_profile needs --training_data"),
    "install_command": ("a\nCOPY b", "--install_command is 'a\\nCOPY b', which has several lines"),
}


@pytest.mark.parametrize("name", BAD_INPUT)
async def test_bad_input_is_named_and_nothing_is_sent(three: Cluster, name: str) -> None:
    value, expected = BAD_INPUT[name]
    code, said = await ended(three, **{name: value})
    assert code == 2, said
    assert expected in said.splitlines()[-1]
    assert three.cloud.calls == []


async def test_several_errors_are_told_at_once(three: Cluster) -> None:
    code, said = await ended(three, payload='["../../etc/passwd"]', runtime="", training_data="gone.csv")
    assert code == 2
    for part in ("--payload", "--runtime is required", "--training_data"):
        assert part in said.splitlines()[-1]


# ── training data ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_required_profile_is_waited_for(either: Cluster) -> None:
    data = str(either.folder / "train.csv")
    code, said = await ended(either, training_data=data, require_training_profile="True")
    assert code == 0, said
    assert "training data: profiled" in said


async def test_a_profile_that_fails_fails_the_step_that_requires_it(three: Cluster) -> None:
    (three.folder / "train.csv").write_text("other\n1\n")
    data = {"training_data": str(three.folder / "train.csv")}
    code, said = await ended(three, name="first", **data)
    assert code == 0, said
    code, said = await ended(three, name="second", require_training_profile="True", **data)
    assert code == 1
    last = said.splitlines()[-1]
    assert "m:2 is released, but training data: its profile failed (the cluster says Failure: " in last


@pytest.mark.parametrize("kind", ["drop_after", "error_after", "bad_gateway_after", "unavailable"])
async def test_training_data_is_sent_once(three: Cluster, kind: str) -> None:
    three.cloud.faults.add(Fault("UploadProfile", kind))
    data = str(three.folder / "train.csv")
    code, said = await ended(three, training_data=data, require_training_profile="True")
    assert code == 0, said
    assert three.asked("UploadProfile") == (2 if kind == "unavailable" else 1)


# ── watched ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_somebody_else_s_release_is_followed(slow: Cluster) -> None:
    async with slow.release() as step:
        await step.until("Step 1/")
        command = ("-m", "runner", "watch", "hydrosphere.release", "m:1", "--cluster", slow.cloud.url)
        watch = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=PIPE, stderr=STDOUT)
        assert watch.stdout is not None
        async for line in watch.stdout:
            if b"Step 1/" in line:
                break
        watch.send_signal(signal.SIGINT)
        rest = await watch.stdout.read()
        assert await watch.wait() == 130
        assert b"m:1 goes on without us" in rest
    assert slow.names == ["m:1 Assembling"]
