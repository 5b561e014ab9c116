"""Whether what the service describes is what was asked for: by this a job is known again when an answer was lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def covers(theirs: Any, ours: Any) -> bool:  # noqa: ANN401  plain data
    """Say whether a description agrees with a request. The service adds and drops members, but not all of them.

    What is the user's own through and through, it can't add to: that has to be the same to the letter.
    """
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        return all(_agrees(member, theirs.get(member), ours.get(member)) for member in {**ours, **theirs})
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(covers(t, o) for t, o in zip(theirs, ours, strict=True))
    return bool(theirs == ours)


def _agrees(member: str, theirs: Any, ours: Any) -> bool:  # noqa: ANN401  plain data
    if member in _VERBATIM:
        own = {
            name: value for name, value in (theirs or {}).items() if not _services(member, name, ours or {})
        }
        return own == dict(ours or {})
    if ours is None or ours == "":
        return member not in _NEVER_ADDED or not theirs
    if theirs is None:
        return member not in _NEVER_DROPPED or not ours
    return covers(theirs, ours)


def _services(member: str, name: str, ours: Mapping[str, Any]) -> bool:
    """Whether it is the service that put a name there: among static ones `_tuning_objective_metric`, and its like."""
    return member == "StaticHyperParameters" and name.startswith("_") and name not in ours


_VERBATIM = frozenset({"HyperParameters", "StaticHyperParameters", "Environment"})
_NEVER_ADDED = frozenset(
    {
        "Autotune",
        "CategoricalParameterRanges",
        "CheckpointConfig",
        "ContinuousParameterRanges",
        "IntegerParameterRanges",
        "TrainingJobDefinitions",
        "VpcConfig",
        "WarmStartConfig",
    }
)
"""Members that a description has only if the request had them: where one side lacks them, the jobs are not the same."""
_NEVER_DROPPED = _NEVER_ADDED | {"InputDataConfig", "StrategyConfig", "TrainingJobDefinition"}
"""Members that a description has if the request had them; the service may add the others of them by itself."""
