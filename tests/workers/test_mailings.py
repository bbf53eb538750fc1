"""Mail about events: once for each event and mailing, whatever happens to whoever follows them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
import pytest_asyncio

from roadstead.bus import Bus, Publisher
from roadstead.core import events, mailings, telemetry
from roadstead.core.events import Event, EventDraft, EventSource
from roadstead.core.mailings import Mailing, MailingDraft
from roadstead.core.messages import EventRaised, Fact, FactMessage, Severity, encode_fact, encode_facts
from roadstead.db import Database
from roadstead.kernel import time
from roadstead.kernel.filter import (
    And,
    Between,
    Box,
    Circle,
    Compare,
    Exists,
    Filter,
    In,
    Match,
    MatchKind,
    Not,
    Operator,
    Or,
    Within,
    equals,
)
from roadstead.kernel.filter_json import read_filter, spell_filter
from roadstead.kernel.ids import DeviceId, new_id
from roadstead.kernel.page import PageQuery
from roadstead.workers.mailings import PROJECTION, MailingWorker
from roadstead.workers.turns import Turn
from tests.conftest import Postbox, Tenant
from tests.dialects.native.fleet import ok
from tests.fleet import add_device
from tests.notifications import CHANNELS, deliveries, sending, until


class World:
    """A log of its own, and what happens on it."""

    def __init__(self, bus: Bus, publisher: Publisher, database: Database, url: str) -> None:
        self._bus = bus
        self._publisher = publisher
        self._database = database
        self._url = url
        self._told = 0

    async def tell(self, tenant: Tenant, fact: Fact) -> int:
        """A fact on the log; its place there."""
        self._told += 1
        body = FactMessage(self._told, tenant.tenant_id, 1_000, encode_fact(fact))
        subject = f"facts.{tenant.tenant_id}"
        return await self._publisher.put(subject, encode_facts([body]), message_id=f"{self._told}")

    async def happen(self, tenant: Tenant, device: UUID | None, type_: str = "crowded", **fields: Any) -> Event:
        """An event is written down, and told."""
        async with tenant.work() as work:
            device_id = None if device is None else DeviceId(device)
            event = await events.create_event(work, EventDraft(type=type_, message="m", device_id=device_id, **fields))
        await self.tell(tenant, EventRaised(event.id, event.device_id, event.type))
        return event

    @asynccontextmanager
    async def following(self, tenant: Tenant) -> AsyncIterator[None]:
        """A worker beside the test."""
        turn = Turn(self._url, f"mailings of {id(self)}")
        worker = asyncio.create_task(MailingWorker(self._bus, self._database, tenant.edge.ports, turn).run())
        try:
            yield
        finally:
            worker.cancel()
            await asyncio.gather(worker, return_exceptions=True)

    async def follow(self, tenant: Tenant) -> None:
        """Have everything followed that has happened so far."""
        place = await self.tell(tenant, EventRaised(new_id(), None))
        async with self.following(tenant):
            await until(lambda: self.has_come_to(place))

    async def has_come_to(self, place: int) -> bool:
        """Whether everything up to here is followed."""
        async with self._database.tx() as tx:
            return await telemetry.select_position(tx, PROJECTION) >= place


@pytest_asyncio.fixture
async def world(own_bus: Bus, system_database: Database, database_url: str) -> AsyncIterator[World]:
    """An empty log that nobody has followed yet."""
    async with system_database.tx() as tx:
        await tx.run("DELETE FROM projection WHERE name = %s", PROJECTION)
    publisher = Publisher(own_bus)
    await publisher.start()
    yield World(own_bus, publisher, system_database, database_url)
    await publisher.close()


async def make(tenant: Tenant, **fields: Any) -> Mailing:
    """A mailing."""
    usual: dict[str, Any] = {
        "recipients": [f"ada@{tenant.slug}.test"],
        "subject": "It is  crowded {{title}}",
        "body": "Somebody should look.\n\n{{text}}\n",
        "event_types": ["crowded"],
    }
    async with tenant.work() as work:
        return await mailings.create_mailing(work, MailingDraft(**usual | fields))


async def make_device(tenant: Tenant) -> DeviceId:
    """A device."""
    return DeviceId(await add_device(tenant.edge.system_database, tenant.tenant_id))


async def history(tenant: Tenant, *made: Mailing) -> list[tuple[UUID, bool]]:
    """Events that have led to mail, and whether they were debounced, oldest first."""
    async with tenant.work() as work:
        page = await mailings.list_hits(work, [one.id for one in made], PageQuery(limit=100))
    return [(hit.event_id, hit.debounced) for hit in reversed(page.items)]


async def sent(tenant: Tenant, mailing: Mailing) -> list[Any]:
    """What was made for the channel of a mailing."""
    return await deliveries(tenant, {"id": str(mailing.channel_id)})


async def test_an_event_leads_to_mail_in_the_words_of_whoever_wants_it(
    world: World, acme: Tenant, postbox: Postbox, system_database: Database, database_url: str
) -> None:
    device = await make_device(acme)
    mailing = await make(acme)
    plain = await make(acme, subject=None, recipients=[f"lin@{acme.slug}.test", f"eve@{acme.slug}.test"])
    async with sending(system_database, database_url, acme.edge.ports), world.following(acme):
        event = await world.happen(acme, device, data={"people": 40}, severity=Severity.WARNING)
        await until(lambda: has_statuses(acme, mailing, ["SENT"]))
        await until(lambda: has_statuses(acme, plain, ["SENT"]))
    mail = postbox.newest(f"ada@{acme.slug}.test")
    assert (mail.subject, mail.text) == ("It is crowded {{title}}", "Somebody should look.\n\n{{text}}\n")
    assert postbox.newest(f"lin@{acme.slug}.test, eve@{acme.slug}.test").subject == "crowded"
    (delivery,) = await sent(acme, mailing)
    assert (delivery["kind"], delivery["title"], delivery["severity"]) == ("EVENT", mailing.subject, "WARNING")
    assert await history(acme, mailing) == [(event.id, False)]


async def has_statuses(tenant: Tenant, mailing: Mailing, expected: list[str]) -> bool:
    """Whether its deliveries have these."""
    return [delivery["status"] for delivery in await sent(tenant, mailing)] == expected


async def test_to_be_told_twice_or_to_start_anew_makes_no_second_mail(world: World, acme: Tenant) -> None:
    device, mailing = await make_device(acme), await make(acme)
    first = await world.happen(acme, device)
    await world.follow(acme)
    await world.tell(acme, EventRaised(first.id, device, first.type))
    await world.tell(acme, EventRaised(first.id, device))
    second = await world.happen(acme, device)
    await world.follow(acme)
    async with acme.edge.system_database.tx() as tx:
        await telemetry.update_position(tx, PROJECTION, 0)
    await world.follow(acme)
    assert await history(acme, mailing) == [(first.id, False), (second.id, False)]
    assert len(await sent(acme, mailing)) == 2


async def test_only_what_a_mailing_is_about_leads_to_mail(world: World, acme: Tenant, globex: Tenant) -> None:
    device, other, foreign = await make_device(acme), await make_device(acme), await make_device(globex)
    await world.happen(acme, device)
    rule_id = new_id()
    everything = await make(acme, event_types=["crowded", "tampered"])
    of_device = await make(acme, devices=equals("id", device))
    of_rule = await make(acme, rule_id=rule_id)
    await make(acme, active=False)
    theirs = await make(globex)

    one = await world.happen(acme, device)
    two = await world.happen(acme, other, "tampered")
    three = await world.happen(acme, other)
    by_rule = await happen_by_rule(world, acme, other, rule_id)
    await happen_by_rule(world, acme, other, new_id())
    await world.happen(acme, device, "something else")
    await world.happen(acme, None)
    four = await world.happen(globex, foreign)
    await world.follow(acme)

    assert [event for event, _ in await history(acme, of_device)] == [one.id]
    assert [event for event, _ in await history(acme, of_rule)] == [by_rule]
    assert {one.id, two.id, three.id, by_rule} < {event for event, _ in await history(acme, everything)}
    assert len(await history(acme)) == 5 + 1 + 1
    assert [event for event, _ in await history(globex, theirs)] == [four.id]


async def happen_by_rule(world: World, tenant: Tenant, device: DeviceId, rule_id: UUID) -> UUID:
    """An alert rule has seen something."""
    async with tenant.work() as work:
        event = Event(
            id=new_id(),
            type="crowded",
            source=EventSource.ALERT_RULE,
            severity=Severity.INFO,
            message="m",
            device_id=device,
            component_id=None,
            sensor_id=None,
            site_id=None,
            occurred_at=work.now(),
            data={"ruleId": str(rule_id)},
            lifecycle=None,
            created_at=work.now(),
        )
        await events.write_events(work, [event])
    await world.tell(tenant, EventRaised(event.id, device, event.type))
    return event.id


async def test_what_comes_too_soon_is_in_the_history_and_leads_to_no_mail(world: World, acme: Tenant) -> None:
    device, mailing = await make_device(acme), await make(acme, debounce_minutes=5)
    made = [await world.happen(acme, device) for _ in range(4)]
    started_at = time.now()
    async with acme.edge.system_database.tx() as tx:
        await tx.run("UPDATE mailing SET created_at = now() - interval '1 hour' WHERE id = %s", mailing.id)
        for event, minutes in zip(made, (-20, -16, -15, -11), strict=True):
            at = started_at + timedelta(minutes=minutes)
            await tx.run("UPDATE event SET created_at = %s WHERE id = %s", at, event.id)
    await world.follow(acme)
    assert sorted(await history(acme, mailing)) == sorted(
        [(made[0].id, False), (made[1].id, True), (made[2].id, False), (made[3].id, True)]
    )
    assert len(await sent(acme, mailing)) == 2
    soon = await world.happen(acme, device)
    await world.follow(acme)
    assert (soon.id, False) in await history(acme, mailing)


async def test_organizations_that_may_not_work_send_nothing(world: World, acme: Tenant, globex: Tenant) -> None:
    ours, theirs = await make(acme), await make(globex)
    device, foreign = await make_device(acme), await make_device(globex)
    async with globex.edge.system_database.tx() as tx:
        await tx.run("UPDATE tenant SET status = 'SUSPENDED' WHERE tenant_id = %s", globex.tenant_id)
    await world.happen(globex, foreign)
    await world.happen(acme, device)
    await world.follow(acme)
    async with globex.edge.system_database.tx() as tx:
        await tx.run("UPDATE tenant SET status = 'ACTIVE' WHERE tenant_id = %s", globex.tenant_id)
    assert await history(globex, theirs) == []
    assert await sent(globex, theirs) == []
    assert len(await history(acme, ours)) == 1


async def test_one_that_cannot_be_read_does_not_stop_the_mail_of_others(
    world: World, acme: Tenant, globex: Tenant
) -> None:
    broken, good = await make(acme, devices=equals("id", new_id())), await make(globex)
    device, foreign = await make_device(acme), await make_device(globex)
    async with acme.edge.system_database.tx() as tx:
        sql = """UPDATE mailing SET devices = '{"compare": [["nonsense"], "=", 1]}' WHERE id = %s"""
        await tx.run(sql, broken.id)
    await world.happen(acme, device)
    await world.happen(globex, foreign)
    await world.follow(acme)
    assert await history(acme, broken) == []
    assert len(await history(globex, good)) == 1


async def test_a_mailing_that_is_deleted_sends_nothing_any_more(world: World, acme: Tenant) -> None:
    device, mailing = await make_device(acme), await make(acme)
    await world.happen(acme, device)
    await world.follow(acme)
    assert ok(await acme.api.get(f"{CHANNELS}/{mailing.channel_id}"))["config"] == {
        "recipients": [f"ada@{acme.slug}.test"]
    }
    async with acme.work() as work:
        await mailings.delete_mailing(work, mailing.id)
    await world.happen(acme, device)
    await world.follow(acme)
    async with acme.edge.system_database.tx() as tx:
        rows = await tx.rows("SELECT status FROM delivery WHERE tenant_id = %s", acme.tenant_id)
    assert rows == [("CANCELLED",)]
    assert len(await history(acme)) == 1


_EACH: list[Filter] = [
    And((equals("a", 1), Or((Exists(("tags", "x")), Not(equals("b", True)))))),
    Compare(("tags", "x"), Operator.GE, 1.5),
    Between(("at",), time.now(), time.now(), high_open=True),
    In(("id",), (new_id(), "text", 3)),
    Match(("name",), MatchKind.WILDCARD, "a*", ignore_case=True),
    Within(("location",), Circle(1.0, 2.0, 3.0)),
    Within(("location",), Box(1.0, 2.0, 3.0, 4.0)),
]


@pytest.mark.parametrize("tree", _EACH, ids=lambda tree: type(tree).__name__)
def test_a_filter_that_is_kept_comes_back_as_it_was(tree: Filter) -> None:
    kept = msgspec.json.decode(msgspec.json.encode(spell_filter(tree)))
    assert read_filter(kept) == tree


def test_what_no_filter_does_is_not_read() -> None:
    with pytest.raises(ValueError, match="no filter does"):
        read_filter({"xor": [["a"], 1]})
