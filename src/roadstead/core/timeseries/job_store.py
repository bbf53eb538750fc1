"""The SQL of files of points, as far as it is not that of all jobs that make files."""

from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from roadstead.core.timeseries.job_model import PointsFile
from roadstead.db import Tx
from roadstead.kernel.ids import TenantId

_COLUMNS = "id, form, base_url, wanted, status, created_at, started_at, completed_at, lease"


async def insert_file(tx: Tx, tenant: TenantId, file: PointsFile) -> None:
    """Add one that may begin at once."""
    sql = """
        INSERT INTO points_job (tenant_id, id, form, base_url, wanted, status, created_at, due_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
    """
    wanted = Jsonb(msgspec.to_builtins(file.wanted))
    await tx.run(sql, tenant, file.id, file.form, file.base_url, wanted, file.status, file.created_at, file.created_at)


async def select_file(tx: Tx, tenant: TenantId, file_id: UUID) -> PointsFile | None:
    """One file."""
    return await tx.one(
        PointsFile, f"SELECT {_COLUMNS} FROM points_job WHERE tenant_id = %s AND id = %s", tenant, file_id
    )


async def count_waiting(tx: Tx, tenant: TenantId) -> int:
    """How many are neither there nor given up."""
    sql = "SELECT count(*) FROM points_job WHERE tenant_id = %s AND status IN ('PENDING', 'RUNNING')"
    return int(await tx.value(sql, tenant))
