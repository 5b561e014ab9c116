"""What a request, an object or a container could make grow without end: each has a bound, and says so."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from botocore.exceptions import ClientError

from components.aws.embedded.cloud import Journal
from components.aws.embedded.errors import ApiError
from components.aws.embedded.machine.space import Space
from components.aws.embedded.s3.objects import Objects
from components.aws.embedded.sagemaker import channels
from components.aws.embedded.sagemaker.hosting import seats
from components.aws.embedded.sagemaker.hosting.seats import Seats
from components.aws.embedded.sagemaker.hosting.serving import Server
from runner.emulation import archives
from runner.emulation import journal as journal_module
from runner.emulation.archives import unpack
from runner.emulation.paths import UnsafeKeyError
from tests.emulator.helpers import ENDED, ROLE, channel, embedded, eventually
from tests.emulator.serving_kit import Hosting, archive, hosting, lasting, server
from tests.emulator.tuning_helpers import ended, tune, tuning_request

ROOMY = {"VolumeSizeInGB": 0.001, "InstanceCount": 1}
CLAIM = 3 * 1024**3


def sparse(size: int) -> bytes:
    """A tar.gz of one file in GNU's old sparse format: it holds nothing and claims `size` bytes."""
    header = bytearray(512)

    def put(place: int, number: int, width: int) -> None:
        header[place : place + width] = b"%0*o\0" % (width - 1, number)

    header[0:5] = b"model"
    for place, number, width in (
        (100, 0o644, 8),
        (124, 0, 12),
        (386, size, 12),
        (398, 0, 12),
        (483, size, 12),
    ):
        put(place, number, width)
    header[156:157], header[257:265], header[148:156] = b"S", b"ustar  \0", b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return gzip.compress(bytes(header) + bytes(1024))


def newer_sparse(size: int) -> bytes:
    """The same as pax has it."""
    member = tarfile.TarInfo("GNUSparseFile.0/model")
    member.pax_headers = {
        "GNU.sparse.size": str(size),
        "GNU.sparse.map": f"0,0,{size},0",
        "GNU.sparse.name": "model",
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", format=tarfile.PAX_FORMAT) as file:
        file.addfile(member)
    return packed.getvalue()


@pytest.mark.parametrize("content", [sparse(CLAIM), newer_sparse(CLAIM)], ids=["old", "pax"])
def test_a_sparse_file_is_not_unpacked(tmp_path: Path, content: bytes) -> None:
    assert len(content) < 300
    with pytest.raises(UnsafeKeyError, match="'model' is a sparse file"):
        unpack(io.BytesIO(content), tmp_path, Space({"VolumeSizeInGB": 5, "InstanceCount": 1}, tmp_path))
    assert not list(tmp_path.iterdir())


def test_what_is_written_counts_and_not_the_padding(tmp_path: Path) -> None:
    content = archive(a=bytes(400_000), b=bytes(600_000))
    unpack(io.BytesIO(content), tmp_path, Space(ROOMY, tmp_path))
    with pytest.raises(OSError, match="No space left"):
        unpack(io.BytesIO(archive(c=bytes(2_000_000))), tmp_path, Space(ROOMY, tmp_path))
    assert (tmp_path / "c").stat().st_size <= 1024**2


@pytest.mark.parametrize("before", [0, 1])
def test_a_headers_length_has_a_bound(tmp_path: Path, before: int) -> None:
    member = tarfile.TarInfo("a" * (archives.LONGEST_HEADER + 20_000))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", format=tarfile.PAX_FORMAT) as file:
        for _ in range(before):
            file.addfile(tarfile.TarInfo("first"))
        file.addfile(member)
    with pytest.raises(OSError, match="a header is longer than"):
        unpack(io.BytesIO(packed.getvalue()), tmp_path, Space(ROOMY, tmp_path))


def test_the_number_of_files_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MOST_MEMBERS", 3)
    unpack(io.BytesIO(archive(a=b"", b=b"")), tmp_path, Space(ROOMY, tmp_path))
    with pytest.raises(OSError, match="more than 3 files"):
        unpack(io.BytesIO(archive(a=b"", b=b"", c=b"", d=b"")), tmp_path, Space(ROOMY, tmp_path))


async def test_a_cancelled_job_leaves_no_thread_unpacking(tmp_path: Path) -> None:
    space, begun = Space(ROOMY, tmp_path), asyncio.Event()
    loop, taken = asyncio.get_running_loop(), asyncio.Event()

    def work() -> None:
        loop.call_soon_threadsafe(begun.set)
        try:
            while True:
                space.take(0)
        finally:
            loop.call_soon_threadsafe(taken.set)

    task = asyncio.create_task(space.filled(work))
    await begun.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    await asyncio.wait_for(taken.wait(), 5)
    assert taken.is_set(), "the thread has ended, too"


async def test_a_manifest_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "LONGEST_MANIFEST", 50)
    async with embedded("pass") as aws:
        await aws.put("data", list=json.dumps([{"prefix": "s3://data/"}, *"abcdefgh"]).encode())
        job = await aws.run(
            "job-1", channels={"ch": channel("ch", "s3://data/list", S3DataType="ManifestFile")}
        )
        assert "too long for a manifest" in job["FailureReason"]


WIDE = [{"Name": f"c{number}", "Values": [str(value) for value in range(30)]} for number in range(3)]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"ResourceLimits": {"MaxNumberOfTrainingJobs": 200, "MaxParallelTrainingJobs": 101}},
            "at most 100 training jobs at a time, these are 101",
        ),
        (
            {"ResourceLimits": {"MaxNumberOfTrainingJobs": 751, "MaxParallelTrainingJobs": 2}},
            "at most 750 training jobs, these are 751",
        ),
        (
            {
                "Strategy": "Grid",
                "ResourceLimits": {"MaxParallelTrainingJobs": 2},
                "ParameterRanges": {"CategoricalParameterRanges": WIDE},
            },
            "at most 750 combinations, these are 27000",
        ),
    ],
)
async def test_a_search_has_awss_quotas(changes: dict[str, Any], text: str) -> None:
    async with embedded("pass") as aws:
        with pytest.raises(ClientError, match=text) as caught:
            await aws.sagemaker.create_hyper_parameter_tuning_job(**tuning_request(**changes))
        assert caught.value.response["Error"]["Code"] == "ResourceLimitExceeded"


async def test_a_search_has_no_more_tasks_than_jobs_at_a_time() -> None:
    async with embedded("time.sleep(600)", capacity=1) as aws:
        before = len(asyncio.all_tasks())
        limits = {"MaxNumberOfTrainingJobs": 700, "MaxParallelTrainingJobs": 2}
        await tune(aws, ResourceLimits=limits)
        assert len(asyncio.all_tasks()) - before < 20
        await aws.sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName="tune")
        assert (await ended(aws))["HyperParameterTuningJobStatus"] == "Stopped"


def test_seats_become_fewer_and_run_out() -> None:
    free = Seats(20)
    assert free.take([9]) == [4]
    assert free.take([1, 2, 3]) == [1, 2, 2]
    assert free.take([4, 4, 4]) == [1, 1, 1]
    with pytest.raises(ApiError, match="at most 20 serving processes at a time: 12 are in use, and 9 more"):
        free.take([1] * 9)
    free.give_back(4)
    assert len(free.take([1] * 9)) == 9


async def _transform(cloud: Hosting, name: str, **more: Any) -> None:
    await cloud.sagemaker.create_transform_job(
        **{
            "TransformJobName": name,
            "ModelName": "echo",
            "TransformInput": {
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://data/"}},
                "SplitType": "Line",
            },
            "TransformOutput": {"S3OutputPath": f"s3://results/{name}"},
            "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
        }
        | more
    )


async def _status(cloud: Hosting, name: str, *words: str) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        job: dict[str, Any] = await cloud.sagemaker.describe_transform_job(TransformJobName=name)
        return job if job["TransformJobStatus"] in (words or ENDED) else None

    found: dict[str, Any] = await eventually(look)
    return found


async def test_serving_processes_have_one_bound_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seats.Seats.__init__, "__defaults__", (2,))

    async def refusal(call: Any) -> str:
        with pytest.raises(ClientError, match="serving processes") as caught:
            await call
        return str(caught.value.response["Error"]["Code"])

    async with hosting(images={"echo": server(), "other": server()}) as cloud:
        await cloud.aws.put("data", a=b"a")
        await cloud.model("echo")
        found = await cloud.deploy("one", {"ModelName": "echo", "InitialInstanceCount": 3})
        assert found["EndpointStatus"] == "InService"
        assert len(await cloud.pids("one")) == 1
        await cloud.deploy("two", "echo")
        await cloud.config("three", "echo")
        assert await refusal(cloud.create("three", "three")) == "ResourceLimitExceeded"
        update = cloud.sagemaker.update_endpoint(EndpointName="one", EndpointConfigName="three")
        assert await refusal(update) == "ResourceLimitExceeded"
        assert await refusal(_transform(cloud, "job")) == "ResourceLimitExceeded"
        assert (await cloud.describe("one"))["EndpointStatus"] == "InService"
        await cloud.delete("two")
        await _transform(cloud, "job")
        assert (await _status(cloud, "job"))["TransformJobStatus"] == "Completed"

        async def free() -> bool:  # once the job's folder is gone, too
            try:
                await cloud.create("three", "three")
            except ClientError:
                return False
            return True

        await eventually(free)
        assert (await cloud.settled("three"))["EndpointStatus"] == "InService"


async def test_of_many_records_only_a_few_are_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks: list[int] = []
    invoke = Server.invoke

    async def counting(*arguments: Any) -> Any:
        tasks.append(len(asyncio.all_tasks()))
        return await invoke(*arguments)

    monkeypatch.setattr(Server, "invoke", counting)
    rows = b"".join(b"%d\n" % number for number in range(400))
    async with hosting(
        images={"echo": lasting("time.sleep(0.001 * (int(body) % 3))\nreturn 200, body")}
    ) as cloud:
        await cloud.aws.put("data", a=rows)
        await cloud.model("echo")
        await _transform(
            cloud,
            "job",
            BatchStrategy="SingleRecord",
            MaxConcurrentTransforms=5,
            TransformOutput={"S3OutputPath": "s3://results/job", "AssembleWith": "Line"},
        )
        assert (await _status(cloud, "job"))["TransformJobStatus"] == "Completed"
        assert await cloud.aws.get("results", "job/a.out") == rows
    assert len(tasks) == 400
    assert max(tasks) < 60


async def test_a_container_can_not_have_everything_asked_at_once() -> None:
    greedy = server("def parameters():\n    return {'MaxConcurrentTransforms': 10**9, 'MaxPayloadInMB': 20}")
    async with hosting(images={"echo": greedy}) as cloud:
        await cloud.aws.put("data", a=b"a")
        await cloud.model("echo")
        await _transform(cloud, "job")
        await _status(cloud, "job")
        answer = await cloud.aws.logs.filter_log_events(
            logGroupName="/aws/sagemaker/TransformJobs", filterPattern="MaxConcurrentTransforms"
        )
        assert "MaxConcurrentTransforms=5,MaxPayloadInMB=20" in answer["events"][0]["message"].replace(
            " ", ""
        )


async def test_a_stop_while_output_is_stored_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    put, storing, go_on = Objects.put, asyncio.Event(), asyncio.Event()

    async def slow(self: Objects, bucket: str, key: str, content: bytes) -> None:
        await put(self, bucket, key, content)
        if key.endswith(".out"):
            storing.set()
            await go_on.wait()

    monkeypatch.setattr(Objects, "put", slow)
    async with hosting(images={"echo": server()}) as cloud:
        await cloud.aws.put("data", a=b"a", b=b"b")
        await cloud.model("echo")
        await _transform(cloud, "job")
        await storing.wait()
        assert await cloud.aws.keys("results") == ["job/a.out"]
        await cloud.sagemaker.stop_transform_job(TransformJobName="job")
        assert (await _status(cloud, "job", "Stopping"))["TransformJobStatus"] == "Stopping"
        go_on.set()
        job = await _status(cloud, "job")
        assert job["TransformJobStatus"] == "Stopped"
        assert "FailureReason" not in job
        assert await cloud.aws.keys("results") == []


def test_the_journal_keeps_short_bodies_and_the_size_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal()
    journal.add("s", "Short", {"a": [1, None, "ä"]}, 20, 200, 0.0)
    journal.add("s", "Long", {"a": "x" * 100_000}, 100_008, 400, 0.0)
    journal.add("s", "Escaped", {"a": "ä" * 30_000}, 60_008, 400, 0.0)
    journal.add("logs", "PutLogEvents", {"g": "x", "logEvents": ["x" * 100_000]}, 100_000, 200, 0.0)
    bodies = [call.body for call in journal.entries]
    assert bodies == [
        {"a": [1, None, "ä"]},
        {"(bytes)": 100_008},
        {"(bytes)": 180_009},
        {"g": "x", "logEvents": 1},
    ]
    monkeypatch.setattr(journal_module, "BYTES", 1000)
    for number in range(10):
        journal.add("s", f"Call{number}", {"a": "x" * 300}, 310, 200, 0.0)
    assert [call.operation for call in journal.entries] == ["Call7", "Call8", "Call9"]


async def test_a_long_body_is_told_by_its_size_and_not_repeated_in_whole() -> None:
    async with embedded("pass") as aws:
        with pytest.raises(ClientError) as caught:
            await aws.create("x" * 100_000, Environment={"A": "x"})
        assert len(caught.value.response["Error"]["Message"]) < 10_000
        (call,) = [call for call in aws.cloud.calls if call.operation == "CreateTrainingJob"]
        assert list(call.body) == ["(bytes)"]
        assert call.body["(bytes)"] > 100_000


async def test_a_form_has_so_many_fields() -> None:
    async with embedded("pass") as aws, aiohttp.ClientSession(aws.cloud.url) as http:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        async with http.post("/", data=b"a=1&" * 10_001, headers=headers) as answer:
            assert answer.status == 413


LINKS = """
    model = pathlib.Path(os.environ['SM_MODEL_DIR'])
    (model / 'blobs').mkdir()
    (model / 'blobs' / '1a2b').write_text('weights')
    (model / 'snapshots').mkdir()
    (model / 'snapshots' / 'model.bin').symlink_to('../blobs/1a2b')
    (model / 'chained').symlink_to('snapshots/model.bin')
    os.link(model / 'blobs' / '1a2b', model / 'hard')
    (model / 'latest').symlink_to('snapshots')
    (model / 'self').symlink_to('.')
    (model / 'outside').symlink_to('/etc/hostname')
"""
SHOWS = lasting("""
    paths = sorted(path for path in (base / 'model').rglob('*') if path.is_file())
    links = [str(path) for path in (base / 'model').rglob('*') if path.is_symlink()]
    files = {str(path.relative_to(base / 'model')): path.read_text() for path in paths}
    return 200, json.dumps({'files': files, 'links': links}).encode()
""")


async def test_a_model_made_of_links_can_be_served(caplog: pytest.LogCaptureFixture) -> None:
    async with hosting(images={"job": _job(), "shows": SHOWS}) as cloud:
        job = await cloud.aws.run("train")
        artifacts = job["ModelArtifacts"]["S3ModelArtifacts"]
        await cloud.model("shows", ModelDataUrl=artifacts)
        assert (await cloud.deploy("shows", "shows"))["EndpointStatus"] == "InService"
        shown = json.loads(await cloud.invoke("shows"))
        names = ["blobs/1a2b", "chained", "hard", "latest/model.bin", "self/blobs/1a2b", "self/hard"]
        own = dict.fromkeys(["snapshots/model.bin", *names], "weights")
        assert shown == {"files": own, "links": []} | {"files": shown["files"]}
        assert own.items() <= shown["files"].items()
        assert "outside" not in shown["files"]
        await cloud.aws.run(
            "loose", OutputDataConfig={"S3OutputPath": "s3://results/n", "CompressionType": "NONE"}
        )
        prefix = "n/loose/output/model/"
        keys = {key.removeprefix(prefix) for key in await cloud.aws.keys("results", prefix)}
        assert {"snapshots/model.bin", "hard", "chained"} <= keys
    assert "model/outside is not taken" in caplog.text


def _job() -> str:
    from tests.emulator.helpers import script

    return script(LINKS)


async def test_names_that_differ_in_case_only_are_one() -> None:
    async with hosting(images={"job": "sleep 600"}) as cloud:
        await cloud.model("Aa", "job")
        with pytest.raises(ClientError, match="Cannot create already existing model"):
            await cloud.model("aA", "job")
        await cloud.sagemaker.delete_model(ModelName="Aa")
        await cloud.model("aA", "job")
        await cloud.aws.create("Job")
        with pytest.raises(ClientError, match="ResourceInUse"):
            await cloud.aws.create("jOB")
        await cloud.deploy("End", {"ModelName": "kfp-runner-samples-digits"})
        with pytest.raises(ClientError, match="Cannot create already existing endpoint"):
            await cloud.create("eND", "End")


async def _ask(aws: Any, operation: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    headers = {"X-Amz-Target": f"SageMaker.{operation}", "Content-Type": "application/x-amz-json-1.1"}
    async with (
        aiohttp.ClientSession(aws.cloud.url) as http,
        http.post("/", json=body, headers=headers) as answer,
    ):
        return answer.status, await answer.json(content_type=None)


@pytest.mark.parametrize(
    "operation",
    [
        "ListTrainingJobs",
        "ListModels",
        "ListHyperParameterTuningJobs",
        "ListTransformJobs",
        "ListProcessingJobs",
    ],
)
async def test_times_may_be_text(operation: str) -> None:
    async with embedded("pass") as aws:
        await aws.run("job-1")
        for time in ("2020-01-01T00:00:00Z", "2020-01-01", "2020-01-01T00:00:00.5+02:00", 1577836800):
            status, answer = await _ask(aws, operation, {"CreationTimeAfter": time})
            assert status == 200, answer
        if operation == "ListTrainingJobs":
            assert len(answer["TrainingJobSummaries"]) == 1
            _, answer = await _ask(aws, operation, {"CreationTimeBefore": "2020-01-01T00:00:00Z"})
            assert answer["TrainingJobSummaries"] == []
        for time in ("yesterday", "", "9" * 400):
            status, answer = await _ask(aws, operation, {"CreationTimeAfter": time})
            assert (status, answer["__type"]) == (400, "SerializationException")


async def test_teams_jobs_are_listed_by_times_in_text() -> None:
    async with embedded("pass") as aws:
        arn = "arn:aws:sagemaker:us-east-1:123456789012:workteam/private-crowd/kfp-runner-samples"
        body = {"WorkteamArn": arn, "CreationTimeAfter": "2020-01-01T00:00:00Z"}
        assert (await _ask(aws, "ListLabelingJobsForWorkteam", body))[0] == 200
        body["CreationTimeAfter"] = "some day"
        status, answer = await _ask(aws, "ListLabelingJobsForWorkteam", body)
        assert (status, answer["__type"]) == (400, "SerializationException")


async def test_a_processing_job_has_no_verb() -> None:
    async with embedded(images={"tells": "echo said {verb} this"}) as aws:
        app = {"ImageUri": "tells", "ContainerArguments": ["more"]}
        cluster = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
        await aws.sagemaker.create_processing_job(
            ProcessingJobName="job-1",
            RoleArn=ROLE,
            AppSpecification=app,
            ProcessingResources={"ClusterConfig": cluster},
        )

        async def look() -> list[str]:
            rows = await aws.events("job-1", logGroupName="/aws/sagemaker/ProcessingJobs")
            return [row["message"] for row in rows]

        async def said() -> list[str]:
            try:
                return await look()
            except ClientError:
                return []

        assert await eventually(said) == ["said this more"]
        await aws.run("job-2", image="tells")
        assert await aws.lines("job-2") == ["said train this"]
