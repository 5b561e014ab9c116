"""SageMaker's books of all kinds, as far as finding and stopping goes; requests are held to botocore's model."""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import botocore.session
from botocore.validate import ParamValidator

from components.aws.errors import Denied
from components.aws.sagemaker._api import (
    ENDPOINT,
    ENDPOINT_CONFIG,
    JOBS,
    LABELING,
    TRAINING,
    Kind,
)
from components.aws.sagemaker.stop._search import rows_key
from runner.errors import NotFound, ServiceError
from runner.identity import RUN_TAG

KINDS = (*JOBS, ENDPOINT, ENDPOINT_CONFIG)
_accounts = itertools.count()


@functools.cache
def model() -> Any:
    return botocore.session.get_session().get_service_model("sagemaker")


def denied(operation: str) -> Denied:
    return Denied(f"SageMaker {operation} was refused (AccessDeniedException): no; grant the action")


@dataclass
class Service:
    """Stands in for `Aws`."""

    region: str = "eu-west-1"
    embedded: bool = False
    endpoint_url: str = ""
    role: str = ""
    scope: tuple[str, str] = field(default_factory=lambda: (f"stop-{next(_accounts)}", "eu-west-1"))
    latency: float = 0.01
    page: int = 100
    """Rows that a page is made from, before the filter: it may be empty."""
    books: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    tags: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    calls: list[tuple[float, str, Mapping[str, Any]]] = field(default_factory=list)
    instead: dict[str, list[Exception]] = field(default_factory=dict)
    """Operation → errors of the next calls, which are not carried out."""
    after: dict[str, list[Exception]] = field(default_factory=dict)
    """The same for calls that are carried out."""
    always: dict[str, Exception] = field(default_factory=dict)
    """Operation → what it always raises."""
    making: float = 300.0
    """Seconds that an endpoint is being made for."""
    becomes: str = "InService"
    """What it is then."""
    on_call: dict[str, Any] = field(default_factory=dict)
    """Operation → what happens elsewhere just before it is carried out."""

    def add(self, kind: Kind, name: str, run: str = "run-1", state: str = "", **members: Any) -> str:
        """Put something on the books; return its ARN."""
        arn = f"arn:aws:sagemaker:{self.region}:123456789012:{kind.shell}/{name.lower()}"
        state = state or ("Creating" if kind is ENDPOINT else "InProgress")
        self.books[kind.noun, name] = {
            kind.name_key: name,
            kind.arn_key: arn,
            kind.status_key: state,
            "CreationTime": _Moment(),
            "made": asyncio.get_running_loop().time() + self.making,
            **members,
        }
        self.tags[arn] = [{"Key": "team", "Value": "a"}, *([{"Key": RUN_TAG, "Value": run}] if run else [])]
        return arn

    def state(self, kind: Kind, name: str) -> str:
        """The state of something; blank where it is gone."""
        return str(self.books.get((kind.noun, name), {}).get(kind.status_key, ""))

    @property
    def operations(self) -> list[str]:
        return [operation for _, operation, _ in self.calls]

    @property
    def changes(self) -> list[tuple[str, str]]:
        """Every request that changes something, and of what."""
        return [
            (o, str(next(iter(r.values())))) for _, o, r in self.calls if o.startswith(("stop_", "delete_"))
        ]

    async def call(self, service: str, operation: str, **request: Any) -> Mapping[str, Any]:
        assert service == "sagemaker"
        named = "".join(part.capitalize() for part in operation.split("_"))
        named = {"ListHyperparameterTuningJobs": "ListHyperParameterTuningJobs"}.get(named, named)
        problems = ParamValidator().validate(request, model().operation_model(named).input_shape)
        assert not problems.has_errors(), problems.generate_report()
        self.calls.append((asyncio.get_running_loop().time(), operation, request))
        await asyncio.sleep(self.latency)
        if operation in self.always:
            raise self.always[operation]
        if self.instead.get(operation):
            raise self.instead[operation].pop(0)
        if happens := self.on_call.pop(operation, None):
            happens()
        self._make()
        answer = self._carry_out(operation, request)
        if self.after.get(operation):
            raise self.after[operation].pop(0)
        return answer

    def _make(self) -> None:
        now = asyncio.get_running_loop().time()
        for (noun, _), entry in self.books.items():
            if noun == ENDPOINT.noun and entry["EndpointStatus"] == "Creating" and now >= entry["made"]:
                entry["EndpointStatus"] = self.becomes

    def _carry_out(self, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if operation == "list_tags":
            if request["ResourceArn"] not in self.tags:
                raise NotFound("no such resource")
            return {"Tags": self.tags[request["ResourceArn"]]}
        for kind in KINDS:
            if operation == f"{kind.method('list')}s":
                return self._list(kind, request)
            if operation == kind.method("describe"):
                return self._described(kind, request)
            if operation == kind.method(kind.ending):
                return self._end(kind, request)
        raise AssertionError(operation)

    def _list(self, kind: Kind, request: Mapping[str, Any]) -> Mapping[str, Any]:
        every = [entry for (noun, _), entry in self.books.items() if noun == kind.noun]
        start = int(request.get("NextToken", "0"))
        rows = [e for e in every[start : start + self.page] if e[kind.status_key] == request["StatusEquals"]]
        more = {"NextToken": str(start + self.page)} if start + self.page < len(every) else {}
        return {rows_key(kind): rows, **more}

    def _described(self, kind: Kind, request: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return self.books[kind.noun, request[kind.name_key]]
        except KeyError:
            raise NotFound("Requested resource not found.") from None

    def _end(self, kind: Kind, request: Mapping[str, Any]) -> Mapping[str, Any]:
        entry = self._described(kind, request)
        if kind is ENDPOINT_CONFIG:
            del self.books[kind.noun, request[kind.name_key]]
            return {}
        state = entry[kind.status_key]
        if kind is ENDPOINT and state in {"Creating", "Updating", "Deleting"}:
            raise ServiceError("Cannot update in-progress endpoint")
        if kind is not ENDPOINT and state not in {
            "InProgress",
            *({"Initializing"} if kind is LABELING else ()),
        }:
            raise ServiceError(f"rejected because it is in status {state}")
        entry[kind.status_key] = "Deleting" if kind is ENDPOINT else "Stopping"
        return {}


class _Moment:
    def timestamp(self) -> float:
        return 1_800_000_000.0


def child(service: Service, tuning: str, name: str, **how: Any) -> str:
    """Put a training job on the books that a tuning job has started."""
    return service.add(TRAINING, name, TuningJobArn=tuning, **how)
