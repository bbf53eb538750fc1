"""Devices: what is made, read, changed and listed."""

from typing import Any

import msgspec
import pytest_asyncio

from roadstead.adapters.clickhouse import ClickHouseStore
from roadstead.core import telemetry
from roadstead.core.messages import CONNECTED, DISCONNECTED, SessionNotice
from roadstead.core.telemetry import Presences
from roadstead.dialects.losant.envelopes import spell_time
from roadstead.kernel import ids
from roadstead.kernel.time import from_millis, now, to_millis
from roadstead.web.edge import Edge
from tests.conftest import Tenant
from tests.dialects.losant.contract import Client
from tests.dialects.losant.kept import uuid_of
from tests.dialects.losant.world import add_application, add_device
from tests.dialects.native.fleet import ok


@pytest_asyncio.fixture
async def edge(edge: Edge, store: ClickHouseStore) -> Edge:
    """The routes, with a telemetry store: attributes that go lose their history."""
    return msgspec.structs.replace(edge, ports=msgspec.structs.replace(edge.ports, telemetry=store))


async def test_a_device_is_answered_as_it_was_made_and_is_nobody_elses(acme: Tenant, globex: Tenant) -> None:
    ours, theirs = await Client.of(acme), await Client.of(globex)
    application = await add_application(ours)
    made = await ours.data(
        "devices.post",
        applicationId=application,
        json={
            "name": "Pump 1",
            "description": "at the *quay*",
            "tags": [{"key": "floor", "value": "1"}, {"key": "floor", "value": "2"}, {"key": "kind", "value": "wet"}],
            "attributes": [
                {"name": "temp", "dataType": "number", "description": "°C", "attributeTags": {"unit": "C"}},
                {"name": "where", "dataType": "gps"},
                {"name": "photo", "dataType": "blob", "contentType": "image/png"},
            ],
            "keepDuplicates": True,
        },
    )
    id_ = made["id"]
    assert made["deviceId"] == id_ and made["applicationId"] == application and made["_type"] == "device"
    assert (made["name"], made["description"], made["keepDuplicates"]) == ("Pump 1", "at the *quay*", True)
    assert (made["deviceClass"], made["parentId"], made["ancestorIds"]) == ("standalone", None, [])
    assert made["connectionInfo"] == {"connected": None}
    assert made["tags"] == [
        {"key": "floor", "value": "1"},
        {"key": "floor", "value": "2"},
        {"key": "kind", "value": "wet"},
    ]
    assert made["attributes"] == [
        {"name": "photo", "dataType": "blob", "contentType": "image/png", "attributeTags": {}},
        {"name": "temp", "dataType": "number", "description": "°C", "attributeTags": {"unit": "C"}},
        {"name": "where", "dataType": "gps", "attributeTags": {}},
    ]
    assert made["_links"]["self"]["href"] == f"/applications/{application}/devices/{id_}"
    shown = await ours.data("device.get", applicationId=application, deviceId=id_)
    assert shown == made and shown["_etag"].startswith('"')
    other = await add_application(ours, "Other")
    assert await ours.failure("device.get", applicationId=other, deviceId=id_) == (404, "NotFound")
    assert await theirs.failure("device.get", applicationId=application, deviceId=id_) == (404, "NotFound")
    answer = await ours.ask("device.get", applicationId=application, deviceId="0" * 24)
    assert answer.json()["message"] == "Device was not found"


async def test_tags_and_attributes_are_shown_as_objects_when_asked(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    tags = [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]
    id_ = await add_device(client, application, tags=tags, attributes=["n"])
    params = {"tagsAsObject": True, "attributesAsObject": "1", "excludeConnectionInfo": "true"}
    shown = await client.data("device.get", applicationId=application, deviceId=id_, params=params)
    assert shown["tags"] == {"a": ["1", "2"]}
    assert shown["attributes"] == {"n": {"dataType": "number", "attributeTags": {}}}
    assert "connectionInfo" not in shown
    listed = await client.data("devices.get", applicationId=application, params=params)
    assert listed["items"][0]["tags"] == {"a": ["1", "2"]}


async def test_a_patch_replaces_tags_and_attributes_and_leaves_the_rest(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    tags = [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}, {"key": "b", "value": "3"}]
    id_ = await add_device(client, application, "Pump", tags=tags, attributes=["n", "m"], description="old")

    async def change(**fields: Any) -> Any:
        return await client.data("device.patch", applicationId=application, deviceId=id_, json=fields)

    before = await client.data("device.get", applicationId=application, deviceId=id_)
    changed = await change(name="Pump 2")
    assert (changed["name"], changed["tags"], changed["description"]) == ("Pump 2", tags, "old")
    assert changed["_etag"] != before["_etag"] and changed["lastUpdated"] > before["lastUpdated"]
    changed = await change(tags=[{"key": "a", "value": "2"}, {"key": "c", "value": "4"}], description="new")
    assert changed["tags"] == [{"key": "a", "value": "2"}, {"key": "c", "value": "4"}]
    assert [each["name"] for each in changed["attributes"]] == ["m", "n"]
    changed = await change(attributes=[{"name": "n", "dataType": "number", "description": "kept"}])
    assert changed["attributes"] == [
        {"name": "n", "dataType": "number", "description": "kept", "attributeTags": {}},
    ]
    assert changed["description"] == "new"
    assert (await change(tags=[], attributes=[]))["tags"] == []


async def test_only_peripherals_have_gateways_and_only_systems_have_children(acme: Tenant, globex: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    gateway = await add_device(client, application, "gateway", deviceClass="gateway")
    lamp = await add_device(client, application, "lamp")
    foreign = await Client.of(globex)
    theirs = await add_device(foreign, await add_application(foreign), "theirs", deviceClass="gateway")

    async def wrong(**fields: Any) -> str:
        answer = await client.ask("devices.post", applicationId=application, json={"name": "x"} | fields)
        assert (answer.status_code, answer.json()["type"]) == (400, "Validation"), answer.text
        return str(answer.json()["message"])

    assert "gatewayId" in await wrong(gatewayId=gateway)
    assert "gatewayId" in await wrong(deviceClass="peripheral", gatewayId=lamp)
    assert "gatewayId" in await wrong(deviceClass="peripheral", gatewayId=theirs)
    assert "parentId" in await wrong(parentId=lamp)
    assert "parentId" in await wrong(parentId="0" * 24)
    assert "systemInterval" in await wrong(systemInterval=4)
    assert "deviceClass" in await wrong(deviceClass="toaster")

    peripheral = await add_device(client, application, "valve", deviceClass="peripheral", gatewayId=gateway)
    shown = await client.data("device.get", applicationId=application, deviceId=peripheral)
    assert (shown["gatewayId"], shown["deviceClass"]) == (gateway, "peripheral")
    place = {"applicationId": application, "deviceId": gateway}
    assert await client.failure("device.patch", **place, json={"deviceClass": "standalone"}) == (400, "Validation")
    place = {"applicationId": application, "deviceId": peripheral}
    shown = await client.data("device.patch", **place, json={"deviceClass": "floating"})
    assert (shown["deviceClass"], "gatewayId" in shown) == ("floating", False)


async def test_systems_lie_in_systems_without_a_circle(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    top = await add_device(client, application, "top", deviceClass="system", systemInterval=60)
    middle = await add_device(client, application, "middle", deviceClass="system", parentId=top)
    leaf = await add_device(client, application, "leaf", parentId=middle)
    shown = await client.data("device.get", applicationId=application, deviceId=leaf)
    assert (shown["parentId"], shown["ancestorIds"]) == (middle, [top, middle])
    place = {"applicationId": application, "deviceId": top}
    assert (await client.data("device.get", **place))["systemInterval"] == 60
    assert await client.failure("device.patch", **place, json={"parentId": middle}) == (400, "Validation")
    place = {"applicationId": application, "deviceId": leaf}
    shown = await client.data("device.patch", **place, json={"parentId": None})
    assert (shown["parentId"], shown["ancestorIds"]) == (None, [])


async def test_a_list_is_filtered_sorted_and_paged(acme: Tenant, globex: Tenant) -> None:
    client = await Client.of(acme)
    application, other = await add_application(client), await add_application(client, "Other")
    floor = [{"key": "floor", "value": "1"}, {"key": "floor", "value": "2"}]
    top = await add_device(client, application, "System", deviceClass="system")
    ids = [top]
    for name in ("pump b", "Pump A", "valve"):
        fields: dict[str, Any] = {"tags": floor} if name != "valve" else {"parentId": top}
        ids.append(await add_device(client, application, name, **fields))
    await add_device(client, other, "pump c")

    async def names(**params: Any) -> list[str]:
        listed = await client.data("devices.get", applicationId=application, params=params)
        assert listed["count"] == len(listed["items"])
        return [each["name"] for each in listed["items"]]

    assert await names() == ["Pump A", "pump b", "System", "valve"]
    assert await names(sortField="creationDate", sortDirection="desc") == ["valve", "Pump A", "pump b", "System"]
    assert await names(sortField="id", perPage=2, page=1) != []
    assert await names(sortField="connectionStatus", perPage=1, page=9) == []
    assert await names(filter="PUMP*") == ["Pump A", "pump b"]
    assert await names(filter="*mp a", filterField="name") == ["Pump A"]
    assert await names(deviceClass=["system", "gateway"]) == ["System"]
    assert await names(tagFilter=[{"key": "floor", "value": "2"}]) == ["Pump A", "pump b"]
    assert await names(tagFilter=[{"key": "floor", "value": "3"}]) == []
    assert await names(tagFilter=[{"value": "1"}]) == ["Pump A", "pump b"]
    assert await names(parentId=top) == ["valve"]
    assert await names(parentId="null") == ["Pump A", "pump b", "System"]
    assert await names(query={"deviceClass": "system"}, filter="pump*") == ["System"]
    listed = await client.data("devices.get", applicationId=application, params={"perPage": 3})
    assert (listed["totalCount"], listed["count"], listed["perPage"], listed["page"]) == (4, 3, 3, 0)
    assert listed["_type"] == "devices" and listed["items"][0]["_type"] == "device"
    for params in ({"sortField": "colour"}, {"perPage": 1001}, {"parentId": "x"}, {"deviceClass": ["toaster"]}):
        assert await client.failure("devices.get", applicationId=application, params=params) == (400, "Validation")
    theirs = await Client.of(globex)
    assert await theirs.failure("devices.get", applicationId=application) == (404, "NotFound")


async def test_names_need_not_be_anybodys_alone(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    for name in ("twin", "twin", "x" * 255):
        await add_device(client, application, name)
    listed = await client.data("devices.get", applicationId=application)
    assert [each["name"] for each in listed["items"]] == ["twin", "twin", "x" * 255]


async def test_a_hundred_tags_and_no_more(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    tags = [{"key": "k" * 250, "value": str(number)} for number in range(60)]
    tags += [{"key": f"other-{number}", "value": "v" * 255} for number in range(40)]
    id_ = await add_device(client, application, "full", tags=tags)
    place = {"applicationId": application, "deviceId": id_}
    assert len((await client.data("device.get", **place))["tags"]) == 100
    assert len((await client.data("device.patch", **place, json={"name": "still full"}))["tags"]) == 100
    tags.append({"key": "one", "value": "more"})
    assert await client.failure("device.patch", **place, json={"tags": tags}) == (400, "Validation")
    assert await client.failure("device.patch", **place, json={"tags": [{"key": "a b", "value": "c"}]}) == (
        400,
        "Validation",
    )


async def test_the_connection_is_told_with_when_it_changed(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    device = await add_device(client, application, "online")
    place = {"applicationId": application, "deviceId": device}
    first = to_millis(now()) - 60_000
    for second, channel, info in (
        (0, CONNECTED, {"connected": 1, "time": spell_time(from_millis(first))}),
        (30, DISCONNECTED, {"connected": 0, "time": spell_time(from_millis(first + 30_000))}),
    ):
        presences = Presences()
        notice = SessionNotice("gateway", 1, "gone")
        presences.add(acme.tenant_id, ids.to_bytes(uuid_of(device)), first + 1000 * second, channel, notice)
        async with acme.edge.system_database.tx() as tx:
            await telemetry.update_presence(tx, presences)
        assert (await client.data("device.get", **place))["connectionInfo"] == info
        listed = await client.data("devices.get", applicationId=application)
        assert listed["items"][0]["connectionInfo"] == info


# --- one truth -------------------------------------------------------------------------------------------------------


async def test_a_device_made_here_is_the_same_natively(acme: Tenant) -> None:
    client = await Client.of(acme)
    application = await add_application(client)
    tags = [{"key": "floor", "value": "1"}, {"key": "floor", "value": "2"}, {"key": "kind", "value": "wet"}]
    id_ = await add_device(client, application, "Pump", tags=tags, attributes=["temp"], description="told")
    [native] = ok(await acme.api.get("/api/v1/devices"))["items"]
    assert (native["name"], native["tags"]) == ("Pump", {"floor": "1", "kind": "wet"})
    sensors = ok(await acme.api.get("/api/v1/sensors", params={"deviceId": native["id"]}))["items"]
    assert [(each["key"], each["valueType"]) for each in sensors] == [("temp", "DOUBLE")]
    ok(await acme.api.patch(f"/api/v1/devices/{native['id']}", json={"tags": {"kind": "dry"}}))
    place = {"applicationId": application, "deviceId": id_}
    shown = await client.data("device.get", **place, params={"tagsAsObject": True})
    assert shown["tags"] == {"floor": ["1", "2"], "kind": ["dry"]}
    assert shown["description"] == "told"
    ok(await acme.api.patch(f"/api/v1/devices/{native['id']}", json={"tags": {"floor": "9"}}))
    shown = await client.data("device.get", **place, params={"tagsAsObject": True})
    assert shown["tags"] == {"floor": ["9"], "kind": ["dry"]}
    listed = await client.data("devices.get", applicationId=application, params={"tagFilter": [{"value": "2"}]})
    assert listed["items"] == []


async def test_a_native_device_is_shown_with_what_it_has(acme: Tenant) -> None:
    tags: Any = {"on floor": "1", "empty": ""}
    native = ok(await acme.api.post("/api/v1/devices", json={"name": "native", "tags": tags}))
    for key, kind in (("speed", "DOUBLE"), ("count", "BIGINT"), ("on", "BOOLEAN"), ("the.word", "TEXT")):
        body = {"deviceId": native["id"], "key": key, "valueType": kind}
        ok(await acme.api.post("/api/v1/sensors", json=body))
    client = await Client.of(acme)
    applications = await client.data("applications.get")
    found = []
    for each in applications["items"]:
        listed = await client.data("devices.get", applicationId=each["id"])
        found += [(each["id"], device) for device in listed["items"]]
    [(application, shown)] = found
    assert (shown["name"], shown["deviceClass"]) == ("native", "standalone")
    assert shown["tags"] == [{"key": "on_floor", "value": "1"}]
    assert [(each["name"], each["dataType"]) for each in shown["attributes"]] == [
        ("count", "number"),
        ("on", "boolean"),
        ("speed", "number"),
        ("the_word", "string"),
    ]
    place = {"applicationId": application, "deviceId": shown["id"]}
    tags = [*shown["tags"], {"key": "new", "value": "x"}]
    await client.data("device.patch", **place, json={"tags": tags, "attributes": shown["attributes"]})
    native = ok(await acme.api.get(f"/api/v1/devices/{native['id']}"))
    assert native["tags"] == {"on floor": "1", "new": "x"}
