"""From the log to the store: everything acknowledged is stored once, whatever stops on the way."""

from collections import Counter
from datetime import timedelta
from uuid import UUID

import msgspec
import pytest

from roadstead.adapters.clickhouse import ClickHouseStore
from roadstead.bus import ACCEPTED, UPLINK, Bus, Reader, pending
from roadstead.core.messages import DeviceTypeChanged, Fact, Logged, OrganizationChanged, Reading, decode_accepted
from roadstead.core.ports import PointColumns, Series, Span
from roadstead.core.telemetry import DeviceCatalog
from roadstead.db import Database
from roadstead.kernel import ids, time
from roadstead.kernel.errors import Unavailable
from roadstead.kernel.ids import DeviceId, TenantId, TypeId
from tests.bus.conftest import NatsServer, eventually
from tests.conftest import Tenant
from tests.fleet import add_device, item, sensors_of, uplink
from tests.workers.conftest import Log, running, store_worker

_AT = 1767225600000
_DAY = Span(time.from_millis(_AT), time.from_millis(_AT) + timedelta(days=1))


async def stored(telemetry: ClickHouseStore, tenant: TenantId, device: UUID, path: str) -> list[float | None]:
    """The numbers of a series, in order."""
    points = await telemetry.points(tenant, [Series(DeviceId(device), path)], _DAY, limit=10_000)
    return [point.number for point in points]


async def worked_off(own_bus: Bus) -> None:
    """Wait until nothing waits on the log."""

    async def is_empty() -> bool:
        try:
            return await pending(own_bus, UPLINK) == 0
        except Unavailable:
            return False

    await eventually(is_empty, within_s=30)


async def accepted_on(own_bus: Bus) -> list[Logged]:
    """Everything on the ACCEPTED stream."""
    reader, found = Reader(own_bus, ACCEPTED), []
    while (pack := await reader.next(0.3)) is not None:
        found += decode_accepted(pack.payload)
    await reader.close()
    return found


async def quarantined(database: Database, tenant: Tenant) -> list[tuple[str, str, bytes]]:
    """Reason, channel and payload of what a tenant has in quarantine, oldest first."""
    async with database.tx() as tx:
        rows = await tx.rows(
            "SELECT reason, channel, payload FROM quarantine WHERE tenant_id = %s ORDER BY reason", tenant.tenant_id
        )
    return [(reason, channel, bytes(payload)) for reason, channel, payload in rows]


async def test_readings_go_from_the_log_to_the_store_and_on(
    own_bus: Bus, log: Log, system_database: Database, telemetry: ClickHouseStore, acme: Tenant, globex: Tenant
) -> None:
    ours, theirs = [await add_device(system_database, tenant.tenant_id) for tenant in (acme, globex)]
    await log.put(
        uplink(acme.tenant_id, ours, [item("t", 20.5), item("t", 21.5, "2026-01-01T00:00:01Z")], received=_AT),
        uplink(globex.tenant_id, theirs, item("t", 99.0), received=_AT),
    )
    async with running(store_worker(own_bus, system_database, telemetry).run()):
        await worked_off(own_bus)
    assert await stored(telemetry, acme.tenant_id, ours, "t") == [20.5, 21.5]
    assert await stored(telemetry, globex.tenant_id, theirs, "t") == [99.0]
    assert await stored(telemetry, globex.tenant_id, ours, "t") == []
    messages = await accepted_on(own_bus)
    assert [(message.tenant, message.readings) for message in messages] == [
        (acme.tenant_id, [Reading("t", _AT, 20.5), Reading("t", _AT + 1000, 21.5)]),
        (globex.tenant_id, [Reading("t", _AT, 99.0)]),
    ]


async def test_what_is_refused_is_kept_for_its_owner_with_the_reason(
    own_bus: Bus, log: Log, system_database: Database, telemetry: ClickHouseStore, acme: Tenant, globex: Tenant
) -> None:
    device = await add_device(system_database, acme.tenant_id)
    await log.put(
        uplink(acme.tenant_id, device, b"\xffnot json"),
        uplink(
            acme.tenant_id, device, [item("t", 1.0, received := "2026-01-01T00:00:00Z"), item("t", "x\0y", received)]
        ),
        uplink(acme.tenant_id, device, {"nothing": "else"}, channel="health"),
    )
    async with running(store_worker(own_bus, system_database, telemetry).run()):
        await worked_off(own_bus)
    found = await quarantined(system_database, acme)
    assert [(reason, channel) for reason, channel, _ in found] == [
        ("MALFORMED", "readings"), ("MISSING_FIELD", "health"), ("TYPE_MISMATCH", "readings"),
    ]  # fmt: skip
    assert found[0][2] == b"\xffnot json"
    assert msgspec.json.decode(found[2][2]) == item("t", "x\0y")
    assert await quarantined(system_database, globex) == []
    assert await stored(telemetry, acme.tenant_id, device, "t") == [1.0]


async def test_a_pack_that_cannot_be_read_does_not_stop_the_next(
    own_bus: Bus, log: Log, system_database: Database, telemetry: ClickHouseStore, acme: Tenant
) -> None:
    device = await add_device(system_database, acme.tenant_id)
    good = uplink(acme.tenant_id, device, item("t", 1.0))
    await log.put_raw(b"\xc1 no MessagePack at all")
    await log.put_raw(msgspec.msgpack.encode([good, ["something", "else"], msgspec.structs.replace(good, device=b"x")]))
    await log.put(uplink(acme.tenant_id, device, item("t", 2.0, "2026-01-01T00:00:01Z")))
    async with running(store_worker(own_bus, system_database, telemetry).run()):
        await worked_off(own_bus)
    assert await stored(telemetry, acme.tenant_id, device, "t") == [1.0, 2.0]


async def test_a_crash_at_any_point_means_once_more_and_nothing_twice(
    own_bus: Bus, log: Log, system_database: Database, telemetry: ClickHouseStore, acme: Tenant
) -> None:
    class Crash(Exception):
        pass

    device = await add_device(system_database, acme.tenant_id)
    sent = [item("t", 1.0), item("t", 2.0, "2026-01-01T00:00:01Z"), item("t", "wrong")]
    await log.put(uplink(acme.tenant_id, device, sent))
    for step in ("insert", "_pass_on", "_keep"):
        worker = store_worker(own_bus, system_database, telemetry)

        async def crash(*_: object) -> None:
            raise Crash

        if step == "insert":
            worker._store = type("Store", (), {"columns": telemetry.columns, "insert": crash})()
        else:
            setattr(worker, step, crash)
        with pytest.raises(ExceptionGroup) as caught:
            await worker.run()
        assert caught.group_contains(Crash)
        assert await pending(own_bus, UPLINK) == 1
    async with running(store_worker(own_bus, system_database, telemetry).run()):
        await worked_off(own_bus)
    assert await stored(telemetry, acme.tenant_id, device, "t") == [1.0, 2.0]
    assert len(await accepted_on(own_bus)) == 1
    assert len(await quarantined(system_database, acme)) == 1


async def test_a_pack_that_was_passed_on_before_a_crash_is_not_passed_on_again(
    own_bus: Bus, log: Log, system_database: Database, telemetry: ClickHouseStore, acme: Tenant
) -> None:
    device = await add_device(system_database, acme.tenant_id)
    await log.put(uplink(acme.tenant_id, device, item("t", 1.0)))
    worker = store_worker(own_bus, system_database, telemetry)
    async with running(worker.run()):
        await worked_off(own_bus)
    # What a later start asks the log, which may have forgotten the id of the pack by then.
    heir = store_worker(own_bus, system_database, telemetry)
    assert await heir._select_place() == (worker._epoch, 1)
    await log.put(uplink(acme.tenant_id, device, item("t", 2.0, "2026-01-01T00:00:01Z")))
    async with running(heir.run()):
        await worked_off(own_bus)
    assert [message.readings[0].value for message in await accepted_on(own_bus)] == [1.0, 2.0]
    assert await heir._select_place() == (worker._epoch, 2)


async def test_one_message_cannot_flood_the_quarantine(
    own_bus: Bus, log: Log, system_database: Database, telemetry: ClickHouseStore, acme: Tenant
) -> None:
    device = await add_device(system_database, acme.tenant_id)
    message = uplink(acme.tenant_id, device, [{"sensorId": "t", "value": number} for number in range(1000)])
    await log.put(message)
    async with running(store_worker(own_bus, system_database, telemetry).run()):
        await worked_off(own_bus)
    found = await quarantined(system_database, acme)
    assert len(found) == 101
    assert message.payload in [payload for *_, payload in found]


async def test_servers_that_are_away_are_waited_for(
    own_bus: Bus, server: NatsServer, log: Log, system_database: Database, telemetry: ClickHouseStore, acme: Tenant
) -> None:
    class Moody:
        """The store, away for the first three batches."""

        def __init__(self) -> None:
            self.left = 3

        def columns(self) -> PointColumns:
            return telemetry.columns()

        async def insert(self, columns: PointColumns) -> None:
            if self.left:
                self.left -= 1
                raise Unavailable("not now")
            await telemetry.insert(columns)

    device = await add_device(system_database, acme.tenant_id)
    worker = store_worker(own_bus, system_database, telemetry)
    worker._store = Moody()  # type: ignore[assignment]
    async with running(worker.run()):
        await log.put(uplink(acme.tenant_id, device, item("t", 1.0)))
        await worked_off(own_bus)
        await server.kill()
        await eventually(lambda: not own_bus.is_connected)
        await server.start()
        await own_bus.connected(10)
        await log.put(uplink(acme.tenant_id, device, item("t", 2.0, "2026-01-01T00:00:01Z")))
        await worked_off(own_bus)
    assert await stored(telemetry, acme.tenant_id, device, "t") == [1.0, 2.0]


async def test_many_messages_keep_their_order_and_number(
    own_bus: Bus, log: Log, system_database: Database, telemetry: ClickHouseStore, acme: Tenant
) -> None:
    devices = [await add_device(system_database, acme.tenant_id) for _ in range(20)]
    async with running(store_worker(own_bus, system_database, telemetry).run()):
        for round_ in range(50):
            at = time.spell_instant(time.from_millis(_AT + round_ * 1000))
            await log.put(*(uplink(acme.tenant_id, device, item("n", round_, at)) for device in devices))
        await worked_off(own_bus)
    for device in devices:
        assert await stored(telemetry, acme.tenant_id, device, "n") == list(range(50))
        assert await sensors_of(system_database, device) == {"n": "BIGINT"}
    seen: dict[bytes, list[object]] = {}
    for message in await accepted_on(own_bus):
        seen.setdefault(message.device, []).extend(reading.value for reading in message.readings)
    assert Counter(map(len, seen.values())) == {50: 20}
    assert all(values == list(range(50)) for values in seen.values())


@pytest.mark.parametrize(
    "change", [OrganizationChanged(), DeviceTypeChanged(TypeId(ids.new_id()))], ids=["all", "type"]
)
async def test_a_change_reaches_the_cache_within_a_second(
    own_bus: Bus, log: Log, system_database: Database, telemetry: ClickHouseStore, acme: Tenant, change: Fact
) -> None:
    from roadstead.core.messages import FactMessage, encode_fact, encode_facts
    from roadstead.workers.forgetting import Forgetting

    device = await add_device(system_database, acme.tenant_id)
    catalog = DeviceCatalog(system_database)
    forgetting = Forgetting(own_bus, catalog)
    await forgetting.open()
    async with (
        running(forgetting.run()),
        running(store_worker(own_bus, system_database, telemetry, catalog).run()),
    ):
        await log.put(uplink(acme.tenant_id, device, item("a", 1.0)))
        await worked_off(own_bus)
        async with system_database.tx() as tx:
            await tx.run(
                """UPDATE tenant SET settings = '{"unknownSensorPolicy": "QUARANTINE"}' WHERE tenant_id = %s""",
                acme.tenant_id,
            )
        key = ids.to_bytes(device)
        await catalog.learn({key: acme.tenant_id})
        fact = FactMessage(1, acme.tenant_id, _AT, msgspec.Raw(encode_fact(change)))
        async with own_bus.asking() as jetstream:
            await jetstream.publish(f"facts.{acme.tenant_id}", encode_facts([fact]))
        await eventually(lambda: key not in catalog._known, within_s=1)
        await log.put(uplink(acme.tenant_id, device, item("b", 1.0)))
        await worked_off(own_bus)
    assert [reason for reason, *_ in await quarantined(system_database, acme)] == ["UNKNOWN_SENSOR"]
    assert await sensors_of(system_database, device) == {"a": "DOUBLE"}
