"""One serving container: hostile archives, its folders and environment, and its port."""

from __future__ import annotations

import asyncio
import io
import json
import os
import tarfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from components.aws.embedded.errors import ApiError
from components.aws.embedded.logs.store import LogStore
from components.aws.embedded.machine.logged import Log
from components.aws.embedded.machine.space import Space
from components.aws.embedded.s3.objects import Location
from components.aws.embedded.sagemaker.hosting import serving as module
from components.aws.embedded.sagemaker.hosting.data import ModelData
from components.aws.embedded.sagemaker.images import Images
from runner.emulation.archives import unpack
from runner.emulation.paths import UnsafeKeyError
from tests.emulator.serving_kit import archive, hosting, lasting, server

ROOMY = {"VolumeSizeInGB": 1, "InstanceCount": 1}
LOOKS = lasting("""
    files = {str(path.relative_to(base)): path.read_text() for path in base.rglob('*') if path.is_file()}
    return 200, json.dumps({'files': files, 'env': dict(os.environ), 'cwd': os.getcwd()}).encode()
""")


def tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as file:
        for member, content in members:
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, 0o6777
    return info


def test_an_archive_is_unpacked_with_its_folders(tmp_path: Path) -> None:
    content = tar(
        (member(".", tarfile.DIRTYPE), b""),
        (member("./a", tarfile.DIRTYPE), b""),
        (member("./a/run.sh"), b"#!"),
        (member("b/c/weights"), b"123"),
        (member("empty/", tarfile.DIRTYPE), b""),
    )
    folder = tmp_path / "model"
    folder.mkdir()
    unpack(io.BytesIO(content), folder, Space(ROOMY, tmp_path))
    assert (folder / "a" / "run.sh").read_bytes() == b"#!"
    assert (folder / "b" / "c" / "weights").read_bytes() == b"123"
    assert (folder / "empty").is_dir()
    assert (
        folder / "a" / "run.sh"
    ).stat().st_mode & 0o7777 == 0o755  # nobody else's to write, and never set-uid


@pytest.mark.parametrize(
    "evil",
    [
        member("../outside"),
        member("/outside"),
        member("a/../../outside"),
        member("./../outside"),
        member("a//b"),
        member("..", tarfile.DIRTYPE),
        member("../outside", tarfile.DIRTYPE),
        member("link", tarfile.SYMTYPE, "/etc/passwd"),
        member("link", tarfile.SYMTYPE, "inside"),
        member("link", tarfile.LNKTYPE, "inside"),
        member("pipe", tarfile.FIFOTYPE),
        member("device", tarfile.CHRTYPE),
    ],
    ids=lambda evil: f"{evil.name} {evil.type!r}",
)
def test_a_hostile_archive_leaves_nothing_outside(tmp_path: Path, evil: tarfile.TarInfo) -> None:
    folder = tmp_path / "job" / "model"
    folder.mkdir(parents=True)
    content = tar((member("inside"), b"1"), (evil, b"" if evil.type != tarfile.REGTYPE else b"evil"))
    with pytest.raises(UnsafeKeyError):
        unpack(io.BytesIO(content), folder, Space(ROOMY, tmp_path))
    assert [path for path in tmp_path.rglob("*") if path.is_file() or path.is_symlink()] == [
        folder / "inside"
    ]


def test_a_file_can_not_go_through_a_link_that_was_there_before(tmp_path: Path) -> None:
    folder, outside = tmp_path / "model", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (folder / "link").symlink_to(outside)
    with pytest.raises(UnsafeKeyError):
        unpack(io.BytesIO(tar((member("link/file"), b"1"))), folder, Space(ROOMY, tmp_path))
    assert not list(outside.iterdir())


def test_a_small_archive_can_not_fill_the_disk(tmp_path: Path) -> None:
    content = archive(zeros=bytes(32 * 1024**2))
    assert len(content) < 100_000
    (tmp_path / "model").mkdir()
    with pytest.raises(OSError, match="No space left"):
        unpack(
            io.BytesIO(content),
            tmp_path / "model",
            Space({"VolumeSizeInGB": 0.01, "InstanceCount": 1}, tmp_path),
        )


@pytest.mark.parametrize("content", [b"", b"no archive", archive(a=b"1" * 100_000)[:-30]])
def test_what_is_no_archive_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model").mkdir()
    with pytest.raises((tarfile.TarError, EOFError, OSError)):
        unpack(io.BytesIO(content), tmp_path / "model", Space(ROOMY, tmp_path))


def test_where_model_data_lie() -> None:
    assert ModelData.of({}) is None
    assert ModelData.of({"ModelDataUrl": "s3://bucket/m"}) == ModelData(Location("bucket", "m"), archive=True)
    source = {"S3Uri": "s3://bucket/m/", "S3DataType": "S3Prefix", "CompressionType": "None"}
    data = ModelData.of({"ModelDataSource": {"S3DataSource": source}})
    assert data == ModelData(Location("bucket", "m/"), archive=False)


async def test_a_container_finds_its_model_and_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SECRET", "hidden")
    async with hosting(images={"looks": LOOKS}) as cloud:
        await cloud.aws.put(
            "models", m_dot_tar_dot_gz=archive(**{"code/inference.py": b"pass", "weights": b"1"})
        )
        environment = {
            "SAGEMAKER_PROGRAM": "inference.py",
            "SAGEMAKER_BIND_TO_PORT": "1",
            "SM_MODEL_DIR": "/x",
        }
        await cloud.model("looks", ModelDataUrl="s3://models/m.tar.gz", Environment=environment)
        assert (await cloud.deploy("e", "looks"))["EndpointStatus"] == "InService"
        seen = json.loads(await cloud.invoke("e"))
        assert seen["files"] == {"model/code/inference.py": "pass", "model/weights": "1"}
        env = seen["env"]
        assert env["SM_MODEL_DIR"] == f"{env['SAGEMAKER_BASE_DIR']}/model"
        assert env["SAGEMAKER_BIND_TO_PORT"] != "1"
        assert env["SAGEMAKER_PROGRAM"] == "inference.py"
        assert env["SAGEMAKER_CONTAINER_LOG_LEVEL"] == "20"
        assert env["AWS_ENDPOINT_URL"] == cloud.aws.cloud.url
        assert "MY_SECRET" not in env
        base = Path(env["SAGEMAKER_BASE_DIR"])
        assert base.is_dir()
        await cloud.delete("e")
        assert not base.exists()


async def test_an_isolated_container_has_no_way_to_the_cloud() -> None:
    async with hosting(images={"looks": LOOKS}) as cloud:
        await cloud.model("looks", EnableNetworkIsolation=True)
        await cloud.deploy("e", "looks")
        env = json.loads(await cloud.invoke("e"))["env"]
        assert not [name for name in env if name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID")]


async def test_a_model_may_lie_in_s3_as_it_is() -> None:
    async with hosting(images={"looks": LOOKS}) as cloud:
        await cloud.aws.put("models", m__a_dot_txt=b"a", m__sub__b=b"b", other=b"c")
        source = {"S3Uri": "s3://models/m/", "S3DataType": "S3Prefix", "CompressionType": "None"}
        await cloud.model("looks", ModelDataSource={"S3DataSource": source})
        await cloud.deploy("e", "looks")
        seen = json.loads(await cloud.invoke("e"))
        assert seen["files"] == {"model/a.txt": "a", "model/sub/b": "b"}


async def test_one_image_may_train_and_serve() -> None:
    both = server("""
        if sys.argv[1] == 'train':
            (base / 'model' / 'word').write_text('learned')
            sys.exit()
        assert sys.argv[1] == 'serve'
        def answer(body, headers):
            return 200, (base / 'model' / 'word').read_bytes()
    """)
    async with hosting(images={"both": f"{both} {{verb}}"}) as cloud:
        job = await cloud.aws.run("job-1", image="both")
        assert job["TrainingJobStatus"] == "Completed"
        await cloud.model("both", ModelDataUrl=job["ModelArtifacts"]["S3ModelArtifacts"])
        assert (await cloud.deploy("e", "both"))["EndpointStatus"] == "InService"
        assert await cloud.invoke("e") == b"learned"


def test_a_verb_takes_the_place_of_its_word_only() -> None:
    images = Images({"mine": "python main.py {verb} x{verb} '{verb}'", "plain": "python main.py"})
    for verb in ("train", "serve"):
        assert images.command("mine", "", verb).argv[1:] == ("main.py", verb, "x{verb}", verb)
        assert images.command("plain", "", verb).argv[1:] == ("main.py",)
    kmeans = "382416733822.dkr.ecr.us-east-1.amazonaws.com/kmeans:1"
    assert images.command(kmeans, "").argv[-1] == "train"
    assert images.command(kmeans, "", "serve").argv[-1] == "serve"
    with pytest.raises(ApiError):
        images.command("other", "")


async def test_a_port_that_somebody_else_took_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first port is taken between our look and the container's start, by one that even answers."""

    async def well(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nother")
        await writer.drain()
        writer.close()

    other = await asyncio.start_server(well, "127.0.0.1", 0)
    taken = other.sockets[0].getsockname()[1]
    free, handed = module._free_port, iter([taken])
    monkeypatch.setattr(module, "_free_port", lambda: next(handed, None) or free())
    # It notices at once that it can't have the port; the other's answer must not count meanwhile.
    async with (
        other,
        hosting(images={"own": server("def answer(body, headers):\n    return 200, b'own'")}) as cloud,
    ):
        monkeypatch.setattr(module.Server, "ping", _after_a_while(module.Server.ping))
        await cloud.model("own")
        assert (await cloud.deploy("e", "own"))["EndpointStatus"] == "InService"
        assert await cloud.invoke("e") == b"own"


def _after_a_while(
    ping: Callable[[module.Server], Awaitable[bool]],
) -> Callable[[module.Server], Awaitable[bool]]:
    """A ping that is only sent after a while: when the container has had the time to fail."""

    async def late(self: module.Server) -> bool:
        await asyncio.wait([self._process], timeout=0.4)
        return await ping(self)

    return late


async def test_ports_of_containers_that_start_at_a_time_differ() -> None:
    async with hosting(images={"looks": LOOKS}) as cloud:
        await cloud.model("looks")
        await cloud.deploy("e", *[{"ModelName": "looks", "InitialInstanceCount": 2}] * 3)
        env = [
            json.loads(await cloud.invoke("e", TargetVariant=f"v{number}"))["env"]["SAGEMAKER_BIND_TO_PORT"]
            for number in (1, 2, 3)
        ]
        assert len(set(env)) == 3


def test_a_stream_is_named_like_an_instance() -> None:
    assert module.instance_id() != module.instance_id()
    assert len(module.instance_id()) == len("i-0123456789abcdef0")
    assert Log(LogStore(), "g", module.instance_id()).stream.startswith("i-")
    assert os.sep not in module.instance_id()
