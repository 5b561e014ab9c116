"""A pipeline of one step: k-means on handwritten digits, trained by SageMaker.

Run as a script, it writes digits_training.yaml for Kubeflow Pipelines 2 into the current folder.
"""

from pathlib import Path

from kfp import compiler, components, dsl

from runner.pipeline import identified

# kfp reads annotations as values, so this file does without `from __future__ import annotations`.

ROOT = Path(__file__).resolve().parents[2]
train_op = components.load_component_from_file(str(ROOT / "components/aws/sagemaker/train/component.yaml"))

DATA = "s3://kfp-runner-samples/digits/train/"
CHANNELS = [
    {
        "ChannelName": "train",
        "ContentType": "text/csv;label_size=0",
        "DataSource": {
            "S3DataSource": {
                "S3DataType": "S3Prefix",
                "S3Uri": DATA,
                "S3DataDistributionType": "FullyReplicated",
            }
        },
    }
]


@dsl.pipeline(name="digits-training", description="k-means on handwritten digits, trained by SageMaker")
def digits_training(
    role: str,
    output: str,
    channels: list = CHANNELS,
    hyperparameters: dict = {"k": "40", "feature_dim": "64", "epochs": "20"},  # noqa: B006  kfp's way to give a default
    region: str = "us-east-1",
) -> str:
    """Train; return the model's address."""
    training = identified(
        train_op(
            region=region,
            role=role,
            algorithm_name="k-means",
            hyperparameters=hyperparameters,
            channels=channels,
            instance_type="ml.m5.large",
            model_artifact_path=output,
            max_run_time=3600,
        )
    )
    return training.outputs["model_artifact_url"]


if __name__ == "__main__":
    compiler.Compiler().compile(digits_training, "digits_training.yaml")
    print("digits_training.yaml")
