"""Documents and events of devices: from the log to the store, the states, the rows and the facts, each once."""

from typing import Any

from roadstead.adapters.clickhouse import ClickHouseStore
from roadstead.bus import Bus
from roadstead.core import telemetry as telemetry_room
from roadstead.core.messages import EventRaised, decode_fact
from roadstead.core.telemetry import Watch
from roadstead.db import Database
from roadstead.kernel import time
from roadstead.kernel.ids import DeviceId
from tests.bus.conftest import eventually
from tests.conftest import Tenant
from tests.core.telemetry.test_documents import add_alias, add_typed, data, event
from tests.fleet import add_device
from tests.workers.conftest import Log, running, state_projection, store_worker
from tests.workers.test_store import accepted_on, quarantined, stored, worked_off


async def seen_at(database: Database, *devices: Any) -> int:
    """How many of these have been heard of."""
    async with database.tx() as tx:
        sql = "SELECT count(*) FROM device_state WHERE device_id = ANY (%s) AND last_at > 'epoch'"
        return int(await tx.value(sql, list(devices)))


async def test_what_a_gateway_says_for_another_device_is_that_devices_and_both_are_heard_of(
    own_bus: Bus,
    log: Log,
    system_database: Database,
    telemetry: ClickHouseStore,
    forgotten: None,
    acme: Tenant,
    globex: Tenant,
) -> None:
    gateway, child = await add_device(system_database, acme.tenant_id), await add_typed(acme)
    theirs = await add_typed(globex)
    await add_alias(acme, child, "06-00")
    say = data(acme, gateway, {"people": 4, "air": {"co2": 600}}, alias="06-00")
    await log.put(say, say, data(acme, gateway, {"people": -1}, deviceId=str(child)))
    await log.put(data(globex, theirs, {"people": 9}))

    async def is_written() -> bool:
        return await seen_at(system_database, gateway, child, theirs) == 3

    async with (
        running(store_worker(own_bus, system_database, telemetry).run()),
        running(state_projection(own_bus, system_database).run()),
    ):
        await worked_off(own_bus)
        await eventually(is_written)
    assert await stored(telemetry, acme.tenant_id, child, "people") == [4.0]
    assert await stored(telemetry, acme.tenant_id, child, "air.co2") == [600.0]
    assert [reason for reason, _, _ in await quarantined(system_database, acme)] == ["TYPE_MISMATCH"]
    assert await quarantined(system_database, globex) == []
    async with acme.work() as work:
        state = await telemetry_room.get_reported_state(work, DeviceId(child))
        assert state.attributes == {"people": 4, "air": {"co2": 600}}
        assert state.last_seen_at is not None
        assert state.watch is Watch.NOT_MONITORED
        of_gateway = await telemetry_room.get_reported_state(work, DeviceId(gateway))
        assert of_gateway.attributes == {}
        assert of_gateway.last_seen_at == state.last_seen_at


async def test_an_event_is_written_down_and_told_once_however_often_its_pack_comes(
    own_bus: Bus, log: Log, system_database: Database, telemetry: ClickHouseStore, acme: Tenant
) -> None:
    device = await add_typed(acme)
    await log.put(event(acme, device, "crowded", {"people": 40}), event(acme, device, "burnt"))
    worker = store_worker(own_bus, system_database, telemetry)
    prepared: list[Any] = []
    keep = worker._keep

    async def keep_twice(batch: Any) -> None:
        prepared.append(batch)
        await keep(batch)
        await keep(batch)

    setattr(worker, "_keep", keep_twice)  # noqa: B010 - a method is not assigned to
    async with running(worker.run()):
        await worked_off(own_bus)
    assert prepared
    async with system_database.tx() as tx:
        rows = await tx.rows(
            "SELECT id, type, source, message, device_id, data, occurred_at FROM event WHERE tenant_id = %s",
            acme.tenant_id,
        )
        facts = await tx.rows("SELECT fact FROM outbox WHERE tenant_id = %s ORDER BY id", acme.tenant_id)
    (row,) = rows
    assert row[1:] == ("crowded", "DEVICE", "crowded", device, {"people": 40}, time.from_millis(1767225600000))
    raised = [fact for (body,) in facts if isinstance(fact := decode_fact(bytes(body)), EventRaised)]
    assert raised == [EventRaised(row[0], DeviceId(device), "crowded")]
    assert [(reason, channel) for reason, channel, _ in await quarantined(system_database, acme)] == [
        ("UNKNOWN_SENSOR", "event-ingest")
    ]
    assert [bool(message.payload) for message in await accepted_on(own_bus)] == [True, False]
