"""Relations between devices, and their names in networks."""

import pytest

from roadstead.core import registry, types
from roadstead.core.registry import Device, DeviceDraft
from roadstead.core.types import Attribute, AttributeDraft, BlueprintDraft, RelationKind
from roadstead.kernel.errors import Conflict, Invalid, NotFound
from roadstead.kernel.filter import And
from roadstead.kernel.ids import to_base62
from roadstead.kernel.page import PageQuery
from tests.conftest import Tenant
from tests.core.registry.test_devices import audit, facts


async def relation(tenant: Tenant, kind: RelationKind) -> Attribute:
    """From `asset` to `tag`, two new blueprints."""
    async with tenant.work() as work:
        tag = await types.create_blueprint(work, BlueprintDraft(name=f"tag {kind}"))
        asset = await types.create_blueprint(work, BlueprintDraft(name=f"asset {kind}"))
        draft = AttributeDraft(path="tags", type="relationship", relationship=kind, target_id=tag.id)
        (made,) = await registry.create_attributes(work, to_base62(asset.id), [draft])
    return made


async def ends(tenant: Tenant, attribute: Attribute, parents: int, children: int) -> tuple[list[Device], list[Device]]:
    """So many devices on each end."""
    async with tenant.work() as work:
        above = [
            await registry.create_device(work, DeviceDraft(title="A", type_id=attribute.blueprint_id))
            for _ in range(parents)
        ]
        below = [
            await registry.create_device(work, DeviceDraft(title="T", type_id=attribute.target_id))
            for _ in range(children)
        ]
    return above, below


async def test_whoever_holds_one_of_both_ends_is_told(acme: Tenant) -> None:
    attribute = await relation(acme, RelationKind.ONE_TO_MANY)
    (asset, other), (tag,) = await ends(acme, attribute, 2, 1)
    before = len(await facts(acme))
    async with acme.work() as work:
        await registry.link_child(work, attribute, asset.id, tag.id, force=False)
        await registry.link_child(work, attribute, asset.id, tag.id, force=False)
    told = (await facts(acme))[before:]
    assert told == [{"fact": "DeviceChanged", "device_id": str(each.id)} for each in (asset, tag)]

    async with acme.work() as work:
        await registry.link_child(work, attribute, other.id, tag.id, force=True)
    told = (await facts(acme))[before + 2 :]
    assert {fact["device_id"] for fact in told} == {str(each.id) for each in (asset, other, tag)}
    assert len(await audit(acme, "relation.create")) == 2
    assert len(await audit(acme, "relation.delete")) == 1


async def test_a_child_that_finds_no_room_is_not_made_either(acme: Tenant) -> None:
    attribute = await relation(acme, RelationKind.ONE_TO_ONE)
    (asset,), _ = await ends(acme, attribute, 1, 0)
    async with acme.work() as work:
        await registry.create_child(work, attribute, asset.id, DeviceDraft(title="first"))
    with pytest.raises(Conflict, match="taken"):
        async with acme.work() as work:
            await registry.create_child(work, attribute, asset.id, DeviceDraft(title="second"))
    async with acme.work() as work:
        assert await registry.count_devices(work) == 2
        (only,) = await registry.list_only_children(work, [asset.id])
        assert (only.parent_id, only.path) == (asset.id, "tags")


async def test_relations_go_with_either_device(acme: Tenant) -> None:
    attribute = await relation(acme, RelationKind.MANY_TO_MANY)
    assets, tags = await ends(acme, attribute, 2, 2)
    async with acme.work() as work:
        for asset in assets:
            for tag in tags:
                await registry.link_child(work, attribute, asset.id, tag.id, force=False)
        await registry.delete_device(work, assets[0].id, purge=True, expected=None)
        await registry.delete_device(work, tags[0].id, purge=True, expected=None)
    async with acme.work() as work:
        every = await registry.list_devices(work, registry.related(attribute, None), page=PageQuery())
        assert [device.id for device in every.items] == [tags[1].id]
        assert await registry.find_children(work, attribute, [assets[1].id]) == [tags[1].id]
        none = And((registry.related(attribute, []),))
        assert (await registry.list_devices(work, none, page=PageQuery())).items == []


async def test_relations_are_made_by_those_who_may_and_within_a_tenant(acme: Tenant, globex: Tenant) -> None:
    attribute = await relation(acme, RelationKind.ONE_TO_MANY)
    (asset,), (tag,) = await ends(acme, attribute, 1, 1)
    theirs = await relation(globex, RelationKind.ONE_TO_MANY)
    _, (their_tag,) = await ends(globex, theirs, 0, 1)
    async with acme.work() as work:
        with pytest.raises(NotFound):
            await registry.link_child(work, attribute, asset.id, their_tag.id, force=True)
        with pytest.raises(Invalid):
            await registry.link_child(work, attribute, asset.id, asset.id, force=False)
        await registry.link_child(work, attribute, asset.id, tag.id, force=False)
    async with globex.work() as work:
        assert not await registry.is_child(work, attribute, asset.id, tag.id)
        with pytest.raises(NotFound):
            await registry.unlink_child(work, attribute, asset.id, tag.id)
    async with acme.work() as work:
        assert await registry.is_child(work, attribute, asset.id, tag.id)


async def test_a_name_in_a_network_is_free_when_its_device_gave_it_up(acme: Tenant) -> None:
    named = {"lora": {"deveui": "1"}}
    async with acme.work() as work:
        first = await registry.create_device(work, DeviceDraft(name="a", network_aliases=named, network_id="lora"))
        with pytest.raises(Conflict, match="'1' already exists"):
            await registry.create_device(work, DeviceDraft(name="b", network_aliases=named))
        second = await registry.create_device(work, DeviceDraft(name="b"))
        await registry.change_device(work, first.id, registry.DeviceChange(network_aliases=None), expected=None)
        after = await registry.change_device(
            work, second.id, registry.DeviceChange(network_aliases=named, network_id=None), expected=None
        )
    assert after.network_aliases == named
    async with acme.work() as work:
        assert (await registry.get_device(work, first.id)).network_aliases == {}
        replaced = await registry.replace_device(work, second.id, DeviceDraft(name="c"), expected=None)
        assert replaced.network_aliases == named
