"""What models and endpoint configurations have in common: they are made, shown and deleted, and have no state."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from components.aws.embedded.clock import now
from components.aws.embedded.cloud import ACCOUNT

Json = dict[str, Any]


@dataclass(slots=True)
class Resource:
    """One of them; `request` is valid and has AWS's defaults filled in."""

    NOUN: ClassVar[str]
    """As in `ModelName`, `ModelArn`."""
    WORD: ClassVar[str]
    """As in its ARN."""

    region: str
    request: Json
    tags: dict[str, str]
    created: float = field(default_factory=now)
    modified: float = 0.0

    @classmethod
    def arn_of(cls, region: str, name: str) -> str:
        """The ARN of a name; AWS writes it in lower case here."""
        return f"arn:aws:sagemaker:{region}:{ACCOUNT}:{cls.WORD}/{name.lower()}"

    @property
    def name(self) -> str:
        """The name it was given."""
        return str(self.request[f"{self.NOUN}Name"])

    @property
    def arn(self) -> str:
        """Its ARN."""
        return self.arn_of(self.region, self.name)

    @property
    def status(self) -> str:
        """It has none."""
        return ""

    def summary(self) -> Json:
        """As in List."""
        return {f"{self.NOUN}Name": self.name, f"{self.NOUN}Arn": self.arn, "CreationTime": self.created}
