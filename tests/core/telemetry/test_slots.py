"""Devices that report by the slots of a bus message are stored under the names of the fields."""

import pytest

from roadstead.core.messages import ValueType
from roadstead.core.ports import RefusalReason
from roadstead.core.telemetry import DeviceCatalog, Intake
from roadstead.core.types import ProfileField
from roadstead.db import Database
from roadstead.dialects.native.wire import NativeCodec
from tests.conftest import Tenant
from tests.core.telemetry.test_intake import readings, reasons
from tests.fleet import add_component, add_device, item, sensors_of, uplink

_AIR = [
    ProfileField(name="co2", value_type=ValueType.DOUBLE, slot="p0", min=0, required=True),
    ProfileField(name="humidity", value_type=ValueType.DOUBLE, slot="p1"),
]


@pytest.fixture
def intake(system_database: Database) -> Intake:
    """An intake with an empty cache."""
    return Intake(DeviceCatalog(system_database), {"native": NativeCodec()})


async def test_a_slot_may_stand_wherever_the_name_of_its_field_may(
    intake: Intake, acme: Tenant, system_database: Database
) -> None:
    device = await add_device(system_database, acme.tenant_id)
    await add_component(system_database, acme.tenant_id, device, "air", _AIR)
    sent = [item("p0", 1), item("air.p0", 2), item("air/p1", 3), item("air.co2", 4), item("air", {"p0": 5, "p1": 6})]
    for _ in range(2):  # The second time from what was learned by the first.
        taken = await intake.take_in([uplink(acme.tenant_id, device, sent)])
        assert readings(taken) == [
            ("air/co2", 1.0),
            ("air/co2", 2.0),
            ("air/humidity", 3.0),
            ("air/co2", 4.0),
            ("air/co2", 5.0),
            ("air/humidity", 6.0),
        ]
        assert not taken.refused
    assert await sensors_of(system_database, device) == {"air/co2": "DOUBLE", "air/humidity": "DOUBLE"}


async def test_what_is_wrong_with_a_slot_is_told_like_what_is_wrong_with_its_field(
    intake: Intake, acme: Tenant, system_database: Database
) -> None:
    device = await add_device(system_database, acme.tenant_id)
    await add_component(system_database, acme.tenant_id, device, "air", _AIR)
    wrong: list[tuple[dict[str, object], RefusalReason]] = [
        (item("p0", -1), RefusalReason.OUT_OF_RANGE),
        (item("air", {"p1": 1}), RefusalReason.MISSING_FIELD),
        (item("air", {"p0": 1, "p7": 1}), RefusalReason.UNKNOWN_SENSOR),
        (item("air", {"p0": 1, "co2": 1}), RefusalReason.MALFORMED),
        (item("air.p7", 1), RefusalReason.UNKNOWN_SENSOR),
    ]
    taken = await intake.take_in([uplink(acme.tenant_id, device, [sent for sent, _ in wrong])])
    assert readings(taken) == []
    assert reasons(taken) == [reason for _, reason in wrong]


async def test_a_slot_that_several_components_have_must_be_named_with_one(
    intake: Intake, acme: Tenant, system_database: Database
) -> None:
    device = await add_device(system_database, acme.tenant_id)
    for key in ("hall", "roof"):
        await add_component(system_database, acme.tenant_id, device, key, _AIR)
    taken = await intake.take_in([uplink(acme.tenant_id, device, [item("p0", 1), item("roof.p0", 2)])])
    assert readings(taken) == [("roof/co2", 2.0)]
    assert "hall.co2, roof.co2" in taken.refused[0][1].detail


async def test_a_profile_has_each_slot_once_and_keeps_it(acme: Tenant) -> None:
    async def create(version: str, *fields: dict[str, object]) -> tuple[int, str]:
        body = {"key": "air", "profileVersion": version, "name": "Air", "fields": fields}
        answer = await acme.api.post("/api/v1/sensor-profiles", json=body)
        problems = answer.json().get("errors", [])
        return answer.status_code, problems[0]["pointer"] if problems else ""

    co2: dict[str, object] = {"name": "co2", "valueType": "DOUBLE", "slot": "p0"}
    assert await create("1.0", co2, {"name": "x", "valueType": "DOUBLE", "slot": "p0"}) == (422, "/fields/1/slot")
    assert await create("1.0", co2, {"name": "x", "valueType": "DOUBLE", "slot": "co2"}) == (422, "/fields/1/slot")
    assert await create("1.0", {**co2, "arraySize": 2}) == (422, "/fields/0/slot")
    assert await create("1.0", {**co2, "slot": "p 0"}) == (422, "/fields/0/slot")
    assert await create("1.0", co2) == (201, "")
    assert await create("1.1", {**co2, "slot": "p1"}) == (422, "/fields/0/slot")
    assert await create("2.0", {**co2, "slot": "p1"}) == (201, "")
