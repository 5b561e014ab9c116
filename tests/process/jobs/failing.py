"""Fails as a SageMaker container does: the reason in output/failure."""

import os
import pathlib
import sys

for number in range(1, 31):
    print(f"row {number}", flush=True)
pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"], "output", "failure").write_text("the rows are crooked")
sys.exit(3)
