"""The sample model: forty clusters of the digits, trained by the local k-means when somebody first asks for it.

It takes a second or two, in a process of its own, so that nothing else waits for it; always the same model.
"""

from __future__ import annotations

import asyncio
import io
import json
import tarfile
import tempfile
from asyncio import subprocess
from pathlib import Path
from typing import Any

from components.aws.embedded.cloud import ACCOUNT
from components.aws.embedded.sagemaker.container import base_environment
from components.aws.embedded.sagemaker.images import Images

Json = dict[str, Any]
PREFIX = "digits/model/"
KEY = f"{PREFIX}model.tar.gz"
NAME = "kfp-runner-samples-digits"
"""ModelName of the sample, which every region has."""
ROLE = f"arn:aws:iam::{ACCOUNT}:role/kfp-runner-samples"
_IMAGE = "382416733822.dkr.ecr.{region}.amazonaws.com/kmeans:1"
_PARAMETERS = {"k": "40", "feature_dim": "64"}


def request(bucket: str, region: str) -> Json:
    """The request that would create the model."""
    container = {"Image": _IMAGE.format(region=region), "ModelDataUrl": f"s3://{bucket}/{KEY}"}
    return {"ModelName": NAME, "PrimaryContainer": container, "ExecutionRoleArn": ROLE}


async def train(rows: bytes) -> bytes:
    """Train on the rows of a CSV; return model.tar.gz. Raises RuntimeError when training fails."""
    with tempfile.TemporaryDirectory(prefix="kfp-runner-sample-") as folder:
        base = Path(folder)
        _prepare(base, rows)
        command = Images({}).command(_IMAGE.format(region="us-east-1"), ROLE)
        variables = base_environment(command, "us-east-1", {}) | {"SAGEMAKER_BASE_DIR": folder}
        process = await asyncio.create_subprocess_exec(
            *command.argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=variables,
            start_new_session=True,
        )
        try:
            said, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            raise RuntimeError(f"the sample model can't be trained: {said.decode(errors='replace')}")
        return _packed(base / "model")


def _prepare(base: Path, rows: bytes) -> None:
    for name in ("input/config", "input/data/train", "model", "output"):
        (base / name).mkdir(parents=True)
    (base / "input/data/train/train.csv").write_bytes(rows)
    files = {
        "hyperparameters": _PARAMETERS,
        "inputdataconfig": {"train": {"ContentType": "text/csv;label_size=0"}},
        "resourceconfig": {"current_host": "algo-1", "hosts": ["algo-1"]},
    }
    for name, content in files.items():
        (base / f"input/config/{name}.json").write_text(json.dumps(content))


def _packed(folder: Path) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, path.name)
    return packed.getvalue()
