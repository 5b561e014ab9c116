"""hydrosdk as a backend: the real one, in its child, against the embedded Hydrosphere and worse servers."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from components.hydrosphere.embedded import Fault, serve
from components.hydrosphere.errors import Answered
from components.hydrosphere.release._release import Uploaded
from components.hydrosphere.release.backends import hydrosdk as backend
from components.hydrosphere.release.backends.hydrosdk import upload
from components.hydrosphere.release.payload import members as payloads
from runner.errors import InputError, ServiceError, Transient, Unreachable
from tests.emulator.hydrosphere.hydrosdk_kit import (
    EXTERNAL,
    MADE,
    RELEASE,
    SECRET,
    answering,
    holding,
    model,
    needs_hydrosdk,
)

Members = tuple[payloads.Member, ...]
pytestmark = needs_hydrosdk


@pytest.fixture
def members(tmp_path: Path) -> Members:
    return payloads.find(model(tmp_path / "model"), ["./src/", "./a.bin"])


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which temporary folders are made."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


class Children(list[asyncio.subprocess.Process]):
    """The children that were started."""

    def __init__(self) -> None:
        super().__init__()
        self.any = asyncio.Event()

    def all_gone(self) -> bool:
        """Whether nothing is left of any of them, nor of what it may have started."""
        for child in self:
            with pytest.raises(ProcessLookupError):
                os.killpg(child.pid, 0)
        return None not in {child.returncode for child in self}


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> Children:
    started = Children()
    real = backend._child

    @asynccontextmanager
    async def noted(folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
        async with real(folder) as process:
            started.append(process)
            started.any.set()
            yield process

    monkeypatch.setattr(backend, "_child", noted)
    return started


def folders(scratch: Path) -> list[Path]:
    """Return the folders in which children work, or have worked."""
    return [*scratch.glob("kfp-runner-hydrosdk-*")]


def standing_in(folder: Path, monkeypatch: pytest.MonkeyPatch, **modules: str) -> None:
    """Put modules in the place of hydrosdk's, for the child."""
    package = folder / "stand_in" / "hydrosdk"
    package.mkdir(parents=True)
    for name, text in {"__init__": "", **modules}.items():
        (package / f"{name}.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(package.parent))


async def test_release_is_uploaded(members: Members, scratch: Path, children: Children) -> None:
    said = []
    async with serve() as cloud:
        made = await upload(cloud.url, RELEASE, members, sending=lambda: said.append(len(cloud.calls)))
        (call,) = cloud.calls
        (version,) = cloud.versions
    assert made == Uploaded(version["id"], version["model"]["id"], "some-model", 1)
    assert call.members == tuple(member.name for member in members)
    assert said == [0]
    assert not folders(scratch)
    assert len(children) == 1
    assert children.all_gone()


async def test_external_model_is_registered(scratch: Path) -> None:
    async with serve() as cloud:
        made = await upload(cloud.url, EXTERNAL, ())
        assert [call.operation for call in cloud.calls] == ["RegisterExternal"]
        assert cloud.versions[0]["isExternal"]
    assert made.version == 1
    assert not folders(scratch)


async def test_version_counts_though_hydrosdk_cannot_read_the_rest_of_the_answer(members: Members) -> None:
    async with answering(lambda: web.json_response(MADE)) as server:
        assert await upload(server.url, RELEASE, members) == Uploaded(7, 3, "some-model", 5)


async def test_refusal_is_told_in_the_servers_words(members: Members) -> None:
    async with serve() as cloud:
        with pytest.raises(ServiceError, match=r"400: Model name contains invalid characters") as caught:
            await upload(cloud.url, replace(RELEASE, model="Bad Name"), members)
        assert not cloud.versions
    assert not isinstance(caught.value, Transient)


async def test_words_of_the_server_give_no_metadata_away(members: Members) -> None:
    def quoting() -> web.Response:
        return web.json_response(
            {"error": "X", "message": f"not so:\n{{'token': {SECRET}}}" + "!" * 9999}, status=400
        )

    async with answering(quoting) as server:
        with pytest.raises(ServiceError, match="not so") as caught:
            await upload(server.url, RELEASE, members)
    text = str(caught.value)
    assert "hunter2" not in text
    assert "\n" not in text
    assert len(text) < 500


@pytest.mark.parametrize(
    ("kind", "error", "versions"),
    [
        ("error_after", Answered, 1),
        ("bad_gateway_after", Transient, 1),
        ("drop_before", Transient, 0),
        ("drop_after", Transient, 1),
    ],
)
async def test_lost_answer_is_ambiguous_and_nothing_is_tried_again(
    kind: str, error: type[Transient], versions: int, members: Members
) -> None:
    async with serve(faults=True) as cloud:
        cloud.faults.add(Fault("Upload", kind))
        with pytest.raises(Transient) as caught:
            await upload(cloud.url, RELEASE, members)
        assert [call.operation for call in cloud.calls] == ["Upload"]
        assert len(cloud.versions) == versions
    assert type(caught.value) is error
    assert caught.value.ambiguous
    assert "hunter2" not in str(caught.value)


async def test_redirection_is_not_followed(members: Members) -> None:
    def elsewhere() -> web.Response:
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    async with answering(elsewhere) as server:
        with pytest.raises(ServiceError, match="redirection"):
            await upload(server.url, RELEASE, members)
    assert server.calls == ["POST /api/v2/model/upload"]


@pytest.mark.parametrize("text", ["<html>fine</html>", '{"id": 1, "model": null}'])
async def test_answer_that_tells_no_version_is_a_lost_one(text: str) -> None:
    async with answering(lambda: web.Response(text=text)) as server:
        with pytest.raises(Transient, match="tells no version") as caught:
            await upload(server.url, EXTERNAL, ())
    assert caught.value.ambiguous


async def test_nobody_there_is_certainly_not_carried_out(members: Members) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(Unreachable, match="is --cluster right"):
            await upload(f"http://127.0.0.1:{free.getsockname()[1]}", RELEASE, members)


async def test_unknown_host_is_certainly_not_carried_out() -> None:
    with pytest.raises(Unreachable, match=r"nowhere\.invalid"):
        await upload("http://nowhere.invalid", EXTERNAL, ())


async def test_cancelled_upload_is_cut_off(tmp_path: Path, scratch: Path, children: Children) -> None:
    large = tmp_path / "large"
    large.mkdir()
    (large / "weights").write_bytes(os.urandom(20_000_000))
    async with serve() as cloud, holding(cloud.url, 2_000_000) as way:
        task = asyncio.create_task(upload(way.url, RELEASE, payloads.find(str(large), ["weights"])))
        await way.held.wait()
        assert [*folders(scratch)[0].glob(".hs/*")]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not folders(scratch)
        assert children.all_gone()
        assert children.all_gone()
        await way.left.wait()
        assert not cloud.versions


async def test_cancelled_while_it_starts_leaves_nothing(
    members: Members, scratch: Path, children: Children
) -> None:
    async with serve() as cloud:
        task = asyncio.create_task(upload(cloud.url, RELEASE, members))
        await children.any.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not cloud.calls
    assert not folders(scratch)
    assert children.all_gone()


PARENT = """
import asyncio, sys
from tests.emulator.hydrosphere.hydrosdk_kit import RELEASE
from components.hydrosphere.release.backends import hydrosdk as backend
from components.hydrosphere.release.payload import members as payloads
asyncio.run(backend.upload(sys.argv[1], RELEASE, payloads.find(sys.argv[2], ["a.bin"])))
"""


async def test_child_ends_with_a_parent_that_is_killed(tmp_path: Path, scratch: Path) -> None:
    root = model(tmp_path / "model")
    async with serve() as cloud, holding(cloud.url, 50_000) as way:
        parent = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PARENT, way.url, root), env={**os.environ, "TMPDIR": str(scratch)}
        )
        await way.held.wait()
        assert len(folders(scratch)) == 1
        parent.kill()
        await parent.wait()
        await way.left.wait()  # The child takes its folder with it before it goes.
        assert not folders(scratch)
        assert not cloud.versions


async def test_child_that_dies_in_mid_upload_leaves_it_open_what_was_made(
    members: Members, children: Children, scratch: Path
) -> None:
    async with serve() as cloud, holding(cloud.url, 50_000) as way:
        task = asyncio.create_task(upload(way.url, RELEASE, members))
        await way.held.wait()
        children[0].kill()
        with pytest.raises(Transient, match=r"SIGKILL.*may be made all the same") as caught:
            await task
    assert caught.value.ambiguous
    assert not folders(scratch)


async def test_child_that_dies_before_it_sends_has_sent_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    standing_in(
        tmp_path, monkeypatch, __init__="import os, sys; print('dear me', file=sys.stderr); os._exit(9)"
    )
    with pytest.raises(ServiceError, match=r"ended with exit code 9 \(dear me\); nothing was sent") as caught:
        await upload("http://nowhere.invalid", EXTERNAL, ())
    assert not isinstance(caught.value, Transient)


async def test_missing_hydrosdk_tells_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    standing_in(tmp_path, monkeypatch, __init__="import no_such_module")
    with pytest.raises(InputError, match=r"no_such_module.*uv pip install.*pip install --no-deps") as caught:
        await upload("http://nowhere.invalid", EXTERNAL, ())
    assert "'.[hydrosphere]'" in str(caught.value)


CLUSTER = """
import time

class Cluster:
    def __init__(self, address):
        pass

    def request(self, method, url, **more):
        time.sleep(1000)
"""
BUILDER = """
class ModelVersionBuilder:
    def __init__(self, name, path):
        print("whatever", flush=True)
        {}

    with_signature = with_metadata = lambda self, given: None

    def build_external(self, cluster):
        cluster.request("POST", "/")
"""
SIGNATURES = """
class SignatureBuilder:
    def __init__(self, name):
        pass

    with_input = with_output = lambda self, *given: None
    build = lambda self: None

ProfilingType = {"NONE": 0, "NUMERICAL": 1}
"""


@pytest.mark.parametrize(
    ("before", "error", "words"),
    [
        ("pass", Transient, "may be made all the same"),
        ("import time; time.sleep(1000)", ServiceError, "nothing was sent"),
    ],
)
async def test_no_answer_is_not_waited_for_forever(
    before: str,
    error: type[ServiceError],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    children: Children,
) -> None:
    parts = {
        "cluster": CLUSTER,
        "signature": SIGNATURES,
        "modelversion": BUILDER.format(before),
        "image": "DockerImage = 0",
    }
    standing_in(tmp_path, monkeypatch, **parts)
    monkeypatch.setattr(backend, "STALL_SECONDS", 4.0)
    with pytest.raises(ServiceError, match=f"no answer within 4 s.*{words}") as caught:
        await upload("http://nowhere.invalid", EXTERNAL, ())
    assert type(caught.value) is error
    assert children.all_gone()
