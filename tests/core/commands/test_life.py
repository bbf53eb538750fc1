"""The life of commands, in any order of what can happen to them: against a model, in the real database."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from roadstead.core import commands
from roadstead.core.commands import CommandDraft, CommandId, CommandSource, CommandStatus, Verdict, judge
from roadstead.core.commands.model import FINAL, STEPS
from roadstead.core.downlinks import CommandAnswer, Downlink, Hearer
from roadstead.core.messages import CommandChanged, Uplink, decode_fact
from roadstead.core.ports import Ports, RefusalReason
from roadstead.core.work import Work
from roadstead.db import Database, Duty, Tx
from roadstead.kernel import ids, time
from roadstead.kernel.actor import Actor
from roadstead.kernel.errors import Conflict
from roadstead.kernel.ids import DeviceId
from tests.conftest import Tenant
from tests.fleet import add_device

T = TypeVar("T")
S = CommandStatus
SAID = st.sampled_from([S.ACKNOWLEDGED, S.SUCCESS, S.FAILED])


def test_a_final_status_is_never_left_and_answers_lead_only_where_they_may() -> None:
    for status in CommandStatus:
        for said in (S.ACKNOWLEDGED, S.SUCCESS, S.FAILED):
            for acknowledged in (False, True):
                verdict = judge(status, said, acknowledged=acknowledged)
                assert (verdict is Verdict.TAKEN) == (said in STEPS[status])
                if status in FINAL:
                    assert verdict in (Verdict.REPEATED, Verdict.LATE)
    assert judge(S.SENT, S.SUCCESS, acknowledged=False) is Verdict.TAKEN
    assert judge(S.PENDING, S.SUCCESS, acknowledged=False) is Verdict.EARLY
    assert judge(S.SUCCESS, S.FAILED, acknowledged=False) is Verdict.LATE
    assert judge(S.TIMEOUT, S.ACKNOWLEDGED, acknowledged=False) is Verdict.LATE
    assert judge(S.TIMEOUT, S.ACKNOWLEDGED, acknowledged=True) is Verdict.REPEATED


class _Known(msgspec.Struct):
    """What the model knows of a command."""

    status: CommandStatus = S.PENDING
    session: str = ""
    is_delivered: bool = False
    is_acknowledged: bool = False


class World(msgspec.Struct):
    """Where the machine acts, in an event loop of its own."""

    url: str
    actor: Actor
    ports: Ports
    device: DeviceId
    stranger: tuple[int, DeviceId]


class Life(RuleBasedStateMachine):
    """One device with many commands, and another tenant's device that has nothing to do with them."""

    given = Bundle("commands")

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.runner = asyncio.Runner()
        self.database = self.run(Database(world.url, Duty.SYSTEM, size=1).open())
        self.known: dict[CommandId, _Known] = {}
        self.sessions = 0
        self.told: list[tuple[UUID, str]] = []

    def teardown(self) -> None:
        self.run(self.database.close())
        self.runner.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def do(self, step: Callable[[Tx], Coroutine[Any, Any, T]]) -> T:
        """A transaction, and the facts that it leaves behind."""

        async def run() -> T:
            async with self.database.tx(self.world.actor.tenant_id) as tx:
                result = await step(tx)
                self.told += [
                    (fact.command_id, fact.status)
                    for tenant, _, body in tx._facts
                    if tenant == self.world.actor.tenant_id  # others have commands that run out of time, too
                    and isinstance(fact := decode_fact(body), CommandChanged)
                ]
                return result

        return self.run(run())

    @property
    def session(self) -> str:
        return f"gateway/{self.sessions}"

    @initialize()
    def begin(self) -> None:
        self.do(lambda tx: tx.run("DELETE FROM command WHERE tenant_id = %s", self.world.actor.tenant_id))

    @rule(target=given)
    def queue(self) -> CommandId:
        async def step(tx: Tx) -> CommandId:
            work, draft = Work(self.world.actor, tx, self.world.ports), CommandDraft(type="REBOOT", payload={})
            return (await commands.queue_command(work, self.world.device, draft)).id

        command_id = self.do(step)
        self.known[command_id] = _Known()
        return command_id

    @rule()
    def come_back(self) -> None:
        """A new session that listens: everything that has not arrived comes, in order."""
        self.sessions += 1
        self._claim()
        waiting = [known for known in self.known.values() if known.status in (S.PENDING, S.SENT)]
        assert all(known.is_delivered or known.session == self.session for known in waiting)

    @rule()
    def nudge(self) -> None:
        """Once more in this session: only what is new comes."""
        if self.sessions:
            self._claim()

    def _claim(self) -> None:
        expected = [
            id_
            for id_, known in self.known.items()
            if known.status in (S.PENDING, S.SENT) and not known.is_delivered and known.session != self.session
        ]
        hearers = [
            Hearer(self.world.actor.tenant_id, self.world.device, self.session),
            Hearer(self.world.stranger[0], self.world.stranger[1], self.session),  # type: ignore[arg-type]
        ]
        claimed = self.do(lambda tx: CommandSource().claim(tx, hearers, most=100))
        assert sorted(downlink.id for downlink in claimed) == sorted(expected)
        for id_ in expected:
            self.known[id_].session = self.session
            self.known[id_].status = S.SENT

    @rule(command=given)
    def arrive(self, command: CommandId) -> None:
        known = self.known[command]
        if known.session:
            downlink = Downlink(
                self.world.actor.tenant_id, self.world.device, "command", command, CommandDraft(type="", payload=0)
            )
            self.do(lambda tx: CommandSource().note_arrived(tx, [downlink]))
            known.is_delivered = True

    @rule(command=given, said=st.lists(SAID, min_size=1, max_size=3))
    def answer(self, command: CommandId, said: list[CommandStatus]) -> None:
        """Several answers at once; then the same ones again, as after a crash of the worker."""
        expected = []
        known = self.known[command]
        for status in said:
            verdict = judge(known.status, status, acknowledged=known.is_acknowledged)
            expected.append(verdict)
            if verdict is Verdict.TAKEN:
                known.status = status
                known.is_acknowledged = known.is_acknowledged or status is S.ACKNOWLEDGED
        reasons = self._answer(self.world.device, command, said)
        assert reasons == [
            {Verdict.LATE: RefusalReason.LATE_ANSWER, Verdict.EARLY: RefusalReason.UNKNOWN_COMMAND}.get(verdict)
            for verdict in expected
        ]
        told = len(self.told)
        self._answer(self.world.device, command, said)
        assert len(self.told) == told, "what was applied before was applied again"

    @rule(command=given, said=SAID)
    def meddle(self, command: CommandId, said: CommandStatus) -> None:
        """Another device answers."""
        assert self._answer(DeviceId(ids.new_id()), command, [said]) == [RefusalReason.UNKNOWN_COMMAND]

    def _answer(self, device: DeviceId, command: CommandId, said: list[CommandStatus]) -> list[RefusalReason | None]:
        now = time.to_millis(time.now())
        uplink = Uplink(self.world.actor.tenant_id, ids.to_bytes(device), "native", "commands/response", now, b"{}")
        answers = [(uplink, CommandAnswer(command, status.value)) for status in said]  # type: ignore[arg-type]
        refused = dict(self.do(lambda tx: commands.take_answers(tx, answers)))
        return [refused[index].reason if index in refused else None for index in range(len(said))]

    @rule(command=given)
    def cancel(self, command: CommandId) -> None:
        known = self.known[command]

        async def step(tx: Tx) -> None:
            await commands.cancel_command(Work(self.world.actor, tx, self.world.ports), self.world.device, command)

        if known.status is S.PENDING:
            self.do(step)
            known.status = S.CANCELLED
        else:
            with pytest.raises(Conflict):
                self.do(step)

    @rule(command=given)
    def run_out_of_time(self, command: CommandId) -> None:
        self.do(
            lambda tx: tx.run(
                "UPDATE command SET due_at = now(), expires_at = least(expires_at, now()) "
                "WHERE id = %s AND due_at IS NOT NULL",
                command,
            )
        )
        self.do(lambda tx: commands.release_due(tx, 10_000))
        self.do(lambda tx: commands.expire_due(tx, 10_000))
        if self.known[command].status not in FINAL:
            self.known[command].status = S.TIMEOUT

    @invariant()
    def is_as_the_model_says(self) -> None:
        rows = self.do(
            lambda tx: tx.rows(
                """
                SELECT id, status, delivered_at IS NOT NULL, acknowledged_at IS NOT NULL, due_at IS NULL
                FROM command WHERE tenant_id = %s
                """,
                self.world.actor.tenant_id,
            )
        )
        assert {row[0]: tuple(row[1:]) for row in rows} == {
            id_: (known.status, known.is_delivered, known.is_acknowledged, known.status in FINAL)
            for id_, known in self.known.items()
        }

    @invariant()
    def was_told_as_it_happened(self) -> None:
        before: dict[UUID, CommandStatus] = {}
        for id_, text in self.told:
            status = CommandStatus(text)
            assert status in (STEPS[before[id_]] if id_ in before else (S.PENDING,))
            before[id_] = status
        assert before == {id_: known.status for id_, known in self.known.items()}


async def test_whatever_happens_a_command_goes_forward_only_and_is_told_of_once(
    acme: Tenant, globex: Tenant, database_url: str, system_database: Database
) -> None:
    device = DeviceId(await add_device(system_database, acme.tenant_id, status="ACTIVE"))
    other = DeviceId(await add_device(system_database, globex.tenant_id, status="ACTIVE"))
    async with globex.work() as work:
        # It waits for a device of its own, and nothing of all this touches it.
        theirs = await commands.create_command(work, other, CommandDraft(type="REBOOT", payload={}))
    world = World(database_url, acme.actor(), acme.edge.ports, device, (acme.tenant_id, other))
    await asyncio.to_thread(
        run_state_machine_as_test,
        lambda: Life(world),  # type: ignore[arg-type]  # anything that makes one will do
        settings=settings(max_examples=12, stateful_step_count=25),
    )
    async with globex.work() as work:
        assert (await commands.get_command(work, other, theirs.id)).status is S.PENDING
