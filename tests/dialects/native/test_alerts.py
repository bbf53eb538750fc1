"""/alerts over HTTP."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roadstead.core.rules import Resolution
from roadstead.core.rules.evaluation import Turn
from roadstead.kernel import time
from roadstead.kernel.actor import Role
from roadstead.kernel.time import parse_instant, spell_instant
from tests.alerts import add_rule, add_sensor, raise_alert, turn
from tests.conftest import Tenant
from tests.dialects.native.fleet import add_site, ok, problem
from tests.people import last_actions, person_client

ALERTS = "/api/v1/alerts"


async def test_an_alert_says_what_was_found_where_and_its_event_goes_along(acme: Tenant, globex: Tenant) -> None:
    site = await add_site(acme, "Hall")
    sensor = await add_sensor(acme, siteId=site["id"])
    rule = await add_rule(acme, sensor["id"])
    alert = await raise_alert(acme, rule["id"], sensor["id"])

    assert alert["message"] == "hot: temperature of pump-1 is 31.5 °C (GT 30)"
    assert (alert["status"], alert["value"], alert["threshold"], alert["ordinal"]) == ("ACTIVE", 31.5, 30, 1)
    assert (alert["deviceId"], alert["siteId"]) == (sensor["deviceId"], site["id"])
    assert [(step["action"], "by" in step) for step in alert["timeline"]] == [("RAISED", False)]
    event = ok(await acme.api.get(f"/api/v1/events/{alert['eventId']}"))
    assert (event["source"], event["type"], event["lifecycle"]) == ("ALERT_RULE", "alert.raised", {"status": "ACTIVE"})
    assert event["data"]["alertId"] == alert["id"]
    refused = await acme.api.post(f"/api/v1/events/{event['id']}/resolve")
    assert problem(refused)[:2] == (409, "invalid-state")
    assert problem(await globex.api.get(f"{ALERTS}/{alert['id']}"))[0] == 404
    assert ok(await acme.api.get(f"/api/v1/alert-rules/{rule['id']}"))["lastFiredAt"]
    ok(await acme.api.post(f"{ALERTS}/{alert['id']}/resolve", json={"resolution": "FIXED"}))
    event = ok(await acme.api.get(f"/api/v1/events/{alert['eventId']}"))
    assert event["lifecycle"]["status"] == "RESOLVED"


async def test_people_acknowledge_comment_assign_silence_and_resolve(acme: Tenant, globex: Tenant) -> None:
    sensor = await add_sensor(acme)
    rule = await add_rule(acme, sensor["id"])
    alert = await raise_alert(acme, rule["id"], sensor["id"])
    path = f"{ALERTS}/{alert['id']}"
    ada, client = await person_client(acme, Role.MEMBER)
    stranger, other = await person_client(globex, Role.MEMBER)
    await other.aclose()
    async with client:
        taken = ok(await client.post(f"{path}/acknowledge", json={"comment": "on my way"}))
        assert (taken["status"], taken["acknowledgedBy"]) == ("ACKNOWLEDGED", str(ada.id))
        again = ok(await client.post(f"{path}/acknowledge"))
        assert again == taken
        assert problem(await acme.api.post(f"{path}/acknowledge"))[:2] == (409, "invalid-state")
        assert (await client.post(f"{path}/comments", json={"comment": "it is the fan"})).status_code == 201
        ok(await client.post(f"{path}/assign", json={"userId": str(ada.id)}))
        refused = await client.post(f"{path}/assign", json={"userId": str(stranger.id)})
        assert problem(refused)[::2] == (422, ["/userId"])
        until = spell_instant(time.now() + timedelta(hours=1))
        ok(await client.post(f"{path}/silence", json={"until": until}))
        past = await client.post(f"{path}/silence", json={"until": "2026-01-01T00:00:00Z"})
        assert problem(past)[::2] == (422, ["/until"])
        done = ok(await client.post(f"{path}/resolve", json={"resolution": "FIXED", "comment": "new fan"}))
    assert (done["resolution"], done["assigneeId"]) == ("FIXED", str(ada.id))
    assert parse_instant(done["silencedUntil"]) == parse_instant(until)
    steps = [(step["action"], step.get("comment")) for step in done["timeline"]]
    assert steps == [
        ("RAISED", None),
        ("ACKNOWLEDGED", "on my way"),
        ("COMMENTED", "it is the fan"),
        ("ASSIGNED", str(ada.id)),
        ("SILENCED", None),
        ("RESOLVED", "new fan"),
    ]
    assert {step["by"] for step in done["timeline"][1:]} == {str(ada.id)}
    assert problem(await acme.api.post(f"{path}/resolve"))[:2] == (409, "invalid-state")
    assert problem(await acme.api.post(f"{path}/resolve", json={"resolution": "RULE_DELETED"}))[::2] == (
        422,
        ["/resolution"],
    )
    assert (await last_actions(acme, 1)) == ["alert.resolve"]
    following = await raise_alert(acme, rule["id"], sensor["id"])
    assert (following["ordinal"], following["silencedUntil"]) == (2, done["silencedUntil"])


async def test_alerts_are_found_counted_and_sorted(acme: Tenant, globex: Tenant) -> None:
    hall = await add_site(acme, "Hall")
    near, far = await add_sensor(acme, "near", siteId=hall["id"]), await add_sensor(acme, "far")
    mild = await add_rule(acme, near["id"], far["id"], name="mild", severity="INFO")
    grave = await add_rule(acme, near["id"], far["id"], name="grave", severity="CRITICAL")
    start = time.to_millis(time.now()) - 10_000
    first = await raise_alert(acme, mild["id"], near["id"], at=start)
    second = await raise_alert(acme, grave["id"], near["id"], at=start + 1_000)
    third = await raise_alert(acme, mild["id"], far["id"], at=start + 2_000)
    ok(await acme.api.post(f"{ALERTS}/{second['id']}/acknowledge"))
    ok(await acme.api.post(f"{ALERTS}/{third['id']}/resolve"))
    foreign = await add_sensor(globex)
    await raise_alert(globex, (await add_rule(globex, foreign["id"]))["id"], foreign["id"])

    async def found(**params: Any) -> list[int]:
        return [alert["ordinal"] for alert in ok(await acme.api.get(ALERTS, params=params))["items"]]

    middle = spell_instant(time.from_millis(start + 1_000))
    for params, ordinals in (
        ({}, [3, 2, 1]),
        ({"sort": "triggeredAt"}, [1, 2, 3]),
        ({"sort": "-severity,triggeredAt"}, [2, 1, 3]),
        ({"status": ["ACTIVE", "ACKNOWLEDGED"]}, [2, 1]),
        ({"severity": "CRITICAL"}, [2]),
        ({"ruleId": mild["id"]}, [3, 1]),
        ({"deviceId": near["deviceId"]}, [2, 1]),
        ({"sensorId": far["id"], "status": "RESOLVED"}, [3]),
        ({"siteId": hall["id"]}, [2, 1]),
        ({"from": middle}, [3, 2]),
        ({"to": middle}, [1]),
        ({"assigneeId": str(uuid4())}, []),
    ):
        assert await found(**params) == ordinals, params
    stats = ok(await acme.api.get(f"{ALERTS}/stats"))
    assert stats == {
        "byStatus": {"ACTIVE": 1, "ACKNOWLEDGED": 1, "RESOLVED": 1},
        "bySeverity": {"INFO": 2, "WARNING": 0, "CRITICAL": 1},
    }
    one = ok(await acme.api.get(f"{ALERTS}/stats", params={"siteId": hall["id"], "from": middle}))
    assert one["bySeverity"] == {"INFO": 0, "WARNING": 0, "CRITICAL": 1}
    assert "timeline" not in ok(await acme.api.get(ALERTS))["items"][0]
    assert ok(await acme.api.get(f"{ALERTS}/{first['id']}/notifications"))["items"] == []


async def test_many_alerts_are_done_with_at_once(acme: Tenant, globex: Tenant) -> None:
    sensors = [await add_sensor(acme, f"pump-{number}") for number in range(3)]
    rule = await add_rule(acme, *(sensor["id"] for sensor in sensors))
    alerts = [await raise_alert(acme, rule["id"], sensor["id"]) for sensor in sensors]
    foreign = await add_sensor(globex)
    theirs = await raise_alert(globex, (await add_rule(globex, foreign["id"]))["id"], foreign["id"])
    mixed = [alerts[0]["id"], theirs["id"], "x"]
    answer = await acme.api.post(f"{ALERTS}/bulk", json={"action": "acknowledge", "ids": mixed, "comment": "all mine"})
    assert answer.status_code == 207
    assert [line["status"] for line in answer.json()["results"]] == [200, 404, 404]
    rest = {"action": "resolve", "filter": {"status": ["ACTIVE", "ACKNOWLEDGED"], "ruleId": rule["id"]}}
    done = ok(await acme.api.post(f"{ALERTS}/bulk", json=rest))
    assert (done["succeeded"], done["failed"]) == (3, 0)
    assert {line["resource"]["status"] for line in done["results"]} == {"RESOLVED"}
    assert ok(await globex.api.get(f"{ALERTS}/{theirs['id']}"))["status"] == "ACTIVE"
    for body in ({"action": "resolve"}, {"action": "resolve", "ids": [], "filter": {}}):
        assert (await acme.api.post(f"{ALERTS}/bulk", json=body)).status_code == 422


ACTIONS = ["acknowledge by a", "acknowledge by b", "resolve", "comment", "raise", "repeat", "clear"]


class Model:
    """What an alert of one rule and sensor may be, in the plainest words."""

    def __init__(self) -> None:
        self.alerts: list[dict[str, Any]] = []

    @property
    def open(self) -> dict[str, Any] | None:
        return next((alert for alert in self.alerts if alert["status"] != "RESOLVED"), None)

    def expect(self, action: str) -> int:
        """The status that the newest alert's action is answered with; what the platform does is always taken."""
        newest, is_open = self.alerts[-1], self.open
        if action in ("raise", "repeat"):
            if is_open:
                is_open["occurrences"] += 1
            elif action == "raise":
                self.alerts.append({"status": "ACTIVE", "occurrences": 1, "by": None})
            return 200
        if action == "clear":
            if is_open:
                is_open["status"] = "RESOLVED"
            return 200
        if action == "comment":
            return 201
        if newest["status"] == "RESOLVED":
            return 409
        if action == "resolve":
            newest["status"] = "RESOLVED"
            return 200
        who = action[-1]
        if newest["status"] == "ACKNOWLEDGED":
            return 200 if newest["by"] == who else 409
        newest |= {"status": "ACKNOWLEDGED", "by": who}
        return 200


async def test_whatever_people_and_rules_do_an_alert_goes_forward_only(acme: Tenant) -> None:
    sensor = await add_sensor(acme)
    _, ada = await person_client(acme, Role.MEMBER)
    _, bob = await person_client(acme, Role.MEMBER)

    async def tell(actions: list[str], number: int) -> None:
        rule = await add_rule(acme, sensor["id"], name=f"rule {number}", autoResolve=False)
        model = Model()
        model.alerts.append({"status": "ACTIVE", "occurrences": 1, "by": None})
        alert = await raise_alert(acme, rule["id"], sensor["id"])
        for action in actions:
            path = f"{ALERTS}/{alert['id']}"
            expected = model.expect(action)
            match action:
                case "raise" | "repeat" | "clear":
                    turns = {"raise": Turn.RAISED, "repeat": Turn.REPEATED, "clear": Turn.CLEARED}
                    await turn(acme, rule["id"], sensor["id"], turns[action], resolution=Resolution.CONDITION_CLEARED)
                    answered = 200
                case "comment":
                    answered = (await ada.post(f"{path}/comments", json={"comment": "x"})).status_code
                case "resolve":
                    answered = (await ada.post(f"{path}/resolve")).status_code
                case _:
                    client = ada if action.endswith("a") else bob
                    answered = (await client.post(f"{path}/acknowledge")).status_code
            assert answered == expected, (actions, action)
            found = ok(await acme.api.get(ALERTS, params={"ruleId": rule["id"], "sort": "triggeredAt"}))["items"]
            found.sort(key=lambda one: one["ordinal"])
            assert [(one["status"], one["occurrences"]) for one in found] == [
                (one["status"], one["occurrences"]) for one in model.alerts
            ], actions
            event = ok(await acme.api.get(f"/api/v1/events/{found[-1]['eventId']}"))
            assert event["lifecycle"]["status"] == found[-1]["status"]
            alert = found[-1]

    stories = st.lists(st.lists(st.sampled_from(ACTIONS), min_size=6, max_size=9), min_size=4, max_size=4)
    drawn: list[list[list[str]]] = []

    @given(stories)
    @settings(max_examples=1, database=None, suppress_health_check=list(HealthCheck), derandomize=False)
    def draw(found: list[list[str]]) -> None:
        drawn.append(found)

    draw()
    for number, story in enumerate(drawn[-1]):
        await tell(story, number)
    await ada.aclose()
    await bob.aclose()
