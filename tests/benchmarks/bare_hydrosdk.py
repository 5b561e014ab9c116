"""What a user of hydrosdk writes: pack, upload, wait until it is released.

Arguments: the cluster's address, the model's folder. Says `released` when hydrosdk says so, and what the cluster said then.
"""

import sys
import tempfile

import requests

from components.hydrosphere.release.backends.hydrosdk_child import _shim

_shim()

from hydrosdk.cluster import Cluster  # noqa: E402  it needs the shim
from hydrosdk.image import DockerImage  # noqa: E402
from hydrosdk.modelversion import ModelVersionBuilder  # noqa: E402
from hydrosdk.signature import SignatureBuilder  # noqa: E402

url, root = sys.argv[1:]
with tempfile.TemporaryDirectory() as folder:
    import os

    os.chdir(folder)  # It leaves its archives behind.
    signature = (
        SignatureBuilder("predict")
        .with_input("x", "double", "scalar")
        .with_output("y", "double", "scalar")
        .build()
    )
    builder = (
        ModelVersionBuilder("m", root)
        .with_runtime(DockerImage(name="r/i", tag="1"))
        .with_signature(signature)
    )
    version = builder.with_payload(["./weights.bin"]).build(Cluster(url))
    version.lock_till_released(timeout=600)
    really = requests.get(f"{url}/api/v2/model/version/m/{version.version}", timeout=10).json()["status"]
    print(f"released; the cluster says {really}", flush=True)
