"""Events that somebody works on: made, found, worked on, and the same as those of the other dialects."""

import csv
import io
import json
from datetime import timedelta
from typing import Any

from roadstead.core.rules.evaluation import Turn
from roadstead.kernel import time
from roadstead.kernel.ids import parse_hex24, to_hex24
from tests.alerts import add_rule, add_sensor, raise_alert, turn
from tests.conftest import Tenant
from tests.dialects.losant.contract import Client
from tests.dialects.losant.jobs import run_job
from tests.dialects.losant.world import add_application, add_device
from tests.dialects.native.fleet import ok


async def add_event(client: Client, application_id: str, subject: str = "hot", **fields: Any) -> dict[str, Any]:
    """An event, as answered."""
    body = {"level": "warning", "subject": subject} | fields
    made: dict[str, Any] = await client.data("events.post", applicationId=application_id, json=body)
    return made


async def subjects(client: Client, application_id: str, **params: Any) -> list[str]:
    """Of the events that are listed."""
    answer = await client.data("events.get", applicationId=application_id, params=params)
    return [event["subject"] for event in answer["items"]]


async def default_application(tenant: Tenant) -> str:
    """Where devices of other dialects are."""
    async with tenant.edge.system_database.tx() as tx:
        sql = "SELECT id FROM space WHERE tenant_id = %s AND is_default"
        return to_hex24(await tx.value(sql, tenant.tenant_id))


async def test_an_event_comes_back_as_it_went_in(acme: Tenant, globex: Tenant) -> None:
    ours, theirs = await Client.of(acme), await Client.of(globex)
    harbour = await add_application(ours)
    pump = await add_device(ours, harbour, "pump")
    told: dict[str, Any] = {
        "message": "it is 93 degrees",
        "data": {"temperature": 93},
        "deviceId": pump,
        "eventTags": {"line": "7"},
        "state": "acknowledged",
    }
    event = await add_event(ours, harbour, level="error", **told)
    assert {name: event[name] for name in told} == told
    assert (event["level"], event["subject"], event["deviceName"]) == ("error", "hot", "pump")
    assert (event["sourceType"], event["updates"], event["disableTagChangeTracking"]) == ("user", [], False)
    assert (event["applicationId"], event["eventId"], event["_type"]) == (harbour, event["id"], "event")
    place = {"applicationId": harbour, "eventId": event["id"]}
    again = await ours.data("event.get", **place)
    assert {**again, "_links": None} == {**event, "_links": None}

    bare = await add_event(ours, harbour, data=[1, "two", None])
    assert (bare["data"], bare["state"], bare["eventTags"], "message" in bare) == ([1, "two", None], "new", {}, False)

    for refused in ("event.get", "event.patch", "event.delete"):
        body = {"json": {"state": "resolved"}} if refused == "event.patch" else {}
        assert await theirs.failure(refused, **place, **body) == (404, "NotFound")
    other = await add_application(ours, "Quay")
    assert await ours.failure("event.get", applicationId=other, eventId=event["id"]) == (404, "NotFound")


async def test_what_is_wrong_with_an_event_is_named(acme: Tenant) -> None:
    client = await Client.of(acme)
    harbour, quay = await add_application(client), await add_application(client, "Quay")
    elsewhere = await add_device(client, quay)
    for wrong, name in (
        ({"level": "fatal"}, "level"),
        ({"colour": "red"}, "colour"),
        ({"deviceId": elsewhere}, "deviceId"),
        ({"eventTags": {"a b": "1"}}, "eventTags"),
        ({"data": "x" * 20_000}, "data"),
        ({"subject": "a\0b"}, "subject"),
    ):
        body = {"level": "info", "subject": "s"} | wrong
        answer = await client.ask("events.post", applicationId=harbour, json=body)
        assert (answer.status_code, answer.json()["type"]) == (400, "Validation")
        assert name in answer.json()["message"]
    assert await subjects(client, harbour) == []


async def test_who_makes_too_many_has_to_wait(acme: Tenant) -> None:
    client = await Client.of(acme)
    harbour, quay = await add_application(client), await add_application(client, "Quay")
    body, made = {"level": "info", "subject": "one more"}, 0
    # A place becomes free every second: a slow machine makes a few more.
    while (answer := await client.ask("events.post", applicationId=harbour, json=body)).status_code == 201:
        made += 1
    assert (answer.status_code, answer.json()["type"]) == (429, "RateLimited")
    assert made >= 15
    await add_event(client, quay)


async def test_work_on_an_event_is_told_in_its_time_line(acme: Tenant) -> None:
    client = await Client.of(acme)
    harbour = await add_application(client)
    pump, fan = await add_device(client, harbour, "pump"), await add_device(client, harbour, "fan")
    event = await add_event(client, harbour, eventTags={"line": "7", "hall": "b"}, deviceId=pump)
    place = {"applicationId": harbour, "eventId": event["id"]}

    body = {
        "state": "acknowledged",
        "level": "critical",
        "subject": "very hot",
        "deviceId": fan,
        "comment": "on my way",
        "data": [1],
        "eventTags": {"line": "8", "floor": "2"},
    }
    changed = await client.data("event.patch", **place, json=body)
    assert (changed["state"], changed["level"], changed["subject"]) == ("acknowledged", "critical", "very hot")
    assert (changed["deviceId"], changed["deviceName"], changed["eventTags"]) == (fan, "fan", body["eventTags"])
    assert "data" not in changed
    [update] = changed["updates"]
    assert (update["comment"], update["data"], update["sourceType"]) == ("on my way", [1], "user")
    assert update["stateChange"] == {"old": "new", "new": "acknowledged"}
    assert update["levelChange"] == {"old": "warning", "new": "critical"}
    assert update["subjectChange"] == {"old": "hot", "new": "very hot"}
    assert update["deviceIdChange"] == {"old": pump, "oldDeviceName": "pump", "new": fan, "newDeviceName": "fan"}
    assert update["tagsChange"] == {"line": {"old": "7", "new": "8"}, "hall": {"old": "b"}, "floor": {"new": "2"}}

    same = await client.data("event.patch", **place, json={"state": "acknowledged"})
    assert same["updates"] == changed["updates"]
    done = await client.data("event.patch", **place, json={"state": "resolved", "deviceId": None})
    assert (done["state"], "deviceId" in done, len(done["updates"])) == ("resolved", False, 2)
    assert done["lastUpdated"] > event["lastUpdated"]
    assert (await client.failure("event.patch", **place, json={"state": "new"}))[0] == 409
    assert (await client.failure("event.patch", **place, json={"state": "acknowledged"}))[0] == 409
    assert (await client.data("event.get", **place))["state"] == "resolved"


async def test_who_does_not_want_changes_of_tags_told_is_not_told_of_them(acme: Tenant) -> None:
    client = await Client.of(acme)
    harbour = await add_application(client)
    event = await add_event(client, harbour, disableTagChangeTracking=True)
    place = {"applicationId": harbour, "eventId": event["id"]}
    changed = await client.data("event.patch", **place, json={"eventTags": {"line": "8"}})
    assert (changed["eventTags"], changed["updates"], changed["disableTagChangeTracking"]) == ({"line": "8"}, [], True)


async def test_a_time_line_keeps_the_newest_hundred_entries(acme: Tenant) -> None:
    client = await Client.of(acme)
    harbour = await add_application(client)
    event = await add_event(client, harbour)
    place = {"applicationId": harbour, "eventId": event["id"]}
    async with acme.edge.system_database.tx(acme.tenant_id) as tx:
        sql = """
            INSERT INTO event_update (tenant_id, event_id, at, id, source, actor_name, comment, changed)
            SELECT tenant_id, id, now() - make_interval(secs => 1000 - n), gen_random_uuid(), 'USER', 'ada', n, '{}'
            FROM event, generate_series(1, 100) n WHERE tenant_id = %s
        """
        await tx.run(sql, acme.tenant_id)
    changed = await client.data("event.patch", **place, json={"comment": "last"})
    comments = [update["comment"] for update in changed["updates"]]
    assert comments == [*map(str, range(2, 101)), "last"]


async def test_events_are_listed_sorted_and_filtered(acme: Tenant) -> None:
    client = await Client.of(acme)
    harbour, quay = await add_application(client), await add_application(client, "Quay")
    now = time.to_millis(time.now())
    for number, (subject, level) in enumerate(
        [("Pump hot", "critical"), ("fan loud", "error"), ("pump cold", "info"), ("door", "warning")]
    ):
        at = now - 10_000 + number
        await add_event(client, harbour, subject, level=level, creationDate={"$date": spell(at)}, eventTags={"n": "x"})
    await add_event(client, quay, "elsewhere")
    worst = {"sortField": "level", "sortDirection": "desc"}

    assert await subjects(client, harbour) == ["door", "pump cold", "fan loud", "Pump hot"]
    assert await subjects(client, harbour, sortField="subject", sortDirection="asc") == [
        "Pump hot", "door", "fan loud", "pump cold",
    ]  # fmt: skip
    assert await subjects(client, harbour, **worst) == ["Pump hot", "fan loud", "door", "pump cold"]
    assert await subjects(client, harbour, filterField="subject", filter="PUMP*") == ["pump cold", "Pump hot"]
    assert await subjects(client, harbour, state="resolved") == []
    query = {"$or": [{"level": "error"}, {"subject": {"$startsWith": "Pump"}}], "eventTags": {"n": "x"}}
    assert await subjects(client, harbour, query=query, state="resolved") == ["fan loud", "Pump hot"]
    page = await client.data("events.get", applicationId=harbour, params={"perPage": 3, "page": 1, "state": "new"})
    assert ([each["subject"] for each in page["items"]], page["totalCount"], page["state"]) == (["Pump hot"], 4, "new")
    for wrong in ({"state": "open"}, {"sortField": "data"}, {"query": {"colour": 1}}):
        assert await client.failure("events.get", applicationId=harbour, params=wrong) == (400, "Validation")


def spell(millis: int) -> str:
    """ISO 8601."""
    return time.from_millis(millis).isoformat()


async def test_the_worst_of_the_new_events_comes_with_how_many_there_are(acme: Tenant) -> None:
    client = await Client.of(acme)
    harbour = await add_application(client)
    answer = await client.data("events.mostRecentBySeverity", applicationId=harbour)
    assert (answer["newCount"], "event" in answer) == (0, False)
    for subject, level in (("a", "error"), ("b", "error"), ("c", "warning")):
        await add_event(client, harbour, subject, level=level)
    await add_event(client, harbour, "over", level="critical", state="resolved")
    answer = await client.data("events.mostRecentBySeverity", applicationId=harbour)
    assert (answer["newCount"], answer["event"]["subject"]) == (3, "b")
    answer = await client.data(
        "events.mostRecentBySeverity", applicationId=harbour, params={"query": {"level": "warning"}}
    )
    assert (answer["newCount"], answer["event"]["subject"]) == (1, "c")


async def test_many_events_are_changed_and_deleted_at_once(acme: Tenant, globex: Tenant) -> None:
    client, stranger = await Client.of(acme), await Client.of(globex)
    harbour, theirs = await add_application(client), await add_application(stranger)
    for subject, state in (("a", "new"), ("b", "acknowledged"), ("c", "resolved")):
        await add_event(client, harbour, subject, state=state)
    await add_event(stranger, theirs, "a")
    body = {"state": "acknowledged", "comment": "seen"}
    place = {"applicationId": harbour}
    assert await client.data("events.patch", **place, json=body, params={"filter": "*"}) == {"success": True}
    found = (await client.data("events.get", **place, params={"sortField": "subject", "sortDirection": "asc"}))["items"]
    assert [event["state"] for event in found] == ["acknowledged", "acknowledged", "resolved"]
    assert [len(event["updates"]) for event in found] == [1, 1, 0]

    query = {"state": {"$ne": "resolved"}}
    assert (await client.data("events.delete", **place, json=query))["removed"] == 2
    assert await subjects(client, harbour) == ["c"]
    assert await subjects(stranger, theirs) == ["a"]


async def add_many(tenant: Tenant, application_id: str, count: int) -> None:
    """So many events that are new, an hour old."""
    async with tenant.edge.system_database.tx(tenant.tenant_id) as tx:
        sql = """
            INSERT INTO event (tenant_id, id, space_id, type, source, severity, message, subject, status, occurred_at,
                               created_at)
            SELECT %s, gen_random_uuid(), id, 'incident', 'USER', 'INFO', 'm', 's' || n, 'ACTIVE',
                now() - interval '1 hour', now() - interval '1 hour'
            FROM space, generate_series(1, %s) n WHERE tenant_id = %s AND id = %s
        """
        assert await tx.run(sql, tenant.tenant_id, count, tenant.tenant_id, parse_hex24(application_id)) == count


async def test_very_many_are_changed_and_deleted_by_a_job_in_the_name_of_who_asked(acme: Tenant) -> None:
    client = await Client.of(acme)
    harbour = await add_application(client)
    await add_many(acme, harbour, 1_100)
    place = {"applicationId": harbour}
    queued = await client.data("events.patch", **place, json={"state": "acknowledged", "comment": "all"})
    log = await run_job(client, harbour, queued)
    assert log["output"] | {"updated": 1_100, "skipped": 0} == log["output"]
    page = await client.data("events.get", **place, params={"state": "acknowledged", "perPage": 1})
    assert page["totalCount"] == 1_100
    [update] = page["items"][0]["updates"]
    assert (update["comment"], update["sourceType"]) == ("all", "user")
    assert update["sourceName"] == (await add_event(client, harbour))["sourceName"]

    queued = await client.data("events.delete", **place, json={"state": "acknowledged"})
    log = await run_job(client, harbour, queued)
    assert log["output"] | {"removed": 1_100} == log["output"]
    assert await subjects(client, harbour) == ["hot"]


async def test_events_are_exported_in_both_formats(acme: Tenant) -> None:
    client = await Client.of(acme)
    harbour = await add_application(client)
    event = await add_event(client, harbour, "a, b", message='say "hi"', eventTags={"line": "7"}, data={"x": 1})
    await add_event(client, harbour, "other", level="info")
    await client.data("event.patch", applicationId=harbour, eventId=event["id"], json={"comment": "seen"})
    query = {"level": "warning"}

    [row] = csv.DictReader(io.StringIO(await export(client, harbour, query=query)))
    assert (row["id"], row["subject"], row["message"]) == (event["id"], "a, b", 'say "hi"')
    assert (json.loads(row["eventTags"]), json.loads(row["data"])) == ({"line": "7"}, {"x": 1})
    assert json.loads(row["updates"])[0]["comment"] == "seen"

    [whole] = json.loads(await export(client, harbour, query=query, format="json", excludeUpdates=True))
    assert (whole["id"], whole["data"], "updates" in whole) == (event["id"], {"x": 1}, False)
    assert json.loads(await export(client, harbour, query={"level": "critical"}, format="json")) == []


async def export(client: Client, application_id: str, **body: Any) -> str:
    """What a file of events says."""
    queued = await client.data("events.export", applicationId=application_id, json=body)
    log = await run_job(client, application_id, queued)
    [url] = log["output"]["downloadUrls"]
    answer = await client.tenant.client().get(url)
    assert answer.status_code == 200
    return answer.text


# --- one truth -------------------------------------------------------------------------------------------------------


async def test_an_event_made_here_is_one_of_the_native_api_and_is_worked_on_there(acme: Tenant) -> None:
    client = await Client.of(acme)
    harbour = await add_application(client)
    event = await add_event(client, harbour, level="error", message="it is hot", data={"t": 93})
    [seen] = ok(await acme.api.get("/api/v1/events", params={"q": "hot"}))["items"]
    assert (seen["type"], seen["severity"], seen["message"]) == ("incident", "CRITICAL", "it is hot")
    assert (seen["lifecycle"], seen["data"]) == ({"status": "ACTIVE"}, {"t": 93})

    ok(await acme.api.post(f"/api/v1/events/{seen['id']}/acknowledge"))
    found = await client.data("event.get", applicationId=harbour, eventId=event["id"])
    [update] = found["updates"]
    assert (found["state"], update["sourceType"]) == ("acknowledged", "apiToken")
    assert update["stateChange"] == {"old": "new", "new": "acknowledged"}
    await client.data("event.patch", applicationId=harbour, eventId=event["id"], json={"state": "resolved"})
    assert ok(await acme.api.get(f"/api/v1/events/{seen['id']}"))["lifecycle"]["status"] == "RESOLVED"


async def test_a_native_event_that_needs_work_is_one_here_and_one_that_needs_none_is_not(acme: Tenant) -> None:
    client = await Client.of(acme)
    body = {"type": "door.open", "message": "The door is open", "severity": "CRITICAL"}
    ok(await acme.api.post("/api/v1/events", json=body))
    ok(await acme.api.post("/api/v1/events", json={**body, "requiresAction": True, "data": {"door": 3}}))
    [event] = (await client.data("events.get", applicationId=await default_application(acme)))["items"]
    assert (event["subject"], event["message"], event["level"]) == (body["message"], body["message"], "critical")
    assert (event["state"], event["sourceType"], event["data"]) == ("new", "apiToken", {"door": 3})


async def test_an_alert_of_a_rule_is_worked_on_here(acme: Tenant) -> None:
    client, home = await Client.of(acme), await default_application(acme)
    sensor = await add_sensor(acme)
    rule = await add_rule(acme, sensor["id"])
    alert = await raise_alert(acme, rule["id"], sensor["id"])
    [event] = (await client.data("events.get", applicationId=home))["items"]
    assert (event["sourceType"], event["sourceName"], event["level"]) == ("flow", "hot", "warning")
    assert event["deviceName"] == "pump-1"
    place = {"applicationId": home, "eventId": event["id"]}

    taken = await client.data("event.patch", **place, json={"state": "acknowledged", "comment": "on my way"})
    path = f"/api/v1/alerts/{alert['id']}"
    seen = ok(await acme.api.get(path))
    assert (seen["status"], seen["timeline"][-1]["comment"]) == ("ACKNOWLEDGED", "on my way")
    assert [(each["comment"], each["stateChange"]["new"]) for each in taken["updates"]] == [
        ("on my way", "acknowledged")
    ]
    ok(await acme.api.post(f"{path}/comments", json={"comment": "it is the fan"}))
    told = await client.data("event.patch", **place, json={"comment": "new fan", "eventTags": {"part": "fan"}})
    assert [each.get("comment") for each in told["updates"]] == ["on my way", "it is the fan", None, "new fan"]
    assert told["eventTags"] == {"part": "fan"}
    assert (await client.failure("event.patch", **place, json={"level": "info"}))[0] == 409
    assert (await client.failure("event.patch", **place, json={"state": "new"}))[0] == 409

    await client.data("event.patch", **place, json={"state": "resolved"})
    seen = ok(await acme.api.get(path))
    assert (seen["status"], [step["action"] for step in seen["timeline"]]) == (
        "RESOLVED", ["RAISED", "ACKNOWLEDGED", "COMMENTED", "COMMENTED", "RESOLVED"],
    )  # fmt: skip
    assert (await client.failure("event.patch", **place, json={"state": "acknowledged"}))[0] == 409


async def test_an_alert_that_ends_by_itself_ends_here(acme: Tenant) -> None:
    client, home = await Client.of(acme), await default_application(acme)
    sensor = await add_sensor(acme)
    rule = await add_rule(acme, sensor["id"])
    await raise_alert(acme, rule["id"], sensor["id"])
    later = time.to_millis(time.now() + timedelta(seconds=1))
    await turn(acme, rule["id"], sensor["id"], Turn.CLEARED, at=later)
    [event] = (await client.data("events.get", applicationId=home))["items"]
    [update] = event["updates"]
    assert (event["state"], update["sourceType"], update["sourceName"]) == ("resolved", "flow", "hot")


async def test_who_deletes_the_event_of_an_open_alert_resolves_it(acme: Tenant) -> None:
    client, home = await Client.of(acme), await default_application(acme)
    sensor = await add_sensor(acme)
    rule = await add_rule(acme, sensor["id"])
    alert = await raise_alert(acme, rule["id"], sensor["id"])
    [event] = (await client.data("events.get", applicationId=home))["items"]
    assert await client.data("event.delete", applicationId=home, eventId=event["id"]) == {"success": True}
    seen = ok(await acme.api.get(f"/api/v1/alerts/{alert['id']}"))
    assert (seen["status"], seen["resolution"]) == ("RESOLVED", "IGNORED")
    assert await subjects(client, home) == []
    assert await client.failure("event.delete", applicationId=home, eventId=event["id"]) == (404, "NotFound")
