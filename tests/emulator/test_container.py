"""The training container contract: what a job finds, and what becomes of what it writes."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from typing import Any

import pytest

from tests.emulator.helpers import Aws, channel, embedded, eventually

TREE = """
    for host in sorted(pathlib.Path(os.environ['SAGEMAKER_BASE_DIR'], 'input', 'data').rglob('*')):
        if host.is_file():
            data = os.environ['SAGEMAKER_BASE_DIR'] + '/input/data/'
            print(os.environ['SM_CURRENT_HOST'], str(host).removeprefix(data), host.read_text())
"""
TELL = "print(json.dumps(dict(os.environ)))"
CONFIG = """
    folder = pathlib.Path(os.environ['SM_INPUT_CONFIG_DIR'])
    print(json.dumps({path.stem: json.loads(path.read_text()) for path in folder.iterdir()}))
"""


def instances(count: int) -> dict[str, Any]:
    return {"InstanceType": "ml.m5.large", "InstanceCount": count, "VolumeSizeInGB": 1}


async def told(aws: Aws, name: str) -> dict[str, Any]:
    """What the job printed as JSON."""
    answer: dict[str, Any] = json.loads((await aws.lines(name))[0])
    return answer


async def test_configuration_files_say_what_the_job_is() -> None:
    async with embedded(CONFIG) as aws:
        await aws.put("data", train__a_dot_csv=b"1")
        await aws.run(
            "job-1",
            channels={"train": channel("train", "s3://data/train", ContentType="text/csv")},
            parameters={"k": "10", "note": "a b"},
        )
        files = await told(aws, "job-1")
        assert files["hyperparameters"] == {"k": "10", "note": "a b"}
        assert files["inputdataconfig"] == {
            "train": {
                "ContentType": "text/csv",
                "TrainingInputMode": "File",
                "S3DistributionType": "FullyReplicated",
                "RecordWrapperType": "None",
            }
        }
        assert files["resourceconfig"]["current_host"] == "algo-1"
        assert files["resourceconfig"]["hosts"] == ["algo-1"]


async def test_the_environment_is_that_of_a_training_container() -> None:
    async with embedded(TELL) as aws:
        await aws.put("data", x=b"1")
        await aws.run(
            "Job-1",
            channels={"my-train": "s3://data/x"},
            parameters={"batch-size": "5"},
            Environment={"COLOUR": "blue"},
        )
        found = await told(aws, "Job-1")
        base = found["SAGEMAKER_BASE_DIR"]
        expected = {
            "TRAINING_JOB_NAME": "Job-1",
            "TRAINING_JOB_ARN": "arn:aws:sagemaker:us-east-1:123456789012:training-job/job-1",
            "SM_MODEL_DIR": f"{base}/model",
            "SM_OUTPUT_DATA_DIR": f"{base}/output/data",
            "SM_CHANNEL_MY_TRAIN": f"{base}/input/data/my-train",
            "SM_CHANNELS": '["my-train"]',
            "SM_HPS": '{"batch-size": "5"}',
            "SM_HP_BATCH_SIZE": "5",
            "SM_HOSTS": '["algo-1"]',
            "SM_CURRENT_HOST": "algo-1",
            "SM_NUM_GPUS": "0",
            "COLOUR": "blue",
            "AWS_ENDPOINT_URL": aws.cloud.url,
            "AWS_REGION": "us-east-1",
        }
        assert expected.items() <= found.items()


async def test_none_of_the_servers_own_secrets_reaches_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    async with embedded(TELL) as aws:
        monkeypatch.setenv("AWS_SESSION_TOKEN", "secret")
        monkeypatch.setenv("AWS_PROFILE", "production")
        monkeypatch.setenv("GITHUB_TOKEN", "secret")
        await aws.run("job-1")
        found = await told(aws, "job-1")
        assert "secret" not in found.values()
        assert "AWS_PROFILE" not in found
        assert found["AWS_SHARED_CREDENTIALS_FILE"] == "/dev/null"


async def test_network_isolation_withholds_cloud_and_credentials() -> None:
    async with embedded(TELL) as aws:
        await aws.run("job-1", EnableNetworkIsolation=True)
        found = await told(aws, "job-1")
        assert not {"AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} & found.keys()


@pytest.mark.parametrize(
    ("uri", "files"),
    [
        ("s3://data/a", ["ch/one.csv 1", "ch/sub/two.csv 2"]),
        ("s3://data/a/", ["ch/one.csv 1", "ch/sub/two.csv 2"]),
        ("s3://data/a/one.csv", ["ch/one.csv 1"]),
        ("s3://data/a/su", ["ch/sub/two.csv 2"]),
        ("s3://data", ["ch/a/one.csv 1", "ch/a/sub/two.csv 2", "ch/b.csv 3"]),
    ],
)
async def test_a_prefix_names_files_by_what_follows_it(uri: str, files: list[str]) -> None:
    async with embedded(TREE) as aws:
        await aws.put("data", a__one_dot_csv=b"1", a__sub__two_dot_csv=b"2", b_dot_csv=b"3")
        await aws.s3.put_object(Bucket="data", Key="a/", Body=b"")
        job = await aws.run("job-1", channels={"ch": uri})
        assert job["TrainingJobStatus"] == "Completed"
        assert await aws.lines("job-1") == [f"algo-1 {line}" for line in files]


async def test_every_instance_gets_a_replicated_channel_and_its_share_of_a_sharded_one() -> None:
    async with embedded(TREE) as aws:
        await aws.put("data", s__0=b"0", s__1=b"1", s__2=b"2", all=b"all")
        sharded = channel("s", "s3://data/s/", S3DataDistributionType="ShardedByS3Key")
        await aws.run("job-1", channels={"s": sharded, "r": "s3://data/all"}, ResourceConfig=instances(2))
        assert sorted(await aws.lines("job-1")) == [
            "algo-1 r/all all",
            "algo-1 s/0 0",
            "algo-1 s/2 2",
            "algo-2 r/all all",
            "algo-2 s/1 1",
        ]


async def test_a_manifest_lists_the_files() -> None:
    async with embedded(TREE) as aws:
        manifest = json.dumps([{"prefix": "s3://data/some/"}, "x/1", "2"]).encode()
        await aws.put("data", some__x__1=b"one", some__2=b"two", some__3=b"three", list=manifest)
        listed = channel("ch", "s3://data/list", S3DataType="ManifestFile")
        await aws.run("job-1", channels={"ch": listed})
        assert await aws.lines("job-1") == ["algo-1 ch/2 two", "algo-1 ch/x/1 one"]


async def test_a_broken_manifest_fails_the_job_in_words() -> None:
    async with embedded(TREE) as aws:
        await aws.put("data", list=b"{}")
        listed = channel("ch", "s3://data/list", S3DataType="ManifestFile")
        job = await aws.run("job-1", channels={"ch": listed})
        assert job["FailureReason"].startswith(
            "ClientError: Data download failed:s3://data/list is no manifest"
        )


async def test_gzip_is_unpacked() -> None:
    async with embedded(TREE) as aws:
        await aws.put("data", a_dot_csv_dot_gz=gzip.compress(b"rows"))
        await aws.run("job-1", channels={"ch": channel("ch", "s3://data/a", CompressionType="Gzip")})
        assert await aws.lines("job-1") == ["algo-1 ch/a.csv rows"]


async def test_what_is_no_gzip_fails_the_job() -> None:
    async with embedded(TREE) as aws:
        await aws.put("data", a=b"rows")
        job = await aws.run("job-1", channels={"ch": channel("ch", "s3://data/a", CompressionType="Gzip")})
        assert job["FailureReason"].startswith(
            "ClientError: Data download failed:channel ch: Not a gzipped file"
        )


@pytest.mark.parametrize("key", ["../../../../../evil", "a/../../evil", "..", "a//b", "a/./b"])
async def test_a_key_never_escapes_the_channels_folder(key: str) -> None:
    async with embedded(TREE) as aws:
        await aws.put("data", list=json.dumps([{"prefix": "s3://data/t/"}, key]).encode())
        await aws.s3.put_object(Bucket="data", Key=f"t/{key}", Body=b"evil")
        manifest = channel("ch", "s3://data/list", S3DataType="ManifestFile")
        for name, source in (("prefix", channel("ch", "s3://data/t/")), ("manifest", manifest)):
            job = await aws.run(name, channels={"ch": source})
            reason = f"ClientError: Data download failed:the key {key} is no safe file name"
            assert job["FailureReason"] == reason


async def test_a_checkpoint_key_never_escapes_its_folder() -> None:
    async with embedded("pass") as aws:
        await aws.put("data")
        await aws.s3.put_object(Bucket="data", Key="c/../../evil", Body=b"evil")
        job = await aws.run("job-1", CheckpointConfig={"S3Uri": "s3://data/c"})
        reason = "ClientError: Data download failed:the key ../../evil is no safe file name"
        assert job["FailureReason"] == reason


async def test_several_instances_know_each_other_and_have_a_stream_each() -> None:
    source = """
        here = os.environ['SM_CURRENT_HOST']
        print(here, os.environ['SM_HOSTS'])
        pathlib.Path(os.environ['SM_MODEL_DIR'], 'from').write_text(here)
    """
    async with embedded(source) as aws:
        await aws.run("job-1", ResourceConfig=instances(3))
        hosts = '["algo-1", "algo-2", "algo-3"]'
        assert sorted(await aws.lines("job-1")) == [f"algo-{n} {hosts}" for n in (1, 2, 3)]
        streams = sorted({event["logStreamName"].rpartition("-")[0] for event in await aws.events("job-1")})
        assert streams == ["job-1/algo-1", "job-1/algo-2", "job-1/algo-3"]
        assert await aws.artifact("job-1") == {"from": b"algo-1"}


async def test_one_failed_instance_fails_the_job_and_halts_the_others() -> None:
    source = "sys.exit(9) if os.environ['SM_CURRENT_HOST'] == 'algo-2' else time.sleep(600)"
    async with embedded(source) as aws:
        job = await aws.run("job-1", ResourceConfig=instances(3))
        assert job["FailureReason"] == "AlgorithmError: , exit code: 9"


async def test_checkpoints_come_back_at_the_start_and_go_out_while_it_runs() -> None:
    source = """
        folder = pathlib.Path(os.environ['SAGEMAKER_BASE_DIR'], 'checkpoints')
        print((folder / 'deep' / 'old').read_text())
        (folder / 'new').write_text('step 2')
        time.sleep(600)
    """
    async with embedded(source) as aws:
        await aws.put("state", run__deep__old=b"step 1")
        await aws.create("job-1", CheckpointConfig={"S3Uri": "s3://state/run"})
        await aws.printed("job-1", "step 1")

        async def uploaded() -> bool:
            return "run/new" in await aws.keys("state")

        assert await eventually(uploaded)
        assert (await aws.describe("job-1"))["SecondaryStatus"] == "Training"


async def test_output_data_is_uploaded_even_of_a_failed_job() -> None:
    source = "pathlib.Path(os.environ['SM_OUTPUT_DATA_DIR'], 'plot').write_text('*'); sys.exit(1)"
    async with embedded(source) as aws:
        await aws.run("job-1")
        assert await aws.keys("results") == ["jobs/job-1/output/output.tar.gz"]
        assert await aws.artifact("job-1", "output.tar.gz") == {"plot": b"*"}


async def test_an_uncompressed_model_is_a_folder() -> None:
    source = "pathlib.Path(os.environ['SM_MODEL_DIR'], 'weights').write_text('42')"
    output = {"S3OutputPath": "s3://results/jobs/", "CompressionType": "NONE"}
    async with embedded(source) as aws:
        job = await aws.run("job-1", OutputDataConfig=output)
        assert job["ModelArtifacts"]["S3ModelArtifacts"] == "s3://results/jobs/job-1/output/model/"
        assert await aws.get("results", "jobs/job-1/output/model/weights") == b"42"


async def test_a_link_out_of_the_model_folder_is_not_followed() -> None:
    source = """
        model = pathlib.Path(os.environ['SM_MODEL_DIR'])
        (model / 'real').write_text('x')
        (model / 'inner').symlink_to('real')
        (model / 'outer').symlink_to('/etc/hostname')
    """
    async with embedded(source) as aws:
        await aws.run("job-1")
        content = await aws.get("results", "jobs/job-1/output/model.tar.gz")
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            assert archive.getnames() == ["inner", "real"]


async def test_a_missing_output_bucket_fails_the_job_at_upload() -> None:
    async with embedded("pass") as aws:
        job = await aws.run("job-1", OutputDataConfig={"S3OutputPath": "s3://nowhere/x"})
        assert job["FailureReason"] == (
            "ClientError: Artifact upload failed:The specified bucket does not exist"
            " (s3://nowhere/x/job-1/output/model.tar.gz)"
            " (Embedded cloud: make the bucket first, or bring it with --local-folder.)"
        )


async def test_a_job_that_can_not_be_started_says_so() -> None:
    async with embedded(images={"job": "true"}) as aws:
        await aws.put("data", x=b"1")
        # A variable that the kernel will not take: longer than an argument may be.
        job = await aws.run(
            "job-1", Environment={"BIG": "x" * 512}, parameters={f"p{n}": "y" * 2500 for n in range(90)}
        )
        assert job["FailureReason"] == "AlgorithmError: , exit code: 127"
        assert "can't be started: " in (await aws.lines("job-1"))[0]


async def test_the_users_command_runs_where_the_server_was_started() -> None:
    async with embedded("print(os.getcwd())") as aws:
        await aws.run("job-1")
        assert await aws.lines("job-1") == [os.getcwd()]  # noqa: PTH109
