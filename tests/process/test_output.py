"""What a step shows and writes while it runs: log lines as they come, and files that are whole at every instant."""

from __future__ import annotations

import asyncio
import json
import random
import re
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.background import Background
from tests.support.cases import Case, Cases
from tests.support.steps import World

CASES = Cases()
OURS = re.compile(r"(\d\d:\d\d:\d\d|        ) ([→●▸★·✗←⊘=|!])( |algo-)")
"""How every line begins: a time, and what kind of line it is. `|` stands for the job's words alone."""


def printing(lines: list[str], gate: Path) -> dict[str, str]:
    return {"hyperparameters": json.dumps({"lines": json.dumps(lines), "gate": str(gate)})}


@CASES.case
async def lines_arrive_while_the_job_runs(world: World) -> None:
    """Each on a line of its own, unchanged at its end, and before the job goes on."""
    gate = world.folder / "gate"
    lines = [
        "plain",
        "  indented, two blanks behind  ",
        "\ttabs\tin\tit",
        "a | bar, a → glyph, 14:02:07 a time",
        "ünïcödé ✓ 日本語 🚀",
        '{"json": [1, 2]}',
        r"C:\new\table",
        "x" * 1500,
        "twice",
        "twice",
    ]
    async with world.step("hostile", inputs=printing(lines, gate)) as step:
        await step.out.until("| twice\n")
        await step.out.until(f"| {lines[7]}\n")
        before = len(step.out.lines)
        assert not gate.exists()
        gate.touch()
        opened = await step.out.until("| the gate is open\n")
        assert await step.end() == 0, step
        shown = [line.split(" | ", 1)[1] for line in step.out.lines[: opened + 1] if " | " in line]
        assert shown == [f"{line}\n" for line in (*lines, "the gate is open")], step
        assert before <= opened, "lines came before the job went on, not all at once"


HOSTILE = [
    "\x1b[2J\x1b[HFORGED after clearing the screen",
    "harmless\r14:02:07 ← Succeeded FORGED",
    "\x1b[1A\x1b[2K14:02:07 ● Completed FORGED",
    "bell \x07 backspace \x08\x08\x08 FORGED",
    "next line \x85 14:02:07 ✗ FORGED",
    "separators \u2028 14:02:07 ✗ FORGED \u2029 14:02:07 ← FORGED",
    "form feed \x0c and vertical tab \x0b 14:02:07 ← FORGED",
    "\x1b]0;FORGED title\x07\x9b31m",
    "right to left \u202e FORGED",
    "kfp-runner: FORGED last word",
    "not unicode \udcff\udcfe FORGED",
    "::error::FORGED [link](javascript:FORGED) <script>FORGED</script>",
]


@CASES.case
async def no_line_can_be_forged(world: World) -> None:
    gate = world.folder / "gate"
    async with world.step("hostile", inputs=printing(HOSTILE, gate)) as step:
        gate.touch()
        assert await step.end() == 0, step
        for line in step.out.lines:
            assert OURS.match(line), ascii(line)
            assert len(line.splitlines()) == 1, ascii(line)
            assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2028\u2029]", line), ascii(line)
            assert "FORGED" not in line or line[9] == "|", ascii(line)
        forged = [line for line in step.out.lines if "FORGED" in line]
        assert len(forged) == len(HOSTILE), step
        assert step.err.lines == []


@CASES.case
async def two_instances(world: World) -> None:
    """Where there is more than one stream, each line says whose it is; none is lost."""
    async with world.step("brief", inputs={"instance_count": "2"}) as step:
        assert await step.end() == 0, step
        assert step.out.find("logs: 20 lines") is not None, step
        assert step.out.find("|algo-2| epoch 10 loss=0.1000\n") is not None, step


def check_page(folder: Path) -> bool:
    """Whether the pipeline UI's files are there yet; fails if one is not whole."""
    texts = {}
    for name in ("mlpipeline_ui_metadata", "mlpipeline_metrics"):
        with suppress(FileNotFoundError):
            texts[name] = (folder / name / "data").read_text()
    if "mlpipeline_ui_metadata" in texts:
        outputs = json.loads(texts["mlpipeline_ui_metadata"])["outputs"]
        assert outputs
        assert all(output["type"] and output["source"] for output in outputs)
    if "mlpipeline_metrics" in texts:
        for metric in json.loads(texts["mlpipeline_metrics"])["metrics"]:
            assert re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", metric["name"])
            assert isinstance(metric["numberValue"], float | int)
    return len(texts) == 2


async def page_is_whole(world: World, seed: int) -> None:
    """A reader parses the UI's files again and again while they are rewritten, and after the step was killed."""
    metrics = {f"loss {n}": "loss=([0-9.]+)" for n in range(20)}
    async with world.step("metrics", inputs={"metric_definitions": json.dumps(metrics)}) as step:
        reads = 0
        instant = time.monotonic() + random.Random(seed).random() * 4
        while time.monotonic() < instant or not reads:
            reads += check_page(step.outputs)
            await asyncio.sleep(0.001)
        assert step.process.returncode is None, step
        step.signal(signal.SIGKILL)
        await step.end()
        assert check_page(step.outputs)


for _seed in range(4):
    CASES.append(Case(f"page_is_whole-{_seed}", lambda world, seed=_seed: page_is_whole(world, seed)))


@CASES.case
async def page_tells_of_a_stop(world: World) -> None:
    async with world.step("brief") as step:
        await step.out.until("| epoch 1 ")
        step.signal(signal.SIGTERM)
        assert await step.end() == 143, step
        assert check_page(step.outputs)
        await step.nothing_left()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_output(case: Case, cases: Background) -> None:
    cases.result(case.name, 55)
