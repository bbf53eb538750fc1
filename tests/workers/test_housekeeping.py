"""What has run out goes, and nothing else."""

from typing import cast

from roadstead.core.ports import TelemetryStore
from roadstead.kernel.ids import TenantId
from roadstead.workers.housekeeping import Housekeeping
from tests.conftest import Tenant


class Readings:
    """Stands in for the telemetry store: says of whom readings were deleted."""

    def __init__(self) -> None:
        self.deleted: list[TenantId] = []

    async def delete_before(self, tenant: TenantId, _: object) -> None:
        """Remembered."""
        self.deleted.append(tenant)


async def test_an_organization_that_was_deleted_goes_with_its_readings_and_files(acme: Tenant, globex: Tenant) -> None:
    blobs = acme.edge.ports.blobs
    for tenant in (acme, globex):
        await blobs.put(f"{tenant.organization_id}/things/a", b"x")
    async with acme.edge.system_database.tx() as tx:
        sql = "UPDATE tenant SET status = 'DELETING', delete_at = now() - interval '1 s' WHERE tenant_id = %s"
        await tx.run(sql, acme.tenant_id)
    readings = Readings()

    await Housekeeping(acme.edge.system_database, cast(TelemetryStore, readings), blobs).tidy()

    assert acme.tenant_id in readings.deleted
    assert globex.tenant_id not in readings.deleted
    assert [blob.key async for blob in blobs.list(f"{acme.organization_id}/")] == []
    assert [blob.key async for blob in blobs.list(f"{globex.organization_id}/")] == [
        f"{globex.organization_id}/things/a"
    ]
    async with acme.edge.system_database.tx() as tx:
        assert await tx.value("SELECT count(*) FROM tenant WHERE tenant_id = %s", acme.tenant_id) == 0
