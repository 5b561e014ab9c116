"""What contradicts each other in a batch transform's request. Importing this imports no cloud.

The service's reference tells of these rules, but not with which values it lets them be broken (and the predecessor sent
them all): so they are no errors of ours, but what a refusal is explained with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MOST_MB = 100
"""Of payload: for one request, and for all that an instance may get at the same time (CreateTransformJob's reference)."""


def contradictions(request: Mapping[str, Any]) -> list[str]:
    """Return what can't go together in a CreateTransformJob body, each with the arguments' names and what to do."""
    split = request["TransformInput"]["SplitType"]
    return [
        text for text in (_too_much(request), _unsplit(request, split), _unjoinable(request, split)) if text
    ]


def _too_much(request: Mapping[str, Any]) -> str:
    concurrent, payload = request["MaxConcurrentTransforms"], request["MaxPayloadInMB"]
    if concurrent * payload <= MOST_MB:
        return ""
    return (
        f"--max_concurrent {concurrent} times --max_payload {payload} makes {concurrent * payload} MB at the same time, "
        f"but {MOST_MB} are possible; lower one of them"
    )


def _unsplit(request: Mapping[str, Any], split: str) -> str:
    strategy = request.get("BatchStrategy", "")
    if not strategy or split != "None":
        return ""
    return f"--batch_strategy {strategy} needs records; give --split_type Line, RecordIO or TFRecord"


def _unjoinable(request: Mapping[str, Any], split: str) -> str:
    if request["DataProcessing"]["JoinSource"] != "Input":
        return ""
    if split in ("RecordIO", "TFRecord"):
        return f"--join_source Input joins CSV and JSON only, not --split_type {split}; give --split_type Line or None"
    assembled = request["TransformOutput"].get("AssembleWith", "None")
    if split != assembled:
        return (
            f"--join_source Input needs records that are put together as they were split: --split_type is {split}, "
            f"--assemble_with {assembled}; give both alike"
        )
    return ""
