"""Commands beside their oracle: users give them, gateways carry them, devices answer, workers watch; and they die."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, cast
from uuid import UUID

from roadstead.bus import Bus
from roadstead.core import commands
from roadstead.core.commands import BatchDraft, BatchId, CommandDraft, CommandId, CommandSource
from roadstead.core.downlinks import COMMAND, Answer, CommandAnswer
from roadstead.core.messages import CommandChanged, DownlinkQueued, Uplink, decode_fact
from roadstead.db import Database
from roadstead.dialects.native.downlinks import NativeSpeller
from roadstead.kernel import ids, time
from roadstead.kernel.errors import Conflict
from roadstead.kernel.ids import DeviceId, TenantId
from roadstead.workers.commands import CommandTimers
from roadstead.workers.control import ControlWorker, Handler
from roadstead.workers.courier import Courier
from roadstead.workers.turns import Turn
from tests.clock import Clock
from tests.conftest import Tenant
from tests.core.commands.oracle import NEXT, TIMEOUT, TTL, Bulk, Oracle
from tests.mortal import despite


class Line:
    """The session of a device: `courier.Seat` and `courier.Sessions` in one. Remembers what it was handed."""

    dialect = "native"

    def __init__(self, tenant: Tenant, number: int) -> None:
        self.tenant: TenantId = tenant.tenant_id
        self.organization = tenant.organization_id
        self.name = f"gateway/{number}"
        self.arrives = True
        self.heard: list[bytes] = []

    def hears(self, topic: str) -> bool:
        """All that it is told."""
        return True

    def find(self, device: bytes) -> "Line":
        """The only one."""
        return self

    def deliver(
        self, device: bytes, topic: str, payload: bytes, *, retain: bool, key: str, done: Callable[[bool], None]
    ) -> bool:
        """Handed over; the device acknowledges it, or the line breaks first."""
        self.heard.append(payload)
        done(self.arrives)
        return True


class Ground:
    """Some devices of an organization, and all that was said to them."""

    def __init__(self, tenant: Tenant, clock: Clock, devices: Sequence[UUID]) -> None:
        self.tenant = tenant
        self.clock = clock
        self.devices = devices
        self.oracle = Oracle()
        self.given: list[CommandId] = []
        self.bulks: list[BatchId] = []
        self.database = tenant.edge.system_database
        self._lines: dict[int, tuple[Line, Courier]] = {}
        self._sessions = 0
        self._answers = 0
        self._facts = 0
        self._told: dict[UUID, str] = {}
        self._queued: Counter[UUID] = Counter()

    async def happen(self, event: tuple[Any, ...], death: int | None) -> None:
        """One event, on both sides; whoever is at it may die."""
        match event:
            case ("give", device, awaits):
                await self._give(device, awaits=awaits)
            case ("bulk", per_minute, limit):
                await self._bulk(per_minute, limit)
            case ("come" | "nudge" as how, device, arrives):
                await self._reach(how, device, arrives=arrives, death=death)
            case ("answer", index, said) if self.given:
                await self._answer(index % len(self.given), said, death)
            case ("meddle", index, said) if self.given:
                await self._answer(index % len(self.given), said, death, by_another=True)
            case ("cancel", index) if self.given:
                index %= len(self.given)
                assert await self._cancel(index) == self.oracle.cancel(index)
            case ("stop", index) if self.bulks:
                index %= len(self.bulks)
                assert await self._stop(index) == self.oracle.stop(index)
            case ("pass", seconds):
                self.clock.pass_(seconds)
                before = {index for index, one in enumerate(self.oracle.commands) if one.leaves > self.oracle.now}
                self.oracle.now += seconds
                released = [one for one in map(self.oracle.commands.__getitem__, before) if not one.is_over]
                self._queued.update(self.devices[one.device] for one in released if self._leaves(one))

    def _leaves(self, one: Any) -> bool:
        return bool(one.leaves <= self.oracle.now < one.due)

    async def look(self, death: int | None = None) -> None:
        """What the worker does every half a second."""
        await despite(death, self.database, lambda database: CommandTimers(database).look())
        self.oracle.look()

    # --- what they do ------------------------------------------------------------------------------------------------

    async def _give(self, device: int, *, awaits: bool) -> None:
        draft = CommandDraft(type="REBOOT", payload={}, ttl_s=int(TTL), timeout_s=int(TIMEOUT), awaits_answer=awaits)
        async with self.tenant.work() as work:
            command = await commands.create_command(work, DeviceId(self.devices[device]), draft)
        self.given.append(command.id)
        self._queued[self.devices[device]] += 1
        self.oracle.give(device, awaits=awaits)

    async def _bulk(self, per_minute: int | None, limit: int | None) -> None:
        one = CommandDraft(type="REBOOT", payload={}, ttl_s=int(TTL), timeout_s=int(TIMEOUT))
        draft = BatchDraft(command=one, per_minute=per_minute, max_failure_percent=limit)
        async with self.tenant.work() as work:
            queued = await commands.send_in_bulk(work, [DeviceId(device) for device in self.devices], draft)
        async with self.database.tx() as tx:
            rows = await tx.rows("SELECT device_id, id FROM command WHERE batch_id = %s", queued.batch.id)
        made: dict[UUID, UUID] = dict(rows)
        for index, device in enumerate(self.devices):
            wait = 0.0 if per_minute is None else index * 60 / per_minute
            self.given.append(CommandId(made[device]))
            self._queued[device] += not wait
            self.oracle.give(index, batch=len(self.bulks), wait=wait)
        self.bulks.append(queued.batch.id)
        self.oracle.bulks.append(Bulk(len(self.devices), limit))

    async def _reach(self, how: str, device: int, *, arrives: bool, death: int | None) -> None:
        if how == "come":
            self._lines.pop(device, None)

        async def carry(database: Database) -> Line:
            # Of a gateway that has died nothing is left: the device comes to another one, in a session of its own.
            held = self._lines.pop(device, None)
            line, courier = held or self._connect()
            line.arrives, line.heard, courier._database = arrives, [], database
            place = ids.to_bytes(self.devices[device])
            await courier._fetch(line, {(place, COMMAND): place})
            await courier._write_down(courier._arrived)
            courier._arrived.clear()
            self._lines[device] = line, courier
            return line

        line, died = await despite(death, self.database, carry)
        expected = self.oracle.reach(device, int(line.name.split("/")[1]), arrives=arrives)
        if not died:
            assert len(line.heard) == len(expected)
            assert all(str(self.given[index]).encode() in line.heard[place] for place, index in enumerate(expected))

    def _connect(self) -> tuple[Line, Courier]:
        self._sessions += 1
        courier = Courier(self.database, [CommandSource()], {"native": NativeSpeller()})
        return Line(self.tenant, self._sessions), courier

    async def _answer(self, index: int, said: Sequence[str], death: int | None, *, by_another: bool = False) -> None:
        owner = self.oracle.commands[index].device
        device = ids.to_bytes(self.devices[1 - owner if by_another else owner])
        self._answers += 1
        uplink = Uplink(self.tenant.tenant_id, device, "native", "commands/response", time.to_millis(time.now()), b"{}")
        answers = [
            ((self._answers, place), uplink, CommandAnswer(self.given[index], status))  # type: ignore[arg-type]
            for place, status in enumerate(said)
        ]

        async def apply(database: Database) -> None:
            handlers: dict[type[Answer], Handler] = {CommandAnswer: commands.take_answers}
            worker = ControlWorker(cast(Bus, None), database, cast(Turn, None), {}, handlers)
            worker._epoch = str(self.tenant.tenant_id)
            await worker._write({CommandAnswer: answers}, [])

        await despite(death, self.database, apply)
        for status in said:
            if by_another:
                self.oracle.quarantined["UNKNOWN_COMMAND"] += 1
            else:
                self.oracle.answer(index, status)

    async def _cancel(self, index: int) -> bool:
        device = DeviceId(self.devices[self.oracle.commands[index].device])
        try:
            async with self.tenant.work() as work:
                await commands.cancel_command(work, device, self.given[index])
        except Conflict:
            return False
        return True

    async def _stop(self, index: int) -> bool:
        try:
            async with self.tenant.work() as work:
                await commands.cancel_batch(work, self.bulks[index])
        except Conflict:
            return False
        return True

    # --- what has come of it -----------------------------------------------------------------------------------------

    async def compare(self) -> None:
        """Both sides have come to the same, who is not done has a timer, and everything was told once, in order."""
        tenant_id = self.tenant.tenant_id
        async with self.database.tx() as tx:
            rows = await tx.rows(
                """
                SELECT id, status, delivered_at IS NOT NULL, acknowledged_at IS NOT NULL, due_at IS NULL,
                    completed_at IS NOT NULL
                FROM command WHERE tenant_id = %s
                """,
                tenant_id,
            )
            bulks: dict[UUID, str] = dict(
                await tx.rows("SELECT id, status FROM command_batch WHERE tenant_id = %s", tenant_id)
            )
            sql = "SELECT reason, count(*) FROM quarantine WHERE tenant_id = %s GROUP BY 1"
            quarantined: dict[str, int] = dict(await tx.rows(sql, tenant_id))
            facts = await tx.rows(
                "SELECT id, fact FROM outbox WHERE tenant_id = %s AND id > %s ORDER BY id", tenant_id, self._facts
            )
        found = {row[0]: tuple(row[1:]) for row in rows}
        expected = [
            (one.status, one.delivered, one.acknowledged, one.is_over, one.is_over) for one in self.oracle.commands
        ]
        assert [found[id_] for id_ in self.given] == expected
        assert len(found) == len(expected)
        assert [bulks[id_] for id_ in self.bulks] == [bulk.status for bulk in self.oracle.bulks]
        assert quarantined == dict(self.oracle.quarantined)
        self._hear([decode_fact(bytes(fact)) for _, fact in facts])
        self._facts = facts[-1][0] if facts else self._facts
        assert [self._told[id_] for id_ in self.given] == [one.status for one in self.oracle.commands]

    def _hear(self, facts: Sequence[object]) -> None:
        for fact in facts:
            match fact:
                case CommandChanged():
                    before = self._told.get(fact.command_id)
                    assert fact.status in ({"PENDING"} if before is None else NEXT.get(before, set()))
                    self._told[fact.command_id] = fact.status
                case DownlinkQueued():
                    self._queued.subtract(fact.device_ids)
        assert not any(self._queued.values()), "somebody was not told that something waits, or was told twice"
