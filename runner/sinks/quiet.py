"""The last thing before the end, and words on standard error. Imports next to nothing, for the answers that need no job."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress

PATIENCE = 2.0
"""Seconds that standard error is waited for."""


def say(text: str, patience: float = PATIENCE) -> None:
    """Write to standard error, which may be broken or stalled: it is waited for, but not for ever."""

    def write() -> None:
        with suppress(OSError, ValueError, AttributeError):  # it is None where there is none
            sys.stderr.write(text + "\n")
            sys.stderr.flush()

    writer = threading.Thread(target=write, name="runner-stderr", daemon=True)
    writer.start()
    writer.join(patience)


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
