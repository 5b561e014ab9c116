"""A model that SageMaker trains and Hydrosphere serves: k-means on handwritten digits, from data to a released version.

    train ─► lay out ─► release
               └─ volume ─┘

The second step fetches what was trained, and lays the model's files out on a volume from which the third uploads them. What
is left of the training when a run ends early, the exit task stops. Run as a script, this file writes
hydrosphere_release.yaml for Kubeflow Pipelines 2 into the current folder.
"""

from pathlib import Path
from typing import Any

from kfp import compiler, components, dsl, kubernetes

from components.hydrosphere import sample
from runner.pipeline import identified, stopping

# kfp reads annotations as values, so this file does without `from __future__ import annotations`.

ROOT = Path(__file__).resolve().parents[2]


def load(name: str) -> Any:  # noqa: ANN401  made by kfp
    return components.load_component_from_file(str(ROOT / "components" / name / "component.yaml"))


train_op, stop_op = load("aws/sagemaker/train"), load("aws/sagemaker/stop")
release_op = load("hydrosphere/release")

DATA = "s3://kfp-runner-samples/digits"
"""Where the images are: `train/train.csv` holds them, `labels/train.csv` the digits that they show, row by row."""
WORK = "s3://digits-release"
"""A bucket of yours, for what is trained."""
CHANNELS = [
    {
        "ChannelName": "train",
        "ContentType": "text/csv;label_size=0",
        "DataSource": {
            "S3DataSource": {
                "S3DataType": "S3Prefix",
                "S3Uri": f"{DATA}/train/",
                "S3DataDistributionType": "FullyReplicated",
            }
        },
    }
]
HYPERPARAMETERS = {"k": "40", "feature_dim": "64", "epochs": "10"}
VOLUME = "/mnt/digits"
"""Where both steps see the volume."""
FOLDER = f"{VOLUME}/model"


@dsl.component(base_image="python:3.13-slim", packages_to_install=["boto3>=1.40", "numpy>=2"])
def lay_out(
    artifact: str,
    images: str,
    digits: str,
    files: dict,
    contract_text: str,
    folder: str,
    contract: dsl.Output[dsl.Artifact],
) -> None:
    """Lay out a model in `folder`: `files`, path → content, and what their own `prepare` makes of three S3 objects."""
    # kfp takes the function's text alone, so all that it uses stands inside.
    import io
    import runpy
    from pathlib import Path
    from urllib.parse import urlsplit

    import boto3

    s3 = boto3.client("s3")

    def fetched(uri: str) -> bytes:
        place = urlsplit(uri)
        content: bytes = s3.get_object(Bucket=place.netloc, Key=place.path.lstrip("/"))["Body"].read()
        return content

    for name, text in files.items():
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    prepare = runpy.run_path(str(Path(folder, "src/func_main.py")))["prepare"]
    prepare(io.BytesIO(fetched(artifact)), fetched(images).decode(), fetched(digits).decode())
    Path(contract.path).write_text(contract_text, encoding="utf-8")


@dsl.pipeline(
    name="hydrosphere-release",
    description="k-means on handwritten digits, trained by SageMaker, served by Hydrosphere",
)
def hydrosphere_release(
    role: str,
    cluster: str,
    model_name: str = "digits",
    region: str = "us-east-1",
    storage_class: str = "standard",
) -> None:
    """Every step is handed what those before it made."""
    with dsl.ExitHandler(stopping(stop_op, region=region)):
        training = identified(
            train_op(
                region=region,
                role=role,
                algorithm_name="k-means",
                hyperparameters=HYPERPARAMETERS,
                channels=CHANNELS,
                model_artifact_path=f"{WORK}/model",
                max_run_time=3600,
            )
        )
        volume = kubernetes.CreatePVC(
            pvc_name_suffix="-digits",
            access_modes=["ReadWriteOnce"],
            size="1Gi",
            storage_class_name=storage_class,
        )
        laid_out = lay_out(
            artifact=training.outputs["model_artifact_url"],
            images=f"{DATA}/train/train.csv",
            digits=f"{DATA}/labels/train.csv",
            files=sample.texts(),
            contract_text=sample.CONTRACT.read_text(encoding="utf-8"),
            folder=FOLDER,
        )
        release = identified(
            release_op(
                cluster=cluster,
                model_name=model_name,
                path=FOLDER,
                payload=sample.PAYLOAD,
                contract=laid_out.outputs["contract"],
                runtime=sample.RUNTIME,
                install_command=sample.INSTALL_COMMAND,
                training_data=sample.TRAINING_DATA,
                require_training_profile=True,
            )
        )
        for step in (laid_out, release):
            kubernetes.mount_pvc(step, pvc_name=volume.outputs["name"], mount_path=VOLUME)
        gone = kubernetes.DeletePVC(pvc_name=volume.outputs["name"]).after(release)
        # What is on the volume is no part of any step's arguments, by which Kubeflow Pipelines tells what it has cached.
        for step in (volume, laid_out, release, gone):
            step.set_caching_options(enable_caching=False)


if __name__ == "__main__":
    compiler.Compiler().compile(hydrosphere_release, "hydrosphere_release.yaml")
    print("hydrosphere_release.yaml")
