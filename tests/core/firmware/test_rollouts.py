"""Whatever happens to devices, people and workers: a rollout comes to what the oracle says, and is never stuck."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roadstead.core import firmware
from roadstead.core.firmware import Downloads, FirmwareId, RolloutDraft, RolloutId, Target
from roadstead.core.work import Work
from roadstead.kernel import time
from roadstead.kernel.actor import system_actor
from roadstead.kernel.errors import Conflict
from roadstead.kernel.filter import In
from tests.clock import Clock
from tests.conftest import Tenant
from tests.core.firmware.ground import Ground
from tests.core.firmware.oracle import OPEN, Oracle
from tests.dialects.native.firmware import add_firmware, add_profile

TTL, TIMEOUT, ATTEMPTS = 600, 300, 3
_DEVICES = st.integers(0, 4)
_EVENTS = st.one_of(
    st.tuples(st.just("hear"), _DEVICES),
    st.tuples(st.just("say"), _DEVICES, st.booleans()),
    st.tuples(st.just("fetch"), _DEVICES, st.booleans()),
    st.tuples(st.just("report"), _DEVICES),
    st.tuples(st.just("pass"), st.sampled_from([1, 31, 61, 301, 601])),
    st.tuples(st.sampled_from(["pause", "resume", "retry"])),
    st.tuples(st.sampled_from(["pause", "resume", "resume", "cancel", "retry"])),
)
_CRASHES = st.lists(st.integers(0, 25), max_size=1)


class World:
    """A rollout beside its oracle."""

    def __init__(self, ground: Ground, clock: Clock, oracle: Oracle, rollout_id: UUID, devices: list[UUID]) -> None:
        self.ground = ground
        self.clock = clock
        self.oracle = oracle
        self.id = rollout_id
        self.devices = devices
        """In the order of their turns."""

    async def happen(self, event: tuple[Any, ...]) -> None:
        """One event, on both sides."""
        match event:
            case ("hear", index):
                assert bool(await self.ground.hear(self.devices[index])) == self.oracle.hear(index)
            case ("say", index, ok):
                if self.oracle.devices[index].status in OPEN - {"PENDING"}:
                    await self.ground.say(self.devices[index], "SUCCESS" if ok else "FAILED")
                    self.oracle.say(index, ok)
            case ("fetch", index, whole):
                if self.oracle.devices[index].status in {"SENT", "DOWNLOADING"}:
                    await self._fetch(self.devices[index], whole)
                    self.oracle.fetch(index, whole)
            case ("report", index):
                await self.ground.report(self.devices[index], "1.1.0")
                self.oracle.report(index)
            case ("pass", seconds):
                self.clock.pass_(seconds)
                self.oracle.now += seconds
                await self.ground.expire_commands()
            case (verb,):
                assert await self._steer(verb) == self._expect(verb)

    async def _fetch(self, device: UUID, whole: bool) -> None:
        edge = self.ground.tenant.edge
        downloads = Downloads(edge.system_database, edge.ports.blobs)
        url = self.ground.url(device)
        download = await downloads.find(url.rpartition("/")[2])
        size = download.firmware.size_bytes
        await downloads.begin(download, 0, size)
        await downloads.finish(download, sent_to=size if whole else 1, end=size)

    async def _steer(self, verb: str) -> bool:
        deed = getattr(firmware, f"{verb}_rollout")
        try:
            async with self.ground.tenant.work() as work:
                await deed(work, RolloutId(self.id))
        except Conflict:
            return False
        return True

    def _expect(self, verb: str) -> bool:
        if verb == "retry":
            return self.oracle.retry()
        may = {"pause": {"RUNNING"}, "resume": {"PAUSED"}, "cancel": {"RUNNING", "PAUSED"}}[verb]
        if self.oracle.status not in may:
            return False
        self.oracle.status = {"pause": "PAUSED", "resume": "RUNNING", "cancel": "CANCELLED"}[verb]
        return True

    async def compare(self) -> None:
        """Both sides have come to the same, and whoever is not done has a timer."""
        async with self.ground.tenant.edge.system_database.tx() as tx:
            status, wave, due_at = await tx.row(
                "SELECT status, current_wave, due_at FROM rollout WHERE id = %s", self.id
            ) or (None, None, None)
            forgotten = await tx.value(
                """
                SELECT count(*) FROM rollout_device WHERE rollout_id = %s AND due_at IS NULL
                AND status IN ('PENDING', 'SENT', 'DOWNLOADING', 'INSTALLING') AND command_id IS NOT NULL
                """,
                self.id,
            )
            orphans = await tx.value(
                """
                SELECT count(*) FROM command c WHERE tenant_id = %s AND status = 'PENDING' AND NOT EXISTS (
                    SELECT FROM rollout_device d WHERE d.command_id = c.id AND d.status = 'PENDING'
                )
                """,
                self.ground.tenant.tenant_id,
            )
        found = await self.ground.statuses(self.id)
        assert [found[device] for device in self.devices] == [one.status for one in self.oracle.devices]
        assert (status, wave) == (self.oracle.status, self.oracle.wave)
        assert (forgotten, orphans) == (0, 0)
        assert (due_at is not None) == (status == "RUNNING")


@settings(
    max_examples=10,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    waves=st.sampled_from([[100], [40, 100], [20, 60, 100]]),
    limit=st.sampled_from([0, 30, 50, 100]),
    script=st.lists(st.tuples(_EVENTS, _CRASHES), min_size=10, max_size=20),
)
async def test_a_rollout_does_what_the_oracle_says_whenever_the_worker_dies(
    acme: Tenant,
    monkeypatch: pytest.MonkeyPatch,
    waves: list[int],
    limit: int,
    script: list[tuple[tuple[Any, ...], list[int]]],
) -> None:
    clock, ground = Clock(), Ground(acme)
    monkeypatch.setattr(time, "now", clock)
    world = await _begin(ground, clock, waves, limit)
    world.oracle.settle()
    await ground.settle(world.id)
    await world.compare()
    for event, crashes in script:
        await world.happen(event)
        world.oracle.settle()
        await ground.settle(world.id, crashes=crashes)
        await world.compare()
    # Nobody does anything any more: it comes to its end by itself, unless somebody has paused it.
    for _ in range(12):
        if world.oracle.status != "RUNNING":
            break
        await world.happen(("pass", TTL + 1))
        world.oracle.settle()
        await ground.settle(world.id)
    await world.compare()
    assert world.oracle.status in {"COMPLETED", "FAILED", "CANCELLED", "PAUSED"}
    monkeypatch.undo()


async def test_of_two_workers_one_takes_the_step_and_nobody_is_told_twice(acme: Tenant) -> None:
    ground = Ground(acme)
    world = await _begin(ground, Clock(), [100], 100)
    taken = await asyncio.gather(*(ground.step(world.id) for _ in range(4)))
    await ground.settle(world.id)
    async with acme.edge.system_database.tx() as tx:
        told = await tx.rows("SELECT device_id FROM command WHERE tenant_id = %s", acme.tenant_id)
    assert any(taken)
    assert sorted(device for (device,) in told) == sorted(world.devices)


async def _begin(ground: Ground, clock: Clock, waves: list[int], limit: int) -> World:
    tenant = ground.tenant
    async with tenant.edge.system_database.tx() as tx:
        firmware_id = await tx.value("SELECT id FROM firmware WHERE tenant_id = %s", tenant.tenant_id)
    if firmware_id is None:
        await add_profile(tenant)
        firmware_id = UUID((await add_firmware(tenant, content=b"x" * 50))["id"])
    devices = await ground.add_devices(5, profile="pump")
    draft = RolloutDraft(
        target=Target(where=In(("id",), tuple(devices)), spelled={}),
        waves=waves,
        max_failure_percent=limit,
        ttl_s=TTL,
        timeout_s=TIMEOUT,
        max_attempts=ATTEMPTS,
    )
    actor = system_actor(tenant.tenant_id, tenant.organization_id)
    async with tenant.edge.tenant_database.tx(tenant.tenant_id) as tx:
        rollout, _ = await firmware.create_rollout(Work(actor, tx, tenant.edge.ports), FirmwareId(firmware_id), draft)
        rows = await tx.rows("SELECT device_id FROM rollout_device WHERE rollout_id = %s ORDER BY position", rollout.id)
    oracle = Oracle(waves=waves, count=5, limit=limit, ttl=TTL, timeout=TIMEOUT, attempts=ATTEMPTS)
    return World(ground, clock, oracle, rollout.id, [device for (device,) in rows])
