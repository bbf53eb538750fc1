"""History queries: rows of devices, filtered, grouped and reckoned; over one device, a system, a path, the project."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from roadstead.adapters.clickhouse import ClickHouseStore
from roadstead.core.messages import Reading, Value
from roadstead.kernel import ids, time
from roadstead.kernel.ids import parse_base62
from roadstead.web.edge import Edge
from tests.conftest import Tenant
from tests.dialects.leverege.contract import Client, check_value
from tests.dialects.leverege.data_path import data_path
from tests.dialects.leverege.rights import add_user
from tests.dialects.leverege.world import add_blueprint, add_object, add_system, project_of

__all__ = ["data_path"]

START = "2024-05-01T12:00:00Z"
NOON = time.to_millis(datetime(2024, 5, 1, 12, tzinfo=UTC))
LONG = {"start": START, "end": "2024-05-02T00:00:00Z"}


@pytest_asyncio.fixture
async def edge(edge: Edge, store: ClickHouseStore) -> Edge:
    """With a telemetry store."""
    return msgspec.structs.replace(edge, ports=msgspec.structs.replace(edge.ports, telemetry=store))


async def fleet(client: Client) -> str:
    """The id of a boat in the system `main`."""
    await add_blueprint(client, "boat", {"path": "speed", "type": "number"}, {"path": "air/co2", "type": "number"})
    await add_system(client, "main")
    boat: str = (await add_object(client, "main/boat", name="Ada"))["id"]
    return boat


async def report(tenant: Tenant, device: str, second: int, values: Mapping[str, Value]) -> None:
    """What a device said so many seconds after noon, as it lies in the store."""
    store, device_id = tenant.edge.ports.telemetry, parse_base62(device)
    assert device_id is not None
    columns = store.columns()
    readings = [Reading(path, NOON + second * 1000, value) for path, value in values.items()]
    columns.add(tenant.tenant_id, ids.to_bytes(device_id), NOON, readings)
    await store.insert(columns)


async def ask(client: Client, device: str, **query: Any) -> list[Any]:
    """The rows of a query about a device."""
    found: list[Any] = (await client.data("device.history", json=LONG | query, deviceId=device))["items"]
    return found


async def test_a_row_is_one_device_at_one_instant_with_the_tree_of_what_it_said_then(acme: Tenant) -> None:
    client = await Client.of(acme)
    boat = await fleet(client)
    await report(acme, boat, 0, {"speed": 4.5, "air.co2": 400.0, "list": "[1,2]"})
    await report(acme, boat, 60, {"speed": 5.0, "on": True})

    found = await client.data("device.history", json=LONG, deviceId=boat)

    assert {name: found[name] for name in ("count", "total", "startIndex")} == {"count": 2, "total": 2, "startIndex": 0}
    first, second = found["items"]
    assert first["$time"] == "2024-05-01T12:00:00.000Z"
    assert first["$data"] == {"speed": 4.5, "air": {"co2": 400}, "list": [1, 2]}
    assert first["$deviceId"] == boat
    assert first["$id"] != second["$id"]
    assert second["$data"] == {"speed": 5, "on": True}


async def test_a_query_comes_in_the_body_of_a_get_as_a_parameter_or_in_a_post(acme: Tenant) -> None:
    client = await Client.of(acme)
    boat = await fleet(client)
    await report(acme, boat, 0, {"speed": 4.5})
    query = LONG | {"paths": ["$time", "speed"]}
    expected = [{"$time": "2024-05-01T12:00:00.000Z", "speed": 4.5}]

    assert (await client.data("device.history", json=query, deviceId=boat))["items"] == expected
    asked = {"query": msgspec.json.encode(query).decode()}
    assert (await client.data("device.history", params=asked, deviceId=boat))["items"] == expected
    posted = await client.http.post(f"/v1/device/{boat}/history", json=query)
    check_value("posted", "HistoryResult", posted.json())
    assert posted.json()["items"] == expected
    single = await client.data("device.history", params={"start": str(NOON), "end": str(NOON + 1)}, deviceId=boat)
    assert single["count"] == 1


async def test_buckets_have_what_their_rows_boil_down_to(acme: Tenant) -> None:
    client = await Client.of(acme)
    boat = await fleet(client)
    for second, speed in enumerate([1.0, 2.0, 3.0, 10.0]):
        await report(acme, boat, second * 300, {"speed": speed})

    found = await ask(
        client,
        boat,
        paths=[
            ["$time", "bucket", {"function": "BUCKET_TIME", "args": [600_000]}],
            ["speed", "mean", {"function": "AVG"}],
            ["speed", "count", {"function": "COUNT", "arguments": ["@COLUMN()"]}],
            ["speed", "last", {"function": "LAST"}],
            ["speed", "double", {"function": "*", "args": [{"function": "MAX", "args": ["@COLUMN()"]}, 2]}],
        ],
        group=["bucket"],
        order=[["bucket", "DESC"]],
    )

    assert found == [
        {"bucket": "2024-05-01T12:10:00.000Z", "mean": 6.5, "count": 2, "last": 10, "double": 20},
        {"bucket": "2024-05-01T12:00:00.000Z", "mean": 1.5, "count": 2, "last": 2, "double": 4},
    ]


async def test_windows_look_at_the_rows_around(acme: Tenant) -> None:
    client = await Client.of(acme)
    boat = await fleet(client)
    for second, speed in enumerate([1.0, 4.0, 2.0]):
        await report(acme, boat, second, {"speed": speed})

    found = await ask(
        client,
        boat,
        paths=[
            "speed",
            ["speed", "step", {"function": "-", "args": ["@COLUMN()", {"function": "LAG", "args": ["speed"]}]}],
            ["speed", "sum", {"function": "SUM", "isWindow": True, "order": ["$time"], "partition": ["$deviceId"]}],
            ["speed", "rank", {"function": "RANK", "order": [["speed", "DESC"]]}],
        ],
    )

    assert found == [
        {"speed": 1, "step": None, "sum": 1, "rank": 3},
        {"speed": 4, "step": 3, "sum": 5, "rank": 1},
        {"speed": 2, "step": -2, "sum": 7, "rank": 2},
    ]


async def test_conditions_are_all_true_and_casts_and_formats_spell_values(acme: Tenant) -> None:
    client = await Client.of(acme)
    boat = await fleet(client)
    await report(acme, boat, 0, {"speed": 1.75, "limit": 2.0, "note": "2024-02-29"})
    await report(acme, boat, 1, {"speed": 3.0, "limit": 2.0, "note": "x"})
    await report(acme, boat, 2, {"speed": 3.5, "limit": 9.0, "note": "it's '; DROP TABLE point"})
    format_ = "@DAY().@MONTH().@YEAR() @HOUR():@MINUTE():@SECOND().@SECOND_PART()"

    over = await ask(client, boat, paths=["speed"], where=[["speed", ">", {"type": "field", "value": "limit"}]])
    named = await ask(client, boat, paths=["speed"], where=[["note", "IN", ["x", "it's '; DROP TABLE point"]]])
    both = await ask(client, boat, paths=["speed"], where=[["speed", ">=", 3], ["$time", "<", NOON + 2_000]])
    spelled = await ask(
        client,
        boat,
        paths=[
            "$data/speed",
            ["speed", "whole", None, "integer"],
            ["speed", "yes", None, "boolean"],
            ["$time", "ms", None, "msTime"],
            ["$time", "told", {"function": "DATE_FORMAT", "args": ["@COLUMN()", format_]}],
            ["note", "day", {"function": "STR_TO_DATE", "args": ["@COLUMN()", "@YEAR()-@MONTH()-@DAY()"]}],
            ["$time", "unix", {"function": "UNIX_MILLIS"}],
        ],
        perPage=1,
    )

    assert over == [{"speed": 3}]
    assert named == [{"speed": 3}, {"speed": 3.5}]
    assert both == [{"speed": 3}]
    assert spelled == [
        {
            "speed": "1.75",
            "whole": 1,
            "yes": True,
            "ms": NOON,
            "told": "01.05.2024 12:00:00.000000",
            "day": "2024-02-29T00:00:00.000Z",
            "unix": NOON,
        }
    ]


async def test_pages_say_how_many_rows_there_are(acme: Tenant) -> None:
    client = await Client.of(acme)
    boat = await fleet(client)
    for second in range(5):
        await report(acme, boat, second, {"speed": float(second)})
    query = LONG | {"paths": ["speed"], "perPage": 2, "startIndex": 2, "order": [["speed", "DESC"]]}

    found = await client.data("device.history", json=query, deviceId=boat)

    assert found == {"items": [{"speed": 2}, {"speed": 1}], "count": 2, "total": 5, "perPage": 2, "startIndex": 2}


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"start": None}, "start"),
        ({"start": "soon"}, "start"),
        ({"paths": [["speed", "a", {"function": "SLEEP", "args": [3]}]]}, "SLEEP"),
        ({"paths": [["speed", "a", None, "uuid"]]}, "uuid"),
        ({"paths": ["$received"]}, "$received"),
        ({"paths": ["a/x", "b/x"]}, "'x'"),
        ({"paths": ["speed", ["speed", "mean", {"function": "AVG"}]]}, "paths[0]"),
        ({"where": [["speed", "LIKE", "x"]]}, "LIKE"),
        ({"where": [["$deviceId", "=", "1 OR 1=1"]]}, "where[0]"),
        ({"group": ["nothing"]}, "nothing"),
        ({"order": [["speed", "SIDEWAYS"]]}, "order"),
        ({"perPage": 50_001}, "perPage"),
        ({"paths": [["$time", "t", {"function": "DATE_FORMAT", "args": ["@WEEK()"]}]]}, "@WEEK()"),
        ({"paths": [["$data", "n", {"function": "AVG"}]]}, "AVG"),
    ],
)
async def test_what_is_not_known_is_refused_by_its_name(acme: Tenant, query: dict[str, Any], named: str) -> None:
    client = await Client.of(acme)
    boat = await fleet(client)

    answer = await client.ask("device.history", json=LONG | query, deviceId=boat)

    assert answer.status_code == 400
    assert named in answer.json()["message"]


async def test_past_reports_are_listed_newest_first(acme: Tenant) -> None:
    client = await Client.of(acme)
    boat = await fleet(client)
    await report(acme, boat, 0, {"speed": 1.0})
    await report(acme, boat, 1, {"speed": 2.0, "air.co2": 400.0})

    everything = await client.data("device.get-historical", deviceId=boat)
    asked = {"path": ["speed", "air/co2"], "perPage": 1, "startIndex": 0}
    newest = await client.data("device.get-historical", params=asked, deviceId=boat)

    assert [row["$data"] for row in everything["items"]] == [{"speed": 2, "air": {"co2": 400}}, {"speed": 1}]
    assert newest["total"] == 2
    assert newest["items"][0] | {"speed": 2, "air/co2": 400} == newest["items"][0]


async def test_a_scope_is_a_project_a_system_a_blueprint_an_object_or_a_group(acme: Tenant, globex: Tenant) -> None:
    client, stranger = await Client.of(acme), await Client.of(globex)
    boat = await fleet(client)
    other = (await add_object(client, "main/boat", name="Bob"))["id"]
    await add_system(client, "second")
    far = (await add_object(client, "second/boat", name="Cy"))["id"]
    foreign = await fleet(stranger)
    for device, speed in ((boat, 1.0), (other, 2.0), (far, 3.0)):
        await report(acme, device, 0, {"speed": speed})
    await report(globex, foreign, 0, {"speed": 9.0})
    query = LONG | {"paths": ["speed"], "order": ["speed"]}

    async def speeds(operation: str, **names: str) -> list[Any]:
        found = await client.data(operation, json=query, **names)
        return [row["speed"] for row in found["items"]]

    assert await speeds("project.device-history", projectId=project_of(client)) == [1, 2, 3]
    assert await speeds("system.device-history", systemId="main") == [1, 2]
    assert await speeds("interface.history", systemId="main", blueprint="boat") == [1, 2]
    assert await speeds("interface.obj-history", systemId="main", blueprint="boat", objId=other) == [2]
    assert await speeds("interface.obj-history", systemId="main", blueprint="boat", objId="*") == [1, 2]
    assert await client.failure("project.device-history", json=query, projectId=project_of(stranger)) == 404
    assert await client.failure("device.history", json=query, deviceId=foreign) == 404


async def test_a_group_has_the_rows_of_its_members(acme: Tenant) -> None:
    client = await Client.of(acme)
    await add_system(client, "main")
    tag = await add_blueprint(client, "tag", {"path": "level", "type": "number"})
    tags = {"path": "tags", "type": "relationship", "relationshipType": "oneToMany", "targetBlueprintId": tag["id"]}
    await add_blueprint(client, "asset", tags)
    pump, van = [(await add_object(client, "main/asset", name=name))["id"] for name in ("Pump", "Van")]
    for level, parent in enumerate((pump, pump, van)):
        await report(acme, (await add_object(client, f"main/asset/{parent}/tags"))["id"], 0, {"level": float(level)})
    query = LONG | {"paths": ["level"], "order": ["level"]}

    async def levels(parent: str) -> list[Any]:
        names = {"systemId": "main", "blueprint": "asset", "objId": parent, "rel": "tags"}
        return [row["level"] for row in (await client.data("interface.group-history", json=query, **names))["items"]]

    assert await levels(pump) == [0, 1]
    assert await levels(van) == [2]
    assert await levels("*") == [0, 1, 2]


async def test_a_relation_called_history_is_shown_in_the_place_of_history(acme: Tenant) -> None:
    client = await Client.of(acme)
    await add_system(client, "main")
    tag = await add_blueprint(client, "tag", {"path": "level", "type": "number"})
    past = {"path": "history", "type": "relationship", "relationshipType": "oneToMany", "targetBlueprintId": tag["id"]}
    await add_blueprint(client, "asset", past)
    pump = (await add_object(client, "main/asset", name="Pump"))["id"]

    answer = await client.http.get(f"/v1/interface/main/asset/{pump}/history")

    assert answer.status_code == 200
    check_value("group", "ListResult", answer.json())


async def test_who_may_read_history_in_one_system_sees_no_rows_of_others(acme: Tenant) -> None:
    owner = await Client.of(acme)
    boat = await fleet(owner)
    second = await add_system(owner, "second")
    far = (await add_object(owner, "second/boat", name="Cy"))["id"]
    await report(acme, boat, 0, {"speed": 1.0})
    await report(acme, far, 0, {"speed": 2.0})
    query = LONG | {"paths": ["speed"]}
    _, member = await add_user(owner, "device.read", "device.readHistory", "system.read", on=second["id"])
    _, reader = await add_user(owner, "device.read")

    found = await member.data("project.device-history", json=query, projectId=project_of(owner))

    assert found["items"] == [{"speed": 2}]
    assert await ask(member, far, paths=["speed"]) == [{"speed": 2}]
    assert await member.failure("device.history", json=query, deviceId=boat) == 404
    assert await reader.failure("device.history", json=query, deviceId=boat) == 403
    none = await reader.data("project.device-history", json=query, projectId=project_of(owner))
    assert none["items"] == []


async def test_more_rows_than_an_answer_may_have_are_asked_for_in_pages(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roadstead.core.telemetry.history.MOST_ROWS", 2)
    client = await Client.of(acme)
    boat = await fleet(client)
    for second in range(3):
        await report(acme, boat, second, {"speed": float(second)})

    answer = await client.ask("device.history", json=LONG, deviceId=boat)

    assert answer.status_code == 400
    assert answer.json()["message"] == "perPage: there are more than 2 rows: ask for pages"
    assert len(await ask(client, boat, perPage=2)) == 2


async def test_what_a_program_writes_is_a_row_of_its_history(acme: Tenant, data_path: ClickHouseStore) -> None:
    client = await Client.of(acme)
    boat = await fleet(client)
    written = await client.http.put(
        f"/v1/device/{boat}/setValue",
        params={"resolveOnWrite": '{"writers": ["timescale"], "maxWaitTime": 20000}'},
        json={"values": [{"path": "speed", "value": 7}, {"path": "air/co2", "value": 400}]},
    )
    assert written.status_code == 200, written.text

    found = await client.data("device.history", json={"start": 0}, deviceId=boat)

    assert [row["$data"] for row in found["items"]] == [{"speed": 7, "air": {"co2": 400}}]


async def test_natively_written_readings_are_rows_and_a_branch_is_an_object(acme: Tenant) -> None:
    client = await Client.of(acme)
    boat = await fleet(client)
    await report(acme, boat, 0, {"air.co2": 400.0, "air.dust": 2.0, "speed": 1.0})

    found = await ask(client, boat, paths=[["air", "air", None, "object"], "air/co2", "$data/air/dust"])

    assert found == [{"air": {"co2": 400, "dust": 2}, "co2": 400, "dust": "2"}]
