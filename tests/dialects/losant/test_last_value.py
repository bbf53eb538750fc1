"""The newest point of an attribute of many devices (contract section 11)."""

from typing import Any

from tests.conftest import Tenant
from tests.dialects.losant.contract import Client
from tests.dialects.losant.data_path import data_path, edge
from tests.dialects.losant.kept import put_points
from tests.dialects.losant.test_time_series import BEGIN, at
from tests.dialects.losant.world import add_application, add_device

__all__ = ["data_path", "edge"]


async def test_each_device_tells_its_newest_point_and_those_without_are_left_out(
    edge: Any, acme: Tenant, globex: Tenant
) -> None:
    client, theirs = await Client.of(acme), await Client.of(globex)
    application_id = await add_application(client)
    first, second, third = [await add_device(client, application_id, name, attributes=["level"]) for name in "abc"]
    await put_points(acme, first, "level", [1.0, 2.0, 3.0])
    await put_points(acme, second, "level", [7.0])
    names = {"applicationId": application_id}
    asked = {"attribute": "level", "deviceQuery": {}}
    assert await client.data("data.lastValueQuery", json=asked, **names) == {
        first: {"time": at(2000), "data": {"level": 3.0}},
        second: {"time": at(0), "data": {"level": 7.0}},
    }
    earlier = await client.data("data.lastValueQuery", json=asked | {"end": BEGIN + 1999}, **names)
    assert earlier[first] == {"time": at(1000), "data": {"level": 2.0}}
    one = {"attribute": "level", "deviceIds": [second, third]}
    assert set(await client.data("data.lastValueQuery", json=one, **names)) == {second}
    assert await client.data("data.lastValueQuery", json=one | {"attribute": "other"}, **names) == {}
    assert await client.failure("data.lastValueQuery", json={"deviceIds": [first]}, **names) == (400, "Validation")
    assert await theirs.failure("data.lastValueQuery", json=asked, **names) == (404, "NotFound")


async def test_the_newest_word_and_the_newest_truth_are_what_was_said(edge: Any, acme: Tenant) -> None:
    client = await Client.of(acme)
    application_id = await add_application(client)
    kinds = [{"name": "open", "dataType": "boolean"}, {"name": "mode", "dataType": "string"}]
    device_id = await add_device(client, application_id, attributes=kinds)
    await put_points(acme, device_id, "open", [True, False])
    await put_points(acme, device_id, "mode", ["auto", "off"])
    for name, value in (("open", False), ("mode", "off")):
        asked = {"attribute": name, "deviceIds": [device_id]}
        found = await client.data("data.lastValueQuery", applicationId=application_id, json=asked)
        assert found[device_id]["data"] == {name: value}
