"""Exports in the hands of workers."""

from datetime import timedelta
from uuid import UUID

import msgspec

from roadstead.core.exports import store
from roadstead.core.exports.model import KEPT, REMEMBERED, ExportStatus, Job, Piece, piece_name
from roadstead.core.exports.scopes import make_plan
from roadstead.core.files import CannotBeMade, FileJobs, JobClaim, blob_key
from roadstead.core.messages import ExportChanged, encode_fact
from roadstead.core.ports import Blobs
from roadstead.db import Tx
from roadstead.kernel import time
from roadstead.kernel.ids import ExportId, TenantId

_NOTICED = timedelta(minutes=1)
"""By then a worker has heard that an export is over, and reads no piece of it."""


def _tell(tx: Tx, tenant: TenantId, export_id: UUID, status: str) -> None:
    tx.emit(tenant, time.now(), encode_fact(ExportChanged(ExportId(export_id), ExportStatus(status))))


JOBS = FileJobs("export_job", kept=KEPT, remembered=REMEMBERED, tell=_tell)
"""The life of every export."""


async def begin_export(tx: Tx, claim: JobClaim) -> Job | None:
    """What a worker has taken on, and what of it is finished. What it is about is decided the first time.

    None: it was cancelled, or given to somebody else. Raises `CannotBeMade` when what is to be exported is gone, or has
    too many kinds of values.
    """
    export = await store.select_export(tx, claim.tenant_id, ExportId(claim.id), requested_by=None)
    if export is None:
        raise CannotBeMade("the export has been deleted")
    plan = await store.find_plan(tx, claim.tenant_id, claim.id) or await make_plan(tx, claim.tenant_id, export)
    if not await store.begin_export(tx, claim.tenant_id, claim.id, claim.lease, plan):
        return None
    pieces = await store.select_pieces(tx, claim.tenant_id, claim.id)
    return Job(**msgspec.structs.asdict(claim), export=export, plan=plan, pieces=pieces)


async def list_pieces(tx: Tx, claim: JobClaim) -> list[Piece]:
    """What is finished of an export, by whomever."""
    return await store.select_pieces(tx, claim.tenant_id, claim.id)


async def add_piece(tx: Tx, claim: JobClaim, piece: Piece, *, readings: int) -> bool:
    """A piece is stored; `readings` is how many there are with it. False: its worker has lost the export."""
    if not await JOBS.advance(tx, claim, readings=readings):
        return False
    await store.insert_piece(tx, claim.tenant_id, claim.id, piece)
    return True


async def sweep_pieces(tx: Tx, blobs: Blobs, *, most: int = 100) -> int:
    """Delete pieces of exports that are over; says how many. Doing it twice does no harm."""
    over = await store.lock_pieces_over(tx, time.now() - _NOTICED, most)
    for piece in over:
        await blobs.delete(blob_key(piece.organization_id, piece_name(piece.export_id, piece.lease, piece.number)))
    if over:
        await store.delete_pieces(tx, over)
    return len(over)
