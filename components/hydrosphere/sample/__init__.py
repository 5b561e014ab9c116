"""The sample model: a k-means that reads handwritten digits, as it is released to Hydrosphere.

    contract.yaml       what goes into it and what comes out
    model/              what is uploaded, together with what its own `prepare` makes of a training job's result:
      src/func_main.py
      requirements.txt

It lies in the package, so that `kfp-runner demo hydrosphere` has it wherever that is installed. The pipeline in
`samples/hydrosphere_release` releases the same files.
"""

from __future__ import annotations

from pathlib import Path

CONTRACT = Path(__file__).with_name("contract.yaml")
RUNTIME = "hydrosphere/serving-runtime-python-3.7:3.0.3"
INSTALL_COMMAND = "pip install -r requirements.txt"
PAYLOAD = ["./src/", "./requirements.txt", "./model_algo-1", "./digits.json"]
TRAINING_DATA = "training.csv"
"""Lies in the model's folder, and is not uploaded with it."""
ENTRY = "src/func_main.py"
_MODEL = Path(__file__).with_name("model")


def texts() -> dict[str, str]:
    """Return the files of the model that are there before it is trained: path in its folder → content."""
    return {name: (_MODEL / name).read_text(encoding="utf-8") for name in (ENTRY, "requirements.txt")}
