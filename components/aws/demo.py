"""The demo: handwritten digits, from data to an endpoint that reads them, on the embedded AWS.

    split ─► tune ─► train ─► model ─┬─► deploy    ─┬─► predictions
                                     └─► transform ─┘

The pipeline of `samples/digits_classification`, composed in plain async Python: each step is a call, runs through the same
code as a step in Kubeflow Pipelines, and hands its outputs on. The batch transform finds the cluster of every training
image, by which clusters are named after digits; the endpoint then reads digits that it has never seen.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner import demo
from runner.batch import Batch
from runner.embedded import embedded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

DATA, WORK = "s3://kfp-runner-samples/digits", "s3://digits-demo"
REGION = "us-east-1"
ROLE = "arn:aws:iam::123456789012:role/sagemaker-execution"
WHERE = {"region": REGION, "role": ROLE}
SPLIT_IMAGE = "kfp-runner-samples/split:1"
NAME = "digits"
"""Of the model, and of the endpoint."""
TRIALS, AT_ONCE = 6, 3
PLOT = "tuning.html"
BATCH_ROWS = 60
"""Images that the endpoint is asked about at once."""


def main(output: Path) -> int:
    """Run the demo; its files go to the folder `output`."""
    return demo.run(_demo, output)


async def _demo(output: Path) -> None:
    (output / PLOT).unlink(missing_ok=True)  # Not to stand for a search that never got so far.
    with demo.ending("the embedded AWS") as stopping:
        print("starting the embedded AWS on loopback: it runs jobs for real, as processes of this machine")
        async with embedded("aws") as url, Batch(sinks=demo.sinks(output), stopping=stopping) as batch:
            print(f"embedded AWS at {url}\n", flush=True)
            await _s3_bucket()
            await _pipeline(batch, output)


async def _pipeline(batch: Batch, output: Path) -> None:
    """Every step, in the order of what it needs."""
    await batch.run("aws.sagemaker.process", "split", **_split())
    tuned: Any = await batch.run("aws.sagemaker.hyperparameter_tuning", "tune", **_tuning())
    trained: Any = await batch.run(
        "aws.sagemaker.train",
        "train",
        **WHERE,
        image=tuned.training_image,
        hyperparameters={**tuned.best_hyperparameters, "epochs": "10"},  # What is worth a trial may be brief.
        channels=[_channel("train")],
        model_artifact_path=f"{WORK}/model",
    )
    model: Any = await batch.run(
        "aws.sagemaker.model",
        "model",
        **WHERE,
        model_name=NAME,
        image=trained.training_image,
        model_artifact_url=trained.model_artifact_url,
    )
    async with asyncio.TaskGroup() as group:
        transform = _transform(model.model_name)
        group.create_task(batch.run("aws.sagemaker.batch_transform", "transform", **transform))
        deploy = {"region": REGION, "endpoint_name": NAME, "model_name_1": model.model_name}
        group.create_task(batch.run("aws.sagemaker.deploy", "deploy", **deploy))
    async with _torn_down():
        await _score()
    _told(output, tuned)


# ── what a pipeline author would write ──────────────────────────────────────────────────────────────────────────────


def _split() -> dict[str, Any]:
    parts = ("train", "test", "train-labels", "test-labels")
    base = "/opt/ml/processing"
    return {
        **WHERE,
        "image": SPLIT_IMAGE,
        "container_arguments": ["--test-share", "0.2", "--labels"],
        "input_config": [
            {
                "InputName": name,
                "S3Input": {
                    "S3Uri": f"{DATA}/{prefix}/",
                    "LocalPath": f"{base}/input/{name}",
                    "S3DataType": "S3Prefix",
                    "S3InputMode": "File",
                },
            }
            for name, prefix in (("data", "all"), ("labels", "all-labels"))
        ],
        "output_config": [
            {
                "OutputName": part,
                "S3Output": {
                    "S3Uri": f"{WORK}/split/{part}",
                    "LocalPath": f"{base}/{part}",
                    "S3UploadMode": "EndOfJob",
                },
            }
            for part in parts
        ],
    }


def _tuning() -> dict[str, Any]:
    return {
        **WHERE,
        "algorithm_name": "k-means",
        "metric_name": "test:msd",
        "metric_type": "Minimize",
        # More clusters than digits: people write a digit in several ways.
        "static_parameters": {"k": "40", "feature_dim": "64", "epochs": "1"},
        "integer_parameters": [
            {"Name": "mini_batch_size", "MinValue": "100", "MaxValue": "1000"},
            {"Name": "extra_center_factor", "MinValue": "2", "MaxValue": "6"},
        ],
        "categorical_parameters": [{"Name": "init_method", "Values": ["random", "kmeans++"]}],
        # The algorithm's objective needs a test channel; the held-out images are kept for the endpoint.
        "channels": [_channel("train"), {**_channel("train"), "ChannelName": "test"}],
        "output_location": f"{WORK}/tuning",
        "max_num_jobs": TRIALS,
        "max_parallel_jobs": AT_ONCE,
    }


def _channel(name: str) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": f"{WORK}/split/{name}/"}
    return {
        "ChannelName": name,
        "ContentType": "text/csv;label_size=0",
        "DataSource": {"S3DataSource": {**source, "S3DataDistributionType": "FullyReplicated"}},
    }


def _transform(model: str) -> dict[str, Any]:
    return {
        "region": REGION,
        "model_name": model,
        "input_location": f"{WORK}/split/train/",
        "content_type": "text/csv",
        "split_type": "Line",
        "batch_strategy": "MultiRecord",
        "accept": "application/jsonlines",
        "assemble_with": "Line",
        "output_location": f"{WORK}/batch",
    }


# ── what is done with the endpoint ──────────────────────────────────────────────────────────────────────────────────


async def _score() -> None:
    """Name the clusters after digits, have the endpoint read the held-out images, and print how many it read right."""
    import numpy as np

    found = [json.loads(line) for line in (await _texts("batch/")).splitlines()]
    clusters = np.array([int(row["closest_cluster"]) for row in found])
    digits = np.array([int(line) for line in (await _texts("split/train-labels/")).split()])
    names = [np.bincount(digits[clusters == c], minlength=10).argmax() for c in range(clusters.max() + 1)]
    images = (await _texts("split/test/")).splitlines()
    wanted = np.array([int(line) for line in (await _texts("split/test-labels/")).split()])
    began = time.monotonic()
    read = np.array([names[cluster] for cluster in await _predictions(images)])
    took = time.monotonic() - began
    print(f"\nthe endpoint read {len(images)} images in {took:.2f} s; the first of them, and what it says:\n")
    print(demo.drawn(images[:6], [str(n) for n in read[:6]]))
    print(f"\naccuracy on {len(images)} held-out digits: {(read == wanted).mean():.1%}")


async def _predictions(images: Sequence[str]) -> list[int]:
    """Each image's cluster, as the endpoint says; it is asked in batches, all at once."""
    parts = [images[n : n + BATCH_ROWS] for n in range(0, len(images), BATCH_ROWS)]
    async with _client("sagemaker-runtime") as client, asyncio.TaskGroup() as group:

        async def ask(part: Sequence[str]) -> list[int]:
            answer = await client.invoke_endpoint(
                EndpointName=NAME, ContentType="text/csv", Body="\n".join(part).encode()
            )
            rows = json.loads(await answer["Body"].read())["predictions"]
            return [int(row["closest_cluster"]) for row in rows]

        tasks = [group.create_task(ask(part)) for part in parts]
        await asyncio.wait(tasks)
    return [cluster for task in tasks for cluster in task.result()]


@asynccontextmanager
async def _torn_down() -> AsyncIterator[None]:
    """Delete afterwards what costs money as long as it exists, and what would be in the way next time."""
    try:
        yield
    finally:
        async with _client("sagemaker") as client:
            config = (await client.describe_endpoint(EndpointName=NAME))["EndpointConfigName"]
            await client.delete_endpoint(EndpointName=NAME)
            await client.delete_endpoint_config(EndpointConfigName=config)
            await client.delete_model(ModelName=NAME)
            gone = client.get_waiter("endpoint_deleted")
            await gone.wait(EndpointName=NAME, WaiterConfig={"Delay": 1})
        print("\nendpoint, its configuration and the model are deleted; nothing is left")


def _told(output: Path, tuned: Any) -> None:  # noqa: ANN401  outputs of a component
    """Say what the steps left behind, and put the search's picture where a browser can open it."""
    print(f"\nbest of {TRIALS} trials: {tuned.best_job_name}, {json.dumps(tuned.best_hyperparameters)}")
    pages = json.loads((output / "tune" / "mlpipeline-ui-metadata.json").read_text())["outputs"]
    plot = next((page["source"] for page in pages if page["type"] == "web-app"), "")
    print("\nwhat the steps left behind, as the pipeline's UI and your programs would read it:")
    if plot:
        (output / PLOT).write_text(plot)
        print(f"  {'the search, drawn':24} {output / 'tuning.html'}")
    print(f"  {'of each step':24} {output}/STEP/{demo.FILES}")


# ── the cloud, as any of its users would reach it ───────────────────────────────────────────────────────────────────


async def _s3_bucket() -> None:
    async with _client("s3") as client:
        await client.create_bucket(Bucket=WORK.removeprefix("s3://"))


async def _texts(prefix: str) -> str:
    """All objects below a prefix of our bucket, one after the other."""
    bucket = WORK.removeprefix("s3://")
    async with _client("s3") as client:
        rows = (await client.list_objects_v2(Bucket=bucket, Prefix=prefix))["Contents"]
        bodies = [(await client.get_object(Bucket=bucket, Key=row["Key"]))["Body"] for row in rows]
        return "".join([(await body.read()).decode() for body in bodies])


def _client(service: str) -> Any:  # noqa: ANN401  generated by botocore
    from aiobotocore.session import get_session

    return get_session().create_client(service, region_name=REGION)
