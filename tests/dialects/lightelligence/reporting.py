"""What devices have reported, straight in the store; and the worker that makes files of it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx

from roadstead.core.messages import Reading, Value
from roadstead.dialects.lightelligence import POINTS_SPELLERS
from roadstead.kernel import ids, time
from roadstead.web.edge import Edge
from roadstead.workers.file_jobs import FileWorker
from roadstead.workers.points import points_worker
from tests.conftest import Tenant
from tests.dialects.lightelligence.contract import Client

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
DAY = {"startTime": "2024-05-01T00:00:00Z", "endTime": "2024-05-02T00:00:00Z"}


def minutes(values: Sequence[Value], *, start: datetime = NOON, step: float = 1.0) -> list[tuple[datetime, Value]]:
    """A value each minute from noon on."""
    return [(start + timedelta(minutes=index * step), value) for index, value in enumerate(values)]


async def report(tenant: Tenant, device: str, path: str, points: Sequence[tuple[datetime, Value]]) -> None:
    """What a device said, as it lies in the store."""
    store = tenant.edge.ports.telemetry
    columns = store.columns()
    readings = [Reading(path, time.to_millis(at), value) for at, value in points]
    columns.add(tenant.tenant_id, ids.to_bytes(UUID(device)), time.to_millis(time.now()), readings)
    await store.insert(columns)


def worker_of(edge: Edge) -> FileWorker:
    """It works when it is told to."""
    return points_worker(edge.system_database, edge.ports, POINTS_SPELLERS, look_every_s=0.01, renew_every_s=0.01)


async def fetch(client: Client, url: str) -> httpx.Response:
    """What is at a URL that was answered."""
    return await client.http.get(url)


async def fetched(client: Client, worker: FileWorker, url: str) -> Any:
    """What is at it once the file has been made; files of other tests may come before it."""
    while (answer := await fetch(client, url)).status_code == 404:
        assert await worker.work_once()
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    return answer.json()


def told(points: Sequence[Any]) -> list[tuple[str, Any]]:
    """Times and values."""
    return [(point["time"], point["value"]) for point in points]


async def make_due(tenant: Tenant) -> None:
    """The timers of all files of a tenant have run out."""
    async with tenant.edge.system_database.tx() as tx:
        await tx.run("UPDATE points_job SET due_at = now() - interval '1 s' WHERE tenant_id = %s", tenant.tenant_id)


async def is_waiting(tenant: Tenant) -> bool:
    """Whether a file of a tenant waits to be made at this moment."""
    async with tenant.edge.system_database.tx() as tx:
        sql = "SELECT count(*) > 0 FROM points_job WHERE tenant_id = %s AND status = 'PENDING' AND due_at <= now()"
        return bool(await tx.value(sql, tenant.tenant_id))
