"""A signal at every moment of a step's life: no job is left running, the exit code is the signal's, the last word true.

The moments are exact: the step's calls go through a door that holds them where a case says.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.background import Background
from tests.support.cases import Case, Cases
from tests.support.door import CREATE, CREDENTIALS, DESCRIBE, FOREVER, STOP, Rule
from tests.support.steps import Step, World, eventually, full

TERM, INT, HUP = signal.SIGTERM, signal.SIGINT, signal.SIGHUP
WORDS = {
    TERM: "kfp-runner: terminated (SIGTERM); ",
    INT: "kfp-runner: interrupted (Ctrl-C); ",
    HUP: "kfp-runner: the terminal was closed (SIGHUP); ",
}
STOPPED = r"the service was told to stop job-\w+, and agreed"
NOTHING = "nothing had been sent"
GRACE = 25.0
OUTPUTS = ["model_artifact_url", "job_name", "training_image"]


CASES = Cases()


async def ended(
    step: Step, number: signal.Signals, *, within: float = 5.0, word: str = STOPPED, stops: int | None = 1
) -> None:
    """Assert how a step ends that was sent a signal."""
    code = await step.end(within)
    assert code == 128 + number, step
    assert re.fullmatch(re.escape(WORDS[number]) + word, step.err.last), step
    assert "Traceback" not in str(step.err), step
    if stops is not None:
        assert len([c for c in step.door.of(STOP) if c.carried_out == 200]) == stops, step
    await step.nothing_left()


# ── before, during and after Create ─────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def without_keys(world: World, hold: str) -> AsyncIterator[tuple[Step, Rule]]:
    """A step whose credentials come from a container's agent, which takes its time."""
    async with world.door() as door:
        rule = door.rule(CREDENTIALS, hold=hold)
        env = {
            "AWS_ACCESS_KEY_ID": None,
            "AWS_SECRET_ACCESS_KEY": None,
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": door.url + CREDENTIALS,
        }
        async with world.step(opened=door, env=env) as step:
            yield step, rule


@CASES.of_two
async def before_create(world: World, number: signal.Signals) -> None:
    """While the credentials are fetched: nothing has been sent yet."""
    async with without_keys(world, "answer") as (step, rule):
        await rule.reached.wait()
        step.signal(number)
        rule.release()
        await ended(step, number, word="nothing had been sent", stops=0)
        assert step.door.of(CREATE) == []


@CASES.of_two
async def create_on_its_way(world: World, number: signal.Signals) -> None:
    async with world.door() as door:
        rule = door.rule(CREATE, hold="request")
        async with world.step(opened=door) as step:
            await rule.reached.wait()
            step.signal(number)
            assert not door.created
            rule.release()
            await ended(step, number)
            assert len(door.created) == 1


@CASES.of_two
async def answer_of_create_on_its_way(world: World, number: signal.Signals) -> None:
    async with world.door() as door:
        rule = door.rule(CREATE, hold="answer")
        async with world.step(opened=door) as step:
            await rule.reached.wait()
            step.signal(number)
            rule.release()
            await ended(step, number)


@CASES.of_two
async def create_accepted_then_500(world: World, number: signal.Signals) -> None:
    await answer_lost(world, number, "error")


@CASES.of_two
async def create_accepted_then_dropped(world: World, number: signal.Signals) -> None:
    await answer_lost(world, number, "drop")


async def answer_lost(world: World, number: signal.Signals, how: str) -> None:
    async with world.door() as door:
        rule = door.rule(CREATE, hold="answer", spoil=how)
        async with world.step(opened=door) as step:
            await rule.reached.wait()
            step.signal(number)
            rule.release()
            await ended(step, number)
            assert len(door.created) == 1


@CASES.of_two
async def between_create_accepted_unheard_and_the_next(world: World, number: signal.Signals) -> None:
    """The answer was lost; the signal comes in the pause before the next try, and the job is there."""
    async with world.door() as door:
        door.rule(CREATE, spoil="drop")
        async with world.step(opened=door) as step:
            await step.out.until("could not launch or attach yet")
            step.signal(number)
            await ended(step, number)


@CASES.of_two
async def between_throttled_creates(world: World, number: signal.Signals) -> None:
    async with world.door() as door:
        door.rule(CREATE, spoil="throttle", work=False, times=FOREVER)
        async with world.step(opened=door) as step:
            await step.out.until("could not launch or attach yet")
            step.signal(number)
            await ended(step, number, stops=0, word="no job was made")
            assert not door.created


# ── while the job runs ──────────────────────────────────────────────────────────────────────────────────────────────


@CASES.case
async def a_line_that_a_regular_expression_is_lost_in(world: World) -> None:
    """The built-in xgboost's own expression, for which Python's `re` takes minutes on this line."""
    metrics = {"train:rmse": r".*\[[0-9]+\].*#011train-rmse:([-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?).*"}
    async with world.step("brackets", inputs={"metric_definitions": json.dumps(metrics)}) as step:
        await step.out.until("| [1] [1]")
        step.signal(TERM)
        await ended(step, TERM)


@CASES.of_two
async def right_after_launch(world: World, number: signal.Signals) -> None:
    async with world.step() as step:
        await step.out.until(" created (")
        step.signal(number)
        await ended(step, number)


@CASES.of_two
async def while_logs_flow(world: World, number: signal.Signals) -> None:
    async with world.step() as step:
        await step.out.until("| tick 3\n")
        step.signal(number)
        await ended(step, number)
        assert step.door.of(STOP)[0].at - step.signalled < 0.5, step
        await step.service.eventually(step.jobs[0], "Stopped")


@CASES.case
async def hang_up(world: World) -> None:
    async with world.step() as step:
        await step.out.until("| tick 3\n")
        step.signal(HUP)
        await ended(step, HUP)


@CASES.of_two
async def throttled_describe(world: World, number: signal.Signals) -> None:
    async with world.door() as door:
        door.rule(DESCRIBE, spoil="throttle", work=False, times=FOREVER)
        async with world.step(opened=door) as step:
            await step.out.until("could not read the status")
            await step.door.seen(DESCRIBE, 3, answered=True)
            step.signal(number)
            await ended(step, number)


@CASES.of_two
async def hanging_describe(world: World, number: signal.Signals) -> None:
    async with world.door() as door:
        rule = door.rule(DESCRIBE, hold="request", times=FOREVER)
        async with world.step(opened=door) as step:
            await rule.reached.wait()
            await step.out.until("| tick 1\n")
            step.signal(number)
            await ended(step, number)


@CASES.of_two
async def drain(world: World, number: signal.Signals) -> None:
    """The job has ended, its last lines are awaited: there is nothing to stop, and nothing is said to be."""
    async with world.step("brief") as step:
        await step.out.until("Completed / Completed")
        await step.out.until("| epoch 10 ")
        step.signal(number)
        await ended(step, number, stops=0, word=r"job-\w+ had already ended")
        assert await step.service.status(step.jobs[0]) == "Completed"


@CASES.of_two
async def at_the_very_end(world: World, number: signal.Signals) -> None:
    """All lines are shown, the outputs are about to be written: all of them are, or none."""
    async with world.step("brief") as step:
        await step.out.until("· logs: 10 lines")
        step.signal(number)
        code = await step.end()
        assert code in {0, 128 + number}, step
        written = [name for name in OUTPUTS if step.outputs.joinpath(name, "data").exists()]
        assert len(written) == (len(OUTPUTS) if code == 0 else len(written)), step
        assert written in ([], OUTPUTS), step
        assert bool(step.err.lines) == bool(code), step


@CASES.case
async def job_of_somebody_else(world: World) -> None:
    """The answer to Create is lost; the job of that name is another one, and not ours to stop."""
    async with world.step() as theirs, world.door() as door:
        await theirs.out.until("| tick 1\n")
        name = theirs.jobs[0]
        rule = door.rule(CREATE, hold="answer", spoil="drop")
        async with world.step("gated", door, inputs={"job_name": name}) as step:
            await rule.reached.wait()
            step.signal(TERM)
            rule.release()
            assert await step.end(5) == 143, step
            assert step.door.of(STOP) == [], step
            assert await step.service.status(name) == "InProgress"


# ── several signals ─────────────────────────────────────────────────────────────────────────────────────────────────


@CASES.case
async def second_sigterm_while_stopping(world: World) -> None:
    await twice(world, TERM, TERM)


@CASES.case
async def sigterm_after_sigint_while_stopping(world: World) -> None:
    await twice(world, INT, TERM)


@CASES.case
async def sigint_after_sigterm_while_stopping(world: World) -> None:
    await twice(world, TERM, INT)


async def twice(world: World, first: signal.Signals, second: signal.Signals) -> None:
    async with world.door() as door:
        rule = door.rule(STOP, hold="request")
        async with world.step(opened=door) as step:
            await step.out.until("| tick 1\n")
            step.signal(first)
            await rule.reached.wait()
            step.signal(second)
            rule.release()
            await ended(step, first)


@CASES.case
async def sigterm_twice_50_ms_apart(world: World) -> None:
    await apart(world, TERM, TERM)


@CASES.case
async def sigint_then_sigterm_50_ms_apart(world: World) -> None:
    await apart(world, INT, TERM)


async def apart(world: World, first: signal.Signals, second: signal.Signals) -> None:
    """The second may come at any moment of the way out; it must not cost the last word."""
    for pause in (0.05, 0.02):
        async with world.step() as step:
            await step.out.until("| tick 1\n")
            step.signal(first)
            await asyncio.sleep(pause)
            if step.process.returncode is None:
                step.signal(second)
            await ended(step, first)


@CASES.case
async def second_ctrl_c_forces_the_way_out(world: World) -> None:
    async with world.door() as door:
        rule = door.rule(STOP, hold="request", times=FOREVER)
        async with world.step(opened=door) as step:
            await step.out.until("| tick 1\n")
            step.signal(INT)
            await rule.reached.wait()
            step.signal(INT)
            assert await step.end(5) == 130, step
            loud(step)


def loud(step: Step) -> None:
    """Assert that the end of standard error names the job and the command that stops it."""
    job = step.jobs[0]
    text = str(step.err)
    assert f"could not stop {job}" in text, step
    assert "It may still run and cost money." in step.err.last, step
    assert f"aws sagemaker stop-training-job --region us-east-1 --training-job-name {job}" in step.err.last
    assert "Traceback" not in text


# ── a service that is slow to stop ──────────────────────────────────────────────────────────────────────────────────


@CASES.case
async def stop_refused_for_a_while(world: World) -> None:
    async with world.door() as door:
        door.rule(STOP, spoil="error", work=False, times=3)
        door.rule(STOP, spoil="throttle", work=False, times=2)
        async with world.step(opened=door) as step:
            await step.out.until("| tick 1\n")
            step.signal(TERM)
            await ended(step, TERM, within=15)
            assert len(step.door.of(STOP)) == 6


@CASES.case
async def stop_accepted_but_answer_lost(world: World) -> None:
    async with world.door() as door:
        door.rule(STOP, spoil="drop")
        async with world.step(opened=door) as step:
            await step.out.until("| tick 1\n")
            step.signal(TERM)
            await ended(step, TERM, stops=None)


@CASES.light
async def stop_never_answered(world: World) -> None:
    """Within the grace it ends, loudly."""
    async with world.door() as door:
        rule = door.rule(STOP, hold="request", times=FOREVER)
        async with world.step(opened=door) as step:
            await step.out.until("| tick 1\n")
            step.signal(TERM)
            await rule.reached.wait()
            assert await step.end(GRACE + 4) == 143, step
            assert time.monotonic() - step.signalled > GRACE - 1
            loud(step)


@CASES.light
async def create_never_answered(world: World) -> None:
    """Whether there is a job can't be known: it is told to stop all the same, and what is not known is said."""
    async with world.door() as door:
        rule = door.rule(CREATE, hold="request", times=FOREVER)
        async with world.step(opened=door) as step:
            await rule.reached.wait()
            step.signal(TERM)
            assert await step.end(GRACE + 4) == 143, step
            loud(step)


# ── standard output broken or stalled ───────────────────────────────────────────────────────────────────────────────


@CASES.of_two
async def broken_stdout(world: World, number: signal.Signals) -> None:
    """Its reader is gone at the moment of the signal, as under the KFP v2 launcher."""
    async with world.step(read=False) as step:
        await step.door.seen("FilterLogEvents", 2)
        os.close(step.stdout)
        step.stdout = -1
        step.signal(number)
        await ended(step, number)
        assert step.door.of(STOP)[0].at - step.signalled < 0.5, step


@CASES.case
async def broken_stdout_alone(world: World) -> None:
    """Nobody reads any more, nobody signals: the job goes on to its end, and the outputs are written."""
    async with world.step("brief", read=False) as step:
        await step.door.seen(CREATE, answered=True)
        os.close(step.stdout)
        step.stdout = -1
        assert await step.end() == 0, step
        assert step.output("job_name") == step.jobs[0]


@CASES.of_two
async def stalled_stdout(world: World, number: signal.Signals) -> None:
    """Its reader has stopped reading, the pipe is full."""
    async with world.step("flood", read=False) as step:
        await eventually(lambda: full(step.stdout), "the pipe is full")
        await step.door.seen("FilterLogEvents", 3)
        step.signal(number)
        await ended(step, number, within=10)
        assert step.door.of(STOP)[0].at - step.signalled < 1.0, step


@CASES.case
async def stderr_broken_too(world: World) -> None:
    reading, writing = os.pipe()
    async with world.step(read=False, stderr=writing) as step:
        os.close(writing)
        await step.door.seen("FilterLogEvents", 2)
        os.close(step.stdout)
        os.close(reading)
        step.stdout = -1
        step.signal(TERM)
        assert await step.end(5) == 143, step
        await step.nothing_left()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_signal(case: Case, cases: Background) -> None:
    cases.result(case.name, 55)


# ── what is not touched, and what is not said ───────────────────────────────────────────────────────────────────────


async def test_nothing_is_sent_after_the_signal(world: World) -> None:
    async with without_keys(world, "answer") as (step, rule):
        await rule.reached.wait()
        step.signal(TERM)
        await eventually(lambda: time.monotonic() > step.signalled + 0.2, "the signal was seen")
        rule.release()
        assert await step.end(5) == 143, step
        assert step.door.of(CREATE) == [], step


async def test_job_of_somebody_else_that_differs_by_a_hyperparameter(world: World) -> None:
    async with world.step() as theirs, world.door() as door:
        await theirs.out.until("| tick 1\n")
        name = theirs.jobs[0]
        rule = door.rule(CREATE, hold="answer", spoil="drop")
        inputs = {"job_name": name, "hyperparameters": '{"other": "1"}'}
        async with world.step(opened=door, inputs=inputs) as step:
            await rule.reached.wait()
            step.signal(TERM)
            rule.release()
            assert await step.end(5) == 143, step
            assert step.door.of(STOP) == [], step


async def test_the_last_word_when_there_was_no_job(world: World) -> None:
    async with world.door() as door:
        rule = door.rule(CREATE, hold="request", spoil="error", work=False)
        async with world.step(opened=door) as step:
            await rule.reached.wait()
            step.signal(TERM)
            rule.release()
            assert await step.end(5) == 143, step
            assert door.of(STOP) == []
            assert "agreed" not in step.err.last, step
