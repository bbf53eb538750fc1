"""Access keys: which device comes in with which, from where, and what it may say and hear then."""

import msgspec
import pytest

from roadstead.core import provisioning, registry
from roadstead.core.messages import KeyRevoked, decode_fact
from roadstead.core.provisioning import (
    AccessKeyChange,
    AccessKeyDraft,
    AccessKeyStatus,
    AddressFilter,
    Admitted,
    KeyTag,
    NewAccessKey,
    TopicFilter,
)
from roadstead.core.registry import DeviceDraft
from roadstead.core.work import Entry
from roadstead.kernel.actor import Role
from roadstead.kernel.errors import Forbidden, Invalid, NotFound, Unauthenticated
from roadstead.kernel.ids import DeviceId, SpaceId, new_id
from tests.conftest import Tenant


async def add_space(tenant: Tenant) -> SpaceId:
    """A space of its own."""
    async with tenant.work() as work:
        return (await registry.create_space(work, registry.SpaceDraft(name="Harbour"))).id


async def add_device(tenant: Tenant, space_id: SpaceId, **tags: str) -> DeviceId:
    """A device in a space."""
    async with tenant.work() as work:
        draft = DeviceDraft(name=f"pump-{new_id()}", tags=tags, space_id=space_id, virtual=True)
        return (await registry.create_device(work, draft)).id


async def add_key(tenant: Tenant, space_id: SpaceId, **fields: object) -> NewAccessKey:
    """A key of a space."""
    async with tenant.work() as work:
        return await provisioning.create_access_key(work, space_id, msgspec.convert(fields, AccessKeyDraft))


async def come(tenant: Tenant, device_id: DeviceId, made: NewAccessKey, *, address: str = "192.0.2.7") -> Admitted:
    """What a door asks."""
    async with tenant.edge.system_database.tx() as tx:
        entry = Entry(tx, tenant.edge.ports, address=address, request_id="test")
        return await provisioning.admit_access_key(entry, device_id, made.key.key, made.secret)


async def test_a_device_comes_in_with_a_key_of_its_own_space_and_no_other(acme: Tenant, globex: Tenant) -> None:
    here, there = await add_space(acme), await add_space(acme)
    device = await add_device(acme, here)
    made = await add_key(acme, here)
    admitted = await come(acme, device, made)
    assert (admitted.device.device_id, admitted.device.tenant_id) == (device, acme.tenant_id)
    assert (admitted.device.dialect, admitted.device.key_id) == ("losant", made.key.id)
    foreign = await add_space(globex)
    wrong = NewAccessKey(made.key, "0" * 64)
    for other, key in (
        (device, wrong),
        (await add_device(acme, there), made),
        (await add_device(globex, foreign), made),
        (device, await add_key(globex, foreign)),
        (DeviceId(new_id()), made),
    ):
        with pytest.raises(Unauthenticated):
            await come(acme, other, key)


async def test_a_key_is_for_the_devices_it_names_and_those_that_have_one_of_its_tags(acme: Tenant) -> None:
    space = await add_space(acme)
    named, tagged, other = [await add_device(acme, space, **tags) for tags in ({}, {"kind": "pump"}, {"kind": "fan"})]
    made = await add_key(acme, space, device_ids=[named], device_tags=[KeyTag("kind", "pump"), KeyTag(value="red")])
    assert (await come(acme, named, made)).key.is_restricted
    await come(acme, tagged, made)
    await come(acme, await add_device(acme, space, colour="red"), made)
    with pytest.raises(Unauthenticated):
        await come(acme, other, made)


async def test_a_key_can_only_name_devices_of_its_space(acme: Tenant) -> None:
    here, there = await add_space(acme), await add_space(acme)
    device = await add_device(acme, there)
    with pytest.raises(Invalid, match="deviceIds/0"):
        await add_key(acme, here, device_ids=[device])


async def test_a_key_says_from_where_devices_may_come(acme: Tenant) -> None:
    space = await add_space(acme)
    device = await add_device(acme, space)
    network = ["10.1.0.0/16", "2001:db8::1"]
    inside = await add_key(acme, space, address_filter=AddressFilter.WHITELIST, addresses=network)
    outside = await add_key(acme, space, address_filter=AddressFilter.BLACKLIST, addresses=network)
    for address, is_listed in (
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("2001:db8::1", True),
        ("10.2.0.1", False),
        ("", False),
    ):
        allowed, refused = (inside, outside) if is_listed else (outside, inside)
        await come(acme, device, allowed, address=address)
        with pytest.raises(Forbidden):
            await come(acme, device, refused, address=address)


async def test_a_key_that_is_inactive_and_a_device_that_is_stay_outside(acme: Tenant) -> None:
    space = await add_space(acme)
    device = await add_device(acme, space)
    made = await add_key(acme, space)
    async with acme.work() as work:
        change = AccessKeyChange(status=AccessKeyStatus.INACTIVE)
        await provisioning.change_access_key(work, space, made.key.id, change)
    with pytest.raises(Forbidden, match="inactive"):
        await come(acme, device, made)
    good = await add_key(acme, space)
    async with acme.work() as work:
        await registry.set_device_status(work, device, registry.DeviceStatus.INACTIVE, reason=None)
    with pytest.raises(Forbidden, match="device is inactive"):
        await come(acme, device, good)


async def test_sessions_are_cut_when_other_rules_hold_and_not_for_another_name(acme: Tenant) -> None:
    space = await add_space(acme)
    made = await add_key(acme, space)
    for change, is_cut in (
        (AccessKeyChange(name="quay", description="by the water"), False),
        (AccessKeyChange(topic_filter=TopicFilter.NONE), True),
        (AccessKeyChange(status=AccessKeyStatus.INACTIVE), True),
        (AccessKeyChange(status=AccessKeyStatus.INACTIVE), False),
    ):
        async with acme.work() as work:
            await provisioning.change_access_key(work, space, made.key.id, change)
            assert [decode_fact(fact) for _, _, fact in work.tx._facts] == [KeyRevoked(made.key.id)] * is_cut
    async with acme.work() as work:
        await provisioning.delete_access_key(work, space, made.key.id)
        assert [decode_fact(fact) for _, _, fact in work.tx._facts] == [KeyRevoked(made.key.id)]
    async with acme.work() as work:
        with pytest.raises(NotFound):
            await provisioning.get_access_key(work, space, made.key.id)


async def test_members_see_keys_and_do_not_make_them(acme: Tenant) -> None:
    space = await add_space(acme)
    made = await add_key(acme, space)
    async with acme.work(Role.MEMBER) as work:
        assert (await provisioning.get_access_key(work, space, made.key.id)).key == made.key.key
        with pytest.raises(Forbidden):
            await provisioning.create_access_key(work, space, AccessKeyDraft())


async def test_the_audit_log_has_the_rules_of_a_key_and_not_its_secret(acme: Tenant) -> None:
    space = await add_space(acme)
    async with acme.work() as work:
        made = await provisioning.create_access_key(work, space, AccessKeyDraft(name="quay"))
        (line,) = work.tx.audit
    assert line.action == "access-key.create"
    assert made.secret not in str(line)


@pytest.mark.parametrize(
    ("filter_", "listed", "allowed", "refused"),
    [
        (TopicFilter.ALL, [], ["a", "a/#", "#"], []),
        (TopicFilter.NONE, ["a"], [], ["a", "#"]),
        (
            TopicFilter.WHITELIST,
            ["a/+/c", "b/#"],
            ["a/x/c", "a/+/c", "b", "b/c/d", "b/+/#"],
            ["a/x/d", "a/#", "+", "#"],
        ),
        (TopicFilter.BLACKLIST, ["a/+/c", "b/#"], ["a/x/d", "c/#", "a"], ["a/x/c", "a/#", "b", "+/+/+", "#", "+"]),
    ],
)
async def test_a_key_says_which_free_topics_its_devices_may_use(
    acme: Tenant, filter_: TopicFilter, listed: list[str], allowed: list[str], refused: list[str]
) -> None:
    space = await add_space(acme)
    made = await add_key(acme, space, topic_filter=filter_, publish_topics=["only/this"], hear_topics=listed)
    assert [topic for topic in (*allowed, *refused) if made.key.may_hear(topic)] == allowed
    swapped = await add_key(acme, space, topic_filter=filter_, publish_topics=listed, hear_topics=["only/this"])
    plain = [topic for topic in (*allowed, *refused) if "+" not in topic and "#" not in topic]
    assert [topic for topic in plain if swapped.key.may_publish(topic)] == [each for each in allowed if each in plain]
