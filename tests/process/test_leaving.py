"""However much hangs, the process ends in bounded time, its last word said."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

HANGING = """
import asyncio, sys, threading, time
from runner import cli, loop
from runner.errors import JobFailed

async def deaf():
    while True:
        try: await asyncio.sleep(3600)
        except asyncio.CancelledError: pass

async def main():
    kept = asyncio.create_task(deaf())
    {hang}
    await asyncio.sleep(0.1)
    raise JobFailed("the reason")

cli.COMMANDS["x"] = cli.Command(lambda argv: loop.run(main()), "")
sys.argv = ["kfp-runner", "x"]
cli.main()
"""


@pytest.mark.parametrize(
    "hang",
    [
        "asyncio.get_running_loop().run_in_executor(None, time.sleep, 3600)",
        "threading.Thread(target=time.sleep, args=(3600,)).start()",
    ],
)
def test_hanging_threads_and_tasks_hold_up_nothing(hang: str) -> None:
    began = time.monotonic()
    code = HANGING.format(hang=hang)
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert (ended.returncode, ended.stderr) == (1, "kfp-runner: the reason\n")
    assert time.monotonic() - began < 10


def test_a_stalled_standard_error_is_not_waited_for() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while os.write(writer, b"x" * 4096):
            pass
    except BlockingIOError:
        os.set_blocking(writer, True)
    process = subprocess.Popen([sys.executable, "-c", HANGING.format(hang="pass")], stderr=writer)
    assert process.wait(20) == 1
    os.close(writer)
    os.close(reader)


STARTING = """
import sys, time
from runner import cli
cli.COMMANDS["{command}"] = cli.Command(lambda argv: print("on", flush=True) or time.sleep(30), "")
sys.argv = ["kfp-runner", "{command}"]
cli.main()
"""


@pytest.mark.parametrize("command", ["run", "compile"])
@pytest.mark.parametrize(
    ("number", "word"), [(signal.SIGTERM, "terminated (SIGTERM)"), (signal.SIGINT, "interrupted (Ctrl-C)")]
)
def test_a_signal_while_it_starts(command: str, number: signal.Signals, word: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTING.format(command=command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(number)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert said == f"kfp-runner: {word}" + ("; nothing had been sent" * (command == "run")) + "\n"
