"""Values that are taken away leave the state, in order with those that are written."""

from typing import Any
from uuid import UUID

import msgspec

from roadstead.core.messages import REMOVAL, Accepted, Reading, Removal, encode_removal
from roadstead.core.telemetry import Patches, copy_line, merge_state, remove_values
from roadstead.db import Database
from roadstead.kernel import ids
from roadstead.kernel.ids import TenantId
from tests.conftest import Tenant
from tests.fleet import add_device

Said = tuple[str, int, Any]
"""Path, time, value; None: it is taken away."""


def patches(tenant: TenantId, device: UUID, *said: Said) -> Patches:
    """What is new, one message each."""
    found = Patches()
    for path, at, value in said:
        if value is None:
            removal = Removal(at, [path])
            found.remove(
                Accepted.of(tenant, ids.to_bytes(device), "x", REMOVAL, at, payload=encode_removal(removal)), removal
            )
        else:
            found.add(Accepted.of(tenant, ids.to_bytes(device), "x", "data", at, [Reading(path, at, value)]))
    return found


async def apply(database: Database, tenant: TenantId, device: UUID, *said: Said) -> dict[str, Any]:
    """Project it twice, as after a crash; values by path."""
    async with database.tx() as tx:
        for _ in range(2):
            for key, patch in patches(tenant, device, *said).items():
                await merge_state(tx, [copy_line(key, patch, seen=False)])
                if patch.removed:
                    await remove_values(tx, [(patch.tenant, ids.from_bytes(key), patch.removed)])
        body = await tx.value("SELECT body FROM device_state WHERE device_id = %s", device)
    return {path: state[0] for path, state in body.items()}


async def test_the_last_word_counts_within_a_flush(acme: Tenant, system_database: Database) -> None:
    for said, wanted in (
        ([("a", 1, 1), ("b", 1, 1), ("a", 2, None)], {"b": 1}),
        ([("a", 1, 1), ("a", 2, None), ("a", 3, 3)], {"a": 3}),
        ([("a", 2, 2), ("a", 2, None)], {}),
        ([("a", 2, None), ("a", 2, 2)], {"a": 2}),
        ([("a", 3, 3), ("a", 2, None)], {"a": 3}),
        ([("a", 2, None), ("a", 1, 1)], {}),
        ([("a", 2, None), ("a", 3, 3), ("a", 1, 1)], {"a": 3}),
    ):
        device = await add_device(system_database, acme.tenant_id)
        assert await apply(system_database, acme.tenant_id, device, *said) == wanted, said


async def test_the_last_word_counts_over_flushes(acme: Tenant, system_database: Database) -> None:
    for said, wanted in (
        ([("a", 1, 1), ("a", 2, None)], {}),
        ([("a", 1, 1), ("a", 2, None), ("a", 3, 3)], {"a": 3}),
        ([("a", 2, None), ("a", 1, 1)], {}),
        ([("a", 2, None), ("b", 5, 5), ("a", 1, 1)], {"b": 5}),
        ([("a", 2, None), ("b", 5, 5), ("a", 3, 3)], {"a": 3, "b": 5}),
        ([("a", 3, 3), ("a", 2, None)], {"a": 3}),
        ([("a", 5, None), ("a", 2, None), ("b", 9, 9), ("a", 4, 4)], {"b": 9}),
    ):
        device = await add_device(system_database, acme.tenant_id)
        found: dict[str, Any] = {}
        for one in said:
            found = await apply(system_database, acme.tenant_id, device, one)
        assert found == wanted, said


async def test_a_removal_is_of_its_own_device(acme: Tenant, globex: Tenant, system_database: Database) -> None:
    mine = await add_device(system_database, acme.tenant_id)
    theirs = await add_device(system_database, globex.tenant_id)
    for tenant, one in ((acme, mine), (globex, theirs)):
        await apply(system_database, tenant.tenant_id, one, ("a", 1, 1))
    async with system_database.tx() as tx:
        await remove_values(tx, [(globex.tenant_id, mine, {"a": 5}), (globex.tenant_id, theirs, {"a": 5})])
    assert await apply(system_database, acme.tenant_id, mine, ("b", 1, 1)) == {"a": 1, "b": 1}
    assert await apply(system_database, globex.tenant_id, theirs, ("b", 1, 1)) == {"b": 1}


def test_a_removal_comes_out_of_its_payload_as_it_went_in() -> None:
    payload = encode_removal(Removal(7, ["a", "b"]))
    assert msgspec.msgpack.decode(payload, type=Removal) == Removal(7, ["a", "b"])
