"""/notification-channels over HTTP."""

from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio

from roadstead.kernel.actor import Grant, Role
from tests.conftest import Postbox, Tenant
from tests.dialects.native.fleet import names, ok, problem
from tests.notifications import CHANNELS, add_channel, announce, deliveries, sending, statuses, until
from tests.people import last_actions
from tests.receivers import Receiver, receiver

SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#alerts"
EMAIL = {"name": "mail", "type": "EMAIL", "config": {"recipients": ["ada@acme.example"]}}


@pytest_asyncio.fixture
async def heard() -> AsyncIterator[Receiver]:
    """A server that webhooks call."""
    async with receiver() as made:
        yield made


async def test_a_channel_comes_back_as_it_was_made_without_its_secrets(acme: Tenant, globex: Tenant) -> None:
    quiet = {"start": "22:00", "end": "07:00", "timeZone": "Europe/Berlin", "allowCritical": False}
    config = {"url": "https://hooks.example/1", "secret": "0123456789abcdef", "headers": {"X-Key": "k3y"}}
    sent = {"minSeverity": "WARNING", "digestMinutes": 5, "quietHours": quiet, "config": config}
    made = await add_channel(acme, "", **sent)
    answer = await acme.api.get(f"{CHANNELS}/{made['id']}")

    assert made["config"] == {"url": "https://hooks.example/1", "headers": {"X-Key": "(hidden)"}}
    assert (made["minSeverity"], made["digestMinutes"], made["quietHours"]) == ("WARNING", 5, quiet)
    assert (ok(answer), answer.headers["etag"], made["enabled"]) == (made, '"1"', True)
    assert "secret" not in made
    assert problem(await globex.api.get(f"{CHANNELS}/{made['id']}"))[0] == 404

    chat = ok(await acme.api.post(CHANNELS, json={"name": "chat", "type": "APPRISE", "config": {"url": SLACK}}))
    assert chat["config"] == {"service": "slack"}
    async with acme.edge.system_database.tx() as tx:
        stored = str(await tx.rows("SELECT * FROM notification_channel WHERE tenant_id = %s", acme.tenant_id))
        stored += str(await tx.rows("SELECT changes FROM audit_log WHERE tenant_id = %s", acme.tenant_id))
    assert not [text for text in ("k3y", "0123456789abcdef", "TIiajkdnlazkcOXrIdevi7FQ") if text in stored]


async def test_a_secret_that_was_made_is_shown_once(acme: Tenant) -> None:
    made = await add_channel(acme, "https://hooks.example/1")
    path = f"{CHANNELS}/{made['id']}"
    first = made.pop("secret")
    assert first.startswith("whsec_")
    assert ok(await acme.api.get(path)) == made
    assert "secret" not in ok(await acme.api.patch(path, json={"config": {"url": "https://hooks.example/2"}}))
    replaced = {"name": "n", "type": "WEBHOOK", "config": {"url": "https://hooks.example/3"}}
    assert "secret" not in ok(await acme.api.put(path, json=replaced))
    second = ok(await acme.api.patch(path, json={"config": {"secret": None}}))["secret"]
    assert second.startswith("whsec_") and second != first


async def test_what_is_wrong_with_a_channel_is_named(acme: Tenant) -> None:
    def hook(**config: Any) -> dict[str, Any]:
        return {"type": "WEBHOOK", "config": {"url": "https://hooks.example/", **config}}

    def mail(*recipients: str, **config: Any) -> dict[str, Any]:
        return {"type": "EMAIL", "config": {"recipients": recipients, **config}}

    def quiet(**hours: Any) -> dict[str, Any]:
        return {**hook(), "quietHours": {"start": "22:00", "end": "07:00", "timeZone": "UTC", **hours}}

    for body, field in (
        (hook(url="ftp://hooks.example/"), "/config/url"),
        (hook(url="https://10.0.0.1/"), "/config/url"),
        (hook(secret="short"), "/config/secret"),
        (hook(headers={"Host": "x"}), "/config/headers/Host"),
        (hook(headers={"X-Key": "a\r\nb: c"}), "/config/headers/X-Key"),
        (hook(headers={"x-signature": "x"}), "/config/headers/x-signature"),
        (hook(headers={"X-A": "1", "x-a": "2"}), "/config/headers"),
        (hook(template={"text": "{{nobody}}"}), "/config/template"),
        (hook(recipients=["a@b.example"]), "/config/recipients"),
        ({"type": "WEBHOOK", "config": {}}, "/config/url"),
        (mail(), "/config/recipients"),
        (mail("ada@acme.example", "nobody"), "/config/recipients/1"),
        (mail("a@b.example\r\nBcc: c@d.example"), "/config/recipients/0"),
        (mail("a@b.example", "A@b.example"), "/config/recipients"),
        (mail("a@b.example", subjectTemplate="{{nobody}}"), "/config/subjectTemplate"),
        ({"type": "APPRISE", "config": {"url": "mailto://a:b@c.example"}}, "/config/url"),
        ({"type": "APPRISE", "config": {}}, "/config/url"),
        ({"type": "APPRISE", "config": {"url": SLACK, "service": "json"}}, "/config/service"),
        ({"type": "PIGEON", "config": {}}, "/type"),
        (quiet(start="24:00"), "/quietHours/start"),
        (quiet(end="22:00"), "/quietHours/end"),
        (quiet(timeZone="Mars/Base"), "/quietHours/timeZone"),
        (quiet(days=[1]), "/quietHours/days"),
        ({**hook(), "digestMinutes": 0}, "/digestMinutes"),
        ({**hook(), "minSeverity": "LOUD"}, "/minSeverity"),
        ({**hook(), "organizationId": "x"}, "/organizationId"),
    ):
        answer = await acme.api.post(CHANNELS, json={"name": "x", **body})
        assert problem(answer)[::2] == (422, [field]), (body, answer.text)
    assert await names(acme, CHANNELS) == []


async def test_a_name_is_taken_once_per_organization(acme: Tenant, globex: Tenant) -> None:
    first = ok(await acme.api.post(CHANNELS, json=EMAIL))
    ok(await globex.api.post(CHANNELS, json=EMAIL))
    other = ok(await acme.api.post(CHANNELS, json={**EMAIL, "name": "other"}))
    assert problem(await acme.api.post(CHANNELS, json=EMAIL)) == (409, "name-taken", ["/name"])
    path = f"{CHANNELS}/{other['id']}"
    assert problem(await acme.api.patch(path, json={"name": "mail"})) == (409, "name-taken", ["/name"])
    assert ok(await acme.api.patch(f"{CHANNELS}/{first['id']}", json={"name": "mail"}))["version"] == 2


async def test_a_patch_merges_and_a_put_replaces(acme: Tenant) -> None:
    config = {"url": "https://a.example/", "headers": {"X-A": "1", "X-B": "2"}, "template": {"t": "{{title}}"}}
    made = await add_channel(acme, "", config=config, digestMinutes=5)
    path = f"{CHANNELS}/{made['id']}"
    patch = {"config": {"headers": {"X-A": None, "X-C": "3"}}, "digestMinutes": None}
    patched = ok(await acme.api.patch(path, json=patch, headers={"if-match": '"1"'}))

    assert patched["config"]["headers"] == {"X-B": "(hidden)", "X-C": "(hidden)"}
    assert (patched["config"]["template"], "digestMinutes" in patched) == ({"t": "{{title}}"}, False)
    assert problem(await acme.api.patch(path, json=patch, headers={"if-match": '"1"'}))[0] == 412
    back = {"name": "n", "type": "WEBHOOK", "config": {"url": "https://b.example/", "headers": {"X-B": "(hidden)"}}}
    replaced = ok(await acme.api.put(path, json=back))
    assert replaced["config"] == back["config"]
    other = ok(await acme.api.patch(path, json={"type": "EMAIL", "config": {"recipients": ["a@b.example"]}}))
    assert other["config"] == {"recipients": ["a@b.example"]}
    assert problem(await acme.api.patch(path, json={"type": "WEBHOOK"}))[::2] == (422, ["/config/recipients"])


async def test_channels_are_listed_by_name_type_and_whether_they_are_enabled(acme: Tenant, globex: Tenant) -> None:
    await add_channel(globex, "https://a.example/")
    for name in ("b", "a"):
        await add_channel(acme, "https://a.example/", name=name, enabled=name == "b")
    ok(await acme.api.post(CHANNELS, json={**EMAIL, "name": "c"}))
    for params, found in (
        ({}, ["a", "b", "c"]),
        ({"sort": "-createdAt"}, ["c", "a", "b"]),
        ({"type": "EMAIL"}, ["c"]),
        ({"enabled": "false"}, ["a"]),
        ({"type": "APPRISE"}, []),
        ({"limit": "1"}, ["a"]),
    ):
        assert await names(acme, CHANNELS, **params) == found, params
    assert ok(await acme.api.get(CHANNELS, params={"includeTotal": "true"}))["totalItems"] == 3
    assert problem(await acme.api.get(CHANNELS, params={"sort": "type"}))[::2] == (422, ["sort"])


async def test_every_change_is_in_the_audit_log_and_a_reader_changes_nothing(acme: Tenant) -> None:
    made = await add_channel(acme, "https://a.example/")
    path = f"{CHANNELS}/{made['id']}"
    ok(await acme.api.patch(path, json={"enabled": False}))
    assert (await acme.api.delete(path)).status_code == 204
    actions = [f"notification-channel.{verb}" for verb in ("delete", "update", "create")]
    assert await last_actions(acme, 3) == actions
    async with acme.client(await acme.add_key([Grant.ALERTS_READ])) as reader:
        assert (await reader.get(CHANNELS)).status_code == 200
        assert problem(await reader.post(CHANNELS, json=EMAIL))[:2] == (403, "scope-missing")
    assert Grant.ALERTS_WRITE in acme.actor(Role.MEMBER).grants


async def test_a_test_message_is_really_sent_and_its_outcome_answered(
    acme: Tenant, database_url: str, heard: Receiver, postbox: Postbox
) -> None:
    url = f"http://127.0.0.1:{heard.port}"
    hook = await add_channel(acme, f"{url}/hook", enabled=False, minSeverity="CRITICAL", digestMinutes=60)
    mail = ok(await acme.api.post(CHANNELS, json=EMAIL))
    chat_url = {"url": f"json://127.0.0.1:{heard.port}/chat"}
    chat = ok(await acme.api.post(CHANNELS, json={"name": "chat", "type": "APPRISE", "config": chat_url}))
    async with sending(acme.edge.system_database, database_url, acme.edge.ports):
        outcomes = [ok(await acme.api.post(f"{CHANNELS}/{one['id']}/test")) for one in (hook, mail, chat)]
        heard.status, heard.body = 403, b"no such hook"
        failed = ok(await acme.api.post(f"{CHANNELS}/{hook['id']}/test"))

    assert [(one["status"], one["kind"], one["attempts"]) for one in outcomes] == [("SENT", "TEST", 1)] * 3
    assert [request.path for request in heard.requests] == ["/hook", "/chat", "/hook"]
    assert "This is a test" in postbox.newest("ada@acme.example").subject
    assert (failed["status"], failed["lastStatusCode"], failed["attempts"]) == ("FAILED", 403, 1)
    assert failed["error"] == "answered 403: no such hook"
    shown = ok(await acme.api.get(f"{CHANNELS}/{hook['id']}"))
    assert (shown["lastError"], shown["lastDeliveryAt"]) == (failed["error"], outcomes[0]["sentAt"])
    assert await deliveries(acme, hook) == [outcomes[0], failed]


async def test_what_has_failed_can_be_sent_again_under_its_id(
    acme: Tenant, globex: Tenant, database_url: str, heard: Receiver
) -> None:
    channel = await add_channel(acme, f"http://127.0.0.1:{heard.port}/")
    heard.status = 500
    async with sending(acme.edge.system_database, database_url, acme.edge.ports):
        await announce(acme, channel)

        async def has_failed() -> bool:
            return [one.get("lastStatusCode") for one in await deliveries(acme, channel)] == [500]

        await until(has_failed)
        [waiting] = await deliveries(acme, channel)
        path = f"{CHANNELS}/{channel['id']}/deliveries/{waiting['id']}/resend"
        heard.status = 200
        again = await acme.api.post(path)
        assert (again.status_code, again.json()["status"]) == (202, "PENDING")

        async def is_sent() -> bool:
            return await statuses(acme, channel) == ["SENT"]

        await until(is_sent)
        ok(await acme.api.post(path))
        await until(lambda: len(heard.requests) == 3)
        await until(is_sent)
    assert {request.headers["idempotency-key"] for request in heard.requests} == {waiting["id"]}
    assert problem(await globex.api.post(path))[0] == 404
    assert "notification-channel.resend" in await last_actions(acme)
    ok(await acme.api.patch(f"{CHANNELS}/{channel['id']}", json={"enabled": False}))
    assert problem(await acme.api.post(path))[:2] == (409, "invalid-state")


async def test_deliveries_are_listed_by_status_newest_first(acme: Tenant, globex: Tenant) -> None:
    channel = await add_channel(acme, "https://a.example/")
    for title in ("one", "two"):
        await announce(acme, channel, title=title)
    path = f"{CHANNELS}/{channel['id']}/deliveries"
    assert [one["title"] for one in await deliveries(acme, channel)] == ["one", "two"]
    assert await deliveries(acme, channel, status="SENT") == []
    assert len(await deliveries(acme, channel, status=["SENT", "PENDING"])) == 2
    first = ok(await acme.api.get(path, params={"limit": "1"}))
    rest = ok(await acme.api.get(path, params={"limit": "1", "cursor": first["nextCursor"]}))
    assert [page["items"][0]["title"] for page in (first, rest)] == ["two", "one"]
    assert problem(await globex.api.get(path))[0] == 404
    async with globex.edge.tenant_database.tx(globex.tenant_id) as tx:
        assert await tx.rows("SELECT id FROM delivery UNION ALL SELECT id FROM announcement") == []
