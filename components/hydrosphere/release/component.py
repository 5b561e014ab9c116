"""Releases a version of a model to Hydrosphere: its files, its contract and its training data.

What is sent follows hydrosdk's observed behaviour, of 2.4 and 3.0, in whose time the predecessor was written; where it does
not, on purpose, `DEVIATIONS` says so.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from components.hydrosphere.inputs import Where
from components.hydrosphere.release._eras import Era
from components.hydrosphere.release._inputs import ReleaseInputs, ReleaseOutputs
from components.hydrosphere.release._plan import EXTERNAL, UPLOAD, plan
from runner.identity import Identity
from runner.job import Component, Job

DEVIATIONS = (
    "Wrong input ends with exit code 2 and names the argument, the field or the file; the predecessor showed a traceback.",
    (
        "The step fails if the build fails, and ends well only if the server says `Released`; the predecessor also believed "
        "the end of an event stream."
    ),
    "External models work: `path`, `payload` and `runtime` left blank.",
    "A runtime without a tag is taken as `latest`, with a remark; it was refused by the server.",
    "A blank `install_command` is none; it became an instruction that broke the build.",
    (
        "Patterns such as `./*` work in `payload`; what leads out of `path`, by `..` or by a link, is an error. An absolute "
        "path goes along as it did, with a remark."
    ),
    "Links in the payload are followed; they were sent as links.",
    (
        "Contracts may be written as lists or as mappings, and fields may have subfields. An unknown profile is an error; "
        "it silently became NONE."
    ),
    "A failure of the training data is told; with `require_training_profile` it fails the step.",
    (
        "In a pipeline run that passes its id (`runner.pipeline.identified`), two entries are added to the metadata, so "
        "that a restarted pod finds its version instead of making another."
    ),
)

NOTES = """\
## The contract

JSON or YAML, written as lists or as mappings. These two are the same:

```yaml
signatureName: predict                                      # or name; predict where there is none
inputs:
- {name: image, shape: [-1, 28, 28], type: float32, profile: image}
- {name: age, type: int64, profile: numerical}              # without a shape: scalar
outputs:
- {name: digit, shape: scalar, type: int64, profile: categorical}
```

```yaml
inputs:
  image: {shape: [-1, 28, 28], type: float32, profile: image}
  age: {type: int64, profile: numerical}
outputs:
  digit: {type: int64, profile: categorical}
```

* `shape`: `scalar`, or a list of sizes; -1 stands for any.
* `type`: bool, string, int8 to int64, uint8 to uint64, float16 (half), float32 (single), float64 (double, float), complex64,
  complex128, qint8 to qint32, quint8, quint16; or the platform's own names (`DT_FLOAT`).
* `profile`: how monitoring is to look at it: categorical, nominal, ordinal, numerical, continuous, interval, ratio, image,
  video, audio, text; none, which is no look at all, where it is left out.
* A field of several has `subfields`, again as a list or mapping, in place of `type`.

In a pipeline the contract arrives as a file: hand over an artifact, such as another step's output, or
`dsl.importer(artifact_uri="s3://…/contract.yaml", artifact_class=dsl.Artifact).output`. `path`, and local training data,
have to lie where the step can see them, such as on a volume;
[samples/hydrosphere_release](../../../samples/hydrosphere_release/README.md) shows both.

## Limits

The upload may have 200,000,000 bytes, packed: that is what Hydrosphere takes. A release outlives its step: a build can't be
cancelled."""

PREPARATION = """\
mkdir -p model/src
cat > model/src/func_main.py <<'END'
def predict(x):
    return {"y": 2.0 * x}
END
cat > contract.yaml <<'END'
inputs:
  x: {shape: scalar, type: double, profile: numerical}
outputs:
  y: {shape: scalar, type: double, profile: numerical}
END
printf 'x\\n1.0\\n2.0\\n' > train.csv"""
EXAMPLE = """\
  --cluster http://hydrosphere.example --model_name doubler \\
  --path model --payload '["./src/"]' --contract_path contract.yaml \\
  --runtime hydrosphere/serving-runtime-python-3.7:3.0.3 \\
  --training_data train.csv --metadata '{"team": "examples"}'"""


async def check(inputs: ReleaseInputs, identity: Identity) -> None:
    """Check all that can be without a connection. Raises `InputError`."""
    plan(inputs, identity)


@asynccontextmanager
async def connect(inputs: ReleaseInputs, identity: Identity) -> AsyncIterator[Job]:
    """Ask the cluster which era it is of, and pack the payload; nothing is uploaded before `launch`."""
    from components.hydrosphere.release._connecting import connected

    async with connected(inputs, identity) as job:
        yield job


@asynccontextmanager
async def attach(where: Where, name: str) -> AsyncIterator[Job]:
    """Open a connection to a version that exists."""
    from components.hydrosphere.release._connecting import attached

    async with attached(where, name) as job:
        yield job


def request(inputs: ReleaseInputs, identity: Identity) -> dict[str, Any]:
    """Return what would be sent to a cluster of either era. Raises `InputError`."""
    planned = plan(inputs, identity)
    operation = EXTERNAL if planned.external else UPLOAD
    made: dict[str, Any] = {
        f"{operation} (Hydrosphere {era.value})": planned.request(era) for era in reversed(Era)
    }
    if not planned.external:
        made["payload"] = [member.name for member in planned.members]
    return made


component = Component(
    name="Hydrosphere - Model Release",
    summary="Release a version of a model to Hydrosphere: its build log live, and no success before it is released.",
    inputs=ReleaseInputs,
    outputs=ReleaseOutputs,
    request=request,
    check=check,
    connect=connect,
    attach=attach,
    where=Where,
    provider="hydrosphere",
    deviations=DEVIATIONS,
    notes=NOTES,
    preparation=PREPARATION,
    example=EXAMPLE,
)
