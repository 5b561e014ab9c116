"""The demo: k-means on real handwritten digits, on the embedded AWS, through the component as a pipeline step runs it.

The step is started as Kubeflow Pipelines would start it: command and arguments are those of component.yaml, with the
placeholders filled in. What it writes is then used as a next step would use it: the model is downloaded from the address
in the output file, and scored on digits that it has never seen.
"""

from __future__ import annotations

import asyncio
import io
import json
import signal
import sys
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from runner import catalog, loop
from runner.embedded import embedded
from runner.errors import Interrupted, JobFailed, RunnerError
from runner.signals import stop_signals
from runner.spec import arguments, as_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COMPONENT = "aws.sagemaker.train"
BUCKET = "digits-demo"
REGION = "us-east-1"
CLUSTERS = 40
"""More clusters than digits: people write a digit in several ways."""
HELD_OUT = 5
"""Every fifth image is kept for scoring."""
EVENTS = "events.jsonl"
GRACE = 30.0
"""Seconds that the step is given to stop its job and end."""


def main(output: Path) -> int:
    """Run the demo; its files go to the folder `output`."""
    began = time.monotonic()
    output.mkdir(parents=True, exist_ok=True)
    (output / EVENTS).unlink(missing_ok=True)  # Events are appended; a second demo starts over.
    loop.run(_demo(output.resolve()))
    print(f"\ndone in {time.monotonic() - began:.0f} s")
    return 0


async def _demo(output: Path) -> None:
    with stop_signals() as stopping:
        try:
            print(
                "starting the embedded AWS on loopback: it runs jobs for real, as processes of this machine"
            )
            async with embedded("aws") as url:
                print(f"embedded AWS at {url}")
                digits = _Digits()
                await digits.upload()
                print(f"uploaded {len(digits.train)} images of handwritten digits to s3://{BUCKET}/train/\n")
                await _step(_inputs(), output)
                await _score(digits, output)
        except asyncio.CancelledError:
            if stopping.reason is None:
                raise
            raise Interrupted(
                stopping.reason.value,
                f"{stopping.reason.text}; the demo is over, and nothing is left running",
            ) from None


def _inputs() -> dict[str, Any]:
    """Return what a pipeline author would write."""
    return {
        "region": REGION,
        "role": "arn:aws:iam::123456789012:role/sagemaker-execution",
        "algorithm_name": "k-means",
        "hyperparameters": {
            "k": str(CLUSTERS),
            "feature_dim": "64",
            "epochs": "25",
            "mini_batch_size": "500",
            "local_lloyd_num_trials": "60",
        },
        "channels": [
            {
                "ChannelName": "train",
                "ContentType": "text/csv;label_size=0",
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": f"s3://{BUCKET}/train/",
                        "S3DataDistributionType": "FullyReplicated",
                    }
                },
            }
        ],
        "model_artifact_path": f"s3://{BUCKET}/output",
    }


async def _step(inputs: Mapping[str, Any], output: Path) -> None:
    """Run the component as its component.yaml says, and hand a signal on to it."""
    command = _command(inputs, output)
    print("$ " + " ".join(command[:5]) + " …\n", flush=True)
    # A group of its own: a Ctrl-C in the terminal reaches the step once, through us, and not twice.
    process = await asyncio.create_subprocess_exec(sys.executable, *command[1:], start_new_session=True)
    try:
        code = await process.wait()
    except asyncio.CancelledError:
        process.send_signal(signal.SIGINT)
        await asyncio.wait({asyncio.ensure_future(process.wait())}, timeout=GRACE)
        if process.returncode is None:
            process.kill()
            await process.wait()
        raise
    if code:
        raise JobFailed(f"the training step ended with exit code {code}")


def _command(inputs: Mapping[str, Any], output: Path) -> list[str]:
    """Fill in component.yaml's placeholders, as a pipeline's back end does."""
    document = yaml.safe_load(
        (catalog.folder().joinpath(*COMPONENT.split(".")) / "component.yaml").read_text()
    )
    container = document["implementation"]["container"]
    defaults = {a.name: a.default for a in arguments(catalog.load(COMPONENT).inputs)}

    def filled(part: str | Mapping[str, str]) -> str:
        if isinstance(part, str):
            return part
        if "inputValue" in part:
            return as_text(inputs.get(part["inputValue"], defaults[part["inputValue"]]))
        return str(output / part["outputPath"] / "data")

    args = [filled(part) for part in container["args"]]
    return [*container["command"], *args, "--events", str(output / EVENTS)]


class _Digits:
    """scikit-learn's bundled images of handwritten digits (8 × 8 pixels), split for training and scoring."""

    def __init__(self) -> None:
        import numpy as np
        from sklearn.datasets import load_digits

        images, labels = load_digits(return_X_y=True)
        held_out = np.arange(len(images)) % HELD_OUT == 0
        self.train, self.train_labels = images[~held_out], labels[~held_out]
        self.test, self.test_labels = images[held_out], labels[held_out]

    async def upload(self) -> None:
        """Put the training images into the embedded S3."""
        import numpy as np

        text = io.StringIO()
        np.savetxt(text, self.train, fmt="%d", delimiter=",")
        async with _s3() as client:
            await client.create_bucket(Bucket=BUCKET)
            await client.put_object(Bucket=BUCKET, Key="train/digits.csv", Body=text.getvalue().encode())

    def accuracy(self, centers: NDArray[np.float64]) -> float:
        """Name each cluster after most of its training images, then read the held-out images by their cluster."""
        import numpy as np
        from sklearn.metrics import pairwise_distances_argmin

        cluster = pairwise_distances_argmin(self.train, centers)
        names = [
            np.bincount(self.train_labels[cluster == c], minlength=10).argmax() for c in range(len(centers))
        ]
        read = np.array(names)[pairwise_distances_argmin(self.test, centers)]
        return float((read == self.test_labels).mean())


async def _score(digits: _Digits, output: Path) -> None:
    import numpy as np

    address = (output / "model_artifact_url" / "data").read_text()
    bucket, _, key = address.removeprefix("s3://").partition("/")
    async with _s3() as client:
        answer = await client.get_object(Bucket=bucket, Key=key)
        archive = await answer["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(archive)) as model:
        member = model.extractfile("model_algo-1")
        if member is None:
            raise RunnerError(f"{address} holds no model_algo-1")
        centers = np.load(io.BytesIO(member.read()))
    (output / "model.tar.gz").write_bytes(archive)
    print(f"\nmodel: {len(centers)} clusters, downloaded from {address}")
    print(f"accuracy on {len(digits.test)} held-out digits: {digits.accuracy(centers):.1%}")
    print("\nwhat the step left behind, as the pipeline's next step and its UI would read it:")
    for name in (
        "model_artifact_url",
        "job_name",
        "training_image",
        "mlpipeline_ui_metadata",
        "mlpipeline_metrics",
    ):
        print(f"  {name:24} {output / name / 'data'}")
    print(f"  {'events, as JSON lines':24} {output / 'events.jsonl'}")
    metrics = json.loads((output / "mlpipeline_metrics" / "data").read_text())["metrics"]
    print("  metrics:                 " + ", ".join(f"{m['name']}={m['numberValue']:g}" for m in metrics))


def _s3() -> Any:  # noqa: ANN401  generated by botocore
    from aiobotocore.session import get_session

    return get_session().create_client("s3", region_name=REGION)
