"""Whole documents: checked against the section of a device type, for the sender or for another device."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest

from roadstead.core import types
from roadstead.core.messages import Reading, Uplink, ValueType
from roadstead.core.ports import RefusalReason
from roadstead.core.telemetry import DeviceCatalog, Intake, Taken
from roadstead.core.types import DeviceTypeDraft, ProfileField
from roadstead.db import Database
from roadstead.dialects.lightelligence import LightelligenceCodec
from roadstead.kernel import ids
from tests.conftest import Tenant
from tests.fleet import add_component, add_device, add_sensor, sensors_of, uplink

AT = "2026-01-01T00:00:00Z"
AT_MS = 1767225600000

SECTIONS: dict[str, Any] = {
    "attributes": {
        "people": {"type": "integer", "minimum": 0},
        "air": {"type": "object", "properties": {"co2": {"type": "number"}, "voc": {"type": "number"}}},
        "zones": {"type": "array", "items": {"type": "boolean"}, "maxItems": 3},
        "mood": {"type": ["string", "null"]},
        "label": {"type": "string"},
        "parts": {"type": "array", "items": {"type": "object"}},
    },
    "configuration": {"interval": {"type": "integer", "minimum": 5}, "required": ["interval", "led"], "led": {}},
    "events": {"crowded": {"type": "object", "properties": {"people": {"type": "integer"}}}, "tampered": {}},
}


@pytest.fixture
def catalog(system_database: Database) -> DeviceCatalog:
    """An empty cache."""
    return DeviceCatalog(system_database)


@pytest.fixture
def intake(catalog: DeviceCatalog) -> Intake:
    """An intake that reads the dialect of documents."""
    return Intake(catalog, {"lightelligence": LightelligenceCodec()})


async def add_typed(tenant: Tenant, sections: dict[str, Any] = SECTIONS, *, gateway: UUID | None = None) -> UUID:
    """A device of a type of its own."""
    database = tenant.edge.system_database
    device = await add_device(database, tenant.tenant_id)
    async with tenant.work() as work:
        type_ = await types.create_device_type(work, DeviceTypeDraft(name="sensor", sections=sections))
    async with database.tx() as tx:
        await tx.run("UPDATE device SET type_id = %s, gateway_id = %s WHERE id = %s", type_.id, gateway, device)
    return device


async def add_alias(tenant: Tenant, device: UUID, alias: str) -> None:
    """Another name of a device."""
    async with tenant.edge.system_database.tx() as tx:
        await tx.run("DELETE FROM device_alias WHERE tenant_id = %s AND alias = %s", tenant.tenant_id, alias)
        sql = "INSERT INTO device_alias (tenant_id, alias, device_id, position) VALUES (%s, %s, %s, 1)"
        await tx.run(sql, tenant.tenant_id, alias, device)


def data(tenant: Tenant, device: UUID, value: object, section: str = "attributes", **more: object) -> Uplink:
    """A report."""
    body = {"type": section, "value": value, "time": AT, **more}
    return uplink(tenant.tenant_id, device, body, channel="data-ingest", dialect="lightelligence", received=AT_MS)


def event(tenant: Tenant, device: UUID, type_: str, value: object = None, **more: object) -> Uplink:
    """An event."""
    body = {"type": type_, "value": value, "createdAt": AT, **more}
    return uplink(tenant.tenant_id, device, body, channel="event-ingest", dialect="lightelligence", received=AT_MS)


def readings(taken: Taken) -> list[tuple[str, Any]]:
    """Path and value of everything that was taken."""
    return [(reading.path, reading.value) for message in taken.accepted for reading in message.readings]


def reasons(taken: Taken) -> list[tuple[RefusalReason, Sequence[str]]]:
    """Why things were refused."""
    return [(refusal.reason, [problem.detail for problem in refusal.problems]) for _, refusal in taken.refused]


async def test_a_document_becomes_readings_typed_by_its_schema(acme: Tenant, intake: Intake) -> None:
    device = await add_typed(acme)
    value = {"people": 4, "air": {"co2": 600}, "zones": [True, False], "mood": None, "parts": [{"a": 1}], "label": "x"}
    taken = await intake.take_in([data(acme, device, value)])
    assert taken.refused == []
    assert readings(taken) == [
        ("people", 4),
        ("air.co2", 600.0),
        ("zones[0]", True),
        ("zones[1]", False),
        ("mood", "null"),
        ("parts", '[{"a":1}]'),
        ("label", "x"),
    ]
    assert [type(one) for _, one in readings(taken)] == [int, float, bool, bool, str, str, str]
    assert taken.accepted[0].readings[0] == Reading("people", AT_MS, 4)
    assert await sensors_of(acme.edge.system_database, device) == {
        "people": "BIGINT", "air.co2": "DOUBLE", "zones[0]": "BOOLEAN", "zones[1]": "BOOLEAN", "mood": "TEXT",
        "parts": "TEXT", "label": "TEXT",
    }  # fmt: skip


async def test_configuration_lies_beside_the_attributes_and_what_it_requires_may_be_left_out(
    acme: Tenant, intake: Intake
) -> None:
    device = await add_typed(acme)
    taken = await intake.take_in([data(acme, device, {"interval": 60}, "configuration")])
    assert readings(taken) == [("configuration/interval", 60)]
    assert await sensors_of(acme.edge.system_database, device) == {"configuration/interval": "BIGINT"}


async def test_what_is_not_declared_or_does_not_fit_refuses_the_whole_message_with_all_that_is_wrong(
    acme: Tenant, intake: Intake
) -> None:
    device = await add_typed(acme)
    taken = await intake.take_in([data(acme, device, {"people": "4", "dogs": 1, "label": "right"})])
    assert readings(taken) == []
    ((reason, problems),) = reasons(taken)
    assert reason is RefusalReason.TYPE_MISMATCH
    assert len(problems) == 2
    assert problems[0].startswith("attributes.people: ")
    assert problems[1] == "attributes.dogs is not declared in the device type"
    assert await sensors_of(acme.edge.system_database, device) == {}

    taken = await intake.take_in([data(acme, device, {"dogs": 1}), data(acme, device, {"people": 2**70})])
    assert [reason for reason, _ in reasons(taken)] == [RefusalReason.UNKNOWN_SENSOR, RefusalReason.TYPE_MISMATCH]


async def test_a_time_far_ahead_and_nul_are_refused(acme: Tenant, intake: Intake) -> None:
    device = await add_typed(acme)
    sent = [
        data(acme, device, {"people": 1}, time="2026-01-01T00:06:00Z"),
        data(acme, device, {"people": 1}, time="1969-12-31T23:59:59Z"),
        data(acme, device, {"label": "a\0b"}),
        data(acme, device, {"label": "a\\u0000b"}),
    ]
    taken = await intake.take_in(sent)
    assert [index for index, _ in taken.refused] == [0, 1, 2]
    assert [reason for reason, _ in reasons(taken)] == [
        RefusalReason.BAD_TIMESTAMP,
        RefusalReason.BAD_TIMESTAMP,
        RefusalReason.MALFORMED,
    ]
    assert readings(taken) == [("label", "a\\u0000b")]


async def test_a_text_may_be_as_long_as_its_message(acme: Tenant, intake: Intake) -> None:
    device = await add_typed(acme)
    sent = [data(acme, device, {"label": "x" * 1_000_000}), data(acme, device, {"label": "y" * 2_000})]
    taken = await intake.take_in(sent)
    taken_again = await intake.take_in(sent)
    assert [len(value) for _, value in readings(taken) + readings(taken_again)] == [1_000_000, 2_000] * 2


async def test_a_device_speaks_for_another_one_of_its_tenant_by_id_and_by_alias(
    acme: Tenant, globex: Tenant, intake: Intake
) -> None:
    gateway, child = await add_device(acme.edge.system_database, acme.tenant_id), await add_typed(acme)
    theirs = await add_typed(globex)
    await add_alias(acme, child, "06-00")
    await add_alias(globex, theirs, "07-00")
    sent = [
        data(acme, gateway, {"people": 1}, deviceId=str(child)),
        data(acme, gateway, {"people": 2}, alias="06-00"),
        data(acme, gateway, {"people": 3}, deviceId=str(theirs)),
        data(acme, gateway, {"people": 4}, alias="07-00"),
        data(acme, gateway, {"dogs": 5}, alias="06-00"),
    ]
    taken = await intake.take_in(sent)
    of_child, of_gateway = ids.to_bytes(child), ids.to_bytes(gateway)
    assert [message.device for message in taken.accepted] == [
        of_child, of_child, of_gateway, of_gateway, of_child,
    ]  # fmt: skip
    assert readings(taken) == [("people", 1), ("people", 2)]
    assert [(index, refusal.reason, refusal.device) for index, refusal in taken.refused] == [
        (2, RefusalReason.UNKNOWN_SENSOR, b""),
        (3, RefusalReason.UNKNOWN_SENSOR, b""),
        (4, RefusalReason.UNKNOWN_SENSOR, of_child),
    ]
    assert [(index, sender.device, sender.readings) for index, sender in taken.senders] == [
        (0, of_gateway, []),
        (1, of_gateway, []),
        (4, of_gateway, []),
    ]


async def test_an_alias_that_has_moved_names_its_new_device(
    acme: Tenant, intake: Intake, catalog: DeviceCatalog
) -> None:
    gateway, first, second = [await add_typed(acme) for _ in range(3)]
    await add_alias(acme, first, "06-00")
    say = data(acme, gateway, {"people": 1}, alias="06-00")
    assert (await intake.take_in([say])).accepted[0].device == ids.to_bytes(first)

    await add_alias(acme, second, "06-00")
    catalog.forget(ids.to_bytes(first))
    catalog.forget(ids.to_bytes(second))
    assert (await intake.take_in([say])).accepted[0].device == ids.to_bytes(second)


async def test_a_strict_platform_lets_a_device_speak_only_for_those_it_connects(
    acme: Tenant, catalog: DeviceCatalog
) -> None:
    strict = Intake(catalog, {"lightelligence": LightelligenceCodec()}, strict_gateways=True)
    gateway = await add_typed(acme)
    child, stranger = await add_typed(acme, gateway=gateway), await add_typed(acme)
    sent = [data(acme, gateway, {"people": 1}, deviceId=str(one)) for one in (gateway, child, stranger)]
    taken = await strict.take_in(sent)
    assert [len(message.readings) for message in taken.accepted] == [1, 1, 0]
    assert [(index, refusal.reason, refusal.device) for index, refusal in taken.refused] == [
        (2, RefusalReason.FORBIDDEN_TOPIC, b""),
        (2, RefusalReason.FORBIDDEN_TOPIC, ids.to_bytes(stranger)),
    ]


async def test_an_event_must_be_declared_and_fit(acme: Tenant, intake: Intake) -> None:
    device = await add_typed(acme)
    sent = [
        event(acme, device, "crowded", {"people": 40}),
        event(acme, device, "tampered"),
        event(acme, device, "burnt", {}),
        event(acme, device, "crowded", {"people": "many"}),
    ]
    taken = await intake.take_in(sent)
    assert [(index, key, said.event, said.value, said.at) for index, key, said in taken.events] == [
        (0, ids.to_bytes(device), "crowded", {"people": 40}, AT_MS),
        (1, ids.to_bytes(device), "tampered", None, AT_MS),
    ]
    assert [(index, refusal.reason) for index, refusal in taken.refused] == [
        (2, RefusalReason.UNKNOWN_SENSOR),
        (3, RefusalReason.TYPE_MISMATCH),
    ]
    assert [bool(message.payload) for message in taken.accepted] == [True, True, False, False]


async def test_a_device_without_a_type_reports_what_it_likes(acme: Tenant, intake: Intake) -> None:
    device = await add_device(acme.edge.system_database, acme.tenant_id)
    taken = await intake.take_in([data(acme, device, {"t": 21, "on": True, "place": {"room": "a"}, "none": None})])
    assert readings(taken) == [("t", 21.0), ("on", True), ("place.room", "a"), ("none", "null")]
    taken = await intake.take_in([data(acme, device, {"t": "hot"}), data(acme, device, {"t": 21.5})])
    assert readings(taken) == [("t", 21.5)]
    assert [reason for reason, _ in reasons(taken)] == [RefusalReason.TYPE_MISMATCH]


async def test_what_describes_a_native_device_holds_for_documents_too(acme: Tenant, intake: Intake) -> None:
    database = acme.edge.system_database
    device = await add_device(database, acme.tenant_id)
    fields = [
        ProfileField(name="temperature", value_type=ValueType.DOUBLE, max=100),
        ProfileField(name="speed", value_type=ValueType.BIGINT),
    ]
    motor = await add_component(database, acme.tenant_id, device, "motor", fields)
    await add_sensor(
        database, acme.tenant_id, device, "motor/temperature", ValueType.DOUBLE, component_id=motor, field="temperature"
    )
    taken = await intake.take_in([data(acme, device, {"motor": {"temperature": 60, "speed": 900}})])
    assert readings(taken) == [("motor/temperature", 60.0), ("motor/speed", 900)]
    sent = [data(acme, device, {"motor": {"temperature": 101}}), data(acme, device, {"motor": {"oil": 1}})]
    taken = await intake.take_in(sent)
    assert readings(taken) == []
    assert [reason for reason, _ in reasons(taken)] == [RefusalReason.OUT_OF_RANGE, RefusalReason.UNKNOWN_SENSOR]


async def test_what_no_row_could_hold_is_refused_and_harms_nobody(acme: Tenant, intake: Intake) -> None:
    device = await add_typed(acme, {"attributes": {"additionalProperties": True}})
    sent = [
        data(acme, device, {"x" * 501: 1}),
        data(acme, device, {"a": 1}, alias="a\0b"),
        data(acme, device, {"a": 10**400}),
        data(acme, device, {"a": 1}),
    ]
    taken = await intake.take_in(sent)
    assert [(index, refusal.reason) for index, refusal in taken.refused] == [
        (1, RefusalReason.MALFORMED),
        (0, RefusalReason.TOO_LARGE),
        (2, RefusalReason.TYPE_MISMATCH),
    ]
    assert readings(taken) == [("a", 1.0)]


async def test_a_device_has_no_more_than_a_thousand_values(acme: Tenant, intake: Intake) -> None:
    device = await add_typed(acme, {"attributes": {"additionalProperties": True}})
    taken = await intake.take_in([data(acme, device, {f"a{number}": number for number in range(1001)})])
    assert [reason for reason, _ in reasons(taken)] == [RefusalReason.TOO_LARGE]
    assert await sensors_of(acme.edge.system_database, device) == {}
