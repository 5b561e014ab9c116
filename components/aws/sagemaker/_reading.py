"""How the descriptions of one kind of job are read. Importing this imports no cloud."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner.events import Status
from runner.inputs import Outputs

if TYPE_CHECKING:
    from components.aws.session import Aws

Description = Mapping[str, Any]
"""What Describe answers."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read a kind's descriptions."""

    status: Callable[[Description], Status]
    outputs: Callable[[Aws, Description], Awaitable[Outputs]]
    metric_definitions: Callable[[Description], Sequence[Mapping[str, str]]] = lambda _: ()
    """Regular expressions to search the log with, as in the API's MetricDefinitions."""
