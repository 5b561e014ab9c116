"""A tuning job's feeds: its trials and their logs, against a service whose clock is the loop's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.aws.errors import AlreadyExists, Denied
from components.aws.sagemaker._api import TUNING
from components.aws.sagemaker._likeness import covers
from components.aws.sagemaker.hyperparameter_tuning import component as tuning
from components.aws.sagemaker.hyperparameter_tuning._job import TuningJob
from components.aws.sagemaker.hyperparameter_tuning._trial_list import LIST_RATE, PAGE
from components.aws.sagemaker.hyperparameter_tuning._trial_logs import (
    KEPT,
    KEPT_CHARACTERS,
    KEPT_TRIALS,
    QUIET_SECONDS,
    Show,
    TrialLogs,
)
from components.aws.sagemaker.hyperparameter_tuning._trials import Book, number, objective
from runner.errors import NameTaken, NotFound, ServiceError, Throttled, Transient
from runner.events import LogLine, LogSummary, Metric, Notice, Phase, Trial
from runner.identity import Identity
from runner.job import Feed, StopAnswer
from runner.limits import Bucket
from tests.unit.aws.simulated import EPOCH, CloudWatch
from tests.unit.aws.test_tuning import GIVEN, WARM, body

Item = LogLine | LogSummary | Metric | Notice | Trial


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(EPOCH + seconds, UTC)


@dataclass
class Planned:
    """A trial: when it is made, when it ends and how."""

    number: int
    starts: float
    ends: float
    value: float | None = None
    status: str = "Completed"
    reason: str = ""
    evaluated: float = 0.0
    """Seconds by which its objective comes after its end."""

    def name(self, job: str) -> str:
        return f"{job}-{self.number:03d}-{self.number:08x}"

    def summary(self, job: str, now: float) -> dict[str, Any]:
        over = now >= self.ends
        found: dict[str, Any] = {
            "TrainingJobName": self.name(job),
            "TrainingJobStatus": self.status if over else "InProgress",
            "CreationTime": moment(self.starts),
            "TunedHyperParameters": {"k": str(self.number)},
            "ObjectiveStatus": "Pending",
        }
        if over:
            found["TrainingEndTime"] = moment(self.ends)
            found |= {"FailureReason": self.reason} if self.reason else {}
        if over and now >= self.ends + self.evaluated:
            found["ObjectiveStatus"] = "Failed" if self.value is None else "Succeeded"
            if self.value is not None:
                found["FinalHyperParameterTuningJobObjectiveMetric"] = {
                    "MetricName": "loss",
                    "Value": self.value,
                }
        return found


@dataclass
class Service:
    """Stands in for `Aws`: one tuning job, its trials, and their logs."""

    plan: Sequence[Planned] = ()
    faults: dict[int, Exception] = field(default_factory=dict)
    """Number of a list call, from 0 → what is raised in place of its answer."""
    refused: Exception | None = None
    """What every list call is answered with."""
    child: Mapping[str, Any] | Exception = field(default_factory=dict)
    """What describing a trial answers."""
    job: str = "hpo"
    page: int = PAGE
    embedded: bool = True
    region: str = "eu-west-1"
    endpoint_url: str = ""
    role: str = ""
    logs: CloudWatch = field(default_factory=CloudWatch)
    lists: list[tuple[float, Mapping[str, Any]]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    described: Mapping[str, Any] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)

    @property
    def scope(self) -> tuple[str, str]:
        return self.logs.scope

    async def call(self, service: str, operation: str, **request: Any) -> Mapping[str, Any]:
        if service == "logs":
            return await self.logs.call(service, operation, **request)
        self.calls.append(operation)
        await asyncio.sleep(0.05)
        answer: Mapping[str, Any] = getattr(self, operation)(request)
        return {**answer, "ResponseMetadata": {"HTTPHeaders": {"date": "Fri, 15 Jan 2027 08:00:00 GMT"}}}

    def create_hyper_parameter_tuning_job(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if request["HyperParameterTuningJobName"] in self.taken:
            raise AlreadyExists("in use")
        return {}

    def describe_hyper_parameter_tuning_job(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        return {
            "HyperParameterTuningJobName": request["HyperParameterTuningJobName"],
            "HyperParameterTuningJobArn": "arn",
            "HyperParameterTuningJobStatus": "InProgress",
            "CreationTime": moment(0),
            **self.described,
        }

    def stop_hyper_parameter_tuning_job(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        return {}

    def describe_training_job(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if isinstance(self.child, Exception):
            raise self.child
        return self.child

    def list_training_jobs_for_hyper_parameter_tuning_job(
        self, request: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        now, index = asyncio.get_running_loop().time(), len(self.lists)
        self.lists.append((now, request))
        if self.refused:
            raise self.refused
        if fault := self.faults.get(index):
            raise fault
        assert (request["SortBy"], request["SortOrder"]) == ("CreationTime", "Descending")
        made = sorted((t for t in self.plan if t.starts <= now), key=lambda t: (-t.starts, -t.number))
        # A token is the name behind which to go on: what is made meanwhile comes before it.
        names = [t.name(self.job) for t in made]
        start = names.index(request["NextToken"]) + 1 if "NextToken" in request else 0
        end = start + min(self.page, request["MaxResults"])
        more = {"NextToken": names[end - 1]} if end < len(names) else {}
        return {"TrainingJobSummaries": [t.summary(self.job, now) for t in made[start:end]], **more}


def job_of(service: Service, show: Show = "all", **changes: Any) -> TuningJob:
    request = body(job_name=service.job, **changes)
    job = TuningJob(
        TUNING,
        service,  # type: ignore[arg-type]
        "aws.sagemaker.hyperparameter_tuning",
        tuning.WIRING.reading,
        service.job,
        request,
    )
    job.trial_logs = show
    return job


async def shown(job: TuningJob, ends_at: float, *feeds: str) -> list[tuple[float, Item]]:
    """Follow feeds of a job that ends at a time (both, unless named); return what they yielded, and when."""
    loop, ended, items = asyncio.get_running_loop(), asyncio.Event(), list[tuple[float, Item]]()
    timer = loop.call_at(ends_at, ended.set)

    async def follow(feed: Feed) -> None:
        events: AsyncIterator[Item] = feed(ended)
        async for item in events:
            items.append((loop.time(), item))

    async with asyncio.TaskGroup() as group:
        for feed in job.feeds():
            if not feeds or feed.__name__ in feeds:
                group.create_task(follow(feed))
    timer.cancel()
    return items


def trials(items: Sequence[tuple[float, Item]]) -> list[Trial]:
    return [item for _, item in items if isinstance(item, Trial)]


def ends(items: Sequence[tuple[float, Item]]) -> list[tuple[str, Phase, float | None, bool]]:
    return [(number(t.name), t.phase, t.objective, t.best) for t in trials(items) if t.phase.final]


def starts(items: Sequence[tuple[float, Item]]) -> list[str]:
    return [number(t.name) for t in trials(items) if not t.phase.final]


def texts(items: Sequence[tuple[float, Item]]) -> list[str]:
    return [item.text for _, item in items if isinstance(item, LogLine)]


def notices(items: Sequence[tuple[float, Item]]) -> list[str]:
    return [item.text for _, item in items if isinstance(item, Notice)]


DONE = Phase.SUCCEEDED
PLAN = (
    Planned(1, 5, 60, 0.5),
    Planned(2, 5, 40, 0.7),
    Planned(3, 41, 90, None, "Failed", "AlgorithmError: exit code 1"),
    Planned(4, 61, 95, 0.1),
)


# ── Trials ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.looptime
async def test_each_trial_is_told_as_it_starts_and_as_it_ends() -> None:
    items = await shown(job_of(Service(PLAN)), 100, "trials")
    assert starts(items) == ["001", "002", "003", "004"]
    assert ends(items) == [
        ("002", DONE, 0.7, True),
        ("001", DONE, 0.5, True),
        ("003", Phase.FAILED, None, False),
        ("004", DONE, 0.1, True),
    ]
    assert trials(items)[0].parameters == {"k": "1"}
    assert notices(items) == [
        "hpo-003-00000003 failed: AlgorithmError: exit code 1 (The job's own code failed. Its last log lines say why.)"
    ]
    for at, item in items:
        if isinstance(item, Trial) and item.phase.final:
            planned = next(t for t in PLAN if t.name("hpo") == item.name)
            assert planned.ends <= at <= planned.ends + 0.3 * (planned.ends - planned.starts) + 3


@pytest.mark.looptime
async def test_more_is_better_where_the_objective_is_to_be_maximized() -> None:
    items = await shown(job_of(Service(PLAN), metric_type="Maximize"), 100, "trials")
    assert [best for *_, best in ends(items)] == [True, False, False, False]


def several_objectives(*told: str) -> dict[str, Any]:
    """A description of a tuning job with several definitions, whose objectives have these types."""
    return {
        "HyperParameterTuningJobConfig": {"Strategy": "Bayesian"},
        "TrainingJobDefinitions": [{"TuningObjective": {"Type": t, "MetricName": "loss"}} for t in told],
    }


async def watched(service: Service) -> TuningJob:
    job = TuningJob(TUNING, service, "c", tuning.WIRING.reading, service.job, None)  # type: ignore[arg-type]
    await job.describe()
    return job


@pytest.mark.looptime
async def test_what_is_better_each_definition_says_where_the_job_does_not() -> None:
    service = Service(PLAN, described=several_objectives("Minimize", "Minimize"))
    items = await shown(await watched(service), 100, "trials")
    assert [best for *_, best in ends(items)] == [True, True, False, True]


@pytest.mark.looptime
async def test_where_it_is_not_known_what_is_better_the_service_says_which_is_the_best() -> None:
    service = Service(PLAN, described=several_objectives("Minimize", "Maximize"))
    job = await watched(service)
    assert not any(best for *_, best in ends(await shown(job, 100, "trials")))
    job = await watched(service)
    job._description = {**job._description, "BestTrainingJob": PLAN[0].summary("hpo", 100)}
    items = await shown(job, 110, "trials")
    assert [n for n, _, _, best in ends(items) if best] == ["001"]
    assert trials(items)[-1].objective == 0.5


@pytest.mark.looptime
@pytest.mark.parametrize("best", [1, 2, 3, 4])
async def test_in_the_end_the_service_has_the_last_word_on_the_best(best: int) -> None:
    """Two that are equally good, a correction that came late."""
    service = Service([Planned(n, n, 10 + n, 1.0) for n in (1, 2, 3)])
    job = job_of(service)
    named = {**body(), "BestTrainingJob": Planned(best, 1, 2, 1.0).summary("hpo", 9)}
    asyncio.get_running_loop().call_at(30, setattr, job, "_description", named)
    items = await shown(job, 40, "trials")
    told = [(number(t.name), t.best, at >= 40) for at, t in items if isinstance(t, Trial) and t.phase.final]
    before = [("001", True, False), ("002", False, False), ("003", False, False)]
    assert told == [*before, *([(f"{best:03d}", True, True)] if best in (2, 3) else [])]


@pytest.mark.looptime
async def test_who_comes_later_hears_of_all_that_was_missed_in_its_order() -> None:
    service = Service(PLAN)
    await asyncio.sleep(92)
    items = await shown(job_of(service), 100, "trials")
    assert [number(t.name) for t in trials(items)] == ["001", "002", "002", "003", "001", "004", "003", "004"]
    assert [best for *_, best in ends(items)] == [True, True, False, True]


@pytest.mark.looptime
async def test_a_trial_that_starts_and_ends_between_two_looks_is_told_twice() -> None:
    items = await shown(job_of(Service([Planned(1, 50.0, 50.5, 1.0)])), 100, "trials")
    assert [t.phase for t in trials(items)] == [Phase.RUNNING, DONE]


@pytest.mark.looptime
@pytest.mark.parametrize("failing", [{0, 1}, {3, 5, 6}, set(range(2, 40, 2)), set(range(30))])
async def test_failures_of_the_list_cost_nothing_but_time(failing: set[int]) -> None:
    service = Service(PLAN, faults={n: Transient("HTTP 500") for n in failing})
    items = await shown(job_of(service), 100, "trials")
    assert sorted(starts(items)) == ["001", "002", "003", "004"]
    assert sorted(number for number, *_ in ends(items)) == ["001", "002", "003", "004"]
    assert "could not list the trials, trying again: HTTP 500" in notices(items)
    assert any("listing the trials works again" in text for text in notices(items))


@pytest.mark.looptime
async def test_a_throttled_list_slows_down_the_whole_process(monkeypatch: pytest.MonkeyPatch) -> None:
    throttled: list[float] = []
    monkeypatch.setattr(Bucket, "throttled", lambda bucket: throttled.append(bucket.rate))
    await shown(job_of(Service(PLAN, faults={2: Throttled("slow down")})), 30, "trials")
    assert throttled == [LIST_RATE]


@pytest.mark.looptime
async def test_a_list_that_never_works_again_is_given_up_after_the_end() -> None:
    service = Service(PLAN, refused=Transient("HTTP 500"))
    items = await shown(job_of(service), 100, "trials")
    assert notices(items)[-1] == "the list of trials is incomplete: the service went on failing"
    assert items[-1][0] < 100 + 280


@pytest.mark.looptime
async def test_who_may_not_list_is_told_once_and_has_the_logs() -> None:
    service = Service(PLAN, refused=Denied("not authorized to perform: sagemaker:List…"))
    service.logs.write("hpo-001-00000001/algo-1-1700000000", "a line", at=7)
    items = await shown(job_of(service), 30)
    assert [t for t in notices(items) if "can't be listed" in t] == notices(items)
    assert len(service.lists) == len(notices(items)) == 1
    assert texts(items) == ["a line"]


@pytest.mark.looptime
async def test_a_job_that_can_not_be_seen_yet_has_no_trials_yet() -> None:
    service = Service(PLAN, faults={0: NotFound("Requested resource not found.")})
    items = await shown(job_of(service), 100, "trials")
    assert len(ends(items)) == 4
    assert "could not list" not in "".join(notices(items))


@pytest.mark.looptime
async def test_any_other_refusal_ends_the_feed() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await shown(job_of(Service(PLAN, refused=ServiceError("wrong"))), 100, "trials")
    assert caught.group_contains(ServiceError, match="wrong")


@pytest.mark.looptime
async def test_hundreds_of_trials_are_read_page_by_page_and_old_ones_once() -> None:
    old = [Planned(n, n / 10, n / 10 + 1, 1 / n) for n in range(1, 251)]
    young = [Planned(n, 40 + n / 10, 60 + n / 10, 1 / n) for n in range(251, 261)]
    service = Service([*old, *young])
    await asyncio.sleep(30)
    items = await shown(job_of(service), 100, "trials")
    assert [n for n, *_ in ends(items)] == [f"{n:03d}" for n in range(1, 261)]
    first = [at for at, request in service.lists if "NextToken" not in request]
    later = [at for at, request in service.lists if "NextToken" in request]
    assert len(first) > 6
    assert len(later) == 4, "two for what was there before, two at the end"
    assert all(at < 35 or at >= 100 for at in later)


@pytest.mark.looptime
async def test_a_page_that_fails_is_read_again_and_not_what_came_before_it() -> None:
    plan = [Planned(n, n / 10, n / 10 + 1, 1 / n) for n in range(1, 301)]
    service = Service(plan, faults={1: Transient("reset"), 3: ServiceError("the token is too old")})
    await asyncio.sleep(40)
    items = await shown(job_of(service), 60, "trials")
    assert [n for n, *_ in ends(items)] == [f"{n:03d}" for n in range(1, 301)]
    assert ["NextToken" in request for _, request in service.lists][:7] == [
        False,
        True,
        True,
        True,
        False,
        True,
        True,
    ]


@pytest.mark.looptime
async def test_an_objective_that_is_still_looked_for_is_waited_for() -> None:
    items = await shown(job_of(Service([Planned(1, 5, 50, 0.5, evaluated=8)])), 100, "trials")
    assert ends(items) == [("001", DONE, 0.5, True)]


@pytest.mark.looptime
async def test_but_not_for_ever() -> None:
    items = await shown(job_of(Service([Planned(1, 5, 50, 0.5, evaluated=1e6)])), 60, "trials")
    assert ends(items) == [("001", DONE, None, False)]
    assert 80 <= items[-1][0] < 90
    assert notices(items) == ["hpo-001-00000001 completed, but its log gave no objective"]


@pytest.mark.looptime
async def test_trials_that_end_after_the_job_are_told_still() -> None:
    items = await shown(job_of(Service([Planned(1, 5, 112, None, "Stopped")])), 100, "trials")
    assert ends(items) == [("001", Phase.STOPPED, None, False)]


@pytest.mark.looptime
async def test_a_line_of_a_new_trial_and_a_changed_number_are_reasons_to_look() -> None:
    service = Service([Planned(1, 1, 3000, 1.0), Planned(2, 1001, 3000, 1.0), Planned(3, 2001, 3000, 1.0)])
    service.logs.write("hpo-002-00000002/algo-1-1700000000", "a line", at=1001)
    job, loop = job_of(service), asyncio.get_running_loop()
    loop.call_at(2001, lambda: loop.create_task(job.describe()))
    loop.call_at(2000, service.__setattr__, "described", {"TrainingJobStatusCounters": {"InProgress": 3}})
    items = await shown(job, 3100)
    when = {t.name: at for at, t in items if isinstance(t, Trial) and not t.phase.final}
    assert when["hpo-002-00000002"] < 1007
    assert when["hpo-003-00000003"] < 2003


@pytest.mark.looptime
async def test_a_long_silence_is_looked_into_less_often() -> None:
    service = Service([Planned(1, 1, 3500, 1.0)])
    await shown(job_of(service), 3600, "trials")
    pauses = [b[0] - a[0] for a, b in zip(service.lists[20:100], service.lists[21:100], strict=False)]
    assert len(service.lists) < 150
    assert min(pauses) > 26


def test_the_best_has_an_objective_and_completed() -> None:
    book = Book()
    listed = [
        Planned(1, 1, 2, None).summary("hpo", 9),
        Planned(2, 1, 3, float("nan")).summary("hpo", 9),
        Planned(3, 1, 4, 0.1, "Stopped").summary("hpo", 9),
        Planned(4, 1, 5, 0.9).summary("hpo", 9),
        Planned(5, 1, 6, 0.9).summary("hpo", 9),
    ]
    told = [t for t in book.news([*listed, *listed], "Minimize") if isinstance(t, Trial) and t.phase.final]
    assert [(number(t.name), t.best) for t in told][3:] == [("004", True), ("005", False)]
    assert not any(t.best for t in told[:3])
    assert list(book.news(listed, "Minimize")) == []
    assert book.running == set()


moments = st.floats(0, 100, allow_nan=False)
planned = st.builds(
    lambda number, starts, lasts, value, status: Planned(number, starts, starts + lasts, value, status),
    st.integers(1, 999),
    moments,
    moments,
    st.none() | st.floats(allow_nan=True),
    st.sampled_from(["Completed", "Failed", "Stopped"]),
)


@given(
    st.lists(planned, max_size=12, unique_by=lambda t: t.number),
    st.lists(moments, max_size=8),
    st.sampled_from(["Minimize", "Maximize"]),
)
def test_whenever_it_is_looked_each_start_and_end_is_told_once_and_bests_improve(
    plan: list[Planned], looks: list[float], direction: str
) -> None:
    book, told = Book(), list[Trial]()
    for now in [*sorted(looks), 201.0]:
        listed = [t.summary("hpo", now) for t in plan if t.starts <= now]
        told += [t for t in book.news(listed, direction) if isinstance(t, Trial)]
    for name in {t.name("hpo") for t in plan}:
        assert [t.phase.final for t in told if t.name == name] == [False, True]
    bests = [t.objective for t in told if t.best]
    assert all(value is not None for value in bests)
    assert bests == sorted(set(bests), reverse=direction == "Minimize")  # type: ignore[type-var]
    sound = [t.value for t in plan if t.status == "Completed" and t.value is not None and t.value == t.value]
    assert bool(bests) is bool(sound)
    if sound:
        assert bests[-1] == (min if direction == "Minimize" else max)(sound)


@pytest.mark.parametrize(
    ("name", "job", "found"),
    [
        ("hpo-007-0f21ddb6", "hpo", "007"),
        ("hpo-1234-0f21ddb6", "hpo", "1234"),
        ("hpo-2-007-0f21ddb6", "hpo", ""),
        ("hpo-2-007-0f21ddb6", "hpo-2", "007"),
        ("hpo-007-0f21ddb6", "", "007"),
        ("hpo-007", "hpo", ""),
        ("hpo-002-001-0f21ddb6", "hpo", ""),
        ("hpo-0f21ddb6-007", "hpo", ""),
        ("hpo-07-0f21ddb6", "hpo", ""),
        ("", "", ""),
    ],
)
def test_a_trials_number(name: str, job: str, found: str) -> None:
    assert number(name, job) == found


def test_an_objective_may_be_zero() -> None:
    assert objective(Planned(1, 1, 2, 0.0).summary("hpo", 9)) == 0.0
    assert objective({}) is None


# ── Logs ────────────────────────────────────────────────────────────────────────────────────────────────────────────

LOSS: dict[str, Any] = {"metric_definitions": {"loss": "loss=([0-9.]+)"}}


@pytest.mark.looptime
async def test_one_request_reads_the_logs_of_all_trials_and_of_no_other_job() -> None:
    service = Service(PLAN)
    for stream in ("hpo-001-00000001", "hpo-002-00000002", "hpo-2-001-00000001", "hpo-x", "hpo"):
        service.logs.write(f"{stream}/algo-1-1700000000", f"of {stream}", at=10)
    items = await shown(job_of(service), 100, "log")
    lines = [item for _, item in items if isinstance(item, LogLine)]
    assert sorted((line.stream, line.text) for line in lines) == [
        ("001", "of hpo-001-00000001"),
        ("002", "of hpo-002-00000002"),
    ]
    assert items[-1][1] == LogSummary(2)
    assert {operation for _, operation, _ in service.logs.calls} == {"filter_log_events"}
    assert {request["logStreamNamePrefix"] for *_, request in service.logs.calls} == {"hpo-"}
    assert items[0][0] < 12


@pytest.mark.looptime
async def test_of_several_instances_each_is_named() -> None:
    service = Service(PLAN)
    for instance in (1, 2):
        service.logs.write(f"hpo-001-00000001/algo-{instance}-1700000000", str(instance), at=10 + instance)
    items = await shown(job_of(service, instance_count=2), 30, "log")
    assert [i.stream for _, i in items if isinstance(i, LogLine)] == ["001 algo-1", "001 algo-2"]


def several(*counts: int) -> list[dict[str, Any]]:
    return [{"InstanceCount": many} for many in counts]


@pytest.mark.parametrize(
    ("described", "many"),
    [
        ({}, 1),
        ({"TrainingJobDefinition": {"ResourceConfig": {"InstanceCount": 3}}}, 3),
        ({"TrainingJobDefinitions": [{"ResourceConfig": resources} for resources in several(1, 4)]}, 4),
        ({"TrainingJobDefinition": {"ResourceConfig": {"InstanceGroups": several(1, 2)}}}, 3),
    ],
)
def test_how_many_instances_a_trial_has(described: dict[str, Any], many: int) -> None:
    job = job_of(Service())
    job._description = {"HyperParameterTuningJobName": "hpo", **described}
    assert job._instances == many


@pytest.mark.looptime
async def test_metrics_are_the_jobs_own_and_those_of_the_built_in_algorithm() -> None:
    builtin = {"AlgorithmSpecification": {"MetricDefinitions": [{"Name": "test:msd", "Regex": "msd (.*);"}]}}
    service = Service(PLAN, child=builtin)
    service.logs.write("hpo-001-00000001/algo-1-1700000000", "loss=0.5; msd 12;", at=10)
    service.logs.write("hpo-002-00000002/algo-1-1700000000", "loss=0.25;", at=20)
    items = await shown(job_of(service, **LOSS), 30, "log")
    assert [(m.name, m.value, m.stream) for _, m in items if isinstance(m, Metric)] == [
        ("loss", 0.5, "001"),
        ("test:msd", 12.0, "001"),
        ("loss", 0.25, "002"),
    ]
    assert service.calls.count("describe_training_job") == 1


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("refusal", "asked"), [(Denied("no"), 1), (Transient("500"), 3), (NotFound("not yet"), 3)]
)
async def test_a_trial_that_does_not_tell_its_metrics_leaves_the_jobs_own(
    refusal: Exception, asked: int
) -> None:
    service = Service(PLAN, child=refusal)
    for at in range(10, 35):
        service.logs.write("hpo-001-00000001/algo-1-1700000000", f"loss={at};", at=at)
    items = await shown(job_of(service, **LOSS), 50, "log")
    assert [m.value for _, m in items if isinstance(m, Metric)] == list(range(10, 35))
    assert service.calls.count("describe_training_job") == asked


def chatty(service: Service, lines: int = 3) -> None:
    for planned in service.plan:
        for n in range(lines):
            at = planned.starts + 1 + n * (planned.ends - planned.starts - 2) / lines
            service.logs.write(
                f"{planned.name('hpo')}/algo-1-1700000000", f"{planned.number}.{n} loss={n};", at=at
            )


@pytest.mark.looptime
async def test_no_lines_are_shown_but_their_metrics_and_their_number() -> None:
    service = Service(PLAN)
    chatty(service)
    items = await shown(job_of(service, "none", **LOSS), 100)
    assert texts(items) == []
    assert len([m for _, m in items if isinstance(m, Metric)]) == 12
    assert notices(items)[-1] == (
        "12 log lines of 4 trials were not shown (--trial_logs none); --trial_logs all shows them"
    )
    assert items[-1][1] == LogSummary(12)


@pytest.mark.looptime
async def test_the_lines_of_a_trial_that_failed_follow_its_end() -> None:
    service = Service(PLAN, embedded=False)
    chatty(service)
    service.logs.write("hpo-003-00000003/algo-1-1700000000", "late traceback", at=89.9, delay=8)
    items = await shown(job_of(service, "errors"), 100)
    assert texts(items) == ["3.0 loss=0;", "3.1 loss=1;", "3.2 loss=2;", "late traceback"]
    told = [i for _, i in items if isinstance(i, Trial | LogLine)]
    failed = next(n for n, i in enumerate(told) if isinstance(i, Trial) and i.phase is Phase.FAILED)
    assert not any(isinstance(i, LogLine) for i in told[:failed])
    assert notices(items)[-1] == (
        "9 log lines of 3 trials were not shown (--trial_logs errors); see them with: aws logs filter-log-events "
        "--region eu-west-1 --log-group-name /aws/sagemaker/TrainingJobs --log-stream-name-prefix hpo-"
    )


@pytest.mark.looptime
async def test_the_lines_of_each_best_so_far_follow_its_end() -> None:
    service = Service(PLAN)
    chatty(service)
    items = await shown(job_of(service, "best"), 100)
    assert texts(items) == [f"{trial}.{n} loss={n};" for trial in (2, 1, 4) for n in range(3)]
    assert notices(items)[-1].startswith("3 log lines of 1 trial were not shown (--trial_logs best)")


@pytest.mark.looptime
async def test_where_ends_can_not_be_learnt_of_all_lines_are_shown() -> None:
    service = Service(PLAN, refused=Denied("no"))
    chatty(service)
    items = await shown(job_of(service, "errors"), 100)
    assert len(texts(items)) == 12
    assert not any("not shown" in text for text in notices(items))


@pytest.mark.looptime
async def test_a_late_start_of_the_watch_shows_the_log_from_its_beginning() -> None:
    service = Service(PLAN)
    chatty(service)
    await asyncio.sleep(98)
    items = await shown(job_of(service, "all"), 100)
    assert len(texts(items)) == 12
    items = await shown(job_of(service, "errors"), 100)
    assert texts(items) == ["3.0 loss=0;", "3.1 loss=1;", "3.2 loss=2;"]


@pytest.mark.looptime
async def test_the_last_end_is_waited_for_before_the_account_is_closed() -> None:
    """The list works again only long after the log is complete."""
    plan = [Planned(1, 5, 90, None, "Failed")]
    service = Service(plan, faults={n: Transient("500") for n in range(8, 40)})
    chatty(service)
    items = await shown(job_of(service, "errors"), 100)
    assert texts(items) == ["1.0 loss=0;", "1.1 loss=1;", "1.2 loss=2;"]
    assert isinstance(items[-1][1], LogSummary)
    assert not any("not shown" in text for text in notices(items))


def line(text: str = "x") -> LogLine:
    return LogLine(text, "001")


def of_failed(logs: TrialLogs, trial: str) -> list[LogLine]:
    logs.ended(trial, 0, failed=True, best=False)
    return logs.due(QUIET_SECONDS)


def test_what_is_kept_is_bounded_by_lines_characters_and_trials() -> None:
    logs = TrialLogs("errors")
    for n in range(10_000):
        assert logs.take(line(str(n)), "001", 0) == []
    assert [x.text for x in of_failed(logs, "001")] == [
        str(n) for n in range(10_000 - KEPT["errors"], 10_000)
    ]
    assert logs.hidden == 10_000 - KEPT["errors"]
    for _ in range(50):
        logs.take(line("y" * (KEPT_CHARACTERS // 4)), "002", 0)
    assert len(of_failed(logs, "002")) == 4
    for n in range(3 * KEPT_TRIALS):
        logs.take(line(), f"t{n}", 0)
    assert of_failed(logs, "t0") == []
    assert of_failed(logs, f"t{3 * KEPT_TRIALS - 1}") == [line()]


def test_every_line_is_shown_or_counted_once() -> None:
    for show in ("all", "none", "errors", "best"):
        logs, out = TrialLogs(show), 0
        for n in range(5000):
            out += len(logs.take(line(), f"{n % 7}", n / 100))
            if n == 3000:
                logs.ended("1", 30, failed=True, best=False)
                logs.ended("2", 30, failed=False, best=True)
                logs.ended("3", 30, failed=False, best=False)
            out += len(logs.due(n / 100))
        out += len(logs.close())
        assert out + logs.hidden == 5000, show


def test_an_end_that_is_known_before_its_lines_shows_only_the_last_of_them() -> None:
    logs = TrialLogs("errors")
    logs.ended("001", 0, failed=True, best=False)
    for n in range(1000):
        assert logs.take(line(str(n)), "001", n / 100) == []
        assert logs.due(n / 100) == []
    waiting = logs.pending
    assert [x.text for x in logs.due(20)] == [str(n) for n in range(900, 1000)]
    assert (waiting, logs.pending) == (True, False)
    assert logs.take(line("late"), "001", 30) == [line("late")]


def test_what_was_due_when_the_list_was_lost_is_shown() -> None:
    logs = TrialLogs("best")
    logs.take(line("a"), "001", 0)
    logs.take(line("b"), "002", 0)
    logs.ended("001", 0, failed=False, best=True)
    logs.blind()
    assert logs.take(line("c"), "002", 1) == [line("a"), line("b"), line("c")]
    assert logs.close() == []
    assert logs.unshown == ""


@pytest.mark.looptime
async def test_a_flood_of_ten_trials_is_followed_live() -> None:
    plan = [Planned(n, 1, 95, 1.0 / n) for n in range(1, 11)]
    service = Service(plan)
    for second in range(5, 90):
        for planned in plan:
            for n in range(10):
                service.logs.write(
                    f"{planned.name('hpo')}/algo-1-1700000000", f"{second}.{n}", at=second + n / 10
                )
    items = await shown(job_of(service, **LOSS), 100)
    delays = [at - (i.time - EPOCH) for at, i in items if isinstance(i, LogLine)]
    assert len(delays) == 85 * 10 * 10
    assert sorted(delays)[int(len(delays) * 0.99)] < 3


# ── The job ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_launch_describe_and_stop() -> None:
    service = Service()
    job = job_of(service)
    launched = await job.launch()
    assert (launched.job, launched.adopted) == ("hpo", False)
    assert (await job.describe()).phase is Phase.RUNNING
    assert await job.stop() is StopAnswer.AGREED
    assert service.calls == [
        "create_hyper_parameter_tuning_job",
        "describe_hyper_parameter_tuning_job",
        "stop_hyper_parameter_tuning_job",
    ]
    assert job.stop_command == (
        "aws sagemaker stop-hyper-parameter-tuning-job --region eu-west-1 --hyper-parameter-tuning-job-name hpo"
    )


async def test_links_lead_to_the_tuning_job_and_to_the_logs_of_its_trials() -> None:
    links = (await job_of(Service(embedded=False)).launch()).links
    assert links["job"].endswith("/hyper-tuning-jobs/hpo")
    assert "hpo-" in links["logs"]


async def test_a_step_that_is_retried_after_its_job_failed_takes_the_next_name_within_32_characters() -> None:
    run = Identity("aws.sagemaker.hyperparameter_tuning", "run", "step")
    request = body(run)
    name = request["HyperParameterTuningJobName"]
    service = Service(taken={name}, described={"HyperParameterTuningJobStatus": "Failed"})
    service.list_tags = lambda _: {"Tags": request["Tags"]}  # type: ignore[attr-defined]
    job = TuningJob(TUNING, service, "c", tuning.WIRING.reading, name, request)  # type: ignore[arg-type]
    assert not (await job.launch()).adopted
    assert job.name == f"{name}-2"
    assert len(job.name) <= 32
    assert job.log_prefix == f"{name}-2-"


def test_what_the_service_adds_to_a_tuning_job_does_not_make_it_anothers() -> None:
    ours = body(**WARM, static_parameters={"a": "1"})
    definition, config = ours["TrainingJobDefinition"], ours["HyperParameterTuningJobConfig"]
    theirs = {
        **ours,
        "HyperParameterTuningJobConfig": {
            **config,
            "ParameterRanges": {
                **config["ParameterRanges"],
                "IntegerParameterRanges": [{**GIVEN["integer_parameters"][0], "ScalingType": "Auto"}],
            },
        },
        "TrainingJobDefinition": {
            **definition,
            "StaticHyperParameters": {"_tuning_objective_metric": "loss", "a": "1"},
        },
        "TrainingJobStatusCounters": {},
    }
    assert covers(theirs, ours)
    definition = {**definition, "StaticHyperParameters": {"_tuning_objective_metric": "loss", "a": "2"}}
    assert not covers({**theirs, "TrainingJobDefinition": definition}, ours)
    assert not covers({**theirs, "WarmStartConfig": {**ours["WarmStartConfig"], "WarmStartType": "x"}}, ours)


STATIC = {"a": "1", "lr": "0.1"}
RANGES = [{"Name": "c", "Values": ["a", "b"]}]


@pytest.mark.parametrize(
    ("theirs", "ours", "adopted"),
    [
        ({"static_parameters": STATIC}, {"static_parameters": STATIC}, True),
        ({"static_parameters": {"a": "1"}}, {"static_parameters": STATIC}, False),
        ({"static_parameters": {**STATIC, "b": "1"}}, {"static_parameters": STATIC}, False),
        ({"static_parameters": {**STATIC, "lr": "0.2"}}, {"static_parameters": STATIC}, False),
        (WARM, WARM, True),
        (WARM, {}, False),
        ({}, WARM, False),
        ({"categorical_parameters": RANGES}, {"categorical_parameters": RANGES}, True),
        ({"categorical_parameters": RANGES}, {}, False),
        ({}, {"categorical_parameters": RANGES}, False),
        ({}, {"vpc_subnets": "a", "vpc_security_group_ids": "b"}, False),
    ],
)
async def test_after_a_lost_answer_only_what_was_asked_for_is_adopted(
    theirs: dict[str, Any], ours: dict[str, Any], adopted: bool
) -> None:
    """The service repeats what is not blank, and adds its own name to the static ones; nobody's job is stopped for it."""
    foreign = body(job_name="hpo", **theirs)
    ranges = foreign["HyperParameterTuningJobConfig"]["ParameterRanges"]
    foreign["HyperParameterTuningJobConfig"]["ParameterRanges"] = {k: v for k, v in ranges.items() if v}
    static = foreign["TrainingJobDefinition"]["StaticHyperParameters"]
    foreign["TrainingJobDefinition"]["StaticHyperParameters"] = {"_tuning_objective_metric": "loss", **static}
    service = Service(described={**foreign, "CreationTime": datetime.now(UTC)})
    answers: list[Exception] = [Transient("the answer was lost"), AlreadyExists("in use")]

    def create(_: Mapping[str, Any]) -> Mapping[str, Any]:
        raise answers.pop(0)

    service.create_hyper_parameter_tuning_job = create  # type: ignore[assignment,method-assign]
    job = job_of(service, **ours)
    with pytest.raises(Transient):
        await job.launch()
    if adopted:
        assert (await job.launch()).adopted
        return
    with pytest.raises(NameTaken):
        await job.launch()
    assert await job.stop() is StopAnswer.NOT_OURS
    assert "stop_hyper_parameter_tuning_job" not in service.calls


@pytest.mark.parametrize(
    ("refusal", "named"),
    [(ServiceError("invalid"), True), (Denied("no"), False), (Transient("500"), False)],
)
async def test_a_refusal_names_what_speaks_for_it(refusal: ServiceError, named: bool) -> None:
    service = Service()

    def create(_: Mapping[str, Any]) -> Mapping[str, Any]:
        raise refusal

    service.create_hyper_parameter_tuning_job = create  # type: ignore[assignment,method-assign]
    with pytest.raises(type(refusal)) as caught:
        await job_of(service, integer_parameters=[]).launch()
    assert ("--categorical_parameters are all []" in str(caught.value)) is named
    with pytest.raises(type(refusal)) as caught:
        await job_of(service, **LOSS).launch()
    assert caught.value is refusal


async def test_connecting_passes_on_whose_lines_to_show(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_REGION": "eu-west-1",
    }.items():
        monkeypatch.setenv(name, value)
    inputs = tuning.TuningInputs(**GIVEN, trial_logs="best")
    async with tuning.component.connect(inputs, Identity("aws.sagemaker.hyperparameter_tuning")) as job:
        assert isinstance(job, TuningJob)
        assert job.trial_logs == "best"
        assert [feed.__name__ for feed in job.feeds()] == ["trials", "log"]
    async with tuning.component.attach(tuning.component.where(region="eu-west-1"), "hpo") as job:  # type: ignore[call-arg]
        assert isinstance(job, TuningJob)
        assert job.trial_logs == "all"
