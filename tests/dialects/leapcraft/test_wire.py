"""The Leapcraft dialect over HTTP: the acceptance checks of its contract, and what lies around them."""

import csv
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
import pytest_asyncio
from litestar.routes import HTTPRoute

from roadstead.adapters.clickhouse import ClickHouseStore
from roadstead.core import registry
from roadstead.core.messages import Reading
from roadstead.core.registry import DeviceDraft
from roadstead.dialects.leapcraft import Terms
from roadstead.dialects.leapcraft.app import make_litestar
from roadstead.kernel.actor import Grant
from roadstead.kernel.ids import new_id
from roadstead.kernel.time import to_millis
from roadstead.web.edge import Edge
from tests.conftest import Tenant
from tests.dialects.leapcraft.contract import OPERATIONS, Client
from tests.dialects.native.test_readings import report

MONDAY = datetime(2021, 5, 24, tzinfo=UTC)
MAC = "D2:C1:AA:FF:3E:09"


@pytest_asyncio.fixture
async def edge(edge: Edge, store: ClickHouseStore) -> Edge:
    """With a telemetry store."""
    return msgspec.structs.replace(edge, ports=msgspec.structs.replace(edge.ports, telemetry=store))


@pytest_asyncio.fixture
async def client(acme: Tenant) -> AsyncIterator[Client]:
    """Somebody of acme who has signed in."""
    client = Client(acme)
    await client.sign_in()
    yield client
    await client.http.aclose()


async def make(tenant: Tenant, kind: str, **body: Any) -> Any:
    """Something made by the native API."""
    answer = await tenant.api.post(f"/api/v1/{kind}", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def make_fleet(tenant: Tenant) -> dict[str, Any]:
    """A gateway with two devices behind it, and one device alone; by physical id."""
    hub = await make(tenant, "devices", name="Hub", externalId="01231AC7BFB729F0EE", serialNumber="S-1")
    behind = {"parentDeviceId": hub["id"]}
    await make(tenant, "sensor-profiles", key="air", profileVersion="1.0", name="Air", fields=_AIR)
    parts = [{"key": "air", "name": "Air", "sensorProfile": "air@1.0"}]
    await make(tenant, "device-profiles", key="ambinode", profileVersion="1.0", name="Ambinode", components=parts)
    node = await make(
        tenant, "devices", name="Node", externalId=MAC, deviceProfile="ambinode@1.0", metadata={"floor": 2}, **behind
    )
    sim = await make(tenant, "devices", name="Sim", externalId="testsim00004", tags={"room": "12"}, **behind)
    alone = await make(tenant, "devices", name="Alone")
    return {"hub": hub, "node": node, "sim": sim, "alone": alone}


_AIR = [
    {"name": "co2", "valueType": "DOUBLE", "slot": "p0", "label": "CO2"},
    {"name": "temperature", "valueType": "DOUBLE", "slot": "p1"},
    {"name": "window", "valueType": "BOOLEAN"},
]


async def test_a_key_is_exchanged_for_a_token_in_exactly_two_fields(acme: Tenant, client: Client) -> None:
    answer = await client.http.post("/v1/auth/client/token", data={"api_key": acme.key})
    assert answer.status_code == 200
    assert sorted(answer.json()) == ["token", "type"]
    assert answer.json()["type"] == "bearer"
    assert acme.key not in answer.text

    as_json = await client.http.post("/v1/auth/client/token", json={"api_key": acme.key})
    assert as_json.status_code == 200


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"data": {}}, 400),
        ({"data": {"api_key": ""}}, 400),
        ({"data": {"api_key": "k" * 257}}, 400),
        ({"json": {"api_key": 7}}, 400),
        ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 400),
        ({"content": b"api_key", "headers": {"Content-Type": "text/plain"}}, 415),
        ({"data": {"api_key": "sk_live_" + "x" * 43}}, 401),
        ({"data": {"api_key": "nobody"}}, 401),
    ],
)
async def test_an_exchange_that_cannot_be_says_why(client: Client, sent: dict[str, Any], status: int) -> None:
    answer = await client.http.post("/v1/auth/client/token", **sent)
    assert (answer.status_code, sorted(answer.json())) == (status, ["error", "message"])
    if status == 400:
        assert "api_key" in answer.json()["message"] or "JSON" in answer.json()["message"]


async def test_a_token_reads_and_is_no_key_elsewhere(acme: Tenant, client: Client) -> None:
    token = client.http.headers["Authorization"]
    assert (await client.ask("devices.list", "/v1/devices")).status_code == 200
    native = await acme.client().get("/api/v1/devices", headers={"Authorization": token})
    assert native.status_code == 401
    for header in (None, "Bearer", "Basic abc", "Bearer nonsense", f"Bearer {acme.key}"):
        headers = {} if header is None else {"Authorization": header}
        async with httpx.AsyncClient(transport=client.http._transport, base_url="http://x") as stranger:
            answer = await stranger.get("/v1/devices", headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (401, "unauthorized")
    lower = await client.http.get("/v1/devices", headers={"Authorization": token.replace("Bearer", "bearer")})
    assert lower.status_code == 200


async def test_a_revoked_key_takes_its_tokens_along_and_an_earlier_token_stays_good(acme: Tenant) -> None:
    made = await make(acme, "api-keys", name="reader", scopes=["devices:read", "readings:read"])
    client, again = Client(acme), Client(acme)
    await client.sign_in(made["secret"])
    await again.sign_in(made["secret"])
    assert (await client.ask("devices.list", "/v1/devices")).status_code == 200

    assert (await acme.api.delete(f"/api/v1/api-keys/{made['id']}")).status_code in {200, 204}
    for each in (client, again):
        assert (await each.ask("devices.list", "/v1/devices")).status_code == 401


async def test_a_token_may_no_more_than_its_key(acme: Tenant) -> None:
    client = Client(acme)
    await client.sign_in(await acme.add_key([Grant.DEVICES_READ]))
    assert (await client.ask("devices.list", "/v1/devices")).status_code == 200
    assert (await client.ask("telemetry.get", "/v1/telemetry/x", type="latest")).status_code in {403, 404}
    device = await make(acme, "devices", name="d", externalId="d-1")
    assert device
    assert (await client.ask("telemetry.get", "/v1/telemetry/d-1", type="latest")).status_code == 403


async def test_a_suspended_client_is_forbidden(acme: Tenant, client: Client) -> None:
    async with acme.edge.system_database.tx() as tx:
        await tx.run("UPDATE tenant SET status = 'SUSPENDED' WHERE tenant_id = %s", acme.tenant_id)
    assert (await client.ask("devices.list", "/v1/devices")).status_code == 403


async def test_devices_are_listed_by_physical_id_with_every_field(acme: Tenant, globex: Tenant, client: Client) -> None:
    made = await make_fleet(acme)
    await make(globex, "devices", name="Foreign", externalId="foreign-1")
    listed = await client.get("devices.list", "/v1/devices", limit=100)

    assert [each["name"] for each in listed] == ["Hub", "Alone", "Node", "Sim"]
    hub, alone, node, sim = listed
    assert node == {
        "name": "Node",
        "physical_id": MAC,
        "serial": None,
        "topology_id": hub["topology_id"],
        "meta": {"floor": 2},
        "type": "ambinode",
    }
    assert (hub["serial"], sim["meta"], sim["type"]) == ("S-1", {"room": "12"}, None)
    assert type(hub["topology_id"]) is int
    assert (alone["physical_id"], alone["topology_id"]) == (made["alone"]["id"], None)


async def test_devices_are_called_what_people_call_them_even_the_same(acme: Tenant, client: Client) -> None:
    async with acme.work() as work:
        hub, _ = [await registry.create_device(work, DeviceDraft(title="Air")) for _ in range(2)]
        await registry.create_device(work, DeviceDraft(title="Air", parent_id=hub.id))
    names = [each["name"] for each in await client.get("devices.list", "/v1/devices")]
    (topology,) = await client.get("topologies.list", "/v1/topologies")
    detail = await client.get("topologies.get", f"/v1/topologies/{hub.id}")
    for seen in (topology, detail):
        names += [seen["name"], *(each["name"] for each in seen["devices"])]
    assert names == ["Air"] * 7


async def test_pages_cover_the_list_and_end_in_nothing(acme: Tenant, client: Client) -> None:
    for number in range(5):
        await make(acme, "devices", name=f"d{number}", externalId=f"d{number}")

    async def names(**params: int) -> list[str]:
        return [each["name"] for each in await client.get("devices.list", "/v1/devices", **params)]

    assert await names(limit=2) + await names(limit=2, page=2) + await names(limit=2, page=3) == await names(limit=-1)
    assert await names(limit=2, page=4) == []
    assert await names(limit=-1, page=9) == ["d0", "d1", "d2", "d3", "d4"]


@pytest.mark.parametrize(
    ("path", "operation", "params", "named"),
    [
        ("devices", "devices.list", {"limit": 0}, "limit"),
        ("devices", "devices.list", {"limit": -2}, "limit"),
        ("devices", "devices.list", {"limit": 1001}, "limit"),
        ("devices", "devices.list", {"limit": "ten"}, "limit"),
        ("devices", "devices.list", {"limit": "¹"}, "limit"),
        ("devices", "devices.list", {"page": 0}, "page"),
        ("things", "things.list", {"limit": 0}, "limit"),
        ("notifications", "notifications.list", {"limit": 51}, "limit"),
        ("notifications", "notifications.list", {"limit": -1}, "limit"),
        ("notifications", "notifications.list", {"offset": -1}, "offset"),
        ("telemetry/x", "telemetry.get", {}, "type"),
        ("telemetry/x", "telemetry.get", {"type": "newest"}, "type"),
        ("telemetry/x", "telemetry.get", {"type": "averages"}, "resolution"),
        ("telemetry/x", "telemetry.get", {"type": "averages", "resolution": "hourly"}, "resolution"),
        ("telemetry/x", "telemetry.get", {"type": "averages", "resolution": "daily"}, "from"),
        ("telemetry/x", "telemetry.get", {"type": "averages", "resolution": "daily", "from": "2021-05-26"}, "to"),
        (
            "telemetry/x",
            "telemetry.get",
            {"type": "averages", "resolution": "daily", "from": "noon", "to": "2021-05-26"},
            "from",
        ),
        (
            "telemetry/x",
            "telemetry.get",
            {"type": "averages", "resolution": "daily", "from": "2021-05-26", "to": "2021-05-26"},
            "from",
        ),
    ],
)
async def test_a_wrong_parameter_is_named(
    client: Client, path: str, operation: str, params: dict[str, Any], named: str
) -> None:
    answer = await client.ask(operation, f"/v1/{path}", **params)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith(f"{named}: ")


async def test_a_device_is_found_however_its_id_is_written(acme: Tenant, globex: Tenant, client: Client) -> None:
    await make_fleet(acme)
    await make(globex, "devices", name="Foreign", externalId="foreign-1")
    for spelling in (MAC, MAC.lower(), MAC.replace(":", ""), MAC.lower().replace(":", "")):
        assert (await client.get("devices.get", f"/v1/devices/{spelling}"))["physical_id"] == MAC
    for other in ("foreign-1", "nothing", "%00"):
        assert (await client.ask("devices.get", f"/v1/devices/{other}")).status_code == 404


async def test_of_two_that_differ_in_case_only_each_is_found_by_its_own_spelling(acme: Tenant, client: Client) -> None:
    await make(acme, "devices", name="lower", externalId="abc")
    await make(acme, "devices", name="upper", externalId="ABC")
    for spelling, name in (("abc", "lower"), ("ABC", "upper")):
        assert (await client.get("devices.get", f"/v1/devices/{spelling}"))["name"] == name


async def test_topologies_have_two_faces(acme: Tenant, globex: Tenant, client: Client) -> None:
    await make_fleet(acme)
    await make_fleet(globex)
    (topology,) = await client.get("topologies.list", "/v1/topologies")
    assert (topology["gateway_id"], topology["name"], topology["network_id"]) == ("01231AC7BFB729F0EE", "Hub", None)
    assert datetime.fromisoformat(topology["created_at"]) > datetime.now(UTC) - timedelta(minutes=5)
    assert topology["created_at"].endswith("Z") and topology["created_at"][19] == "."
    assert [each["metadata"] for each in topology["devices"]] == [{"floor": 2}, {"room": "12"}]

    detail = await client.get("topologies.get", "/v1/topologies/01231ac7bfb729f0ee")
    assert datetime.strptime(detail["created_at"], "%Y-%m-%d %H:%M:%S") <= datetime.now(UTC).replace(tzinfo=None)
    assert sorted(detail) == ["created_at", "devices", "gateway_id", "name"]
    number = detail["devices"][0]["topology_id"]
    assert [sorted(each) for each in detail["devices"]] == [["name", "physical_id", "topology_id"]] * 2
    assert await client.get("topologies.get", f"/v1/topologies/{number}") == detail
    for other in (MAC, "nothing", "999999999", "99999999999999"):
        assert (await client.ask("topologies.get", f"/v1/topologies/{other}")).status_code == 404


async def test_the_newest_record_has_each_metric_once(acme: Tenant, globex: Tenant, client: Client) -> None:
    made = await make_fleet(acme)
    node = UUID(made["node"]["id"])
    noon = to_millis(MONDAY + timedelta(hours=12))
    await report(acme, node, Reading("air/co2", noon, 550.0), Reading("air/temperature", noon - 5, 21.25))
    await report(acme, node, Reading("air/window", noon - 9, True))

    record = await client.get("telemetry.get", f"/v1/telemetry/{MAC}", type="latest", resolution="nonsense")
    assert record["physical_id"] == MAC
    assert record["timestamp"] == "2021-05-24T12:00:00.000Z"
    assert record["data"] == {"co2": 550, "temperature": 21.25, "meta": {"window": True}}

    assert (await client.ask("telemetry.get", "/v1/telemetry/testsim00004", type="latest")).status_code == 404
    foreign = Client(globex)
    await foreign.sign_in()
    assert (await foreign.ask("telemetry.get", f"/v1/telemetry/{MAC}", type="latest")).status_code == 404


async def test_averages_are_calendar_buckets_of_what_lies_within(acme: Tenant, client: Client) -> None:
    made = await make_fleet(acme)
    node = UUID(made["node"]["id"])

    def at(days: float) -> int:
        return to_millis(MONDAY + timedelta(days=days))

    await report(
        acme,
        node,
        *[Reading("air/co2", at(days), value) for days, value in ((-1, 1.0), (0, 10.0), (0.5, 21.0), (1, 40.0))],
        Reading("air/temperature", at(0.5), 1 / 3),
        Reading("air/window", at(0.5), True),
        Reading("air/co2", at(8), 100.0),
    )

    async def averages(resolution: str, start: str, end: str) -> list[tuple[str, Any]]:
        records = await client.get(
            "telemetry.get",
            f"/v1/telemetry/{MAC}",
            **{"type": "averages", "resolution": resolution, "from": start, "to": end},
        )
        return [(each["timestamp"][:10], each["data"]) for each in records]

    assert await averages("daily", "2021-05-24T00:00:00.000", "2021-05-26T00:00:00.000") == [
        ("2021-05-24", {"co2": 15.5, "temperature": 0.333333}),
        ("2021-05-25", {"co2": 40.0}),
    ]
    assert [each[0] for each in await averages("weekly", "2021-05-23", "2021-06-02")] == [
        "2021-05-17",
        "2021-05-24",
        "2021-05-31",
    ]
    assert await averages("monthly", "2021-05-24T12:00:00Z", "2021-05-25") == [
        ("2021-05-01", {"co2": 21.0, "temperature": 0.333333})
    ]
    # The same instants, said with an offset that arrives as a space.
    assert await averages("daily", "2021-05-24T02:00:00 02:00", "2021-05-24T14:00:00+02:00") == [
        ("2021-05-24", {"co2": 10.0})
    ]
    assert await averages("daily", "2019-01-01", "2019-02-01") == []

    too_long = {"type": "averages", "resolution": "daily", "from": "2018-01-01", "to": "2021-06-01"}
    answer = await client.ask("telemetry.get", f"/v1/telemetry/{MAC}", **too_long)
    assert (answer.status_code, answer.json()["message"][:3]) == (400, "to:")


async def test_an_operator_may_choose_one_object_for_averages(acme: Tenant) -> None:
    made = await make_fleet(acme)
    for days in (0, 1):
        moment = to_millis(MONDAY + timedelta(days=days))
        await report(acme, UUID(made["node"]["id"]), Reading("air/co2", moment, float(days)))
    client = Client(acme, Terms(averages_shape="object"))
    await client.sign_in()
    asked = {"type": "averages", "resolution": "daily", "from": "2021-05-24", "to": "2021-05-27"}
    record = await client.get("telemetry.get", f"/v1/telemetry/{MAC}", **asked)
    assert (record["timestamp"], record["data"]) == ("2021-05-25T00:00:00.000Z", {"co2": 1.0})
    asked |= {"from": "2011-05-24", "to": "2011-05-27"}
    assert (await client.ask("telemetry.get", f"/v1/telemetry/{MAC}", **asked)).status_code == 404


async def test_things_are_profiles_whose_fields_lie_in_slots(acme: Tenant, globex: Tenant, client: Client) -> None:
    await make_fleet(acme)
    await make(acme, "sensor-profiles", key="plain", profileVersion="1.0", name="P", fields=[_AIR[2]])
    fields = [{"name": "outdoor", "valueType": "DOUBLE", "slot": "p6", "label": "Outdoor Temp"}]
    await make(
        acme, "sensor-profiles", key="bacnet", profileVersion="1.0", name="B", description="BACnet", fields=fields
    )
    await make(globex, "sensor-profiles", key="foreign", profileVersion="1.0", name="F", fields=fields)

    things = await client.get("things.list", "/v1/things")
    assert [thing["name"] for thing in things] == ["air", "bacnet"]
    assert things[0]["parameters"] == [{"name": "CO2", "payload": "p0"}, {"name": "temperature", "payload": "p1"}]
    assert things[1] == {
        "name": "bacnet",
        "description": "BACnet",
        "parameters": [{"name": "Outdoor Temp", "payload": "p6"}],
    }
    assert [thing["name"] for thing in await client.get("things.list", "/v1/things", limit=1)] == ["air"]
    assert await client.get("things.list", "/v1/things", limit=-1) == things

    elsewhere = Client(acme, Terms(things_path="/v2/kinds"))
    await elsewhere.sign_in()
    assert await elsewhere.get("things.list", "/v2/kinds") == things
    assert (await elsewhere.http.get("/v1/things")).status_code == 404


async def raise_alerts(tenant: Tenant, device: str, *messages: str) -> None:
    """Alerts of one device, a minute apart."""
    async with tenant.edge.system_database.tx() as tx:
        first = await tx.value("SELECT count(*) FROM alert WHERE tenant_id = %s", tenant.tenant_id)
        for number, message in enumerate(messages, start=first + 1):
            moment = MONDAY + timedelta(minutes=number)
            await tx.run(
                """
                INSERT INTO alert (tenant_id, id, ordinal, event_id, rule_id, rule_name, severity, status, device_id,
                                   sensor_id, message, triggered_at, last_seen_at)
                VALUES (%s, %s, %s, %s, %s, 'rule', 'WARNING', 'ACTIVE', %s, %s, %s, %s, %s)
                """,
                tenant.tenant_id,
                new_id(),
                number,
                new_id(),
                new_id(),
                device,
                new_id(),
                message,
                moment,
                moment,
            )


async def test_notifications_are_alerts_and_any_window_of_them_can_be_asked_for(
    acme: Tenant, globex: Tenant, client: Client
) -> None:
    made = await make_fleet(acme)
    foreign = await make_fleet(globex)
    await raise_alerts(acme, made["node"]["id"], *[f"CO2 {number}" for number in range(1, 8)])
    await raise_alerts(acme, made["sim"]["id"], "silence")
    await raise_alerts(globex, foreign["node"]["id"], "foreign")

    async def ids(**params: Any) -> list[int]:
        return [each["id"] for each in await client.get("notifications.list", "/v1/notifications", **params)]

    everything = await ids(limit=20, offset=0)
    assert everything == [8, 7, 6, 5, 4, 3, 2, 1]
    for limit in (1, 3, 50):
        for offset in (0, 1, 4, 7, 8, 100):
            assert await ids(limit=limit, offset=offset) == everything[offset : offset + limit]
    assert await ids(physical_id=MAC.lower().replace(":", ""), limit=2) == [7, 6]
    assert await ids(physical_id="nothing") == []
    newest = (await client.get("notifications.list", "/v1/notifications", limit=1))[0]
    assert newest == {
        "id": 8,
        "physical_id": "testsim00004",
        "category": "technicalAlert",
        "message": "silence",
        "created_at": "2021-05-24T00:08:00.000Z",
    }
    assert (await acme.api.delete(f"/api/v1/devices/{made['sim']['id']}")).status_code == 204
    assert await ids(limit=2) == [8, 7]


SERVED = {
    "devices.list": "/v1/devices",
    "devices.get": "/v1/devices/{address}",
    "telemetry.get": "/v1/telemetry/{address}?type=latest",
    "topologies.list": "/v1/topologies",
    "topologies.get": "/v1/topologies/{gateway}",
    "notifications.list": "/v1/notifications?physical_id={address}",
    "things.list": "/v1/things",
}


async def test_three_sweeps_over_every_operation(acme: Tenant, globex: Tenant, client: Client) -> None:
    assert {"auth.client-token", *SERVED} == {operation["id"] for operation in OPERATIONS}
    made = await make_fleet(acme)
    await report(acme, UUID(made["node"]["id"]), Reading("air/co2", to_millis(MONDAY), 1.0))
    await raise_alerts(acme, made["node"]["id"], "one")
    foreign, mute = Client(globex), Client(acme)
    await foreign.sign_in()
    await mute.sign_in(await acme.add_key([Grant.AUDIT_READ]))
    for operation, template in SERVED.items():
        path = template.format(address=MAC, gateway="01231AC7BFB729F0EE")
        mine = await client.http.get(path)
        assert (mine.status_code, mine.json() != []) == (200, True), operation
        async with httpx.AsyncClient(transport=client.http._transport, base_url="http://x") as stranger:
            assert (await stranger.get(path)).status_code == 401, operation
        assert (await mute.ask(operation, path)).status_code == 403, operation
        theirs = await foreign.ask(operation, path)
        assert theirs.status_code == (404 if "{" in template and "?physical_id" not in template else 200), operation
        assert theirs.status_code == 404 or theirs.json() == [], operation


async def test_what_is_not_there_is_told_in_the_same_envelope(client: Client) -> None:
    for method, path, status in (("GET", "/v1/nothing", 404), ("DELETE", "/v1/devices", 405)):
        answer = await client.http.request(method, path)
        assert (answer.status_code, sorted(answer.json())) == (status, ["error", "message"])


def test_the_ledger_and_the_router_have_the_operations_of_the_contract(edge: Edge) -> None:
    with (resources.files("roadstead.dialects.leapcraft") / "ledger.tsv").open() as lines:
        ledger = [
            (row["method"], row["path"], row["operation"], row["status"])
            for row in csv.DictReader(lines, delimiter="\t")
        ]
    contract = [(each["method"], each["path"], each["id"]) for each in OPERATIONS]
    assert [line[:3] for line in ledger] == contract
    assert {line[3] for line in ledger} == {"served"}
    routes = {
        (method, route.path_format.rstrip("/"), str(handler.operation_id))
        for route in make_litestar(edge, Terms()).routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        for method in handler.http_methods - {"OPTIONS", "HEAD"}
    }
    assert {(str(method), path.replace(":str", ""), name) for method, path, name in routes} == set(contract)
