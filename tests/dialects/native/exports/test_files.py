"""What is in the file of an export."""

import csv
import json
from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pyarrow as pa
import pytest

from roadstead.core.messages import Reading
from roadstead.kernel import time
from roadstead.kernel.ids import to_bytes
from roadstead.workers.exports import ExportWorker
from tests.conftest import Tenant
from tests.dialects.native.exports.exporting import (
    FROM,
    NOON,
    TO,
    Fleet,
    add_fleet,
    ask,
    fetch,
    made,
    report,
    table,
)
from tests.dialects.native.fleet import add_device, add_profiles, add_site, ok


async def test_the_round_trip_of_the_documentation_holds_to_the_letter(
    acme: Tenant, fleet: Fleet, worker: ExportWorker
) -> None:
    sent = {
        "scopeType": "DEVICE",
        "scopeId": fleet["pump"],
        "from": FROM,
        "to": TO,
        "includes": ["READINGS", "ANNOTATIONS"],
    }
    created = await acme.api.post("/api/v1/exports", json=sent)
    assert created.status_code == 201
    body = created.json()
    assert list(body) == [
        "id", "scopeType", "scopeId", "from", "to", "includes", "status", "requestedBy", "createdAt",
    ]  # fmt: skip
    assert {name: body[name] for name in sent} == sent
    assert body["status"] == "PENDING"
    assert body["requestedBy"].startswith("key_")
    assert created.headers["location"] == f"/api/v1/exports/{body['id']}"

    ready = await made(acme, worker, body["id"])
    assert ready["status"] == "READY"
    assert (ready["readingCount"], ready["annotationCount"]) == (5, 0)
    completed, expires = (datetime.fromisoformat(ready[name]) for name in ("completedAt", "expiresAt"))
    assert expires - completed == timedelta(hours=24)
    url = urlsplit(ready["downloadUrl"])
    assert ready["downloadUrl"].startswith("http://api.test/")
    assert url.path.endswith(f"/exports/{body['id']}.zip")
    query = parse_qs(url.query)
    assert query["X-Amz-Signature"]
    assert 86_000 < int(query["X-Amz-Expires"][0]) <= 86_400

    bundle = await fetch(acme, ready)
    assert bundle.namelist() == ["readings.parquet", "annotations.parquet", "manifest.json"]
    annotations = table(bundle, "annotations.parquet")
    assert annotations.num_rows == 0
    assert {"id", "classId", "startAt", "values"} < set(annotations.column_names)


async def test_every_value_is_in_the_file_as_it_was_measured(acme: Tenant, fleet: Fleet, worker: ExportWorker) -> None:
    bundle = await fetch(acme, await made(acme, worker, (await ask(acme, "DEVICE", fleet["pump"]))["id"]))
    readings = table(bundle)
    assert {field.name: str(field.type) for field in readings.schema} == {
        "timestamp": "timestamp[ms, tz=UTC]",
        "deviceId": "string",
        "deviceName": "string",
        "componentKey": "string",
        "phases[0]": "double",
        "phases[1]": "double",
        "rpm": "double",
        "starts": "int64",
        "temperature": "double",
        "metadata": "string",
    }
    assert readings.schema.field("temperature").metadata == {b"unit": "°C".encode()}
    rows = [{name: value for name, value in row.items() if value is not None} for row in readings.to_pylist()]
    pump = {"deviceId": fleet["pump"], "deviceName": "pump-1"}
    motor = pump | {"componentKey": "motor"}
    minute = timedelta(minutes=1)
    assert sorted(rows, key=lambda row: (row.get("componentKey", ""), row["timestamp"])) == [
        pump | {"timestamp": NOON, "temperature": 21.5},
        pump | {"timestamp": NOON + minute, "temperature": 22.0},
        motor | {"timestamp": NOON, "rpm": 900.25, "starts": 2**60 + 1} | {"metadata": '{"rpm":{"quality":"good"}}'},
        motor | {"timestamp": NOON + 2 * minute, "starts": 4},
    ]


async def test_the_manifest_says_what_is_in_it(acme: Tenant, fleet: Fleet, worker: ExportWorker) -> None:
    export = await made(acme, worker, (await ask(acme, "COMPONENT", fleet["motor"]))["id"])
    manifest = json.loads((await fetch(acme, export)).read("manifest.json"))
    assert manifest["scope"] == {"type": "COMPONENT", "id": fleet["motor"], "name": "The motor"}
    assert (manifest["exportId"], manifest["organizationId"]) == (export["id"], str(acme.organization_id))
    assert (manifest["from"], manifest["to"], manifest["until"]) == (FROM, TO, TO)
    assert (manifest["readingCount"], manifest["annotationCount"]) == (3, 0)
    [(name, described)] = manifest["files"].items()
    assert (name, described["rows"]) == ("readings.parquet", 2)
    assert {"name": "rpm", "key": "rpm", "valueType": "DOUBLE", "unit": "1/min"} in described["columns"]


# --- scopes ----------------------------------------------------------------------------------------------------------


async def test_a_scope_is_what_it_says_and_nobody_elses(
    acme: Tenant, globex: Tenant, fleet: Fleet, worker: ExportWorker
) -> None:
    theirs = await add_fleet(globex)
    await report(globex, theirs["pump"], "temperature", (NOON, 99.0))
    # Points of another tenant under our device's id: only the tenant keeps them apart.
    await report(globex, fleet["pump"], "temperature", (NOON + timedelta(hours=1), 98.0))
    elsewhere = await add_device(acme, "elsewhere", deviceProfile="pump@1.0")
    await report(acme, elsewhere["id"], "motor/rpm", (NOON, 1.0))

    fixed = {"timestamp", "deviceId", "deviceName", "componentKey", "metadata"}
    motor = {"phases[0]", "phases[1]", "rpm", "starts"}
    for scope_type, of, columns in (
        ("SITE", "harbour", {*motor, "temperature"}),
        ("SITE", "pier", {*motor, "temperature"}),
        ("COMPONENT", "motor", motor),
        ("SENSOR", "temperature", {"temperature"}),
    ):
        readings = table(await fetch(acme, await made(acme, worker, (await ask(acme, scope_type, fleet[of]))["id"])))
        assert set(readings.column_names) == columns | fixed
        assert set(readings["deviceName"].to_pylist()) == {"pump-1"}
        if "temperature" in columns:
            assert [value for value in readings["temperature"].to_pylist() if value is not None] == [21.5, 22.0]


async def test_sensors_of_one_key_and_several_types_have_a_column_each(acme: Tenant, worker: ExportWorker) -> None:
    site = await add_site(acme, "Harbour")
    for name, value_type, value in (("a", "DOUBLE", 1.5), ("b", "TEXT", "open"), ("c", "BOOLEAN", True)):
        device = await add_device(acme, name, siteId=site["id"])
        sensor = {"deviceId": device["id"], "key": "state", "valueType": value_type}
        ok(await acme.api.post("/api/v1/sensors", json=sensor))
        await report(acme, device["id"], "state", (NOON, value))
    odd = (await add_device(acme, "odd", siteId=site["id"]))["id"]
    reserved = {"deviceId": odd, "key": "timestamp", "valueType": "BIGINT"}
    ok(await acme.api.post("/api/v1/sensors", json=reserved))
    await report(acme, odd, "timestamp", (NOON, 7))

    rows = table(await fetch(acme, await made(acme, worker, (await ask(acme, "SITE", site["id"]))["id"]))).to_pylist()
    said = {
        row["deviceName"]: {name: value for name, value in row.items() if ":" in name and value is not None}
        for row in rows
    }
    assert said == {
        "a": {"state:DOUBLE": 1.5},
        "b": {"state:TEXT": "open"},
        "c": {"state:BOOLEAN": True},
        "odd": {"timestamp:BIGINT": 7},
    }


async def test_nothing_reported_is_an_empty_table_with_its_columns(acme: Tenant, worker: ExportWorker) -> None:
    fleet = await add_fleet(acme)
    export = await made(acme, worker, (await ask(acme, "DEVICE", fleet["pump"]))["id"])
    assert (export["status"], export["readingCount"]) == ("READY", 0)
    readings = table(await fetch(acme, export))
    assert readings.num_rows == 0
    assert "rpm" in readings.column_names
    bare = await add_site(acme, "Nowhere")
    assert table(await fetch(acme, await made(acme, worker, (await ask(acme, "SITE", bare["id"]))["id"]))).num_rows == 0


async def test_many_devices_and_pages_of_them_are_all_there(
    acme: Tenant, worker: ExportWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roadstead.core.exports.scopes._DEVICES_AT_ONCE", 3)
    monkeypatch.setattr("roadstead.workers.export_tables._MOST_CELLS", 1)
    await add_profiles(acme)
    site = await add_site(acme, "Harbour")
    wanted = {}
    columns = acme.edge.ports.telemetry.columns()
    for number in range(6):
        profile = {"deviceProfile": "pump@1.0"} if number % 2 else {}
        device = await add_device(acme, f"d{number}", siteId=site["id"], **profile)
        if not number % 2:
            ok(
                await acme.api.post(
                    "/api/v1/sensors", json={"deviceId": device["id"], "key": "rpm", "valueType": "DOUBLE"}
                )
            )
        path = "motor/rpm" if number % 2 else "rpm"
        start = time.to_millis(NOON)
        readings = [Reading(path, start + minute * 60_000, float(minute)) for minute in range(1_100)]
        columns.add(acme.tenant_id, to_bytes(UUID(device["id"])), 0, readings)
        wanted[device["id"]] = [(reading.at, reading.value) for reading in readings]
    await acme.edge.ports.telemetry.insert(columns)

    export = await made(acme, worker, (await ask(acme, "SITE", site["id"]))["id"])
    assert export["readingCount"] == 6_600
    found: dict[str, list[tuple[int, float]]] = {}
    readings = table(await fetch(acme, export))
    for at, device_id, rpm in zip(
        readings["timestamp"].cast(pa.int64()).to_pylist(),
        readings["deviceId"].to_pylist(),
        readings["rpm"].to_pylist(),
        strict=True,
    ):
        found.setdefault(device_id, []).append((at, rpm))
    assert found == wanted


async def test_other_formats_say_the_same(acme: Tenant, fleet: Fleet, worker: ExportWorker) -> None:
    for format_ in ("CSV", "NDJSON"):
        asked = await ask(acme, "SENSOR", fleet["temperature"], format=format_)
        assert asked["format"] == format_
        bundle = await fetch(acme, await made(acme, worker, asked["id"]))
        lines = bundle.read(f"readings.{format_.lower()}").decode().splitlines()
        rows = list(csv.DictReader(lines)) if format_ == "CSV" else [json.loads(line) for line in lines]
        assert [(row["timestamp"], row["deviceId"], float(row["temperature"])) for row in rows] == [
            ("2024-01-15T12:00:00Z", fleet["pump"], 21.5),
            ("2024-01-15T12:01:00Z", fleet["pump"], 22.0),
        ]


async def test_what_is_measured_after_it_runs_is_not_in_it(acme: Tenant, worker: ExportWorker) -> None:
    fleet = await add_fleet(acme)
    now = time.now()
    earlier, later = now - timedelta(hours=1), now + timedelta(minutes=4)
    await report(acme, fleet["pump"], "temperature", (earlier, 1.0), (later, 2.0))
    future = (now + timedelta(days=30)).isoformat()
    export = await made(acme, worker, (await ask(acme, "DEVICE", fleet["pump"], to=future))["id"])
    assert export["readingCount"] == 1
    until = json.loads((await fetch(acme, export)).read("manifest.json"))["until"]
    assert now <= datetime.fromisoformat(until) <= time.now()
