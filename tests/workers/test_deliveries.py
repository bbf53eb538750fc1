"""Notifications on their way out: real webhook receivers, a real mail server, and what goes wrong with them."""

import asyncio
import email
import email.policy
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
import pytest_asyncio
from aiosmtpd.smtp import SMTP, Envelope, Session

from roadstead.adapters.mail import make_mailer
from roadstead.core import notify
from roadstead.core.messages import Severity
from roadstead.core.notify import Kind, Waiting
from roadstead.core.ports import Ports
from roadstead.db import Database
from roadstead.kernel import time
from roadstead.kernel.errors import Invalid
from roadstead.kernel.ids import new_id
from roadstead.kernel.page import PageQuery
from tests.conftest import Tenant
from tests.dialects.native.fleet import ok
from tests.notifications import CHANNELS, add_channel, announce, deliveries, make_due, sending, statuses, until
from tests.receivers import Receiver, receiver

SECRET = "a secret of both sides"


class MailServer:
    """What people's mail arrives at; knows nobody called nobody."""

    def __init__(self) -> None:
        self.received: list[tuple[list[str], email.message.EmailMessage]] = []

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Whether a recipient is known."""
        if address.startswith("nobody@"):
            return "550 nobody here"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """A mail has arrived."""
        assert isinstance(envelope.content, bytes)
        made = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(made, email.message.EmailMessage)
        self.received.append((list(envelope.rcpt_tos), made))
        return "250 ok"


@pytest_asyncio.fixture
async def mail_server() -> AsyncIterator[tuple[MailServer, int]]:
    """A running one, with its port."""
    server = MailServer()
    async with await asyncio.get_running_loop().create_server(lambda: SMTP(server), "127.0.0.1", 0) as listening:
        yield server, listening.sockets[0].getsockname()[1]


@pytest_asyncio.fixture
async def heard() -> AsyncIterator[Receiver]:
    """A server that webhooks call."""
    async with receiver() as made:
        yield made


Start = Callable[..., AbstractAsyncContextManager[None]]


@pytest.fixture
def start(system_database: Database, database_url: str, ports: Ports) -> Start:
    """Runs a sender beside the test."""

    def run(other_ports: Ports = ports, **how: Any) -> AbstractAsyncContextManager[None]:
        return sending(system_database, database_url, other_ports, **how)

    return run


def url_of(server: Receiver) -> str:
    """Where it listens."""
    return f"http://127.0.0.1:{server.port}/"


async def all_are(tenant: Tenant, channel: Any, status: str) -> bool:
    """Whether the deliveries of a channel all have this status."""
    return set(await statuses(tenant, channel)) == {status}


async def claim(database: Database, tenant: Tenant, channel: Any, at: datetime | None = None) -> notify.Parcel | None:
    """What a sender does first, as if it were some time of the day."""
    async with database.tx() as tx:
        return await notify.claim_parcel(tx, waiting_of(tenant, channel), at or time.now())


def waiting_of(tenant: Tenant, channel: Any) -> Waiting:
    """As a sender knows a channel."""
    type_ = notify.ChannelType(channel["type"])
    return Waiting(tenant_id=tenant.tenant_id, channel_id=UUID(channel["id"]), type=type_, failing=False, ready=1)


# --- what is said ----------------------------------------------------------------------------------------------------


async def test_a_webhook_can_be_verified_the_way_its_receiver_would(
    acme: Tenant, start: Start, heard: Receiver
) -> None:
    config = {"url": url_of(heard), "secret": SECRET, "headers": {"Authorization": "Bearer theirs"}}
    channel = await add_channel(acme, "", config=config)
    async with start():
        alert_id = await announce(acme, channel)
        await until(lambda: len(heard.requests) == 1)

    [request] = heard.requests
    said = request.headers
    assert said["x-signature"] == "sha256=" + hmac.new(SECRET.encode(), request.body, hashlib.sha256).hexdigest()
    timed = said["x-timestamp"].encode() + b"." + request.body
    assert said["x-signature-timestamped"] == "sha256=" + hmac.new(SECRET.encode(), timed, hashlib.sha256).hexdigest()
    assert abs(int(said["x-timestamp"]) - time.now().timestamp()) < 60
    assert (said["authorization"], said["content-type"]) == ("Bearer theirs", "application/json")
    body = json.loads(request.body)
    assert (body["type"], body["alertId"], body["severity"]) == ("alert.fired", str(alert_id), "WARNING")
    assert (body["title"], body["data"]) == ("pump-1 is hot", {"value": 91.5, "device": {"name": "pump-1"}})
    assert (body["id"], body["channelId"]) == (said["idempotency-key"], channel["id"])
    assert body["organizationId"] == str(acme.organization_id)


async def test_a_template_makes_the_body_that_the_receiver_wants(acme: Tenant, start: Start, heard: Receiver) -> None:
    template = {
        "text": "{{severity}}: {{ title }} ({{data.device.name}}, {{data.nothing}})",
        "value": "{{data.value}}",
        "list": ["{{type}}", 1, None],
    }
    channel = await add_channel(acme, "", config={"url": url_of(heard), "template": template})
    async with start():
        payload = {"value": 91.5, "device": {"name": "pump-1\0"}}
        await announce(acme, channel, title='"quoted"\n{{text}}', payload=payload)
        await until(lambda: len(heard.requests) == 1)

    assert json.loads(heard.requests[0].body) == {
        "text": 'WARNING: "quoted"\n{{text}} (pump-1\ufffd, )',
        "value": 91.5,
        "list": ["alert.fired", 1, None],
    }


async def test_mail_reaches_a_server_and_names_who_was_refused(
    acme: Tenant, start: Start, ports: Ports, tmp_path: Path, mail_server: tuple[MailServer, int]
) -> None:
    server, port = mail_server
    mailer = make_mailer(f"smtp://127.0.0.1:{port}", "roadstead@acme.example", tmp_path)
    recipients = ["ada@acme.example", "grace@acme.example", "nobody@acme.example"]
    config = {"recipients": recipients, "subjectTemplate": "{{title}} ({{severity}})"}
    channel = ok(await acme.api.post(CHANNELS, json={"name": "mail", "type": "EMAIL", "config": config}))
    nobody = {"name": "nobody", "type": "EMAIL", "config": {"recipients": ["nobody@acme.example"]}}
    to_nobody = ok(await acme.api.post(CHANNELS, json=nobody))
    async with start(msgspec.structs.replace(ports, mailer=mailer)):
        await announce(acme, channel, to_nobody, title="Pumpe läuft\nheiß")
        await until(partial(all_are, acme, channel, "SENT"))
        outcome = ok(await acme.api.post(f"{CHANNELS}/{to_nobody['id']}/test"))

    [(to, mail)] = server.received
    assert to == recipients[:2]
    assert mail["Subject"] == "Pumpe läuft heiß (WARNING)"
    assert "temperature 91 > 90" in mail.get_content()
    [delivery] = await deliveries(acme, channel)
    assert mail["Message-ID"] == f"<{delivery['id']}@acme.example>"
    assert delivery["error"] == "not taken for nobody@acme.example: 550 nobody here"
    assert (outcome["status"], "550 nobody here" in outcome["error"]) == ("FAILED", True)


# --- whether and when ------------------------------------------------------------------------------------------------


async def test_an_announcement_makes_one_delivery_for_each_channel_that_wants_it(acme: Tenant, globex: Tenant) -> None:
    wants = await add_channel(acme, "https://a.example/")
    too_loud = await add_channel(acme, "https://a.example/", minSeverity="CRITICAL")
    disabled = await add_channel(acme, "https://a.example/", enabled=False)
    theirs = await add_channel(globex, "https://a.example/")
    alert_id = await announce(acme, wants, too_loud, disabled, theirs, {"id": str(new_id())}, wants)

    assert [len(await deliveries(acme, channel)) for channel in (wants, too_loud, disabled)] == [1, 0, 0]
    assert await deliveries(globex, theirs) == []
    async with acme.work() as work:
        made = await notify.list_deliveries(work, alert_id, PageQuery())
        assert [(one.alert_id, one.kind) for one in made.items] == [(alert_id, Kind.FIRED)]
        with pytest.raises(Invalid) as caught:
            await notify.check_channels(work, [UUID(wants["id"]), UUID(theirs["id"])])
    assert [field.pointer for field in caught.value.fields] == ["/channelIds/1"]


async def test_what_fails_is_tried_again_at_longer_intervals_and_then_given_up(
    acme: Tenant, start: Start, heard: Receiver, system_database: Database
) -> None:
    channel = await add_channel(acme, url_of(heard))
    heard.status = 503
    waits = []
    async with start():
        await announce(acme, channel)
        for attempt in range(1, 7):

            async def is_settled(attempt: int = attempt) -> bool:
                [one] = await deliveries(acme, channel)
                return bool(one["attempts"] == attempt and one.get("lastStatusCode") and not await is_leased(acme))

            await until(is_settled)
            [delivery] = await deliveries(acme, channel)
            if attempt < 6:
                assert delivery["status"] == "PENDING"
                left = datetime.fromisoformat(delivery["nextAttemptAt"]) - time.now()
                waits.append(round(left.total_seconds(), -1))
                await make_due(system_database, acme)

    assert waits == [10, 60, 300, 1800, 7200]
    [delivery] = await deliveries(acme, channel)
    assert (delivery["status"], delivery["error"], len(heard.requests)) == ("FAILED", "answered 503", 6)
    assert len({request.headers["idempotency-key"] for request in heard.requests}) == 1
    assert len({request.body for request in heard.requests}) == 1


async def is_leased(tenant: Tenant) -> bool:
    """Whether something is on its way."""
    async with tenant.edge.tenant_database.tx(tenant.tenant_id) as tx:
        return bool(await tx.value("SELECT count(*) FROM delivery WHERE lease IS NOT NULL"))


async def test_what_the_guard_refuses_is_not_tried_again(acme: Tenant, start: Start, heard: Receiver) -> None:
    channel = await add_channel(acme, url_of(heard))
    heard.redirect("/", 307, "http://10.0.0.1/")
    async with start():
        await announce(acme, channel)
        await until(partial(all_are, acme, channel, "FAILED"))

    [delivery] = await deliveries(acme, channel)
    assert (delivery["attempts"], "public internet" in delivery["error"]) == (1, True)


async def test_a_digest_is_one_message_about_all_that_came_in_its_time(
    acme: Tenant, start: Start, heard: Receiver, system_database: Database
) -> None:
    channel = await add_channel(acme, url_of(heard), digestMinutes=5)
    heard.status = 500
    async with start():
        for number in range(3):
            await announce(acme, channel, title=f"alert {number}", severity=list(Severity)[number])
        due = {delivery["nextAttemptAt"] for delivery in await deliveries(acme, channel)}
        await make_due(system_database, acme)
        await until(lambda: len(heard.requests) == 1)
        heard.status = 200
        await announce(acme, channel, title="too late")

        async def has_failed() -> bool:
            return {one.get("lastStatusCode") for one in (await deliveries(acme, channel))[:3]} == {500}

        await until(has_failed)
        await make_due(system_database, acme)
        await until(partial(all_are, acme, channel, "SENT"))

    assert len(due) == 1
    assert 290 < (datetime.fromisoformat(due.pop()) - time.now()).total_seconds() < 300
    bodies = [json.loads(request.body) for request in heard.requests]
    first, *rest = sorted(bodies, key=lambda body: body["count"], reverse=True)
    again, later = sorted(rest, key=lambda body: body["count"], reverse=True)
    assert (first["type"], first["count"], first["severity"]) == ("digest", 3, "CRITICAL")
    assert [item["title"] for item in first["items"]] == ["alert 0", "alert 1", "alert 2"]
    assert again == first
    assert ([item["title"] for item in later["items"]], later["id"] != first["id"]) == (["too late"], True)


def quiet_now(**fields: Any) -> dict[str, Any]:
    """An hour of quiet before and after this moment."""
    now = time.now()
    start, end = now - timedelta(hours=1), now + timedelta(hours=1)
    return {"start": f"{start:%H:%M}", "end": f"{end:%H:%M}", "timeZone": "UTC", **fields}


async def test_quiet_hours_hold_back_all_but_what_is_critical(acme: Tenant, start: Start, heard: Receiver) -> None:
    some = await add_channel(acme, url_of(heard), quietHours=quiet_now(), digestMinutes=None)
    none = await add_channel(acme, url_of(heard), quietHours=quiet_now(allowCritical=False))
    async with start():
        for severity in (Severity.CRITICAL, Severity.WARNING):
            await announce(acme, some, none, severity=severity)

        async def are_held() -> bool:
            async with acme.edge.tenant_database.tx(acme.tenant_id) as tx:
                return bool(await tx.value("SELECT count(*) FROM delivery WHERE held") == 3)

        await until(are_held)
        await until(lambda: len(heard.requests) == 1)
        assert json.loads(heard.requests[0].body)["severity"] == "CRITICAL"

        async def is_sent() -> bool:
            return await statuses(acme, some) == ["SENT", "PENDING"]

        await until(is_sent)
        [sent, held] = await deliveries(acme, some)
        assert (sent["attempts"], held["attempts"]) == (1, 0)
        assert 55 < (datetime.fromisoformat(held["nextAttemptAt"]) - time.now()).total_seconds() / 60 <= 60
        ok(await acme.api.patch(f"{CHANNELS}/{none['id']}", json={"quietHours": None}))
        await until(lambda: len(heard.requests) == 3)


async def test_what_was_held_back_goes_out_when_quiet_hours_end_even_where_the_clock_is_put_forward(
    acme: Tenant, system_database: Database
) -> None:
    hours = {"start": "22:00", "end": "07:00", "timeZone": "Europe/Berlin"}
    channel = await add_channel(acme, "https://a.example/", quietHours=hours, digestMinutes=60)
    for number in range(2):
        await announce(acme, channel, title=f"alert {number}")
    await make_due(system_database, acme)
    assert await claim(system_database, acme, channel, datetime.fromisoformat("2026-03-29T01:00:00+01:00")) is None
    ends = {delivery["nextAttemptAt"] for delivery in await deliveries(acme, channel)}
    assert ends == {"2026-03-29T05:00:00Z"}  # six hours after one o'clock by the clock on the wall; five have passed

    await announce(acme, channel, title="urgent", severity=Severity.CRITICAL)
    await make_due(system_database, acme)
    urgent = await claim(system_database, acme, channel, datetime.fromisoformat("2026-03-29T06:59:00+02:00"))
    assert urgent is not None and [item.announcement.title for item in urgent.items] == ["urgent"]
    await make_due(system_database, acme)
    async with system_database.tx() as tx:
        await tx.run("UPDATE delivery SET status = 'SENT' WHERE lease = %s", urgent.lease)
    morning = await claim(system_database, acme, channel, datetime.fromisoformat("2026-03-29T07:00:00+02:00"))
    assert morning is not None and morning.is_digest
    assert [item.announcement.title for item in morning.items] == ["alert 0", "alert 1"]


# --- what goes wrong -------------------------------------------------------------------------------------------------


async def test_who_dies_between_sending_and_saying_so_has_it_sent_once_more_under_the_same_id(
    acme: Tenant, start: Start, heard: Receiver, system_database: Database, ports: Ports
) -> None:
    channel = await add_channel(acme, url_of(heard))
    await announce(acme, channel)
    lost = await claim(system_database, acme, channel)
    assert lost is not None and await claim(system_database, acme, channel) is None
    [delivery] = await deliveries(acme, channel)
    left_s = (datetime.fromisoformat(delivery["nextAttemptAt"]) - time.now()).total_seconds()
    assert (delivery["status"], 110 < left_s <= 120) == ("PENDING", True)
    outcome = await notify.send(ports, lost, time.now())

    async with start(keep=True):
        await make_due(system_database, acme)
        await until(partial(all_are, acme, channel, "SENT"))
    [first, second] = heard.requests
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert first.body == second.body
    [delivery] = await deliveries(acme, channel)
    assert delivery["attempts"] == 2

    # The dead come back: it is too late for what they have to say.
    async with system_database.tx() as tx:
        late = msgspec.structs.replace(outcome, sent=False, error="late")
        await notify.settle_parcel(tx, lost, late, time.now())
    assert await deliveries(acme, channel) == [delivery]


async def test_who_comes_back_after_the_lease_was_given_on_changes_nothing(
    acme: Tenant, system_database: Database
) -> None:
    channel = await add_channel(acme, "https://a.example/")
    await announce(acme, channel)
    first = await claim(system_database, acme, channel)
    await make_due(system_database, acme)
    second = await claim(system_database, acme, channel)
    assert first is not None and second is not None and first.id == second.id
    async with system_database.tx() as tx:
        await notify.settle_parcel(tx, first, notify.Outcome(sent=False, error="late"), time.now())
    [delivery] = await deliveries(acme, channel)
    assert (delivery["status"], "error" in delivery) == ("PENDING", False)
    async with system_database.tx() as tx:
        await notify.settle_parcel(tx, second, notify.Outcome(sent=True, status_code=200), time.now())
    assert await statuses(acme, channel) == ["SENT"]


async def test_those_who_send_at_the_same_time_make_one_digest(acme: Tenant, system_database: Database) -> None:
    channels = [await add_channel(acme, "https://a.example/", digestMinutes=5) for _ in range(6)]
    for _ in range(4):
        await announce(acme, *channels)
    await make_due(system_database, acme)
    everybody = [claim(system_database, acme, channel) for channel in channels for _ in range(4)]
    found = [parcel for parcel in await asyncio.gather(*everybody) if parcel is not None]
    assert sorted(len(parcel.items) for parcel in found) == [4] * 6


async def test_what_kills_everybody_who_sends_it_is_given_up(acme: Tenant, system_database: Database) -> None:
    channel = await add_channel(acme, "https://a.example/")
    await announce(acme, channel)
    for _ in range(6):
        assert await claim(system_database, acme, channel) is not None
        await make_due(system_database, acme)
    assert await claim(system_database, acme, channel) is None
    [delivery] = await deliveries(acme, channel)
    assert (delivery["status"], delivery["attempts"], "given up" in delivery["error"]) == ("FAILED", 6, True)


async def test_a_dead_endpoint_slows_nobody_else(
    acme: Tenant, globex: Tenant, start: Start, heard: Receiver, system_database: Database
) -> None:
    async with receiver() as dead:
        dead.open.clear()
        lame = [await add_channel(acme, url_of(dead)) for _ in range(6)]
        healthy, theirs = await add_channel(acme, url_of(heard)), await add_channel(globex, url_of(heard))
        async with start(at_a_time=16):
            # What failed the last time gets no more than its share, whatever waits there.
            async with system_database.tx() as tx:
                await tx.run(
                    "UPDATE notification_channel SET last_error = 'no answer' WHERE id = ANY (%s)",
                    [UUID(channel["id"]) for channel in lame],
                )
            for _ in range(10):
                await announce(acme, *lame)
            await until(lambda: len(dead.requests) == 4)
            for _ in range(10):
                await announce(acme, healthy)
                await announce(globex, theirs)
            await until(partial(all_are, acme, healthy, "SENT"))
            await until(partial(all_are, globex, theirs, "SENT"))

            assert len(dead.requests) == 4
            dead.open.set()
    assert len(heard.requests) == 20


async def test_one_channel_sends_a_few_at_a_time_and_tenants_share_the_places(
    acme: Tenant, globex: Tenant, start: Start, heard: Receiver
) -> None:
    heard.open.clear()
    many = [await add_channel(acme, f"{url_of(heard)}acme") for _ in range(4)]
    one = await add_channel(globex, f"{url_of(heard)}globex")
    async with start(at_a_time=16):
        for _ in range(6):
            await announce(acme, *many)
        await until(lambda: len(heard.requests) == 8)  # half of the places are the most for one tenant
        for _ in range(6):
            await announce(globex, one)
        await until(lambda: len(heard.requests) == 12)  # and four the most for one channel
        paths = [request.path for request in heard.requests]
        assert (paths.count("/acme"), paths.count("/globex")) == (8, 4)
        heard.open.set()
        await until(lambda: len(heard.requests) == 30)
        for channel in many:
            await until(partial(all_are, acme, channel, "SENT"))
        await until(partial(all_are, globex, one, "SENT"))


async def test_what_a_channel_has_not_sent_when_it_goes_is_cancelled(acme: Tenant) -> None:
    for end in ("DELETE", "PATCH"):
        channel = await add_channel(acme, "https://a.example/")
        alert_id = await announce(acme, channel)
        path = f"{CHANNELS}/{channel['id']}"
        ok(await acme.api.request(end, path, json={"enabled": False} if end == "PATCH" else None))
        async with acme.work() as work:
            [delivery] = (await notify.list_deliveries(work, alert_id, PageQuery())).items
        assert (delivery.status, str(delivery.channel_id)) == ("CANCELLED", channel["id"])
        assert delivery.error == f"the channel was {'deleted' if end == 'DELETE' else 'disabled'}"
