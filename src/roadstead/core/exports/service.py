"""What can be done with exports."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from roadstead.core import files, jobs
from roadstead.core.exports import store
from roadstead.core.exports.model import (
    MOST_KEPT,
    MOST_RUNNING,
    REMEMBERED,
    Export,
    ExportDraft,
    ExportQuery,
    ExportStatus,
)
from roadstead.core.messages import ExportChanged
from roadstead.core.operation import operation
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant, Role
from roadstead.kernel.errors import Conflict, Gone, NotFound
from roadstead.kernel.ids import ExportId, SpaceId, new_id
from roadstead.kernel.page import Page, PageQuery


@operation(Grant.EXPORTS_READ)
async def list_exports(work: Work, query: ExportQuery, *, sort: str | None, page: PageQuery) -> Page[Export]:
    """Exports, newest first or sorted by `createdAt`: members see their own, everybody else all."""
    return await store.page_exports(work.tx, work.tenant_id, query, sort, page, requested_by=_whose(work))


@operation(Grant.EXPORTS_READ)
async def get_export(work: Work, export_id: ExportId) -> Export:
    """One export."""
    return await _load(work, export_id)


@operation(Grant.EXPORTS_READ)
async def get_download_url(work: Work, export_id: ExportId) -> str:
    """A fresh URL of the file, good until that expires.

    Raises `Conflict` when there is no file yet or never will be, `Gone` when there is none any more.
    """
    export = await _load(work, export_id)
    if export.status is ExportStatus.EXPIRED:
        raise Gone("the file has expired; export again")
    if export.status is not ExportStatus.READY or export.expires_at is None:
        raise Conflict(f"the export is {export.status}, not READY", code="invalid-state")
    return await files.download_url(
        work,
        export.file_name,
        filename=f"export-{export.id}.zip",
        content_type="application/zip",
        valid_until=export.expires_at,
    )


@operation(Grant.EXPORTS_WRITE)
async def create_export(work: Work, draft: ExportDraft) -> Export:
    """Ask for a file with what a scope has reported. A worker makes it; at most five of an organization at a time."""
    draft.check()
    if await store.find_name(work.tx, work.tenant_id, draft.scope_type, draft.scope_id) is None:
        raise NotFound(draft.scope_type.lower(), draft.scope_id)
    await store.lock_exports(work.tx, work.tenant_id)
    under_way, kept = await store.count_exports(work.tx, work.tenant_id)
    if under_way >= MOST_RUNNING:
        raise Conflict(f"{MOST_RUNNING} exports are under way; wait for one or cancel it", code="quota-exceeded")
    if kept >= MOST_KEPT:
        raise Conflict(f"there are {MOST_KEPT} files of earlier exports; delete some", code="quota-exceeded")
    export = Export(
        id=ExportId(new_id()),
        scope_type=draft.scope_type,
        scope_id=draft.scope_id,
        from_at=draft.start,
        to_at=draft.end,
        includes=draft.includes,
        format=draft.format,
        status=ExportStatus.PENDING,
        requested_by=work.actor.id,
        requested_as=work.actor.kind,
        created_at=work.now(),
        started_at=None,
        completed_at=None,
        expires_at=None,
        size_bytes=None,
        reading_count=0,
        annotation_count=0,
        error=None,
        lease=None,
    )
    await store.insert_export(work.tx, work.tenant_id, export)
    work.record("export.create", export.id, after=export)
    work.emit(ExportChanged(export.id, export.status))
    return export


@operation(Grant.EXPORTS_WRITE)
async def cancel_export(work: Work, export_id: ExportId) -> Export:
    """Give up an export that is not done. A worker that is at it stops within seconds; nothing of it is kept."""
    before = await _load(work, export_id, lock=True)
    if before.status.is_final:
        raise Conflict(f"the export is {before.status} already", code="invalid-state")
    now = work.now()
    await store.cancel_export(work.tx, work.tenant_id, export_id, now, now + REMEMBERED)
    after = await _load(work, export_id)
    work.record("export.cancel", export_id, before=before, after=after)
    work.emit(ExportChanged(export_id, after.status))
    return after


@operation(Grant.EXPORTS_WRITE)
async def delete_export(work: Work, export_id: ExportId) -> None:
    """Forget an export that has come to its end, with its file."""
    export = await _load(work, export_id, lock=True)
    if not export.status.is_final:
        raise Conflict(f"the export is {export.status}; cancel it first", code="invalid-state")
    await store.delete_export(work.tx, work.tenant_id, export_id)
    work.record("export.delete", export_id, before=export)
    # Last, because this cannot be taken back.
    await files.delete_files(work.ports.blobs, work.actor.organization_id, export_id)


@operation(Grant.EXPORTS_WRITE)
async def request_file(
    work: Work,
    kind: str,
    parameters: Mapping[str, Any],
    *,
    space_id: SpaceId,
    name: str,
    email: str | None,
    callback_url: str | None,
    shown: Mapping[str, Any],
    resource: tuple[str, UUID] | None = None,
) -> str:
    """Have a file made in a form of a dialect's own, by the handler of this kind; the id of the job (`jobs.enqueue`).

    One of a kind at a time is made for a space, or for the `resource` it is about. Its `parameters` name only devices
    that the caller sees (`registry.within_reach`).
    """
    return await jobs.enqueue(
        work,
        kind,
        parameters,
        space_id=space_id,
        name=name,
        email=email,
        callback_url=callback_url,
        shown=shown,
        resource=resource,
        alone=True,
        bounded=True,
    )


def _whose(work: Work) -> UUID | None:
    """Whose exports the actor may see; None: everybody's."""
    return work.actor.id if work.actor.role is Role.MEMBER else None


async def _load(work: Work, export_id: ExportId, *, lock: bool = False) -> Export:
    export = await store.select_export(work.tx, work.tenant_id, export_id, requested_by=_whose(work), lock=lock)
    if export is None:
        raise NotFound("export", export_id)
    return export
