"""The local k-means image: real digits, the built-in's words, the model it leaves."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.aws.embedded.algorithms.hyperparameters import CustomerError, parse
from components.aws.embedded.algorithms.kmeans import Place, Stop, run
from tests.emulator.helpers import DIGITS, KMEANS, Aws, channel, embedded

UNLABELLED = "text/csv;label_size=0"
NEEDED = {"k": "10", "feature_dim": "64"}


def digits(content_type: str = UNLABELLED, *names: str) -> dict[str, Any]:
    return {
        name: channel(name, f"{DIGITS}/{name}", ContentType=content_type)
        for name in names or ("train", "test")
    }


async def rows(aws: Aws, name: str) -> Any:
    content = await aws.get("kfp-runner-samples", f"digits/{name}/{name}.csv")
    return np.loadtxt(io.BytesIO(content), delimiter=",")


def msd(data: Any, centers: Any) -> float:
    return float(((data[:, None, :] - centers[None, :, :]) ** 2).sum(-1).min(1).mean())


async def model(aws: Aws, name: str) -> Any:
    return np.load(io.BytesIO((await aws.artifact(name))["model_algo-1"]))


async def test_digits_are_clustered_and_the_model_is_as_good_as_it_says() -> None:
    parameters = NEEDED | {"epochs": "5", "mini_batch_size": "200", "eval_metrics": '["msd","ssd"]'}
    async with embedded() as aws:
        job = await aws.run("job-1", KMEANS, digits(), parameters)
        assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
        final = {row["MetricName"]: row["Value"] for row in job["FinalMetricDataList"]}
        train, test, centers = await rows(aws, "train"), await rows(aws, "test"), await model(aws, "job-1")
        assert centers.shape == (10, 64)
        assert final["train:msd"] == pytest.approx(msd(train, centers), rel=1e-6)
        assert final["test:msd"] == pytest.approx(msd(test, centers), rel=1e-6)
        assert final["test:ssd"] == pytest.approx(msd(test, centers) * len(test), rel=1e-6)
        assert final["train:progress"] == 100
        assert final["train:throughput"] > 0
        random = train[np.random.default_rng(1).choice(len(train), 10, replace=False)]
        assert final["train:msd"] < 0.75 * msd(train, random)
        # What Lloyd's algorithm finds on these digits with many restarts is near 650.
        assert final["train:msd"] < 690


async def test_describe_declares_the_metrics_and_their_lines_look_like_the_built_ins() -> None:
    async with embedded() as aws:
        await aws.create("job-1", KMEANS, digits(), NEEDED | {"epochs": "2"})
        algorithm = (await aws.describe("job-1"))["AlgorithmSpecification"]
        names = [row["Name"] for row in algorithm["MetricDefinitions"]]
        assert names == ["train:msd", "train:progress", "train:throughput", "test:msd", "test:ssd"]
        assert algorithm["EnableSageMakerMetricsTimeSeries"] is True
        await aws.until("job-1")
        text = "\n".join(await aws.lines("job-1"))
        for pattern in (
            r"#quality_metric: host=algo-1, epoch=1, train msd <loss>=\d+\.\d+$",
            r"#quality_metric: host=algo-1, train msd <loss>=\d+\.\d+$",
            r"#quality_metric: host=algo-1, test msd <loss>=\d+\.\d+$",
            r"#progress_metric: host=algo-1, completed 50 % of epochs$",
            r"#throughput_metric: host=algo-1, train throughput=\S+ records/second$",
        ):
            assert re.search(pattern, text, re.MULTILINE), pattern
        assert "test ssd" not in text


async def test_instances_train_apart_say_so_and_the_same_data_gives_the_same_model() -> None:
    two = {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1}
    parameters = NEEDED | {"init_method": "kmeans++"}
    async with embedded() as aws:
        job = await aws.run("job-1", KMEANS, digits(), parameters, ResourceConfig=two)
        assert job["TrainingJobStatus"] == "Completed"
        lines = await aws.lines("job-1")
        assert sum("algo-1's model is kept" in line for line in lines) == 2
        assert sum("train msd" in line for line in lines) == 4
        assert len({line.rpartition("=")[2] for line in lines if "train msd" in line}) == 1


async def test_a_stop_keeps_the_model_so_far() -> None:
    async with embedded() as aws:
        await aws.create("job-1", KMEANS, digits(), NEEDED | {"epochs": "100000", "mini_batch_size": "50"})
        line = "#progress_metric: host=algo-1, completed 0.001 % of epochs"
        await aws.printed("job-1", line)
        await aws.stop("job-1")
        job = await aws.until("job-1")
        assert job["TrainingJobStatus"] == "Stopped"
        assert (await model(aws, "job-1")).shape == (10, 64)
        assert any("keeping the model so far" in each for each in await aws.lines("job-1"))


LABELLED = b"7,1,2\n8,1,3\n9,9,9\n"
TWO = {"k": "2", "feature_dim": "2"}
FAILURES: list[tuple[dict[str, str], str, bytes, str]] = [
    ({"k": "2"}, UNLABELLED, b"1,2\n", "No value(s) were specified for 'feature_dim' which are required"),
    (
        TWO | {"x": "9"},
        UNLABELLED,
        b"1,2\n",
        "Additional hyperparameters are not allowed ('x' was unexpected)",
    ),
    (TWO, UNLABELLED, b"1,2\n", "1 records are too few for k=2 clusters."),
    (NEEDED, "text/csv", LABELLED, "feature_dim is 64, but the data has 3 columns of which 1 are labels"),
    (TWO, UNLABELLED, b"a,b\n", "x is no CSV of numbers"),
    (TWO, UNLABELLED, b"nan,1\n", "x holds values that are no finite numbers"),
    (TWO, "application/x-recordio-protobuf", b"x", "is not supported by the local k-means"),
    (TWO, "text/csv;header=1", b"1,2\n", "only label_size=0 or 1 can be given"),
    (TWO, UNLABELLED, b"", "No data was found in channel 'train'."),
]


def container(folder: Path, parameters: dict[str, str], content_type: str, data: bytes) -> Place:
    """The folders of a container with one channel, as the embedded cloud makes them."""
    config, train = folder / "input" / "config", folder / "input" / "data" / "train"
    for each in (config, train, folder / "model", folder / "output"):
        each.mkdir(parents=True)
    (train / "x").write_bytes(data)
    (config / "hyperparameters.json").write_text(json.dumps(parameters))
    (config / "inputdataconfig.json").write_text(json.dumps({"train": {"ContentType": content_type}}))
    return Place(folder, "algo-1", ["algo-1"])


@pytest.mark.parametrize(("parameters", "content_type", "data", "text"), FAILURES)
def test_the_users_mistakes_are_told_in_the_built_ins_words(
    tmp_path: Path, parameters: dict[str, str], content_type: str, data: bytes, text: str
) -> None:
    with pytest.raises(CustomerError, match=re.escape(text)):
        run(container(tmp_path, parameters, content_type, data), Stop())


@pytest.mark.parametrize(
    ("content_type", "width"), [("text/csv", "2"), ("", "2"), ("", "3"), (UNLABELLED, "3")]
)
def test_labels_are_told_by_the_content_type(tmp_path: Path, content_type: str, width: str) -> None:
    run(container(tmp_path, {"k": "3", "feature_dim": width}, content_type, LABELLED), Stop())
    with (tmp_path / "model" / "model_algo-1").open("rb") as file:
        centers = {tuple(map(round, row)) for row in np.load(file)}
    whole = {(7, 1, 2), (8, 1, 3), (9, 9, 9)}
    assert centers == (whole if width == "3" else {row[1:] for row in whole})


async def test_a_mistake_fails_the_job_as_the_customers_error() -> None:
    async with embedded() as aws:
        job = await aws.run("job-1", KMEANS, None, NEEDED)
        assert job["TrainingJobStatus"] == "Failed"
        assert job["FailureReason"] == (
            "ClientError: Unable to initialize the algorithm. Failed to validate input data configuration. (caused by"
            " ValidationError)\n\nCaused by: 'train' is a required property, exit code: 1"
        )
        assert any(line.startswith("Customer Error: ") for line in await aws.lines("job-1"))


def test_hyperparameters_have_the_built_ins_defaults() -> None:
    found = parse(NEEDED | {"_tuning_objective_metric": "test:msd", "init_method": '"kmeans++"'})
    assert (found.k, found.feature_dim, found.epochs, found.mini_batch_size) == (10, 64, 1, 5000)
    assert (found.init_method, found.local_lloyd_init_method) == ("kmeans++", "kmeans++")
    assert (found.extra_center_factor, found.local_lloyd_num_trials) == (None, None)
    assert found.eval_metrics == ("msd",)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("k", "0"),
        ("k", "ten"),
        ("epochs", "1.5"),
        ("init_method", "best"),
        ("local_lloyd_tol", "2"),
        ("local_lloyd_tol", "x"),
        ("extra_center_factor", "-1"),
        ("eval_metrics", "msd"),
        ("eval_metrics", '["accuracy"]'),
    ],
)
def test_hyperparameters_out_of_range_are_named(name: str, value: str) -> None:
    with pytest.raises(CustomerError, match=name):
        parse(NEEDED | {name: value})
