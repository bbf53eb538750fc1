"""States of devices: sent, checked on the log, read again (contract section 9)."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import pytest_asyncio

from roadstead.kernel import time
from tests.conftest import Tenant, app_of
from tests.dialects.losant.contract import Client
from tests.dialects.losant.data_path import data_path, edge
from tests.dialects.losant.world import add_application, add_device, report, settle

__all__ = ["data_path", "edge"]

pytestmark = pytest.mark.usefixtures("data_path")

KINDS = [
    {"name": "level", "dataType": "number"},
    {"name": "open", "dataType": "boolean"},
    {"name": "mode", "dataType": "string"},
    {"name": "place", "dataType": "gps"},
    {"name": "photo", "dataType": "blob", "contentType": "image/png"},
]


class Boat:
    """A device with an attribute of each type, and somebody who works with it."""

    def __init__(self, client: Client, application_id: str, device_id: str) -> None:
        self.client = client
        self.names = {"applicationId": application_id, "deviceId": device_id}

    @classmethod
    async def of(cls, tenant: Tenant, **fields: Any) -> "Boat":
        """A new one in an application of its own."""
        client = await Client.of(tenant)
        application_id = await add_application(client)
        return cls(client, application_id, await add_device(client, application_id, attributes=KINDS, **fields))

    async def report(self, data: dict[str, Any], **fields: Any) -> None:
        """Sent, stored and shown."""
        await report(self.client, self.names["applicationId"], self.names["deviceId"], data, **fields)

    async def states(self, **params: Any) -> list[Any]:
        """As they are read."""
        found: list[Any] = await self.client.data("device.getState", params=params, **self.names)
        return found


@pytest_asyncio.fixture
async def boat(acme: Tenant) -> Boat:
    """One of acme's."""
    return await Boat.of(acme)


def moment(**ago: float) -> int:
    """So long ago, in ms since 1970."""
    return time.to_millis(time.now() - timedelta(**ago))


def spelled(at: int) -> str:
    """As times in answers are."""
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def refused(client: Client) -> list[tuple[str, str]]:
    """What is in quarantine: reasons and attributes."""
    async with client.tenant.work() as work:
        sql = "SELECT reason, coalesce(sensor_ref, '') FROM quarantine WHERE tenant_id = %s ORDER BY sensor_ref"
        return [tuple(row) for row in await work.tx.rows(sql, client.tenant.tenant_id)]


async def test_the_newest_state_is_what_was_said_of_the_newest_instant(boat: Boat) -> None:
    at = moment(minutes=1)
    await boat.report({"level": 1.5, "open": True}, time=at - 5)
    await boat.report({"level": 2, "mode": "slow"}, time={"$date": spelled(at)}, meta={"by": "hand"})
    assert await boat.states() == [
        {"time": spelled(at), "data": {"level": 2.0, "mode": "slow"}, "meta": {"by": "hand"}}
    ]
    assert await boat.states(limit=5) == [
        {"time": spelled(at), "data": {"level": 2.0, "mode": "slow"}, "meta": {"by": "hand"}},
        {"time": spelled(at - 5), "data": {"level": 1.5, "open": True}},
    ]


async def test_a_device_of_another_organization_or_application_neither_takes_nor_tells_states(
    boat: Boat, globex: Tenant
) -> None:
    theirs, other = await Client.of(globex), await add_application(boat.client)
    for client, names in ((theirs, boat.names), (boat.client, boat.names | {"applicationId": other})):
        sent = await client.failure("device.sendState", json={"data": {"level": 1}}, **names)
        assert sent == await client.failure("device.getState", **names) == (404, "NotFound")
    assert await boat.states() == []


async def test_what_is_sent_twice_is_one_point_and_a_state_of_the_same_instant_adds_to_it(boat: Boat) -> None:
    at = moment(minutes=1)
    for _ in range(2):
        await boat.report({"level": 1, "mode": "slow"}, time=at)
    await boat.report({"level": 2, "open": False}, time=at)
    assert await boat.states(limit=10) == [{"time": spelled(at), "data": {"level": 2.0, "mode": "slow", "open": False}}]


async def test_values_take_the_types_of_their_attributes_and_those_that_cannot_are_dropped(boat: Boat) -> None:
    data = {"level": "21.5", "open": "TRUE", "mode": 3, "place": "39 6 2.2 N, 84 30 43.6 W", "colour": "red"}
    await boat.report(data)
    [state] = await boat.states()
    assert state["data"] == {"level": 21.5, "open": True, "mode": "3", "place": "39.1006111,-84.5121111"}
    await boat.report({"level": "low", "open": 2, "place": "here", "photo": "no Base64!", "mode": "fast"})
    assert (await boat.states())[0]["data"] == {"mode": "fast"}
    assert await refused(boat.client) == [
        ("UNKNOWN_SENSOR", "colour"),
        ("TYPE_MISMATCH", "level"),
        ("TYPE_MISMATCH", "open"),
        ("TYPE_MISMATCH", "photo"),
        ("TYPE_MISMATCH", "place"),
    ]


async def test_states_of_long_ago_and_of_the_far_future_are_dropped_and_the_others_of_the_list_stay(
    boat: Boat,
) -> None:
    at = moment(days=29)
    states = [
        {"data": {"level": 1}, "time": moment(days=31)},
        {"data": {"level": 2}, "time": at},
        {"data": {"level": 3}, "time": moment(hours=-25)},
    ]
    await boat.client.data("device.sendState", json=states, **boat.names)
    await settle(boat.client)
    assert await boat.states(limit=10) == [{"time": spelled(at), "data": {"level": 2.0}}]
    assert await refused(boat.client) == [("BAD_TIMESTAMP", "")] * 2


async def test_times_are_told_in_many_ways(boat: Boat) -> None:
    at = moment(minutes=5) // 1000 * 1000
    for index, said in enumerate([at, at // 1000, spelled(at), {"$date": spelled(at)}, f"{at}"]):
        await boat.report({"level": index, f"a{index}": 1}, time=said)
    assert await boat.states(limit=10) == [{"time": spelled(at), "data": {"level": 4.0}}]
    before = time.now()
    for said in (-60_000, "no time at all"):
        await boat.report({"level": 1}, time=said)
    newest, ago = [datetime.fromisoformat(state["time"]) for state in await boat.states(limit=2)]
    assert timedelta() <= newest - before < timedelta(seconds=20)
    assert timedelta() <= before - ago <= timedelta(minutes=1) and before - ago > timedelta(seconds=40)


@pytest.mark.parametrize("meta", [{"a": 1}, {}, [1, 2], "text", 5, {"meta": 1}, None, {"flowVersion": "x"}])
async def test_meta_is_kept_whatever_it_is(boat: Boat, meta: Any) -> None:
    await boat.report({"level": 1}, meta=meta)
    [state] = await boat.states()
    assert state["meta"] == meta and "flowVersion" not in state


async def test_a_flow_version_is_kept_beside_meta(boat: Boat) -> None:
    await boat.report({"level": 1}, meta={"a": 1}, flowVersion="develop")
    [state] = await boat.states()
    assert (state["meta"], state["flowVersion"]) == ({"a": 1}, "develop")
    await boat.report({"level": 1}, flowVersion="develop")
    [state] = await boat.states()
    assert state["flowVersion"] == "develop" and "meta" not in state


async def test_states_are_read_by_span_and_in_either_order(boat: Boat) -> None:
    first = moment(hours=1)
    times = [first + 60_000 * minute for minute in range(5)]
    states = [{"data": {"level": index}, "time": at} for index, at in enumerate(times)]
    await boat.client.data("device.sendState", json=states, **boat.names)
    await settle(boat.client)

    async def levels(**params: Any) -> list[int]:
        return [int(state["data"]["level"]) for state in await boat.states(limit=100, **params)]

    assert await levels() == [4, 3, 2, 1, 0]
    assert await levels(sortDirection="asc") == [0, 1, 2, 3, 4]
    assert await levels(start=times[1], end=times[3]) == [3, 2, 1]
    assert await levels(since=times[3]) == [4, 3]
    assert await levels(end=times[2], duration=60_000) == [2, 1]
    assert await levels(start=-3_600_000 + 90_000, end=0) == [4, 3, 2]
    assert await boat.states(end=times[2]) == [{"time": spelled(times[2]), "data": {"level": 2.0}}]
    assert await levels(duration=60_000) == []
    for wrong in ({"limit": 0}, {"start": "x"}, {"sortDirection": "up"}, {"duration": "-5"}):
        status, _ = await boat.client.failure("device.getState", params=wrong, **boat.names)
        assert status == 400


async def test_a_file_comes_as_a_value_and_is_read_at_a_url_that_lives_as_long_as_the_application_says(
    acme: Tenant,
) -> None:
    client = await Client.of(acme)
    application_id = await add_application(client, blobUrlTTL=7200)
    device_id = await add_device(client, application_id, attributes=KINDS)
    boat = Boat(client, application_id, device_id)
    await boat.report({"photo": base64.b64encode(b"a picture").decode(), "level": 1})
    [state] = await boat.states()
    url = urlsplit(state["data"]["photo"])
    assert parse_qs(url.query)["X-Amz-Expires"] in (["7200"], ["7199"])
    transport = httpx.ASGITransport(app_of(acme.edge))
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as anybody:
        answer = await anybody.get(f"{url.path}?{url.query}")
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, b"a picture", "image/png")


async def test_what_is_wrong_with_a_body_is_named_and_nothing_of_it_is_taken(boat: Boat) -> None:
    for body, name in (
        ({}, "data"),
        ({"data": {"level": {}}}, "data.level"),
        ({"data": {"level": 1}, "colour": "red"}, "colour"),
        ([{"data": {"level": 1}}, {"data": 5}], "1.data"),
    ):
        answer = await boat.client.ask("device.sendState", json=body, **boat.names)
        assert answer.status_code == 400 and name in answer.json()["message"]
    await settle(boat.client)
    assert await boat.states() == []
    assert await boat.client.data("device.sendState", json=[], **boat.names) == {"success": True}


async def test_an_attribute_that_is_worked_out_takes_no_state_from_outside(acme: Tenant) -> None:
    computed = {"name": "mean", "dataType": "number", "system": {"aggregation": "MEAN", "childAttributes": []}}
    client = await Client.of(acme)
    application_id = await add_application(client)
    attributes = [computed, {"name": "level", "dataType": "number"}]
    device_id = await add_device(client, application_id, attributes=attributes, deviceClass="system")
    boat = Boat(client, application_id, device_id)
    await boat.report({"mean": 5, "level": 1})
    assert (await boat.states())[0]["data"] == {"level": 1.0}


async def test_what_a_program_sends_is_read_natively_and_the_other_way_round(boat: Boat) -> None:
    await boat.report({"level": 1.5}, meta={"by": "hand"})
    async with boat.client.tenant.work() as work:
        device = await work.tx.value("SELECT id FROM device WHERE tenant_id = %s", boat.client.tenant.tenant_id)
    api = boat.client.tenant.api
    [reading] = (await api.get("/api/v1/readings/latest", params={"deviceId": str(device)})).json()["items"]
    assert (reading["value"], reading["metadata"]) == (1.5, {"by": "hand"})
    item = {"sensorId": "level", "deviceId": str(device), "timestamp": spelled(moment(seconds=-1)), "value": 7.25}
    answer = await api.post("/api/v1/readings", json=[item])
    assert answer.status_code in (200, 202), answer.text
    await settle(boat.client)
    assert (await boat.states())[0]["data"] == {"level": 7.25}


async def test_a_gateway_reports_for_what_it_connects_and_for_nobody_else(acme: Tenant) -> None:
    client = await Client.of(acme)
    application_id = await add_application(client)
    gateway = await add_device(client, application_id, "gateway", attributes=KINDS, deviceClass="gateway")
    own = await add_device(client, application_id, "own", attributes=KINDS, deviceClass="peripheral", gatewayId=gateway)
    other = await add_device(client, application_id, "other", attributes=KINDS)
    key = await client.data("applicationKeys.post", applicationId=application_id, json={"deviceIds": [gateway]})
    login = {"deviceId": gateway, "key": key["key"], "secret": key["secret"]}
    program = Client(acme, (await client.data("auth.authenticateDevice", json=login))["token"])
    for device_id in (gateway, own):
        await report(program, application_id, device_id, {"level": 5})
        names = {"applicationId": application_id, "deviceId": device_id}
        assert (await client.data("device.getState", **names))[0]["data"] == {"level": 5.0}
    names = {"applicationId": application_id, "deviceId": other}
    assert await program.failure("device.sendState", json={"data": {"level": 1}}, **names) == (404, "NotFound")
    page = await program.data("devices.getCompositeState", applicationId=application_id)
    assert [each["id"] for each in page["items"]] == [gateway]


async def test_a_device_says_thirty_things_in_fifteen_seconds(boat: Boat) -> None:
    told = [await boat.client.ask("device.sendState", json={"data": {"level": 1}}, **boat.names) for _ in range(40)]
    statuses = [answer.status_code for answer in told]
    assert set(statuses[:30]) == {200} and 429 in statuses[30:]
