"""Devices of a test that are told to update themselves: commands reach them, and they answer, when the test says so."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from roadstead.core import commands, firmware
from roadstead.core.commands import Command, CommandSource
from roadstead.core.downlinks import CommandAnswer, Downlink, Hearer
from roadstead.core.firmware import RolloutId
from roadstead.core.messages import Uplink
from roadstead.core.work import Work
from roadstead.kernel import ids, time
from roadstead.kernel.actor import system_actor
from roadstead.kernel.ids import DeviceId
from tests.conftest import Tenant
from tests.fleet import add_device
from tests.mortal import Crash, Mortal


class Ground:
    """The devices of one organization, as far as rollouts are concerned."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
        self._session = 0
        self._heard: dict[UUID, Downlink] = {}
        """The newest command that each device has."""

    async def add_devices(self, count: int, *, profile: str | None = None) -> list[UUID]:
        """Devices that have been seen."""
        database = self.tenant.edge.system_database
        devices = [await add_device(database, self.tenant.tenant_id, status="ACTIVE") for _ in range(count)]
        async with database.tx() as tx:
            await tx.run("UPDATE device SET activated_at = now() WHERE id = ANY (%s)", devices)
            await tx.run(
                """
                UPDATE device d SET profile_id = p.id FROM device_profile p
                WHERE d.id = ANY (%s) AND p.tenant_id = d.tenant_id AND p.key = %s
                """,
                devices,
                profile,
            )
        return devices

    async def step(self, rollout_id: UUID, *, crash_after: int | None = None) -> bool:
        """One step of a rollout, as the worker takes it; the process may die at it."""
        edge, actor = self.tenant.edge, system_actor(self.tenant.tenant_id, self.tenant.organization_id)
        database = edge.system_database if crash_after is None else Mortal(edge.system_database, crash_after)
        async with database.tx(self.tenant.tenant_id) as tx:
            return await firmware.drive_rollout(Work(actor, tx, edge.ports), RolloutId(rollout_id))

    async def settle(self, rollout_id: UUID, *, crashes: Sequence[int] = ()) -> None:
        """Steps until there is nothing to do at this moment, with crashes first."""
        for statements in crashes:
            try:
                await self.step(rollout_id, crash_after=statements)
            except Crash:
                continue
        for _ in range(60):
            if not await self.step(rollout_id):
                return
        raise AssertionError("the rollout does not come to rest")

    # --- what devices do ---------------------------------------------------------------------------------------------

    async def hear(self, device: UUID) -> list[Downlink]:
        """The device is connected: its commands reach it."""
        self._session += 1
        hearer = Hearer(self.tenant.tenant_id, DeviceId(device), f"test/{self._session}")
        async with self.tenant.edge.system_database.tx() as tx:
            heard = await CommandSource().claim(tx, [hearer], most=10)
            await CommandSource().note_arrived(tx, heard)
        self._heard.update((device, downlink) for downlink in heard)
        await self.nudge(device)
        return heard

    async def say(self, device: UUID, status: Any, *, error: str = "") -> None:
        """The device answers the newest command it has."""
        async with self.tenant.edge.system_database.tx() as tx:
            answer = CommandAnswer(self._heard[device].id, status, error=error)
            uplink = Uplink(
                self.tenant.tenant_id, ids.to_bytes(device), "native", "answer", time.to_millis(time.now()), b"{}"
            )
            await commands.take_answers(tx, [(uplink, answer)])
        await self.nudge(device)

    def url(self, device: UUID) -> str:
        """Where the newest command it has says that the release lies."""
        command = self._heard[device].body
        assert isinstance(command, Command)
        url: str = command.payload["url"]
        return url

    async def report(self, device: UUID, release: str) -> None:
        """The device says what it runs."""
        async with self.tenant.edge.system_database.tx() as tx:
            await tx.run("UPDATE device SET firmware_version = %s WHERE id = %s", release, device)
            await firmware.note_releases(tx, [(self.tenant.tenant_id, DeviceId(device), release)], time.now())

    async def nudge(self, device: UUID) -> None:
        """The facts about its commands have come to the worker."""
        async with self.tenant.edge.system_database.tx() as tx:
            rows = await tx.rows("SELECT id FROM command WHERE device_id = %s", device)
            await firmware.note_commands(tx, [(self.tenant.tenant_id, id_) for (id_,) in rows], time.now())

    async def expire_commands(self) -> None:
        """What the worker of commands does when their time is over, by our clock."""
        async with self.tenant.edge.system_database.tx() as tx:
            await tx.run(
                """
                UPDATE command SET status = 'TIMEOUT', completed_at = %s, due_at = NULL, error = 'too late'
                WHERE tenant_id = %s AND due_at <= %s
                """,
                time.now(),
                self.tenant.tenant_id,
                time.now(),
            )

    async def statuses(self, rollout_id: UUID) -> dict[UUID, str]:
        """How far each device is."""
        async with self.tenant.edge.system_database.tx() as tx:
            rows = await tx.rows("SELECT device_id, status FROM rollout_device WHERE rollout_id = %s", rollout_id)
        return dict(rows)
