"""/events over HTTP."""

from typing import Any
from uuid import uuid4

from roadstead.kernel.actor import Role
from tests.alerts import add_sensor
from tests.conftest import Tenant
from tests.dialects.native.fleet import add_site, ok, problem
from tests.people import person_client

EVENTS = "/api/v1/events"


async def add_event(tenant: Tenant, type_: str = "door.opened", **fields: Any) -> dict[str, Any]:
    """An event, as answered."""
    body = {"type": type_, "message": "The door was opened"} | fields
    event: dict[str, Any] = ok(await tenant.api.post(EVENTS, json=body))
    return event


async def types(tenant: Tenant, path: str = EVENTS, **params: Any) -> list[str]:
    return [event["type"] for event in ok(await tenant.api.get(path, params=params))["items"]]


async def test_an_event_comes_back_as_it_was_recorded_with_the_place_of_its_sensor(
    acme: Tenant, globex: Tenant
) -> None:
    site = await add_site(acme, "Hall")
    sensor = await add_sensor(acme, siteId=site["id"])
    sent = {"severity": "CRITICAL", "data": {"by": "badge 7"}, "occurredAt": "2026-03-01T12:00:00Z"}
    answer = await acme.api.post(
        EVENTS, json={"type": "door.opened", "message": "open", "sensorId": sensor["id"], **sent}
    )
    event = ok(answer)

    assert {key: event[key] for key in sent} == sent
    assert (event["source"], event["deviceId"], event["siteId"]) == ("EXTERNAL", sensor["deviceId"], site["id"])
    assert "lifecycle" not in event
    assert answer.headers["location"] == f"{EVENTS}/{event['id']}"
    assert ok(await acme.api.get(f"{EVENTS}/{event['id']}")) == event
    assert await types(acme, f"/api/v1/devices/{sensor['deviceId']}/events") == ["door.opened"]
    assert problem(await globex.api.get(f"{EVENTS}/{event['id']}"))[0] == 404
    _, human = await person_client(acme, Role.MEMBER)
    async with human:
        assert ok(await human.post(EVENTS, json={"type": "t", "message": "m"}))["source"] == "USER"


async def test_events_are_found_by_what_they_are_about(acme: Tenant, globex: Tenant) -> None:
    top = await add_site(acme, "Plant")
    hall = await add_site(acme, "Hall", parentId=top["id"])
    sensor = await add_sensor(acme, siteId=hall["id"])
    await add_event(acme, "door.opened", occurredAt="2026-03-01T12:00:00Z", siteId=hall["id"])
    await add_event(acme, "door.closed", occurredAt="2026-03-01T13:00:00Z", severity="WARNING")
    await add_event(
        acme, "motor-fault", occurredAt="2026-03-01T14:00:00Z", message="Bearing #7: worn out", sensorId=sensor["id"]
    )
    await add_event(globex)
    for params, found in (
        ({}, ["motor-fault", "door.closed", "door.opened"]),
        ({"sort": "occurredAt"}, ["door.opened", "door.closed", "motor-fault"]),
        ({"type": "door.*"}, ["door.closed", "door.opened"]),
        ({"type": ["door.closed", "motor*"]}, ["motor-fault", "door.closed"]),
        ({"type": "door"}, []),
        ({"source": "EXTERNAL", "severity": "WARNING"}, ["door.closed"]),
        ({"source": "ALERT_RULE"}, []),
        ({"deviceId": sensor["deviceId"]}, ["motor-fault"]),
        ({"sensorId": sensor["id"]}, ["motor-fault"]),
        ({"siteId": top["id"]}, ["motor-fault", "door.opened"]),
        ({"from": "2026-03-01T13:00:00Z", "to": "2026-03-01T14:00:00Z"}, ["door.closed"]),
        ({"q": "BEAR 7"}, ["motor-fault"]),
        ({"q": "fault, worn"}, ["motor-fault"]),
        ({"q": "earing"}, []),
    ):
        assert await types(acme, **params) == found, params
    page = ok(await acme.api.get(EVENTS, params={"limit": 2, "includeTotal": True}))
    assert page["totalItems"] == 3
    assert await types(acme, limit=2, cursor=page["nextCursor"]) == ["door.opened"]


async def test_what_is_wrong_with_an_event_is_named(acme: Tenant, globex: Tenant) -> None:
    theirs = await add_sensor(globex)
    good = {"type": "t", "message": "m"}
    for body, fields in (
        ({"type": "t"}, ["/message"]),
        (good | {"severity": "BAD"}, ["/severity"]),
        (good | {"occurredAt": "2090-01-01T00:00:00Z"}, ["/occurredAt"]),
        (good | {"deviceId": theirs["deviceId"]}, ["/deviceId"]),
        (good | {"sensorId": theirs["id"]}, ["/sensorId"]),
        (good | {"siteId": "x"}, ["/siteId"]),
        (good | {"source": "SYSTEM"}, ["/source"]),
        (good | {"data": {"x": "y" * 20_000}}, ["/data"]),
    ):
        assert problem(await acme.api.post(EVENTS, json=body))[::2] == (422, fields), body
    assert await types(acme) == []


async def test_of_several_events_the_good_ones_are_recorded(acme: Tenant) -> None:
    bodies = [{"type": "a", "message": "m"}, {"type": "b", "message": "m", "deviceId": str(uuid4())}]
    answer = await acme.api.post(EVENTS, json=bodies)
    assert answer.status_code == 207
    result = answer.json()
    assert (result["succeeded"], result["failed"]) == (1, 1)
    assert [(line["index"], line["status"]) for line in result["results"]] == [(0, 201), (1, 422)]
    assert await types(acme) == ["a"]
    assert (await acme.api.post(EVENTS, json=[{"type": "c", "message": "m"}])).status_code == 201
    again = {"Idempotency-Key": "once"}
    first = await acme.api.post(EVENTS, json=bodies[0], headers=again)
    second = await acme.api.post(EVENTS, json=bodies[0], headers=again)
    assert (first.json(), second.headers["idempotency-replayed"]) == (second.json(), "true")


async def test_an_event_that_requires_action_is_acknowledged_and_resolved_once(acme: Tenant) -> None:
    event = await add_event(acme, requiresAction=True)
    path = f"{EVENTS}/{event['id']}"
    assert event["lifecycle"] == {"status": "ACTIVE"}
    taken = ok(await acme.api.post(f"{path}/acknowledge"))
    assert taken["lifecycle"]["status"] == "ACKNOWLEDGED"
    assert ok(await acme.api.post(f"{path}/acknowledge")) == taken
    done = ok(await acme.api.post(f"{path}/resolve"))
    assert (done["lifecycle"]["status"], "resolvedAt" in done["lifecycle"]) == ("RESOLVED", True)
    for word in ("acknowledge", "resolve"):
        assert problem(await acme.api.post(f"{path}/{word}"))[:2] == (409, "invalid-state")
    plain = await add_event(acme)
    assert problem(await acme.api.post(f"{EVENTS}/{plain['id']}/resolve"))[:2] == (409, "invalid-state")
