"""Every example of the original's guide, against a started platform, through a client that only speaks the wire."""

import json
import secrets
import time
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest

from roadstead.kernel.ids import to_base62
from tests.journeys.leverege import Api, create_auth_token
from tests.platform import Platform, wait_until

NETWORK = f"guide-{secrets.token_hex(4)}"
FIELDS: dict[str, list[tuple[str, str]]] = {
    "vehicle": [("status", "string")],
    "sensor": [("type", "string"), ("reading", "number")],
    "device": [("serial", "string")],
    "inventory": [("name", "string")],
    "tag": [("uniqueDeviceId", "string")],
    "service": [("createdAt", "timestamp")],
    "task": [("completedAt", "timestamp")],
    "geofence": [("radius", "number")],
}


class Guide(msgspec.Struct, frozen=True):
    """A project with the blueprints of the guide, and a server with a key of its own."""

    api: Api
    owner: Api
    host: str
    project: str
    system: str

    def create(self, blueprint: str, name: str, data: dict[str, Any], **more: Any) -> dict[str, Any]:
        """`api.interface(systemId, blueprint).create({name, data})`, and wait until it is written."""
        body = {"name": name, "data": data} | more
        path = f"/interface/{self.system}/{blueprint}"
        made: dict[str, Any] = self.api.ask("interface.create", "POST", path, body, resolveOnWrite=True)
        return made

    def search(self, blueprint: str, filter_: Any = None, **more: Any) -> dict[str, Any]:
        """`api.interface(systemId, blueprint).search({filter})`."""
        body = more | ({} if filter_ is None else {"filter": filter_})
        path = f"/interface/{self.system}/{blueprint}.search"
        found: dict[str, Any] = self.api.ask("interface.search", "POST", path, body)
        return found

    def finds(self, blueprint: str, names: list[str], filter_: Any) -> None:
        """The filter finds these."""
        assert sorted(each["name"] for each in self.search(blueprint, filter_)["items"]) == names


@pytest.fixture(scope="module")
def guide(platform: Platform) -> Guide:
    """Made once, by the owner in person; the examples are asked by the server."""
    credentials = platform.credentials
    host, project = f"{platform.url}/leverege", to_base62(UUID(credentials["organizationId"]))
    owner = Api(host)
    owner.login(credentials["email"], credentials["password"], project)
    access = owner.ask("api-access.create", "POST", f"/project/{project}/apiAccess", {"name": "server"})
    alias = f"guide-{secrets.token_hex(3)}"
    body = {"name": "Guide", "alias": alias}
    system = owner.ask("system.create", "POST", f"/project/{project}/system", body)["id"]
    network = {"name": "Guide", "networkId": NETWORK, "aliasKeys": ["deviceId"]}
    owner.ask("network.create", "POST", f"/project/{project}/network", network)
    made = {}
    for blueprint, fields in FIELDS.items():
        attributes = [{"path": path, "type": type_} for path, type_ in fields]
        told: dict[str, Any] = {"name": blueprint, "alias": blueprint, "attributes": attributes}
        made[blueprint] = owner.ask("blueprint.create", "POST", f"/project/{project}/blueprint", told)["id"]
    relation = {"relationshipType": "oneToMany", "targetBlueprintId": made["geofence"]}
    attributes = [
        {"path": "status", "type": "string"},
        {"path": "lastUpdated", "type": "timestamp"},
        {"path": "geofence", "type": "relationship", **relation},
    ]
    told = {"name": "boat", "alias": "boat", "attributes": attributes}
    owner.ask("blueprint.create", "POST", f"/project/{project}/blueprint", told)
    server = Api(host, api_key=access["id"], secret=access["secret"], project_id=project)
    return Guide(server, owner, host, project, system)


def test_a_server_signs_its_own_tokens_and_a_person_logs_in_for_a_day(guide: Guide) -> None:
    listed = guide.api.ask("blueprint.list", "GET", f"/project/{guide.project}/blueprint")["items"]
    assert {"boat", *FIELDS} <= {each.get("alias") for each in listed}
    assert guide.owner.ask("blueprint.list", "GET", f"/project/{guide.project}/blueprint")["items"] == listed
    one = next(each for each in listed if each.get("alias") == "boat")
    assert guide.api.ask("blueprint.get", "GET", f"/blueprint/{one['id']}")["name"] == "boat"
    forged = create_auth_token(one["id"], "guessed", guide.project, guide.host)
    answer = httpx.get(f"{guide.host}/v1/blueprint/{one['id']}", headers={"Authorization": f"Bearer {forged}"})
    assert answer.status_code == 401


def test_a_device_is_got_with_its_header_data_and_when_each_value_was_written(guide: Guide) -> None:
    began = int(time.time() * 1000) - 60_000
    boat = guide.create("boat", "My New Device", {"status": "active"})
    device = guide.api.ask("device.get", "GET", f"/device/{boat['id']}")
    assert (device["name"], device["data"]["status"]) == ("My New Device", "active")
    assert device["blueprintId"] == boat["blueprintId"]
    told = device["dataMetadata"]["status"]
    assert "userId" in told["source"] and told["updated"] >= began
    path = f"/project/{guide.project}/device/{boat['id']}"
    assert guide.api.ask("device.get-in-project", "GET", path) == device


def test_every_search_of_the_guide_finds_what_it_says(guide: Guide) -> None:
    for name, status in (("One", "active"), ("Two", "idle")):
        guide.create("vehicle", name, {"status": status})
    guide.create("sensor", "Hot", {"type": "temperature", "reading": 120.5})
    guide.create("sensor", "Cold", {"type": "temperature", "reading": 99})
    guide.create(
        "device", "Named", {"serial": "1"}, networkId=NETWORK, networkAliases={NETWORK: {"deviceId": "DEVICE-123"}}
    )
    guide.create("inventory", "Shelf", {"name": "quinn's shelf"})
    guide.create("tag", "Tag", {"uniqueDeviceId": "ZSD-TAG-0001"})
    guide.create("service", "Within", {"createdAt": "2024-06-01T12:00:00.000Z"})
    guide.create("service", "Later", {"createdAt": "2025-06-01T12:00:00.000Z"})
    guide.create("task", "Done", {"completedAt": "2024-06-01T12:00:00.000Z"})
    guide.create("task", "Open", {})
    basic = guide.search("vehicle", limit=100, offset=0)
    assert (len(basic["items"]), basic["total"]) == (2, 2)
    guide.finds("vehicle", ["One"], {"type": "equals", "field": "data/status", "value": "active"})
    hot = [
        {"type": "equals", "field": "data/type", "value": "temperature"},
        {"type": "comparison", "field": "data/reading", "comparator": ">", "value": 100},
    ]
    guide.finds("sensor", ["Hot"], {"type": "logical", "operator": "and", "conditions": hot})
    field = f"networkAliases/{NETWORK}/deviceId"
    guide.finds("device", ["Named"], {"type": "equals", "field": field, "value": "DEVICE-123"})
    expression = {"type": "expression", "kind": "regexp", "field": "data/name", "value": "Quinn.*", "ignoreCase": True}
    guide.finds("inventory", ["Shelf"], expression)
    wildcard = {"type": "expression", "kind": "queryString", "analyzeWildcard": True}
    guide.finds("tag", ["Tag"], wildcard | {"field": "data/uniqueDeviceId", "value": "ZSD-TAG*"})
    dates = {
        "type": "comparison",
        "field": "data/createdAt",
        "comparator": "[]",
        "value1": "2024-01-01T00:00:00.000Z",
        "value2": "2024-12-31T23:59:59.999Z",
        "isDate": True,
        "timezone": "America/New_York",
    }
    guide.finds("service", ["Within"], dates)
    guide.finds("task", ["Open"], {"type": "exists", "field": "data/completedAt", "not": True})


def test_children_are_made_and_searched_by_their_parent(guide: Guide) -> None:
    boats = [guide.create("boat", name, {}) for name in ("Ada", "Bea")]
    for boat in boats:
        path = f"/interface/{guide.system}/boat/{boat['id']}/geofence"
        child = {"name": f"Around {boat['name']}", "data": {"radius": 50}}
        guide.api.ask("interface.group-create", "POST", path, child, resolveOnWrite=True)
    path = f"/interface/{guide.system}/boat/{boats[0]['id']}/geofence.search"
    asked: tuple[dict[str, Any], ...] = ({"limit": 100}, {})
    for body in asked:
        found = guide.api.ask("interface.group-search", "POST", path, body)
        assert [each["name"] for each in found["items"]] == ["Around Ada"]


def test_data_is_updated_and_waited_for(guide: Guide) -> None:
    boat = guide.create("boat", "Cleo", {"status": "active"})
    path, now = f"/device/{boat['id']}", int(time.time() * 1000)
    guide.api.ask("device.update", "PATCH", path, {"data": {"status": "inactive", "lastUpdated": now}})
    wait_until(lambda: guide.api.ask("device.get", "GET", path)["data"] == {"status": "inactive", "lastUpdated": now})
    ways: tuple[tuple[str, Any], ...] = (("one", True), ("two", {"writers": ["rt", "timescale"], "maxWaitTime": 5000}))
    for status, waiting in ways:
        told = guide.api.ask("device.update", "PATCH", path, {"data": {"status": status}}, resolveOnWrite=waiting)
        assert told["resolveOnWrite"] == {"resolved": True, "pending": []}
        guide.finds("boat", ["Cleo"], {"type": "equals", "field": "data/status", "value": status})


def test_people_of_a_project_are_listed_with_their_roles(guide: Guide) -> None:
    boat = guide.create("boat", "Dora", {})
    body = {"username": f"skipper-{secrets.token_hex(3)}", "password": "secret-7"}
    skipper = guide.owner.ask("account.create", "POST", f"/project/{guide.project}/account", body)
    body = {"name": f"Skipper {secrets.token_hex(3)}", "projectId": guide.project}
    role = guide.owner.ask("role.create", "POST", "/role", body)
    binding = {"projectId": guide.project, "userId": skipper["id"], "role": role["id"]}
    guide.owner.ask("user-role.create", "POST", "/userRole", binding | {"resourceId": boat["id"]})
    which = json.dumps({"name": role["name"], "projectId": guide.project})
    found = guide.owner.ask("account.list", "GET", f"/project/{guide.project}/account", perPage="100", role=which)
    assert [each["id"] for each in found["items"]] == [skipper["id"]]
    path = f"/project/{guide.project}/account/{skipper['id']}/role"
    held = guide.owner.ask("account.roles", "GET", path, resourceId=boat["id"], resourceType="device")
    assert role["name"] in json.dumps(held)
    users = guide.owner.ask("device.user-list", "GET", f"/device/{boat['id']}/user")
    assert skipper["id"] in [each["id"] for each in users["items"]]
