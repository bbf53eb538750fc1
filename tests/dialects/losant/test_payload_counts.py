"""Messages of a device are counted, by kind and by hour (contract section 27)."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from roadstead.bus import ACCEPTED, Bus, Publisher, last_sequence
from roadstead.core import metering, telemetry
from roadstead.core.messages import (
    CONNECTED,
    DISCONNECTED,
    SESSION,
    Accepted,
    AnyFact,
    CommandChanged,
    EventRaised,
    Reading,
    SessionNotice,
    encode_accepted,
)
from roadstead.core.metering import Counts, Payload
from roadstead.db import Database
from roadstead.kernel import ids, time
from roadstead.kernel.ids import DeviceId
from roadstead.workers.accepted_packs import AcceptedPacks
from roadstead.workers.metering import PROJECTION, PayloadCounter
from tests.conftest import Tenant
from tests.dialects.losant.contract import Client
from tests.dialects.losant.data_path import data_path, edge
from tests.dialects.losant.kept import uuid_of
from tests.dialects.losant.world import add_application, add_device, report
from tests.workers.conftest import running

__all__ = ["data_path", "edge"]

_PATIENCE_S = 20


async def _position(database: Database) -> int:
    async with database.tx() as tx:
        return await telemetry.select_position(tx, PROJECTION)


async def _counted(bus: Bus, database: Database) -> None:
    """Wait until all that is on the log by now is counted."""
    last = await last_sequence(bus, ACCEPTED)
    async with asyncio.timeout(_PATIENCE_S):
        while await _position(database) < last:
            await asyncio.sleep(0.01)


def counter(bus: Bus, database: Database) -> PayloadCounter:
    """One that writes at once."""
    return PayloadCounter(bus, database, AcceptedPacks(), gather_s=0.02)


async def test_states_are_counted_as_they_come(
    data_path: Any, bus: Bus, system_database: Database, acme: Tenant, globex: Tenant
) -> None:
    client, theirs = await Client.of(acme), await Client.of(globex)
    application_id = await add_application(client)
    device_id, other = [await add_device(client, application_id, name, attributes=["level"]) for name in "ab"]
    names = {"applicationId": application_id, "deviceId": device_id}
    async with running(counter(bus, system_database).run()):
        await report(client, application_id, device_id, {"level": 1})
        await report(client, application_id, device_id, {"level": 2})
        await report(client, application_id, other, {"level": 3})
        await _counted(bus, system_database)
    found = await client.data("device.payloadCounts", **names)
    assert (found["deviceState"], found["deviceConnect"], found["mqttIn"]) == (2, 0, 0)
    chart = await client.data("device.payloadCountsBreakdown", **names)
    assert sum(each["value"] for each in chart["counts"]) == 2
    whole = await client.data("application.payloadCounts", applicationId=application_id)
    assert whole["deviceState"] == {"device.rest": 3}
    assert await theirs.failure("device.payloadCounts", **names) == (404, "NotFound")


async def _say(bus: Bus, tenant: Tenant, device_id: str, *, times: int) -> None:
    """Put on the log that a device came, said something so many times, said something that is no state, and went."""
    raw, now = ids.to_bytes(uuid_of(device_id)), time.to_millis(time.now())
    notice = msgspec.msgpack.encode(SessionNotice("gateway", 1))
    said = [
        Accepted.of(tenant.tenant_id, raw, "losant", "state", now, [Reading("level", now, 1.0)], size_bytes=20)
        for _ in range(times)
    ]
    answer = Accepted.of(tenant.tenant_id, raw, "native", "answer", now, size_bytes=5)
    again = Accepted.of(
        tenant.tenant_id, raw, "losant", "state", now, [Reading("level", now, 1.0)], replayed=True, source="REPLAY"
    )
    came, went = (
        Accepted.of(tenant.tenant_id, raw, SESSION, channel, now, payload=notice)
        for channel in (CONNECTED, DISCONNECTED)
    )
    publisher = Publisher(bus)
    await publisher.start()
    payload = encode_accepted([came, *said, answer, again, went])
    await publisher.put("accepted.0", payload, message_id=str(ids.new_id()))
    await publisher.close()


async def test_nothing_is_counted_twice_by_two_counters_or_after_a_restart(
    edge: Any, bus: Bus, system_database: Database, acme: Tenant
) -> None:
    client = await Client.of(acme)
    application_id = await add_application(client)
    device_id = await add_device(client, application_id)
    names = {"applicationId": application_id, "deviceId": device_id}
    async with system_database.tx() as tx:
        await telemetry.update_position(tx, PROJECTION, await last_sequence(bus, ACCEPTED))
    async with running(counter(bus, system_database).run()), running(counter(bus, system_database).run()):
        await _say(bus, acme, device_id, times=3)
        await _counted(bus, system_database)
    async with running(counter(bus, system_database).run()):
        await _say(bus, acme, device_id, times=2)
        await _counted(bus, system_database)
    found = await client.data("device.payloadCounts", **names)
    assert found == {"deviceState": 5, "deviceCommand": 0, "deviceConnect": 2, "deviceDisconnect": 2, "mqttIn": 2}
    whole = {"applicationId": application_id, "params": {"asBytes": True}}
    assert (await client.data("application.payloadCounts", **whole))["deviceState"] == {"device.mqtt": 100}


async def test_commands_and_events_are_counted_from_what_happened(edge: Any, acme: Tenant) -> None:
    client = await Client.of(acme)
    application_id = await add_application(client)
    device_id = await add_device(client, application_id)
    names = {"applicationId": application_id, "deviceId": device_id}
    await client.data("device.sendCommand", json={"name": "stop"}, **names)
    async with acme.edge.system_database.tx() as tx:
        [(command_id,)] = await tx.rows("SELECT id FROM command WHERE tenant_id = %s", acme.tenant_id)
        device = DeviceId(uuid_of(device_id))
        facts: list[AnyFact] = [
            CommandChanged(device, command_id, "PENDING"),
            CommandChanged(device, command_id, "SENT"),
            EventRaised(ids.new_id(), device, "overflow"),
            EventRaised(ids.new_id(), device),
        ]
        await metering.count_facts(tx, [(acme.tenant_id, fact) for fact in facts], lost=False)
    assert (await client.data("device.payloadCounts", **names))["deviceCommand"] == 1
    whole = await client.data("application.payloadCounts", applicationId=application_id)
    assert whole == {"deviceCommand": {"user.rest": 1}, "event": {"application.rest": 1}}


async def test_hours_and_days_are_told_apart_and_the_span_is_kept(edge: Any, acme: Tenant) -> None:
    client = await Client.of(acme)
    application_id = await add_application(client)
    device_id = await add_device(client, application_id)
    names = {"applicationId": application_id, "deviceId": device_id}
    noon = datetime.now(UTC).replace(hour=12, minute=30, second=0, microsecond=0) - timedelta(days=3)
    async with acme.edge.system_database.tx() as tx:
        for hours in (0, 0, 1, 24):
            counts = Counts()
            at = noon + timedelta(hours=hours)
            counts.add(acme.tenant_id, uuid_of(device_id), at, Payload.DEVICE_STATE, "device.mqtt")
            await metering.add_counts(tx, counts)

    async def chart(**params: Any) -> list[int]:
        found = await client.data("device.payloadCountsBreakdown", params=params, **names)
        return [each["value"] for each in found["counts"] if each["value"]]

    start, day = time.to_millis(noon.replace(minute=0)), 86_400_000
    assert await chart(start=start, end=start + 2 * day) == [3, 1]
    assert await chart(start=start, end=start + day - 1, resolution=3_600_000) == [2, 1]
    params = {"start": start, "end": start + 3_600_000 - 1}
    assert (await client.data("device.payloadCounts", params=params, **names))["deviceState"] == 2
    failed = await client.failure("device.payloadCountsBreakdown", params={"resolution": 5}, **names)
    assert failed == (400, "Validation")
