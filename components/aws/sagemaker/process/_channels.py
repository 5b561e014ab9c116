"""What the service refuses in a processing job's inputs and outputs, beyond the shapes that its model describes.

Sources: the API reference (ProcessingS3Input: a local path begins with /opt/ml/processing/, and is required unless the
application fetches by itself); aws/sagemaker-python-sdk issue 4939 (two inputs at one local path are refused, without
a word why). What is of a wrong type is passed over here: the model's check names it.
"""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

ROOT = "/opt/ml/processing"
"""The only folder of the container whose contents the service fetches and stores."""
_INPUTS = ("S3Input", "DatasetDefinition")
_OUTPUTS = ("S3Output", "FeatureStoreOutput")


def wrong_inputs(config: Sequence[Any]) -> list[str]:
    """Return what is wrong with ProcessingInput objects, a sentence each."""
    return [*_wrong(config, "InputName", _INPUTS), *_shared_paths(config, _INPUTS)]


def wrong_outputs(config: Sequence[Any]) -> list[str]:
    """Return what is wrong with ProcessingOutput objects, a sentence each."""
    return [*_wrong(config, "OutputName", _OUTPUTS), *_shared_paths(config, _OUTPUTS)]


def _wrong(config: Sequence[Any], key: str, members: tuple[str, ...]) -> Iterator[str]:
    channels = [channel for channel in config if isinstance(channel, Mapping)]
    yield from _used_twice(key, [channel.get(key) for channel in channels])
    for channel in channels:
        label = f"{key} {channel.get(key)!r}"
        if not any(channel.get(member) for member in members):
            yield f"{label} has neither {members[0]} nor {members[1]}; one of them is needed"
        elif (s3 := channel.get(members[0])) and isinstance(s3, Mapping):
            managed = bool(channel.get("AppManaged"))
            yield from _wrong_path(label, members[0], s3.get("LocalPath", ""), managed=managed)


def _wrong_path(label: str, member: str, path: object, *, managed: bool) -> Iterator[str]:
    if not isinstance(path, str) or (managed and not path):
        return
    if not path:
        yield f'{label} lacks "LocalPath" in {member}; write one such as {ROOT}/data'
    elif not posixpath.normpath(path).startswith(f"{ROOT}/"):
        yield f"{label} has the LocalPath {path!r}, which is not below {ROOT}; write one such as {ROOT}/data"


def _shared_paths(config: Sequence[Any], members: tuple[str, ...]) -> list[str]:
    found = [channel.get(member) for channel in config if isinstance(channel, Mapping) for member in members]
    paths = [place.get("LocalPath") for place in found if isinstance(place, Mapping)]
    return _used_twice("LocalPath", [posixpath.normpath(p) for p in paths if isinstance(p, str) and p])


def _used_twice(key: str, values: Sequence[object]) -> list[str]:
    counted = Counter(value for value in values if isinstance(value, str))
    return [f"{key} {value!r} is used {n} times; each needs its own" for value, n in counted.items() if n > 1]
