"""The last thing before the end. Imports next to nothing, for the answers that need no job."""

from __future__ import annotations

import os
import sys
from contextlib import suppress


def quiet_stdout() -> None:
    """Call last before the process ends: a reader that is gone must not change the exit code.

    At exit Python flushes standard output and error again; if that fails it says "Exception ignored" and
    turns any exit code into 120. Under the KFP v2 back end stdout is a pipe to a launcher that may be dead
    already (facts/kfp.md §1).
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is None:
            continue
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                devnull = os.open(os.devnull, os.O_WRONLY)
                os.dup2(devnull, stream.fileno())
                os.close(devnull)
