"""Exports in the hands of workers."""

from uuid import UUID

import msgspec

from roadstead.core.exports import store
from roadstead.core.exports.model import KEPT, REMEMBERED, ExportStatus, Job
from roadstead.core.files import CannotBeMade, FileJobs, JobClaim
from roadstead.core.messages import ExportChanged, encode_fact
from roadstead.db import Tx
from roadstead.kernel import time
from roadstead.kernel.ids import ExportId, TenantId


def _tell(tx: Tx, tenant: TenantId, export_id: UUID, status: str) -> None:
    tx.emit(tenant, time.now(), encode_fact(ExportChanged(ExportId(export_id), ExportStatus(status))))


JOBS = FileJobs("export_job", kept=KEPT, remembered=REMEMBERED, tell=_tell)
"""The life of every export."""


async def load_job(tx: Tx, claim: JobClaim) -> Job:
    """What a worker has taken on. Raises `CannotBeMade` when it was deleted meanwhile."""
    export = await store.select_export(tx, claim.tenant_id, ExportId(claim.id), requested_by=None)
    if export is None:
        raise CannotBeMade("the export has been deleted")
    return Job(**msgspec.structs.asdict(claim), export=export)
