"""The kinds of labeling tasks: what their labels look like, and how they are written into the output manifest.

The kind is told by the name of the Lambda function that prepares tasks, `…:function:PRE-ImageMultiClass`, or by that of
the worker interface, `…:human-task-ui/NamedEntityRecognition`. Source of the forms: developer guide, "Labeling job
output data". A label of a kind that is not among the classifications is written as it is in the answers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
_TYPES = {
    "ImageMultiClass": "groundtruth/image-classification",
    "ImageMultiClassMultiLabel": "groundtruth/image-classification-multilabel",
    "TextMultiClass": "groundtruth/text-classification",
    "TextMultiClassMultiLabel": "groundtruth/text-classification-multilabel",
    "BoundingBox": "groundtruth/object-detection",
    "AdjustmentBoundingBox": "groundtruth/object-detection",
    "SemanticSegmentation": "groundtruth/semantic-segmentation",
    "AdjustmentSemanticSegmentation": "groundtruth/semantic-segmentation",
    "NamedEntityRecognition": "groundtruth/text-span",
    "VerificationBoundingBox": "groundtruth/label-verification",
    "VerificationSemanticSegmentation": "groundtruth/label-verification",
}
CUSTOM = "groundtruth/custom"
_REF = re.compile(
    r"(Adjustment)?SemanticSegmentation|(Adjustment|Verification)?(VideoObject(Detection|Tracking)"
    r"|3DPointCloud(SemanticSegmentation|ObjectTracking))"
)
_ONE = ("ImageMultiClass", "TextMultiClass")
_SEVERAL = ("ImageMultiClassMultiLabel", "TextMultiClassMultiLabel")


_SHOWN = 100
"""Characters of a wrong answer that are shown."""


class LabelError(ValueError):
    """An answer that is no label of its kind."""


@dataclass(frozen=True, slots=True)
class Categories:
    """The label categories of a job, in order."""

    names: Sequence[str] = ()
    numbers: Mapping[str, int] = field(default_factory=dict)
    """Each name's place: a job may have many names, and asks for one for each of its objects."""

    @classmethod
    def of(cls, names: Sequence[str]) -> Categories:
        """The categories of these names, which are different."""
        return cls(names, {name: number for number, name in enumerate(names)})

    def number(self, answer: Any) -> int:
        """A category by its name or, as in output manifests, by its number. Raises `LabelError`."""
        if isinstance(answer, str) and (number := self.numbers.get(answer)) is not None:
            return number
        if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < len(self.names):
            return answer
        raise LabelError(f"{_shown(answer)} is not among the label categories")


def kind(human: Json) -> str:
    """The name of the kind, `ImageMultiClass`; empty for a custom one."""
    function = human.get("PreHumanTaskLambdaArn") or ""
    name = re.search(r":function:PRE-([A-Za-z0-9]+)$", function)
    if name:
        return name[1]
    return (human["UiConfig"].get("HumanTaskUiArn") or "").rpartition("/")[2]


def type_name(name: str) -> str:
    """What the metadata call the kind."""
    return _TYPES.get(name, CUSTOM)


def needs_ref(name: str) -> bool | None:
    """Whether the label attribute's name must end with `-ref` (True), must not (False), or may (None)."""
    if _REF.fullmatch(name):
        return True
    return False if name in _TYPES else None


def least_categories(name: str) -> int:
    """How many label categories there must be at least (CreateLabelingJob's reference); 0: none are needed."""
    if name in _ONE or name in _SEVERAL:
        return 2
    return 1 if name in _TYPES else 0


def most_objects(name: str) -> int:
    """How many objects a manifest may have (developer guide, "Input data quotas")."""
    return 20_000 if name.endswith("SemanticSegmentation") else 100_000


def label(name: str, answer: Any, categories: Categories, confidence: float) -> tuple[Any, Json]:
    """The label's value and what the metadata say of it. Raises `LabelError`."""
    if name in _ONE:
        number = categories.number(answer)
        return number, {"class-name": categories.names[number], "confidence": confidence}
    if name in _SEVERAL:
        if not isinstance(answer, list):
            raise LabelError(f"{_shown(answer)} is no list of labels")
        numbers = sorted({categories.number(each) for each in answer})
        return numbers, {
            "class-map": {str(number): categories.names[number] for number in numbers},
            "confidence-map": {str(number): confidence for number in numbers},
        }
    return answer, {"confidence": confidence}


def _shown(answer: Any) -> str:
    text = ascii(answer)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
