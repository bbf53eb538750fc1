"""Deletes the readings of devices that were deleted with `purge`, and the files that came as such."""

import structlog

from roadstead.bus import FACTS, Bus, Follower, Start
from roadstead.core import files
from roadstead.core.messages import DeviceDeleted
from roadstead.core.ports import Blobs, TelemetryStore
from roadstead.db import Database
from roadstead.workers.fact_packs import facts_in

log = structlog.get_logger()

_NAME = "purge"


async def run_purge(database: Database, bus: Bus, telemetry: TelemetryStore, blobs: Blobs) -> None:
    """Follow the facts from where the last run ended, until cancelled. Deleting twice does no harm."""
    async with database.tx() as tx:
        position = await tx.value("SELECT position FROM projection WHERE name = %s", _NAME) or 0
    reader = Follower(bus, FACTS, start=Start(sequence=position + 1))
    await reader.open()
    try:
        async for pack in reader.packs():
            gone = [
                (message.tenant, fact.device_id)
                for message, fact in facts_in(pack)
                if isinstance(fact, DeviceDeleted) and fact.purge
            ]
            for tenant, device_id in gone:
                deleted = await telemetry.delete(tenant, device_id, None, None)
                async with database.tx() as tx:
                    await files.delete_values(tx, blobs, tenant, device_id)
                log.info("readings purged", device=str(device_id), readings=deleted)
            if gone:
                # Facts in between need no deed, so the position is only written where there was one.
                await _remember(database, pack.sequence)
    finally:
        await reader.close()


async def _remember(database: Database, position: int) -> None:
    sql = """
        INSERT INTO projection (name, position, at) VALUES (%s, %s, now())
        ON CONFLICT (name) DO UPDATE SET position = excluded.position, at = excluded.at
    """
    async with database.tx() as tx:
        await tx.run(sql, _NAME, position)
