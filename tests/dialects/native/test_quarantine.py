"""/admin/quarantine: what was refused can be looked at, tried again and discarded."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from roadstead.bus import Bus
from roadstead.core.messages import Uplink, ValueType
from roadstead.core.telemetry import Quarantined, insert_quarantined, quarantine_id
from roadstead.dialects.native import NativeCodec
from roadstead.kernel import ids, time
from roadstead.kernel.actor import Grant, Role
from roadstead.kernel.ids import new_id
from roadstead.kernel.time import spell_instant, to_millis
from tests.conftest import Tenant
from tests.dialects.native.fleet import ok, problem
from tests.dialects.native.test_ingest import Log
from tests.fleet import add_device, add_sensor, item, uplink

QUARANTINE = "/api/v1/admin/quarantine"


async def refuse(tenant: Tenant, message: Uplink) -> list[UUID]:
    """As the store does with what a device sent; the ids of what was refused."""
    taken = await tenant.edge.intake.take_in([message])
    entries = [
        Quarantined(quarantine_id(message, message.received, place), message, refusal)
        for place, (_, refusal) in enumerate(taken.refused)
    ]
    async with tenant.edge.system_database.tx() as tx:
        await insert_quarantined(tx, entries)
    return [entry.id for entry in entries]


async def narrow_device(tenant: Tenant) -> tuple[UUID, UUID]:
    """A device whose sensor `speed` takes 0 to 100; both ids."""
    database = tenant.edge.system_database
    device = await add_device(database, tenant.tenant_id)
    return device, await add_sensor(database, tenant.tenant_id, device, "speed", ValueType.DOUBLE, min=0, max=100)


async def widen(tenant: Tenant, device: UUID, sensor: UUID) -> None:
    """Let the sensor take more."""
    async with tenant.edge.system_database.tx() as tx:
        await tx.run("UPDATE sensor SET max = 1000 WHERE id = %s", sensor)
    tenant.edge.intake._catalog.forget(ids.to_bytes(device))


async def entries(tenant: Tenant, **params: Any) -> list[Any]:
    """A page of entries."""
    return list(ok(await tenant.api.get(QUARANTINE, params=params))["items"])


async def test_an_entry_shows_what_was_sent_and_why_it_was_not_taken(acme: Tenant, globex: Tenant) -> None:
    device, _ = await narrow_device(acme)
    [id_] = await refuse(acme, uplink(acme.tenant_id, device, item("speed", 500)))

    entry = ok(await acme.api.get(f"{QUARANTINE}/{id_}"))

    assert (entry["reason"], entry["sensorRef"], entry["deviceId"]) == ("OUT_OF_RANGE", "speed", str(device))
    assert (entry["source"], entry["attempts"], entry["payload"]["value"]) == ("MQTT", 1, 500)
    kept = time.parse_instant(entry["expiresAt"]), time.parse_instant(entry["receivedAt"])
    assert kept[0] is not None and kept[1] is not None and kept[0] - kept[1] == timedelta(days=30)
    assert (await globex.api.get(f"{QUARANTINE}/{id_}")).status_code == 404
    assert (await globex.api.delete(f"{QUARANTINE}/{id_}")).status_code == 404


async def test_what_is_no_json_is_shown_as_text(acme: Tenant) -> None:
    device, _ = await narrow_device(acme)
    [id_] = await refuse(acme, uplink(acme.tenant_id, device, b"\xffspeed=5"))

    assert ok(await acme.api.get(f"{QUARANTINE}/{id_}"))["payload"] == "\ufffdspeed=5"


async def test_entries_come_newest_first_and_are_found_by_reason_device_and_time(acme: Tenant, globex: Tenant) -> None:
    one, _ = await narrow_device(acme)
    two, _ = await narrow_device(acme)
    now = to_millis(time.now())
    [old] = await refuse(acme, uplink(acme.tenant_id, one, item("speed", 500), received=now - 60_000))
    [new] = await refuse(acme, uplink(acme.tenant_id, two, item("speed", "fast"), received=now))
    foreign, _ = await narrow_device(globex)
    await refuse(globex, uplink(globex.tenant_id, foreign, item("speed", 500)))
    between = spell_instant(time.from_millis(now - 30_000))

    assert [entry["id"] for entry in await entries(acme)] == [str(new), str(old)]
    assert [entry["id"] for entry in await entries(acme, reason="OUT_OF_RANGE")] == [str(old)]
    assert [entry["id"] for entry in await entries(acme, reason=["OUT_OF_RANGE", "TYPE_MISMATCH"], limit=1)] == [
        str(new)
    ]
    assert [entry["id"] for entry in await entries(acme, deviceId=str(two))] == [str(new)]
    assert [entry["id"] for entry in await entries(acme, to=between)] == [str(old)]
    assert [entry["id"] for entry in await entries(acme, **{"from": between})] == [str(new)]
    first = ok(await acme.api.get(QUARANTINE, params={"limit": 1}))
    second = await entries(acme, limit=1, cursor=first["nextCursor"])
    assert [entry["id"] for entry in second] == [str(old)]
    assert problem(await acme.api.get(QUARANTINE, params={"reason": "MOOD"}))[2] == ["reason"]


async def test_statistics_count_by_reason_and_device(acme: Tenant, globex: Tenant) -> None:
    device, _ = await narrow_device(acme)
    await refuse(acme, uplink(acme.tenant_id, device, [item("speed", 500), item("speed", "fast"), item("speed", -1)]))
    foreign, _ = await narrow_device(globex)
    await refuse(globex, uplink(globex.tenant_id, foreign, item("speed", 500)))

    stats = ok(await acme.api.get(f"{QUARANTINE}/stats"))

    assert stats == {
        "total": 3,
        "byReason": {"OUT_OF_RANGE": 2, "TYPE_MISMATCH": 1},
        "byDevice": [{"deviceId": str(device), "count": 3}],
    }


async def test_what_passes_a_replay_reaches_the_log_and_leaves_quarantine(acme: Tenant, bus: Bus) -> None:
    device, sensor = await narrow_device(acme)
    received = to_millis(time.now()) - 3_600_000
    message = uplink(acme.tenant_id, device, [item("speed", 500), item("speed", "fast")], received=received)
    out_of_range, mismatch = await refuse(acme, message)
    await widen(acme, device, sensor)
    log = Log(bus)
    await log.open()

    answer = await acme.api.post(f"{QUARANTINE}/replay", json={"ids": [str(out_of_range), str(mismatch), "no id"]})

    assert (answer.status_code, answer.json()["succeeded"], answer.json()["failed"]) == (207, 1, 2)
    lines = answer.json()["results"]
    assert [(line["index"], line["status"]) for line in lines] == [(0, 200), (1, 422), (2, 404)]
    assert lines[1]["problem"]["code"] == "type-mismatch"
    [replayed] = await log.next(acme)
    assert [reported.value for reported in NativeCodec().decode(replayed).reported] == [500]
    assert replayed.received == received
    [accepted] = (await acme.edge.intake.take_in([replayed])).accepted
    assert accepted.replayed
    [left] = await entries(acme)
    assert (left["id"], left["attempts"]) == (str(mismatch), 2)
    await log.close()


async def test_a_whole_message_is_replayed_in_the_words_of_its_dialect(acme: Tenant, bus: Bus) -> None:
    device, _ = await narrow_device(acme)
    [id_] = await refuse(acme, uplink(acme.tenant_id, device, {"timestamp": "soon"}, channel="health"))
    async with acme.edge.system_database.tx() as tx:
        await tx.run(
            "UPDATE quarantine SET payload = %s WHERE id = %s",
            b'{"timestamp": "2026-01-01T00:00:00Z", "uptimeSeconds": 5}',
            id_,
        )
    log = Log(bus)
    await log.open()

    answer = await acme.api.post(f"{QUARANTINE}/replay", json={"filter": {"deviceId": str(device)}})

    assert (answer.status_code, answer.json()["succeeded"]) == (200, 1)
    assert (await log.next(acme))[0].channel == "health"
    await log.close()


async def test_a_filter_replays_only_what_it_means_and_only_the_own(acme: Tenant, globex: Tenant) -> None:
    device, sensor = await narrow_device(acme)
    await refuse(acme, uplink(acme.tenant_id, device, [item("speed", 500), item("speed", "fast")]))
    foreign, _ = await narrow_device(globex)
    [theirs] = await refuse(globex, uplink(globex.tenant_id, foreign, item("speed", 500)))
    await widen(acme, device, sensor)

    by_reason = await acme.api.post(f"{QUARANTINE}/replay", json={"filter": {"reason": "OUT_OF_RANGE"}})
    of_others = await acme.api.post(f"{QUARANTINE}/replay", json={"ids": [str(theirs)]})

    assert (by_reason.status_code, len(by_reason.json()["results"])) == (200, 1)
    assert of_others.json()["results"][0]["status"] == 404
    assert [entry["reason"] for entry in await entries(acme)] == ["TYPE_MISMATCH"]
    assert len(await entries(globex)) == 1


@pytest.mark.parametrize("body", [{}, {"ids": [], "filter": {}}, {"filter": {"mood": "bad"}}, {"ids": ["x"] * 1_001}])
async def test_a_replay_says_what_it_means(acme: Tenant, body: dict[str, Any]) -> None:
    assert (await acme.api.post(f"{QUARANTINE}/replay", json=body)).status_code == 422


async def test_discarded_is_discarded(acme: Tenant) -> None:
    device, _ = await narrow_device(acme)
    first, *_ = await refuse(acme, uplink(acme.tenant_id, device, [item("speed", value) for value in (500, "a", "b")]))

    assert (await acme.api.delete(f"{QUARANTINE}/{first}")).status_code == 204
    assert (await acme.api.delete(f"{QUARANTINE}/{first}")).status_code == 404
    everything = await acme.api.delete(QUARANTINE)
    assert problem(everything) == (422, "validation-failed", ["reason"])
    assert ok(await acme.api.delete(QUARANTINE, params={"reason": "OUT_OF_RANGE"})) == {"deleted": 0}
    assert ok(await acme.api.delete(QUARANTINE, params={"deviceId": str(device)})) == {"deleted": 2}
    assert await entries(acme) == []
    actions = ok(await acme.api.get("/api/v1/audit-log", params={"action": "quarantine"}))["items"]
    assert {entry["action"] for entry in actions} == {"quarantine.delete", "quarantine.purge"}


async def test_quarantine_is_for_administrators(acme: Tenant) -> None:
    reader = acme.client(await acme.add_key([Grant.QUARANTINE_READ]))

    assert Grant.QUARANTINE_READ not in acme.actor(Role.MEMBER).grants
    assert (await reader.get(QUARANTINE)).status_code == 200
    for answer in (
        await reader.post(f"{QUARANTINE}/replay", json={"filter": {}}),
        await reader.delete(QUARANTINE, params={"reason": "MALFORMED"}),
        await reader.delete(f"{QUARANTINE}/{new_id()}"),
    ):
        assert problem(answer)[:2] == (403, "scope-missing")
