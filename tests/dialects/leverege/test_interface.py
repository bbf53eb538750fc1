"""/v1/interface/{systemId}/{blueprint}: devices of a blueprint."""

from typing import Any

import pytest

from tests.conftest import Tenant
from tests.dialects.leverege.contract import Client, check_value
from tests.dialects.leverege.world import add_blueprint, add_object, add_system, project_of
from tests.dialects.native.fleet import ok

NOWHERE = "1Je8Y7dNlfthv7ixV8oEfZ"
VEHICLE = ({"path": "status", "type": "string"}, {"path": "engine/speed", "type": "number"})


async def fleet(tenant: Tenant) -> Client:
    """A client in a project with a system `main` and the blueprint `vehicle`."""
    client = await Client.of(tenant)
    await add_system(client, "main")
    await add_blueprint(client, "vehicle", *VEHICLE)
    return client


async def test_a_device_is_made_with_data_and_belongs_to_one_project(acme: Tenant, globex: Tenant) -> None:
    client, stranger = await fleet(acme), await fleet(globex)
    sent = {
        "name": "My New Device",
        "networkId": "lora",
        "networkAliases": {"lora": {"deveui": "00-01", "slot": 7}},
        "purpose": "organization",
        "simulated": True,
        "metadata": {"reportLimit": 5, "nested": {"a": [1]}},
        "data": {"status": "active", "engine": {"speed": 12.5}},
    }
    made = await client.data("interface.create", json=sent, systemId="main", blueprint="vehicle")

    assert made["networkAliases"] == {"lora": {"deveui": "00-01", "slot": "7"}}
    told = {name: value for name, value in sent.items() if name != "networkAliases"}
    assert {name: made[name] for name in told} == told
    assert made["projectId"] == project_of(client)
    assert set(made["dataMetadata"]["engine"]["speed"]) == {"source", "updated"}
    (system,) = [
        each
        for each in (await client.data("system.list", projectId=project_of(client)))["items"]
        if each["id"] == made["systemId"]
    ]
    assert system["alias"] == "main"

    names: dict[str, Any] = {"systemId": "main", "blueprint": "vehicle", "objId": made["id"]}
    for operation, body in (("interface.get", None), ("interface.update", {"name": "x"}), ("interface.delete", None)):
        assert await stranger.failure(operation, json=body, **names) == 404, operation
    shown = await client.data("interface.get", **names)
    assert (shown["name"], shown["metadata"]) == ("My New Device", sent["metadata"])
    assert (await stranger.data("interface.list", systemId="main", blueprint="vehicle"))["items"] == []


async def test_what_is_made_here_is_seen_by_the_native_api(acme: Tenant) -> None:
    client = await fleet(acme)
    await add_object(client, "main/vehicle", name="Van")
    again = await add_object(client, "main/vehicle/create/", name="Van")
    assert again["name"] == "Van"
    devices = ok(await acme.api.get("/api/v1/devices", params={"q": "Van"}))["items"]
    assert len(devices) == 2
    assert {device["name"].startswith("Van") for device in devices} == {True}


async def test_names_of_systems_and_blueprints_are_as_good_as_ids(acme: Tenant) -> None:
    client = await fleet(acme)
    made = await add_object(client, "main/vehicle", name="Van")
    path = f"{made['systemId']}/{made['blueprintId']}"
    answer = await client.http.get(f"/v1//interface/{path}//{made['id']}/?test=true")
    assert answer.json()["id"] == made["id"]
    for wrong in (
        f"main/boat/{made['id']}",
        f"other/vehicle/{made['id']}",
        f"main/vehicle/{NOWHERE}",
        "main/vehicle/x",
    ):
        assert (await client.http.get(f"/v1/interface/{wrong}")).status_code == 404, wrong


async def test_a_device_without_a_name_is_called_like_its_blueprint(acme: Tenant) -> None:
    client = await fleet(acme)
    assert (await add_object(client, "main/vehicle"))["name"] == "vehicle"
    assert (await add_object(client, "main/vehicle"))["name"] == "vehicle"


async def test_lists_have_pages_are_searched_and_sorted_and_begin_with_the_newest(acme: Tenant) -> None:
    client = await fleet(acme)
    await add_blueprint(client, "boat")
    await add_object(client, "main/boat", name="Boat")
    names = ["b", "a", "c"]
    ids = {name: (await add_object(client, "main/vehicle", name=f"Van {name}"))["id"] for name in names}

    async def listed(**params: Any) -> list[str]:
        found = await client.data("interface.list", params=params, systemId="main", blueprint="vehicle")
        for item in found["items"]:
            check_value("item", "Device", item)
        assert found["count"] == len(found["items"])
        return [item["name"][-1] for item in found["items"]]

    everything = await client.data("interface.list", systemId="main", blueprint="vehicle")
    assert (everything["total"], everything["perPage"], everything["startIndex"]) == (3, 100, 0)
    assert sorted(await listed()) == ["a", "b", "c"]
    assert await listed(sort="name") == ["a", "b", "c"]
    assert await listed(sort="-name", perPage=1, startIndex=1) == ["b"]
    assert await listed(sort="name", perPage=2, page=1) == ["c"]
    assert await listed(search="VAN B") == ["b"]
    assert await listed(search=ids["c"]) == ["c"]
    assert (
        await client.failure("interface.list", params={"sort": "data/x"}, systemId="main", blueprint="vehicle") == 400
    )
    every = await client.http.get("/v1/interface/main/vehicle/*", params={"perPage": 2, "sort": "name"})
    assert [item["name"] for item in every.json()["items"]] == ["Van a", "Van b"]
    assert every.json()["total"] == 3


async def test_a_change_merges_header_and_data(acme: Tenant) -> None:
    client = await fleet(acme)
    made = await add_object(
        client,
        "main/vehicle",
        name="Van",
        metadata={"a": 1, "b": {"c": 2}},
        networkAliases={"lora": {"deveui": "1", "name": "n"}},
        data={"status": "active"},
    )
    names: dict[str, Any] = {"systemId": "main", "blueprint": "vehicle", "objId": made["id"]}
    body = {
        "name": "Truck",
        "metadata": {"b": {"d": 3}, "a": None},
        "networkAliases": {"lora": {"name": None, "deveui": "2"}},
        "data": [{"path": "engine/speed", "value": 3}],
    }
    changed = await client.data("interface.update", json=body, **names)
    assert (changed["name"], changed["metadata"]) == ("Truck", {"b": {"c": 2, "d": 3}})
    assert changed["networkAliases"] == {"lora": {"deveui": "2"}}
    assert changed["data"]["engine"] == {"speed": 3}
    assert (await client.data("interface.update", json={}, **names))["name"] == "Truck"

    steps = [
        {"op": "replace", "path": "metadata", "value": {"reportLimit": 5}},
        {"op": "add", "path": "networkAliases/ble/name", "value": "x"},
        {"op": "replace", "path": "data/status", "value": "idle"},
    ]
    changed = await client.data("interface.update", json=steps, **names)
    assert changed["metadata"] == {"reportLimit": 5}
    assert changed["networkAliases"] == {"lora": {"deveui": "2"}, "ble": {"name": "x"}}
    assert changed["data"]["status"] == "idle"


@pytest.mark.parametrize(
    "wrong",
    [
        {"purpose": "pet"},
        {"name": "x" * 256},
        {"name": 5},
        {"metadata": []},
        {"networkAliases": {"lora": {"deveui": ""}}},
        {"networkAliases": "x"},
        {"data": 5},
        [{"op": "replace", "path": "id", "value": "x"}],
        [{"op": "turn", "path": "name", "value": "x"}],
    ],
)
async def test_what_is_wrong_is_told_and_nothing_is_changed(acme: Tenant, wrong: Any) -> None:
    client = await fleet(acme)
    made = await add_object(client, "main/vehicle", name="Van")
    names: dict[str, Any] = {"systemId": "main", "blueprint": "vehicle", "objId": made["id"]}
    assert await client.failure("interface.update", json=wrong, **names) == 400
    assert (await client.data("interface.get", **names))["name"] == "Van"
    if isinstance(wrong, dict):
        assert await client.failure("interface.create", json=wrong, systemId="main", blueprint="vehicle") == 400


async def test_a_name_in_a_network_is_one_devices_and_finds_it(acme: Tenant, globex: Tenant) -> None:
    client, stranger = await fleet(acme), await fleet(globex)
    await add_blueprint(client, "boat")
    made = await add_object(client, "main/vehicle", name="Van", networkAliases={"lora": {"deveui": "1"}})
    await add_object(stranger, "main/vehicle", name="Van", networkAliases={"lora": {"deveui": "1"}})
    asked = {"networkId": "lora", "aliasKey": "deveui", "value": "1"}
    place = {"systemId": "main", "blueprint": "vehicle"}

    assert (await client.data("interface.by-network-alias", params=asked, **place))["id"] == made["id"]
    assert (await client.data("device.by-network-alias", params=asked))["id"] == made["id"]
    assert await client.failure("interface.by-network-alias", params=asked | {"value": "2"}, **place) == 404
    assert await client.failure("interface.by-network-alias", params=asked, systemId="main", blueprint="boat") == 404
    assert await client.failure("device.by-network-alias", params={"networkId": "lora"}) == 400

    twin = {"networkAliases": {"lora": {"deveui": "1"}}}
    assert await client.failure("interface.create", json=twin, **place) == 409
    other = await add_object(client, "main/vehicle", name="Van", networkAliases={"lora": {"deveui": "2"}})
    assert await client.failure("interface.update", json=twin, objId=other["id"], **place) == 409
    await client.data("interface.delete", objId=made["id"], **place)
    await client.data("interface.update", json=twin, objId=other["id"], **place)
    assert (await client.data("device.by-network-alias", params=asked))["id"] == other["id"]


async def test_a_deleted_device_is_gone(acme: Tenant) -> None:
    client = await fleet(acme)
    made = await add_object(client, "main/vehicle", name="Van")
    names: dict[str, Any] = {"systemId": "main", "blueprint": "vehicle", "objId": made["id"]}
    assert await client.failure("interface.delete", json={"deleteDevice": "perhaps"}, **names) == 400
    gone = await client.data("interface.delete", **names)
    assert gone == {"status": 200, "deviceRemoved": True, "systemId": made["systemId"], "id": made["id"]}
    assert await client.failure("interface.get", **names) == 404


async def test_services_are_refused_by_name_whatever_the_method(acme: Tenant) -> None:
    client = await fleet(acme)
    paths = (
        "/v1/interface/main/vehicle/x.srv/reports/daily/all",
        "/v1/interface/main/vehicle/x/doors/y.srv/reports/daily",
        f"/v1/project/{project_of(client)}/system/main/srv/reports/daily/all",
        "/v1/system/main/device/x/srv/reports/daily",
        "/v1/system/main/srv/reports/daily/all",
    )
    for path in paths:
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            answer = await client.http.request(method, path)
            assert (answer.status_code, answer.json()["code"]) == (501, "not-offered"), f"{method} {path}"


async def test_nobody_gets_in_without_a_token(acme: Tenant) -> None:
    client = Client(acme)
    for path in ("main/vehicle", "main/vehicle/x", "main/vehicle/x/doors", "main/vehicle/x.rsrc/p/a"):
        assert (await client.http.get(f"/v1/interface/{path}")).status_code == 401, path
