"""A cluster on the event loop's clock, in place of the client's connection: what it has, what it answers, when it fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

from components.hydrosphere.release._eras import Era
from components.hydrosphere.release._image import Image
from components.hydrosphere.release._job import Order, ReleaseJob
from components.hydrosphere.release._plan import Plan
from components.hydrosphere.release._release import Release
from components.hydrosphere.release._training import Training
from components.hydrosphere.release.contract.reading import Field, Signature
from components.hydrosphere.sse import ServerSentEvent
from components.hydrosphere.versions import Version
from runner.errors import NotFound, Unreachable

OWNER = "0123456789abcdef"
SIGNATURE = Signature(
    "predict", (Field("x", "NONE", (), "DT_DOUBLE"),), (Field("y", "NONE", (), "DT_DOUBLE"),)
)


def now() -> float:
    """Return the loop's time."""
    return asyncio.get_running_loop().time()


@dataclass
class Cluster:
    """Stands for `Api`."""

    builds: float = 60.0
    """Seconds from the upload to the build's end."""
    fails: bool = False
    latency: float = 0.1
    versions: list[dict[str, Any]] = field(default_factory=list)
    born: dict[int, float] = field(default_factory=dict)
    """Version id → when its build began."""
    appear_after: float = 0.0
    """Seconds until a new version can be seen."""
    missing: tuple[float, float] = (0.0, 0.0)
    """From when to when no version can be seen one by one."""
    failures: dict[str, list[Exception]] = field(default_factory=dict)
    """`METHOD path` → raised by its next calls, before they do anything."""
    profile: list[str] = field(default_factory=list)
    """What the next looks at the profile say; the last one stays."""
    lines: list[str] = field(default_factory=list)
    used: tuple[str, ...] = ()
    calls: list[str] = field(default_factory=list)
    url: str = "http://cluster"
    embedded: bool = False

    def make(self, model: str = "m", metadata: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
        """Put a version on the books."""
        number = 1 + max((v["modelVersion"] for v in self.versions if v["model"]["name"] == model), default=0)
        version = {
            "id": 100 + len(self.versions),
            "model": {"id": 7, "name": model},
            "modelVersion": number,
            "metadata": metadata or {},
            "runtime": {"name": "r/i", "tag": "1"},
            "image": {"name": model, "tag": str(number)},
            "modelSignature": {"inputs": [{"name": "x"}], "outputs": [{"name": "y"}]},
            **more,
        }
        self.versions.append(version)
        self.born[version["id"]] = now()
        return version

    def shown(self, version: dict[str, Any]) -> dict[str, Any]:
        """Return a version as it is at this moment."""
        done = now() - self.born[version["id"]] >= self.builds
        status = ("Failed" if self.fails else "Released") if done else "Assembling"
        return {"status": status, "applications": list(self.used), **version}

    async def call(self, method: str, path: str, body: object = None, most: int = 0) -> Any:
        """Answer a call."""
        await self._arrive(f"{method} {path}")
        if path == "/api/v2/model/version":
            return [self.shown(v) for v in self.versions if now() - self.born[v["id"]] >= self.appear_after]
        if method == "DELETE":
            self.versions = [v for v in self.versions if v["model"]["id"] != int(path.rpartition("/")[2])]
            return {}
        if path.endswith("/status"):
            return {"kind": self.profile.pop(0) if len(self.profile) > 1 else self.profile[0]}
        if method == "POST":
            return None
        if path == "/api/v2/model/7":
            if not self.versions:
                raise NotFound("no such model")
            return {"id": 7, "name": "m"}
        *_, model, number = path.split("/")
        if self.missing[0] <= now() < self.missing[1]:
            raise NotFound("no such version")
        for version in self.versions:
            if (version["model"]["name"], version["modelVersion"]) == (model, int(number)):
                return self.shown(version)
        raise NotFound("no such version")

    async def send(self, path: str, body: Any, headers: object) -> Any:
        """Take a file."""
        async with body.patience() as pieces:
            async for _ in pieces:
                pass
        await self._arrive(f"POST {path}")
        return "ok"

    async def stream(
        self, path: str, silence: float, last_id: str = ""
    ) -> AsyncGenerator[ServerSentEvent | None, None]:
        """Tell the build log; there are no events."""
        await self._arrive(f"GET {path}")
        if path.endswith("/events"):
            raise Unreachable("no events here")
        yield None
        for number, line in enumerate(self.lines):
            if number > int(last_id or -1):
                yield ServerSentEvent(line, "Log", str(number))
        yield ServerSentEvent("", "EndOfStream")

    async def _arrive(self, call: str) -> None:
        self.calls.append(call)
        await asyncio.sleep(self.latency)
        waiting = self.failures.get(call, [])
        if waiting:
            raise waiting.pop(0)

    def asked(self, call: str) -> int:
        """Return how often a call was made."""
        return self.calls.count(call)


@dataclass
class Upload:
    """Stands for an uploader: takes its time, makes a version in the middle of it, and answers as it is told to."""

    cluster: Cluster
    metadata: dict[str, str] = field(default_factory=dict)
    seconds: float = 4.0
    answers: list[tuple[bool, Exception]] = field(default_factory=list)
    """Of the next attempts: whether a version is made, and what is raised."""
    whole: bool = False
    begun: bool = False
    attempts: int = 0

    @property
    def progress(self) -> str:
        """How far it got."""
        if self.whole:
            return "all of it was uploaded"
        return "it was broken off" if self.begun else "nothing was uploaded"

    async def __call__(self) -> Version:
        """Upload."""
        self.attempts += 1
        self.begun, self.whole = True, False
        makes, error = self.answers.pop(0) if self.answers else (True, None)
        await asyncio.sleep(self.seconds / 2)
        self.whole = error is None or getattr(error, "whole", True)
        made = self.cluster.make(metadata=self.metadata) if makes and self.whole else None
        await asyncio.sleep(self.seconds / 2)
        if error is not None:
            raise error
        assert made is not None
        return Version.of(self.cluster.shown(made))


def job(
    cluster: Cluster,
    upload: Upload,
    *,
    owner: str = "",
    training: Training | None = None,
    news: asyncio.Event | None = None,
    delete: bool = False,
) -> ReleaseJob:
    """Return the job of a release of the model `m` to that cluster."""
    tags = {"kfp-runner/owner": owner} if owner else {}
    upload.metadata = {**upload.metadata, **tags}
    release = Release("m", SIGNATURE, Image("r/i", "1"), None, upload.metadata)
    plan = Plan(release, (), owner=owner)
    assert plan.request(Era.THREE)["name"] == "m"
    order = Order(plan, upload, training, (), delete)
    return ReleaseJob(cluster, "m", order=order, news=news)  # type: ignore[arg-type]
