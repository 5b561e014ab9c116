"""A whole pipeline: handwritten digits split, a k-means tuned and trained on them, deployed and applied to a batch.

    split ─► tune ─► train ─► model ─┬─► deploy
                                     └─► transform

Whatever is left of the run when it ends early, the exit task stops. Run as a script, it writes
digits_classification.yaml for Kubeflow Pipelines 2 into the current folder.
"""

from pathlib import Path
from typing import Any

from kfp import compiler, components, dsl

from runner.pipeline import identified, stopping

# kfp reads annotations as values, so this file does without `from __future__ import annotations`.

ROOT = Path(__file__).resolve().parents[2]


def load(name: str) -> Any:  # noqa: ANN401  made by kfp
    return components.load_component_from_file(
        str(ROOT / "components/aws/sagemaker" / name / "component.yaml")
    )


process_op, tune_op, train_op = load("process"), load("hyperparameter_tuning"), load("train")
model_op, deploy_op, transform_op = load("model"), load("deploy"), load("batch_transform")
stop_op = load("stop")

DATA = "s3://kfp-runner-samples/digits"
"""Where the images are: `all/` holds them, `all-labels/` the digits that they show, row by row."""
WORK = "s3://digits-classification"
"""A bucket of yours, for everything that the pipeline makes."""
SPLIT_IMAGE = "kfp-runner-samples/split:1"
FIXED = {"k": "40", "feature_dim": "64", "epochs": "3"}
RANGES = [
    {"Name": "mini_batch_size", "MinValue": "100", "MaxValue": "1000"},
    {"Name": "extra_center_factor", "MinValue": "2", "MaxValue": "6"},
]
METHODS = [{"Name": "init_method", "Values": ["random", "kmeans++"]}]


def channel(name: str) -> dict[str, Any]:
    """One of the two parts that the split makes, as an input channel of a training job."""
    source = {
        "S3DataType": "S3Prefix",
        "S3Uri": f"{WORK}/split/{name}/",
        "S3DataDistributionType": "FullyReplicated",
    }
    return {
        "ChannelName": name,
        "ContentType": "text/csv;label_size=0",
        "DataSource": {"S3DataSource": source},
    }


CHANNELS = [channel("train"), channel("test")]


def came_in(name: str, uri: str) -> dict[str, Any]:
    """A folder of the split's container that is filled from S3."""
    source = {"S3Uri": uri, "LocalPath": f"/opt/ml/processing/input/{name}"}
    return {"InputName": name, "S3Input": {**source, "S3DataType": "S3Prefix", "S3InputMode": "File"}}


def goes_out(name: str) -> dict[str, Any]:
    """A folder of the split's container whose files go to S3."""
    target = {"S3Uri": f"{WORK}/split/{name}", "LocalPath": f"/opt/ml/processing/{name}"}
    return {"OutputName": name, "S3Output": {**target, "S3UploadMode": "EndOfJob"}}


@dsl.pipeline(
    name="digits-classification", description="k-means on handwritten digits, from data to endpoint"
)
def digits_classification(role: str, endpoint_name: str = "digits", region: str = "us-east-1") -> None:
    """Every step is handed the outputs of those before it."""
    where = {"region": region, "role": role}
    with dsl.ExitHandler(stopping(stop_op, region=region)):
        split = identified(
            process_op(
                **where,
                image=SPLIT_IMAGE,
                container_arguments=["--test-share", "0.2", "--labels"],
                input_config=[came_in("data", f"{DATA}/all/"), came_in("labels", f"{DATA}/all-labels/")],
                output_config=[goes_out(n) for n in ("train", "test", "train-labels", "test-labels")],
                max_run_time=3600,
            )
        )
        tuning = identified(
            tune_op(
                **where,
                algorithm_name="k-means",
                metric_name="test:msd",
                metric_type="Minimize",
                static_parameters=FIXED,
                integer_parameters=RANGES,
                categorical_parameters=METHODS,
                channels=CHANNELS,
                output_location=f"{WORK}/tuning",
                max_num_jobs=6,
                max_parallel_jobs=3,
                max_run_time=3600,
            )
        ).after(split)
        training = identified(
            train_op(
                **where,
                image=tuning.outputs["training_image"],
                hyperparameters=tuning.outputs["best_hyperparameters"],
                channels=CHANNELS,
                model_artifact_path=f"{WORK}/model",
                max_run_time=3600,
            )
        )
        model = identified(
            model_op(
                **where,
                model_name=training.outputs["job_name"],
                image=training.outputs["training_image"],
                model_artifact_url=training.outputs["model_artifact_url"],
            )
        )
        identified(
            deploy_op(
                region=region,
                endpoint_name=endpoint_name,
                model_name_1=model.outputs["model_name"],
                update_endpoint=True,
            )
        )
        identified(
            transform_op(
                region=region,
                model_name=model.outputs["model_name"],
                input_location=f"{WORK}/split/test/",
                content_type="text/csv",
                split_type="Line",
                assemble_with="Line",
                output_location=f"{WORK}/batch",
            )
        )


if __name__ == "__main__":
    compiler.Compiler().compile(digits_classification, "digits_classification.yaml")
    print("digits_classification.yaml")
