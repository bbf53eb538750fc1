"""What edits come to for one device."""

from typing import Any

import msgspec
import pytest

from roadstead.core import registry
from roadstead.core.fleet import (
    AttributeAddition,
    AttributeTagEdit,
    Edit,
    FieldsEdit,
    TagEdit,
    TagsEdit,
)
from roadstead.core.fleet.editing import change_of
from roadstead.core.registry import AttributeDraft, DataType, Device, DeviceChange, DeviceDraft
from tests.conftest import Tenant


async def make(tenant: Tenant, **fields: Any) -> Device:
    async with tenant.work() as work:
        return await registry.create_device(work, DeviceDraft(title="pump", **fields))


async def test_of_two_edits_of_a_field_the_later_counts_and_notes_are_merged(acme: Tenant) -> None:
    device = await make(acme, notes={"losant": {"description": "old", "keepDuplicates": True}})
    edits: list[Edit] = [
        FieldsEdit(DeviceChange(title="first", notes={"losant": {"description": "new"}})),
        FieldsEdit(DeviceChange(title="second", notes={"losant": {"keepDuplicates": None}})),
    ]

    assert change_of(device, edits) == DeviceChange(
        title="second", notes={"losant": {"description": "new", "keepDuplicates": None}}
    )


async def test_what_is_so_already_is_no_change(acme: Tenant) -> None:
    device = await make(acme, tags={"line": "1"}, notes={"losant": {"description": "old"}})
    edits: list[Edit] = [
        FieldsEdit(DeviceChange(title="pump", parent_id=None, notes={"losant": {"description": "old", "other": None}})),
        TagEdit("line", "2"),
        TagEdit("hall", None),
        TagEdit("line", "1"),
        TagsEdit({"line": ["1"]}),
    ]
    assert change_of(device, edits) is None


async def test_a_key_of_tags_that_was_given_elsewhere_keeps_its_letters(acme: Tenant) -> None:
    device = await make(acme, tags={"floor/level": "1", "line": "1"})
    changes = [
        change_of(device, [TagEdit("floor_level", "2")]),
        change_of(device, [TagEdit("floor_level", None)]),
        change_of(device, [TagsEdit({"floor_level": ["2", "3"]})]),
    ]
    assert changes == [
        DeviceChange(tags={"floor/level": "2", "line": "1"}, repeated_tags={}),
        DeviceChange(tags={"floor/level": None, "line": "1"}, repeated_tags={}),
        DeviceChange(tags={"line": None, "floor/level": "2"}, repeated_tags={"floor/level": ["3"]}),
    ]


@pytest.mark.parametrize(
    "edit",
    [
        FieldsEdit(DeviceChange(title="x", parent_id=None)),
        TagEdit("line", None),
        TagsEdit({"line": ["1", "2"]}),
        AttributeAddition(AttributeDraft(name="flow", data_type=DataType.GPS, attribute_tags={"a": "b"})),
        AttributeTagEdit("flow", "unit", "m3"),
    ],
)
def test_an_edit_is_the_same_after_it_has_waited_in_a_job(edit: Edit) -> None:
    waiting = msgspec.json.encode(msgspec.to_builtins([edit]))
    assert msgspec.convert(msgspec.json.decode(waiting), list[Edit]) == [edit]
