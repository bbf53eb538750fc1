"""The acceptance checks of the contract (section 6), in its order and to the letter."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest_asyncio

from roadstead.adapters.clickhouse import ClickHouseStore
from roadstead.core.messages import Reading
from roadstead.dialects.leapcraft import Terms
from roadstead.kernel.time import to_millis
from roadstead.web.edge import Edge
from tests.conftest import Tenant
from tests.dialects.leapcraft.contract import Client
from tests.dialects.native.test_readings import report

_SAMPLE = "?type=averages&resolution=daily&from=2021-05-26T00:00:00.000&to=2021-05-27T11:42:58.721"


@pytest_asyncio.fixture
async def edge(edge: Edge, store: ClickHouseStore) -> Edge:
    """With a telemetry store."""
    return msgspec.structs.replace(edge, ports=msgspec.structs.replace(edge.ports, telemetry=store))


@pytest_asyncio.fixture
async def client(acme: Tenant, globex: Tenant) -> Client:
    """Somebody of acme, which has a hub with a simulated device behind it; globex has the same."""
    for tenant in (acme, globex):
        hub = (
            await tenant.api.post("/api/v1/devices", json={"name": "Hub", "externalId": "01231AC7BFB729F0EE"})
        ).json()
        behind = {"name": "Sim", "externalId": "testsim00004", "serialNumber": "S-1", "parentDeviceId": hub["id"]}
        made = (await tenant.api.post("/api/v1/devices", json=behind)).json()
        sensor = {"deviceId": made["id"], "key": "co2", "valueType": "DOUBLE"}
        await tenant.api.post("/api/v1/sensors", json=sensor)
        fields = [{"name": "outdoor", "valueType": "DOUBLE", "slot": "p6", "label": "Outdoor Temp"}]
        profile = {"key": "bacnet", "profileVersion": "1.0", "name": "B", "fields": fields}
        await tenant.api.post("/api/v1/sensor-profiles", json=profile)
        noon = to_millis(datetime(2021, 5, 26, 12, tzinfo=UTC))
        await report(tenant, UUID(made["id"]), Reading("co2", noon, 550.0 if tenant is acme else 1.0))
    client = Client(acme)
    await client.sign_in()
    return client


async def test_1_the_exchange_of_a_form_gives_type_and_token(acme: Tenant, client: Client) -> None:
    answer = await client.http.post("/v1/auth/client/token", data={"api_key": acme.key})
    assert (sorted(answer.json()), answer.json()["type"]) == (["token", "type"], "bearer")


async def test_2_devices_have_six_members(client: Client) -> None:
    listed = await client.get("devices.list", "/v1/devices", limit=100)
    members = ["meta", "name", "physical_id", "serial", "topology_id", "type"]
    assert [sorted(each) for each in listed] == [members] * 2


async def test_3_a_device_has_at_least_serial_and_meta(client: Client) -> None:
    found = await client.get("devices.get", "/v1/devices/testsim00004")
    assert (found["serial"], found["meta"]) == ("S-1", {})


async def test_4_the_averages_of_the_sample_are_answered(client: Client) -> None:
    (record,) = await client.get("telemetry.get", f"/v1/telemetry/testsim00004{_SAMPLE}")
    assert (record["physical_id"], record["data"]) == ("testsim00004", {"co2": 550.0})


async def test_5_topologies_have_devices_with_metadata(client: Client) -> None:
    (topology,) = await client.get("topologies.list", "/v1/topologies")
    assert {"gateway_id", "name", "network_id", "created_at"} <= topology.keys()
    assert [each["metadata"] for each in topology["devices"]] == [{}]


async def test_6_a_topology_says_its_time_with_a_space(client: Client) -> None:
    topology = await client.get("topologies.get", "/v1/topologies/01231AC7BFB729F0EE")
    assert datetime.strptime(topology["created_at"], "%Y-%m-%d %H:%M:%S").year >= 2026
    assert [type(each["topology_id"]) for each in topology["devices"]] == [int]


async def test_7_notifications_are_listed_by_fifty_at_most(client: Client) -> None:
    assert await client.get("notifications.list", "/v1/notifications", limit=20, offset=0) == []
    assert (await client.ask("notifications.list", "/v1/notifications", limit=51)).status_code == 400


async def test_8_things_have_parameters_wherever_they_lie(acme: Tenant, client: Client) -> None:
    elsewhere = Client(acme, Terms(things_path="/v2/kinds"))
    await elsewhere.sign_in()
    for each, path in ((client, "/v1/things"), (elsewhere, "/v2/kinds")):
        (thing,) = await each.get("things.list", path)
        assert thing["parameters"] == [{"name": "Outdoor Temp", "payload": "p6"}]
