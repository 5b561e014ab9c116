"""From a plan to a job with an open connection, before anything is sent."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from components.hydrosphere.api import Api
from components.hydrosphere.inputs import Where
from components.hydrosphere.release._eras import Era, era_of
from components.hydrosphere.release._inputs import ReleaseInputs
from components.hydrosphere.release._job import Order, ReleaseJob, Uploader
from components.hydrosphere.release._plan import Plan, plan
from components.hydrosphere.release._training import Training
from components.hydrosphere.release.backends import hydrosdk as backend
from components.hydrosphere.release.backends.native import NativeUpload, packed
from components.hydrosphere.release.backends.sdk import SdkUpload
from runner.errors import InputError, NotFound, ServiceError, Transient
from runner.identity import Identity
from runner.job import Job
from runner.retry import retrying
from runner.sinks.pump import aside
from runner.sinks.quiet import say
from runner.sinks.text import clipped, one_line

BUILD_INFO = "/api/buildinfo"
PATIENCE = 15.0
"""Seconds for which a cluster that can't be reached is asked again."""


@asynccontextmanager
async def connected(inputs: ReleaseInputs, identity: Identity) -> AsyncIterator[Job]:
    """Ask the cluster which era it is of, and pack the payload; nothing is uploaded before `launch`."""
    planned, news = await _planned(inputs, identity), asyncio.Event()
    async with Api(inputs, planned.secrets) as api:
        era, remarks = await _era(api, planned)
        if inputs.backend == "hydrosdk" and (why := backend.refusal(planned.release, planned.members, era)):
            raise InputError(why)
        async with packed(planned) as (archive, size):
            uploader: Uploader = NativeUpload(api, planned, era, archive, size)
            if inputs.backend == "hydrosdk":  # Packs for itself, but does not look at the size.
                uploader = SdkUpload(api.url, planned)
            training = None
            if source := planned.training_data:
                training = Training(api, source, news, required=inputs.require_training_profile)
            remarks = [*planned.remarks, *remarks]
            order = Order(planned, uploader, training, remarks, inputs.delete_on_cancel)
            yield ReleaseJob(api, inputs.model_name, order=order, news=news)


@asynccontextmanager
async def attached(where: Where, name: str) -> AsyncIterator[Job]:
    """Open a connection to a version that exists: `model:number`, or the latest of a model."""
    model, colon, number = name.partition(":")
    if colon and not (number.isascii() and number.isdecimal()):
        raise InputError(f"NAME is {name[:60]!r}; write MODEL:NUMBER, or MODEL for its latest version")
    async with Api(where) as api:
        yield ReleaseJob(api, model, int(number) if colon else None)


async def _planned(inputs: ReleaseInputs, identity: Identity) -> Plan:
    """Plan beside the loop: a large payload takes seconds to read."""
    stopped, plans = threading.Event(), list[Plan]()
    try:
        await aside(lambda: plans.append(plan(inputs, identity, stopped.is_set)))
    finally:
        stopped.set()
    return plans[0]


async def _era(api: Api, planned: Plan) -> tuple[Era, list[str]]:
    """Return the cluster's era, and what there is to say about it. Raises `ServiceError` for one that we don't know."""

    def said(error: Transient, count: int) -> None:
        if count == 1:  # There is no sink yet that a notice could go to.
            say(f"{error}; trying again for {PATIENCE:g} s")

    try:
        async for attempt in retrying(lambda _: PATIENCE, longest=2.0, told=said):
            with attempt:
                told = await api.call("GET", BUILD_INFO)
    except NotFound as error:
        raise ServiceError(f"is that Hydrosphere, at {api.url}? {error}") from error
    version = str(told.get("version", "")) if isinstance(told, dict) else ""
    era, remarks = era_of(version), []
    if era is None and version.lstrip("v")[:1].isdecimal():
        shown = clipped(one_line(version), 40)
        raise ServiceError(f"the cluster at {api.url} is Hydrosphere {shown}; only 2.x and 3.x are supported")
    if era is None:
        era = Era.THREE
        remarks.append("the cluster does not say which version of Hydrosphere it is; taken as 3.x")
    image = planned.release.runtime
    if era is Era.THREE and image is not None and image.sha256:
        remarks.append("Hydrosphere 3 goes by an image's tag alone: the digest of --runtime is not sent")
    return era, remarks
