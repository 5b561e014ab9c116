"""`aws.sagemaker.stop` against the embedded AWS, over real sockets: jobs of several kinds that really run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from botocore.exceptions import ClientError

from components.aws.embedded.faults import Fault
from components.aws.errors import Denied
from components.aws.sagemaker._api import ENDPOINT, PROCESSING, TRAINING, TRANSFORM, TUNING, Kind
from components.aws.sagemaker.stop import component as stop
from runner.events import Phase, Status
from runner.identity import RUN_TAG, Identity
from runner.supervise import launched
from runner.testing import MemorySink
from tests.emulator.helpers import ROLE, Aws, embedded, eventually, script

FOREVER = "print('up', flush=True); time.sleep(600)"
SLOW = """
import http.server
time.sleep(1.5)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header('Content-Length', '0')
        self.end_headers()
    def log_message(self, *_):
        pass
port = int(os.environ.get('SAGEMAKER_BIND_TO_PORT', '8080'))
http.server.ThreadingHTTPServer(('127.0.0.1', port), Handler).serve_forever()
"""
WHERE = {"region": "us-east-1"}


def tags(run: str) -> dict[str, Any]:
    return {"Tags": [{"Key": RUN_TAG, "Value": run}]} if run else {}


@pytest.fixture
async def aws(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Aws]:
    async with embedded(FOREVER, images={"slow": script(SLOW)}, faults=True) as running:
        for name, value in running.cloud.environment.items():
            monkeypatch.setenv(name, value)
        yield running


async def carried_out(**given: Any) -> tuple[Status, list[str], MemorySink]:
    """Run the component as a step does; return its final status, what it stopped, and what it told."""
    inputs, sink = stop.StopInputs(**WHERE, **given), MemorySink()
    async with stop.connect(inputs, Identity(stop.ID)) as order, launched(order, [sink]) as run:
        status = await run.finished()
        stopped: list[str] = (await order.outputs()).stopped
    return status, stopped, sink


async def tuning_job(aws: Aws, name: str, run: str) -> None:
    await aws.sagemaker.create_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name,
        HyperParameterTuningJobConfig={
            "Strategy": "Random",
            "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "m"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 4, "MaxParallelTrainingJobs": 2},
            "ParameterRanges": {"IntegerParameterRanges": [{"Name": "k", "MinValue": "1", "MaxValue": "9"}]},
        },
        TrainingJobDefinition={
            "AlgorithmSpecification": {
                "TrainingImage": "job",
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "m", "Regex": "m=([0-9.]+)"}],
            },
            "RoleArn": ROLE,
            "OutputDataConfig": {"S3OutputPath": "s3://results/jobs"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        },
        **tags(run),
    )


async def processing_job(aws: Aws, name: str, run: str) -> None:
    await aws.sagemaker.create_processing_job(
        ProcessingJobName=name,
        ProcessingResources={
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
        },
        AppSpecification={"ImageUri": "job"},
        RoleArn=ROLE,
        **tags(run),
    )


async def endpoint(aws: Aws, name: str, run: str) -> None:
    """Make an endpoint whose container is slow to come up."""
    await aws.sagemaker.create_model(
        ModelName=name, PrimaryContainer={"Image": "slow"}, ExecutionRoleArn=ROLE, **tags(run)
    )
    variant = {"VariantName": "all", "ModelName": name, "InstanceType": "ml.m5.large"}
    await aws.sagemaker.create_endpoint_config(
        EndpointConfigName=name,
        ProductionVariants=[{**variant, "InitialInstanceCount": 1, "InitialVariantWeight": 1.0}],
        **tags(run),
    )
    await aws.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name, **tags(run))


async def transform_job(aws: Aws, name: str, run: str) -> None:
    """Make a batch transform whose container is slow to come up."""
    await aws.sagemaker.create_model(
        ModelName=name, PrimaryContainer={"Image": "slow"}, ExecutionRoleArn=ROLE
    )
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://data/in/"}
    await aws.sagemaker.create_transform_job(
        TransformJobName=name,
        ModelName=name,
        TransformInput={"DataSource": {"S3DataSource": source}},
        TransformOutput={"S3OutputPath": "s3://results/out"},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
        **tags(run),
    )


async def state(aws: Aws, kind: Kind, name: str) -> str:
    """What the service says of something; blank where there is none."""
    with suppress(ClientError):
        described = await getattr(aws.sagemaker, kind.method("describe"))(**{kind.name_key: name})
        return str(described[kind.status_key])
    return ""


async def becomes(aws: Aws, kind: Kind, name: str, word: str) -> None:
    async def look() -> bool:
        return await state(aws, kind, name) == word

    await eventually(look)


async def started(work: Any) -> None:
    """Skip the test where the embedded cloud does not know the kind."""
    try:
        await work
    except ClientError as error:
        if error.response["Error"]["Code"] == "NotImplementedByEmbeddedCloud":
            pytest.skip(str(error))
        raise


async def test_training_and_processing_jobs_of_a_run(aws: Aws) -> None:
    for name, run in (("mine-1", "run-1"), ("mine-2", "run-1"), ("other", "run-2"), ("nobodys", "")):
        await aws.create(name, **tags(run))
    await started(processing_job(aws, "mine-3", "run-1"))
    await started(processing_job(aws, "other-3", "run-2"))
    status, stopped, _ = await carried_out(run_id="run-1")
    assert (status.phase, stopped) == (Phase.SUCCEEDED, ["mine-1", "mine-2", "mine-3"])
    for name in ("mine-1", "mine-2"):
        await aws.until(name, "Stopped")
    await becomes(aws, PROCESSING, "mine-3", "Stopped")
    assert await state(aws, PROCESSING, "other-3") == "InProgress"
    assert [await state(aws, TRAINING, name) for name in ("other", "nobodys")] == ["InProgress"] * 2
    assert (await carried_out(run_id="run-1"))[1] == []


async def test_a_transform_job_of_a_run(aws: Aws) -> None:
    await aws.put("data", in__a=b"1")
    await started(transform_job(aws, "mine", "run-1"))
    status, stopped, _ = await carried_out(run_id="run-1")
    assert (status.phase, stopped) == (Phase.SUCCEEDED, ["mine"]), status.reason
    await becomes(aws, TRANSFORM, "mine", "Stopped")


async def test_a_tuning_job_takes_its_children_along(aws: Aws) -> None:
    await started(tuning_job(aws, "hpo", "run-1"))

    async def children() -> list[str]:
        answer = await aws.sagemaker.list_training_jobs(StatusEquals="InProgress")
        return [row["TrainingJobName"] for row in answer["TrainingJobSummaries"]]

    async def two() -> list[str] | None:
        names = await children()
        return names if len(names) == 2 else None

    names = await eventually(two)
    assert all(name.startswith("hpo-") for name in names)
    status, stopped, _ = await carried_out(run_id="run-1")
    assert (status.phase, stopped) == (Phase.SUCCEEDED, ["hpo"])
    await becomes(aws, TUNING, "hpo", "Stopped")
    assert await children() == []


async def test_an_endpoint_in_the_making_goes_with_its_configuration(aws: Aws) -> None:
    await started(endpoint(aws, "new", "run-1"))
    await started(endpoint(aws, "other", "run-2"))
    status, stopped, sink = await carried_out(run_id="run-1")
    assert (status.phase, stopped) == (Phase.SUCCEEDED, ["new"]), status.reason
    assert any("can't be deleted before that ends" in str(event) for event in sink.events)
    await becomes(aws, ENDPOINT, "new", "")
    with pytest.raises(ClientError):
        await aws.sagemaker.describe_endpoint_config(EndpointConfigName="new")
    await aws.sagemaker.describe_model(ModelName="new")
    assert await state(aws, ENDPOINT, "other") in {"Creating", "InService"}


async def test_an_endpoint_in_service_is_the_runs_product(aws: Aws) -> None:
    await started(endpoint(aws, "new", "run-1"))
    await becomes(aws, ENDPOINT, "new", "InService")
    status, stopped, sink = await carried_out(run_id="run-1")
    assert (status.phase, stopped) == (Phase.SUCCEEDED, []), status.reason
    assert any("endpoint new (InService) is the run's product" in str(event) for event in sink.events)
    assert await state(aws, ENDPOINT, "new") == "InService"


async def test_by_name(aws: Aws) -> None:
    await aws.create("one")
    await aws.create("two")
    status, stopped, sink = await carried_out(job_names="one,nobody")
    assert (status.phase, stopped) == (Phase.FAILED, ["one"])
    assert status.reason == "no job here is called nobody"
    assert any("no job here is called nobody" in str(event) for event in sink.events)
    await aws.until("one", "Stopped")
    assert await state(aws, TRAINING, "two") == "InProgress"


async def test_more_jobs_than_a_page_holds(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """The older ones, on the later pages, are the run's."""
    monkeypatch.setattr("components.aws.sagemaker.stop._search.PAGE", 2)
    await aws.create("mine", **tags("run-1"))
    for number in range(3):
        await aws.create(f"other-{number}", **tags("run-2"))
    assert (await carried_out(run_id="run-1"))[1] == ["mine"]
    assert [call.operation for call in aws.cloud.calls].count("ListTrainingJobs") == 4, "looked twice"


async def test_throttles_are_waited_out_and_refusals_told(aws: Aws) -> None:
    await aws.create("mine", **tags("run-1"))
    aws.cloud.faults.add(
        Fault("ListTrainingJobs", "throttle"),
        Fault("StopTrainingJob", "throttle"),
        Fault("StopTrainingJob", "error_after"),
        Fault("ListProcessingJobs", "access_denied"),
    )
    status, stopped, _ = await carried_out(run_id="run-1")
    assert (status.phase, stopped) == (Phase.FAILED, ["mine"])
    assert "could not look at processing jobs: SageMaker ListProcessingJobs was refused" in status.reason
    await aws.until("mine", "Stopped")


async def test_an_interrupted_order_is_finished(aws: Aws) -> None:
    await aws.create("mine", **tags("run-1"))
    task = asyncio.create_task(carried_out(run_id="run-1"))

    async def looking() -> bool:
        return any(call.operation == "ListTrainingJobs" for call in aws.cloud.calls)

    await eventually(looking)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await aws.until("mine", "Stopped")


async def test_where_all_is_refused_nothing_is_claimed(aws: Aws) -> None:
    await aws.create("mine", **tags("run-1"))
    aws.cloud.faults.add(Fault("*", "access_denied", times=None))
    with pytest.raises(Denied):
        await carried_out(run_id="run-1")
    aws.cloud.faults.clear()
    assert await state(aws, TRAINING, "mine") == "InProgress"
