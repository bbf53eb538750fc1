"""Exports, imports and copies of applications that take longer than a request (contract sections 19 and 20)."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from roadstead.core import bundles, files, registry
from roadstead.core.bundles import Bundle, Conflicts, ImportStatus, Kind, Unfit
from roadstead.core.files import CannotBeMade
from roadstead.core.jobs import Handler, RunningJob
from roadstead.core.work import Work
from roadstead.dialects.losant.bundle_files import portable, read_bundle, write_bundle
from roadstead.kernel.actor import system_actor
from roadstead.kernel.errors import Conflict, Invalid, NotFound, TooLarge
from roadstead.kernel.ids import SpaceId, TenantId, to_hex24

EXPORT = "application-export"
IMPORT = "application-import"
COPY = "application-copy"
DIALECT = "losant"
_HOPELESS = (Invalid, NotFound, Conflict, TooLarge)


def bundle_name(import_id: UUID) -> str:
    """Where a bundle lies that was sent, until the job is over."""
    return f"imports/{import_id}.zip"


async def export_application(job: RunningJob) -> dict[str, Any]:
    """Write a bundle, for 24 hours."""
    async with job.work() as work:
        space = await registry.load_space(work, job.job.space_id)
        try:
            bundle = await bundles.gather(work, space, dialect=DIALECT, devices=bool(job.parameters["includeDevices"]))
        except _HOPELESS as error:
            raise CannotBeMade(str(error)) from error
    content = await asyncio.to_thread(write_bundle, bundle)
    url = await job.keep_file(f"{to_hex24(space.id)}.zip", content, content_type="application/zip")
    job.completed = len(bundle.devices)
    return {"downloadUrls": [url]}


async def import_into_application(job: RunningJob) -> dict[str, Any]:
    """Put a bundle into an application, whole or not at all. Once it is in, a second try finds that it is."""
    id_ = UUID(job.parameters["importId"])
    async with job.work() as work:
        entry = await bundles.lock_import(work, id_)
        if entry.status is ImportStatus.DONE:
            return {}
        await bundles.settle_import(work, id_, ImportStatus.RUNNING)
    try:
        bundle = await _bundle(job)
        async with job.work() as work:
            await bundles.lock_import(work, id_)
            space = await registry.load_space(work, job.job.space_id)
            kinds = _kinds(job.parameters)
            planted = await bundles.plant(work, space, bundle, kinds, entry.conflicts, dialect=DIALECT)
            await bundles.settle_import(work, id_, ImportStatus.DONE)
    except _HOPELESS as error:
        problems = error.problems if isinstance(error, Unfit) else []
        async with job.work() as work:
            await bundles.settle_import(work, id_, ImportStatus.FAILED, error=str(error), problems=problems)
        await _forget_bundle(job)
        raise CannotBeMade(str(error)) from error
    await _forget_bundle(job)
    job.completed = len(bundle.devices)
    return {"created": planted.created, "updated": planted.replaced, "skipped": planted.retained}


async def copy_application(job: RunningJob) -> dict[str, Any]:
    """Make an application of a bundle, or of another application, in the organization that was named.

    Once it is there, a second try finds it by the record of its import.
    """
    id_ = UUID(job.parameters["importId"])
    try:
        bundle = await _bundle(job)
        async with _within(job, "toTenant", "toOrganization") as work:
            done = await bundles.find_import(work, id_)
            space_id = done.space_id if done else await _make(work, job, id_, bundle)
    except _HOPELESS as error:
        await _forget_bundle(job)
        raise CannotBeMade(str(error)) from error
    await _forget_bundle(job)
    job.completed = len(bundle.devices)
    return {"applicationId": to_hex24(space_id)}


async def _make(work: Work, job: RunningJob, import_id: UUID, bundle: Bundle) -> SpaceId:
    space = await bundles.plant_anew(work, bundle, _kinds(job.parameters), dialect=DIALECT)
    await bundles.note_import(
        work,
        import_id,
        space.id,
        source=job.parameters["source"],
        from_space_id=_from(job.parameters),
        conflicts=Conflicts.CREATE,
        kinds=None,
        dry_run=False,
        email=job.job.email,
        callback_url=job.job.callback_url,
        job_id=job.job.id,
    )
    await bundles.settle_import(work, import_id, ImportStatus.DONE)
    return space.id


async def _bundle(job: RunningJob) -> Bundle:
    """What was sent, or is in another application."""
    space_id = _from(job.parameters)
    if space_id is None:
        key = files.blob_key(job.claim.organization_id, bundle_name(UUID(job.parameters["importId"])))
        content = b"".join([piece async for piece in job.ports.blobs.read(key)])
        return await asyncio.to_thread(read_bundle, content)
    async with _within(job, "fromTenant", "fromOrganization") as work:
        space = await registry.load_space(work, space_id)
        devices = Kind.DEVICE in _kinds(job.parameters)
        return portable(await bundles.gather(work, space, dialect=DIALECT, devices=devices))


async def _forget_bundle(job: RunningJob) -> None:
    name = bundle_name(UUID(job.parameters["importId"]))
    await job.ports.blobs.delete(files.blob_key(job.claim.organization_id, name))


@asynccontextmanager
async def _within(job: RunningJob, tenant: str, organization: str) -> AsyncIterator[Work]:
    """Work of the platform in an organization that the job names: whoever asked may work there."""
    tenant_id = TenantId(job.parameters[tenant])
    actor = system_actor(tenant_id, UUID(job.parameters[organization]), name=f"job {job.job.name}")
    async with job.database.tx(tenant_id) as tx:
        yield Work(actor, tx, job.ports)


def _from(parameters: Mapping[str, Any]) -> SpaceId | None:
    text = parameters.get("fromSpaceId")
    return None if text is None else SpaceId(UUID(text))


def _kinds(parameters: Mapping[str, Any]) -> frozenset[Kind]:
    return frozenset(map(Kind, parameters["kinds"]))


HANDLERS: Mapping[str, Handler] = {
    EXPORT: export_application,
    IMPORT: import_into_application,
    COPY: copy_application,
}
