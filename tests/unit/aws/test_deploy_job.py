"""A deploy before a simulated SageMaker: launched, resumed, attached to, watched, tidied up, stopped."""

from __future__ import annotations

import asyncio
import shlex
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

from components.aws.errors import Denied
from components.aws.readers import FilterReader, StreamReader
from components.aws.sagemaker.deploy import _job as _endpoint
from components.aws.sagemaker.deploy import _parts
from components.aws.sagemaker.deploy import component as deploy
from components.aws.sagemaker.deploy._job import DeployJob
from runner.errors import NameTaken, NotFound, ServiceError, Throttled, Transient
from runner.events import LogLine, LogSummary, Phase, Status
from runner.job import StopAnswer
from tests.unit.aws.simulated import GROUP, CloudWatch
from tests.unit.aws.simulated_hosting import (
    CONFIG,
    ENDPOINT,
    IN_RUN,
    LIVE,
    OLD,
    Endpoint,
    Hosting,
    job_of,
    requests,
    update_of,
    wall,
)

pytestmark = pytest.mark.looptime

PING = "the container did not pass the ping health check"


@pytest.fixture(autouse=True)
def _one_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_parts, "wall", wall)


async def ended(job: DeployJob, most: float = 600.0) -> Status:
    """Read the status until it is final."""
    async with asyncio.timeout(most):
        while not (status := await job.describe()).phase.final:  # noqa: ASYNC110  in virtual time
            await asyncio.sleep(1)
    return status


async def stopped(job: DeployJob, most: float = 600.0) -> StopAnswer:
    """Ask for the stop until there is an answer."""
    async with asyncio.timeout(most):
        while True:
            try:
                return await job.stop()
            except Transient:
                await asyncio.sleep(1)


async def launched(job: DeployJob, tries: int = 20) -> Any:
    """Launch, as often as it takes."""
    for _ in range(tries):
        try:
            return await job.launch()
        except Transient:
            await asyncio.sleep(0.5)
    raise AssertionError("it can't be launched")


# ── Making one ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_creation_is_two_calls_and_ends_in_service() -> None:
    hosting = Hosting()
    job = job_of(hosting, tags={"team": "a"})
    event = await job.launch()
    assert (event.job, event.adopted, event.component) == (ENDPOINT, False, "aws.sagemaker.deploy")
    assert event.links["endpoint"].endswith(f"#/endpoints/{ENDPOINT}")
    assert f"Endpoints$252F{ENDPOINT}" in event.links["logs"]
    assert (await job.describe()).state == "Creating"
    status = await ended(job)
    assert (status.phase, status.facts) == (
        Phase.SUCCEEDED,
        {"endpoint": ENDPOINT, "configuration": CONFIG},
    )
    assert hosting.mutations == [("create_endpoint_config", CONFIG), ("create_endpoint", ENDPOINT)]
    assert hosting.endpoints[ENDPOINT].tags == [{"Key": "team", "Value": "a"}]
    assert (await job.outputs()).model_dump() == {"endpoint_name": ENDPOINT}
    assert await job.stop() is StopAnswer.ENDED


async def test_the_embedded_cloud_has_no_console() -> None:
    assert (await job_of(Hosting(embedded=True)).launch()).links == {}


@pytest.mark.parametrize("state", ["Failed", "OutOfService"])
async def test_what_failed_is_removed_before_the_end_is_told(state: str) -> None:
    hosting = Hosting(fails=PING, ends=state)
    job = job_of(hosting)
    await job.launch()
    status = await ended(job)
    assert (status.phase, status.reason) == (Phase.FAILED, PING)
    assert status.facts["removed"] == f"endpoint {ENDPOINT}, configuration {CONFIG}"
    assert hosting.configs == {}
    assert hosting.state(ENDPOINT)[0] == "Deleting"
    assert await job.describe() == status
    assert hosting.mutations[2:] == [("delete_endpoint", ENDPOINT), ("delete_endpoint_config", CONFIG)]


async def test_a_removal_that_fails_for_the_moment_is_tried_again_and_the_reason_stays() -> None:
    hosting = Hosting(fails=PING, faults={"delete_endpoint_config": ["throttled", "answer lost"]})
    job = job_of(hosting)
    await job.launch()
    await asyncio.sleep(61)
    for error in (Throttled, Transient):
        with pytest.raises(error):
            await job.describe()
    status = await job.describe()
    assert (status.phase, status.reason) == (Phase.FAILED, PING)
    assert [name for name, _ in hosting.mutations].count("delete_endpoint") == 1


async def test_a_removal_that_is_refused_hides_no_reason_and_names_the_command() -> None:
    hosting = Hosting(fails=PING, faults={"delete_endpoint": ["denied"]})
    job = job_of(hosting)
    await job.launch()
    status = await ended(job)
    assert (status.phase, status.reason) == (Phase.FAILED, PING)
    assert CONFIG in hosting.configs, "an endpoint that is there needs it"
    assert "GET /ping" in status.hint, "what to do about the reason comes first"
    command = status.hint.partition("remove it with: ")[2]
    assert command.startswith(
        f"aws sagemaker delete-endpoint --region us-east-1 --endpoint-name {ENDPOINT}; "
    )
    await hosting.entered(command)
    assert (hosting.endpoints, hosting.configs) == ({}, {})


async def test_an_endpoint_that_somebody_deletes_meanwhile_takes_its_configuration_along() -> None:
    hosting = Hosting()
    job = job_of(hosting)
    await job.launch()
    await job.describe()
    del hosting.endpoints[ENDPOINT]
    status = await job.describe()
    assert (status.phase, status.reason) == (Phase.STOPPED, "the endpoint was deleted by somebody else")
    assert status.facts["removed"] == f"configuration {CONFIG}"
    assert hosting.configs == {}


async def test_an_endpoint_that_can_not_be_seen_yet_will_be() -> None:
    hosting = Hosting(stale=5)
    job = job_of(hosting)
    await job.launch()
    with pytest.raises(Transient, match="can't be seen yet"):
        await job.describe()
    await asyncio.sleep(6)
    assert (await job.describe()).state == "Creating"


async def test_a_launch_that_is_repeated_goes_on_where_it_stands() -> None:
    hosting = Hosting(
        faults={
            "create_endpoint_config": ["throttled", "answer lost"],
            "create_endpoint": ["lost", "answer lost"],
        }
    )
    job = job_of(hosting)
    event = await launched(job)
    assert not event.adopted
    assert (await ended(job)).phase is Phase.SUCCEEDED
    assert (set(hosting.configs), set(hosting.endpoints)) == ({CONFIG}, {ENDPOINT})


async def test_from_the_configuration_on_a_failure_to_go_on_is_one_that_a_stop_has_to_look_into() -> None:
    hosting = Hosting(faults={"create_endpoint_config": ["throttled"], "create_endpoint": ["throttled"]})
    job = job_of(hosting)
    with pytest.raises(Transient) as first:
        await job.launch()
    with pytest.raises(Transient) as second:
        await job.launch()
    assert (first.value.ambiguous, second.value.ambiguous) == (False, True)


@pytest.mark.parametrize("make", [job_of, update_of])
async def test_a_configuration_that_the_service_does_not_know_yet_is_tried_again(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosting = Hosting()
    if make is update_of:
        hosting.add_live()
    job = make(hosting)

    def unknown(**body: Any) -> Any:
        # As SageMaker has it: in an ARN, names are in lower case.
        raise NotFound(f'Could not find endpoint configuration "arn:{body["EndpointConfigName"].lower()}".')

    with monkeypatch.context() as patch:
        for verb in ("create_endpoint", "update_endpoint"):
            patch.setattr(hosting, verb, unknown)
        with pytest.raises(Transient, match="can't be used yet"):
            await job.launch()
        await asyncio.sleep(31)
        with pytest.raises(NotFound):
            await job.launch()
    assert CONFIG not in hosting.configs


async def test_what_was_made_for_a_refused_endpoint_is_removed() -> None:
    hosting = Hosting(faults={"create_endpoint": ["refused"]})
    job = job_of(hosting)
    with pytest.raises(ServiceError, match="create_endpoint: refused"):
        await job.launch()
    assert (hosting.configs, hosting.endpoints) == ({}, {})
    assert await job.stop() is StopAnswer.ENDED


async def test_a_refusal_stays_the_reason_while_what_was_made_is_removed() -> None:
    hosting = Hosting(
        faults={"create_endpoint": ["refused"], "delete_endpoint_config": ["throttled", "answer lost", "ok"]}
    )
    job = job_of(hosting)
    for _ in range(2):
        with pytest.raises(Transient, match=r"create_endpoint: refused; .* is yet to be removed") as caught:
            await job.launch()
        assert caught.value.ambiguous
    with pytest.raises(ServiceError, match=r"^create_endpoint: refused$"):
        await job.launch()
    assert hosting.configs == {}


async def test_a_refusal_names_the_command_for_what_could_not_be_removed() -> None:
    hosting = Hosting(faults={"create_endpoint": ["refused"], "delete_endpoint_config": ["denied"]})
    with pytest.raises(
        ServiceError, match=r"create_endpoint: refused.*remove it with: aws sagemaker delete-"
    ):
        await job_of(hosting).launch()


# ── Names in use ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_endpoints_name_in_use_is_told_and_nothing_is_left_or_touched() -> None:
    hosting = Hosting()
    hosting.add_live()
    with pytest.raises(NameTaken, match="the name live is in use") as caught:
        await job_of(hosting, endpoint_name=LIVE).launch()
    assert "--endpoint_name" in str(caught.value)
    assert "--update_endpoint True" in str(caught.value)
    assert (set(hosting.configs), hosting.state(LIVE)) == ({OLD}, ("InService", OLD))


async def test_a_configurations_name_in_use_is_told_and_nothing_is_touched() -> None:
    hosting = Hosting()
    hosting.add_config("epc", ago=3600)
    job = job_of(hosting, endpoint_config_name="epc")
    with pytest.raises(NameTaken, match=r"the name epc is in use.*--endpoint_config_name"):
        await job.launch()
    assert await job.stop() is StopAnswer.ENDED
    assert (set(hosting.configs), hosting.endpoints) == ({"epc"}, {})


async def test_the_name_of_an_endpoint_that_is_being_deleted_is_waited_for() -> None:
    hosting = Hosting()
    hosting.add_live()
    hosting.delete_endpoint(LIVE)
    event = await launched(job_of(hosting, endpoint_name=LIVE))
    assert not event.adopted
    assert hosting.state(LIVE) == ("Creating", CONFIG)


async def test_after_a_lost_answer_somebody_elses_endpoint_is_not_ours() -> None:
    hosting = Hosting(faults={"create_endpoint": ["lost"]})
    job = job_of(hosting, endpoint_name=LIVE)
    with pytest.raises(Transient):
        await job.launch()
    hosting.add_live()
    assert await job.stop() is StopAnswer.NOT_OURS
    assert (set(hosting.configs), hosting.state(LIVE)) == ({OLD}, ("InService", OLD))


# ── A step that is started again ────────────────────────────────────────────────────────────────────────────────────


async def test_a_restarted_step_attaches_to_its_endpoint_that_is_being_made() -> None:
    hosting = Hosting()
    await job_of(hosting, IN_RUN).launch()
    again = job_of(hosting, IN_RUN)
    assert (await again.launch()).adopted
    assert (await ended(again)).phase is Phase.SUCCEEDED
    assert len(hosting.endpoints) == len(hosting.configs) == 1
    assert await again.stop() is StopAnswer.ENDED


async def test_a_restarted_step_that_is_stopped_takes_back_what_the_first_one_began() -> None:
    hosting = Hosting()
    await job_of(hosting, IN_RUN).launch()
    again = job_of(hosting, IN_RUN)
    await again.launch()
    assert await stopped(again) is StopAnswer.AGREED
    await asyncio.sleep(10)
    assert (hosting.state(again.name), hosting.configs) == (("", ""), {})


async def test_an_endpoint_that_the_first_start_had_in_service_is_kept_by_a_stop() -> None:
    hosting = Hosting()
    first = job_of(hosting, IN_RUN)
    await first.launch()
    await ended(first)
    again = job_of(hosting, IN_RUN)
    assert (await again.launch()).adopted
    assert await again.stop() is StopAnswer.ENDED
    assert hosting.state(again.name)[0] == "InService"
    third = job_of(hosting, IN_RUN)
    hosting.faults["create_endpoint"] = ["throttled"]
    with pytest.raises(Transient):
        await third.launch()
    assert await third.stop() is StopAnswer.ENDED, "before it was seen, too"
    assert (hosting.state(again.name)[0], len(hosting.configs)) == ("InService", 1)


async def test_what_an_earlier_attempt_left_failed_is_made_anew() -> None:
    hosting = Hosting(fails=PING)
    await job_of(hosting, IN_RUN).launch()
    await asyncio.sleep(61)
    hosting.state("")
    hosting.fails = ""
    again = job_of(hosting, IN_RUN)
    await launched(again)
    assert (await ended(again)).phase is Phase.SUCCEEDED
    assert len(hosting.endpoints) == len(hosting.configs) == 1


async def test_where_tags_can_not_be_read_a_name_of_our_run_key_is_ours_and_a_chosen_one_is_not() -> None:
    hosting = Hosting(faults={"list_tags": ["denied"] * 9})
    await job_of(hosting, IN_RUN).launch()
    assert (await job_of(hosting, IN_RUN).launch()).adopted
    await job_of(hosting, IN_RUN, endpoint_name="mine").launch()
    hosting.faults["list_tags"] = ["denied"] * 9
    with pytest.raises(NameTaken):
        await job_of(hosting, IN_RUN, endpoint_name="mine").launch()


async def test_a_restarted_update_goes_on_and_knows_what_it_replaces() -> None:
    hosting = Hosting()
    hosting.add_live()
    await update_of(hosting, IN_RUN).launch()
    for moment in ("Updating", "InService"):
        assert hosting.state(LIVE)[0] == moment
        again = update_of(hosting, IN_RUN)
        assert (await again.launch()).adopted
        await asyncio.sleep(91)
    assert (await ended(again)).phase is Phase.SUCCEEDED
    assert list(hosting.configs) == [hosting.state(LIVE)[1]]
    assert [name for name, _ in hosting.mutations].count("update_endpoint") == 1


async def test_a_restarted_update_that_is_stopped_goes_back() -> None:
    hosting = Hosting()
    hosting.add_live()
    await update_of(hosting, IN_RUN).launch()
    again = update_of(hosting, IN_RUN)
    await again.launch()
    assert await stopped(again) is StopAnswer.AGREED
    assert (hosting.state(LIVE), set(hosting.configs)) == (("InService", OLD), {OLD})


async def test_an_endpoint_that_this_steps_first_start_made_is_not_updated_by_its_second() -> None:
    hosting = Hosting()
    given = {"endpoint_name": "mine", "update_endpoint": True}
    await job_of(hosting, IN_RUN, **given).launch()
    again = job_of(hosting, IN_RUN, **given)
    assert (await again.launch()).adopted
    assert (await ended(again)).phase is Phase.SUCCEEDED
    assert "update_endpoint" not in [name for name, _ in hosting.calls]


# ── Updating one ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_update_ends_on_the_new_configuration_and_then_removes_the_old_one() -> None:
    hosting = Hosting()
    hosting.add_live()
    job = update_of(hosting, tags={"version": "2"}, endpoint_config_name="ignored")
    assert not (await job.launch()).adopted
    assert (await job.describe()).state == "Updating"
    assert OLD in hosting.configs
    status = await ended(job)
    assert status.phase is Phase.SUCCEEDED
    assert status.facts == {
        "endpoint": LIVE,
        "configuration": CONFIG,
        "removed": f"configuration {OLD}",
    }
    assert hosting.mutations == [
        ("create_endpoint_config", CONFIG),
        ("update_endpoint", LIVE),
        ("add_tags", f"arn:endpoint/{LIVE}"),
        ("delete_endpoint_config", OLD),
    ]
    assert hosting.endpoints[LIVE].tags == [{"Key": "version", "Value": "2"}]


async def test_an_endpoint_that_is_updated_keeps_the_tags_of_who_made_it() -> None:
    hosting = Hosting()
    hosting.add_live(tags=[{"Key": "kfp-runner/owner", "Value": "another step"}])
    job = update_of(hosting, IN_RUN, tags={"a": "1"})
    await job.launch()
    await ended(job)
    assert [tag["Key"] for tag in hosting.endpoints[LIVE].tags] == ["kfp-runner/owner", "a"]


async def test_an_endpoint_that_is_not_there_is_made() -> None:
    hosting = Hosting()
    job = update_of(hosting, endpoint_config_name="epc")
    await job.launch()
    assert (await ended(job)).phase is Phase.SUCCEEDED
    assert hosting.state(LIVE) == ("InService", "epc")


async def test_any_other_failure_to_look_is_not_taken_for_an_endpoint_that_is_not_there() -> None:
    hosting = Hosting(faults={"describe_endpoint": ["lost", "denied"]})
    hosting.add_live()
    job = update_of(hosting)
    with pytest.raises(Transient) as caught:
        await job.launch()
    assert not caught.value.ambiguous, "nothing was asked for yet"
    assert await job.stop() is StopAnswer.ENDED
    with pytest.raises(Denied):
        await job.launch()
    assert hosting.mutations == []


async def test_an_endpoint_that_is_being_changed_is_waited_for_and_a_failed_one_is_not() -> None:
    hosting = Hosting()
    hosting.add_live(state="SystemUpdating")
    job = update_of(hosting)
    with pytest.raises(Transient, match="live is SystemUpdating; it can be updated when that has ended"):
        await job.launch()
    hosting.endpoints[LIVE].state = "Failed"
    with pytest.raises(ServiceError, match=r"aws sagemaker delete-endpoint .*; then start again"):
        await job.launch()
    assert hosting.mutations == []


@pytest.mark.parametrize("told", [True, False])
async def test_an_update_that_the_service_rolls_back_is_a_failure(told: bool) -> None:
    hosting = Hosting(fails=PING, told=told)
    hosting.add_live()
    job = update_of(hosting)
    await job.launch()
    status = await ended(job)
    assert (status.phase, status.reason) == (Phase.FAILED, f"the endpoint runs {OLD} again: {PING}")
    assert status.facts["removed"] == f"configuration {CONFIG}"
    assert (hosting.state(LIVE), set(hosting.configs)) == (("InService", OLD), {OLD})


async def test_an_endpoint_that_still_looks_as_before_has_not_been_rolled_back() -> None:
    hosting = Hosting(stale=5)
    hosting.add_live()
    job = update_of(hosting)
    await job.launch()
    status = await job.describe()
    assert (status.phase, status.state) == (Phase.RUNNING, "InService")
    await asyncio.sleep(5)
    assert (await job.describe()).state == "Updating"
    assert (await ended(job)).phase is Phase.SUCCEEDED


@pytest.mark.parametrize(
    ("state", "way"),
    [
        (
            "UpdateRollbackFailed",
            "aws sagemaker update-endpoint --region us-east-1 --endpoint-name live --endpoint-config-name before",
        ),
        ("Failed", "aws sagemaker delete-endpoint --region us-east-1 --endpoint-name live"),
    ],
)
async def test_an_endpoint_that_can_not_go_on_is_left_and_told_with_what_can_be_done(
    state: str, way: str
) -> None:
    hosting = Hosting()
    hosting.add_live()
    job = update_of(hosting)
    await job.launch()
    endpoint = hosting.endpoints[LIVE]
    endpoint.state, endpoint.config, endpoint.until = state, CONFIG, float("inf")
    status = await job.describe()
    assert status.phase is Phase.FAILED
    assert status.hint.endswith(way)
    assert await job.stop() is StopAnswer.ENDED
    assert set(hosting.configs) == {OLD, CONFIG}


@pytest.mark.parametrize("fault", ["lost", "answer lost", "late"])
@pytest.mark.parametrize("told", [True, False])
async def test_an_update_whose_answer_was_lost_is_asked_for_until_it_is_seen(fault: str, told: bool) -> None:
    hosting = Hosting(faults={"update_endpoint": [fault]}, told=told)
    hosting.add_live()
    job = update_of(hosting)
    await launched(job, tries=20 if told else 300)
    assert (await ended(job)).phase is Phase.SUCCEEDED
    assert (hosting.state(LIVE), set(hosting.configs)) == (("InService", CONFIG), {CONFIG})


async def test_what_was_made_for_a_refused_update_is_removed() -> None:
    hosting = Hosting(faults={"update_endpoint": ["refused"]})
    hosting.add_live()
    with pytest.raises(ServiceError, match="update_endpoint: refused"):
        await update_of(hosting).launch()
    assert (hosting.state(LIVE), set(hosting.configs)) == (("InService", OLD), {OLD})


async def test_an_old_configuration_and_tags_that_may_not_be_touched_fail_nothing() -> None:
    hosting = Hosting(faults={"delete_endpoint_config": ["denied"], "add_tags": ["denied"]})
    hosting.add_live()
    job = update_of(hosting, tags={"a": "1"})
    await job.launch()
    status = await ended(job)
    assert status.phase is Phase.SUCCEEDED
    assert "not set" in status.facts["tags"]
    assert f"delete-endpoint-config --region us-east-1 --endpoint-config-name {OLD}" in status.hint


# ── Stop ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_before_anything_was_asked_for_there_is_nothing_to_stop() -> None:
    hosting = Hosting()
    assert await job_of(hosting).stop() is StopAnswer.ENDED
    assert hosting.calls == []


async def test_a_creation_is_deleted_as_soon_as_the_service_lets_it() -> None:
    hosting = Hosting()
    job = job_of(hosting)
    await job.launch()
    with pytest.raises(Transient, match="is Creating, and can't be deleted before that ends"):
        await job.stop()
    assert hosting.mutations[-1] == ("delete_endpoint", ENDPOINT), "the request goes out all the same"
    assert CONFIG in hosting.configs, "it is in use"
    assert (await job.describe()).phase is Phase.RUNNING
    await asyncio.sleep(61)
    assert (await job.describe()).phase is Phase.STOPPING, "in service, and about to be deleted"
    assert await job.stop() is StopAnswer.AGREED
    assert hosting.configs == {}
    assert await job.stop() is StopAnswer.AGREED


@pytest.mark.parametrize("fault", ["lost", "answer lost", "late", "throttled"])
@pytest.mark.parametrize("at", ["create_endpoint_config", "create_endpoint"])
async def test_a_launch_that_got_no_answer_is_taken_back(at: str, fault: str) -> None:
    hosting = Hosting(faults={at: [fault]})
    job = job_of(hosting)
    with pytest.raises(Transient):
        await job.launch()
    answer = await stopped(job)
    await asyncio.sleep(3)
    if answer is StopAnswer.UNKNOWN:
        await stopped(job)
    await asyncio.sleep(100)
    assert (hosting.state(ENDPOINT), hosting.configs) == (("", ""), {})


async def test_an_update_is_brought_back_as_soon_as_the_service_lets_it() -> None:
    hosting = Hosting()
    hosting.add_live()
    job = update_of(hosting)
    await job.launch()
    with pytest.raises(Transient, match="is Updating, and can't go back before that ends"):
        await job.stop()
    assert job.stop_command == (
        "aws sagemaker wait endpoint-in-service --region us-east-1 --endpoint-name live; "
        "aws sagemaker update-endpoint --region us-east-1 --endpoint-name live --endpoint-config-name before; "
        "aws sagemaker wait endpoint-in-service --region us-east-1 --endpoint-name live; "
        'test "$(aws sagemaker describe-endpoint --region us-east-1 --endpoint-name live '
        '--query EndpointConfigName --output text)" = before && '
        f"aws sagemaker delete-endpoint-config --region us-east-1 --endpoint-config-name {CONFIG}"
    )
    await asyncio.sleep(91)
    assert (await job.describe()).phase is Phase.STOPPING
    assert OLD in hosting.configs, "nothing is tidied while it is taken back"
    with pytest.raises(Transient, match="on its way back to before"):
        await job.stop()
    await asyncio.sleep(91)
    assert await job.stop() is StopAnswer.AGREED
    assert (hosting.state(LIVE), set(hosting.configs)) == (("InService", OLD), {OLD})


@pytest.mark.parametrize("fault", ["lost", "answer lost", "late", "throttled"])
@pytest.mark.parametrize("at", ["create_endpoint_config", "update_endpoint"])
async def test_an_update_that_got_no_answer_is_taken_back(at: str, fault: str) -> None:
    hosting = Hosting(faults={at: [fault]})
    hosting.add_live()
    job = update_of(hosting)
    with pytest.raises(Transient):
        await job.launch()
    if await stopped(job) is StopAnswer.UNKNOWN:
        await asyncio.sleep(3)
        await stopped(job)
    await asyncio.sleep(100)
    assert (hosting.state(LIVE), set(hosting.configs)) == (("InService", OLD), {OLD})


@pytest.mark.parametrize("make", [job_of, update_of])
async def test_what_was_in_progress_may_end_between_a_refusal_and_the_look_at_why(make: Any) -> None:
    hosting = Hosting(creating=1, updating=1)
    if make is update_of:
        hosting.add_live()
    hosting.faults["delete_endpoint" if make is job_of else "update_endpoint"] = [
        *(["ok"] if make is update_of else []),
        "refused",
    ]
    job = make(hosting)
    await job.launch()
    await asyncio.sleep(2)
    assert await stopped(job) is StopAnswer.AGREED
    await asyncio.sleep(10)
    assert hosting.state(job.name) == (("", "") if make is job_of else ("InService", OLD))


async def test_an_endpoint_that_failed_in_its_update_can_not_be_brought_back() -> None:
    hosting = Hosting()
    hosting.add_live()
    job = update_of(hosting)
    await job.launch()
    endpoint = hosting.endpoints[LIVE]
    endpoint.state, endpoint.reason, endpoint.until = "Failed", "disk", float("inf")
    with pytest.raises(ServiceError, match="the endpoint live is Failed, and was left as it is: disk"):
        await job.stop()
    assert set(hosting.configs) == {OLD, CONFIG}


async def test_a_stop_in_the_midst_of_tidying_up_finishes_that() -> None:
    hosting = Hosting(faults={"delete_endpoint_config": ["lost"]})
    hosting.add_live()
    job = update_of(hosting)
    await job.launch()
    await asyncio.sleep(91)
    with pytest.raises(Transient):
        await job.describe()
    assert f"delete-endpoint-config --region us-east-1 --endpoint-config-name {OLD}" in job.stop_command
    assert await job.stop() is StopAnswer.ENDED
    assert (hosting.state(LIVE), set(hosting.configs)) == (("InService", CONFIG), {CONFIG})


@pytest.mark.parametrize("endpoint_url", ["", "https://vpce.example"])
async def test_the_stop_commands_are_of_the_aws_command_line(endpoint_url: str) -> None:
    model = botocore.session.Session().get_service_model("sagemaker")
    by_command = {xform_name(name, "-"): name for name in model.operation_names}
    commands = []
    for make in (job_of, update_of):
        there = Hosting(endpoint_url=endpoint_url, role="arn:aws:iam::2:role/other")
        there.add_live()
        job = make(there)
        commands.append(job.stop_command)
        await job.launch()
        commands.append(job.stop_command)
    for command in commands:
        line, _, remark = command.partition("   # as ")
        assert remark == "arn:aws:iam::2:role/other"
        for part in line.replace("; ", " && ").split(" && "):
            if part.startswith("test "):
                part = part.removeprefix('test "$(').partition(')" ')[0]  # noqa: PLW2901
            words = shlex.split(part)
            assert words[:2] == ["aws", "sagemaker"]
            if words[2] == "wait":
                assert words.pop(3) in ("endpoint-in-service", "endpoint-deleted")
                words[2] = "describe-endpoint"
            shape = model.operation_model(by_command[words[2]]).input_shape
            given = dict(zip(words[3::2], words[4::2], strict=True))
            assert given.pop("--region") == "us-east-1"
            assert given.pop("--endpoint-url", "") == endpoint_url
            assert given.pop("--query", "") + given.pop("--output", "") in ("", "EndpointConfigNametext")
            assert set(given) == {f"--{xform_name(member, '-')}" for member in shape.required_members}


# ── One that is only watched ────────────────────────────────────────────────────────────────────────────────────────


def watching(hosting: Hosting, name: str = LIVE) -> DeployJob:
    return DeployJob(hosting, "aws.sagemaker.deploy", name, None, deploy.outputs)  # type: ignore[arg-type]


async def test_watching_follows_an_endpoint_until_it_is_final_and_changes_nothing() -> None:
    hosting = Hosting(fails=PING)
    hosting.configs["c"] = {}
    hosting.create_endpoint(LIVE, "c")
    job = watching(hosting)
    assert (await job.launch()).adopted
    status = await ended(job)
    assert (status.phase, status.reason) == (Phase.FAILED, PING)
    assert hosting.mutations == []
    with pytest.raises(NotFound):
        await watching(hosting, "nobody").launch()


async def test_stopping_what_is_watched_deletes_only_what_is_being_made() -> None:
    hosting = Hosting()
    hosting.add_live()
    job = watching(hosting)
    await job.launch()
    assert await job.stop() is StopAnswer.NOT_OURS
    assert hosting.mutations == []
    assert job.stop_command == "aws sagemaker delete-endpoint --region us-east-1 --endpoint-name live"
    hosting.endpoints[LIVE].state = "Creating"
    with pytest.raises(Transient, match="Creating"):
        await job.stop()
    hosting.endpoints.clear()
    assert await job.stop() is StopAnswer.UNKNOWN


# ── The log ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Logging(Hosting):
    """With a log that can be read."""

    logs = CloudWatch()

    async def call(self, service: str, operation: str, **request: Any) -> Any:
        if service == "logs":
            assert request["logGroupName"] == f"/aws/sagemaker/Endpoints/{LIVE}"
            return await self.logs.call(service, operation, **{**request, "logGroupName": GROUP})
        return await super().call(service, operation, **request)


async def test_the_log_of_all_containers_since_the_deploy(monkeypatch: pytest.MonkeyPatch) -> None:
    hosting = Logging()
    hosting.logs = logs = CloudWatch()
    made = datetime.fromtimestamp(1_800_000_000, UTC)
    hosting.endpoints[LIVE] = Endpoint("c", "Creating", [], made, made)
    logs.write("a/i-1", "of an earlier deploy", at=-50)
    logs.write("a/i-1", "loading", at=1)
    logs.write("b/i-2", "serving", at=2)
    job = watching(hosting)
    await job.launch()
    (feed,) = job.feeds()
    end = asyncio.Event()
    asyncio.get_running_loop().call_later(5, end.set)
    events = [event async for event in feed(end)]
    assert events == [
        LogLine("loading", "a/i-1", 1_800_000_001.0),
        LogLine("serving", "b/i-2", 1_800_000_002.0),
        LogSummary(2),
    ]
    asked = [request for _, _, request in logs.calls]
    assert not any("logStreamNamePrefix" in r for r in asked), "a blank one would be refused"


async def test_an_endpoint_that_goes_on_writing_does_not_hold_the_end_up() -> None:
    hosting = Logging()
    hosting.logs = logs = CloudWatch()
    made = datetime.fromtimestamp(1_800_000_000, UTC)
    hosting.endpoints[LIVE] = Endpoint("c", "InService", [], made, made)
    for second in range(200):
        logs.write("a/i-1", f"GET /ping {second}", at=second)
    job = watching(hosting)
    await job.launch()
    end = asyncio.Event()
    end.set()
    began = asyncio.get_running_loop().time()
    events = [event async for event in job.log(end)]
    assert asyncio.get_running_loop().time() - began < _endpoint.FOLLOW.closing + 5
    assert isinstance(events[-1], LogSummary)


@pytest.mark.parametrize("reader", [FilterReader, StreamReader])
async def test_readers_of_a_whole_group_ask_for_no_prefix(reader: Any) -> None:
    logs = CloudWatch()
    logs.write("a/i-1", "one", at=0)
    logs.write("b/i-2", "two", at=0)
    await asyncio.sleep(5)
    found = [event.text async for event in reader(logs, GROUP, "").read(0.0)]
    assert sorted(found) == ["one", "two"]
    assert not any("logStreamNamePrefix" in request for _, _, request in logs.calls)


def test_a_deploy_of_a_generated_name_never_updates() -> None:
    assert "UpdateEndpoint" not in requests(update_endpoint=True)
    assert timedelta(seconds=_endpoint.FOLLOW.closing) < timedelta(seconds=280)
