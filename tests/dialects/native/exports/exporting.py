"""What tests of exports have in common: asking, making, fetching."""

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq

from roadstead.core.messages import Reading, Value
from roadstead.kernel import time
from roadstead.kernel.ids import TenantId, to_bytes
from roadstead.workers.exports import ExportWorker
from tests.conftest import Tenant
from tests.dialects.native.fleet import add_device, add_profiles, add_site, ok

FROM, TO = "2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z"
NOON = datetime.fromisoformat("2024-01-15T12:00:00Z")
BEFORE, AFTER = datetime.fromisoformat("2023-12-31T23:59:59.999Z"), datetime.fromisoformat(TO)


async def report(tenant: Tenant, device: str, path: str, *points: tuple[datetime, Value], meta: str = "") -> None:
    """What a device said, as it lies in the store."""
    columns = tenant.edge.ports.telemetry.columns()
    readings = [Reading(path, time.to_millis(at), value, meta) for at, value in points]
    columns.add(tenant.tenant_id, to_bytes(UUID(device)), time.to_millis(time.now()), readings)
    await tenant.edge.ports.telemetry.insert(columns)


async def ask(tenant: Tenant, scope_type: str, scope_id: str, **fields: Any) -> Any:
    """An export that was asked for, as answered."""
    body = {"scopeType": scope_type, "scopeId": scope_id, "from": FROM, "to": TO, "includes": ["READINGS"]} | fields
    answer = await tenant.api.post("/api/v1/exports", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def get(tenant: Tenant, export_id: str) -> Any:
    """An export, as answered."""
    return ok(await tenant.api.get(f"/api/v1/exports/{export_id}"))


async def made(tenant: Tenant, worker: ExportWorker, export_id: str) -> Any:
    """The export once a worker has done with it; exports of other tests may come before it."""
    while (export := await get(tenant, export_id))["status"] == "PENDING":
        assert await worker.work_once()
    return export


async def fetch(tenant: Tenant, export: Any) -> zipfile.ZipFile:
    """The file; the URL is all it takes (`test_storage`)."""
    answer = await tenant.api.get(export["downloadUrl"])
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/zip"
    assert len(answer.content) == export["sizeBytes"]
    bundle = zipfile.ZipFile(io.BytesIO(answer.content))
    assert bundle.testzip() is None
    return bundle


def table(bundle: zipfile.ZipFile, name: str = "readings.parquet") -> pa.Table:
    """A table of it."""
    return pq.read_table(io.BytesIO(bundle.read(name)))


class Fleet:
    """A pump with a motor and a thermometer, at a pier, which is in a harbour."""

    def __init__(self, ids: dict[str, str]) -> None:
        self.ids = ids

    def __getitem__(self, name: str) -> str:
        return self.ids[name]


async def add_fleet(tenant: Tenant) -> Fleet:
    """What most tests export."""
    await add_profiles(tenant)
    harbour = await add_site(tenant, "Harbour")
    pier = await add_site(tenant, "Pier", parentId=harbour["id"])
    pump = await add_device(tenant, "pump-1", deviceProfile="pump@1.0", siteId=pier["id"])
    [motor] = ok(await tenant.api.get(f"/api/v1/devices/{pump['id']}/components"))["items"]
    thermometer = {"deviceId": pump["id"], "key": "temperature", "valueType": "DOUBLE", "unit": "°C"}
    sensor = ok(await tenant.api.post("/api/v1/sensors", json=thermometer))
    return Fleet(
        {
            "harbour": harbour["id"],
            "pier": pier["id"],
            "pump": pump["id"],
            "motor": motor["id"],
            "temperature": sensor["id"],
        }
    )


class Endless:
    """A telemetry store that always has more of the same, of one tenant's."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant_id = tenant.tenant_id
        self._rows: Callable[..., AsyncIterator[bytes]] = tenant.edge.ports.telemetry.rows

    async def rows(self, tenant: TenantId, *arguments: Any) -> AsyncIterator[bytes]:
        """Again and again."""
        while True:
            async for piece in self._rows(tenant, *arguments):
                yield piece
            if tenant != self._tenant_id:
                return
            await asyncio.sleep(0.001)


async def wait_for(tenant: Tenant, export_id: str, condition: Callable[[Any], bool]) -> Any:
    """The export as soon as the condition holds for it."""
    async with asyncio.timeout(20):
        while not condition(export := await get(tenant, export_id)):
            await asyncio.sleep(0.01)
    return export


async def tried(tenant: Tenant, worker: ExportWorker, export_id: str) -> Any:
    """The export after one more try."""
    await make_due(tenant, export_id)
    async with asyncio.timeout(20):
        while (await tries_of(tenant, export_id))[1]:
            assert await worker.work_once()
    return await get(tenant, export_id)


async def tries_of(tenant: Tenant, export_id: str) -> tuple[int, bool]:
    """How often it was tried, and whether it waits to be tried at this moment."""
    async with tenant.edge.system_database.tx() as tx:
        row = await tx.row(
            "SELECT tries, status = 'PENDING' AND due_at <= now() FROM export_job WHERE id = %s", export_id
        )
    assert row is not None
    return row[0], row[1]


async def make_due(tenant: Tenant, export_id: str) -> None:
    """Its timer has run out."""
    async with tenant.edge.system_database.tx() as tx:
        await tx.run("UPDATE export_job SET due_at = now() - interval '1 s' WHERE id = %s", export_id)


async def files_of(tenant: Tenant) -> list[str]:
    """The keys of its files."""
    return [blob.key async for blob in tenant.edge.ports.blobs.list(f"{tenant.organization_id}/")]
