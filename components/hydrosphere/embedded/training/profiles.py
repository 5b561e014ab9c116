"""Training data of versions, and what has become of them. The data are really read and profiled, and then forgotten."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.hydrosphere.embedded import signatures
from components.hydrosphere.embedded.books import Version
from components.hydrosphere.embedded.storage import Claim
from components.hydrosphere.embedded.training import tables
from components.hydrosphere.embedded.training.tables import Column, Profile, TableError
from runner.emulation.archives import shortened
from runner.emulation.tasks import Tasks

DELAY_SECONDS = 0.2
"""How long data wait before they are looked at: long enough to be seen as `Processing`."""
PLACE = "s3://embedded/simulated/training-data"
"""Where training data are said to lie; no such bucket is meant."""
MOST_URIS = 10
"""Of one version; the oldest are forgotten."""
MOST_READING = 2
"""Files at a time: each of them keeps a thread busy that others wait for."""
MOST_SHOWN = 100
"""Columns of a profile that are shown and kept."""
PROCESSING, SUCCESS, FAILURE, NOT_REGISTERED = "Processing", "Success", "Failure", "NotRegistered"
NO_S3 = "the embedded Hydrosphere has no access to S3, so that it could not read the object"
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Registered:
    kind: str
    uris: list[str]
    error: str = ""
    profile: Mapping[str, Any] | None = None
    task: asyncio.Task[None] | None = None


class Profiles:
    """The training data of all versions."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._known: dict[int, _Registered] = {}
        self._uploads = 0
        self._places = asyncio.Semaphore(MOST_READING)

    def register(self, version: Version, csv: Path, claim: Claim) -> None:
        """Take in a file, which is given up with its claim; it takes the place of what was there.

        The claim is closed whatever becomes of it.
        """
        self._uploads += 1
        registered = self._begin(version, f"{PLACE}/{version.id}/{self._uploads}.csv")
        registered.task = self._tasks.start(self._process(registered, version, csv, claim))
        # Cancelled before its first step, it closes nothing itself.
        registered.task.add_done_callback(lambda _: claim.close())

    def register_unreachable(self, version: Version, uri: str) -> None:
        """Take in an S3 URI. Nothing is there to be read, so it can't succeed."""
        registered = self._begin(version, uri)
        registered.task = self._tasks.start(self._fail(registered))

    def status(self, version: Version) -> dict[str, Any]:
        """What has become of a version's training data: `kind`, as Hydrosphere has it, and what it does not tell.

        With `Failure` there is an `error`, which says why; with `Success` a `profile`: `rows`, and of each of the first
        columns `count` and `missing`, of numbers `mean`, `std`, `min` and `max`, of all else `distinct`.
        """
        registered = self._known.get(version.id)
        if registered is None:
            return {"kind": NOT_REGISTERED}
        told: dict[str, Any] = {"kind": registered.kind}
        if registered.error:
            told["error"] = registered.error
        if registered.profile is not None:
            told["profile"] = registered.profile
        return told

    def uris(self, version: Version) -> list[str]:
        """Where a version's training data are said to lie."""
        registered = self._known.get(version.id)
        return list(registered.uris) if registered else []

    def forget(self, version: Version) -> None:
        """The version is deleted."""
        registered = self._known.pop(version.id, None)
        if registered is not None and registered.task is not None:
            registered.task.cancel()

    def _begin(self, version: Version, uri: str) -> _Registered:
        before = self._known.get(version.id)
        if before is not None and before.task is not None:
            before.task.cancel()
        uris = [*(before.uris if before else []), uri][-MOST_URIS:]
        self._known[version.id] = registered = _Registered(PROCESSING, uris)
        return registered

    async def _process(self, registered: _Registered, version: Version, csv: Path, claim: Claim) -> None:
        try:
            await asyncio.sleep(DELAY_SECONDS)
            needed = signatures.columns(version.draft.signature)
            async with self._places:
                found = await claim.filled(tables.profile, csv, needed, claim.check)
            registered.profile, registered.kind = _shown(found), SUCCESS
        except TableError as error:
            registered.error, registered.kind = str(error), FAILURE
        except Exception:  # noqa: BLE001  the server answers on, whatever it is
            _log.exception("the training data of version %s broke the profiler", version.id)
            registered.error, registered.kind = "the embedded Hydrosphere broke; see its log", FAILURE
        finally:
            await asyncio.to_thread(claim.close)

    async def _fail(self, registered: _Registered) -> None:
        await asyncio.sleep(DELAY_SECONDS)
        registered.error, registered.kind = NO_S3, FAILURE


def _shown(profile: Profile) -> Mapping[str, Any]:
    columns = {shortened(column.name): _column(column) for column in profile.columns[:MOST_SHOWN]}
    return {"rows": profile.rows, "columns": columns}


def _column(column: Column) -> Mapping[str, Any]:
    shown: dict[str, Any] = {"count": column.count, "missing": column.missing}
    if not column.numeric or not column.count or not math.isfinite(column.low):
        return shown | {"distinct": column.distinct}
    numbers = {"mean": column.mean, "std": column.std, "min": column.low, "max": column.high}
    # Sums of very large numbers have no end, and JSON has no word for that.
    return shown | {name: number for name, number in numbers.items() if math.isfinite(number)}
