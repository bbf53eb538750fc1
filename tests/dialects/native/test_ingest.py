"""POST /readings and health reports: accepted means on the log, refused means in quarantine."""

import asyncio
import gzip
import hashlib
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
import pytest_asyncio

from roadstead.bus import NEW, UPLINK, Bus, Packer, Reader
from roadstead.core.messages import Uplink, ValueType, size_of_uplink
from roadstead.core.types import ProfileField
from roadstead.dialects.native import NativeCodec, create_app
from roadstead.kernel import ids, time
from roadstead.kernel.actor import Grant
from roadstead.kernel.ids import new_id
from roadstead.kernel.time import spell_instant
from tests.conftest import Tenant
from tests.dialects.native.fleet import ok, problem
from tests.fleet import add_component, add_device, add_sensor, item

READINGS = "/api/v1/readings"
HEALTH = {"timestamp": "2026-01-01T00:00:00Z", "uptimeSeconds": 5, "connectionType": "WIFI"}


class Log:
    """What reaches the log from now on."""

    def __init__(self, bus: Bus) -> None:
        self._reader = Reader(bus, UPLINK, start=NEW)

    async def open(self) -> None:
        """Begin."""
        await self._reader.open()

    async def next(self, tenant: Tenant) -> list[Uplink]:
        """The uplinks of a tenant in the next pack that has some."""
        while True:
            pack = await self._reader.next(10)
            assert pack is not None
            uplinks = msgspec.msgpack.decode(pack.payload, type=list[Uplink])
            if found := [uplink for uplink in uplinks if uplink.tenant == tenant.tenant_id]:
                return found

    async def close(self) -> None:
        """End."""
        await self._reader.close()


@pytest_asyncio.fixture
async def log(bus: Bus) -> AsyncIterator[Log]:
    """The log."""
    opened = Log(bus)
    await opened.open()
    yield opened
    await opened.close()


async def make_device(tenant: Tenant) -> UUID:
    """A device that nothing is known of."""
    return await add_device(tenant.edge.system_database, tenant.tenant_id)


def series(device: UUID, *values: object) -> list[dict[str, object]]:
    """Readings of one sensor, a minute apart."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return [
        item("one", value, at=spell_instant(start + timedelta(minutes=minute)), deviceId=str(device))
        for minute, value in enumerate(values)
    ]


async def device_client(tenant: Tenant, device: UUID) -> httpx.AsyncClient:
    """A client that shows a certificate of the device."""
    certificate = await add_certificate(tenant, device)
    app = create_app(tenant.edge)

    async def with_certificate(scope: Any, receive: Any, send: Any) -> None:
        await app(scope | {"extensions": {"tls": {"client_cert_der": certificate}}}, receive, send)

    return httpx.AsyncClient(transport=httpx.ASGITransport(with_certificate), base_url="https://api.test")


async def add_certificate(tenant: Tenant, device: UUID) -> bytes:
    """A registered certificate (any bytes will do: the handshake has proved its key)."""
    certificate = secrets.token_bytes(32)
    async with tenant.edge.system_database.tx() as tx:
        await tx.run(
            """
            INSERT INTO certificate (tenant_id, id, device_id, dialect, fingerprint, serial_number, subject,
                                     issued_here, not_before, not_after, created_at)
            VALUES (%s, %s, %s, 'native', %s, '01', 'CN=test', false, now() - interval '1 day',
                    now() + interval '1 day', now())
            """,
            tenant.tenant_id,
            new_id(),
            device,
            hashlib.sha256(certificate).digest(),
        )
    return certificate


def decode(uplink: Uplink) -> list[tuple[str, Any]]:
    """What the store will read in an uplink."""
    return [(reported.ref, reported.value) for reported in NativeCodec().decode(uplink).reported]


async def quarantined(tenant: Tenant) -> list[Any]:
    """Everything in quarantine."""
    return list(ok(await tenant.api.get("/api/v1/admin/quarantine"))["items"])


async def test_accepted_readings_are_on_the_log_when_the_answer_comes(acme: Tenant, log: Log) -> None:
    device = await make_device(acme)
    sensor = await add_sensor(acme.edge.system_database, acme.tenant_id, device, "one", ValueType.BIGINT)
    body = [
        item(str(sensor), 9_007_199_254_740_993),
        item("fresh", 1.5, deviceId=str(device)),
        item("fresh", 2.5, at="2026-01-01T00:01:00+01:00", deviceId=str(device), metadata={"by": "hand"}),
    ]

    answer = await acme.api.post(READINGS, json=body)

    assert (answer.status_code, answer.json()) == (
        202,
        {"accepted": 3, "duplicates": 0, "quarantined": 0, "errors": []},
    )
    [uplink] = await log.next(acme)
    assert (uplink.device, uplink.dialect, uplink.channel, uplink.source) == (
        ids.to_bytes(device), "native", "readings", "HTTP",
    )  # fmt: skip
    assert [value for _, value in decode(uplink)] == [9_007_199_254_740_993, 1.5, 2.5]
    assert NativeCodec().decode(uplink).reported[2].meta == '{"by":"hand"}'


async def test_one_object_is_as_good_as_an_array(acme: Tenant, log: Log) -> None:
    device = await make_device(acme)

    answer = await acme.api.post(READINGS, json=item("one", True, deviceId=str(device)))

    assert answer.json()["accepted"] == 1
    assert [value for _, value in decode((await log.next(acme))[0])] == [True]


async def test_each_device_of_a_request_gets_a_message_of_its_own(acme: Tenant, log: Log) -> None:
    first, second = await make_device(acme), await make_device(acme)

    answer = await acme.api.post(READINGS, json=series(first, 0, 1) + series(second, 2, 3))

    assert answer.json()["accepted"] == 4
    uplinks = await log.next(acme)
    assert [uplink.device for uplink in uplinks] == [ids.to_bytes(first), ids.to_bytes(second)]
    assert [[value for _, value in decode(uplink)] for uplink in uplinks] == [[0, 1], [2, 3]]


async def test_lines_and_packed_bodies_are_read_too(acme: Tenant, log: Log) -> None:
    device = await make_device(acme)
    lines = b"\n".join(msgspec.json.encode(reading) for reading in series(device, 1, 2, 3))

    plain = await acme.api.post(READINGS, content=lines + b"\n", headers={"Content-Type": "application/x-ndjson"})
    packed = await acme.api.post(
        READINGS,
        content=gzip.compress(msgspec.json.encode(series(device, 4, 5))),
        headers={"Content-Type": "application/json", "Content-Encoding": "gzip"},
    )

    assert [answer.json().get("accepted") for answer in (plain, packed)] == [3, 2]


async def test_what_says_the_same_time_twice_is_counted_and_the_last_one_holds(acme: Tenant, log: Log) -> None:
    device = await make_device(acme)
    body = [item("one", value, deviceId=str(device)) for value in (1, 2)]

    answer = await acme.api.post(READINGS, json=body)

    assert (answer.status_code, answer.json()["accepted"], answer.json()["duplicates"]) == (202, 1, 1)
    assert [value for _, value in decode((await log.next(acme))[0])] == [2]


async def test_bad_items_are_listed_and_lie_in_quarantine_while_the_others_are_taken(
    acme: Tenant, globex: Tenant, log: Log
) -> None:
    device = await make_device(acme)
    foreign = await make_device(globex)
    sensor = await add_sensor(
        acme.edge.system_database, acme.tenant_id, device, "speed", ValueType.DOUBLE, min=0, max=100
    )
    body = [
        item("speed", 50, deviceId=str(device)),
        item(str(sensor), 500),
        item("speed", "fast", deviceId=str(device)),
        {"sensorId": "speed", "deviceId": str(device), "value": 1},
        item("speed", 1, at=spell_instant(time.now() + timedelta(hours=1)), deviceId=str(device)),
        item("speed", 1),
        item(str(new_id()), 1),
        item("speed", 1, deviceId=str(foreign)),
        item("speed", 1, deviceId="no id"),
        17,
    ]

    answer = await acme.api.post(READINGS, json=body)

    assert answer.status_code == 207
    result = answer.json()
    assert (result["accepted"], result["duplicates"], result["quarantined"]) == (1, 0, 9)
    assert [(error["index"], error["reason"]) for error in result["errors"]] == [
        (1, "OUT_OF_RANGE"),
        (2, "TYPE_MISMATCH"),
        (3, "MISSING_FIELD"),
        (4, "BAD_TIMESTAMP"),
        (5, "MISSING_FIELD"),
        (6, "UNKNOWN_SENSOR"),
        (7, "UNKNOWN_SENSOR"),
        (8, "UNKNOWN_SENSOR"),
        (9, "MALFORMED"),
    ]
    kept = {entry["id"]: entry for entry in await quarantined(acme)}
    assert kept.keys() == {error["quarantineId"] for error in result["errors"]}
    assert {entry["source"] for entry in kept.values()} == {"HTTP"}
    assert kept[result["errors"][0]["quarantineId"]]["payload"]["value"] == 500
    assert kept[result["errors"][8]["quarantineId"]]["payload"] == 17
    assert [value for _, value in decode((await log.next(acme))[0])] == [50]
    assert await quarantined(globex) == []


async def test_a_structured_payload_is_checked_as_a_whole(acme: Tenant, log: Log) -> None:
    device = await make_device(acme)
    fields = [
        ProfileField(name="rpm", value_type=ValueType.DOUBLE, required=True),
        ProfileField(name="starts", value_type=ValueType.BIGINT),
    ]
    await add_component(acme.edge.system_database, acme.tenant_id, device, "motor", fields)

    good = await acme.api.post(READINGS, json=item("motor", {"rpm": 900, "starts": 3}, deviceId=str(device)))
    bad = await acme.api.post(READINGS, json=item("motor", {"starts": 3}, deviceId=str(device)))

    assert (good.status_code, good.json()["accepted"]) == (202, 1)
    assert sorted(value for _, value in decode((await log.next(acme))[0])) == [3, 900]
    assert (bad.status_code, bad.json()["result"]["errors"][0]["reason"]) == (422, "MISSING_FIELD")


async def test_when_nothing_is_usable_the_answer_is_422_and_quarantine_still_has_it(acme: Tenant) -> None:
    answer = await acme.api.post(READINGS, json=[item("one", 1), "nonsense"])

    assert problem(answer) == (422, "validation-failed", ["/0", "/1"])
    assert answer.json()["result"]["quarantined"] == 2
    assert {entry["reason"] for entry in await quarantined(acme)} == {"MISSING_FIELD", "MALFORMED"}


@pytest.mark.parametrize(
    ("content", "headers", "expected"),
    [
        (b"[{", {}, (400, "invalid-request")),
        (b"[]", {}, (422, "validation-failed")),
        (b"", {}, (400, "invalid-request")),
        (b"[" + b"1," * 5_000 + b"1]", {}, (413, "too-large")),
        (b" " * 5_242_881, {}, (413, "too-large")),
        (b"<reading/>", {"Content-Type": "application/xml"}, (415, "unsupported-media-type")),
        (b"[]", {"Content-Encoding": "br"}, (415, "unsupported-media-type")),
        (b"no gzip", {"Content-Encoding": "gzip"}, (400, "invalid-request")),
        (gzip.compress(b"[]")[:-4], {"Content-Encoding": "gzip"}, (400, "invalid-request")),
        (gzip.compress(b" " * 6_000_000), {"Content-Encoding": "gzip"}, (413, "too-large")),
    ],
    ids=["cut off", "empty", "nothing", "too many", "too long", "xml", "brotli", "no gzip", "cut gzip", "bomb"],
)
async def test_what_cannot_be_read_or_is_too_much_is_refused(
    acme: Tenant, content: bytes, headers: dict[str, str], expected: tuple[int, str]
) -> None:
    answer = await acme.api.post(READINGS, content=content, headers={"Content-Type": "application/json"} | headers)

    assert (answer.status_code, answer.json()["code"]) == expected
    assert await quarantined(acme) == []


async def test_a_device_speaks_for_itself_and_for_nobody_else(acme: Tenant, log: Log) -> None:
    own, other = await make_device(acme), await make_device(acme)
    sensor = await add_sensor(acme.edge.system_database, acme.tenant_id, other, "one", ValueType.DOUBLE)
    api = await device_client(acme, own)

    for_itself = await api.post(READINGS, json=item("one", 1.5))
    for_another = await api.post(READINGS, json=item("one", 1.5, deviceId=str(other)))
    by_sensor = await api.post(READINGS, json=item(str(sensor), 1.5))
    health = await api.post(f"/api/v1/devices/{own}/health", json=HEALTH)
    health_of_another = await api.post(f"/api/v1/devices/{other}/health", json=HEALTH)
    reading = await api.get(f"{READINGS}/device/{own}")

    assert for_itself.status_code == 202
    assert (await log.next(acme))[0].device == ids.to_bytes(own)
    assert problem(for_another)[:2] == (403, "forbidden")
    assert by_sensor.json()["result"]["errors"][0]["reason"] == "UNKNOWN_SENSOR"
    assert (health.status_code, health_of_another.status_code) == (202, 403)
    assert reading.status_code in (401, 403)


async def test_writing_needs_the_right_to_write(acme: Tenant) -> None:
    reader = acme.client(await acme.add_key([Grant.READINGS_READ]))

    answer = await reader.post(READINGS, json=item("one", 1))

    assert problem(answer)[:2] == (403, "scope-missing")
    assert (await acme.client().post(READINGS, json=item("one", 1))).status_code == 401


async def test_a_request_under_one_idempotency_key_is_published_once(acme: Tenant, log: Log) -> None:
    device = await make_device(acme)
    headers = {"Idempotency-Key": "a"}

    first = await acme.api.post(READINGS, json=series(device, 1), headers=headers)
    again = await acme.api.post(READINGS, json=series(device, 1), headers=headers)
    await acme.api.post(READINGS, json=series(device, 2))

    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert [value for _, value in decode((await log.next(acme))[0])] == [1]
    assert [value for _, value in decode((await log.next(acme))[0])] == [2]


async def test_while_the_log_is_away_nothing_is_accepted_and_nothing_is_kept(acme: Tenant) -> None:
    device = await make_device(acme)
    away = Bus("nats://127.0.0.1:1", name="away")
    packer = Packer[Uplink](away, encode=msgspec.msgpack.encode, size_of=size_of_uplink, give_up_s=0.2)
    await packer.start()
    tenant = Tenant(acme.tenant_id, acme.slug, msgspec.structs.replace(acme.edge, uplinks=packer))

    body = [*series(device, 1), item("one", 1)]
    answer = await tenant.client(acme.key).post(READINGS, json=body, headers={"Idempotency-Key": "b"})
    health = await tenant.client(acme.key).post(f"/api/v1/devices/{device}/health", json=HEALTH)
    later = await acme.api.post(READINGS, json=body, headers={"Idempotency-Key": "b"})

    assert problem(answer)[:2] == (503, "unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    assert health.status_code == 503
    assert (later.status_code, "idempotency-replayed" in later.headers) == (207, False)
    assert len(await quarantined(acme)) == 1
    await packer.close()


async def test_a_full_log_is_told_at_once(acme: Tenant, bus: Bus) -> None:
    device = await make_device(acme)
    packer = Packer[Uplink](
        bus, encode=msgspec.msgpack.encode, size_of=size_of_uplink, max_unacknowledged_bytes=1, interval_s=60
    )
    await packer.start()
    tenant = Tenant(acme.tenant_id, acme.slug, msgspec.structs.replace(acme.edge, uplinks=packer))
    api = tenant.client(acme.key)

    waiting = asyncio.create_task(api.post(READINGS, json=series(device, 1)))
    while not packer.full:
        await asyncio.sleep(0)
    refused = await api.post(READINGS, json=series(device, 2))
    await packer.close()

    assert problem(refused)[:2] == (503, "unavailable")
    assert (await waiting).status_code == 202


async def test_what_comes_by_http_is_counted(acme: Tenant) -> None:
    device = await make_device(acme)
    await acme.api.post(READINGS, json=[*series(device, 1, 2), item("one", 1)])

    metrics = acme.edge.metrics
    assert metrics.readings.labels("accepted")._value.get() == 2
    assert metrics.refused.labels("MISSING_FIELD")._value.get() == 1


async def test_a_health_report_is_on_the_log_when_the_answer_comes(acme: Tenant, globex: Tenant, log: Log) -> None:
    device = await make_device(acme)

    accepted = await acme.api.post(f"/api/v1/devices/{device}/health", json=HEALTH)

    assert accepted.status_code == 202
    [uplink] = await log.next(acme)
    assert (uplink.channel, uplink.device, uplink.source) == ("health", ids.to_bytes(device), "HTTP")
    found = {reading.path: reading.value for reading in NativeCodec().decode(uplink).readings}
    assert found["$health/uptimeSeconds"] == 5
    assert (await globex.api.post(f"/api/v1/devices/{device}/health", json=HEALTH)).status_code == 404


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"timestamp": None}, ["/timestamp"]),
        ({"timestamp": "2999-01-01T00:00:00Z"}, ["/timestamp"]),
        ({"uptimeSeconds": "long"}, ["/uptimeSeconds"]),
        ({"connectionType": "STRING"}, ["/connectionType"]),
        ({"mood": "fine"}, ["/mood"]),
    ],
)
async def test_a_health_report_that_makes_no_sense_is_refused_with_the_field_named(
    acme: Tenant, change: dict[str, Any], fields: list[str]
) -> None:
    device = await make_device(acme)

    answer = await acme.api.post(f"/api/v1/devices/{device}/health", json=HEALTH | change)

    assert (answer.status_code, problem(answer)[2]) == (422, fields)
