"""What the registry promises to other rooms, beyond what the routes show."""

import asyncio
from typing import Any

import msgspec
import pytest

from roadstead.core import registry, types
from roadstead.core.registry import (
    Deletion,
    Device,
    DeviceChange,
    DeviceDraft,
    DeviceStatus,
    SiteDraft,
)
from roadstead.core.types import (
    ComponentTemplate,
    DeviceProfileDraft,
    ProfileField,
    SensorProfileDraft,
    ValueType,
    Version,
)
from roadstead.core.work import Work
from roadstead.kernel.actor import Role
from roadstead.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from roadstead.kernel.filter import And, Compare, Match, MatchKind, Operator, equals
from roadstead.kernel.ids import DeviceId, new_id
from roadstead.kernel.page import PageQuery
from tests.conftest import Tenant


async def facts(tenant: Tenant) -> list[Any]:
    """What has left so far with commits of the tenant, oldest first."""
    async with tenant.edge.system_database.tx() as tx:
        rows = await tx.rows("SELECT fact FROM outbox WHERE tenant_id = %s ORDER BY id", tenant.tenant_id)
    return [msgspec.json.decode(row[0]) for row in rows]


async def audit(tenant: Tenant, action: str) -> list[Any]:
    """The changes that were recorded under an action."""
    async with tenant.edge.system_database.tx() as tx:
        sql = "SELECT changes FROM audit_log WHERE tenant_id = %s AND action = %s ORDER BY at, id"
        return [row[0] for row in await tx.rows(sql, tenant.tenant_id, action)]


async def add(tenant: Tenant, name: str, **fields: Any) -> Device:
    """A committed device."""
    async with tenant.work() as work:
        return await registry.create_device(work, DeviceDraft(name=name, **fields))


async def see(work: Work, device: Device) -> None:
    """What the projection of connections does when a device has been seen."""
    await work.tx.run("UPDATE device SET status = 'ACTIVE', activated_at = now() WHERE id = %s", device.id)


async def add_pump_profile(work: Work) -> None:
    """Device profile `pump` with one component."""
    fields = [ProfileField(name="rpm", value_type=ValueType.DOUBLE)]
    draft = SensorProfileDraft(key="motor", version=Version(1, 0), name="Motor", fields=fields)
    await types.create_sensor_profile(work, draft)
    component = ComponentTemplate(key="motor", name="Motor", sensor_profile="motor")
    pump = DeviceProfileDraft(key="pump", version=Version(1, 0), name="Pump", components=[component])
    await types.create_device_profile(work, pump)


async def test_ordinals_count_up_within_a_tenant_even_when_devices_are_made_at_once(
    acme: Tenant, globex: Tenant
) -> None:
    devices = await asyncio.gather(*(add(acme, f"device {number}") for number in range(6)))
    first = await add(globex, "device 0")
    assert sorted(device.ordinal for device in devices) == [1, 2, 3, 4, 5, 6]
    assert first.ordinal == 1


async def test_of_two_that_want_one_name_at_once_one_gets_it(acme: Tenant) -> None:
    outcomes = await asyncio.gather(*(add(acme, "same") for _ in range(4)), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Conflict", "Conflict", "Conflict", "Device"]


async def test_a_draft_that_is_refused_leaves_the_transaction_usable_and_empty(acme: Tenant) -> None:
    async with acme.work() as work:
        await registry.create_device(work, DeviceDraft(name="a", external_id="x"))
        for draft, error in (
            (DeviceDraft(name="a"), Conflict),
            (DeviceDraft(name="b", external_id="x"), Conflict),
            (DeviceDraft(name="b", profile="ghost"), Invalid),
            (DeviceDraft(name="b", tags={"": ""}), Invalid),
        ):
            with pytest.raises(error):
                await registry.add_device(work, draft)
        await registry.create_device(work, DeviceDraft(name="b"))
    async with acme.work() as work:
        assert [device.name for device in (await registry.list_devices(work, page=PageQuery())).items] == ["a", "b"]


async def test_facts_and_audit_lines_tell_what_happened(acme: Tenant, globex: Tenant) -> None:
    async with acme.work() as work:
        await add_pump_profile(work)
    device = await add(acme, "pump-1", profile="pump", tags={"a": "1"})
    async with acme.work() as work:
        await registry.change_device(work, device.id, DeviceChange(tags={"a": "2"}), expected=1)
        await see(work, device)
        await registry.set_device_status(work, device.id, DeviceStatus.INACTIVE, reason="broken")
        await registry.delete_device(work, device.id, purge=True, expected=None)

    id_ = str(device.id)
    assert await facts(acme) == [
        {"fact": "DeviceCreated", "device_id": id_},
        {"fact": "DeviceChanged", "device_id": id_},
        {"fact": "DeviceStatusChanged", "device_id": id_, "status": "INACTIVE", "online": False},
        {"fact": "SessionsRevoked", "device_id": id_, "fingerprint": None, "reason": "broken"},
        {"fact": "SessionsRevoked", "device_id": id_, "fingerprint": None, "reason": "the device was deleted"},
        {"fact": "DeviceDeleted", "device_id": id_, "purge": True},
    ]
    assert await audit(acme, "device.update") == [[{"path": "tags", "from": {"a": "1"}, "to": {"a": "2"}}]]
    assert await audit(acme, "device.set-status") == [
        [{"path": "status", "from": "ACTIVE", "to": "INACTIVE"}, {"path": "reason", "to": "broken"}]
    ]
    assert len(await audit(acme, "device.create")) == len(await audit(acme, "device.delete")) == 1
    assert await facts(globex) == []


async def test_what_a_failed_part_of_a_bulk_did_leaves_no_fact_and_no_audit_line(acme: Tenant) -> None:
    device = await add(acme, "a")
    async with acme.work() as work:
        operations = [
            registry.BulkOperation([device.id, DeviceId(new_id())], DeviceChange(serial_number="1")),
            registry.BulkOperation([device.id], Deletion()),
        ]
        outcomes = await registry.change_in_bulk(work, operations, atomic=False)
    assert [type(outcome.error) for outcome in outcomes] == [type(None), NotFound, type(None)]
    assert [fact["fact"] for fact in await facts(acme)] == [
        "DeviceCreated",
        "DeviceChanged",
        "SessionsRevoked",
        "DeviceDeleted",
    ]
    assert len(await audit(acme, "device.update")) == 1


async def test_certificates_of_a_deleted_device_stay_on_the_revocation_list(acme: Tenant) -> None:
    device = await add(acme, "a")
    async with acme.edge.system_database.tx() as tx:
        for number, issued_here in ((1, True), (2, False)):
            await tx.run(
                """
                INSERT INTO certificate (tenant_id, id, device_id, dialect, fingerprint, serial_number, subject,
                                         issued_here, not_before, not_after, created_at)
                VALUES (%s, %s, %s, 'native', %s, %s, '', %s, now(), now() + interval '1 year', now())
                """,
                acme.tenant_id,
                new_id(),
                device.id,
                bytes(device.id.bytes) + bytes([number]),
                f"{device.id.hex}{number}",
                issued_here,
            )
    async with acme.work() as work:
        await registry.delete_device(work, device.id, purge=False, expected=None)
    async with acme.edge.system_database.tx() as tx:
        sql = "SELECT serial_number FROM revoked_certificate WHERE tenant_id = %s"
        assert await tx.rows(sql, acme.tenant_id) == [(f"{device.id.hex}1",)]
        for table in ("certificate", "device_state", "device_tag", "device_word"):
            assert await tx.value(f"SELECT count(*) FROM {table} WHERE tenant_id = %s", acme.tenant_id) == 0


async def test_a_device_that_gets_a_new_credential_is_pending_again(acme: Tenant) -> None:
    device = await add(acme, "a")
    async with acme.work() as work:
        same = await registry.await_check_in(work, device.id)
        await see(work, device)
        await registry.note_hardware(work, device.id, hardware_id="h1", firmware_version=None)
        await registry.note_hardware(work, device.id, hardware_id=None, firmware_version="1.2")
        waiting = await registry.await_check_in(work, device.id)
    assert (same, waiting.status) == (device, DeviceStatus.PENDING)
    assert (waiting.hardware_id, waiting.firmware_version) == ("h1", "1.2")
    assert [fact["fact"] for fact in await facts(acme)] == ["DeviceCreated", "DeviceStatusChanged"]


async def test_what_another_tenant_has_is_not_there(acme: Tenant, globex: Tenant) -> None:
    theirs = await add(globex, "theirs")
    async with globex.work() as work:
        site = await registry.create_site(work, SiteDraft(name="Theirs"))
    async with acme.work() as work:
        for call in (
            registry.get_device(work, theirs.id),
            registry.change_device(work, theirs.id, DeviceChange(name="mine"), expected=None),
            registry.delete_device(work, theirs.id, purge=False, expected=None),
            registry.await_check_in(work, theirs.id),
            registry.get_site(work, site.id),
        ):
            with pytest.raises(NotFound):
                await call
        assert await registry.load_sites(work, [site.id]) == {}
        assert await registry.sites_below(work, [site.id]) == []


async def test_rights_are_asked_for_in_the_core(acme: Tenant) -> None:
    async with acme.work(Role.MEMBER) as work:
        nobody = Work(msgspec.structs.replace(work.actor, grants=frozenset()), work.tx, work.ports)
        for call in (
            registry.create_device(nobody, DeviceDraft(name="a")),
            registry.list_devices(nobody, page=PageQuery()),
            registry.get_site_tree(nobody),
            types.list_sensor_profiles(nobody, types.ProfileQuery(), sort=None, page=PageQuery()),
        ):
            with pytest.raises(Forbidden):
                await call
        # Between rooms nobody asks twice.
        await registry.add_device(nobody, DeviceDraft(name="a"))


async def test_filters_see_names_and_tags_as_they_are_now(acme: Tenant) -> None:
    device = await add(acme, "Große Pumpe 12", external_id="A-7", tags={"zone": "n"})

    async def finds(text: str) -> bool:
        return await registry.count_devices(work, Match(("text",), MatchKind.TEXT, text)) == 1

    async with acme.work() as work:
        assert [
            text for text in ("große", "PUMPE", "12", "a-7", "7", "pumpe 1", "umpe", "pumpe 2") if await finds(text)
        ] == [
            "große",
            "PUMPE",
            "12",
            "a-7",
            "7",
            "pumpe 1",
        ]
        change = DeviceChange(name="Ventil", external_id=None, tags={"zone": "s", "x": ""})
        await registry.change_device(work, device.id, change, expected=None)
        assert [text for text in ("ventil", "pumpe", "a-7") if await finds(text)] == ["ventil"]
        for value, count in (("n", 0), ("s", 1)):
            assert await registry.count_devices(work, Compare(("tags", "zone"), Operator.EQ, value)) == count


async def test_a_regular_expression_that_only_the_database_refuses_is_invalid(acme: Tenant) -> None:
    with pytest.raises(Invalid, match="regular expression"):
        async with acme.work() as work:
            await registry.count_devices(work, Match(("name",), MatchKind.REGEX, "a{1,999}"))


async def test_a_filter_may_speak_of_sites_groups_and_profiles_anywhere_in_it(acme: Tenant) -> None:
    async with acme.work() as work:
        await add_pump_profile(work)
        plant = await registry.create_site(work, SiteDraft(name="Plant"))
        hall = await registry.create_site(work, SiteDraft(name="Hall", parent_id=plant.id))
        await registry.create_device(work, DeviceDraft(name="a", site_id=hall.id))
        await registry.create_device(work, DeviceDraft(name="b", profile="pump"))
        where = And((equals("siteTree", plant.id), equals("deviceProfile", "pump")))
        assert await registry.count_devices(work, where) == 0
        assert await registry.count_devices(work, equals("deviceProfile", "pump@1.0")) == 1
        with pytest.raises(Invalid, match="only be compared for equality"):
            await registry.count_devices(work, Compare(("siteTree",), Operator.GT, plant.id))
