"""What single devices are set to: one truth with artefacts and bindings."""

from typing import Any
from uuid import UUID

import pytest

from roadstead.core import configuration
from roadstead.core.configuration import ConfigurationSource, ReportedValues
from roadstead.core.downlinks import Downlink, Hearer, Manners
from roadstead.kernel.actor import Role
from roadstead.kernel.errors import Forbidden, NotFound, TooLarge
from roadstead.kernel.ids import DeviceId
from tests.configuration import ARTEFACTS, BINDINGS, add_artefact, bind, deliver, desired, desired_state, work_off
from tests.conftest import Tenant
from tests.dialects.native.fleet import add_device, ok


async def put(tenant: Tenant, device: Any, content: dict[str, Any]) -> None:
    """Set a device to this."""
    async with tenant.work() as work:
        await configuration.set_own(work, DeviceId(UUID(device["id"])), content)


async def own(tenant: Tenant, device: Any) -> dict[str, Any]:
    """What a device is set to."""
    async with tenant.work() as work:
        return await configuration.get_own(work, DeviceId(UUID(device["id"])))


async def sweep(tenant: Tenant) -> int:
    """What the worker does now and then."""
    async with tenant.edge.system_database.tx() as tx:
        return await configuration.sweep_own(tx, most=100)


async def versions(tenant: Tenant) -> list[Any]:
    """The contents of the artefacts that were made, oldest first."""
    page = ok(await tenant.api.get(ARTEFACTS, params={"name": "configuration", "sort": "version"}))
    return [ok(await tenant.api.get(f"{ARTEFACTS}/{item['id']}"))["content"] for item in page["items"]]


async def test_what_a_device_is_set_to_is_its_desired_state(acme: Tenant) -> None:
    lamp = await add_device(acme, "lamp-1")
    assert await own(acme, lamp) == {}
    await put(acme, lamp, {})
    assert await deliver(acme, lamp, "first") is None

    await put(acme, lamp, {"led": "auto", "air": {"limit": 800}})
    await put(acme, lamp, {"air": {"limit": 800}, "led": "auto"})
    assert await own(acme, lamp) == {"led": "auto", "air": {"limit": 800}}
    assert await desired(acme, lamp) == {("", "configuration"): {"led": "auto", "air": {"limit": 800}}}
    document = await deliver(acme, lamp, "first")
    assert document is not None
    assert (document.version, document.entries[0].content) == (1, b'{"air":{"limit":800},"led":"auto"}')

    await put(acme, lamp, {})
    emptied = await deliver(acme, lamp, "first")
    assert emptied is not None
    assert (emptied.version, emptied.entries[0].content) == (2, b"{}")
    assert await own(acme, lamp) == {}


async def test_what_is_bound_to_the_device_under_that_name_is_what_it_is_set_to(acme: Tenant) -> None:
    lamp = await add_device(acme, "lamp-1")
    await bind(acme, await add_artefact(acme, "configuration", {"led": "on"}), "DEVICE", lamp)
    await bind(acme, await add_artefact(acme, "network", {"ssid": "a"}), "DEVICE", lamp)
    assert await own(acme, lamp) == {"led": "on"}
    await put(acme, lamp, {"led": "off"})
    assert (await desired(acme, lamp))["", "configuration"] == {"led": "off"}
    (binding,) = ok(await acme.api.get(BINDINGS, params={"artefactName": "configuration"}))["items"]
    assert binding["desiredVersion"] == 2

    await bind(acme, await add_artefact(acme, "configuration", [1, 2]), "DEVICE", lamp)
    assert await own(acme, lamp) == {}


async def test_devices_that_are_set_to_the_same_share_an_artefact_and_unused_ones_go(acme: Tenant) -> None:
    await sweep(acme)
    one, other = await add_device(acme, "lamp-1"), await add_device(acme, "lamp-2")
    kept = await add_artefact(acme, "configuration", {"led": "kept"})
    for device in (one, other):
        await put(acme, device, {"led": "kept"})
        await put(acme, device, {"led": "on"})
    assert await versions(acme) == [{"led": "kept"}, {"led": "on"}]
    await put(acme, one, {"led": "off"})
    assert await sweep(acme) == 0
    await put(acme, other, {"led": "off"})
    assert await sweep(acme) == 1
    # What somebody else has made is not ours to delete.
    assert await versions(acme) == [{"led": "kept"}, {"led": "off"}]
    for device in (one, other):
        ok(await acme.api.delete(f"/api/v1/devices/{device['id']}"))
    assert await sweep(acme) == 1
    assert ok(await acme.api.get(f"{ARTEFACTS}/{kept['id']}"))["content"] == {"led": "kept"}


async def test_nobody_sets_or_sees_devices_of_others_or_without_the_right(acme: Tenant, globex: Tenant) -> None:
    lamp = await add_device(acme, "lamp-1")
    await put(acme, lamp, {"led": "on"})
    for content in ({}, {"led": "off"}):
        with pytest.raises(NotFound):
            await put(globex, lamp, content)
    with pytest.raises(NotFound):
        await own(globex, lamp)
    async with acme.work(Role.MEMBER) as work:
        with pytest.raises(Forbidden):
            await configuration.set_own(work, DeviceId(UUID(lamp["id"])), {})
    with pytest.raises(TooLarge):
        await put(acme, lamp, {"text": "x" * 70_000})
    assert (await desired_state(acme, lamp))["documentVersion"] == 1


async def test_who_remembers_is_told_again_only_what_is_new_or_was_missed_or_is_asked_for(acme: Tenant) -> None:
    lamp = await add_device(acme, "lamp-1")
    source = ConfigurationSource(acme.edge.ports)

    async def claim(session: str) -> list[Downlink]:
        hearer = Hearer(acme.tenant_id, DeviceId(UUID(lamp["id"])), session, Manners(remembers=True))
        async with acme.edge.system_database.tx() as tx:
            return await source.claim(tx, [hearer], most=50)

    await put(acme, lamp, {"led": "on"})
    assert len(await claim("a")) == 1
    missed = await claim("b")
    assert len(missed) == 1
    async with acme.edge.system_database.tx() as tx:
        await source.note_arrived(tx, missed)
    assert await claim("c") == []
    (binding,) = ok(await acme.api.get(BINDINGS, params={"artefactName": "configuration"}))["items"]
    ok(await acme.api.post(f"{BINDINGS}/{binding['id']}/resend"))
    await work_off(acme)
    assert len(await claim("c")) == 1
    await put(acme, lamp, {"led": "off"})
    assert len(await claim("c")) == 1


# --- what devices say they are set to --------------------------------------------------------------------------------


async def say(tenant: Tenant, device: Any, values: dict[str, Any], *, received: int = 1_780_000_000_000) -> None:
    """What the projection of states hands on."""
    said = ReportedValues(
        tenant=tenant.tenant_id, device=DeviceId(UUID(device["id"])), values=values, received=received
    )
    async with tenant.edge.system_database.tx() as tx:
        await configuration.take_values(tx, [said])


async def shown(tenant: Tenant, device: Any) -> tuple[str, bool]:
    """How far the device is, and whether it drifts, as the native API shows it."""
    (entry,) = (await desired_state(tenant, device))["entries"]
    return entry["status"], entry["drift"]


async def test_who_says_what_it_shall_be_set_to_has_accepted_it(acme: Tenant, globex: Tenant) -> None:
    lamp, theirs = await add_device(acme, "lamp-1"), await add_device(globex, "lamp-1")
    content = {"led": "auto", "air": {"limit": 800}, "zones": [True, False]}
    for tenant, device in ((acme, lamp), (globex, theirs)):
        await put(tenant, device, content)
    assert await shown(acme, lamp) == ("PENDING", False)

    await say(acme, lamp, {"people": 4})  # nothing of it is what it shall have
    assert await shown(acme, lamp) == ("PENDING", False)
    await say(acme, lamp, {**content, "air": {"limit": 700}})
    assert await shown(acme, lamp) == ("PENDING", True)
    for _ in range(2):
        await say(acme, lamp, {**content, "air": {"limit": 800.0, "unit": "ppm"}, "more": 1})
        assert await shown(acme, lamp) == ("ACCEPTED", False)
    await say(acme, lamp, {**content, "zones": [1, 0]})
    assert await shown(acme, lamp) == ("PENDING", True)
    await say(acme, lamp, content, received=1_700_000_000_000)  # older than what it said last
    assert await shown(acme, lamp) == ("PENDING", True)
    await say(acme, lamp, content)
    await put(acme, lamp, {"led": "off"})
    assert await shown(acme, lamp) == ("PENDING", True)
    assert await shown(globex, theirs) == ("PENDING", False)


async def test_each_artefact_is_held_against_what_the_device_says(acme: Tenant) -> None:
    lamp = await add_device(acme, "lamp-1")
    await put(acme, lamp, {"led": "on"})
    await bind(acme, await add_artefact(acme, "alarm", {"loud": True}), "DEVICE", lamp)
    await bind(acme, await add_artefact(acme, "list", [1]), "DEVICE", lamp)
    await say(acme, lamp, {"led": "on"})
    entries = (await desired_state(acme, lamp))["entries"]
    found = {entry["artefactName"]: entry["status"] for entry in entries}
    assert found == {"alarm": "PENDING", "configuration": "ACCEPTED", "list": "PENDING"}
    # A device that was never given anything leaves no trace.
    bare = await add_device(acme, "lamp-2")
    await say(acme, bare, {"led": "on"})
    assert (await desired_state(acme, bare))["documentVersion"] == 0
