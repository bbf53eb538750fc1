"""What each attribute of devices was last (contract section 11)."""

from datetime import timedelta
from typing import Any

import pytest

from roadstead.kernel import time
from tests.conftest import Tenant
from tests.dialects.losant.contract import Client
from tests.dialects.losant.data_path import data_path, edge
from tests.dialects.losant.world import add_application, add_device, report

__all__ = ["data_path", "edge"]

pytestmark = pytest.mark.usefixtures("data_path")


def moment(minutes: float) -> int:
    """So many minutes ago, in ms since 1970."""
    return time.to_millis(time.now() - timedelta(minutes=minutes))


def values(composite: dict[str, Any]) -> dict[str, Any]:
    """Without the times."""
    return {name: each["value"] for name, each in composite.items()}


async def test_each_attribute_is_what_it_was_last_in_the_span(acme: Tenant, globex: Tenant) -> None:
    client, theirs = await Client.of(acme), await Client.of(globex)
    application_id = await add_application(client)
    device_id = await add_device(client, application_id, attributes=["level", "speed", "heat"])
    names = {"applicationId": application_id, "deviceId": device_id}
    old, late = moment(60), moment(10)
    await report(client, application_id, device_id, {"level": 1, "speed": 5}, time=old)
    await report(client, application_id, device_id, {"level": 2}, time=late)
    await report(client, application_id, device_id, {"speed": 9}, time=moment(-60))

    async def composite(**params: Any) -> dict[str, Any]:
        found: dict[str, Any] = await client.data("device.getCompositeState", params=params, **names)
        return found

    now = await composite()
    assert values(now) == {"level": 2.0, "speed": 5.0}
    spelled = time.from_millis(late).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert now["level"]["time"] == spelled
    assert values(await composite(end=-20 * 60_000)) == {"level": 1.0, "speed": 5.0}
    assert values(await composite(start=late)) == {"level": 2.0}
    assert values(await composite(end=moment(-120))) == {"level": 2.0, "speed": 9.0}
    assert values(await composite(attributes="speed,heat,colour")) == {"speed": 5.0}
    assert await composite(end=old - 1) == {}
    assert await theirs.failure("device.getCompositeState", **names) == (404, "NotFound")


async def test_a_page_of_devices_tells_the_composite_state_of_each(acme: Tenant) -> None:
    client = await Client.of(acme)
    application_id, other = await add_application(client), await add_application(client, "Elsewhere")
    devices = {}
    for name, harbour in (("ada", "north"), ("bob", "south"), ("cyd", "north")):
        tags = [{"key": "harbour", "value": harbour}]
        devices[name] = await add_device(client, application_id, name, attributes=["level", "speed"], tags=tags)
    await add_device(client, other, "zoe", attributes=["level"])
    for index, device_id in enumerate(devices.values()):
        await report(client, application_id, device_id, {"level": index, "speed": 3})

    async def page(**params: Any) -> dict[str, Any]:
        found: dict[str, Any] = await client.data(
            "devices.getCompositeState", params=params, applicationId=application_id
        )
        return found

    everything = await page()
    assert [(each["id"], each["name"]) for each in everything["items"]] == [
        (device_id, name) for name, device_id in devices.items()
    ]
    assert [values(each["compositeState"]) for each in everything["items"]] == [
        {"level": float(index), "speed": 3.0} for index in range(3)
    ]
    assert (everything["totalCount"], everything["count"], everything["applicationId"]) == (3, 3, application_id)
    query = {"tags": {"harbour": "north"}}
    northern = await page(query=query, sortDirection="desc", attributes="level", perPage=1)
    assert [each["name"] for each in northern["items"]] == ["cyd"]
    assert values(northern["items"][0]["compositeState"]) == {"level": 2.0}
    assert (northern["totalCount"], northern["query"]) == (2, query)
    assert (await page(page=7))["items"] == []
    for wrong in ({"sortField": "deletedAt"}, {"query": {"colour": "red"}}, {"end": "x"}):
        failure = await client.failure("devices.getCompositeState", params=wrong, applicationId=application_id)
        assert failure == (400, "Validation")
