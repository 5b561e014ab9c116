"""The release as a job, in virtual time: never a second version, never released while it is not, and what leaving says."""

from __future__ import annotations

import asyncio

import pytest

from components.hydrosphere.errors import Answered, Unread
from components.hydrosphere.release._finding import APPEAR_SECONDS
from components.hydrosphere.release._inputs import ReleaseOutputs
from components.hydrosphere.release._job import VISIBLE_SECONDS, ReleaseJob
from components.hydrosphere.release._leaving import LOOK_SECONDS
from runner.errors import NotFound, ServiceError, StopFailed, Throttled, Transient, Unreachable
from runner.events import Launched, Phase, Status
from runner.signals import Stopping
from runner.supervise import launched
from runner.testing import MemorySink
from tests.unit.doubles import cancelled_at, notices
from tests.unit.hydrosphere.simulated import OWNER, Cluster, Upload, job

pytestmark = pytest.mark.looptime
LIST = "GET /api/v2/model/version"


async def follow(
    made: ReleaseJob, sink: MemorySink | None = None, stopping: Stopping | None = None
) -> Status:
    async with launched(made, [sink or MemorySink()], stopping=stopping) as run:
        return await run.finished()


def adopted(sink: MemorySink) -> list[bool]:
    return [event.adopted for event in sink.events if isinstance(event, Launched)]


class Cut(Transient):
    """The connection was lost in the middle of the body."""

    whole = False


async def test_it_is_released_when_the_cluster_says_so(looptime: float) -> None:
    cluster = Cluster(builds=100)
    made = job(cluster, Upload(cluster))
    status = await follow(made)
    assert (status.phase, status.state) == (Phase.SUCCEEDED, "Released")
    assert status.facts == {"version": "m:1", "image": "m:1", "runtime": "r/i:1"}
    assert looptime >= 102
    assert await made.outputs() == ReleaseOutputs(version=1)
    assert made.name == "m:1"


async def test_a_failed_build_tells_how_its_log_ends() -> None:
    cluster = Cluster(builds=10, fails=True, lines=["Step 1/2", "ERROR: no such package", " "])
    status = await follow(job(cluster, Upload(cluster)))
    assert status.phase is Phase.FAILED
    assert status.reason == "the build failed; its log ends with: ERROR: no such package"


@pytest.mark.parametrize("status", ["Cancelled", "released", None, "", 3])
async def test_no_other_word_counts_as_released(status: object) -> None:
    cluster = Cluster()
    made = job(cluster, Upload(cluster))
    task = asyncio.create_task(follow(made))
    await asyncio.sleep(10)
    cluster.versions[0]["status"] = status
    await asyncio.sleep(1000)
    assert not task.done()
    cluster.versions[0]["status"] = "Released"
    assert (await task).phase is Phase.SUCCEEDED


# ── never a second version ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("owner", ["", OWNER])
async def test_after_a_lost_answer_the_version_is_adopted(owner: str) -> None:
    cluster, sink = Cluster(), MemorySink()
    cluster.make(metadata={"k": "v"})
    upload = Upload(cluster, {"k": "v"}, answers=[(True, Transient("reset"))])
    await follow(job(cluster, upload, owner=owner), sink)
    assert (upload.attempts, len(cluster.versions)) == (1, 2)
    assert adopted(sink) == [True]


@pytest.mark.parametrize("owner", ["", OWNER])
async def test_a_version_that_appears_late_is_waited_for(owner: str) -> None:
    cluster = Cluster(appear_after=40)
    upload = Upload(cluster, answers=[(True, Transient("reset"))])
    assert (await follow(job(cluster, upload, owner=owner))).phase is Phase.SUCCEEDED
    assert (upload.attempts, len(cluster.versions)) == (1, 1)


async def test_one_that_never_appears_is_given_up_and_not_sent_again(looptime: float) -> None:
    cluster = Cluster()
    upload = Upload(cluster, answers=[(False, Transient("reset"))])
    with pytest.raises(ServiceError, match="It was not repeated") as caught:
        await follow(job(cluster, upload))
    assert not isinstance(caught.value, Transient)
    assert upload.attempts == 1
    assert APPEAR_SECONDS <= looptime <= APPEAR_SECONDS + 20


@pytest.mark.parametrize(
    "error",
    [Cut("broken pipe"), Throttled("slow down"), Unreachable("no route"), Answered("500: it broke")],
)
async def test_what_was_certainly_not_taken_is_sent_again(error: Transient) -> None:
    cluster, sink = Cluster(), MemorySink()
    upload = Upload(cluster, answers=[(False, error)])
    await follow(job(cluster, upload), sink)
    assert (upload.attempts, len(cluster.versions)) == (2, 1)
    assert adopted(sink) == [False]


async def test_an_error_of_the_server_s_own_after_the_work_is_seen_by_looking() -> None:
    cluster = Cluster()
    upload = Upload(cluster, answers=[(True, Answered("500: it broke"))])
    await follow(job(cluster, upload))
    assert (upload.attempts, len(cluster.versions)) == (1, 1)


async def test_a_list_that_fails_after_the_loss_is_no_reason_to_send_again() -> None:
    cluster = Cluster(failures={LIST: []})
    upload = Upload(cluster, answers=[(True, Transient("reset"))])
    made = job(cluster, upload)
    await made._finder.look()
    cluster.failures[LIST] = [Unread("502")] * 5
    await follow(made)
    assert (upload.attempts, len(cluster.versions)) == (1, 1)


async def test_an_answer_that_takes_minutes_to_get_lost_is_looked_for_too() -> None:
    cluster = Cluster(builds=1.0)
    upload = Upload(cluster, seconds=400, answers=[(True, Transient("no answer in time"))])
    assert (await follow(job(cluster, upload))).phase is Phase.SUCCEEDED
    assert (upload.attempts, len(cluster.versions)) == (1, 1)


async def test_two_that_look_alike_are_neither_taken() -> None:
    cluster = Cluster()
    upload = Upload(cluster, answers=[(True, Transient("reset"))])
    task = asyncio.create_task(follow(job(cluster, upload)))
    await asyncio.sleep(3)
    cluster.make()
    with pytest.raises(ServiceError, match="m:1, m:2 may each be what it made"):
        await task


async def test_somebody_else_s_new_version_is_not_taken_for_ours() -> None:
    cluster = Cluster()
    upload = Upload(cluster, answers=[(False, Transient("reset"))])
    task = asyncio.create_task(follow(job(cluster, upload)))
    await asyncio.sleep(3)
    cluster.make(metadata={"theirs": "yes"})
    with pytest.raises(ServiceError, match="no version that it made can be seen"):
        await task


# ── a step that is started again ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("builds", [0.0, 1000.0])
async def test_a_restarted_step_adopts_its_version_built_or_being_built(builds: float) -> None:
    cluster, sink = Cluster(builds=builds), MemorySink()
    cluster.make(metadata={"kfp-runner/owner": OWNER})
    cluster.make(metadata={"kfp-runner/owner": "another's"})
    upload = Upload(cluster)
    made = job(cluster, upload, owner=OWNER)
    assert (await follow(made, sink)).phase is Phase.SUCCEEDED
    assert (upload.attempts, made.name, adopted(sink)) == (0, "m:1", [True])


async def test_one_whose_build_failed_is_built_anew() -> None:
    cluster, sink = Cluster(), MemorySink()
    cluster.make(metadata={"kfp-runner/owner": OWNER}, status="Failed")
    upload = Upload(cluster)
    made = job(cluster, upload, owner=OWNER)
    assert (await follow(made, sink)).phase is Phase.SUCCEEDED
    assert (upload.attempts, made.name, adopted(sink)) == (1, "m:2", [False])


async def test_and_after_a_lost_answer_it_is_the_new_one_that_is_adopted() -> None:
    cluster = Cluster()
    cluster.make(metadata={"kfp-runner/owner": OWNER}, status="Failed")
    upload = Upload(cluster, answers=[(True, Transient("reset"))])
    made = job(cluster, upload, owner=OWNER)
    assert (await follow(made)).phase is Phase.SUCCEEDED
    assert (upload.attempts, made.name) == (1, "m:2")


# ── what can't be seen for a while ──────────────────────────────────────────────────────────────────────────────────


async def test_a_version_that_is_missing_for_a_moment_comes_back() -> None:
    cluster = Cluster(builds=100, missing=(4.0, 4.0 + VISIBLE_SECONDS - 5))
    assert (await follow(job(cluster, Upload(cluster)))).phase is Phase.SUCCEEDED


async def test_one_that_stays_away_was_deleted() -> None:
    cluster = Cluster(builds=1e6, missing=(50.0, 1e6))
    with pytest.raises(ServiceError, match="m:1 is gone: somebody deleted it"):
        await follow(job(cluster, Upload(cluster)))


async def test_one_look_at_nothing_after_an_outage_is_no_deletion() -> None:
    cluster = Cluster(builds=300)
    cluster.failures["GET /api/v2/model/version/m/1"] = [Unread("502")] * 12 + [NotFound("404")]
    assert (await follow(job(cluster, Upload(cluster)))).phase is Phase.SUCCEEDED


@pytest.mark.parametrize("delete", [False, True])
async def test_another_of_its_name_is_not_it(delete: bool) -> None:
    cluster, stopping = Cluster(builds=1e6), Stopping()
    task = asyncio.create_task(follow(job(cluster, Upload(cluster), delete=delete), stopping=stopping))
    await asyncio.sleep(50)
    cluster.versions.clear()
    cluster.make(id=999, status="Released")["model"]["id"] = 8
    with pytest.raises(NotFound, match="m:1 is gone: somebody deleted it, and made another of that name"):
        await task
    assert stopping.outcome == "m:1 does not exist any more"
    assert len(cluster.versions) == 1


async def test_nor_is_it_deleted_in_its_place(looptime: float) -> None:
    cluster = Cluster(builds=1e6)
    task = asyncio.create_task(follow(job(cluster, Upload(cluster), delete=True)))
    await asyncio.sleep(50)
    cluster.versions.clear()
    cluster.make(id=999, status="Released")["model"]["id"] = 8
    cluster.failures["GET /api/v2/model/version/m/1"] = [Unread("502")] * 1000
    cluster.failures["GET /api/v2/model/7"] = [NotFound("404")]
    await cancelled_at(task, 60)
    assert len(cluster.versions) == 1


async def test_an_earlier_start_s_upload_that_is_done_late_is_told() -> None:
    cluster, sink = Cluster(), MemorySink()
    upload = Upload(cluster, seconds=20)
    task = asyncio.create_task(follow(job(cluster, upload, owner=OWNER), sink))
    await asyncio.sleep(5)
    cluster.make(metadata={"kfp-runner/owner": OWNER})
    assert (await task).phase is Phase.SUCCEEDED
    assert "an earlier start of this step has made m:1, which is the same as m:2" in notices(sink)


async def test_an_outage_is_outlived() -> None:
    cluster = Cluster(builds=700)
    cluster.failures["GET /api/v2/model/version/m/1"] = [Unread("502")] * 20
    assert (await follow(job(cluster, Upload(cluster)))).phase is Phase.SUCCEEDED


# ── leaving ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def left(made: ReleaseJob, moment: float) -> str:
    """Return what is said of a job that is cancelled at a moment."""
    stopping = Stopping()
    await cancelled_at(asyncio.create_task(follow(made, stopping=stopping)), moment)
    return stopping.outcome


async def test_before_the_upload_nothing_is_sent(looptime: float) -> None:
    cluster = Cluster(latency=10)
    upload = Upload(cluster)
    assert await left(job(cluster, upload), 5) == "nothing was uploaded"
    assert (upload.attempts, cluster.versions) == (0, [])
    assert looptime == 5


async def test_in_the_middle_of_it_it_is_broken_off(looptime: float) -> None:
    cluster = Cluster()
    assert await left(job(cluster, Upload(cluster, seconds=100)), 30) == "it was broken off"
    assert cluster.versions == []
    assert looptime == 30


async def test_after_it_the_server_goes_on_building(looptime: float) -> None:
    cluster = Cluster(builds=1e6)
    said = await left(job(cluster, Upload(cluster)), 50)
    assert said == "the server goes on building m:1 (a build can't be cancelled there)"
    assert "DELETE /api/v2/model/7" not in cluster.calls
    assert looptime < 51


async def test_before_its_answer_the_version_is_looked_for() -> None:
    cluster = Cluster(builds=1e6)
    said = await left(job(cluster, Upload(cluster, seconds=20)), 15)
    assert said == "the server goes on building m:1 (a build can't be cancelled there)"


async def test_and_if_it_can_not_be_seen_that_is_said(looptime: float) -> None:
    cluster = Cluster(builds=1e6, appear_after=100)
    said = await left(job(cluster, Upload(cluster, seconds=20)), 15)
    assert said.startswith(
        "all of it was uploaded, but no version of m can be seen; if one appears, the server goes"
    )
    assert looptime <= 15 + LOOK_SECONDS + 1


@pytest.mark.parametrize("moment", [15, 50])
async def test_on_demand_the_only_version_is_deleted(moment: float) -> None:
    cluster = Cluster(builds=1e6)
    said = await left(job(cluster, Upload(cluster, seconds=20), delete=True), moment)
    assert said == "m:1 was deleted, and its model with it: it had no other version"
    assert cluster.versions == []


async def test_but_not_if_the_model_has_others() -> None:
    cluster = Cluster(builds=1e6)
    cluster.make()
    said = await left(job(cluster, Upload(cluster), delete=True), 50)
    assert said.endswith("it was not deleted: only whole models can be, and this one has m:1 as well")
    assert len(cluster.versions) == 2


async def test_nor_if_it_is_used() -> None:
    cluster = Cluster(builds=1e6, used=("shop",))
    said = await left(job(cluster, Upload(cluster), delete=True), 50)
    assert said.endswith("it was not deleted: it is used by shop")


async def test_of_many_others_a_few_are_named() -> None:
    cluster = Cluster(builds=1e6)
    for _ in range(1000):
        cluster.make()
    said = await left(job(cluster, Upload(cluster), delete=True), 50)
    assert said.endswith("and this one has m:1, m:2, m:3 and 997 more as well")


async def test_an_external_model_is_not_built() -> None:
    cluster = Cluster()
    made = ReleaseJob(cluster, "m", 1)  # type: ignore[arg-type]
    cluster.make(runtime=None, status="")
    await made.launch()
    await made.stop()
    assert made.outcome == "m:1 is Released, and stays"


async def test_a_refusal_is_repeated() -> None:
    cluster = Cluster(builds=1e6)
    cluster.failures["DELETE /api/v2/model/7"] = [ServiceError("It's used in [app].")]
    said = await left(job(cluster, Upload(cluster), delete=True), 50)
    assert said.endswith("it was not deleted: It's used in [app].")


async def test_a_deletion_that_can_not_be_confirmed_is_a_failed_stop() -> None:
    cluster = Cluster(builds=1e6)
    cluster.failures["DELETE /api/v2/model/7"] = [Unread("502")] * 1000
    error = await cancelled_at(asyncio.create_task(follow(job(cluster, Upload(cluster), delete=True))), 50)
    assert isinstance(error, StopFailed)
    assert (
        str(error)
        .splitlines()[1]
        .endswith(
            "curl -X DELETE http://cluster/api/v2/model/7   # deletes the model m with all its versions"
        )
    )


async def test_what_an_earlier_start_made_is_deleted_as_well() -> None:
    cluster = Cluster(builds=1e6)
    cluster.make(metadata={"kfp-runner/owner": OWNER})
    cluster.failures[LIST] = [Unread("502")] * 3
    said = await left(job(cluster, Upload(cluster), owner=OWNER, delete=True), 0.15)
    assert said.startswith("m:1 was deleted")


async def test_on_an_embedded_cluster_nothing_goes_on() -> None:
    cluster = Cluster(builds=1e6, embedded=True)
    assert await left(job(cluster, Upload(cluster)), 50) == "m:1 ends with the embedded Hydrosphere"


# ── watching one that exists ────────────────────────────────────────────────────────────────────────────────────────


async def test_a_version_or_the_latest_is_followed() -> None:
    cluster, sink = Cluster(), MemorySink()
    cluster.make()
    cluster.make()
    for number, name in ((1, "m:1"), (None, "m:2")):
        made = ReleaseJob(cluster, "m", number)  # type: ignore[arg-type]
        assert (await follow(made, sink)).phase is Phase.SUCCEEDED
        assert made.name == name
    assert adopted(sink) == [True, True]


async def test_one_that_does_not_exist_is_said_so() -> None:
    with pytest.raises(NotFound, match="there is no m at http://cluster; nor any other of that model"):
        await follow(ReleaseJob(Cluster(), "m"))  # type: ignore[arg-type]


async def test_and_those_that_do_are_named() -> None:
    cluster = Cluster()
    cluster.make()
    with pytest.raises(NotFound, match="there is no m:9 at http://cluster; there are m:1"):
        await follow(ReleaseJob(cluster, "m", 9))  # type: ignore[arg-type]
