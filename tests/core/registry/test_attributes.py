"""Attributes: sensors as programs see them that give each a type."""

import pytest

from roadstead.core import registry
from roadstead.core.messages import ValueType
from roadstead.core.registry import (
    AttributeChange,
    AttributeDraft,
    DataType,
    DeviceDraft,
    SensorDraft,
    spell_name,
)
from roadstead.core.registry.classes import settle_repeated
from roadstead.kernel.errors import Conflict, Invalid, NotFound
from tests.conftest import Tenant


async def test_sensors_that_would_be_called_alike_are_told_apart(acme: Tenant) -> None:
    async with acme.work() as work:
        device = await registry.create_device(work, DeviceDraft(name="pump"))
        for key in ("a.b", "a_b", "a b", "ü" * 255):
            await registry.create_sensor(work, SensorDraft(device_id=device.id, key=key, value_type=ValueType.DOUBLE))
        found = (await registry.find_attributes(work, [device.id]))[device.id]
        assert {each.path: each.name for each in found} == {
            "a b": "a_b",
            "a.b": "a_b_2",
            "a_b": "a_b_3",
            "ü" * 255: "_" * 255,
        }
        for each in found:
            assert each.name.startswith(spell_name(each.path))


async def test_an_attribute_asked_for_by_its_name_is_the_same_as_among_all(acme: Tenant, globex: Tenant) -> None:
    alike = [
        "a b",
        "a.b",
        "a_b",
        "a b_2",
        "a_b_2",
        "a_b_2_2",
        "a b_",
        "a_bc",
        "a",
        "A b",
        "_2",
        "2",
        "a_b_x_3",
        "a.b.x",
    ]
    long = ["ü" * 255, "ö" * 255, "ü" * 253 + "_2", "ü" * 254, "ö" * 254]
    async with acme.work() as work:
        device, other = [await registry.create_device(work, DeviceDraft(name=name)) for name in ("pump", "fan")]
        for key in (*alike, *long):
            await registry.create_sensor(work, SensorDraft(device_id=device.id, key=key, value_type=ValueType.DOUBLE))
        everything = (await registry.find_attributes(work, [device.id]))[device.id]
        names = [each.name for each in everything]
        assert len(set(names)) == len(names) == len(alike) + len(long)
        for asked in (
            [],
            *([name] for name in names),
            names[::2],
            ["a_b_9", "a.b", "\0", "a_b_3"],
            [*names, *"bcd" * 99],
        ):
            found = await registry.find_attributes(work, [device.id, other.id], asked)
            assert found == {device.id: [each for each in everything if each.name in asked], other.id: []}
    async with globex.work() as work:
        assert await registry.find_attributes(work, [device.id], names) == {device.id: []}


async def test_an_attribute_is_the_sensor_that_carries_it(acme: Tenant, globex: Tenant) -> None:
    async with acme.work() as work:
        device = await registry.create_device(work, DeviceDraft(name="pump"))
        drafts = [AttributeDraft(name=each.value, data_type=each) for each in DataType]
        await registry.create_device_attributes(work, device.id, drafts)
        found = await registry.list_device_attributes(work, device.id)
        assert [(each.name, each.data_type) for each in found] == sorted((each.value, each) for each in DataType)
        kinds = {each.name: (await registry.get_sensor(work, each.sensor_id)).value_type for each in found}
        assert kinds == {"number": "DOUBLE", "boolean": "BOOLEAN", "gps": "TEXT", "blob": "TEXT", "string": "TEXT"}
        # Who says elsewhere that a place is a number, before it has reported, is believed.
        place = next(each for each in found if each.data_type is DataType.GPS)
        await work.tx.run("UPDATE sensor SET value_type = 'DOUBLE' WHERE id = %s", place.sensor_id)
        again = await registry.list_device_attributes(work, device.id)
        assert next(each for each in again if each.name == "gps").data_type is DataType.NUMBER
    async with globex.work() as work:
        with pytest.raises(NotFound):
            await registry.create_device_attributes(work, device.id, drafts)
        assert await registry.list_device_attributes(work, device.id) == []


async def test_an_attribute_changes_the_version_of_its_device(acme: Tenant) -> None:
    async with acme.work() as work:
        device = await registry.create_device(work, DeviceDraft(name="pump"))
        await registry.create_device_attributes(work, device.id, [AttributeDraft(name="a", data_type=DataType.NUMBER)])
        await registry.change_device_attribute(work, device.id, "a", AttributeChange(description="x"))
        await registry.change_device_attribute(work, device.id, "a", AttributeChange(description="x"))
        assert (await registry.get_device(work, device.id)).version == 3
        with pytest.raises(Conflict, match="'a' already exists"):
            draft = AttributeDraft(name="a", data_type=DataType.GPS)
            await registry.create_device_attributes(work, device.id, [draft])
        with pytest.raises(Invalid, match="name"):
            await registry.change_device_attribute(work, device.id, "a", AttributeChange(name="a b"))


def test_further_values_of_a_tag_stay_as_long_as_its_first_one_does() -> None:
    repeated = {"a": ["2", "3"], "b": ["5"], "c": ["7"]}
    before = {"a": "1", "b": "4", "c": "6"}
    assert settle_repeated(before, {"a": "1", "b": "x", "d": "y"}, repeated) == {"a": ["2", "3"]}
