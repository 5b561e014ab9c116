"""A deploy that is not alone: others change, move and delete what it made, and nothing that serves comes to harm."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from components.aws.sagemaker.deploy import _parts
from components.aws.sagemaker.deploy._job import DeployJob
from runner.errors import NameTaken, NotFound, StopFailed, Transient
from runner.events import Phase, Status
from runner.identity import Identity
from runner.job import StopAnswer
from runner.signals import Reason, Stopping
from runner.supervise import launched
from runner.testing import MemorySink
from tests.unit.aws.simulated_hosting import (
    CONFIG,
    ENDPOINT,
    IN_RUN,
    LIVE,
    OLD,
    Endpoint,
    Hosting,
    job_of,
    now,
    update_of,
    wall,
)

pytestmark = pytest.mark.looptime

OTHER = Identity("aws.sagemaker.deploy", suffix="20260131120000-BBBB")
THEIRS, DAY = "theirs", 86400.0
OURS = update_of(Hosting(), IN_RUN)._requests["UpdateEndpoint"]["EndpointConfigName"]  # type: ignore[index]


@pytest.fixture(autouse=True)
def _one_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_parts, "wall", wall)


@pytest.fixture(autouse=True)
def _no_harm(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nobody ever deletes a configuration that an endpoint needs."""
    made: list[Hosting] = []
    begin = Hosting.__init__

    def noted(self: Hosting, *args: Any, **given: Any) -> None:
        begin(self, *args, **given)
        made.append(self)

    monkeypatch.setattr(Hosting, "__init__", noted)
    yield
    assert [each.harm for each in made if each.harm] == []


def live(**given: Any) -> Hosting:
    hosting = Hosting(**given)
    hosting.add_live()
    return hosting


async def scope(job: DeployJob, stopping: Stopping) -> Status:
    async with launched(job, [MemorySink()], stopping=stopping) as run:
        return await run.finished()


async def ran(job: DeployJob, cancelled_after: float = 0.0) -> Any:
    """What a step came to: its final status, or the error."""
    stopping = Stopping()
    task = asyncio.create_task(scope(job, stopping))
    if cancelled_after:
        await asyncio.sleep(cancelled_after)
        stopping.begin(Reason.TERMINATED)
        task.cancel()
    await asyncio.wait({task})
    return stopping.outcome if task.cancelled() else task.exception() or task.result()


async def killed(job: DeployJob, after: float) -> None:
    """A step that ends without a word."""
    task = asyncio.create_task(job.launch())
    await asyncio.sleep(after)
    task.cancel()
    await asyncio.wait({task})


def ends(hosting: Hosting, name: str = LIVE) -> tuple[str, str, set[str]]:
    return (*hosting.state(name), set(hosting.configs))


# ── Updates ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_where_the_old_configuration_is_gone_the_running_one_stays_and_it_is_told() -> None:
    hosting = live(updating=10)
    del hosting.configs[OLD]
    result = await ran(update_of(hosting), 5)
    assert isinstance(result, StopFailed)
    assert "there is nothing to go back to" in str(result)
    await hosting.entered(str(result).rpartition("Stop it with: ")[2])
    assert ends(hosting) == ("InService", CONFIG, {CONFIG})


async def test_two_steps_update_one_endpoint_after_each_other() -> None:
    hosting = live(updating=20)
    first, second = await asyncio.gather(ran(update_of(hosting)), ran(update_of(hosting, OTHER)))
    assert first.phase is second.phase is Phase.SUCCEEDED
    other = second.facts["configuration"]
    assert (first.facts["removed"], second.facts["removed"]) == (
        f"configuration {OLD}",
        f"configuration {CONFIG}",
    )
    assert ends(hosting) == ("InService", other, {other})


async def test_of_two_updates_the_second_goes_back_to_what_the_first_one_deployed() -> None:
    hosting = live(updating=8)
    first = asyncio.create_task(ran(update_of(hosting)))
    await asyncio.sleep(1)
    result = await ran(update_of(hosting, OTHER), 14)
    assert (await first).phase is Phase.SUCCEEDED
    assert "agreed" in result
    assert ends(hosting) == ("InService", CONFIG, {CONFIG})


@pytest.mark.parametrize("stale", [0.0, 1.5])
async def test_autoscaling_between_the_look_and_the_update_proves_no_roll_back(stale: float) -> None:
    hosting = live(updating=60, stale=stale)
    task = asyncio.create_task(ran(update_of(hosting)))
    await asyncio.sleep(0.15)
    hosting.is_scaled(LIVE, 5)
    assert (await task).phase is Phase.SUCCEEDED
    assert ends(hosting) == ("InService", CONFIG, {CONFIG})


async def test_autoscaling_is_not_taken_for_an_update_that_was_lost() -> None:
    hosting = live(faults={"update_endpoint": ["lost"]})
    task = asyncio.create_task(ran(update_of(hosting)))
    await asyncio.sleep(0.3)
    hosting.is_scaled(LIVE, 20)
    assert (await task).phase is Phase.SUCCEEDED
    assert ends(hosting) == ("InService", CONFIG, {CONFIG})


async def test_somebody_elses_later_update_is_not_undone() -> None:
    hosting = live(updating=4)
    job = update_of(hosting)
    await job.launch()
    await asyncio.sleep(4.1)
    hosting.is_moved(LIVE, THEIRS, 8)
    with pytest.raises(Transient, match="being moved by somebody else to theirs"):
        await job.stop()
    await asyncio.sleep(8)
    assert await job.stop() is StopAnswer.NOT_OURS
    assert "update-endpoint" not in job.stop_command
    assert ends(hosting) == ("InService", THEIRS, {THEIRS, OLD})


async def test_an_update_that_was_done_before_somebody_elses_is_a_success() -> None:
    hosting = live(updating=4)
    job = update_of(hosting)
    await job.launch()
    await asyncio.sleep(4.1)
    hosting.is_moved(LIVE, THEIRS, 8)
    assert (await job.describe()).phase is Phase.SUCCEEDED
    assert ends(hosting) == ("Updating", CONFIG, {CONFIG, THEIRS})


async def test_an_endpoint_that_somebody_else_moved_on_unseen_is_a_failure_that_says_so() -> None:
    hosting = live(updating=4)
    job = update_of(hosting)
    await job.launch()
    await asyncio.sleep(4.1)
    hosting.is_moved(LIVE, THEIRS, 8)
    await asyncio.sleep(9)
    status = await job.describe()
    assert (status.phase, status.reason) == (
        Phase.FAILED,
        f"the endpoint was moved to {THEIRS} by somebody else",
    )
    assert f"configuration {OLD}, which it had, was left" in status.hint
    assert ends(hosting) == ("InService", THEIRS, {THEIRS, OLD})


@pytest.mark.parametrize("config", [OLD, CONFIG])
@pytest.mark.parametrize("stopped", [False, True])
async def test_a_mix_of_both_configurations_keeps_both(config: str, stopped: bool) -> None:
    hosting = live(updating=10, rolls_back=False, fails="ping")
    job = update_of(hosting)
    await job.launch()
    await job.describe()
    await asyncio.sleep(11)
    hosting.state(LIVE)
    hosting.endpoints[LIVE].config = config
    if stopped:
        with pytest.raises(Exception, match="is UpdateRollbackFailed, and was left as it is: ping"):
            await job.stop()
        assert "update-endpoint" in job.stop_command
    else:
        status = await job.describe()
        assert status.phase is Phase.FAILED
        assert "aws sagemaker update-endpoint" in status.hint
    assert set(hosting.configs) == {OLD, CONFIG}


async def test_a_way_back_that_is_rolled_back_is_asked_for_again() -> None:
    hosting = live(updating=3)
    job = update_of(hosting)
    await job.launch()
    await asyncio.sleep(4)
    with pytest.raises(Transient, match="on its way back"):
        await job.stop()
    hosting.endpoints[LIVE].after = ("InService", CONFIG, "no capacity")
    await asyncio.sleep(4)
    for _ in range(3):
        try:
            answer = await job.stop()
        except Transient:
            await asyncio.sleep(4)
    assert answer is StopAnswer.AGREED
    assert ends(hosting) == ("InService", OLD, {OLD})


async def test_what_the_service_rolled_back_itself_is_not_deployed_again() -> None:
    hosting = live(updating=10, fails="ping")
    result = await ran(update_of(hosting), 5)
    assert "agreed" in result
    assert [name for name, _ in hosting.carried_out].count("update_endpoint") == 1
    assert ends(hosting) == ("InService", OLD, {OLD})


async def test_an_endpoint_that_is_being_deleted_is_waited_for_by_a_stop() -> None:
    hosting = live(deleting=8)
    job = update_of(hosting)
    task = asyncio.create_task(ran(job, 10))
    await asyncio.sleep(9)
    endpoint = hosting.endpoints[LIVE]
    endpoint.state, endpoint.pending, endpoint.after, endpoint.until = "Deleting", "", ("", "", ""), 17.0
    assert "agreed" in await task
    assert set(hosting.configs) == {OLD}


async def test_another_endpoint_of_the_same_name_is_somebody_elses() -> None:
    hosting = Hosting()
    job = job_of(hosting)
    await job.launch()
    await job.describe()
    hosting.add_config(THEIRS)
    made = now() + timedelta(seconds=1)
    hosting.endpoints[ENDPOINT] = Endpoint(THEIRS, "Creating", [], made, made)
    status = await job.describe()
    assert status.phase is Phase.STOPPED
    assert "another one made of the same name" in status.reason
    assert ends(hosting, ENDPOINT) == ("Creating", THEIRS, {THEIRS})


@pytest.mark.parametrize("identity", [IN_RUN, OTHER])
async def test_two_steps_that_would_make_or_update_do_so_after_each_other(identity: Identity) -> None:
    hosting = Hosting(creating=20, updating=20)
    results = await asyncio.gather(ran(update_of(hosting)), ran(update_of(hosting, identity)))
    assert [each.phase for each in results] == [Phase.SUCCEEDED] * 2
    config = results[1].facts["configuration"]
    assert ends(hosting) == ("InService", config, {config})


# ── Started again ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "state", ["Updating", "SystemUpdating", "RollingBack", "UpdateRollbackFailed", "OutOfService", "Failed"]
)
@pytest.mark.parametrize("cancelled", [0.0, 3.0])
async def test_an_endpoint_that_has_served_is_never_deleted_by_a_restart(
    state: str, cancelled: float
) -> None:
    hosting = Hosting(creating=5)
    first = job_of(hosting, IN_RUN)
    await ran(first)
    await asyncio.sleep(DAY)
    endpoint = hosting.endpoints[first.name]
    endpoint.state, endpoint.modified = state, now()
    if cancelled or state.endswith(("Failed", "Service")):
        await ran(job_of(hosting, IN_RUN), cancelled)
    assert "delete_endpoint" not in [name for name, _ in hosting.mutations]
    assert (hosting.state(first.name)[0], len(hosting.configs)) == (state, 1)


async def test_a_step_that_is_restarted_and_stopped_before_it_saw_anything_looks_what_there_is() -> None:
    hosting = Hosting(creating=5)
    await killed(job_of(hosting, IN_RUN), 1)
    hosting.faults["create_endpoint_config"] = ["throttled"] * 50
    assert "agreed" in await ran(job_of(hosting, IN_RUN), 0.3)
    await asyncio.sleep(10)
    assert hosting.state("") == ("", "")
    assert (hosting.endpoints, hosting.configs) == ({}, {})


@pytest.mark.parametrize("stage", ["config", "update", "done"])
async def test_an_update_whose_restart_could_not_even_look_is_taken_back_by_a_stop(stage: str) -> None:
    hosting = live(updating=8)
    await killed(update_of(hosting, IN_RUN), 0.3 if stage == "config" else 2)
    await asyncio.sleep(10 if stage == "done" else 0)
    hosting.faults["describe_endpoint"] = ["throttled"]
    job = update_of(hosting, IN_RUN)
    with pytest.raises(Transient) as caught:
        await job.launch()
    assert caught.value.ambiguous, "nobody has seen that there is nothing"
    async with asyncio.timeout(60):
        while True:
            try:
                await job.stop()
                break
            except Transient:
                await asyncio.sleep(1)
    config = OURS if stage == "done" else OLD
    assert ends(hosting) == ("InService", config, {config}), "one that was done stays, without the old one"


async def test_a_restart_takes_what_it_replaces_from_the_look_before_its_own_update() -> None:
    hosting = live(updating=5)
    await killed(update_of(hosting, IN_RUN), 0.3)
    assert set(hosting.configs) == {OLD, OURS}
    hosting.is_moved(LIVE, THEIRS, 1)
    await asyncio.sleep(5)
    await killed(update_of(hosting, IN_RUN), 3)
    await asyncio.sleep(10)
    status = await ran(update_of(hosting, IN_RUN))
    assert status.phase is Phase.SUCCEEDED
    assert f"configuration {THEIRS} may be in use, and was left" in status.hint, "it is younger than ours"
    assert ends(hosting) == ("InService", OURS, {OURS, OLD, THEIRS})
    tags = {tag["Key"]: tag["Value"] for tag in hosting.configs[OURS]["Tags"]}
    assert tags["kfp-runner/replaces"] == THEIRS


async def test_a_restart_waits_for_the_way_back_of_the_start_before_and_deploys_then() -> None:
    hosting = live(updating=8)
    await killed(update_of(hosting, IN_RUN), 1)
    await asyncio.sleep(9)
    hosting.is_moved(LIVE, OLD, 8)
    assert (await ran(update_of(hosting, IN_RUN))).phase is Phase.SUCCEEDED
    assert ends(hosting) == ("InService", OURS, {OURS})


async def test_a_finished_update_that_is_attached_to_and_stopped_removes_the_old_configuration_alone() -> (
    None
):
    hosting = live(updating=5)
    await killed(update_of(hosting, IN_RUN), 1)
    await asyncio.sleep(10)
    job = update_of(hosting, IN_RUN)
    assert (await job.launch()).adopted
    assert await job.stop() is StopAnswer.ENDED
    assert ends(hosting) == ("InService", OURS, {OURS})
    hosting.add_config(OLD)
    await asyncio.sleep(DAY)
    again = update_of(hosting, IN_RUN)
    await again.launch()
    assert await again.stop() is StopAnswer.ENDED
    assert OLD in hosting.configs, "made since, by somebody else"


async def test_a_finished_update_that_somebody_scales_or_moves_is_left_alone() -> None:
    for theirs in ("", THEIRS):
        hosting = live(updating=5)
        await ran(update_of(hosting, IN_RUN))
        await asyncio.sleep(DAY)
        (hosting.is_moved(LIVE, theirs, 8) if theirs else hosting.is_scaled(LIVE, 8))
        assert "already ended" in await ran(update_of(hosting, IN_RUN), 3)
        await asyncio.sleep(20)
        assert hosting.state(LIVE) == ("InService", theirs or OURS)
        assert OURS in hosting.configs


async def test_the_log_of_what_is_resumed_begins_with_it() -> None:
    hosting = live(updating=50)
    begun = wall()
    await killed(update_of(hosting, IN_RUN), 1)
    await asyncio.sleep(20)
    resumed = update_of(hosting, IN_RUN)
    await resumed.launch()
    assert begun - 2 < resumed._since < begun + 2
    await asyncio.sleep(DAY)
    finished = update_of(hosting, IN_RUN)
    await finished.launch()
    assert wall() - 60 < finished._since <= wall()


# ── Without a run key ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_configuration_of_an_earlier_start_is_not_taken_for_what_a_lost_request_made() -> None:
    hosting = Hosting(creating=5)
    given: dict[str, Any] = {"endpoint_name": "ep", "endpoint_config_name": "cfg"}
    await ran(job_of(hosting, **given))
    await asyncio.sleep(100)
    hosting.faults = {"create_endpoint_config": ["lost"]}
    assert isinstance(await ran(job_of(hosting, **given)), NameTaken)
    assert ends(hosting, "ep") == ("InService", "cfg", {"cfg"})


async def test_a_configuration_that_the_endpoint_in_the_way_uses_is_not_withdrawn() -> None:
    hosting = Hosting(creating=5, faults={"create_endpoint_config": ["lost"]})
    given: dict[str, Any] = {"endpoint_name": "ep", "endpoint_config_name": "cfg"}
    job = job_of(hosting, **given)
    with pytest.raises(Transient):
        await job.launch()
    hosting.faults = {}
    await job_of(hosting, **given).launch()  # Somebody else's, at the same moment.
    with pytest.raises(NameTaken):
        await job.launch()
    assert ends(hosting, "ep") == ("Creating", "cfg", {"cfg"})


async def test_a_configuration_made_by_a_lost_request_may_be_unknown_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hosting = Hosting(creating=5, faults={"create_endpoint_config": ["answer lost"]})
    create, left = hosting.create_endpoint, [NotFound(f"Could not find endpoint configuration {CONFIG}")]

    def unknown(**body: Any) -> Any:
        if left:
            raise left.pop()
        return create(**body)

    monkeypatch.setattr(hosting, "create_endpoint", unknown)
    assert (await ran(job_of(hosting))).phase is Phase.SUCCEEDED
