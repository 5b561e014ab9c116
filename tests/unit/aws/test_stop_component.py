"""`aws.sagemaker.stop`: what it takes, what it finds, what it stops, and what it leaves alone."""

from __future__ import annotations

import asyncio
import json
import shlex
from typing import Any

import pytest

from components.aws.errors import Denied, Unsupported
from components.aws.sagemaker._api import (
    ENDPOINT,
    ENDPOINT_CONFIG,
    JOBS,
    LABELING,
    PROCESSING,
    TRAINING,
    TRANSFORM,
    TUNING,
)
from components.aws.sagemaker.stop import _finding, _order
from components.aws.sagemaker.stop import component as stop
from components.aws.sagemaker.stop._order import StopOrder
from runner import spec
from runner.errors import InputError, NotFound, ServiceError, StopFailed, Throttled, Transient, Unreachable
from runner.events import Finished, Launched, Level, Notice, Phase, Status
from runner.identity import Identity
from runner.job import StopAnswer
from runner.supervise import launched
from runner.testing import MemorySink
from tests.unit.aws.stoppable import Service, child, denied

pytestmark = pytest.mark.looptime
IDENTITY = Identity(stop.ID)
LOST = Transient("no answer")
STOP_TUNING = "stop_hyper_parameter_tuning_job"
STOPS = (
    STOP_TUNING,
    "stop_training_job",
    "stop_processing_job",
    "stop_transform_job",
    "stop_labeling_job",
)


def inputs(**given: Any) -> stop.StopInputs:
    call = spec.parse(stop.component, {"region": "eu-west-1", **given}.items())
    assert isinstance(call.inputs, stop.StopInputs)
    return call.inputs


def order(service: Service, **given: Any) -> StopOrder:
    return StopOrder(service, stop.ID, inputs(**(given or {"run_id": "run-1"})))


class Ended:
    """What came of an order."""

    def __init__(self, status: Status, notices: list[Notice], stopped: list[str]) -> None:
        self.status, self.notices, self.stopped = status, notices, stopped

    @property
    def said(self) -> str:
        return "\n".join(notice.text for notice in self.notices)


async def carried_out(service: Service, **given: Any) -> Ended:
    """Launch an order, follow it to its end, close it."""
    made, notices = order(service, **given), []
    await made.launch()

    async def listen() -> None:
        async for notice in made.notices(asyncio.Event()):
            notices.append(notice)  # noqa: PERF401  told one by one

    listener = asyncio.create_task(listen())
    status = await made.describe()
    await listener
    stopped = (await made.outputs()).model_dump()["stopped"]
    await made.close()
    return Ended(status, notices, stopped)


@pytest.fixture
def service() -> Service:
    return Service()


# ── what it takes ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_arguments() -> None:
    given = [(a.name, a.kfp_type, a.default) for a in spec.arguments(stop.StopInputs)]
    assert given == [
        ("region", "String", ""),
        ("endpoint_url", "String", ""),
        ("assume_role", "String", ""),
        ("run_id", "String", ""),
        ("job_names", "String", ""),
        ("dry_run", "Bool", "False"),
    ]
    assert [(a.name, a.kfp_type) for a in spec.arguments(stop.StopOutputs)] == [("stopped", "JsonArray")]


@pytest.mark.parametrize("given", ["a,b", " b, a ,b,,", '["b", "a"]', ["b", "a"], ' ["b","a","b"]'], ids=repr)
def test_names_come_as_a_list_in_any_form(given: Any) -> None:
    assert sorted(inputs(job_names=given).job_names.split(",")) == ["a", "b"]


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({}, "one of --run_id and --job_names is required"),
        ({"run_id": " ", "job_names": " , "}, "one of --run_id and --job_names is required"),
        ({"run_id": "{{$.pipeline_job_uuid}}"}, "a placeholder that was not replaced"),
        ({"run_id": "a\nb"}, "--run_id is 'a\\nb'; it may hold"),
        ({"run_id": "x" * 257}, "--run_id is 'xxx"),
        ({"job_names": "ok,no_good,-x"}, "--job_names holds 'no_good', '-x'; a name has"),
        ({"job_names": "x" * 64}, "a name has at most 63"),
        ({"job_names": '["a", 1]'}, "--job_names is '[\"a\", 1]', which is no list of names"),
        ({"job_names": '["a"'}, "is no JSON list"),
        ({"job_names": {"a": 1}}, "is no list of names"),
        ({"run_id": "r", "dry_run": "perhaps"}, "--dry_run is 'perhaps'"),
        ({"run_id": "r", "region": ""}, "--region is required"),
    ],
    ids=repr,
)
def test_bad_input_is_named(given: dict[str, Any], word: str) -> None:
    with pytest.raises(InputError) as raised:
        stop.request(inputs(**given), IDENTITY)
    assert word in str(raised.value)


async def test_requests_are_what_the_service_knows() -> None:
    given = inputs(run_id="run-1", job_names="a-1," + "b" * 40)
    await stop.check(given, IDENTITY)
    made = stop.request(given, IDENTITY)
    assert {body["StatusEquals"] for body in made["ListLabelingJobs"]} == {"InProgress", "Initializing"}
    assert [body["StatusEquals"] for body in made["ListEndpoints"]] == ["Creating"]
    assert made["DescribeHyperParameterTuningJob"] == [{"HyperParameterTuningJobName": "a-1"}]
    assert len(made["DescribeTransformJob"]) == 2


def test_there_is_nothing_to_watch() -> None:
    with pytest.raises(InputError, match="makes no job that could be watched"):
        stop.component.attach(inputs(run_id="r"), "x")


# ── by run ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_everything_of_the_run_is_stopped_and_nothing_else(service: Service) -> None:
    for kind in JOBS:
        service.add(kind, "mine")
        service.add(kind, "other", run="run-2")
        service.add(kind, "nobodys", run="")
        service.add(kind, "done", state="Completed")
        service.add(kind, "dying", state="Stopping")
    ended = await carried_out(service)
    assert sorted(service.changes) == sorted((operation, "mine") for operation in STOPS)
    assert {service.state(kind, "mine") for kind in JOBS} == {"Stopping"}
    assert {service.state(kind, "other") for kind in JOBS} == {"InProgress"}
    assert (ended.status.phase, ended.stopped) == (Phase.SUCCEEDED, ["mine"] * 5)
    assert ended.status.facts == {"stopped": "5 jobs"}
    assert "stopped 5 jobs: training job mine, tuning job mine" in ended.status.message
    assert "stopped labeling job mine" in ended.said


async def test_again_it_finds_nothing_left(service: Service) -> None:
    service.add(TRAINING, "a")
    assert (await carried_out(service)).stopped == ["a"]
    again = await carried_out(service)
    assert (again.status.phase, again.status.message, again.stopped) == (
        Phase.SUCCEEDED,
        "stopped nothing",
        [],
    )
    assert len(service.changes) == 1


async def test_a_labeling_job_is_stopped_while_it_is_set_up(service: Service) -> None:
    service.add(LABELING, "a", state="Initializing")
    assert (await carried_out(service)).stopped == ["a"]


async def test_a_labeling_job_that_is_set_up_between_two_lists_is_not_missed(service: Service) -> None:
    service.add(LABELING, "a", state="Initializing")
    asked: list[str] = []
    call = service.call

    async def meanwhile(name: str, operation: str, **request: Any) -> Any:
        if operation == "list_labeling_jobs":
            asked.append(request["StatusEquals"])
            if len(asked) == 2:
                service.books["LabelingJob", "a"]["LabelingJobStatus"] = "InProgress"
        return await call(name, operation, **request)

    service.call = meanwhile  # type: ignore[assignment,method-assign]
    assert (await carried_out(service)).stopped == ["a"]
    assert asked[:2] == ["Initializing", "InProgress"]


@pytest.mark.parametrize("kind", [TRAINING, TRANSFORM, ENDPOINT])
async def test_what_is_launched_while_others_are_stopped_is_stopped_too(service: Service, kind: Any) -> None:
    service.add(TRAINING, "early")
    service.add(PROCESSING, "of-another", run="run-2")
    late = {"EndpointConfigName": "none"} if kind is ENDPOINT else {}
    service.on_call["stop_training_job"] = lambda: service.add(kind, "late", **late)
    ended = await carried_out(service)
    assert (ended.status.phase, sorted(ended.stopped)) == (Phase.SUCCEEDED, ["early", "late"])
    read = [r["ResourceArn"] for _, o, r in service.calls if o == "list_tags"]
    assert len([arn for arn in read if "of-another" in arn]) == 1, "tags are read once"


async def test_a_run_that_goes_on_launching_is_not_followed_for_ever(service: Service) -> None:
    service.add(TRAINING, "a-0")
    stop_one, many = service._end, [0]

    def end(kind: Any, request: Any) -> Any:
        many[0] += 1
        service.add(TRAINING, f"a-{many[0]}")
        return stop_one(kind, request)

    service._end = end  # type: ignore[method-assign]
    ended = await carried_out(service)
    assert ended.stopped == ["a-0", "a-1", "a-2"]
    assert service.operations.count("list_training_jobs") == _order.MOST_LOOKS


async def test_what_is_launched_while_an_endpoint_is_waited_for_does_not_wait(service: Service) -> None:
    endpoint(service, "new")
    service.add(TRAINING, "early")
    service.on_call["stop_training_job"] = lambda: service.add(TRAINING, "late")
    ended = await carried_out(service)
    assert sorted(ended.stopped) == ["early", "late", "new"]
    assert max(at for at, operation, _ in service.calls if operation == "stop_training_job") < 10


async def test_a_child_that_its_tuning_job_starts_meanwhile_is_left_to_it(service: Service) -> None:
    tuning = service.add(TUNING, "hpo")
    service.on_call[STOP_TUNING] = lambda: child(service, tuning, "hpo-001")
    ended = await carried_out(service)
    assert (service.changes, ended.stopped) == ([(STOP_TUNING, "hpo")], ["hpo"])
    assert "left to the service: 1 training job, which it stops" in ended.said


async def test_what_could_not_be_listed_is_not_asked_for_again(service: Service) -> None:
    service.add(TRAINING, "a")
    service.always["list_transform_jobs"] = denied("ListTransformJobs")
    service.always["list_labeling_jobs"] = Unsupported("no such operation")
    ended = await carried_out(service)
    assert (ended.status.phase, ended.stopped) == (Phase.FAILED, ["a"])
    assert ended.said.count("labeling jobs are not known here") == 1
    assert service.operations.count("list_transform_jobs") == 1
    assert service.operations.count("list_training_jobs") == 2


async def test_every_page_is_read_even_behind_empty_ones(service: Service) -> None:
    service.page = 2
    for number in range(9):
        service.add(TRAINING, f"done-{number}", state="Completed")
    service.add(TRAINING, "mine")
    assert (await carried_out(service)).stopped == ["mine"]
    pages = [at for at, operation, _ in service.calls if operation == "list_training_jobs"]
    assert len(pages) == 10, "five to find it, and five to see that nothing came meanwhile"
    assert pages[4] - pages[0] >= 3 / _finding.TRAINING_LIST_RATE, "no more calls than the account is granted"


async def test_tuning_jobs_go_first_and_take_their_children_along(service: Service) -> None:
    tuning = service.add(TUNING, "hpo")
    child(service, tuning, "hpo-001")
    child(service, tuning, "hpo-002")
    child(service, "arn:aws:sagemaker:eu-west-1:123456789012:hyper-parameter-tuning-job/else", "else-001")
    service.add(TRAINING, "alone")
    ended = await carried_out(service)
    assert service.changes[0] == (STOP_TUNING, "hpo")
    assert ended.stopped == ["alone", "else-001", "hpo"]
    assert service.state(TRAINING, "hpo-001") == "InProgress"
    assert "left to the service: 2 training jobs, which it stops with the tuning jobs" in ended.said


async def test_children_are_stopped_where_their_tuning_job_can_not_be(service: Service) -> None:
    child(service, service.add(TUNING, "hpo"), "hpo-001")
    service.always[STOP_TUNING] = denied("StopHyperParameterTuningJob")
    ended = await carried_out(service)
    assert (ended.status.phase, ended.stopped) == (Phase.FAILED, ["hpo-001"])


async def test_only_its_children_wait_for_a_tuning_job(service: Service) -> None:
    child(service, service.add(TUNING, "hpo"), "hpo-001")
    service.add(PROCESSING, "a")
    service.instead[STOP_TUNING] = [Throttled("Rate exceeded")] * 6
    ended = await carried_out(service)
    assert sorted(ended.stopped) == ["a", "hpo"]
    times = {operation: at for at, operation, _ in service.calls}
    assert times["stop_processing_job"] < times[STOP_TUNING] - 2


async def test_a_child_that_can_not_be_told_from_others_is_stopped(service: Service) -> None:
    child(service, service.add(TUNING, "hpo"), "hpo-001")
    service.always["describe_training_job"] = denied("DescribeTrainingJob")
    ended = await carried_out(service)
    assert (ended.status.phase, ended.stopped) == (Phase.SUCCEEDED, ["hpo-001", "hpo"])


async def test_what_vanishes_meanwhile_is_no_failure(service: Service) -> None:
    arn = service.add(TRAINING, "gone")
    service.add(TRAINING, "ended")
    service.on_call["list_tags"] = lambda: service.tags.pop(arn)
    service.on_call["stop_training_job"] = lambda: service.books["TrainingJob", "ended"].update(
        TrainingJobStatus="Completed"
    )
    ended = await carried_out(service)
    assert (ended.status.phase, ended.stopped) == (Phase.SUCCEEDED, [])
    assert "training job ended needed no stop any more" in ended.said


# ── endpoints ───────────────────────────────────────────────────────────────────────────────────────────────────────


def endpoint(service: Service, name: str, config_run: str = "run-1", **how: Any) -> None:
    service.add(ENDPOINT, name, EndpointConfigName=f"{name}-config", **how)
    service.add(ENDPOINT_CONFIG, f"{name}-config", run=config_run)


async def test_an_endpoint_in_the_making_is_deleted_with_its_configuration(service: Service) -> None:
    endpoint(service, "new")
    endpoint(service, "other", run="run-2", config_run="run-2")
    ended = await carried_out(service)
    assert service.changes == [("delete_endpoint", "new"), ("delete_endpoint_config", "new-config")]
    assert ended.stopped == ["new"]
    assert "deleted endpoint configuration new-config" in ended.said


@pytest.mark.parametrize("config_run", ["", "run-2"])
async def test_a_configuration_of_somebody_elses_is_left(service: Service, config_run: str) -> None:
    endpoint(service, "new", config_run=config_run)
    ended = await carried_out(service)
    assert service.changes == [("delete_endpoint", "new")]
    assert (ended.status.phase, ended.stopped) == (Phase.SUCCEEDED, ["new"])
    assert "new-config was left: it does not bear the run's tag" in ended.said


async def test_a_configuration_that_can_not_be_deleted_is_only_said(service: Service) -> None:
    endpoint(service, "new")
    service.always["delete_endpoint_config"] = denied("DeleteEndpointConfig")
    ended = await carried_out(service)
    assert (ended.status.phase, ended.stopped) == (Phase.SUCCEEDED, ["new"])
    assert "was left, which costs nothing" in ended.said


async def test_endpoints_that_are_made_are_the_runs_product(service: Service) -> None:
    for state in ("InService", "Updating", "SystemUpdating"):
        endpoint(service, state, state=state)
        endpoint(service, f"{state}-2", state=state, run="run-2")
    endpoint(service, "broken", state="Failed")
    ended = await carried_out(service)
    assert (service.changes, ended.stopped, ended.status.phase) == ([], [], Phase.SUCCEEDED)
    kept = [n.text for n in ended.notices if n.level is Level.WARNING]
    assert kept == [
        f"endpoint {state} ({state}) is the run's product: left as it is"
        for state in ("InService", "SystemUpdating", "Updating")
    ]


@pytest.mark.parametrize("becomes", ["InService", "Failed", "OutOfService"])
async def test_an_endpoint_is_deleted_once_that_can_be(service: Service, becomes: str) -> None:
    """While it is being made, SageMaker refuses; what can be stopped at once does not wait for it."""
    service.becomes = becomes
    for number in range(12):
        endpoint(service, f"new-{number:02}")
    service.add(TRAINING, "a")
    ended = await carried_out(service)
    assert (ended.status.phase, len(ended.stopped)) == (Phase.SUCCEEDED, 13)
    assert service.changes[0] == ("stop_training_job", "a")
    times = {operation: at for at, operation, _ in reversed(service.calls)}
    assert times["stop_training_job"] < 1
    assert 300 < times["delete_endpoint"] < 320
    assert ended.said.count("can't be deleted before that ends: waiting") == 12


async def test_an_endpoint_that_somebody_updates_meanwhile_is_left(service: Service) -> None:
    service.becomes = "Updating"
    endpoint(service, "new")
    ended = await carried_out(service)
    assert (service.changes, ended.stopped, ended.status.phase) == ([], [], Phase.SUCCEEDED)
    assert "endpoint new is Updating: somebody makes use of it" in ended.said


async def test_an_endpoint_that_is_never_made_is_told(service: Service) -> None:
    service.making = 1e6
    endpoint(service, "new")
    ended = await carried_out(service)
    assert ended.status.phase is Phase.FAILED
    assert "could not stop endpoint new: it is still Creating" in ended.status.reason


async def test_an_endpoint_that_goes_meanwhile_is_no_failure(service: Service) -> None:
    endpoint(service, "new")
    service.on_call["describe_endpoint"] = lambda: service.books.pop(("Endpoint", "new"))
    ended = await carried_out(service)
    assert (ended.stopped, ended.status.phase) == ([], Phase.SUCCEEDED)


async def test_a_delete_that_is_refused_fails_the_step(service: Service) -> None:
    endpoint(service, "new")
    service.always["delete_endpoint"] = denied("DeleteEndpoint")
    ended = await carried_out(service)
    assert ended.status.phase is Phase.FAILED
    assert "aws sagemaker delete-endpoint --region eu-west-1 --endpoint-name new" in ended.said


async def test_a_delete_whose_answer_was_lost_counts(service: Service) -> None:
    endpoint(service, "new")
    service.after["delete_endpoint"] = [LOST]
    assert (await carried_out(service)).stopped == ["new"]


async def test_that_endpoints_in_service_can_not_be_looked_up_fails_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_order, "KEPT_SECONDS", 0.1)
    for number in range(60):
        endpoint(service, f"e-{number}", state="InService")
    ended = await carried_out(service)
    assert ended.status.phase is Phase.SUCCEEDED
    assert "could not be looked up: it takes too long" in ended.said


# ── by name ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_by_name_every_kind_is_asked_and_tags_do_not_matter(service: Service) -> None:
    service.add(PROCESSING, "a", run="")
    service.add(TRANSFORM, "a", run="run-2")
    service.add(TRAINING, "b" * 40, run="")
    service.add(TRAINING, "untouched")
    ended = await carried_out(service, job_names=f"a,{'b' * 40}")
    assert sorted(ended.stopped) == ["a", "a", "b" * 40]
    assert service.state(TRAINING, "untouched") == "InProgress"
    assert not [o for o in service.operations if o.startswith("list_")]
    assert "describe_hyper_parameter_tuning_job" in service.operations


async def test_what_has_ended_is_said_and_no_failure(service: Service) -> None:
    service.add(TRAINING, "done", state="Completed")
    service.add(TRAINING, "dying", state="Stopping")
    ended = await carried_out(service, job_names="done,dying")
    assert (ended.status.phase, ended.stopped, service.changes) == (Phase.SUCCEEDED, [], [])
    assert "training job done has ended already (Completed)" in ended.said
    assert "training job dying is being stopped already (Stopping)" in ended.said


@pytest.mark.parametrize("dry_run", ["True", "False"])
async def test_a_name_that_no_job_has_fails_the_step_after_the_stops(service: Service, dry_run: str) -> None:
    service.add(TRAINING, "a")
    ended = await carried_out(service, job_names="nobody,a", dry_run=dry_run)
    assert (ended.status.phase, ended.stopped) == (Phase.FAILED, ["a"])
    assert ended.status.reason == "no job here is called nobody"
    assert "Compare the names" in ended.status.hint
    warned = [n.text for n in ended.notices if n.level is Level.WARNING]
    assert warned == ["no job here is called nobody: nothing to stop"]


async def test_what_may_still_run_is_told_before_a_name_that_no_job_has(service: Service) -> None:
    service.add(TRAINING, "a")
    service.always["stop_training_job"] = denied("StopTrainingJob")
    ended = await carried_out(service, job_names="nobody,a")
    assert ended.status.reason.startswith("could not stop training job a: ")
    assert ended.status.reason.endswith("; no job here is called nobody")
    assert "may still run and cost money" in ended.status.hint


async def test_an_endpoint_is_not_stopped_by_name(service: Service) -> None:
    """Not the run's, and not another's: a job of the same name is what is meant."""
    service.add(TRAINING, "digits", state="Completed", run="run-1")
    endpoint(service, "digits", run="run-2", config_run="run-2")
    endpoint(service, "new", run="", config_run="")
    ended = await carried_out(service, run_id="run-1", job_names="digits,new")
    assert (service.changes, ended.stopped) == ([], [])
    assert "describe_endpoint" not in service.operations
    assert ended.status.reason == "no job here is called new"


async def test_a_tuning_job_and_its_child_by_name(service: Service) -> None:
    child(service, service.add(TUNING, "hpo"), "hpo-001")
    assert (await carried_out(service, job_names="hpo-001,hpo")).stopped == ["hpo"]


async def test_a_run_and_names_together(service: Service) -> None:
    service.add(TRAINING, "a")
    service.add(TRAINING, "b", run="run-2")
    assert (await carried_out(service, run_id="run-1", job_names="a,b")).stopped == ["a", "b"]
    assert len(service.changes) == 2


async def test_a_kind_that_may_not_be_described_matters_only_for_names_found_nowhere(
    service: Service,
) -> None:
    service.add(TRAINING, "a")
    service.always["describe_labeling_job"] = denied("DescribeLabelingJob")
    assert (await carried_out(service, job_names="a")).status.phase is Phase.SUCCEEDED
    ended = await carried_out(service, job_names="b")
    assert ended.status.phase is Phase.FAILED
    assert ended.status.reason.startswith("could not look at labeling job b: SageMaker DescribeLabelingJob")


# ── dry run ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_dry_run_tells_and_stops_nothing(service: Service) -> None:
    service.add(TRAINING, "a")
    endpoint(service, "new")
    ended = await carried_out(service, run_id="run-1", dry_run="True")
    assert service.changes == []
    assert (ended.stopped, ended.status.facts) == (["a", "new"], {"would stop": "2 jobs"})
    assert "would stop training job a" in ended.said
    made = order(service, run_id="run-1", dry_run="True")
    await made.launch()
    assert (await made.stop(), service.changes) == (StopAnswer.ENDED, [])


# ── what goes wrong ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_kind_that_may_not_be_listed_does_not_keep_the_others(service: Service) -> None:
    service.add(TRAINING, "a")
    service.always["list_labeling_jobs"] = denied("ListLabelingJobs")
    service.always["list_endpoints"] = denied("ListEndpoints")
    ended = await carried_out(service)
    assert (ended.status.phase, ended.stopped) == (Phase.FAILED, ["a"])
    assert "could not look at labeling jobs: SageMaker ListLabelingJobs was refused" in ended.status.reason
    assert "could not look at endpoints" in ended.status.reason
    assert "grant what is refused" in ended.status.hint


async def test_tags_that_may_not_be_read_are_told_once_a_kind(service: Service) -> None:
    for number in range(5):
        service.add(TRAINING, f"a-{number}")
    service.always["list_tags"] = denied("ListTags")
    ended = await carried_out(service)
    assert (ended.status.phase, service.changes) == (Phase.FAILED, [])
    assert ended.status.reason.count("could not look at") == 1
    assert "the tags of training jobs: SageMaker ListTags was refused" in ended.status.reason


async def test_where_nothing_may_be_looked_at_it_is_refused_as_a_whole(service: Service) -> None:
    for kind in (*JOBS, ENDPOINT):
        service.always[f"{kind.method('list')}s"] = denied("List")
    with pytest.raises(Denied):
        await order(service).launch()


async def test_a_kind_that_is_unknown_there_has_no_jobs(service: Service) -> None:
    service.add(TRAINING, "a")
    for kind in (LABELING, ENDPOINT):
        service.always[f"{kind.method('list')}s"] = Unsupported("no such operation")
    ended = await carried_out(service)
    assert (ended.status.phase, ended.stopped) == (Phase.SUCCEEDED, ["a"])
    assert "labeling jobs are not known here" in ended.said
    for kind in JOBS:
        service.always[kind.method("describe")] = Unsupported("no such operation")
    ended = await carried_out(service, job_names="b")
    assert ended.status.reason == "no job here is called b"


async def test_throttles_and_failures_that_pass_are_waited_out(service: Service) -> None:
    service.add(TRAINING, "a")
    service.instead = {
        "list_training_jobs": [Throttled("Rate exceeded")] * 4,
        "list_tags": [LOST, LOST],
        "stop_training_job": [Throttled("Rate exceeded"), LOST],
    }
    ended = await carried_out(service)
    assert (ended.status.phase, ended.stopped) == (Phase.SUCCEEDED, ["a"])
    assert ended.said.count("asking again: Rate exceeded") == 1


async def test_a_failure_that_does_not_pass_is_a_gap(service: Service) -> None:
    service.add(TRAINING, "a")
    service.always["list_transform_jobs"] = LOST
    ended = await carried_out(service)
    assert (ended.status.phase, ended.stopped) == (Phase.FAILED, ["a"])
    assert "could not look at transform jobs: no answer" in ended.status.reason
    assert "grant" not in ended.status.hint


async def test_a_service_that_can_not_be_reached_is_given_up_soon(service: Service) -> None:
    for kind in (*JOBS, ENDPOINT):
        service.always[f"{kind.method('list')}s"] = Unreachable("can't reach SageMaker")
    with pytest.raises(Unreachable):
        await order(service).launch()
    assert asyncio.get_running_loop().time() < 40


async def test_a_stop_that_is_refused_fails_the_step_and_names_the_command(service: Service) -> None:
    service.add(TRAINING, "a")
    service.add(PROCESSING, "b")
    service.always["stop_training_job"] = denied("StopTrainingJob")
    ended = await carried_out(service)
    assert (ended.status.phase, ended.stopped) == (Phase.FAILED, ["b"])
    assert ended.status.reason.startswith("could not stop training job a: ")
    assert "aws sagemaker stop-training-job --region eu-west-1 --training-job-name a" in ended.said
    assert [n.level for n in ended.notices if "could not stop" in n.text] == [Level.ERROR]


async def test_many_reasons_are_cut_short(service: Service) -> None:
    for number in range(8):
        service.add(TRAINING, f"a-{number}")
    service.always["stop_training_job"] = denied("StopTrainingJob")
    ended = await carried_out(service)
    assert ended.status.reason.endswith("; and 3 more")


async def test_a_stop_whose_answer_was_lost_counts(service: Service) -> None:
    service.add(TRAINING, "a")
    service.after["stop_training_job"] = [LOST]
    assert (await carried_out(service)).stopped == ["a"]


async def test_hundreds_are_stopped_side_by_side(service: Service) -> None:
    for number in range(300):
        service.add(TRAINING, f"a-{number:03}")
    service.latency = 0.2
    ended = await carried_out(service)
    assert len(ended.stopped) == 300
    assert ended.status.message.endswith(" and 290 more")
    stops = [at for at, operation, _ in service.calls if operation == "stop_training_job"]
    assert stops[-1] - stops[0] == pytest.approx(300 / _order.AT_ONCE * 0.2, abs=1)


# ── interrupted ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def interrupted(service: Service) -> Any:
    """Run an order in a scope as a step does; cancel it at a time; return the order, its error and what was said."""

    async def run(at: float, **given: Any) -> tuple[StopOrder, BaseException | None, MemorySink]:
        made, sink = order(service, **given), MemorySink()

        async def scope() -> None:
            async with launched(made, [sink]) as following:
                await following.finished()

        task = asyncio.create_task(scope())
        await asyncio.sleep(at)
        task.cancel()
        (error,) = await asyncio.gather(task, return_exceptions=True)
        await made.close()
        return made, error, sink

    return run


@pytest.mark.parametrize("at", [0.5, 1.5, 2.5, 3.5])
async def test_an_interruption_lets_the_stops_be_finished(
    service: Service, interrupted: Any, at: float
) -> None:
    """While it lists, while it reads tags, and while it stops."""
    service.latency = 1.0
    child(service, service.add(TUNING, "hpo"), "hpo-001")
    service.add(TRAINING, "a")
    _, error, sink = await interrupted(at)
    assert isinstance(error, asyncio.CancelledError)
    assert sorted(name for _, name in service.changes) == ["a", "hpo"]
    last = [event.text for event in sink.events if isinstance(event, Notice)][-1]
    assert last == "the service was told to stop what runs of run run-1, and agreed"


async def test_an_interruption_ends_the_second_look_and_not_the_stops(
    service: Service, interrupted: Any
) -> None:
    service.add(TRAINING, "a")
    service.on_call["stop_training_job"] = lambda: setattr(service, "latency", 100.0)
    _, error, sink = await interrupted(10.0)
    assert isinstance(error, asyncio.CancelledError)
    assert service.changes == [("stop_training_job", "a")]
    last = [event.text for event in sink.events if isinstance(event, Notice)][-1]
    assert last == "the service was told to stop what runs of run run-1, and agreed"
    assert asyncio.get_running_loop().time() < 20


async def test_an_interruption_while_an_endpoint_is_waited_for(service: Service, interrupted: Any) -> None:
    service.add(TRAINING, "a")
    endpoint(service, "new")
    _, error, _ = await interrupted(60.0)
    assert isinstance(error, StopFailed)
    assert str(error).endswith("kfp-runner stop --region eu-west-1 --run_id run-1")
    assert service.changes == [("stop_training_job", "a")]


async def test_an_interruption_with_nothing_to_stop(service: Service, interrupted: Any) -> None:
    service.latency = 1.0
    _, _, sink = await interrupted(0.5)
    last = [event.text for event in sink.events if isinstance(event, Notice)][-1]
    assert last == "what runs of run run-1 had already ended"


async def test_a_look_that_is_broken_off_says_how_to_go_on(service: Service, interrupted: Any) -> None:
    service.add(TRAINING, "a")
    service.always["list_transform_jobs"] = LOST
    service.latency = 0.1
    _, error, _ = await interrupted(1.0)
    assert isinstance(error, StopFailed)
    assert "the look for what runs was broken off" in str(error)
    assert str(error).endswith("kfp-runner stop --region eu-west-1 --run_id run-1")
    assert service.changes == [("stop_training_job", "a")], "what was found by then is stopped"


async def test_the_command_is_the_order(service: Service) -> None:
    given = {"run_id": "a b", "job_names": "x,y", "assume_role": "arn:aws:iam::1:role/r"}
    words = shlex.split(order(service, **given).stop_command)
    assert words[:2] == ["kfp-runner", "stop"]
    again = spec.parse(stop.component, spec.pairs(words[2:], spec.names(stop.component)))
    assert again.inputs == inputs(**given)


async def test_in_a_scope_what_was_done_is_said_before_the_end(service: Service) -> None:
    service.add(TRAINING, "a")
    made, sink = order(service), MemorySink()
    async with launched(made, [sink]) as following:
        assert (await following.finished()).phase is Phase.SUCCEEDED
    await made.close()
    shapes = [type(event) for event in sink.events]
    assert shapes == [Launched, Notice, Status, Finished]
    assert sink.events[1] == Notice("stopped training job a")
    assert made.name == "the stop order for run run-1"


async def test_an_error_that_is_a_bug_comes_up(service: Service) -> None:
    service.add(TRAINING, "a")
    service.always["stop_training_job"] = ValueError("a bug")
    made = order(service)
    await made.launch()
    with pytest.raises(ValueError, match="a bug"):
        await made.describe()
    await made.close()


def test_outputs_read_well() -> None:
    assert json.loads(spec.as_text(stop.StopOutputs(stopped=["a"]).stopped)) == ["a"]


def test_not_found_and_refusals_are_told_apart() -> None:
    assert _finding.patience(Throttled("")) > _finding.patience(LOST) > _finding.patience(Unreachable(""))
    assert not issubclass(NotFound, Transient)
    assert issubclass(Denied, ServiceError)
