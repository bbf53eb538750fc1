"""The record of imports: what was put into a space, and what came of it."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from roadstead.core.bundles import store
from roadstead.core.bundles.model import Conflicts, Import, ImportStatus, Kind, Problem
from roadstead.core.operation import operation
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import NotFound
from roadstead.kernel.ids import SpaceId


@operation(Grant.DEVICES_WRITE)
async def note_import(
    work: Work,
    import_id: UUID,
    space_id: SpaceId,
    *,
    source: str,
    from_space_id: SpaceId | None = None,
    conflicts: Conflicts,
    kinds: Sequence[Kind] | None,
    dry_run: bool,
    email: str | None = None,
    callback_url: str | None = None,
    job_id: UUID | None = None,
) -> None:
    """Somebody wants something to be put into a space."""
    entry = Import(
        id=import_id,
        space_id=space_id,
        source=source,
        from_space_id=from_space_id,
        conflicts=conflicts,
        kinds=None if kinds is None else list(kinds),
        dry_run=dry_run,
        email=email,
        callback_url=callback_url,
        job_id=job_id,
        requested_by=work.actor.id,
        requested_as=work.actor.kind,
        status=ImportStatus.QUEUED,
        queued_at=work.now(),
    )
    await store.insert_import(work.tx, entry)


@operation(Grant.DEVICES_WRITE)
async def settle_import(
    work: Work, import_id: UUID, status: ImportStatus, *, error: str | None = None, problems: Sequence[Problem] = ()
) -> None:
    """How far it is, or what came of it."""
    await store.update_import(work.tx, import_id, status, work.now(), error=error, problems=problems)


async def lock_import(work: Work, import_id: UUID) -> Import:
    """One of them, without asking for rights; whoever else wants to work on it waits for the end of this."""
    entry = await store.lock_import(work.tx, import_id)
    if entry is None:
        raise NotFound("import", import_id)
    return entry


async def find_import(work: Work, import_id: UUID) -> Import | None:
    """The same if it is there."""
    return await store.lock_import(work.tx, import_id)


@operation(Grant.DEVICES_READ)
async def list_imports(work: Work, space_id: SpaceId, *, since: datetime | None, most: int) -> list[Import]:
    """What was put into a space, newest first."""
    return await store.select_imports(work.tx, space_id, since=since, most=most)
