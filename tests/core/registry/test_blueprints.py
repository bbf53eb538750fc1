"""What becomes of devices when their blueprint changes, beyond what the routes show."""

from typing import Any

import pytest

from roadstead.core import registry, types
from roadstead.core.messages import ValueType
from roadstead.core.registry import Device, DeviceDraft, SensorDraft
from roadstead.core.types import AttributeDraft, Blueprint, BlueprintDraft, DeviceTypeDraft, RelationKind
from roadstead.kernel.actor import Role
from roadstead.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from roadstead.kernel.ids import TypeId, new_id, to_base62
from tests.conftest import Tenant
from tests.core.registry.test_devices import audit, facts
from tests.fleet import sensors_of


async def add_blueprint(tenant: Tenant, name: str = "tag") -> Blueprint:
    """A committed blueprint."""
    async with tenant.work() as work:
        return await types.create_blueprint(work, BlueprintDraft(name=name))


async def add_device(tenant: Tenant, type_id: TypeId) -> Device:
    """A committed device."""
    async with tenant.work() as work:
        return await registry.create_device(work, DeviceDraft(title="One", type_id=type_id))


async def test_a_new_attribute_tells_whoever_holds_the_type_and_its_devices(acme: Tenant) -> None:
    blueprint, other = await add_blueprint(acme), await add_blueprint(acme, "room")
    device, bystander = await add_device(acme, blueprint.id), await add_device(acme, other.id)
    before = len(await facts(acme))
    async with acme.work() as work:
        drafts = [AttributeDraft(path="battery", type="percent"), AttributeDraft(path="air/co2", type="int")]
        await registry.create_attributes(work, "tag", drafts)
    told = (await facts(acme))[before:]
    assert told[0] == {"fact": "DeviceTypeChanged", "type_id": str(blueprint.id)}
    assert [fact["device_id"] for fact in told[1:]] == [str(device.id)]
    database = acme.edge.system_database
    assert await sensors_of(database, device.id) == {"battery": "DOUBLE", "air.co2": "BIGINT"}
    assert await sensors_of(database, bystander.id) == {}
    assert len(await audit(acme, "attribute.create")) == 2


async def test_a_sensor_that_has_reported_nothing_becomes_what_the_attribute_says(acme: Tenant) -> None:
    blueprint = await add_blueprint(acme)
    device = await add_device(acme, blueprint.id)
    draft = SensorDraft(device_id=device.id, key="battery", name="Battery", value_type=ValueType.TEXT)
    async with acme.work() as work:
        await registry.create_sensor(work, draft)
    async with acme.work() as work:
        await registry.create_attributes(work, "tag", [AttributeDraft(path="battery", type="percent")])
    assert await sensors_of(acme.edge.system_database, device.id) == {"battery": "DOUBLE"}


async def test_when_one_attribute_is_wrong_none_is_made(acme: Tenant) -> None:
    blueprint = await add_blueprint(acme)
    drafts = [AttributeDraft(path="battery", type="percent"), AttributeDraft(path="battery/x", type="percent")]
    with pytest.raises(Conflict, match="within 'battery', a percent"):
        async with acme.work() as work:
            await registry.create_attributes(work, "tag", drafts)
    async with acme.work() as work:
        assert await types.attributes_of(work, [blueprint.id]) == {blueprint.id: []}


async def test_a_relation_leads_to_a_blueprint_of_the_same_tenant(acme: Tenant, globex: Tenant) -> None:
    await add_blueprint(acme)
    strange = await add_blueprint(globex)
    async with acme.work() as work:
        made_otherwise = await types.create_device_type(work, DeviceTypeDraft(name="Sensor"))
    for target_id in (strange.id, made_otherwise.id, TypeId(new_id())):
        fields: dict[str, Any] = {"relationship": RelationKind.ONE_TO_MANY, "target_id": target_id}
        async with acme.work() as work:
            with pytest.raises(Invalid, match="targetBlueprintId"):
                await registry.create_attributes(
                    work, "tag", [AttributeDraft(path="parts", type="relationship", **fields)]
                )


async def test_a_relation_is_found_by_its_path_and_by_its_other_end(acme: Tenant) -> None:
    tag, asset = await add_blueprint(acme), await add_blueprint(acme, "asset")
    relation = AttributeDraft(
        path="tag", type="relationship", relationship=RelationKind.ONE_TO_ONE, target_id=tag.id, forward_data=True
    )
    async with acme.work() as work:
        [made] = await registry.create_attributes(work, to_base62(asset.id), [relation])
        assert await types.relation_of(work, asset.id, "tag") == made
        assert await types.relation_of(work, tag.id, "asset") is None
        inverse = await types.find_inverse(work, made)
    assert inverse is not None
    assert (inverse.blueprint_id, inverse.path, inverse.target_id) == (tag.id, "asset", asset.id)


async def test_what_was_made_otherwise_is_shown_and_not_changed(acme: Tenant, globex: Tenant) -> None:
    async with acme.work() as work:
        sections = {"attributes": {"people": {"type": "integer"}}}
        type_ = await types.create_device_type(work, DeviceTypeDraft(name="Sensor", sections=sections))
        shown = await types.get_blueprint(work, to_base62(type_.id))
        [people] = (await types.attributes_of(work, [type_.id]))[type_.id]
        assert (shown.defined, shown.alias, people.path, people.type) == (False, None, "people", "integer")
        with pytest.raises(Forbidden, match="'Sensor' was not made as one"):
            await types.delete_blueprint(work, to_base62(type_.id))
    async with globex.work() as work:
        with pytest.raises(NotFound):
            await types.get_blueprint(work, to_base62(type_.id))


async def test_members_read_blueprints_and_do_not_change_them(acme: Tenant) -> None:
    await add_blueprint(acme)
    async with acme.work(Role.MEMBER) as work:
        assert [each.alias for each in await types.list_blueprints(work)] == ["tag"]
        with pytest.raises(Forbidden):
            await registry.create_attributes(work, "tag", [AttributeDraft(path="a", type="int")])
        with pytest.raises(Forbidden):
            await types.create_blueprint(work, BlueprintDraft(name="x"))
