"""Prints ten lines and leaves a model."""

import os
import pathlib
import time

for number in range(1, 11):
    print(f"epoch {number} loss={1 / number:.4f}", flush=True)
    time.sleep(0.1)
pathlib.Path(os.environ["SM_MODEL_DIR"], "model.txt").write_text("model\n")
