"""/alert-rules over HTTP."""

from typing import Any

import msgspec
import pytest_asyncio

from roadstead.adapters.clickhouse import ClickHouseStore
from roadstead.core.messages import Reading
from roadstead.kernel import ids, time
from roadstead.kernel.ids import parse_uuid
from roadstead.kernel.time import parse_instant
from roadstead.web.edge import Edge
from tests.alerts import add_rule, add_sensor, raise_alert, rule_body
from tests.conftest import Tenant
from tests.dialects.native.fleet import add_profiles, add_site, names, ok, problem
from tests.people import last_actions

RULES = "/api/v1/alert-rules"


@pytest_asyncio.fixture
async def edge(edge: Edge, store: ClickHouseStore) -> Edge:
    """With a telemetry store."""
    return msgspec.structs.replace(edge, ports=msgspec.structs.replace(edge.ports, telemetry=store))


async def test_a_rule_comes_back_as_it_was_created(acme: Tenant, globex: Tenant) -> None:
    sensor = await add_sensor(acme)
    sent = rule_body(
        sensor["id"],
        description="too hot to touch",
        cooldownSeconds=60,
        autoResolve=False,
        messageTemplate="{{device}}: {{ value }} {{unit}}",
        tags={"team": "north"},
        condition={"all": [{"type": "VALUE", "operator": "GT", "value": 30, "for": "PT5M", "hysteresis": 1.5}]},
    )
    answer = await acme.api.post(RULES, json=sent)
    rule = ok(answer)
    path = f"{RULES}/{rule['id']}"

    assert {key: rule[key] for key in sent} == sent
    assert (rule["enabled"], rule["channelIds"], rule["version"]) == (True, [], 1)
    assert answer.headers["location"] == path
    got = await acme.api.get(path)
    assert (ok(got), got.headers["etag"]) == (rule, '"1"')
    assert (await acme.api.get(path, headers={"if-none-match": '"1"'})).status_code == 304
    assert problem(await globex.api.get(path))[0] == 404
    assert problem(await acme.api.post(RULES, json=sent))[::2] == (409, ["/name"])
    await add_rule(globex, (await add_sensor(globex))["id"])


async def test_a_rule_is_patched_replaced_switched_and_deleted(acme: Tenant) -> None:
    sensor = await add_sensor(acme)
    rule = await add_rule(acme, sensor["id"], tags={"a": "1"}, description="x")
    path = f"{RULES}/{rule['id']}"
    changed = ok(
        await acme.api.patch(
            path, json={"tags": {"b": "2"}, "scope": {"field": "t"}, "description": None}, headers={"if-match": '"1"'}
        )
    )
    assert (changed["tags"], changed["scope"]) == ({"a": "1", "b": "2"}, {"sensorIds": [sensor["id"]], "field": "t"})
    assert "description" not in changed
    assert changed["warnings"]
    assert problem(await acme.api.patch(path, json={"name": "y"}, headers={"if-match": '"1"'}))[0] == 412
    replaced = ok(await acme.api.put(path, json=rule_body(sensor["id"], name="warm")))
    assert (replaced["name"], replaced["tags"], "warnings" in replaced) == ("warm", {}, False)
    assert ok(await acme.api.post(f"{path}/disable"))["enabled"] is False
    assert ok(await acme.api.post(f"{path}/enable"))["enabled"] is True
    alert = await raise_alert(acme, rule["id"], sensor["id"])
    assert (await acme.api.delete(path)).status_code == 204
    assert problem(await acme.api.get(path))[0] == 404
    over = ok(await acme.api.get(f"/api/v1/alerts/{alert['id']}"))
    assert (over["status"], over["resolution"]) == ("RESOLVED", "RULE_DELETED")
    assert (await last_actions(acme, 1)) == ["alert-rule.delete"]


async def test_what_is_wrong_with_a_rule_is_named(acme: Tenant, globex: Tenant) -> None:
    sensor, theirs = await add_sensor(acme), await add_sensor(globex)
    other = theirs["id"]
    hot = {"type": "VALUE", "operator": "GT", "value": 30}
    for fields, pointers in (
        ({"name": ""}, ["/name"]),
        ({"severity": "BAD"}, ["/severity"]),
        ({"scope": {}}, ["/scope"]),
        ({"scope": {"field": "t"}}, ["/scope"]),
        ({"scope": {"sensorIds": [sensor["id"], other]}}, ["/scope/sensorIds/1"]),
        ({"scope": {"deviceIds": [theirs["deviceId"]]}}, ["/scope/deviceIds/0"]),
        ({"scope": {"siteId": other}}, ["/scope/siteId"]),
        ({"scope": {"deviceGroupId": other}}, ["/scope/deviceGroupId"]),
        ({"scope": {"sensorProfile": "motor@x"}}, ["/scope/sensorProfile"]),
        ({"scope": {"deviceType": "x"}}, ["/scope/deviceType"]),
        ({"condition": {"type": "VALUE", "operator": "GT"}}, ["/condition/value"]),
        ({"condition": {"all": [hot, {"type": "NOISE"}]}}, ["/condition/all/1/type"]),
        ({"condition": hot | {"sensor": {"sensorId": other}}}, ["/condition"]),
        ({"cooldownSeconds": 604_801}, ["/cooldownSeconds"]),
        ({"channelIds": [other]}, ["/channelIds/0"]),
        ({"channelIds": ["x"]}, ["/channelIds/0"]),
        ({"messageTemplate": "{{temperature}}"}, ["/messageTemplate"]),
        ({"ruleset": 1}, ["/ruleset"]),
    ):
        answer = await acme.api.post(RULES, json=rule_body(sensor["id"]) | fields)
        assert problem(answer)[::2] == (422, pointers), fields
    assert await names(acme, RULES) == []


async def test_rules_are_listed_by_what_they_look_at(acme: Tenant, globex: Tenant) -> None:
    await add_profiles(acme)
    top = await add_site(acme, "Plant")
    hall = await add_site(acme, "Hall", parentId=top["id"])
    sensor = await add_sensor(acme, "pump-1", siteId=hall["id"], deviceProfile="pump@1.0", tags={"line": "a"})
    other = await add_sensor(acme, "pump-2")
    group = ok(
        await acme.api.post("/api/v1/device-groups", json={"name": "g", "selector": {"matchTags": {"line": "a"}}})
    )
    scopes = {
        "device": {"deviceIds": [sensor["deviceId"]]},
        "elsewhere": {"deviceIds": [other["deviceId"]]},
        "group": {"deviceGroupId": group["id"], "field": "temperature"},
        "motor": {"sensorProfile": "motor"},
        "sensor": {"sensorIds": [sensor["id"]]},
        "site": {"siteId": top["id"], "field": "rpm"},
    }
    for name, scope in scopes.items():
        severity = "CRITICAL" if name == "motor" else "INFO"
        ok(
            await acme.api.post(
                RULES, json=rule_body(name=name, scope=scope, severity=severity, enabled=name != "site")
            )
        )
    for params, found in (
        ({}, sorted(scopes)),
        ({"deviceId": sensor["deviceId"]}, ["device", "group", "motor", "sensor", "site"]),
        ({"sensorId": sensor["id"]}, ["device", "group", "sensor"]),
        ({"deviceId": other["deviceId"]}, ["elsewhere"]),
        ({"severity": "CRITICAL"}, ["motor"]),
        ({"enabled": "false"}, ["site"]),
        ({"q": "EVIC"}, ["device"]),
        ({"sort": "-createdAt", "limit": 1}, ["site"]),
        ({"sort": "lastFiredAt", "limit": 2}, None),
    ):
        answer = await names(acme, RULES, **params)
        assert found is None or answer == found, params
    assert await names(globex, RULES) == []


# --- what would have been --------------------------------------------------------------------------------------------

DAY = {"from": "2026-03-01T00:00:00Z", "to": "2026-03-02T00:00:00Z"}


async def store_values(
    tenant: Tenant, store: ClickHouseStore, sensor: dict[str, Any], values: dict[str, float], path: str = "temperature"
) -> None:
    """Readings, by the time of the first of March 2026."""
    columns = store.columns()
    readings = []
    for clock, value in values.items():
        at = parse_instant(f"2026-03-01T{clock}Z")
        assert at is not None
        readings.append(Reading(path, time.to_millis(at), value))
    device = parse_uuid(sensor["deviceId"])
    assert device is not None
    columns.add(tenant.tenant_id, ids.to_bytes(device), 1_800_000_000_000, readings)
    await store.insert(columns)


async def test_a_rule_is_tried_on_the_past_and_leaves_nothing_behind(
    acme: Tenant, globex: Tenant, store: ClickHouseStore
) -> None:
    sensor = await add_sensor(acme)
    await store_values(
        acme,
        store,
        sensor,
        {"08:00:00": 40.0, "08:00:30": 20.0, "09:00:00": 35.0, "09:06:00": 29.0, "10:00:00": 31.0},
    )

    async def fired(**fields: Any) -> list[tuple[str, str | None]]:
        rule = rule_body(sensor["id"], cooldownSeconds=0) | fields
        found = ok(await acme.api.post(f"{RULES}/test", json={"rule": rule} | DAY))
        assert found["truncated"] is False
        return [(one["at"][11:19], one.get("resolvedAt", "           -")[11:19]) for one in found["firings"]]

    hot = {"type": "VALUE", "operator": "GT", "value": 30}
    open_ = "-"
    assert await fired() == [("08:00:00", "08:00:30"), ("09:00:00", "09:06:00"), ("10:00:00", open_)]
    assert await fired(condition=hot | {"for": "PT5M"}) == [("09:05:00", "09:06:00"), ("10:05:00", open_)]
    assert await fired(condition=hot | {"hysteresis": 2}) == [("08:00:00", "08:00:30"), ("09:00:00", open_)]
    assert await fired(condition={"type": "ABSENCE", "for": "PT2H"}) == [("12:00:00", open_)]
    average = {"type": "AGGREGATE", "function": "AVG", "window": "PT10M", "operator": "LT", "value": 33}
    assert await fired(condition=average) == [("08:00:30", "09:00:00"), ("09:06:00", open_)]
    assert await names(acme, RULES) == []
    assert ok(await acme.api.get("/api/v1/alerts"))["items"] == []


async def test_what_is_wrong_with_a_trial_is_named(acme: Tenant) -> None:
    sensor = await add_sensor(acme)
    for body, pointers in (
        ({"rule": rule_body(sensor["id"])}, ["/from"]),
        ({"rule": rule_body(sensor["id"])} | DAY | {"from": "noon"}, ["/from"]),
        ({"rule": rule_body(sensor["id"])} | DAY | {"to": DAY["from"]}, ["/from"]),
        ({"rule": rule_body(sensor["id"], scope={})} | DAY, ["/rule/scope"]),
        ({"rule": rule_body(sensor["id"], condition={"type": "X"})} | DAY, ["/rule/condition/type"]),
    ):
        assert problem(await acme.api.post(f"{RULES}/test", json=body))[::2] == (422, pointers), body
