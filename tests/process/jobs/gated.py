"""Prints lines 1 to 5 and ends well once a file is there."""

import os
import pathlib
import time

for number in range(1, 6):
    print(f"line {number}", flush=True)
gate = pathlib.Path(os.environ["SM_HP_GATE"])
while not gate.exists():
    time.sleep(0.02)
print("the gate is open", flush=True)
pathlib.Path(os.environ["SM_MODEL_DIR"], "model.txt").write_text("model\n")
