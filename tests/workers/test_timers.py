"""Timers that fire: real receivers, several workers, and those that die while they fire."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from roadstead.app.codecs import CODECS
from roadstead.core import registry, tenancy, timers
from roadstead.core.messages import Uplink
from roadstead.core.ports import Ports
from roadstead.core.registry import DeviceDraft
from roadstead.core.telemetry import DeviceCatalog, Intake
from roadstead.core.timers import Action, Claim, Once, Query, Repeating, Report, Schedule, Timer, TimerDraft
from roadstead.core.timers import service as timer_service
from roadstead.core.work import Entry
from roadstead.db import Database
from roadstead.kernel import time
from roadstead.kernel.actor import Role
from roadstead.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from roadstead.kernel.ids import to_bytes
from roadstead.workers.timers import TimerWorker
from tests.conftest import Tenant
from tests.receivers import Receiver, receiver

AT_ONCE = Once(delay_ms=0)


class Log:
    """Stands in for the log of device messages: keeps what is put there."""

    def __init__(self) -> None:
        self.uplinks: list[Uplink] = []

    async def put(self, *items: Uplink) -> None:
        """See `Uplinks.put`."""
        self.uplinks += items


class Firing:
    """A worker that looks when it is told to."""

    def __init__(self, database: Database, ports: Ports) -> None:
        self.log = Log()
        self.worker = TimerWorker(database, ports, Intake(DeviceCatalog(database), CODECS), self.log)

    async def __call__(self) -> int:
        """Look once, and wait for all that has begun; says how many timers were claimed."""
        count = await self.worker.look()
        await self.settled()
        return count

    async def settled(self) -> None:
        """All that has begun is done."""
        await asyncio.gather(*self.worker._tasks)


@pytest.fixture
def fire(system_database: Database, ports: Ports) -> Firing:
    """A worker."""
    return Firing(system_database, ports)


def ask(heard: Receiver, path: str = "/", **fields: Any) -> Query:
    """A request to a receiver."""
    return Query(url=f"http://127.0.0.1:{heard.port}{path}", **fields)


async def add_timer(tenant: Tenant, action: Action, schedule: Schedule = AT_ONCE, *, start: bool = True) -> Timer:
    """A timer that runs."""
    async with tenant.work() as work:
        timer = await timers.create_timer(work, TimerDraft(name="t", schedule=schedule, action=action))
        return await timers.start_timer(work, timer.id) if start else timer


async def read(tenant: Tenant, timer: Timer) -> Timer:
    """As it is now."""
    async with tenant.work() as work:
        return await timers.get_timer(work, timer.id)


async def turn_back(tenant: Tenant, column: str, by: timedelta) -> None:
    """As if some time had passed since."""
    async with tenant.edge.system_database.tx() as tx:
        await tx.run(f"UPDATE timer SET {column} = {column} - %s WHERE tenant_id = %s", by, tenant.tenant_id)


async def until(condition: Callable[[], bool]) -> None:
    """Waits for it."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_timer_does_nothing_before_it_is_started_and_a_single_one_fires_once(
    acme: Tenant, globex: Tenant, fire: Firing
) -> None:
    async with receiver() as heard:
        heard.body = b"thanks"
        idle = await add_timer(acme, ask(heard, "/idle"), start=False)
        timer = await add_timer(acme, ask(heard, "/once"), Once(delay_ms=1))
        await add_timer(globex, ask(heard, "/later"), Once(delay_ms=60_000))
        await until(lambda: timer.due_at is not None and time.now() > timer.due_at)
        assert timer.running
        await fire()
        await fire()
        assert [request.path for request in heard.requests] == ["/once"]

    done = await read(acme, timer)
    assert (done.running, done.due_at, done.last_status, done.last_answer) == (False, None, 200, "thanks")
    assert done.last_run_at is not None and done.last_error is None
    assert (await read(acme, idle)).last_run_at is None
    async with globex.work() as work:
        for operation in (timers.get_timer, timers.start_timer, timers.stop_timer, timers.delete_timer):
            with pytest.raises(NotFound):
                await operation(work, timer.id)


async def test_the_request_is_the_one_that_was_asked_for(acme: Tenant, fire: Firing) -> None:
    async with receiver() as heard:
        headers = {"Authorization": "Bearer of ours", "X-Way": "there"}
        await add_timer(acme, ask(heard, "/a?b=c", method="PUT", headers=headers, body={"level": [1, 2.5]}))
        await add_timer(acme, ask(heard, "/text", method="POST", body="plain words"))
        await add_timer(acme, ask(heard, "/get"))
        await fire()
        found = {request.path: request for request in heard.requests}
    assert found["/a?b=c"].headers["authorization"] == "Bearer of ours"
    assert found["/a?b=c"].headers["x-way"] == "there"
    assert found["/a?b=c"].headers["content-type"] == "application/json"
    assert msgspec.json.decode(found["/a?b=c"].body) == {"level": [1, 2.5]}
    assert (found["/text"].body, found["/text"].headers["content-type"]) == (
        b"plain words",
        "text/plain; charset=utf-8",
    )
    assert found["/get"].body == b""
    methods = {path: request.method for path, request in found.items()}
    assert methods == {"/a?b=c": "PUT", "/text": "POST", "/get": "GET"}


async def test_a_get_follows_redirects_and_what_has_a_body_only_those_that_keep_it(acme: Tenant, fire: Firing) -> None:
    async with receiver() as heard:
        for path in ("/moved", "/posted"):
            heard.redirect(path, 302, "/here")
        moved = await add_timer(acme, ask(heard, "/moved"))
        posted = await add_timer(acme, ask(heard, "/posted", method="POST"))
        await fire()
        assert sorted(request.path for request in heard.requests) == ["/here", "/moved", "/posted"]
    assert (await read(acme, moved)).last_status == 200
    assert (await read(acme, posted)).last_error == "answered 302"


async def test_secrets_of_an_action_lie_sealed(acme: Tenant) -> None:
    async with receiver() as heard:
        timer = await add_timer(acme, ask(heard, headers={"Authorization": "very-secret"}), start=False)
    async with acme.edge.system_database.tx() as tx:
        row = await tx.row("SELECT timer.*::text FROM timer WHERE id = %s", timer.id)
        lines = await tx.rows("SELECT changes FROM audit_log WHERE resource_id = %s", str(timer.id))
    assert "very-secret" not in str(row)
    assert lines and "very-secret" not in str(lines)
    action = timers.open_action(acme.edge.ports, timer)
    assert isinstance(action, Query) and action.headers == {"Authorization": "very-secret"}


async def test_what_was_missed_while_nobody_was_there_fires_once(acme: Tenant, fire: Firing) -> None:
    async with receiver() as heard:
        timer = await add_timer(acme, ask(heard), Repeating(delay_ms=10_000, run_immediately=True))
        await turn_back(acme, "due_at", timedelta(hours=1, seconds=3))
        assert await fire() == 1
        assert await fire() == 0
        assert len(heard.requests) == 1
    after = await read(acme, timer)
    assert after.running and after.due_at is not None
    assert timedelta(0) < after.due_at - time.now() <= timedelta(seconds=10)


async def test_workers_beside_each_other_fire_each_timer_once(
    acme: Tenant, globex: Tenant, system_database: Database, ports: Ports
) -> None:
    workers = [Firing(system_database, ports) for _ in range(4)]
    async with receiver() as heard:
        for number in range(5):
            for tenant in (acme, globex):
                await add_timer(tenant, ask(heard, f"/{tenant.slug}/{number}"))
        await asyncio.gather(*(worker() for worker in workers for _ in range(3)))
        for worker in workers:
            await worker()
        paths = [request.path for request in heard.requests]
    assert sorted(paths) == sorted(f"/{tenant.slug}/{number}" for number in range(5) for tenant in (acme, globex))


async def die_while_firing(tenant: Tenant) -> Claim:
    """A worker takes what is due and is never heard of again; its lease has run out since."""
    async with tenant.edge.system_database.tx() as tx:
        claims = await timers.claim_due(tx, time.now(), uuid4(), most=64, most_of_tenant=8, busy={})
    await turn_back(tenant, "leased_until", timedelta(minutes=2))
    return next(claim for claim in claims if claim.tenant_id == tenant.tenant_id)


async def test_after_a_crash_a_timer_fires_once_more_and_receivers_can_tell(acme: Tenant, fire: Firing) -> None:
    async with receiver() as heard:
        timer = await add_timer(acme, ask(heard))
        claim = await die_while_firing(acme)
        action = timers.unseal(acme.edge.ports, claim.sealed)
        assert isinstance(action, Query)
        await timers.send_query(acme.edge.ports, claim, action)
        assert await fire() == 1
        first, second = heard.requests
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert (await read(acme, timer)).last_error is None


async def test_who_kills_workers_is_not_given_to_a_third_one(acme: Tenant, fire: Firing) -> None:
    async with receiver() as heard:
        timer = await add_timer(acme, ask(heard), Repeating(delay_ms=60_000, run_immediately=True))
        await die_while_firing(acme)
        await die_while_firing(acme)
        assert await fire() == 1
        assert heard.requests == []
        after = await read(acme, timer)
        assert after.last_error is not None and "stopped while" in after.last_error
        # The next instant has tries of its own.
        await turn_back(acme, "due_at", timedelta(minutes=1))
        assert await fire() == 1
        assert len(heard.requests) == 1


async def test_a_lease_that_runs_is_nobody_elses(acme: Tenant, fire: Firing) -> None:
    async with receiver() as heard:
        await add_timer(acme, ask(heard))
        async with acme.edge.system_database.tx() as tx:
            await timers.claim_due(tx, time.now(), uuid4(), most=64, most_of_tenant=8, busy={})
        assert await fire() == 0


async def test_what_goes_wrong_can_be_read_and_the_timer_goes_on(acme: Tenant, fire: Firing) -> None:
    async with receiver() as heard:
        heard.status, heard.body = 503, b"not now\x00"
        heard.redirect("/astray", 307, "http://10.0.0.1/")
        every = Repeating(delay_ms=60_000, run_immediately=True)
        busy = await add_timer(acme, ask(heard, "/busy"), every)
        astray = await add_timer(acme, ask(heard, "/astray"), every)
        await fire()
    gone = await add_timer(acme, ask(heard, "/gone"), every)
    await fire()
    found = await read(acme, busy)
    assert (found.last_status, found.last_error, found.last_answer) == (503, "answered 503", "not now\ufffd")
    assert "not on the public internet" in str((await read(acme, astray)).last_error)
    assert "no answer" in str((await read(acme, gone)).last_error)
    assert all([(await read(acme, timer)).running for timer in (busy, astray, gone)])


async def test_a_suspended_organization_fires_nothing_until_it_is_restored(acme: Tenant, fire: Firing) -> None:
    async def change(operation: Any) -> None:
        async with acme.edge.system_database.tx() as tx:
            await operation(Entry(tx, acme.edge.ports, address="", request_id=""), acme.slug)

    async with receiver() as heard:
        await add_timer(acme, ask(heard))
        await change(tenancy.suspend_organization)
        assert (await fire(), heard.requests) == (0, [])
        await change(tenancy.restore_organization)
        assert (await fire(), len(heard.requests)) == (1, 1)


async def test_a_timer_that_is_stopped_or_deleted_while_it_fires_stays_so(acme: Tenant, fire: Firing) -> None:
    every = Repeating(delay_ms=1_000, run_immediately=True)
    async with receiver() as heard:
        heard.open.clear()
        stopped = await add_timer(acme, ask(heard, "/stopped"), every)
        deleted = await add_timer(acme, ask(heard, "/deleted"), every)
        assert await fire.worker.look() == 2
        await until(lambda: len(heard.requests) == 2)
        async with acme.work() as work:
            await timers.stop_timer(work, stopped.id)
            await timers.delete_timer(work, deleted.id)
        heard.open.set()
        await fire.settled()
    after = await read(acme, stopped)
    assert (after.running, after.due_at, after.last_status) == (False, None, 200)
    with pytest.raises(NotFound):
        await read(acme, deleted)


async def test_one_organization_cannot_take_all_places(acme: Tenant, globex: Tenant, fire: Firing) -> None:
    async with receiver() as heard:
        heard.open.clear()
        for number in range(12):
            await add_timer(acme, ask(heard, f"/acme/{number}"))
        await add_timer(globex, ask(heard, "/globex"))
        assert await fire.worker.look() == 9
        assert await fire.worker.look() == 0
        await until(lambda: len(heard.requests) == 9)
        heard.open.set()
        await fire.settled()
        assert await fire() == 4


async def test_an_organization_has_so_many_timers_that_run_and_so_many_in_all(
    acme: Tenant, globex: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timer_service, "MOST_RUNNING", 2)
    monkeypatch.setattr(timer_service, "MOST_TIMERS", 3)
    later = Once(delay_ms=60_000)
    async with receiver() as heard:
        action = ask(heard)
        first, _ = await add_timer(acme, action, later), await add_timer(acme, action, later)
        third = await add_timer(acme, action, later, start=False)
        async with acme.work() as work:
            with pytest.raises(Conflict, match="at most 2 timers that run"):
                await timers.start_timer(work, third.id)
            await timers.start_timer(work, first.id)  # again
            await timers.stop_timer(work, first.id)
            await timers.start_timer(work, third.id)
            with pytest.raises(Conflict, match="at most 3 timers"):
                await timers.create_timer(work, TimerDraft(name="t", schedule=later, action=action))
        await add_timer(globex, action, later)


async def test_a_timer_reports_in_the_name_of_a_device(acme: Tenant, fire: Firing) -> None:
    async with acme.work() as work:
        device = await registry.create_device(work, DeviceDraft(name="pump"))
    message = {"values": [{"path": "level/set", "value": 4}]}
    report = Report(
        topic="inbound",
        device_id=device.id,
        dialect="leverege",
        channel="data",
        message=message,
        instant="at",
        told={},
    )
    timer = await add_timer(acme, report)
    assert timer.due_at is not None
    await fire()
    (uplink,) = fire.log.uplinks
    assert (uplink.tenant, uplink.device, uplink.dialect) == (acme.tenant_id, to_bytes(device.id), "leverege")
    assert msgspec.json.decode(uplink.payload) == message | {"at": time.to_millis(timer.due_at)}
    assert (await read(acme, timer)).last_error is None

    async with acme.work() as work:
        await registry.delete_device(work, device.id, expected=None, purge=False)
        await timers.start_timer(work, timer.id)
    await fire()
    assert "does not exist" in str((await read(acme, timer)).last_error)


@pytest.mark.parametrize(
    ("action", "wrong"),
    [
        (Query(url="http://10.0.0.1/"), "action/url"),
        (Query(url="ftp://host/"), "action/url"),
        (Query(url="http://127.0.0.1/" + "x" * 2_000), "action/url"),
        (Query(url="http://127.0.0.1/", method="TRACE"), "action/method"),
        (Query(url="http://127.0.0.1/", headers={"Host": "x"}), "action/header/Host"),
        (Query(url="http://127.0.0.1/", headers={"A": "x\r\nB: y"}), "action/header/A"),
        (Query(url="http://127.0.0.1/", body="x" * 65_537), "action/body"),
    ],
)
async def test_an_action_that_makes_no_sense_is_refused_by_the_name_of_its_member(
    acme: Tenant, action: Action, wrong: str
) -> None:
    async with acme.work() as work:
        with pytest.raises(Invalid, match=f"^{wrong}: "):
            await timers.create_timer(work, TimerDraft(name="t", schedule=AT_ONCE, action=action))


async def test_members_may_have_timers_and_a_key_for_reading_may_not(acme: Tenant) -> None:
    async with receiver() as heard:
        draft = TimerDraft(name="t", schedule=AT_ONCE, action=ask(heard))
        async with acme.work(Role.MEMBER) as work:
            await timers.create_timer(work, draft)
            weaker = msgspec.structs.replace(
                work, actor=msgspec.structs.replace(work.actor, grants=frozenset({"alerts:read"}))
            )
            with pytest.raises(Forbidden):
                await timers.create_timer(weaker, draft)
