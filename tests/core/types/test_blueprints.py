"""Paths, types and aliases of blueprints, and the sections that follow from attributes."""

from datetime import UTC, datetime
from typing import Any

import pytest

from roadstead.core.types import Attribute, Leaf, TypeSchema, sections_from
from roadstead.core.types.blueprint_model import alias_from, check_alias
from roadstead.kernel.errors import Invalid
from roadstead.kernel.ids import TypeId, new_id


def attribute(path: str, type_: str, **fields: Any) -> Attribute:
    """One that was made at some time."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    beside = {"name": None, "units": None, "relationship": None, "target_id": None, "inverse_of": None}
    rest: dict[str, Any] = {"forward_data": False, "choices": None, "notes": {}, "created_at": at, "updated_at": at}
    blueprint_id = TypeId(new_id())
    return Attribute(id=new_id(), blueprint_id=blueprint_id, path=path, type=type_, **(beside | rest | fields))


def test_sections_hold_what_has_a_value_and_take_more() -> None:
    sections = sections_from(
        [
            attribute("position/accuracy", "length", units="m"),
            attribute("position", "geoPoint"),
            attribute("seen", "timestamp"),
            attribute("parts", "relationship"),
            attribute("whole", "parentRelationship"),
            attribute("state", "enum", choices=["on", "off"]),
        ]
    )
    schema = TypeSchema(sections)
    assert dict(schema.leaves()) == {
        "position.accuracy": Leaf.DOUBLE,
        "position.lat": Leaf.DOUBLE,
        "position.lon": Leaf.DOUBLE,
        "state": Leaf.TEXT,
    }
    assert all(section["additionalProperties"] is True for section in sections.values())
    assert sections_from([attribute("position", "geoPoint")])["attributes"]["position"]["properties"].keys() == {
        "lat",
        "lon",
    }


def test_the_order_of_attributes_does_not_matter() -> None:
    attributes = [attribute("a/b", "int"), attribute("a", "object", name="A"), attribute("a/c/d", "string")]
    assert sections_from(attributes) == sections_from(reversed(attributes))


@pytest.mark.parametrize(
    ("name", "alias"),
    [
        ("Air Sensor 2", "airSensor2"),
        ("tag", "tag"),
        ("GPS-Tracker", "gPSTracker"),
        ("3rd floor", "rdFloor"),
        ("Häfen", "hFen"),
        ("船", "blueprint"),
        ("x" * 200, "x" * 100),
    ],
)
def test_an_alias_resembles_the_name_and_is_one(name: str, alias: str) -> None:
    assert alias_from(name) == alias
    check_alias(alias)


@pytest.mark.parametrize("alias", ["Tag", "air-sensor", "", "air sensor", "1a", "a.b", "a/b", "x" * 101])
def test_an_alias_is_camel_case(alias: str) -> None:
    with pytest.raises(Invalid, match="alias"):
        check_alias(alias)
