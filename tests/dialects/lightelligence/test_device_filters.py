"""Which devices a filter means, in the query and in bodies of GET."""

from typing import Any

import pytest_asyncio

from tests.conftest import Tenant
from tests.dialects.lightelligence.contract import Client
from tests.dialects.lightelligence.fleet import add_device, add_type
from tests.dialects.native.fleet import add_device as add_native


class Fleet:
    """A few devices, and a question for their names."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.ids: dict[str, str] = {}
        self.types: dict[str, str] = {}

    async def names(self, params: dict[str, Any] | None = None, body: dict[str, Any] | None = None) -> list[str]:
        """Of the devices that are answered, in their order."""
        found = await self.client.data("listDevices", params=params, json=body)
        return [each["info"]["name"] for each in found]


@pytest_asyncio.fixture
async def fleet(acme: Tenant, globex: Tenant) -> Fleet:
    """Four devices of two types and one without, beside those of another tenant."""
    fleet = Fleet(await Client.of(acme))
    stranger = await Client.of(globex)
    await add_device(stranger, await add_type(stranger), name="Living lamp", tags=["light"], aliases=["aa-1"])
    for name, categories in (("Lamp", ["urn:light", "urn:x"]), ("Heater", ["urn:heat"])):
        fleet.types[name] = (await add_type(fleet.client, name=name, categories=categories))["id"]
    gateway = await add_device(fleet.client, fleet.types["Heater"], name="Gateway")
    fleet.ids["Gateway"] = gateway["id"]
    devices: list[tuple[str, str, dict[str, Any]]] = [
        ("Living lamp", "Lamp", {"tags": ["light", "ground-floor"], "aliases": ["aa-1", "AA-2"]}),
        ("Bath lamp", "Lamp", {"tags": ["light_2"], "aliases": ["bb-1"]}),
        ("100% heat", "Heater", {"tags": ["warm"]}),
    ]
    for name, type_, info in devices:
        made = await add_device(fleet.client, fleet.types[type_], name=name, connectedBy=gateway["id"], **info)
        fleet.ids[name] = made["id"]
    fleet.ids["native"] = (await add_native(acme, "native", tags={"Light": "on"}))["id"]
    return fleet


EVERYBODY = ["native", "100% heat", "Bath lamp", "Living lamp", "Gateway"]
LAMPS = ["Bath lamp", "Living lamp"]


async def test_names_and_aliases_take_wildcards(fleet: Fleet) -> None:
    assert await fleet.names() == EVERYBODY
    assert await fleet.names({"deviceName": "living LAMP"}) == ["Living lamp"]
    assert await fleet.names({"deviceName": "lamp"}) == []
    assert await fleet.names({"deviceName": "*LAMP"}) == LAMPS
    assert await fleet.names({"deviceName": "Ba*"}) == ["Bath lamp"]
    assert await fleet.names({"deviceName": "*th l*"}) == ["Bath lamp"]
    assert await fleet.names({"deviceName": "b*p"}) == ["Bath lamp"]
    assert await fleet.names({"deviceName": "*"}) == EVERYBODY
    assert await fleet.names({"deviceName": "100%*"}) == ["100% heat"]
    assert await fleet.names({"deviceName": "1_0*"}) == []
    assert await fleet.names({"deviceName": "Ba*,gateway"}) == ["Bath lamp", "Gateway"]
    assert await fleet.names({"deviceAlias": "AA-2"}) == ["Living lamp"]
    assert await fleet.names({"deviceAlias": "aa*,bb-1"}) == LAMPS
    assert await fleet.names({"deviceAlias": "*-1"}) == LAMPS
    assert await fleet.names({"deviceAlias": "*"}) == LAMPS


async def test_letters_beyond_ascii_have_cases_too(acme: Tenant) -> None:
    client = await Client.of(acme)
    await add_device(client, await add_type(client, name="Wärme"), name="Ärger im Bad")
    for params in ({"deviceName": "Ärger im Bad"}, {"deviceName": "ärger*"}, {"deviceName": "*GER IM BAD"}):
        assert len(await client.data("listDevices", params=params)) == 1, params
    assert len(await client.data("listDeviceTypes", params={"deviceTypeName": "WÄRME"})) == 1


async def test_tags_are_matched_in_any_case(fleet: Fleet) -> None:
    assert await fleet.names({"deviceTag": "light"}) == ["native", "Living lamp"]
    assert await fleet.names({"deviceTag": "LIGHT"}) == ["native", "Living lamp"]
    assert await fleet.names({"deviceTag": "light*"}) == ["native", "Bath lamp", "Living lamp"]
    assert await fleet.names({"deviceTag": "*floor*,warm"}) == ["100% heat", "Living lamp"]
    assert await fleet.names({"deviceTag": "nothing"}) == []
    assert await fleet.names(body={"deviceTag": ["warm,ground-floor"]}) == ["100% heat", "Living lamp"]


async def test_types_gateways_and_ids(fleet: Fleet, acme: Tenant) -> None:
    lamp, gateway = fleet.types["Lamp"], fleet.ids["Gateway"]
    assert await fleet.names({"deviceTypeId": lamp}) == LAMPS
    assert await fleet.names({"deviceTypeId": str(acme.organization_id)}) == ["native"]
    assert await fleet.names({"deviceTypeCategory": "urn:light"}) == LAMPS
    assert await fleet.names({"deviceTypeCategory": "urn:ligh"}) == []
    assert await fleet.names({"deviceTypeCategory": "urn:heat,urn:x"}) == ["100% heat", *LAMPS, "Gateway"]
    assert await fleet.names(body={"deviceTypeName": ["la*"]}) == LAMPS
    assert await fleet.names(body={"deviceTypeName": ["*without*"]}) == ["native"]
    assert await fleet.names({"deviceConnectedBy": gateway}) == ["100% heat", *LAMPS]
    assert await fleet.names({"deviceConnectedBy": fleet.ids["Bath lamp"]}) == []
    assert await fleet.names({"deviceId": f"{gateway},{fleet.ids['native']}"}) == ["native", "Gateway"]


async def test_filters_are_all_true_and_old_names_are_understood(fleet: Fleet) -> None:
    assert await fleet.names({"deviceTypeId": fleet.types["Lamp"], "deviceTag": "light"}) == ["Living lamp"]
    assert await fleet.names({"tags": "warm", "name": "100*", "connectedBy": fleet.ids["Gateway"]}) == ["100% heat"]
    assert await fleet.names(body={"deviceName": ["*lamp"], "deviceAlias": ["bb*"]}) == ["Bath lamp"]
    assert await fleet.names(body={}) == EVERYBODY


async def test_what_is_no_filter_is_refused(fleet: Fleet) -> None:
    for params, body in (
        ({"deviceName": "a"}, {"deviceTag": ["a"]}),
        ({"deviceTag": "room 3"}, None),
        ({"deviceTag": ""}, None),
        ({"deviceId": "sensor"}, None),
        ({"deviceName": "a\0"}, None),
        ({"page": -1}, None),
        (None, {"deviceName": []}),
        (None, {"deviceName": "a"}),
        (None, {"devicename": ["a"]}),
        ({"page": 10**30}, None),
    ):
        answer = await fleet.client.failure("listDevices", params=params, json=body)
        assert answer == (400, "DEVICE_VALIDATION"), (params, body)


async def test_a_page_past_the_end_is_empty(fleet: Fleet) -> None:
    answer = (await fleet.client.ask("listDevices", params={"page": 1, "pageSize": 3})).json()
    assert [each["info"]["name"] for each in answer["data"]] == ["Living lamp", "Gateway"]
    assert answer["meta"] == {"page": 1, "pageSize": 3, "itemsTotal": 5, "pagesTotal": 2}
    for page in (9, 10**9):
        assert await fleet.names({"page": page}) == []
