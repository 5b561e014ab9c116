"""SageMaker's hosting on the loop's clock: configurations, endpoints, how long everything takes, and how it fails.

It refuses what SageMaker refuses: to delete or update an endpoint that is being created or updated, and a name in use.
"""

# ruff: noqa: N803  the API's words

from __future__ import annotations

import asyncio
import itertools
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from components.aws.errors import AlreadyExists, Denied
from components.aws.sagemaker.deploy import component as deploy
from components.aws.sagemaker.deploy._job import DeployJob
from components.aws.session import READ_TIMEOUT
from runner.errors import NotFound, ServiceError, Throttled, Transient
from runner.identity import Identity

_accounts = itertools.count()
ALONE = Identity("aws.sagemaker.deploy", suffix="20260131120000-AB12")
IN_RUN = Identity("aws.sagemaker.deploy", "run-1", "deploy")
CONFIG, ENDPOINT = "EndpointConfig20260131120000-AB12", "Endpoint20260131120000-AB12"
LIVE, OLD = "live", "before"
"""An endpoint that was there before, and its configuration."""
EPOCH = datetime.now(UTC)
"""When the loop's clock began."""
IN_PROGRESS = ("Creating", "Updating", "SystemUpdating", "RollingBack")


def now() -> datetime:
    """The service's clock: the loop's."""
    return EPOCH + timedelta(seconds=asyncio.get_running_loop().time())


def wall() -> float:
    """Our clock, in epoch seconds: the same."""
    return now().timestamp()


@dataclass
class Endpoint:
    """One endpoint: what it runs, and what it will at a moment."""

    config: str
    state: str
    tags: list[Any]
    made: datetime
    modified: datetime
    reason: str = ""
    pending: str = ""
    until: float = float("inf")
    after: tuple[str, str, str] = ("", "", "")
    """State, configuration and reason that it has from then on; no state: it is gone."""
    touched: datetime | None = None
    """When somebody else changed it last."""


@dataclass
class Hosting:
    """Stands in for `Aws`."""

    region: str = "us-east-1"
    embedded: bool = False
    endpoint_url: str = ""
    role: str = ""
    creating: float = 60.0
    updating: float = 90.0
    deleting: float = 5.0
    fails: str = ""
    """Why what is deployed does not come up; blank: it does."""
    rolls_back: bool = True
    """Whether the service can take back an update that fails."""
    ends: str = "Failed"
    """State of an endpoint that could not be made."""
    latency: float = 0.05
    faults: dict[str, list[str]] = field(default_factory=dict)
    """Operation → what befalls its next calls: `ok`, `throttled`, `lost` (never carried out), `answer lost`, `late` (carried
    out two seconds after its client gave up), `refused`, `denied`, `hangs` (carried out, and not answered)."""
    told: bool = True
    """Whether a description tells what is pending."""
    stale: float = 0.0
    """Seconds for which a description shows an endpoint as it was before it was last asked to change."""
    configs: dict[str, dict[str, Any]] = field(default_factory=dict)
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    scope: tuple[str, str] = field(default_factory=lambda: (f"hosting-{next(_accounts)}", "us-east-1"))
    harm: list[str] = field(default_factory=list)
    """What nobody may ever do: delete a configuration that an endpoint needs."""
    carried_out: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    _shadows: dict[str, tuple[float, Mapping[str, Any] | None]] = field(default_factory=dict)

    # ── the client ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def call(self, service: str, operation: str, **request: Any) -> Mapping[str, Any]:
        if service == "logs":
            raise NotFound("The specified log group does not exist.")
        name = request.get("EndpointName") or request.get("EndpointConfigName") or request["ResourceArn"]
        self.calls.append((operation, name))
        fault = (self.faults.get(operation) or ["ok"]).pop(0)
        await asyncio.sleep(self.latency)
        if fault in _INSTEAD:
            if fault == "late":
                asyncio.get_running_loop().call_later(2.0, self._late, operation, request)
            raise _INSTEAD[fault](f"{operation}: {fault}")
        answer = self._carry_out(operation, request)
        if fault in ("answer lost", "hangs"):
            await asyncio.sleep(READ_TIMEOUT if fault == "hangs" else 0)
            raise Transient(f"{operation}: no answer")
        await asyncio.sleep(self.latency)
        return answer

    def _late(self, operation: str, request: Mapping[str, Any]) -> None:
        # What was asked for twice, and taken back in between, nobody can guard against.
        if (operation, request) not in self.carried_out:
            try:
                self._carry_out(operation, request)
            except ServiceError:
                self.calls.append((f"{operation} came too late", ""))

    def _carry_out(self, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        self._advance()
        answer: Mapping[str, Any] = getattr(self, operation)(**request)
        self.carried_out.append((operation, request))
        return answer

    @property
    def mutations(self) -> list[tuple[str, str]]:
        """What was asked to be changed."""
        return [call for call in self.calls if not call[0].startswith(("describe", "list"))]

    # ── somebody else ───────────────────────────────────────────────────────────────────────────────────────────────

    def is_scaled(self, name: str, seconds: float) -> None:
        """Autoscaling, or a change of weights: Updating, though no other configuration is coming."""
        self._begins(name, seconds, "")

    def is_moved(self, name: str, config: str, seconds: float) -> None:
        """Somebody else's update."""
        if config not in self.configs:
            self.add_config(config)
        self._begins(name, seconds, config)

    def _begins(self, name: str, seconds: float, config: str) -> None:
        self._advance()
        endpoint = self.endpoints.get(name)
        if endpoint is None or endpoint.state != "InService" or config == endpoint.config:
            return
        self._shadow(name)
        endpoint.state, endpoint.pending = "Updating", config
        endpoint.modified = endpoint.touched = now()
        endpoint.after = ("InService", config or endpoint.config, "")
        endpoint.until = asyncio.get_running_loop().time() + seconds

    async def entered(self, line: str) -> None:
        """Carry out what a person would enter in a shell: parts between `;`, each of them up to the first that fails."""
        for chain in line.partition("   # as ")[0].split("; "):
            for part in chain.split(" && "):
                if not await self._entered(part):
                    break

    async def _entered(self, part: str) -> bool:
        if part.startswith("test "):
            look, relation, wanted = part.removeprefix('test "$(').replace(')"', "").rsplit(" ", 2)
            name = shlex.split(look)[shlex.split(look).index("--endpoint-name") + 1]
            return (self.state(name)[1] == wanted) is (relation == "=")
        words = shlex.split(part)
        given = dict(zip(words[-4::2], words[-3::2], strict=True)) if "update" in words[2] else {}
        name = given.get("--endpoint-name", words[-1])
        if words[2] == "wait":
            while self.state(name)[0] in (*IN_PROGRESS, "Deleting"):  # noqa: ASYNC110  in virtual time
                await asyncio.sleep(5)
            return self.state(name)[0] == ("InService" if words[3] == "endpoint-in-service" else "")
        key = "EndpointConfigName" if words[2].endswith("config") else "EndpointName"
        more = {"EndpointConfigName": given["--endpoint-config-name"]} if given else {}
        try:
            self._carry_out(words[2].replace("-", "_"), {key: name, **more})
        except ServiceError:
            return False
        return True

    # ── the service ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _advance(self) -> None:
        moment = asyncio.get_running_loop().time()
        for name, endpoint in list(self.endpoints.items()):
            if moment < endpoint.until:
                continue
            state, config, reason = endpoint.after
            if not state:
                del self.endpoints[name]
                continue
            endpoint.state, endpoint.config, endpoint.reason = state, config, reason
            endpoint.modified = EPOCH + timedelta(seconds=endpoint.until)
            endpoint.pending, endpoint.until = "", float("inf")

    def state(self, name: str) -> tuple[str, str]:
        """State and configuration of an endpoint, at this moment."""
        self._advance()
        found = self.endpoints.get(name)
        return (found.state, found.config) if found else ("", "")

    def add_config(self, name: str, **more: Any) -> None:
        variant = {"VariantName": "variant-name-1", "ModelName": "m-0"}
        self.configs[name] = {
            "EndpointConfigName": name,
            "EndpointConfigArn": f"arn:config/{name}",
            "ProductionVariants": [variant],
            "CreationTime": now() - timedelta(seconds=more.pop("ago", 0.0)),
            **more,
        }

    def add_live(self, state: str = "InService", tags: list[Any] | None = None) -> None:
        """There was an endpoint before."""
        made = now() - timedelta(days=7)
        self.add_config(OLD, ago=7e5)
        self.endpoints[LIVE] = Endpoint(OLD, state, tags or [], made, made)

    def create_endpoint_config(self, **body: Any) -> Mapping[str, Any]:
        name = body["EndpointConfigName"]
        if name in self.configs:
            raise AlreadyExists(f"Cannot create already existing endpoint configuration {name}")
        self.add_config(name, **body)
        return {}

    def create_endpoint(
        self, EndpointName: str, EndpointConfigName: str, Tags: list[Any] | None = None
    ) -> Mapping[str, Any]:
        if EndpointName in self.endpoints:
            raise AlreadyExists(f"Cannot create already existing endpoint {EndpointName}")
        if EndpointConfigName not in self.configs:
            raise NotFound(f"Could not find endpoint configuration {EndpointConfigName}")
        end = (
            (self.ends, EndpointConfigName, self.fails)
            if self.fails
            else ("InService", EndpointConfigName, "")
        )
        made, until = now(), asyncio.get_running_loop().time() + self.creating
        self._shadow(EndpointName)
        self.endpoints[EndpointName] = Endpoint(
            EndpointConfigName, "Creating", Tags or [], made, made, until=until, after=end
        )
        return _dated()

    def update_endpoint(self, EndpointName: str, EndpointConfigName: str) -> Mapping[str, Any]:
        endpoint = self._changeable(EndpointName)
        if EndpointConfigName not in self.configs:
            raise NotFound(f"Could not find endpoint configuration {EndpointConfigName}")
        if EndpointConfigName == endpoint.config:
            raise ServiceError(
                f"Cannot update endpoint with the currently in use configuration {endpoint.config}"
            )
        failed = self.fails and EndpointConfigName != OLD
        self._shadow(EndpointName)
        endpoint.after = (
            "InService",
            endpoint.config if failed else EndpointConfigName,
            self.fails if failed else "",
        )
        if failed and not self.rolls_back:
            endpoint.after = ("UpdateRollbackFailed", endpoint.config, self.fails)
        endpoint.state, endpoint.pending, endpoint.modified = "Updating", EndpointConfigName, now()
        endpoint.until = asyncio.get_running_loop().time() + self.updating
        return _dated()

    def delete_endpoint(self, EndpointName: str) -> Mapping[str, Any]:
        endpoint = self._changeable(EndpointName)
        self._shadow(EndpointName)
        endpoint.state, endpoint.after = "Deleting", ("", "", "")
        endpoint.until = asyncio.get_running_loop().time() + self.deleting
        return {}

    def _changeable(self, name: str) -> Endpoint:
        if name not in self.endpoints:
            raise NotFound(f"Could not find endpoint {name}")
        if self.endpoints[name].state in (*IN_PROGRESS, "Deleting"):
            raise ServiceError(f"Cannot update in-progress endpoint {name}")
        return self.endpoints[name]

    def delete_endpoint_config(self, EndpointConfigName: str) -> Mapping[str, Any]:
        self.harm += [
            f"{name} is {each.state} and needs {EndpointConfigName}"
            for name, each in self.endpoints.items()
            if each.state not in ("Deleting", "Failed")
            and EndpointConfigName in (each.config, each.pending)
            and not self._at_once(each)
        ]
        if self.configs.pop(EndpointConfigName, None) is None:
            raise NotFound(f"Could not find endpoint configuration {EndpointConfigName}")
        return {}

    def _at_once(self, endpoint: Endpoint) -> bool:
        """Whether somebody changed it between a look and the deletion: the service has no way to guard against that."""
        between = timedelta(seconds=4 * self.latency + self.stale + 1)
        return endpoint.touched is not None and now() - endpoint.touched < between

    def describe_endpoint_config(self, EndpointConfigName: str) -> Mapping[str, Any]:
        if EndpointConfigName not in self.configs:
            raise NotFound(f"Could not find endpoint configuration {EndpointConfigName}")
        return {key: value for key, value in self.configs[EndpointConfigName].items() if key != "Tags"}

    def describe_endpoint(self, EndpointName: str) -> Mapping[str, Any]:
        since, before = self._shadows.get(EndpointName, (-1e9, None))
        if asyncio.get_running_loop().time() - since < self.stale:
            if before is None:
                raise NotFound(f"Could not find endpoint {EndpointName}")
            return before
        return self._described(EndpointName)

    def _described(self, name: str) -> Mapping[str, Any]:
        if name not in self.endpoints:
            raise NotFound(f"Could not find endpoint {name}")
        endpoint = self.endpoints[name]
        pending = {"PendingDeploymentSummary": {"EndpointConfigName": endpoint.pending}}
        return {
            "EndpointName": name,
            "EndpointArn": f"arn:endpoint/{name}",
            "EndpointStatus": endpoint.state,
            "EndpointConfigName": endpoint.config,
            "CreationTime": endpoint.made,
            "LastModifiedTime": endpoint.modified,
            **({"FailureReason": endpoint.reason} if endpoint.reason else {}),
            **(pending if endpoint.pending and self.told else {}),
        }

    def _shadow(self, name: str) -> None:
        before = self._described(name) if name in self.endpoints else None
        self._shadows[name] = asyncio.get_running_loop().time(), before

    def list_tags(self, ResourceArn: str, MaxResults: int) -> Mapping[str, Any]:
        kind, _, name = ResourceArn.partition("/")
        return {"Tags": self.configs[name].get("Tags", []) if "config" in kind else self.endpoints[name].tags}

    def add_tags(self, ResourceArn: str, Tags: list[Any]) -> Mapping[str, Any]:
        kind, _, name = ResourceArn.partition("/")
        given = {tag["Key"] for tag in Tags}
        held = self.configs[name].setdefault("Tags", []) if "config" in kind else self.endpoints[name].tags
        held[:] = [*(tag for tag in held if tag["Key"] not in given), *Tags]
        return {}


_INSTEAD: Mapping[str, type[ServiceError]] = {
    "throttled": Throttled,
    "lost": Transient,
    "late": Transient,
    "refused": ServiceError,
    "denied": Denied,
}


def _dated() -> Mapping[str, Any]:
    date = now().strftime("%a, %d %b %Y %H:%M:%S GMT")
    return {"ResponseMetadata": {"HTTPHeaders": {"date": date}}}


def requests(identity: Identity = ALONE, **changes: Any) -> dict[str, Any]:
    """The bodies of a deploy of one model."""
    given = {"region": "us-east-1", "model_name_1": "m-1", **changes}
    return deploy.request(deploy.DeployInputs(**given), identity)


def job_of(hosting: Hosting, identity: Identity = ALONE, **changes: Any) -> DeployJob:
    """A deploy of one model."""
    made = requests(identity, **changes)
    name = made["CreateEndpoint"]["EndpointName"]
    return DeployJob(hosting, "aws.sagemaker.deploy", name, made, deploy.outputs)  # type: ignore[arg-type]


def update_of(hosting: Hosting, identity: Identity = ALONE, **changes: Any) -> DeployJob:
    """A deploy of one model to the endpoint that was there before."""
    return job_of(hosting, identity, endpoint_name=LIVE, update_endpoint=True, **changes)
