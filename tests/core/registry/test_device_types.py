"""What devices have because of their types, beyond what the routes show."""

from typing import Any

import pytest

from roadstead.core import registry, types
from roadstead.core.registry import Device, DeviceChange, DeviceDraft, device_store
from roadstead.core.types import DeviceType, DeviceTypeChange, DeviceTypeDraft
from roadstead.kernel.actor import Role
from roadstead.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from roadstead.kernel.filter import EVERYTHING, Compare, Filter, In, Match, MatchKind, Operator, glob
from roadstead.kernel.page import PageQuery
from tests.conftest import Tenant
from tests.core.registry.test_devices import audit, facts
from tests.fleet import sensors_of

SECTIONS: dict[str, Any] = {"attributes": {"people": {"type": "integer"}}}


async def add_type(tenant: Tenant, sections: dict[str, Any] = SECTIONS, **fields: Any) -> DeviceType:
    """A committed type."""
    async with tenant.work() as work:
        return await types.create_device_type(work, DeviceTypeDraft(name="Sensor", sections=sections, **fields))


async def add(tenant: Tenant, **fields: Any) -> Device:
    """A committed device."""
    async with tenant.work() as work:
        return await registry.create_device(work, DeviceDraft(**fields))


async def test_a_changed_type_tells_whoever_holds_it_and_its_devices(acme: Tenant) -> None:
    type_, other = await add_type(acme), await add_type(acme)
    devices = [await add(acme, title="Sensor", type_id=type_.id) for _ in range(3)]
    bystander = await add(acme, title="Sensor", type_id=other.id)
    before = len(await facts(acme))

    async with acme.work() as work:
        sections = {"attributes": {**SECTIONS["attributes"], "lux": {"type": "number"}}}
        changed = await registry.change_device_type(work, type_.id, DeviceTypeChange(sections=sections))
    told = (await facts(acme))[before:]
    assert changed.version == 2
    assert told[0] == {"fact": "DeviceTypeChanged", "type_id": str(type_.id)}
    assert {fact["device_id"] for fact in told[1:]} == {str(device.id) for device in devices}
    assert await sensors_of(acme.edge.system_database, bystander.id) == {"people": "BIGINT"}
    assert [line["path"] for line in (await audit(acme, "device-type.update"))[0]] == ["sections"]

    async with acme.work() as work:
        await registry.change_device_type(work, type_.id, DeviceTypeChange(name="Other", communication_interval=5))
    assert [fact["fact"] for fact in (await facts(acme))[before + len(told) :]] == ["DeviceTypeChanged"]


async def test_more_devices_than_are_looked_at_together_get_their_sensors(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry.device_types, "_AT_ONCE", 2)
    type_ = await add_type(acme, {})
    devices = [await add(acme, title="Sensor", type_id=type_.id) for _ in range(5)]
    async with acme.work() as work:
        await registry.change_device_type(work, type_.id, DeviceTypeChange(sections=SECTIONS))
    for device in devices:
        assert await sensors_of(acme.edge.system_database, device.id) == {"people": "BIGINT"}


async def test_two_devices_that_are_called_alike_at_once_are_both_made(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def see_nobody(*_: object) -> bool:
        return False

    await add(acme, title="Sensor")
    monkeypatch.setattr(device_store, "is_name_taken", see_nobody)
    device = await add(acme, title="Sensor")
    assert device.name != "Sensor" and device.title == "Sensor"
    with pytest.raises(Conflict):
        await add(acme, name="Sensor")


async def test_a_type_of_another_tenant_is_none(acme: Tenant, globex: Tenant) -> None:
    theirs = await add_type(globex)
    async with acme.work() as work:
        with pytest.raises(Invalid, match="deviceTypeId"):
            await registry.create_device(work, DeviceDraft(title="x", type_id=theirs.id))
        with pytest.raises(NotFound):
            await registry.change_device_type(work, theirs.id, DeviceTypeChange(name="mine"))
        assert await types.load_device_types(work, [theirs.id]) == {}
        assert await types.device_type_ids(work, In(("id",), (theirs.id,))) == []


async def test_types_are_changed_by_those_who_may(acme: Tenant) -> None:
    type_ = await add_type(acme)
    async with acme.work(Role.MEMBER) as work:
        for attempt in (
            types.create_device_type(work, DeviceTypeDraft(name="x")),
            types.delete_device_type(work, type_.id),
            registry.change_device_type(work, type_.id, DeviceTypeChange(name="x")),
        ):
            with pytest.raises(Forbidden):
                await attempt
        assert (await types.get_device_type(work, type_.id)).name == "Sensor"


async def test_a_gateway_of_a_gateway_makes_no_circle(acme: Tenant) -> None:
    top = await add(acme, title="top")
    middle = await add(acme, title="middle", gateway_id=top.id)
    bottom = await add(acme, title="bottom", gateway_id=middle.id)
    async with acme.work() as work:
        for gateway in (top, middle, bottom):
            change = DeviceChange(gateway_id=gateway.id)
            with pytest.raises(Invalid, match="connectedBy"):
                await registry.change_device(work, top.id, change, expected=None)
        with pytest.raises(Conflict, match="connected by this one"):
            await registry.delete_device(work, middle.id, purge=False, expected=None)
        await registry.delete_device(work, bottom.id, purge=False, expected=None)
        await registry.delete_device(work, middle.id, purge=False, expected=None)


async def test_fields_of_types_and_tags_can_be_asked_of_devices(acme: Tenant) -> None:
    type_ = await add_type(acme, categories=["urn:x"])
    typed = await add(acme, title="typed", type_id=type_.id, tags={"Zone": "north"}, aliases=["a-1"])
    plain = await add(acme, name="plain", tags={"zone-2": ""})
    organization = acme.organization_id
    asked: list[tuple[Filter, list[Device]]] = [
        (EVERYTHING, [plain, typed]),
        (In(("type",), (type_.id,)), [typed]),
        (In(("type",), (organization,)), [plain]),
        (In(("type",), (type_.id, organization)), [plain, typed]),
        (In(("typeCategory",), ("urn:x",)), [typed]),
        (Compare(("typeName",), Operator.EQ, "Sensor"), [typed]),
        (Match(("tagName",), MatchKind.WILDCARD, "ZONE*", ignore_case=True), [plain, typed]),
        (Match(("tagName",), MatchKind.WILDCARD, "zone", ignore_case=True), [typed]),
        (In(("tagKey",), ("zone-2", "other")), [plain]),
        (glob("called", "pl*"), [plain]),
        (glob("alias", "a-*"), [typed]),
    ]
    async with acme.work() as work:
        for where, expected in asked:
            found = await registry.list_devices(work, where, sort="name", page=PageQuery())
            assert [device.id for device in found.items] == [device.id for device in expected], where
        assert await registry.list_tag_keys(work) == ["Zone", "zone-2"]
