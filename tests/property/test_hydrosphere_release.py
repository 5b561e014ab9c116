"""However the cluster fails, and whenever the step is cancelled: one version at most, and the truth about it.

A step that is not started twice makes one version at most. It ends well only if that version is released. Cancelled, it
says what goes on, and whoever asked for it finds the version deleted, or is told that it may not be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import event, example, given, settings
from hypothesis import strategies as st
from looptime import new_event_loop

from components.hydrosphere.errors import Answered, Unread
from runner.errors import RunnerError, ServiceError, StopFailed, Throttled, Transient, Unreachable
from runner.events import Phase, Status
from runner.signals import Stopping
from runner.supervise import launched
from runner.testing import MemorySink
from tests.unit.doubles import until
from tests.unit.hydrosphere.simulated import OWNER, Cluster, Upload, job

LIST, GET = "GET /api/v2/model/version", "GET /api/v2/model/version/m/1"
DELETE = "DELETE /api/v2/model/7"


class Cut(Transient):
    """The connection was lost in the middle of the body."""

    whole = False


ANSWERS = {
    "answer lost": (True, Transient("reset")),
    "lost before the work": (False, Transient("reset")),
    "cut": (False, Cut("broken pipe")),
    "throttled": (False, Throttled("503")),
    "unreachable": (False, Unreachable("no route")),
    "broke after the work": (True, Answered("500")),
    "broke before the work": (False, Answered("500")),
    "refused": (False, ServiceError("400")),
}
reads = st.lists(st.sampled_from([Unread("502"), Throttled("503"), Unreachable("no route")]), max_size=6)


@dataclass(frozen=True)
class World:
    """How the cluster behaves, and when somebody loses patience."""

    cancels: Sequence[float] = ()
    answers: Sequence[str] = ()
    lists: Sequence[Exception] = ()
    gets: Sequence[Exception] = ()
    deletes: Sequence[Exception] = ()
    builds: float = 60.0
    fails: bool = False
    appear_after: float = 0.0
    uploading: float = 4.0
    owner: str = ""
    delete: bool = False

    @classmethod
    def likely(cls, **given: Any) -> World:
        """Return a world in which a server that is done with an upload shows what it made of it soon."""
        if "broke after the work" in given["answers"]:
            given["appear_after"] = min(given["appear_after"], 2.0)
        return cls(**given)


worlds = st.builds(
    World.likely,
    cancels=st.lists(st.floats(0, 200), max_size=2).map(sorted),
    answers=st.lists(st.sampled_from([*ANSWERS]), max_size=3),
    lists=reads,
    gets=reads,
    deletes=reads,
    builds=st.sampled_from([0.0, 30.0, 1000.0]),
    fails=st.booleans(),
    appear_after=st.sampled_from([0.0, 0.0, 2.0, 30.0, 500.0]),
    uploading=st.floats(0, 40),
    owner=st.sampled_from(["", OWNER]),
    delete=st.booleans(),
)


@dataclass
class Ending:
    """How it came out."""

    cluster: Cluster
    upload: Upload
    said: str
    status: Status | None = None
    error: BaseException | None = None


async def live(world: World) -> Ending:
    cluster = Cluster(builds=world.builds, fails=world.fails, appear_after=world.appear_after)
    cluster.failures = {LIST: [*world.lists], GET: [*world.gets], DELETE: [*world.deletes]}
    upload = Upload(cluster, seconds=world.uploading, answers=[ANSWERS[a] for a in world.answers])
    made, stopping = job(cluster, upload, owner=world.owner, delete=world.delete), Stopping()

    async def body() -> Status:
        async with launched(made, [MemorySink()], stopping=stopping) as run:
            return await run.finished()

    task = asyncio.create_task(body())
    for moment in world.cancels:
        await until(moment)
        task.cancel()
    await asyncio.wait({task})
    ending = Ending(cluster, upload, stopping.outcome)
    if task.cancelled():
        ending.error = asyncio.CancelledError()
    elif (error := task.exception()) is not None:
        ending.error = error
    else:
        ending.status = task.result()
    return ending


@settings(deadline=None)
@given(worlds)
@example(World(answers=["answer lost"], appear_after=30.0))
@example(World(answers=["broke after the work"], cancels=[5.0]))
@example(World(cancels=[3.0], delete=True))
@example(World(cancels=[50.0], delete=True, deletes=[Unread("502")] * 6))
def test_one_version_at_most_and_the_truth_about_it(world: World) -> None:
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        ending = runner.run(live(world))
    cluster, error = ending.cluster, ending.error
    made = len(cluster.born)
    assert made <= 1, "a second version"
    if ending.status is not None:
        event("ended well" if ending.status.phase is Phase.SUCCEEDED else "the build failed")
        assert made == 1
        assert ending.status.phase is (Phase.FAILED if world.fails else Phase.SUCCEEDED)
        return
    assert isinstance(error, asyncio.CancelledError | RunnerError)
    event(type(error).__name__)
    left = [version["modelVersion"] for version in cluster.versions]
    if isinstance(error, StopFailed):
        assert world.delete, "nobody can stop a build, so nobody can fail to"
    elif world.delete and cluster.asked(DELETE) and not left:
        assert "was deleted" in ending.said or "was gone" in ending.said
    elif left and isinstance(error, asyncio.CancelledError):
        assert "m:1" in ending.said or "no version of m can be seen" in ending.said
        assert not world.delete or "not deleted" in ending.said
    elif not made and isinstance(error, asyncio.CancelledError):
        assert not ending.said or "m:1" not in ending.said
