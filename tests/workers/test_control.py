"""The worker that applies what devices answer: in order, once, and nothing is dropped in silence."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
import pytest

from roadstead.app.codecs import ANSWER_CODECS
from roadstead.app.worker import ANSWER_HANDLERS
from roadstead.bus import CONTROL, Bus, Publisher, pending
from roadstead.core import commands
from roadstead.core.commands import Command, CommandDraft, CommandSource
from roadstead.core.downlinks import CommandAnswer, Hearer
from roadstead.core.messages import Uplink
from roadstead.core.ports import Refusal
from roadstead.db import Database, Tx
from roadstead.kernel.ids import DeviceId, new_id
from roadstead.workers.control import ControlWorker, Handler
from roadstead.workers.turns import Turn
from tests.conftest import Tenant
from tests.fleet import add_device, uplink
from tests.workers.conftest import running


async def put(bus: Bus, *uplinks: Uplink) -> None:
    """Onto the log of answers, as one pack."""
    await put_raw(bus, msgspec.msgpack.encode(list(uplinks)))


async def put_raw(bus: Bus, payload: bytes) -> None:
    """Any pack."""
    publisher = Publisher(bus)
    await publisher.start()
    await publisher.put("control.0", payload, message_id=str(new_id()))
    await publisher.close()


def answer(tenant: Tenant, device: UUID, payload: object, *, dialect: str = "native", channel: str = "") -> Uplink:
    """What a device says."""
    return uplink(tenant.tenant_id, device, payload, channel=channel or "commands/response", dialect=dialect)


def said(command: Command, status: str, **more: object) -> dict[str, object]:
    """As a device spells it."""
    return {"id": str(command.id), "status": status, **more}


async def sent(tenant: Tenant, device: UUID) -> Command:
    """A command that its device has."""
    async with tenant.work() as work:
        command = await commands.create_command(work, DeviceId(device), CommandDraft(type="REBOOT", payload={}))
    async with tenant.edge.system_database.tx() as tx:
        await CommandSource().claim(tx, [Hearer(tenant.tenant_id, DeviceId(device), str(new_id()))], most=10)
    return command


async def state(tenant: Tenant, command: Command) -> tuple[str, Any]:
    """Status and result."""
    async with tenant.work() as work:
        found = await commands.get_command(work, command.device_id, command.id)
    return found.status.value, found.result


async def refusals(tenant: Tenant) -> list[tuple[str, bytes]]:
    """Reason and payload of what is in quarantine, in the order in which it came."""
    async with tenant.edge.system_database.tx() as tx:
        rows = await tx.rows(
            "SELECT reason, payload FROM quarantine WHERE tenant_id = %s ORDER BY received_at, id", tenant.tenant_id
        )
    return [(reason, bytes(payload)) for reason, payload in rows]


def worker(bus: Bus, database: Database, url: str, handlers: dict[type[Any], Handler] | None = None) -> ControlWorker:
    """As the worker role has it, on a log and with a turn of its own."""
    turn = Turn(url, f"control of {id(bus)}")
    return ControlWorker(bus, database, turn, ANSWER_CODECS, handlers or ANSWER_HANDLERS)


async def drained(bus: Bus) -> None:
    """Until everything on the log is worked off."""
    async with asyncio.timeout(5):
        while await pending(bus, CONTROL):
            await asyncio.sleep(0.01)


async def test_answers_are_applied_in_their_order(
    acme: Tenant, globex: Tenant, own_bus: Bus, system_database: Database, database_url: str
) -> None:
    mine = await add_device(system_database, acme.tenant_id, status="ACTIVE")
    theirs = await add_device(system_database, globex.tenant_id, status="ACTIVE")
    one, two = await sent(acme, mine), await sent(globex, theirs)
    await put(own_bus, answer(acme, mine, said(one, "ACKNOWLEDGED")), answer(globex, theirs, said(two, "FAILED")))
    await put(own_bus, answer(acme, mine, said(one, "SUCCESS", result=[1, None])))
    async with running(worker(own_bus, system_database, database_url).run()):
        await drained(own_bus)
    assert await state(acme, one) == ("SUCCESS", [1, None])
    assert await state(globex, two) == ("FAILED", None)
    assert await refusals(acme) == await refusals(globex) == []


async def test_what_cannot_be_applied_is_kept_with_the_reason(
    acme: Tenant, globex: Tenant, own_bus: Bus, system_database: Database, database_url: str
) -> None:
    mine = await add_device(system_database, acme.tenant_id, status="ACTIVE")
    command = await sent(acme, mine)
    wrong = [
        (answer(acme, mine, b"\xff"), "MALFORMED"),
        (answer(acme, mine, b"[" + b" " * 300_000), "TOO_LARGE"),
        (answer(acme, mine, {"status": "SUCCESS"}), "MISSING_FIELD"),
        (answer(acme, mine, said(command, "SUCCESS"), dialect="klingon"), "MALFORMED"),
        (answer(acme, mine, said(command, "SUCCESS"), channel="readings"), "MALFORMED"),
        (answer(acme, mine, {"id": str(new_id()), "status": "SUCCESS"}), "UNKNOWN_COMMAND"),
    ]
    # Of another device, and in the name of another organization.
    await put(own_bus, answer(globex, mine, said(command, "SUCCESS")))
    await put_raw(own_bus, b"no pack at all")
    await put(own_bus, *(message for message, _ in wrong))
    async with running(worker(own_bus, system_database, database_url).run()):
        await drained(own_bus)
    assert sorted(await refusals(acme)) == sorted((reason, message.payload) for message, reason in wrong)
    assert [reason for reason, _ in await refusals(globex)] == ["UNKNOWN_COMMAND"]
    assert await state(acme, command) == ("SENT", None)


async def test_a_worker_that_dies_between_commit_and_acknowledgement_doubles_nothing(
    acme: Tenant, own_bus: Bus, system_database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = await add_device(system_database, acme.tenant_id, status="ACTIVE")
    command = await sent(acme, mine)
    await put(own_bus, answer(acme, mine, said(command, "SUCCESS")), answer(acme, mine, said(command, "FAILED")))

    died = asyncio.Event()

    async def die(_: object) -> None:
        died.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr("roadstead.bus.consumer.Batch.ack", die)
        async with running(worker(own_bus, system_database, database_url).run()), asyncio.timeout(5):
            await died.wait()
    assert await pending(own_bus, CONTROL) == 1
    after = await state(acme, command), await refusals(acme)
    assert after[0] == ("SUCCESS", None) and [reason for reason, _ in after[1]] == ["LATE_ANSWER"]

    async with running(worker(own_bus, system_database, database_url).run()):
        await drained(own_bus)
    assert (await state(acme, command), await refusals(acme)) == after


async def test_one_worker_works_and_the_next_takes_over(
    acme: Tenant, own_bus: Bus, system_database: Database, database_url: str
) -> None:
    device = await add_device(system_database, acme.tenant_id, status="ACTIVE")
    seen: list[str] = []

    def noting(name: str) -> dict[type[Any], Handler]:
        async def note(tx: Tx, answers: Sequence[tuple[Uplink, CommandAnswer]]) -> list[tuple[int, Refusal]]:
            seen.extend(name for _ in answers)
            return []

        return {CommandAnswer: note}

    async with running(worker(own_bus, system_database, database_url, noting("one")).run()) as first:
        await put(own_bus, answer(acme, device, {"id": str(new_id()), "status": "SUCCESS"}))
        await drained(own_bus)
        async with running(worker(own_bus, system_database, database_url, noting("two")).run()):
            await put(own_bus, answer(acme, device, {"id": str(new_id()), "status": "SUCCESS"}))
            await drained(own_bus)
            assert seen == ["one", "one"]
            first.cancel()
            await put(own_bus, answer(acme, device, {"id": str(new_id()), "status": "SUCCESS"}))
            await drained(own_bus)
            assert seen == ["one", "one", "two"]
