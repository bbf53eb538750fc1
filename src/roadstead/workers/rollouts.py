"""Drives rollouts on, and deletes what is left over of firmware."""

import asyncio
import time as clock
from functools import partial
from uuid import UUID

import structlog

from roadstead.bus import FACTS, Bus, Follower, Pack, Start
from roadstead.core import firmware, telemetry
from roadstead.core.firmware import Due
from roadstead.core.messages import (
    AnyFact,
    CommandChanged,
    DeviceFirmwareChanged,
    RolloutChanged,
)
from roadstead.core.ports import Ports
from roadstead.core.work import Work
from roadstead.db import Database
from roadstead.kernel import time
from roadstead.kernel.actor import system_actor
from roadstead.kernel.errors import Unavailable
from roadstead.kernel.ids import DeviceId, TenantId
from roadstead.kernel.waiting import happens
from roadstead.workers.fact_packs import facts_in
from roadstead.workers.patience import patiently

log = structlog.get_logger()

_NAME = "rollouts"
_AT_ONCE = 100
_SWEEP_S = 60.0
_IDLE_S, _GATHER_S = 1.0, 0.02
_MOST_HEARD = 500


class RolloutDriver:
    """Takes the steps of rollouts when they are due, and listens for what makes them due earlier.

    A step is one transaction, held by a lock on the rollout's row, so several workers share the work and one that dies
    leaves nothing half done. What is due stands in columns: without facts everything happens all the same, later.
    """

    def __init__(self, database: Database, ports: Ports, bus: Bus, *, every_s: float = 1.0) -> None:
        """`database` has the system duty."""
        self._database = database
        self._ports = ports
        self._bus = bus
        self._every_s = every_s
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled. Servers that are away are waited for."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._drive(), name="rollouts")
            group.create_task(self._listen(), name="facts for rollouts")

    async def _drive(self) -> None:
        swept_at = 0.0
        while True:
            try:
                while await self.look():
                    pass
                if clock.monotonic() - swept_at >= _SWEEP_S:
                    swept_at = clock.monotonic()
                    await firmware.sweep_records(self._database)
                    while await firmware.sweep_parts(self._database, self._ports.blobs):
                        pass
            except Unavailable as error:
                log.warning("rollouts wait", reason=str(error))
            await happens(self._news, self._every_s)
            self._news.clear()

    async def look(self) -> int:
        """One step of each rollout that is due; says how many were taken."""
        async with self._database.tx() as tx:
            found = await firmware.select_due(tx, time.now(), _AT_ONCE)
        return sum([await self._step(due) for due in found])

    async def _step(self, due: Due) -> bool:
        actor = system_actor(due.tenant_id, due.organization_id, name="rollout")
        try:
            async with self._database.tx(due.tenant_id) as tx:
                return await firmware.drive_rollout(Work(actor, tx, self._ports), due.rollout_id)
        except Unavailable:
            raise
        except Exception:
            # A defect of ours about one rollout must not stop those of others. It is tried again with the next look.
            log.exception("a rollout cannot go on", rollout=str(due.rollout_id))
            return False

    # --- what makes them due earlier -----------------------------------------------------------------------------

    async def _listen(self) -> None:
        position = await patiently("database", self._select_position)
        reader = Follower(self._bus, FACTS, start=Start(sequence=position + 1))
        await patiently("log", reader.open)
        try:
            while True:
                heard = _Heard()
                pack = await reader.next(_IDLE_S)
                while pack is not None and len(heard) < _MOST_HEARD:
                    heard.add(pack)
                    pack = await reader.next(_GATHER_S)
                if pack is not None:
                    heard.add(pack)
                if len(heard):
                    await patiently("database", partial(self._note, heard))
        finally:
            await reader.close()

    async def _select_position(self) -> int:
        async with self._database.tx() as tx:
            return await telemetry.select_position(tx, _NAME)

    async def _note(self, heard: "_Heard") -> None:
        """What is due because of these. May be told twice: at worst a rollout is looked at in vain."""
        noted = 0
        if heard.commands or heard.releases:
            async with self._database.tx() as tx:
                noted = await firmware.note_commands(tx, heard.commands, time.now())
                noted += await firmware.note_releases(tx, heard.releases, time.now())
                if noted:
                    # Facts that mean nothing to us are read once more after a restart; that is cheaper than writing.
                    await telemetry.update_position(tx, _NAME, heard.position)
        if noted or heard.rollouts:
            self._news.set()


class _Heard:
    """Some facts, as far as they are about rollouts."""

    def __init__(self) -> None:
        self.position = 0
        self.commands: list[tuple[TenantId, UUID]] = []
        self.releases: list[tuple[TenantId, DeviceId, str]] = []
        self.rollouts = 0

    def __len__(self) -> int:
        return len(self.commands) + len(self.releases) + self.rollouts

    def add(self, pack: Pack) -> None:
        """One more."""
        self.position = pack.sequence
        for message, fact in facts_in(pack):
            if fact is not None:
                self._note(message.tenant, fact)

    def _note(self, tenant: TenantId, fact: AnyFact) -> None:
        match fact:
            case CommandChanged():
                self.commands.append((tenant, fact.command_id))
            case DeviceFirmwareChanged():
                self.releases.append((tenant, fact.device_id, fact.firmware_version))
            case RolloutChanged():
                self.rollouts += 1
