"""Makes caches forget what the core says has changed."""

import structlog

from roadstead.bus import FACTS, NEW, Bus, Follower
from roadstead.core.messages import (
    AnyFact,
    DeviceChanged,
    DeviceCreated,
    DeviceDeleted,
    DeviceTypeChanged,
    OrganizationChanged,
    SensorsChanged,
)
from roadstead.core.telemetry import DeviceCatalog
from roadstead.kernel import ids
from roadstead.kernel.ids import TenantId
from roadstead.workers.fact_packs import facts_in

log = structlog.get_logger()


class Forgetting:
    """Follows the facts and makes a catalog forget. One for each process that has a catalog."""

    def __init__(self, bus: Bus, catalog: DeviceCatalog) -> None:
        self._reader = Follower(bus, FACTS, start=NEW)
        self._catalog = catalog

    async def open(self) -> None:
        """Listen from now on. Before the catalog learns anything, so that no change falls between."""
        await self._reader.open()

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async for pack in self._reader.packs():
                if pack.gap:
                    self._catalog.forget_all()
                facts = facts_in(pack)
                if not facts:
                    self._catalog.forget_all()
                for message, fact in facts:
                    if fact is None:
                        # It may be about what we hold.
                        self._catalog.forget_all()
                    else:
                        self._apply(message.tenant, fact)
        finally:
            await self._reader.close()

    def _apply(self, tenant: TenantId, fact: AnyFact) -> None:
        match fact:
            case (
                DeviceCreated(device_id)
                | DeviceChanged(device_id)
                | DeviceDeleted(device_id)
                | SensorsChanged(device_id)
            ):
                self._catalog.forget(ids.to_bytes(device_id))
            case OrganizationChanged() | DeviceTypeChanged():
                self._catalog.forget_tenant(tenant)
