"""Within how many seconds devices are to be heard."""

import pytest

from roadstead.core.registry import watched_interval
from tests.conftest import Tenant
from tests.dialects.lightelligence.contract import Client
from tests.dialects.lightelligence.fleet import add_device, add_type


@pytest.mark.parametrize(
    ("own", "inherited", "interval"),
    [(None, None, None), (None, 0, None), (None, 60, 60), (0, 60, None), (30, 60, 30), (30, None, 30)],
)
def test_a_device_overrides_its_type(own: int | None, inherited: int | None, interval: int | None) -> None:
    assert watched_interval(own, inherited) == interval


async def test_what_is_set_on_a_device_or_a_type_is_one_value_in_both_places(acme: Tenant) -> None:
    client = await Client.of(acme)
    type_ = await add_type(client, communicationInterval=300)
    device = await add_device(client, type_)
    of_type, of_device = {"deviceTypeId": type_["id"]}, {"deviceId": device["id"]}

    assert await client.data("getDeviceTypeMonitoring", **of_type) == {"communicationInterval": 300}
    assert await client.data("getDeviceMonitoring", **of_device) == {"communicationInterval": None}
    for interval in (60, 0, None):
        sent = {"communicationInterval": interval}
        assert await client.data("updateDeviceMonitoring", json=sent, **of_device) == sent
        assert await client.data("getDeviceMonitoring", **of_device) == sent
        assert (await client.data("getDevice", **of_device))["info"].get("communicationInterval") == interval
        assert await client.data("updateDeviceTypeMonitoring", json=sent, **of_type) == sent
        assert await client.data("getDeviceTypeMonitoring", **of_type) == sent
        assert (await client.data("getDeviceType", **of_type)).get("communicationInterval") == interval
    await client.data("updateDevice", json={"info": {"communicationInterval": 5}}, **of_device)
    assert await client.data("getDeviceMonitoring", **of_device) == {"communicationInterval": 5}


async def test_what_is_no_interval_is_refused_and_what_is_not_there_forbidden(acme: Tenant, globex: Tenant) -> None:
    client, stranger = await Client.of(acme), await Client.of(globex)
    type_ = await add_type(client)
    device = await add_device(client, type_)
    for noun, ids in (("DeviceType", {"deviceTypeId": type_["id"]}), ("Device", {"deviceId": device["id"]})):
        update, get = f"update{noun}Monitoring", f"get{noun}Monitoring"
        for wrong in ({}, {"communicationInterval": 172_801}, {"communicationInterval": "60"}):
            assert await client.failure(update, json=wrong, **ids) == (400, "DEVICE_VALIDATION"), wrong
        assert await stranger.failure(get, **ids) == (403, "DEVICE_FORBIDDEN_OR_NOT_FOUND")
        answer = await stranger.failure(update, json={"communicationInterval": 1}, **ids)
        assert answer == (403, "DEVICE_FORBIDDEN_OR_NOT_FOUND")
