"""Prints lines for ever; ends well when asked to."""

import itertools
import signal
import sys
import time


def asked(*_):
    print("asked to stop", flush=True)
    sys.exit(0)


signal.signal(signal.SIGTERM, asked)
for number in itertools.count(1):
    print(f"tick {number}", flush=True)
    time.sleep(0.1)
