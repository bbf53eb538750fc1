"""Documents: worked out in batches, by several workers, through crashes; handed to sessions."""

import asyncio
import random
from collections import Counter
from typing import Any

import httpx
import pytest

from roadstead.core import configuration
from roadstead.core.configuration import document_store, sweep_store
from roadstead.core.messages import DesiredStateChanged, DownlinkQueued
from roadstead.kernel.errors import Unavailable
from roadstead.workers.configuration import ConfigurationWorker
from tests.configuration import (
    BINDINGS,
    add_artefact,
    bind,
    deliver,
    desired,
    desired_state,
    facts_of,
    report,
    saying,
    work_off,
)
from tests.conftest import Tenant
from tests.dialects.native.fleet import MOTOR, PUMP, add_device, ok


async def add_group(tenant: Tenant, **selector: Any) -> Any:
    """A group of devices, as answered."""
    return ok(await tenant.api.post("/api/v1/device-groups", json={"name": str(selector), "selector": selector}))


async def batch(tenant: Tenant, most: int) -> configuration.Batch | None:
    """The next batch of a sweep, by a worker."""
    async with tenant.edge.system_database.tx() as tx:
        sweep = await configuration.lock_sweep(tx)
        return None if sweep is None else await configuration.work_sweep(tx, tenant.edge.ports, sweep, most=most)


# --- batches ---------------------------------------------------------------------------------------------------------


async def test_a_worker_that_dies_leaves_nothing_half_done_and_nothing_forgotten(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    await work_off(acme)  # what other tests have left
    devices = [await add_device(acme, f"pump-{number}", tags={"a": "1"}) for number in range(5)]
    group = await add_group(acme, matchTags={"a": "1"})
    await bind(acme, await add_artefact(acme, "network", 1), "DEVICE_GROUP", group)

    async def have() -> int:
        return sum([bool(await desired(acme, device)) for device in devices])

    async def die(*_: object) -> None:
        raise ConnectionError("killed")

    progress = []
    for _ in range(3):
        with monkeypatch.context() as patch, pytest.raises(ConnectionError):
            patch.setattr(sweep_store, "advance_sweep", die)
            patch.setattr(sweep_store, "delete_sweep", die)
            await batch(acme, 2)
        before = await have()
        done = await batch(acme, 2)
        assert done is not None
        assert await have() - before == done.changed
        progress.append(done.examined)
    assert progress == [2, 2, 1]
    assert await batch(acme, 2) is None
    assert [(await desired_state(acme, device))["documentVersion"] for device in devices] == [1] * 5
    told = [fact.device_id for fact in await facts_of(acme) if isinstance(fact, DesiredStateChanged)]
    assert sorted(map(str, told)) == sorted(device["id"] for device in devices)


async def test_a_change_in_the_middle_of_a_sweep_reaches_everybody(acme: Tenant) -> None:
    await work_off(acme)  # what other tests have left
    devices = [await add_device(acme, f"pump-{number}", tags={"a": "1"}) for number in range(6)]
    group = await add_group(acme, matchTags={"a": "1"})
    first, second = await add_artefact(acme, "network", 1), await add_artefact(acme, "network", 2)
    await bind(acme, first, "DEVICE_GROUP", group)
    await batch(acme, 2)
    for artefact in (second, first, second):
        await bind(acme, artefact, "DEVICE_GROUP", group)
    async with acme.edge.system_database.tx() as tx:
        waiting = await tx.value("SELECT count(*) FROM config_sweep WHERE tenant_id = %s", acme.tenant_id)
    examined = 0
    while (done := await batch(acme, 2)) is not None:
        examined += done.examined

    assert waiting == 4
    assert examined <= 12  # the three that had not begun are one
    assert [await desired(acme, device) for device in devices] == [{("", "network"): 2}] * 6


async def test_two_workers_share_the_work_while_bindings_change(acme: Tenant, globex: Tenant) -> None:
    fleets = {}
    for tenant in (acme, globex):
        group = await add_group(tenant, matchTags={"a": "1"})
        devices = [await add_device(tenant, f"pump-{number}", tags={"a": "1"}) for number in range(8)]
        made = [await add_artefact(tenant, "network", number) for number in range(4)]
        fleets[tenant] = (group, devices, made)
    workers = [ConfigurationWorker(acme.edge.system_database, acme.edge.ports, asyncio.Event()) for _ in range(2)]

    async def work(worker: ConfigurationWorker) -> None:
        while await worker.work_once():
            pass

    async def change(tenant: Tenant) -> None:
        group, devices, made = fleets[tenant]
        for number, artefact in enumerate(made):
            await asyncio.gather(
                bind(tenant, artefact, "DEVICE_GROUP", group), bind(tenant, artefact, "DEVICE", devices[number])
            )

    await asyncio.gather(*(change(tenant) for tenant in fleets), *(work(worker) for worker in workers))
    for tenant, (_, devices, _) in fleets.items():
        await work_off(tenant)
        found = [(await desired(tenant, device))["", "network"] for device in devices]
        assert found == [0, 1, 2, 3, 3, 3, 3, 3]
        listed = ok(await tenant.api.get(BINDINGS, params={"targetType": "DEVICE_GROUP"}))["items"]
        assert listed[0]["deviceCounts"]["pending"] == 4


async def test_a_binding_that_comes_while_its_device_is_worked_out_is_not_forgotten(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    await work_off(acme)  # what other tests have left
    device = await add_device(acme, "pump-1", tags={"a": "1"})
    group = await add_group(acme, matchTags={"a": "1"})
    artefact = await add_artefact(acme, "network", 1)
    await bind(acme, await add_artefact(acme, "limits", 1), "DEVICE_GROUP", group)
    await work_off(acme)
    await bind(acme, await add_artefact(acme, "limits", 2), "DEVICE_GROUP", group)
    select_bound = document_store.select_bound
    coming: list[asyncio.Task[Any]] = []

    async def overtaken(*args: Any) -> Any:
        found = await select_bound(*args)
        if not coming:
            coming.append(asyncio.create_task(bind(acme, artefact, "DEVICE", device)))
            await asyncio.wait(coming, timeout=0.2)
        return found

    monkeypatch.setattr(document_store, "select_bound", overtaken)
    await batch(acme, 10)
    await coming[0]

    assert await desired(acme, device) == {("", "limits"): 2, ("", "network"): 1}
    assert (await desired_state(acme, device))["documentVersion"] == 3


async def test_a_sweep_that_fails_lets_others_pass(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    await work_off(acme)  # what other tests have left
    devices = [await add_device(acme, f"pump-{number}", tags={"a": str(number)}) for number in range(2)]
    groups = [await add_group(acme, matchTags={"a": str(number)}) for number in range(2)]
    artefact = await add_artefact(acme, "network", 1)
    for group in groups:
        await bind(acme, artefact, "DEVICE_GROUP", group)
    worker = ConfigurationWorker(acme.edge.system_database, acme.edge.ports, asyncio.Event())

    async def time_out(*_: object, **__: object) -> None:
        raise Unavailable("the database took too long over this")

    with monkeypatch.context() as patch, pytest.raises(Unavailable):
        patch.setattr(configuration, "work_sweep", time_out)
        await worker.work_once()
    await worker.work_once()

    assert [await desired(acme, device) for device in devices] == [{}, {("", "network"): 1}]
    async with acme.edge.system_database.tx() as tx:
        await tx.run("UPDATE config_sweep SET due_at = now() WHERE tenant_id = %s", acme.tenant_id)
    await work_off(acme)
    assert await desired(acme, devices[0]) == {("", "network"): 1}


async def test_when_facts_were_lost_everything_is_worked_out(acme: Tenant) -> None:
    ok(await acme.api.post("/api/v1/device-profiles", json={**PUMP, "components": []}))
    leaver = await add_device(acme, "pump-1", tags={"a": "1"})
    comer = await add_device(acme, "pump-2")
    group = await add_group(acme, matchTags={"a": "1"})
    await bind(acme, await add_artefact(acme, "network", 1), "DEVICE_GROUP", group)
    await work_off(acme)
    for device, tags in ((leaver, {"a": None}), (comer, {"a": "1"})):
        ok(await acme.api.patch(f"/api/v1/devices/{device['id']}", json={"tags": tags}))
    async with acme.edge.system_database.tx() as tx:
        await tx.run("DELETE FROM outbox WHERE tenant_id = %s", acme.tenant_id)
        await configuration.sweep_everything(tx)
    await work_off(acme)

    assert [await desired(acme, device) for device in (leaver, comer)] == [{}, {("", "network"): 1}]


async def test_an_organization_can_go_with_all_of_it(acme: Tenant) -> None:
    device = await add_device(acme, "pump-1", tags={"a": "1"})
    group = await add_group(acme, matchTags={"a": "1"})
    artefact = await add_artefact(acme, "network", 1)
    await bind(acme, artefact, "DEVICE_GROUP", group)
    await bind(acme, artefact, "DEVICE", device)
    await work_off(acme)
    async with acme.edge.system_database.tx() as tx:
        assert await tx.run("DELETE FROM tenant WHERE tenant_id = %s", acme.tenant_id) == 1


# --- delivery --------------------------------------------------------------------------------------------------------


async def test_a_session_gets_the_present_document_once_and_every_change(acme: Tenant) -> None:
    device = await add_device(acme, "pump-1")
    assert await deliver(acme, device, "one") is None
    binding = await bind(acme, await add_artefact(acme, "network", {"a": 1}), "DEVICE", device)

    document = await deliver(acme, device, "one")
    assert document is not None
    assert (document.version, document.is_news, document.entries[0].content) == (1, False, b'{"a":1}')
    assert await deliver(acme, device, "one") is None
    await bind(acme, await add_artefact(acme, "network", {"a": 2}), "DEVICE", device)
    changed = await deliver(acme, device, "one")
    assert changed is not None
    assert (changed.version, changed.is_news) == (2, True)
    again = await deliver(acme, device, "two")
    assert again is not None
    assert (again.version, again.is_news, again.entries) == (2, False, changed.entries)
    state = await desired_state(acme, device)
    assert state["deliveredVersion"] == 2

    ok(await acme.api.delete(f"{BINDINGS}/{binding['id']}"))
    empty = await deliver(acme, device, "two")
    assert empty is not None
    assert (empty.version, empty.entries) == (3, [])


async def test_large_contents_go_by_url(acme: Tenant) -> None:
    device = await add_device(acme, "pump-1")
    sizes = {"a": 60_000, "b": 60_000, "c": 1_000, "d": 200_000}
    for name, size in sizes.items():
        await bind(acme, await add_artefact(acme, name, "x" * size), "DEVICE", device)
    document = await deliver(acme, device, "one")
    assert document is not None
    assert [entry.artefact_name for entry in document.entries if entry.content] == ["a", "c"]
    async with httpx.AsyncClient(transport=acme.client()._transport) as nobody:
        for entry in document.entries:
            if entry.content is None:
                fetched = await nobody.get(entry.url or "")
                assert len(fetched.content) == sizes[entry.artefact_name] + 2


async def test_only_who_has_not_accepted_is_sent_it_again(acme: Tenant) -> None:
    devices = [await add_device(acme, f"pump-{number}", tags={"a": "1"}) for number in range(2)]
    group = await add_group(acme, matchTags={"a": "1"})
    binding = await bind(acme, await add_artefact(acme, "network", 1), "DEVICE_GROUP", group)
    await work_off(acme)
    documents = [await deliver(acme, device, "one") for device in devices]
    assert documents[0] is not None
    await report(acme, devices[0], [saying(documents[0].entries[0], "ACCEPTED")])

    assert (await acme.api.post(f"{BINDINGS}/{binding['id']}/resend")).status_code == 202
    await work_off(acme)
    queued = [fact.device_ids for fact in await facts_of(acme) if isinstance(fact, DownlinkQueued)]
    assert [[str(id_) for id_ in ids] for ids in queued] == [[devices[1]["id"]]]
    assert [await deliver(acme, device, "one") is not None for device in devices] == [False, True]


# --- everything together ---------------------------------------------------------------------------------------------


class Model:
    """A small fleet as the test has made it, and what its devices shall have by the words of the contract."""

    def __init__(self, tenant: Tenant, seed: int) -> None:
        self.tenant = tenant
        self.random = random.Random(seed)
        self.devices: list[Any] = []
        self.tags: dict[str, str] = {}
        self.profiled: set[str] = set()
        self.parts: dict[str, str] = {}
        """Component id by device."""
        self.groups: dict[str, str] = {}
        """The tag value that each group selects."""
        self.made: dict[str, list[Any]] = {"x": [], "y": []}
        self.bound: dict[tuple[str, str, str], tuple[int, int, Any]] = {}
        """Age, priority and binding by target type, target and name."""
        self.age = 0

    async def build(self) -> None:
        """Profiles, devices, groups and artefacts."""
        ok(await self.tenant.api.post("/api/v1/sensor-profiles", json=MOTOR))
        ok(await self.tenant.api.post("/api/v1/device-profiles", json={**PUMP, "components": []}))
        for number in range(3):
            device = await add_device(self.tenant, f"pump-{number}", tags={"t": "0"})
            self.devices.append(device)
            self.tags[device["id"]] = "0"
        for value in "01":
            self.groups[(await add_group(self.tenant, matchTags={"t": value}))["id"]] = value
        for name, versions in self.made.items():
            for number in range(3):
                versions.append(await add_artefact(self.tenant, name, f"{name}{number}"))

    async def step(self) -> None:
        """Something happens."""
        device = self.random.choice(self.devices)["id"]
        place = f"/api/v1/devices/{device}"
        match self.random.choice(["tag", "profile", "part", "group", "bind", "bind", "bind", "unbind"]):
            case "tag":
                self.tags[device] = self.random.choice("01")
                ok(await self.tenant.api.patch(place, json={"tags": {"t": self.tags[device]}}))
            case "profile":
                self.profiled ^= {device}
                profile = "pump@1.0" if device in self.profiled else None
                ok(await self.tenant.api.patch(place, json={"deviceProfile": profile}))
            case "part" if device in self.parts:
                component = self.parts.pop(device)
                ok(await self.tenant.api.delete(f"/api/v1/components/{component}"))
                self.bound = {key: known for key, known in self.bound.items() if key[1] != component}
            case "part":
                body = {"deviceId": device, "key": "motor", "name": "M", "sensorProfile": "motor@1.0"}
                self.parts[device] = ok(await self.tenant.api.post("/api/v1/components", json=body))["id"]
            case "group":
                group = self.random.choice(list(self.groups))
                self.groups[group] = self.random.choice("01")
                selector = {"matchTags": {"t": self.groups[group]}}
                ok(await self.tenant.api.patch(f"/api/v1/device-groups/{group}", json={"selector": selector}))
            case "bind":
                await self._bind(device)
            case "unbind" if self.bound:
                key = self.random.choice(list(self.bound))
                binding = self.bound.pop(key)[2]
                ok(await self.tenant.api.delete(f"{BINDINGS}/{binding['id']}"))

    async def _bind(self, device: str) -> None:
        targets = [("DEVICE", device), ("DEVICE_PROFILE", "pump@1.0"), ("SENSOR_PROFILE", "motor@1.0")]
        targets += [("DEVICE_GROUP", group) for group in self.groups]
        targets += [("COMPONENT", self.parts[device])] if device in self.parts else []
        target_type, target = self.random.choice(targets)
        name, priority = self.random.choice("xy"), self.random.choice([0, 0, 1])
        artefact = self.random.choice(self.made[name])
        binding = await bind(self.tenant, artefact, target_type, target, priority=priority)
        key = (target_type, target, name)
        self.age += 1
        age = self.bound[key][0] if key in self.bound else self.age
        self.bound[key] = (age, priority, binding | {"content": artefact["content"]})

    def wanted(self, device: str) -> dict[tuple[str, str], tuple[str, int]]:
        """Content and version by component key and name."""
        found: dict[tuple[str, str], tuple[str, int]] = {}
        for name in "xy":
            whole = [("DEVICE", device)]
            mine = [group for group, value in self.groups.items() if value == self.tags[device]]
            there = [group for group in mine if ("DEVICE_GROUP", group, name) in self.bound]
            there.sort(key=lambda group: self.bound["DEVICE_GROUP", group, name][:2][::-1], reverse=True)
            whole += [("DEVICE_GROUP", group) for group in there]
            whole += [("DEVICE_PROFILE", "pump@1.0")] if device in self.profiled else []
            first = next((self.bound[*key, name] for key in whole if (*key, name) in self.bound), None)
            if first is not None:
                found["", name] = (first[2]["content"], first[2]["desiredVersion"])
            part = self.bound.get(("COMPONENT", self.parts.get(device, ""), name))
            if part is None and first is None and device in self.parts:
                part = self.bound.get(("SENSOR_PROFILE", "motor@1.0", name))
            if part is not None:
                found["motor", name] = (part[2]["content"], part[2]["desiredVersion"])
        return found


@pytest.mark.parametrize("seed", [1, 2])
async def test_whatever_happens_documents_and_counts_end_up_right(acme: Tenant, globex: Tenant, seed: int) -> None:
    model = Model(acme, seed)
    await model.build()
    theirs = await add_device(globex, "pump-0", tags={"t": "0"})
    told: dict[str, tuple[int, Any]] = {}
    for _ in range(8):
        for _ in range(model.random.randint(1, 4)):
            await model.step()
        await work_off(acme)
        statuses: Counter[str] = Counter()
        for device in model.devices:
            state = await desired_state(acme, device)
            found = {
                (entry.get("componentKey", ""), entry["artefactName"]): (entry["content"], entry["desiredVersion"])
                for entry in state["entries"]
            }
            assert found == model.wanted(device["id"])
            version, before = told.get(device["id"], (0, {}))
            assert (state["documentVersion"] > version) == (found != before)
            told[device["id"]] = (state["documentVersion"], found)
            document = await deliver(acme, device, f"session of {model.age}")
            if document is not None and document.entries and model.random.random() < 0.7:
                said = model.random.choice(["ACCEPTED", "REJECTED", "IN_PROGRESS"])
                await report(acme, device, [saying(document.entries[0], said)])
            statuses.update(entry["status"] for entry in (await desired_state(acme, device))["entries"])
        await work_off(acme)
        counted: Counter[str] = Counter()
        async with acme.edge.system_database.tx() as tx:
            sums = "SELECT sum(pending), sum(in_progress), sum(accepted), sum(rejected), sum(failed) FROM config_rollup"
            counts = await tx.row(f"{sums} WHERE tenant_id = %s", acme.tenant_id)
        names = ("PENDING", "IN_PROGRESS", "ACCEPTED", "REJECTED", "FAILED")
        counted.update(dict(zip(names, (count or 0 for count in counts or ()), strict=True)))
        assert +counted == +statuses
    assert await desired(globex, theirs) == {}
