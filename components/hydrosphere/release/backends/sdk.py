"""The upload by hydrosdk, in a process beside us, as the job sees it."""

from __future__ import annotations

from components.hydrosphere.release._plan import Plan
from components.hydrosphere.release.backends import hydrosdk as backend
from components.hydrosphere.versions import ASSEMBLING, RELEASED, Version


class SdkUpload:
    """Sends one release by way of hydrosdk. How far it gets, nobody can tell."""

    def __init__(self, cluster: str, plan: Plan) -> None:
        self._cluster = cluster
        self._plan = plan
        self.whole = False
        """Whether it was begun."""

    @property
    def progress(self) -> str:
        """Whether it was begun, in words."""
        return "hydrosdk had begun to upload it" if self.whole else "nothing was uploaded"

    async def __call__(self) -> Version:
        """Have it sent; return the version that it made."""
        self.whole = False
        release, image = self._plan.release, self._plan.release.runtime
        made = await backend.upload(self._cluster, release, self._plan.members, sending=self._sending)
        runtime = f"{image.name}:{image.tag}" if image else ""
        status = ASSEMBLING if image else RELEASED
        return Version(made.id, made.model_id, made.model, made.version, status, runtime=runtime)

    def _sending(self) -> None:
        self.whole = True
