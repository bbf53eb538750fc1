"""What the MQTT door refuses is an entry in quarantine: from the door's notice to what its owner reads."""

from uuid import UUID

import msgspec

from roadstead.core.messages import REFUSED, SESSION, RefusalNotice, Uplink
from roadstead.core.telemetry import Quarantined, insert_quarantined, quarantine_id
from roadstead.kernel import ids, time
from tests.conftest import Tenant
from tests.dialects.native.fleet import ok
from tests.fleet import add_device

QUARANTINE = "/api/v1/admin/quarantine"
NOTICE = RefusalNotice("FORBIDDEN_TOPIC", "published to a topic that is not its own", "v1/elsewhere", 5_000, b'{"a":1}')


async def refuse(tenant: Tenant, device: UUID, notice: RefusalNotice | bytes) -> None:
    """As the store role does with what the door says."""
    payload = notice if isinstance(notice, bytes) else msgspec.msgpack.encode(notice)
    message = Uplink(tenant.tenant_id, ids.to_bytes(device), SESSION, REFUSED, time.to_millis(time.now()), payload)
    taken = await tenant.edge.intake.take_in([message])
    assert [(accepted.readings, accepted.payload) for accepted in taken.accepted] == [([], b"")]
    ((index, refusal),) = taken.refused
    async with tenant.edge.system_database.tx() as tx:
        entry = Quarantined(quarantine_id(message, str(ids.new_id()), index), message, refusal)
        await insert_quarantined(tx, [entry])


async def test_the_owner_reads_what_was_refused_at_the_door(acme: Tenant, globex: Tenant) -> None:
    device = await add_device(acme.edge.system_database, acme.tenant_id)
    await refuse(acme, device, msgspec.structs.replace(NOTICE, others=41))

    (entry,) = ok(await acme.api.get(QUARANTINE, params={"reason": "FORBIDDEN_TOPIC"}))["items"]
    assert (entry["deviceId"], entry["source"], entry["payload"]) == (str(device), "MQTT", {"a": 1})
    assert entry["detail"] == (
        "published to a topic that is not its own; topic 'v1/elsewhere', 5000 bytes, of which 7 are kept;"
        " 41 more messages were refused shortly before"
    )
    assert ok(await globex.api.get(QUARANTINE))["items"] == []


async def test_a_notice_that_cannot_be_read_is_kept_as_it_is(acme: Tenant) -> None:
    device = await add_device(acme.edge.system_database, acme.tenant_id)
    await refuse(acme, device, b"\xc1")
    await refuse(acme, device, msgspec.structs.replace(NOTICE, reason="UNHEARD_OF"))
    items = ok(await acme.api.get(QUARANTINE))["items"]
    assert [entry["reason"] for entry in items] == ["MALFORMED", "MALFORMED"]


async def test_what_never_came_in_is_refused_again_for_the_same_reason(acme: Tenant) -> None:
    device = await add_device(acme.edge.system_database, acme.tenant_id)
    await refuse(acme, device, NOTICE)
    (before,) = ok(await acme.api.get(QUARANTINE))["items"]

    answer = await acme.api.post(f"{QUARANTINE}/replay", json={"ids": [before["id"]]})

    assert answer.status_code == 207
    assert answer.json()["results"][0]["problem"]["code"] == "forbidden-topic"
    (after,) = ok(await acme.api.get(QUARANTINE))["items"]
    assert after == before | {"attempts": 2}
