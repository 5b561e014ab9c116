"""What Kubeflow Pipelines v2 puts around a step: an emissary as PID 1, and a launcher between it and the step.

As read and measured (facts/kfp.md §1): on SIGTERM the emissary sends it to every process but itself. The launcher has no
handler and dies at once; with it breaks the pipe that the step's standard output is. The emissary waits for nothing but
the launcher, looks each second, and exits; the kernel then kills whatever is left. So the step has 0 to 1 s.

    launcher_stub.py emissary SECONDS COMMAND...    a line on standard input is the SIGTERM; SECONDS: left to live then
    launcher_stub.py launcher COMMAND...

In a PID namespace (`unshare --pid --fork`) it is PID 1 and does just that. Without one it signals the launcher's session
instead, which all others belong to.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time


def emissary(seconds: float, command: list[str]) -> None:
    launcher = subprocess.Popen(
        [sys.executable, "-S", __file__, "launcher", *command],
        start_new_session=True,
        stdin=subprocess.DEVNULL,
    )

    def everyone(number: int) -> None:
        if os.getpid() == 1:
            os.kill(-1, number)
        else:
            os.killpg(launcher.pid, number)

    sys.stdin.readline()
    everyone(signal.SIGTERM)
    end = time.monotonic() + seconds
    launcher.wait()
    time.sleep(max(0.0, end - time.monotonic()))
    if os.getpid() != 1:
        everyone(signal.SIGKILL)


def launcher(command: list[str]) -> None:
    with subprocess.Popen(command, stdout=subprocess.PIPE) as step:
        assert step.stdout is not None
        while chunk := os.read(step.stdout.fileno(), 65536):
            os.write(1, chunk)
    sys.exit(step.returncode)


if __name__ == "__main__":
    role, *rest = sys.argv[1:]
    if role == "emissary":
        emissary(float(rest[0]), rest[1:])
    else:
        launcher(rest)
