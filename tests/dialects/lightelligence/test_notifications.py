"""/v1/notifications: definitions and their history. What leads to mail is tested beside the worker."""

from typing import Any
from uuid import UUID, uuid4

from roadstead.core import mailings
from roadstead.core.events import EventDraft, create_event
from roadstead.core.messages import EventRaised
from roadstead.kernel.actor import Role
from roadstead.kernel.ids import DeviceId
from tests.conftest import Tenant
from tests.dialects.lightelligence.contract import Client
from tests.dialects.native.fleet import ok
from tests.fleet import add_device

CHANNELS = "/api/v1/notification-channels"


def definition(**fields: Any) -> dict[str, Any]:
    """What a program sends."""
    template = {
        "notificationRecipient": "ada@example.org, grace@example.org",
        "notificationTopic": "It is crowded",
        "notificationPayload": "Somebody should look.",
        "debounceDuration": 5,
    }
    wanted = {"eventFilter": {"deviceEvent": ["crowded"]}, "deviceFilter": {"deviceTag": ["hall"]}}
    return {"notificationTemplate": template, "notificationFilter": wanted, **fields}


async def add(client: Client, **fields: Any) -> dict[str, Any]:
    """A definition, as answered."""
    made: dict[str, Any] = await client.data("createNotification", json=definition(**fields))
    return made


async def get(client: Client, made: dict[str, Any]) -> dict[str, Any]:
    """It, as it is now."""
    found: dict[str, Any] = await client.data("getNotification", notificationId=made["notificationId"])
    return found


async def test_a_definition_comes_back_as_it_was_made(acme: Tenant, globex: Tenant) -> None:
    client, foreign = await Client.of(acme), await Client.of(globex)
    made = await add(client)
    sent = definition()
    sent["notificationTemplate"]["notificationRecipient"] = "ada@example.org,grace@example.org"
    assert {name: made[name] for name in sent} == sent
    assert made["active"] is True
    assert await get(client, made) == made

    least = {
        "notificationTemplate": {"notificationRecipient": "ada@example.org", "notificationPayload": ""},
        "notificationFilter": {"eventFilter": {"deviceEvent": ["a", "b"], "ruleId": str(uuid4())}},
    }
    second = await client.data("createNotification", json=least)
    assert {name: second[name] for name in least} == least

    page = (await client.ask("listNotifications", params={"pageSize": 1})).json()
    assert page["meta"] == {"page": 0, "pageSize": 1, "itemsTotal": 2, "pagesTotal": 2}
    assert page["data"] == [second]
    assert (await client.ask("listNotifications", params={"page": 1, "pageSize": 1})).json()["data"] == [made]
    assert (await client.ask("listNotifications", params={"page": 9})).json()["data"] == []
    assert (await foreign.ask("listNotifications")).json()["data"] == []
    name = made["notificationId"]
    for operation, body in (
        ("getNotification", None),
        ("replaceNotification", {**definition(), "active": True}),
        ("updateNotification", {"active": False}),
        ("deleteNotification", None),
    ):
        for unknown in (name, str(uuid4()), "history-of-art"):
            failure = await foreign.failure(operation, json=body, notificationId=unknown)
            assert failure == (404, "NOTIFICATION_RESOURCE_NOT_FOUND"), (operation, unknown)
    assert await get(client, made) == made


async def test_a_definition_is_replaced_merged_and_deleted(acme: Tenant) -> None:
    client = await Client.of(acme)
    made = await add(client)
    name = made["notificationId"]
    change: dict[str, Any] = {
        "active": False,
        "notificationTemplate": {"notificationTopic": "Crowds", "debounceDuration": None},
        "notificationFilter": {"eventFilter": {"deviceEvent": ["tampered"]}, "deviceFilter": None},
    }
    answer = await client.ask("updateNotification", json=change, notificationId=name)
    assert answer.status_code == 204
    changed = await get(client, made)
    assert changed == {
        "notificationId": name,
        "active": False,
        "notificationTemplate": {
            "notificationRecipient": "ada@example.org,grace@example.org",
            "notificationTopic": "Crowds",
            "notificationPayload": "Somebody should look.",
        },
        "notificationFilter": {"eventFilter": {"deviceEvent": ["tampered"]}},
    }
    assert (await client.ask("updateNotification", json={}, notificationId=name)).status_code == 204
    assert await get(client, made) == changed

    whole = {**definition(), "active": True}
    assert (await client.ask("replaceNotification", json=whole, notificationId=name)).status_code == 204
    assert await get(client, made) == made
    assert await client.failure("replaceNotification", json=definition(), notificationId=name) == (
        400,
        "NOTIFICATION_BAD_REQUEST",
    )
    assert (await client.ask("deleteNotification", notificationId=name)).status_code == 204
    assert (await client.ask("getNotification", notificationId=name)).status_code == 404


async def test_what_makes_no_sense_is_refused(acme: Tenant) -> None:
    client = await Client.of(acme)
    crowd = ",".join(f"p{number}@example.org" for number in range(101))
    for member, value in (
        ("notificationRecipient", ""),
        ("notificationRecipient", "ada"),
        ("notificationRecipient", "ada@example.org,,grace@example.org"),
        ("notificationRecipient", "ada@example.org,ADA@example.org"),
        ("notificationRecipient", crowd),
        ("notificationPayload", None),
        ("notificationPayload", "\0"),
        ("notificationTopic", "x" * 201),
        ("debounceDuration", 1),
        ("debounceDuration", 2_147_483_648),
        ("debounceDuration", "5"),
    ):
        body = definition()
        body["notificationTemplate"][member] = value
        assert await client.failure("createNotification", json=body) == (400, "NOTIFICATION_BAD_REQUEST"), member
    filters: list[dict[str, Any]] = [
        {},
        {"eventFilter": {}},
        {"eventFilter": {"deviceEvent": []}},
        {"eventFilter": {"deviceEvent": [""]}},
        {"eventFilter": {"deviceEvent": ["a"], "colour": "red"}},
        {"eventFilter": {"deviceEvent": ["a"]}, "deviceFilter": {}},
        {"eventFilter": {"deviceEvent": ["a"]}, "deviceFilter": {"deviceTag": ["hall*"]}},
        {"eventFilter": {"deviceEvent": ["a"]}, "deviceFilter": {"deviceTypeName": ["a"]}},
        {"eventFilter": {"deviceEvent": ["a"]}, "deviceFilter": {"deviceId": ["a"]}},
    ]
    for wanted in filters:
        body = definition(notificationFilter=wanted)
        assert await client.failure("createNotification", json=body) == (400, "NOTIFICATION_BAD_REQUEST"), wanted
    at_most = definition()
    at_most["notificationTemplate"]["notificationRecipient"] = crowd.partition(",")[2]
    assert (await client.ask("createNotification", json=at_most)).status_code == 200
    for params in ({"pageSize": 0}, {"pageSize": 101}, {"page": -1}):
        assert await client.failure("listNotifications", params=params) == (400, "NOTIFICATIONS_BADREQUEST")
    assert await client.failure("listNotificationHistory", params={"notificationId": "x"}) == (
        400,
        "NOTIFICATIONS_BADREQUEST",
    )
    assert await Client(acme).failure("listNotifications") == (401, "NOTIFICATION_UNAUTHORIZED")


async def test_a_definition_and_its_channel_are_one(acme: Tenant) -> None:
    client = await Client.of(acme)
    made = await add(client)
    (channel,) = ok(await acme.api.get(CHANNELS))["items"]
    assert channel["type"] == "EMAIL"
    assert channel["config"] == {"recipients": ["ada@example.org", "grace@example.org"]}

    path = f"{CHANNELS}/{channel['id']}"
    ok(await acme.api.patch(path, json={"enabled": False, "config": {"recipients": ["lin@example.org"]}}))
    changed = await get(client, made)
    assert changed["active"] is False
    assert changed["notificationTemplate"]["notificationRecipient"] == "lin@example.org"

    await client.ask("updateNotification", json={"active": True}, notificationId=made["notificationId"])
    assert ok(await acme.api.get(path))["enabled"] is True
    ok(await acme.api.patch(path, json={"type": "WEBHOOK", "config": {"url": "http://127.0.0.1:1/"}}))
    assert (await get(client, made))["notificationTemplate"]["notificationRecipient"] == ""

    assert (await acme.api.delete(path)).status_code == 204
    assert (await client.ask("listNotifications")).json()["data"] == []
    await add(client)
    second = await add(client)
    await client.ask("deleteNotification", notificationId=second["notificationId"])
    assert len(ok(await acme.api.get(CHANNELS))["items"]) == 1


async def test_the_history_says_which_events_have_led_to_what(acme: Tenant, globex: Tenant) -> None:
    client = await Client.of(acme)
    wanted = {"eventFilter": {"deviceEvent": ["crowded"]}}
    first, second = [await add(client, notificationFilter=wanted) for _ in range(2)]
    device = DeviceId(await add_device(acme.edge.system_database, acme.tenant_id))
    for people in (40, 50):
        await raise_event(acme, device, people)
    answer = await client.ask("listNotificationHistory", params={"pageSize": 3})
    assert answer.json()["meta"] == {"page": 0, "pageSize": 3, "itemsTotal": 4, "pagesTotal": 2}
    items = (await client.ask("listNotificationHistory")).json()["data"]
    assert {item["notificationId"] for item in items[:2]} == {first["notificationId"], second["notificationId"]}
    assert [item["notificationTrigger"]["value"]["people"] for item in items] == [50, 50, 40, 40]
    trigger = items[0]["notificationTrigger"]
    assert (trigger["type"], trigger["deviceId"]) == ("crowded", str(device))
    assert trigger["tenantId"] == str(acme.organization_id)

    for params, count in (
        ({"notificationId": first["notificationId"]}, 2),
        ({"notificationId": f"{first['notificationId']},{second['notificationId']}"}, 4),
        ({"notificationId": [first["notificationId"], second["notificationId"]]}, 4),
        ({"notificationId": str(uuid4())}, 0),
    ):
        found = (await client.ask("listNotificationHistory", params=params)).json()["data"]
        assert len(found) == count, params
    await client.ask("deleteNotification", notificationId=first["notificationId"])
    assert (await client.ask("listNotificationHistory")).json()["meta"]["itemsTotal"] == 4
    foreign = await Client.of(globex)
    assert (await foreign.ask("listNotificationHistory")).json()["data"] == []


async def raise_event(tenant: Tenant, device: DeviceId, people: int) -> UUID:
    """An event that is written down, and followed."""
    async with tenant.work() as work:
        draft = EventDraft(type="crowded", message="m", device_id=device, data={"people": people})
        event = await create_event(work, draft)
    async with tenant.edge.system_database.tx() as tx:
        fact = EventRaised(event.id, device, event.type)
        await mailings.follow_events(tx, tenant.edge.ports, [(tenant.tenant_id, fact)])
    return event.id


async def test_what_is_not_offered_says_so(acme: Tenant) -> None:
    client = await Client.of(acme, Role.MEMBER)
    for method, path in (
        ("GET", "/v1/rules"),
        ("POST", "/v1/rules"),
        ("DELETE", f"/v1/rules/{uuid4()}"),
        ("GET", f"/v1/rules/{uuid4()}/executions"),
        ("GET", "/v1/consumption/summary"),
    ):
        answer = await client.http.request(method, path)
        assert (answer.status_code, answer.json()["errorCode"]) == (501, "NOT_OFFERED"), path
    assert (await client.http.get("/v1/rulers")).status_code == 404
