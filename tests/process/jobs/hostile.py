"""Prints what would forge lines of ours, were it shown as it is; then waits for a file that lets it end."""

import json
import os
import pathlib
import sys
import time

lines = json.loads(os.environ["SM_HP_LINES"])
sys.stdout.buffer.write(b"".join(line.encode("utf-8", "surrogateescape") + b"\n" for line in lines))
sys.stdout.buffer.flush()
gate = pathlib.Path(os.environ["SM_HP_GATE"])
while not gate.exists():
    time.sleep(0.02)
print("the gate is open", flush=True)
