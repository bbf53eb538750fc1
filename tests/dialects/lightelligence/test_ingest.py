"""Reports and events that programs send in the name of devices."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio

from roadstead.bus import NEW, UPLINK, Bus, Reader
from roadstead.core.messages import Uplink
from roadstead.kernel import ids
from tests.conftest import Tenant
from tests.dialects.lightelligence.contract import Client
from tests.dialects.lightelligence.fleet import add_device, add_type

NOBODY = "5cbfe22c-4a5a-8b71-8000-000d3aa97f44"


@pytest_asyncio.fixture
async def client(acme: Tenant) -> Client:
    """A person of acme."""
    return await Client.of(acme)


@pytest_asyncio.fixture
async def log(bus: Bus) -> AsyncIterator[Reader]:
    """What reaches the log from now on."""
    reader = Reader(bus, UPLINK, start=NEW)
    await reader.open()
    yield reader
    await reader.close()


async def next_of(reader: Reader) -> Uplink:
    """The next message on the log."""
    pack = await reader.next(5)
    assert pack is not None, "nothing reached the log"
    (uplink,) = msgspec.msgpack.decode(pack.payload, type=list[Uplink])
    return uplink


async def add_sensor(client: Client, **info: Any) -> str:
    """A ceiling sensor."""
    return str((await add_device(client, await add_type(client), **info))["id"])


async def lines_of(client: Client, device: str) -> list[str]:
    """What diagnostics say about a device."""
    lines = await client.data("listLastDiagnostics", deviceId=device)
    return [line["message"] for line in lines]


def told(answer: httpx.Response) -> str:
    """What a failed report is told."""
    message: str = answer.json()["error"]["message"]
    return message


async def test_a_report_is_on_the_log_when_it_is_accepted(client: Client, acme: Tenant, log: Reader) -> None:
    device = await add_sensor(client)
    answer = await client.ask("ingestData", json={"deviceId": device, "type": "attributes", "value": {"people": 4}})
    assert answer.status_code == 202
    uplink = await next_of(log)
    assert (uplink.tenant, ids.from_bytes(uplink.device).hex) == (acme.tenant_id, device.replace("-", ""))
    assert (uplink.dialect, uplink.channel, uplink.source) == ("lightelligence", "data-ingest", "HTTP")
    assert msgspec.json.decode(uplink.payload)["value"] == {"people": 4}
    assert await lines_of(client, device) == []


async def test_a_report_by_alias_is_its_devices_and_the_sender_is_who_is_said_to_send_it(
    client: Client, log: Reader
) -> None:
    device, gateway = await add_sensor(client, aliases=["06-00"]), await add_sensor(client, name="Gateway")
    body = {"alias": "06-00", "type": "configuration", "value": {"led": "auto"}}
    assert (await client.ask("ingestData", json=body)).status_code == 202
    assert str(ids.from_bytes((await next_of(log)).device)) == device
    assert (await client.ask("ingestData", json=body | {"senderId": gateway})).status_code == 202
    assert str(ids.from_bytes((await next_of(log)).device)) == gateway


async def test_an_event_is_on_the_log_when_it_is_accepted(client: Client, log: Reader) -> None:
    device = await add_sensor(client)
    answer = await client.ask("ingestEvent", json={"deviceId": device, "type": "crowded", "value": {"people": 40}})
    assert answer.status_code == 202
    uplink = await next_of(log)
    assert (str(ids.from_bytes(uplink.device)), uplink.channel) == (device, "event-ingest")


async def test_a_report_that_breaks_the_schema_is_answered_with_all_problems_which_diagnostics_have_too(
    client: Client,
) -> None:
    device = await add_sensor(client)
    body = {"deviceId": device, "type": "attributes", "value": {"people": "4", "dogs": 1}}
    answer = await client.ask("ingestData", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["error"] == "DEVICE_VALIDATION"
    assert "attributes.people" in told(answer)
    assert "attributes.dogs is not declared" in told(answer)
    assert [line.partition(" ")[0] for line in await lines_of(client, device)] == [
        "attributes.people:",
        "attributes.dogs",
    ]


async def test_an_event_that_is_not_declared_is_refused(client: Client) -> None:
    device = await add_sensor(client)
    burnt = {"deviceId": device, "type": "burnt", "value": {}}
    assert await client.failure("ingestEvent", json=burnt) == (400, "DEVICE_VALIDATION")
    assert await lines_of(client, device) == ["events.burnt is not declared in the device type"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"type": "attributes"},
        {"type": "actions", "value": {}},
        {"type": "attributes", "value": [1]},
        {"type": "attributes", "value": {"people": 1}, "time": "yesterday"},
        {"type": "attributes", "value": {"people": 1}, "time": "2199-01-01T00:00:00Z"},
    ],
)
async def test_a_report_that_is_none_is_refused(client: Client, body: dict[str, Any]) -> None:
    device = await add_sensor(client)
    assert await client.failure("ingestData", json={"deviceId": device} | body) == (400, "DEVICE_VALIDATION")


async def test_a_report_names_a_device(client: Client) -> None:
    body = {"type": "attributes", "value": {"people": 1}}
    assert await client.failure("ingestData", json=body) == (400, "DEVICE_VALIDATION")
    assert await client.failure("ingestData", json=body | {"deviceId": "x"}) == (400, "DEVICE_VALIDATION")


async def test_devices_of_others_are_as_good_as_none(client: Client, globex: Tenant) -> None:
    theirs = await add_sensor(await Client.of(globex), aliases=["07-00"])
    ours = await add_sensor(client)
    data, event = {"type": "attributes", "value": {"people": 1}}, {"type": "tampered"}
    for address in (
        {"deviceId": theirs},
        {"deviceId": NOBODY},
        {"alias": "07-00"},
        {"deviceId": ours, "senderId": theirs},
    ):
        assert await client.failure("ingestData", json=data | address) == (403, "DEVICE_FORBIDDEN")
        assert await client.failure("ingestEvent", json=event | address) == (404, "DEVICE_RESOURCE_NOT_FOUND")


async def test_nobody_reports_without_a_token(acme: Tenant, client: Client) -> None:
    body = {"deviceId": await add_sensor(client), "type": "attributes", "value": {"people": 1}}
    answer = await Client(acme).ask("ingestData", json=body)
    assert (answer.status_code, answer.json()["error"]["error"]) == (401, "ID_UNAUTHORIZED")
