"""Inputs that several kinds of SageMaker jobs share."""

from __future__ import annotations

from runner.inputs import Flag, Inputs, JsonObject, arg


class SpotInputs(Inputs):
    """Managed spot training. As a base behind `AwsInputs`, its fields come first, as in the predecessor's yaml."""

    spot_instance: Flag = arg(
        "Train on managed spot instances; needs checkpoint_config with an S3Uri.", False
    )
    max_wait_time: int = arg(
        "Seconds to wait for spot instances and the run together; at least max_run_time.", 86400, ge=0
    )
    max_run_time: int = arg("Seconds that the job may run; then SageMaker stops it.", 86400, ge=1)
    checkpoint_config: JsonObject = arg(
        'Where checkpoints go, as {"S3Uri": ..., "LocalPath": ...}; used with spot only.', {}
    )
