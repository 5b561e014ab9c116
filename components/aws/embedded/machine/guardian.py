"""Kills what the server leaves behind if it is killed itself (SIGKILL, out of memory): no job outlives its server.

A tiny process beside the server reads the process groups of running jobs from a pipe. When the pipe ends, the server is
gone: it kills every group that is still listed and deletes the folder that jobs ran in. PR_SET_PDEATHSIG would not do:
it dies with the first fork, so a job's own children would live on; and it needs code between fork and exec, which is
unsafe with threads.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from types import TracebackType
from typing import Self


class Guardian:
    """The server's end. Losing the process costs the protection only.

    `folder` is the server's temporary one, which the process deletes last; it is protected from the beginning, because
    a server writes into it before anything runs. To start the process takes 1 to 2 ms: it is not waited for.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, self._folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,  # so that Ctrl-C on the server's terminal does not reach it
            env={},
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait(timeout=10)

    def watch(self, group: int) -> None:
        """Kill this process group should the server vanish."""
        self._say(f"+{group}\n")

    def forget(self, group: int) -> None:
        """The group is gone; its number may come again."""
        self._say(f"-{group}\n")

    def _say(self, line: str) -> None:
        if self._process is None or self._process.stdin is None:
            return
        try:
            self._process.stdin.write(line.encode())
        except BrokenPipeError:
            self._process.stdin = None


def main() -> None:
    """The guardian process itself."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin.buffer:
        (groups.add if line[:1] == b"+" else groups.discard)(int(line[1:]))
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except OSError:
            continue
    shutil.rmtree(sys.argv[1], ignore_errors=True)


if __name__ == "__main__":
    main()
