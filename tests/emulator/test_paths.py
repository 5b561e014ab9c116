"""Nothing that a request, an object key or a job's own links say leads out of the folder it is meant for."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from components.aws.embedded.machine.paths import container_key
from runner.emulation import paths
from runner.emulation.paths import UnsafeKeyError, inside
from tests.emulator.helpers import Aws, channel, embedded, eventually

ESCAPES = [
    "..",
    "../x",
    "a/../../x",
    "a/..",
    "/x",
    "//x",
    "a//x",
    "a/./x",
    ".",
    "",
    "a/",
    "a\0b",
    "\ud800",
]
LOCAL_PATHS = [
    "/opt/ml//tmp/escaped",
    "/opt/ml///tmp/escaped",
    "/opt/ml/../escaped",
    "/opt/ml/checkpoints/../../../escaped",
    "/opt/ml/checkpoints//",
    "/opt/ml/./x",
    "/opt/ml/",
    "/opt/ml",
    "/opt/mlx/y",
    "/tmp/escaped",
    "opt/ml/x",
    "../x",
    "",
    "/opt/ml/a\0b",
]


@pytest.mark.parametrize("key", ESCAPES)
def test_no_key_leaves_its_folder(tmp_path: Path, key: str) -> None:
    with pytest.raises(UnsafeKeyError, match="is no safe file name"):
        inside(tmp_path, key)


@pytest.mark.parametrize("key", ["a", "a/b", "...", "a b/é", "~", "-x", "a\\b", ".hidden"])
def test_an_ordinary_key_is_a_file_of_its_folder(tmp_path: Path, key: str) -> None:
    assert inside(tmp_path, key) == tmp_path / key


def test_a_key_through_a_link_is_refused_even_if_the_link_goes_in_circles(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to("/etc")
    (tmp_path / "ring").symlink_to("ring")
    for key in ("out/passwd", "ring/x"):
        with pytest.raises(UnsafeKeyError):
            inside(tmp_path, key)


@pytest.mark.parametrize("path", LOCAL_PATHS)
def test_a_path_that_is_not_below_opt_ml_is_refused(path: str) -> None:
    with pytest.raises(UnsafeKeyError):
        container_key(path)


def test_a_container_path_may_end_with_a_slash() -> None:
    assert container_key("/opt/ml/checkpoints/") == container_key("/opt/ml/checkpoints") == "checkpoints"


@pytest.mark.parametrize("link", ["folder", "folder/file"])
def test_reading_and_writing_follow_no_link(tmp_path: Path, link: str) -> None:
    outside, home = tmp_path / "outside", tmp_path / "home"
    outside.mkdir()
    (outside / "file").write_text("secret")
    (home / link).parent.mkdir(parents=True)
    (home / link).symlink_to(outside if link == "folder" else outside / "file")
    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        paths.read(home, home / "folder" / "file")
    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        paths.write(home, home / "folder" / "file", b"evil")
    assert (outside / "file").read_text() == "secret"


def test_a_pipe_is_neither_waited_for_nor_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no regular file"):
        paths.read(tmp_path, tmp_path / "pipe")
    with pytest.raises(OSError, match="No such device"):
        paths.write(tmp_path, tmp_path / "pipe", b"x")
    assert paths.files(tmp_path, tmp_path) == []


def test_removing_reaches_what_was_made_unreadable_and_spares_what_links_lead_to(tmp_path: Path) -> None:
    outside, home = tmp_path / "outside", tmp_path / "home"
    for folder in (outside, home / "locked" / "deep"):
        folder.mkdir(parents=True)
    (outside / "file").write_text("mine")
    (home / "locked" / "link").symlink_to(outside)
    outside.chmod(0o500)
    (home / "locked").chmod(0)
    paths.remove(home)
    assert not home.exists()
    assert (outside / "file").read_text() == "mine"
    assert outside.stat().st_mode & 0o777 == 0o500


async def refused(aws: Aws, **overrides: Any) -> str:
    with pytest.raises(ClientError) as caught:
        await aws.create("escape", **overrides)
    listed = await aws.sagemaker.list_training_jobs(NameContains="escape")
    assert listed["TrainingJobSummaries"] == []
    return str(caught.value.response["Error"]["Message"])


async def test_no_local_path_of_a_request_leaves_the_container(tmp_path: Path) -> None:
    async with embedded("pass") as aws:
        await aws.put("state", ck__key=b"attacker")
        for path in [*LOCAL_PATHS, f"/opt/ml/{tmp_path}", "/opt/ml/input/config"]:
            where = {"S3Uri": "s3://state/ck", "LocalPath": path}
            assert "CheckpointConfig.LocalPath" in await refused(aws, CheckpointConfig=where)
        output = {"S3OutputPath": "s3://results/x", "LocalPath": f"/opt/ml/{tmp_path}"}
        rule = {"RuleConfigurationName": "r", "RuleEvaluatorImage": "i", "LocalPath": "/opt/ml/../x"}
        for name, value in (
            ("DebugHookConfig", output),
            ("TensorBoardOutputConfig", output),
            ("DebugRuleConfigurations", [rule]),
            ("ProfilerRuleConfigurations", [rule]),
        ):
            assert f"{name}.LocalPath" in await refused(aws, **{name: value})
    assert list(tmp_path.iterdir()) == []


async def test_a_local_path_of_the_users_own_is_kept_in_the_container() -> None:
    source = """
        folder = pathlib.Path(os.environ['SAGEMAKER_BASE_DIR'], 'my', 'state')
        print((folder / 'old').read_text())
        (folder / 'new').write_text('2')
    """
    async with embedded(source) as aws:
        await aws.put("state", ck__old=b"1")
        job = await aws.run(
            "job-1", CheckpointConfig={"S3Uri": "s3://state/ck", "LocalPath": "/opt/ml/my/state/"}
        )
        assert job["TrainingJobStatus"] == "Completed"
        assert await aws.lines("job-1") == ["1"]
        assert await aws.keys("state") == ["ck/new", "ck/old"]


@pytest.mark.parametrize(
    "uri",
    [
        "s3://moto-api/reset",
        "s3://moto-api?x/y",
        "s3://results?delete/x",
        "s3://results#/x",
        "s3://%6doto-api/x",
        "s3://../x",
        "s3://a",
    ],
)
async def test_a_bucket_name_is_nothing_but_a_name(uri: str) -> None:
    async with embedded("pass") as aws:
        assert "Invalid S3 URI" in await refused(aws, channels={"x": uri})
        assert "Invalid S3 URI" in await refused(aws, OutputDataConfig={"S3OutputPath": uri})
        assert "Invalid S3 URI" in await refused(aws, CheckpointConfig={"S3Uri": uri})


async def test_what_links_in_the_model_lead_to_is_not_uploaded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("SECRET")
    source = f"""
        for variable in ('SM_MODEL_DIR', 'SM_OUTPUT_DATA_DIR'):
            folder = pathlib.Path(os.environ[variable])
            (folder / 'deep').mkdir()
            (folder / 'deep' / 'real').write_text('mine')
            (folder / 'kept').symlink_to('deep/real')
            (folder / 'file').symlink_to({str(secret / "key")!r})
            (folder / 'folder').symlink_to({str(secret)!r})
            (folder / 'climbs').symlink_to('../../../../../../../../../../..' + {str(secret / "key")!r})
            (folder / 'chained').symlink_to('file')
            (folder / 'ring').symlink_to('ring')
            (folder / 'nowhere').symlink_to('nothing')
            os.mkfifo(folder / 'pipe')
    """
    async with embedded(source) as aws:
        job = await aws.run("job-1")
        assert job["TrainingJobStatus"] == "Completed"
        for name in ("model.tar.gz", "output.tar.gz"):
            content = await aws.get("results", f"jobs/job-1/output/{name}")
            assert b"SECRET" not in gzip.decompress(content)
            with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                assert archive.getnames() == ["deep", "deep/real", "kept"]
                assert archive.getmember("kept").isreg()
        await aws.run("job-2", OutputDataConfig={"S3OutputPath": "s3://results/n", "CompressionType": "NONE"})
        keys = await aws.keys("results", "n/job-2/output/model")
        assert keys == ["n/job-2/output/model/deep/real", "n/job-2/output/model/kept"]
    assert "model/file is not taken: it leads out of its folder" in caplog.text
    assert "model/pipe is not taken" in caplog.text


@pytest.mark.parametrize("name", ["model", "output/data", "output", "checkpoints"])
async def test_a_folder_that_became_a_link_gives_nothing_away(tmp_path: Path, name: str) -> None:
    (tmp_path / "data").mkdir()
    for folder in (tmp_path, tmp_path / "data"):
        (folder / "key").write_text("SECRET")
    source = f"""
        import shutil
        folder = pathlib.Path(os.environ['SAGEMAKER_BASE_DIR'], {name!r})
        shutil.rmtree(folder)
        folder.symlink_to({str(tmp_path)!r})
    """
    async with embedded(source) as aws:
        await aws.run("job-1", CheckpointConfig={"S3Uri": "s3://results/ck"})
        assert await aws.keys("results") == ["jobs/job-1/output/model.tar.gz"]
        assert await aws.artifact("job-1") == {}
    assert (tmp_path / "key").read_text() == "SECRET"


async def test_a_link_as_failure_file_is_not_shown() -> None:
    source = "pathlib.Path(os.environ['SM_OUTPUT_DIR'], 'failure').symlink_to('/etc/passwd'); sys.exit(1)"
    async with embedded(source) as aws:
        assert (await aws.run("job-1"))["FailureReason"] == "AlgorithmError: , exit code: 1"


async def test_links_in_the_checkpoints_are_not_followed_while_it_runs(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("SECRET")
    source = f"""
        folder = pathlib.Path(os.environ['SAGEMAKER_BASE_DIR'], 'checkpoints')
        (folder / 'a-file').symlink_to({str(tmp_path / "key")!r})
        (folder / 'b-folder').symlink_to({str(tmp_path)!r})
        (folder / 'real').write_text('1')
        time.sleep(600)
    """
    async with embedded(source) as aws:
        await aws.create("job-1", CheckpointConfig={"S3Uri": "s3://results/ck"})
        assert await eventually(lambda: aws.keys("results")) == ["ck/real"]
        await aws.stop("job-1")
        await aws.until("job-1")
        assert await aws.keys("results", "ck") == ["ck/real"]


async def test_an_unreadable_model_fails_the_upload_in_words() -> None:
    source = "p = pathlib.Path(os.environ['SM_MODEL_DIR'], 'x'); p.write_text('1'); p.chmod(0)"
    async with embedded(source) as aws:
        job = await aws.run("job-1")
        if os.geteuid():
            assert job["FailureReason"].startswith(
                "ClientError: Artifact upload failed:[Errno 13] Permission denied"
            )


async def test_a_file_name_that_is_no_utf_8_fails_the_upload_in_words() -> None:
    source = "(pathlib.Path(os.environ['SAGEMAKER_BASE_DIR'], 'checkpoints') / '\\udcff').write_text('1')"
    async with embedded(source) as aws:
        job = await aws.run("job-1", CheckpointConfig={"S3Uri": "s3://results/ck"})
        assert "is no UTF-8" in job["FailureReason"]


async def test_a_gzip_may_not_unpack_to_more_than_the_volume() -> None:
    async with embedded("pass") as aws:
        piece = gzip.compress(bytes(64 * 1024**2), 9)
        await aws.put("data", bomb_dot_gz=piece * 17)
        packed = channel("ch", "s3://data/bomb", CompressionType="Gzip")
        job = await aws.run("job-1", channels={"ch": packed})
        assert job["FailureReason"].startswith(
            "ClientError: Data download failed:channel ch: [Errno 28] No space left"
        )


async def test_a_deeply_nested_manifest_fails_the_job_only() -> None:
    async with embedded("pass") as aws:
        await aws.put("data", list=b"[" * 200_000)
        listed = channel("ch", "s3://data/list", S3DataType="ManifestFile")
        job = await aws.run("job-1", channels={"ch": listed})
        assert "is no manifest" in job["FailureReason"]


@pytest.mark.parametrize(
    "content", [{"prefix": 5}, {"prefix": "s3://moto-api/x"}, {"prefix": "file:///etc/"}, "s3://data/"]
)
async def test_a_manifest_names_buckets_only(content: object) -> None:
    async with embedded("pass") as aws:
        await aws.put("data", list=json.dumps([content, "passwd"]).encode())
        listed = channel("ch", "s3://data/list", S3DataType="ManifestFile")
        job = await aws.run("job-1", channels={"ch": listed})
        assert job["FailureReason"].startswith(
            "ClientError: Data download failed:s3://data/list is no manifest"
        )


async def test_the_users_folder_is_never_left(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    outside, home = tmp_path / "outside", tmp_path / "s3"
    outside.mkdir()
    (outside / "key").write_text("SECRET")
    (home / "data").mkdir(parents=True)
    (home / "linked").symlink_to(outside)
    (home / "data" / "file").symlink_to(outside / "key")
    (home / "data" / "folder").symlink_to(outside)
    (home / "data" / "inner").symlink_to("real")
    (home / "data" / "real").write_text("1")
    os.mkfifo(home / "data" / "pipe")
    async with embedded(s3=home) as aws:
        assert await aws.keys("data") == ["real"]
        with pytest.raises(ClientError, match="NoSuchBucket"):
            await aws.keys("linked")
        await aws.put("linked", key=b"evil", new=b"evil")
        for key in (
            "file",
            "folder/key",
            "folder/new",
            "inner",
            "pipe",
            "../x",
            "../../x",
            "/x",
            "a//b",
            "a/../../x",
        ):
            await aws.s3.put_object(Bucket="data", Key=key, Body=b"evil")
        for key in ("both", "both/below", "fine"):
            await aws.s3.put_object(Bucket="data", Key=key, Body=b"new")
    assert {path.name: path.read_text() for path in outside.iterdir()} == {"key": "SECRET"}
    assert (home / "data" / "real").read_text() == "1"
    assert (home / "data" / "fine").read_text() == "new"
    assert {path.name for path in tmp_path.iterdir()} == {"outside", "s3"}
    for key in ("linked/key", "data/file", "data/folder/new", "data/inner", "data/pipe", "data/../x"):
        assert f"s3://{key} is not kept" in caplog.text
