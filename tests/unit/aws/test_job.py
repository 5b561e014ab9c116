"""Launch, adopt, stop: one SageMaker job against a table of what the service holds."""

from __future__ import annotations

import asyncio
import itertools
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.session
import pytest
from botocore import xform_name
from hypothesis import given
from hypothesis import strategies as st

from components.aws.errors import AlreadyExists, Denied, Unsupported
from components.aws.sagemaker import _api, _job
from components.aws.sagemaker._api import TRAINING, Kind
from components.aws.sagemaker._job import SageMakerJob, instance
from components.aws.sagemaker._likeness import covers
from components.aws.sagemaker._reading import Reading
from components.aws.sagemaker.train import component as train
from runner.errors import NameTaken, NotFound, ServiceError, Throttled, Transient, Unreachable
from runner.events import LogLine, LogSummary, Metric, Phase
from runner.identity import OWNER_TAG, RUN_TAG, Identity
from runner.job import StopAnswer
from tests.unit.aws.simulated import GROUP, CloudWatch

ARN = "arn:aws:sagemaker:eu-west-1:123456789012:training-job/"
LOST = Transient("no answer")
_accounts = itertools.count()


def body(name: str = "", identity: Identity | None = None, **changes: Any) -> dict[str, Any]:
    inputs: dict[str, Any] = {
        "region": "eu-west-1",
        "role": "arn:aws:iam::1:role/x",
        "image": "1.dkr.ecr.eu-west-1.amazonaws.com/a:1",
        "channels": [{"ChannelName": "train", "DataSource": {"S3DataSource": {"S3Uri": "s3://b/p"}}}],
        "model_artifact_path": "s3://b/out",
        "job_name": name,
        **changes,
    }
    made: dict[str, Any] = train.request(
        train.TrainingInputs(**inputs),
        identity or Identity("aws.sagemaker.train", suffix="20260131120000-AB12"),
    )["CreateTrainingJob"]
    return made


def in_run(step: str = "train", run: str = "run-1") -> Identity:
    return Identity("aws.sagemaker.train", run, step)


@dataclass
class Service:
    """Stands in for `Aws`: SageMaker's books, and what to raise in place of, or after, the next calls."""

    region: str = "eu-west-1"
    embedded: bool = False
    endpoint_url: str = ""
    role: str = ""
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    tags: dict[str, list[Mapping[str, str]]] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    instead: dict[str, list[Exception]] = field(default_factory=dict)
    """Operation → errors of the next calls, which are not carried out."""
    after: dict[str, list[Exception]] = field(default_factory=dict)
    """The same for calls that are carried out."""
    hang_after: str = ""
    """An operation that is carried out and never answered."""
    date: str = "Sat, 31 Jan 2026 12:00:00 GMT"
    logs: CloudWatch | None = None
    scope: tuple[str, str] = field(default_factory=lambda: (f"job-{next(_accounts)}", "eu-west-1"))

    async def call(self, service: str, operation: str, **request: Any) -> Mapping[str, Any]:
        if service == "logs":
            assert self.logs is not None
            return await self.logs.call(service, operation, **request)
        self.calls.append((operation, request.get("TrainingJobName", request.get("ResourceArn", ""))))
        if self.instead.get(operation):
            raise self.instead[operation].pop(0)
        answer = getattr(self, operation)(request)
        if self.hang_after == operation:
            await asyncio.get_running_loop().create_future()
        if self.after.get(operation):
            raise self.after[operation].pop(0)
        return {**answer, "ResponseMetadata": {"HTTPHeaders": {"date": self.date}}}

    @property
    def operations(self) -> list[str]:
        return [operation for operation, _ in self.calls]

    def add(
        self, request: Mapping[str, Any], state: str = "InProgress", ago: float = 0.0, name: str = ""
    ) -> None:
        name = name or request["TrainingJobName"]
        arn = f"{ARN}{name}"
        described = {key: value for key, value in request.items() if key != "Tags"}
        self.jobs[name] = {
            **described,
            "TrainingJobName": name,
            "TrainingJobArn": arn,
            "TrainingJobStatus": state,
            "SecondaryStatus": state,
            "CreationTime": datetime.now(UTC) - timedelta(seconds=ago),
        }
        self.tags[arn] = list(request.get("Tags", ()))

    def create_training_job(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if request["TrainingJobName"] in self.jobs:
            raise AlreadyExists(
                "SageMaker CreateTrainingJob was refused (ResourceInUse): names must be unique"
            )
        self.add(request)
        return {"TrainingJobArn": f"{ARN}{request['TrainingJobName']}"}

    def describe_training_job(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if request["TrainingJobName"] not in self.jobs:
            raise NotFound(
                "SageMaker DescribeTrainingJob was refused (ValidationException): Requested resource not found."
            )
        return self.jobs[request["TrainingJobName"]]

    def stop_training_job(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        job = self.describe_training_job(request)
        if job["TrainingJobStatus"] != "InProgress":
            raise ServiceError(
                f"was rejected because the training job is in status {job['TrainingJobStatus']}"
            )
        self.jobs[request["TrainingJobName"]]["TrainingJobStatus"] = "Stopping"
        return {}

    def list_tags(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"Tags": self.tags[request["ResourceArn"]]}


def job_of(
    service: Service, request: Mapping[str, Any] | None, name: str = "", kind: Kind = TRAINING
) -> SageMakerJob:
    reading = Reading(
        train.status,
        train.outputs,
        lambda d: d.get("AlgorithmSpecification", {}).get("MetricDefinitions", ()),
    )
    name = name or (request or {})["TrainingJobName"]
    return SageMakerJob(kind, service, "aws.sagemaker.train", reading, name, request)  # type: ignore[arg-type]


def state(service: Service, name: str) -> str:
    found: str = service.jobs[name]["TrainingJobStatus"]
    return found


# ── Launch ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_fresh_job_is_one_call() -> None:
    service = Service()
    job = job_of(service, body("mine"))
    event = await job.launch()
    assert (event.job, event.adopted, event.component) == ("mine", False, "aws.sagemaker.train")
    assert event.stages == ("Starting", "Downloading", "Training", "Uploading", "Completed")
    assert set(event.links) == {"job", "logs"}
    assert event.links["job"] == (
        "https://eu-west-1.console.aws.amazon.com/sagemaker/home?region=eu-west-1#/jobs/mine"
    )
    assert event.links["logs"].endswith(
        "log-group/$252Faws$252Fsagemaker$252FTrainingJobs$3FlogStreamNameFilter$3Dmine$252F"
    )
    assert service.operations == ["create_training_job"]


async def test_the_embedded_cloud_has_no_console() -> None:
    assert (await job_of(Service(embedded=True), body("mine")).launch()).links == {}


async def test_an_explicit_name_that_is_taken_is_a_clear_error_and_nothing_is_touched() -> None:
    service = Service()
    service.add(body("mine"), ago=3600)
    before = dict(service.jobs["mine"])
    job = job_of(service, body("mine"))
    with pytest.raises(NameTaken, match="the name mine is in use by a job that is not this step's") as caught:
        await job.launch()
    assert "--job_name" in str(caught.value)
    assert isinstance(caught.value.__cause__, AlreadyExists)
    await job.stop()
    assert service.jobs["mine"] == before
    assert "stop_training_job" not in service.operations


@pytest.mark.parametrize("failure", [Throttled("slow"), Unreachable("refused")])
async def test_after_a_failure_without_doubt_a_taken_name_is_somebody_elses(failure: Exception) -> None:
    service = Service(instead={"create_training_job": [failure]})
    service.add(body("mine"))
    job = job_of(service, body("mine"))
    with pytest.raises(type(failure)):
        await job.launch()
    with pytest.raises(NameTaken):
        await job.launch()


async def test_after_an_answer_was_lost_the_job_that_was_made_is_ours() -> None:
    service = Service(after={"create_training_job": [LOST]})
    job = job_of(service, body("mine"))
    with pytest.raises(Transient):
        await job.launch()
    assert (await job.launch()).adopted
    await job.stop()
    assert state(service, "mine") == "Stopping"


@pytest.mark.parametrize(
    ("theirs", "ago"), [({"hyperparameters": {"k": "9"}}, 0.0), ({"instance_count": 2}, 0.0), ({}, 3600.0)]
)
async def test_after_an_answer_was_lost_a_job_that_is_not_what_we_asked_for_is_not_ours(
    theirs: dict[str, Any], ago: float
) -> None:
    service = Service(instead={"create_training_job": [LOST]})
    service.add(body("mine", **{"hyperparameters": {"k": "10"}, **theirs}), ago=ago)
    job = job_of(service, body("mine", hyperparameters={"k": "10"}))
    with pytest.raises(Transient):
        await job.launch()
    with pytest.raises(NameTaken):
        await job.launch()
    await job.stop()
    assert state(service, "mine") == "InProgress"


async def test_a_failure_to_look_is_tried_again_without_asking_for_another_job() -> None:
    service = Service(
        after={"create_training_job": [LOST]}, instead={"describe_training_job": [Throttled("slow")]}
    )
    job = job_of(service, body("mine"))
    for kind in (Transient, Throttled):
        with pytest.raises(kind):
            await job.launch()
    assert (await job.launch()).adopted
    assert list(service.jobs) == ["mine"]


# ── Launch in a pipeline run ────────────────────────────────────────────────────────────────────────────────────────


def test_names_in_a_run_follow_from_the_run_key() -> None:
    first, again = body(identity=in_run()), body(identity=in_run())
    assert first == again
    assert re.fullmatch(r"TrainingJob-[0-9a-f]{20}", first["TrainingJobName"])
    assert [tag["Key"] for tag in first["Tags"]] == [RUN_TAG, OWNER_TAG]
    for other in (in_run(step="other"), in_run(run="run-2")):
        assert body(identity=other)["TrainingJobName"] != first["TrainingJobName"]
    assert body(identity=in_run(), instance_count=2)["TrainingJobName"] != first["TrainingJobName"]


@pytest.mark.parametrize("ended", ["InProgress", "Completed"])
async def test_a_restarted_step_adopts_its_job(ended: str) -> None:
    service, request = Service(), body(identity=in_run())
    service.add(request, ended, ago=7200)
    job = job_of(service, request)
    assert (await job.launch()).adopted
    assert job.name == request["TrainingJobName"]
    assert len(service.jobs) == 1


@pytest.mark.parametrize("spent", ["Failed", "Stopped", "Stopping"])
async def test_a_step_that_is_retried_after_its_job_failed_takes_the_next_name(spent: str) -> None:
    service, request = Service(), body(identity=in_run())
    name = request["TrainingJobName"]
    service.add(request, spent, ago=7200)
    service.add(request, spent, ago=3600, name=f"{name}-2")
    job = job_of(service, request)
    assert not (await job.launch()).adopted
    assert job.name == f"{name}-3"
    assert state(service, f"{name}-3") == "InProgress"
    await job.stop()
    assert [state(service, n) for n in service.jobs] == [spent, spent, "Stopping"]
    restarted = job_of(service, request)
    assert not (await restarted.launch()).adopted
    assert restarted.name == f"{name}-4"


async def test_a_restarted_step_adopts_the_second_job_of_a_retry() -> None:
    service, request = Service(), body(identity=in_run())
    service.add(request, "Failed", ago=7200)
    service.add(request, ago=60, name=f"{request['TrainingJobName']}-2")
    job = job_of(service, request)
    event = await job.launch()
    assert (event.adopted, event.job) == (True, f"{request['TrainingJobName']}-2")


async def test_an_answer_lost_for_the_second_name_does_not_make_a_third() -> None:
    service, request = Service(after={"create_training_job": [LOST]}), body(identity=in_run())
    service.add(request, "Failed", ago=7200)
    job = job_of(service, request)
    with pytest.raises(Transient):
        await job.launch()
    assert (await job.launch()).adopted
    assert list(service.jobs) == [request["TrainingJobName"], f"{request['TrainingJobName']}-2"]


async def test_another_owners_job_is_left_alone_though_an_answer_was_lost() -> None:
    service = Service(instead={"create_training_job": [LOST]})
    service.add(body("mine", in_run(step="other")))
    job = job_of(service, body("mine", in_run()))
    with pytest.raises(Transient):
        await job.launch()
    with pytest.raises(NameTaken):
        await job.launch()
    await job.stop()
    assert state(service, "mine") == "InProgress"


async def test_an_explicit_name_with_our_owner_tag_is_ours_whatever_became_of_it() -> None:
    service, request = Service(), body("mine", in_run())
    service.add(request, "Failed", ago=7200)
    job = job_of(service, request)
    assert (await job.launch()).adopted
    assert job.name == "mine"


@pytest.mark.parametrize("refusal", [Denied("ListTags"), Unsupported("ListTags")])
async def test_where_tags_can_not_be_read_a_name_of_our_run_key_is_ours(refusal: Exception) -> None:
    service, request = Service(instead={"list_tags": [refusal] * 3}), body(identity=in_run())
    service.add(request, ago=7200)
    assert (await job_of(service, request).launch()).adopted


@pytest.mark.parametrize("refusal", [Denied("ListTags"), Unsupported("ListTags")])
async def test_where_tags_can_not_be_read_an_explicit_name_is_ours_only_after_a_lost_answer(
    refusal: Exception,
) -> None:
    service, request = Service(instead={"list_tags": [refusal] * 3}), body("mine", in_run())
    service.add(request)
    with pytest.raises(NameTaken):
        await job_of(service, request).launch()
    service = Service(instead={"list_tags": [refusal] * 3}, after={"create_training_job": [LOST]})
    job = job_of(service, request)
    with pytest.raises(Transient):
        await job.launch()
    assert (await job.launch()).adopted


async def test_attaching_looks_once_and_makes_nothing() -> None:
    service = Service()
    service.add(body("theirs"))
    job = job_of(service, None, "theirs")
    assert (await job.launch()).adopted
    assert service.operations == ["describe_training_job"]
    with pytest.raises(NotFound):
        await job_of(service, None, "nothing").launch()


# ── Stop ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_stop_is_one_call() -> None:
    service = Service()
    job = job_of(service, body("mine"))
    await job.launch()
    await job.stop()
    assert service.operations == ["create_training_job", "stop_training_job"]
    assert (await job.describe()).phase is Phase.STOPPING


@pytest.mark.parametrize("ended", ["Completed", "Failed", "Stopped", "Stopping"])
async def test_an_ended_job_counts_as_stopped(ended: str) -> None:
    service = Service()
    job = job_of(service, body("mine"))
    await job.launch()
    service.jobs["mine"]["TrainingJobStatus"] = ended
    await job.stop()
    assert state(service, "mine") == ended


async def test_an_unknown_job_counts_as_stopped() -> None:
    service = Service()
    job = job_of(service, body("mine"))
    await job.stop()
    assert service.operations == ["describe_training_job"]
    await job.launch()
    service.jobs.clear()
    await job.stop()
    assert service.operations[-1] == "stop_training_job"


@pytest.mark.parametrize("error", [Denied("not authorized"), Transient("HTTP 500"), Throttled("slow")])
async def test_a_stop_that_was_refused_is_not_taken_for_one(error: Exception) -> None:
    service = Service(instead={"stop_training_job": [error]})
    job = job_of(service, body("mine"))
    await job.launch()
    with pytest.raises(type(error)):
        await job.stop()
    assert state(service, "mine") == "InProgress"
    await job.stop()
    assert state(service, "mine") == "Stopping"


@pytest.mark.parametrize("identity", [None, in_run()], ids=["alone", "in a run"])
async def test_a_launch_that_was_lost_is_stopped_without_another_try(identity: Identity | None) -> None:
    service = Service(after={"create_training_job": [LOST]})
    job = job_of(service, body("mine", identity))
    with pytest.raises(Transient):
        await job.launch()
    await job.stop()
    assert state(service, "mine") == "Stopping"


@pytest.mark.parametrize("identity", [None, in_run()], ids=["alone", "in a run"])
@pytest.mark.looptime
async def test_a_launch_given_up_in_mid_call_may_have_made_a_job_and_is_stopped(
    identity: Identity | None,
) -> None:
    """The engine cancels a launch that is not answered by the deadline, then stops."""
    service = Service(hang_after="create_training_job")
    job = job_of(service, body("mine", identity))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(20):
            await job.launch()
    await job.stop()
    assert state(service, "mine") == "Stopping"


async def test_a_name_that_was_never_tried_in_doubt_is_not_ours_to_stop() -> None:
    service = Service(instead={"create_training_job": [Unreachable("refused")]})
    service.add(body("mine"))
    job = job_of(service, body("mine"))
    with pytest.raises(Unreachable):
        await job.launch()
    await job.stop()
    assert state(service, "mine") == "InProgress"


KINDS = [kind for kind in vars(_api).values() if isinstance(kind, Kind)]


@pytest.fixture(scope="module")
def service_model() -> Any:
    return botocore.session.Session().get_service_model("sagemaker")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.noun)
@pytest.mark.parametrize("name", ["TrainingJob-20260131120000-AB12", "a"])
def test_the_stop_command_is_one_of_the_aws_command_line(service_model: Any, kind: Kind, name: str) -> None:
    """It derives its words from the model's names, as `xform_name` does."""
    job = job_of(Service(), body("x"), name, kind)
    words = shlex.split(job.stop_command)
    assert words[:2] == ["aws", "sagemaker"]
    by_command = {xform_name(operation, "-"): operation for operation in service_model.operation_names}
    model = service_model.operation_model(by_command[words[2]])
    given = dict(zip(words[3::2], words[4::2], strict=True))
    arguments = {f"--{xform_name(member, '-')}" for member in model.input_shape.members}
    assert set(given) - {"--region"} <= arguments
    assert {f"--{xform_name(member, '-')}" for member in model.input_shape.required_members} <= set(given)
    assert given["--region"] == "eu-west-1"
    assert name in given.values()


def test_the_stop_command_leads_to_where_the_job_is() -> None:
    there = Service(
        endpoint_url="https://vpce-1.sagemaker.example", role="arn:aws:iam::210987654321:role/other"
    )
    command = job_of(there, body("x"), "x").stop_command
    assert "--endpoint-url https://vpce-1.sagemaker.example" in command
    assert command.endswith("# as arn:aws:iam::210987654321:role/other")
    assert shlex.split(command, comments=True)[-1] == "https://vpce-1.sagemaker.example"


async def test_a_stop_that_is_refused_because_the_job_is_gone_counts_as_done() -> None:
    service = Service()
    job = job_of(service, body("x"), "x")
    await job.launch()
    service.instead["stop_training_job"] = [ServiceError("refused, in words that change")]
    service.jobs.clear()
    await job.stop()
    assert [c for c, _ in service.calls][-2:] == ["stop_training_job", "describe_training_job"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.noun)
def test_a_kinds_words_are_the_services(service_model: Any, kind: Kind) -> None:
    names = {xform_name(operation): operation for operation in service_model.operation_names}
    describe = service_model.operation_model(names[kind.method("describe")])
    answer = describe.output_shape.members
    told = answer[kind.wrapper].members if kind.wrapper else answer
    assert {kind.name_key, kind.arn_key, kind.created} <= set(told)
    assert kind.name_key in service_model.operation_model(kind.create).input_shape.members
    assert names[kind.method(kind.ending)] in service_model.operation_names
    if kind.status_key in told:
        assert set(kind.phases) >= set(told[kind.status_key].enum)
    else:
        assert kind.ending == "delete", "what has no status can't be seen to stop"


# ── Whether a description is what was asked for ─────────────────────────────────────────────────────────────────────

plain = st.recursive(
    st.text(max_size=3) | st.integers(0, 3) | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(plain)
def test_a_description_covers_what_it_repeats(value: Any) -> None:
    assert covers(value, value)


@given(st.dictionaries(st.sampled_from("abc"), plain), st.dictionaries(st.sampled_from("xyz"), plain))
def test_what_the_service_adds_does_not_count(ours: dict[str, Any], added: dict[str, Any]) -> None:
    assert covers(ours | added, ours)
    assert covers({}, ours)


@pytest.mark.parametrize(
    ("theirs", "ours", "same"),
    [
        ({"a": "1"}, {"a": "2"}, False),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, False),
        ({"a": [{"b": 1, "added": True}]}, {"a": [{"b": 1}]}, True),
        ({"a": [1]}, {"a": [1, 2]}, False),
        ({"a": "default"}, {"a": ""}, True),
        ({"a": "default"}, {"a": None}, True),
        ({"a": "x"}, {"a": {"b": 1}}, False),
        ({"HyperParameters": {"a": "1", "b": "2"}}, {"HyperParameters": {"a": "1"}}, False),
        ({"HyperParameters": {"a": "1"}}, {"HyperParameters": {"a": "1", "b": "2"}}, False),
        ({"HyperParameters": {"_a": "1"}}, {"HyperParameters": {}}, False),
        ({"HyperParameters": {"Environment": "a"}}, {"HyperParameters": {"Environment": "a"}}, True),
        ({}, {"Environment": {"a": "1"}}, False),
        ({}, {"Environment": {}}, True),
        ({"StaticHyperParameters": {"_added": "1"}}, {"StaticHyperParameters": {}}, True),
        ({"StaticHyperParameters": {"_own": "1"}}, {"StaticHyperParameters": {"_own": "2"}}, False),
        ({}, {"StaticHyperParameters": {"_own": "2"}}, False),
        ({"VpcConfig": {"Subnets": ["a"]}}, {}, False),
        ({}, {"VpcConfig": {"Subnets": ["a"]}}, False),
        ({"VpcConfig": {}}, {}, True),
        ({"StrategyConfig": {"a": 1}}, {}, True),
        ({}, {"StrategyConfig": {"a": 1}}, False),
        ({}, {"CategoricalParameterRanges": []}, True),
        ({}, {"CategoricalParameterRanges": [{}]}, False),
        ({"EnableManagedSpotTraining": True}, {"EnableManagedSpotTraining": False}, False),
    ],
)
def test_a_description_differs(theirs: Any, ours: Any, same: bool) -> None:
    assert covers(theirs, ours) is same


# ── The log ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("stream", "label"),
    [
        ("algo-1-1700000000", "algo-1"),
        ("algo-12-1700000000", "algo-12"),
        ("algo-1", "algo-1"),
        ("i-0123456789abcdef0", "i-0123456789abcdef0"),
        ("algo-1-1700000000/data-log", "algo-1-1700000000/data-log"),
    ],
)
def test_a_streams_label_is_its_instance(stream: str, label: str) -> None:
    assert instance(stream) == label


@pytest.mark.looptime
async def test_the_log_carries_the_metrics_found_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    logs = CloudWatch()
    service = Service(
        logs=logs, scope=logs.scope, date="Fri, 15 Jan 2027 08:00:00 GMT"
    )  # The simulation's zero.
    logs.write("mine/algo-1-1700000000", "loss=0.5;", at=1)
    logs.write("mine/algo-2-1700000000", "loss=oops;", at=2)
    logs.write("mine-2/algo-1-1700000000", "loss=0.1;", at=2)
    request = body("mine", metric_definitions={"loss": "loss=(.*?);"})
    request["AlgorithmSpecification"]["MetricDefinitions"] += [
        {"Name": "of another dialect", "Regex": r"\Q((\E(.)"}
    ]
    job = job_of(service, request)
    await job.launch()
    (feed,) = job.feeds()
    ended = asyncio.Event()
    asyncio.get_running_loop().call_later(10, ended.set)
    events = [event async for event in feed(ended)]
    assert [type(event) for event in events] == [LogLine, Metric, LogLine, LogSummary]
    assert events[0] == LogLine("loss=0.5;", "algo-1", 1_800_000_001.0)
    assert events[1] == Metric("loss", 0.5, 1_800_000_001.0, "algo-1")
    asked = [request for _, _, request in logs.calls]
    assert {(r["logGroupName"], r["logStreamNamePrefix"]) for r in asked} == {(GROUP, "mine/")}
    assert min(r["startTime"] for r in asked) == (1_800_000_000 - 1) * 1000, "no line is older than the job"


def test_the_feed_is_called_the_log_in_notices() -> None:
    (feed,) = job_of(Service(), body("mine")).feeds()
    assert getattr(feed, "__name__", "") == "log"


def test_an_answer_without_a_date_begins_the_log_early() -> None:
    assert _job.service_time({}) < datetime.now(UTC).timestamp() - _job.CLOCK_SLACK + 1
    when = _job.service_time({"ResponseMetadata": {"HTTPHeaders": {"date": "Sat, 31 Jan 2026 12:00:00 GMT"}}})
    assert when == datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()


# ── what a stop finds ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_stopping_a_job_that_runs_that_has_ended_that_is_unknown() -> None:
    service = Service()
    job = job_of(service, body("x"), "x")
    await job.launch()
    assert await job.stop() is StopAnswer.AGREED
    assert await job.stop() is StopAnswer.AGREED, "it is being stopped already"
    service.jobs["x"]["TrainingJobStatus"] = "Completed"
    assert await job.stop() is StopAnswer.ENDED
    service.jobs.clear()
    assert await job.stop() is StopAnswer.UNKNOWN


async def test_stopping_a_job_that_is_not_ours_leaves_it_alone() -> None:
    service = Service()
    service.add(body("x", role="arn:aws:iam::1:role/another"))
    job = job_of(service, body("x"), "x")
    service.instead["create_training_job"] = [Transient("the answer was lost")]
    with pytest.raises(Transient):
        await job.launch()
    assert await job.stop() is StopAnswer.NOT_OURS
    assert service.jobs["x"]["TrainingJobStatus"] == "InProgress"


async def test_a_job_that_is_only_watched_can_be_stopped_before_it_was_ever_seen() -> None:
    service = Service()
    service.add(body("x"))
    job = job_of(service, None, "x")
    service.instead["describe_training_job"] = [Transient("500")]
    with pytest.raises(Transient):
        await job.launch()
    assert await job.stop() is StopAnswer.AGREED


async def test_a_job_that_we_just_made_may_not_be_visible_yet() -> None:
    service = Service()
    job = job_of(service, body("x"), "x")
    await job.launch()
    service.instead["describe_training_job"] = [NotFound("Requested resource not found.")]
    with pytest.raises(Transient, match="can't be seen yet"):
        await job.describe()
    assert (await job.describe()).phase is Phase.RUNNING


async def test_a_completed_job_whose_debug_rules_are_still_evaluated_has_ended_for_a_stop() -> None:
    service = Service()
    job = job_of(service, body("x"), "x")
    await job.launch()
    service.jobs["x"] |= {
        "TrainingJobStatus": "Completed",
        "DebugRuleEvaluationStatuses": [{"RuleConfigurationName": "r", "RuleEvaluationStatus": "InProgress"}],
    }
    assert (await job.describe()).phase is Phase.RUNNING
    assert await job.stop() is StopAnswer.ENDED


async def test_what_an_unanswered_attempt_made_and_what_failed_at_once_is_reported_not_made_again() -> None:
    service = Service()
    request = body(identity=in_run())
    service.after["create_training_job"] = [Transient("the answer was lost")]
    job = job_of(service, request)
    with pytest.raises(Transient):
        await job.launch()
    service.jobs[job.name]["TrainingJobStatus"] = "Failed"
    assert (await job.launch()).adopted
    assert list(service.jobs) == [job.name]
