"""What values of a device type must be like, and where they lie."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadstead.core.types import (
    Leaf,
    Section,
    TypeSchema,
    from_stored,
    nest,
    parse_json_path,
    spell_json_path,
    spellings,
    split_path,
    to_stored,
)

ATTRIBUTES: dict[str, Any] = {
    "people": {"type": "integer", "minimum": 0},
    "air": {"type": "object", "properties": {"co2": {"type": "number"}}, "required": ["co2"]},
    "zones": {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 5},
    "any": {},
    "either": {"type": ["number", "null"]},
    "whole": {"type": ["integer", "number"]},
    "mode": {"enum": ["off", "on"]},
    "on": {"const": True},
    "count": {"enum": [1, 2.5]},
    "objects": {"type": "array", "items": {"type": "object"}},
    "pair": {"type": "array", "items": [{"type": "number"}, {"type": "string"}]},
    "free": {"type": "object", "additionalProperties": {"type": "string"}},
    "true": True,
    "required": ["people"],
}
SCHEMA = TypeSchema(
    {"attributes": ATTRIBUTES, "configuration": {"led": {"type": "string"}}, "events": {"tampered": {}}}
)
OPEN = TypeSchema({"attributes": {"additionalProperties": True}})

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text("ab./~[]$0", max_size=4) | st.sampled_from(sorted(ATTRIBUTES)), JSON, max_size=4)


def test_everything_that_is_wrong_is_listed() -> None:
    value = {"people": -1.5, "air": {"co2": "much"}, "zones": [True], "smell": "bad", "required": ["x"]}
    assert sorted(SCHEMA.problems(Section.ATTRIBUTES, value)) == [
        'attributes.air.co2: "much" is not of type "number"',
        "attributes.people: -1.5 is less than the minimum of 0",
        'attributes.people: -1.5 is not of type "integer"',
        "attributes.required is not declared in the device type",
        "attributes.smell is not declared in the device type",
        "attributes.zones: [true] has less than 2 items",
    ]


def test_what_a_section_requires_is_asked_for_only_of_whole_values() -> None:
    assert SCHEMA.problems(Section.ATTRIBUTES, {}) == ["attributes.people is required"]
    assert SCHEMA.problems(Section.ATTRIBUTES, {}, partial=True) == []
    assert SCHEMA.problems(Section.ATTRIBUTES, {"air": {}}, partial=True) == [
        'attributes.air: "co2" is a required property'
    ]


def test_text_is_no_number_and_a_whole_number_is_one() -> None:
    assert SCHEMA.problems(Section.ATTRIBUTES, {"people": "3"}, partial=True) != []
    assert SCHEMA.problems(Section.ATTRIBUTES, {"people": 3.0, "air": {"co2": 400}}) == []
    assert SCHEMA.problems(Section.CONFIGURATION, {"led": "3"}) == []


def test_a_section_takes_others_than_it_names_only_when_it_says_so() -> None:
    assert SCHEMA.problems(Section.CONFIGURATION, {"lid": 1}) != []
    assert OPEN.problems(Section.ATTRIBUTES, {"lid": {"a": [1]}}) == []
    assert [SCHEMA.declares(Section.EVENTS, name) for name in ("tampered", "crowded", "required")] == [
        True,
        False,
        False,
    ]
    assert [SCHEMA.declares(Section.ACTIONS, "blink"), OPEN.declares(Section.ATTRIBUTES, "x")] == [False, True]


def test_a_problem_is_short_however_long_the_value() -> None:
    (problem,) = SCHEMA.problems(Section.ATTRIBUTES, {"people": "x" * 100_000}, partial=True)
    assert len(problem) <= 300
    many = {str(number): 0 for number in range(1_000)}
    assert len(SCHEMA.problems(Section.ATTRIBUTES, many, partial=True)) == 100


def test_a_pattern_that_would_never_end_ends() -> None:
    slow = TypeSchema({"attributes": {"a": {"type": "string", "pattern": "^(a+)+$"}}})
    assert slow.problems(Section.ATTRIBUTES, {"a": "a" * 60 + "b"}) != []


@pytest.mark.parametrize(
    ("path", "leaf"),
    [
        ("people", Leaf.BIGINT),
        ("air.co2", Leaf.DOUBLE),
        ("zones[4]", Leaf.BOOLEAN),
        ("any", Leaf.JSON),
        ("either", Leaf.JSON),
        ("whole", Leaf.DOUBLE),
        ("mode", Leaf.TEXT),
        ("on", Leaf.BOOLEAN),
        ("count", Leaf.DOUBLE),
        ("objects", Leaf.JSON),
        ("pair", Leaf.JSON),
        ("free.a", Leaf.TEXT),
        ("true", Leaf.JSON),
        ("air", Leaf.JSON),
        ("configuration/led", Leaf.TEXT),
        ("led", None),
        ("air.voc", None),
        ("required", None),
    ],
)
def test_a_path_has_the_type_its_schema_says(path: str, leaf: Leaf | None) -> None:
    assert SCHEMA.leaf(path) is leaf


def test_sensors_are_known_beforehand_as_far_as_they_are_scalars() -> None:
    leaves = dict(SCHEMA.leaves())
    assert {path for path in leaves if path.startswith("zones")} == {f"zones[{index}]" for index in range(5)}
    assert leaves["air.co2"] is Leaf.DOUBLE and leaves["configuration/led"] is Leaf.TEXT
    assert not {"air", "free", "required", "tampered"} & leaves.keys()
    endless = TypeSchema({"attributes": {"a": {"type": "array", "items": {"type": "number"}}}})
    assert endless.leaves() == []


def test_values_lie_where_their_schema_says() -> None:
    value: dict[str, Any] = {"air": {"co2": 4, "voc": [1, 2]}, "zones": [True, False], "objects": [{}]}
    value |= {"any": {"a": 1}, "either": None}
    assert SCHEMA.flatten(Section.ATTRIBUTES, value) == [
        ("air.co2", 4),
        ("air.voc[0]", 1),
        ("air.voc[1]", 2),
        ("zones[0]", True),
        ("zones[1]", False),
        ("objects", [{}]),
        ("any", {"a": 1}),
        ("either", None),
    ]
    assert SCHEMA.flatten(Section.CONFIGURATION, {"led": "on"}) == [("configuration/led", "on")]


@given(OBJECTS, st.sampled_from([SCHEMA, OPEN]), st.sampled_from([Section.ATTRIBUTES, Section.CONFIGURATION]))
def test_what_was_taken_apart_is_put_together_again(
    value: dict[str, Any], schema: TypeSchema, section: Section
) -> None:
    pairs = schema.flatten(section, value)
    assert nest(pairs)[section] == value
    for path, _ in pairs:
        assert split_path(path)[0] is section
        assert parse_json_path(spell_json_path(path)) in (path, None)


@given(JSON, st.sampled_from([Leaf.JSON, None]))
def test_what_is_stored_as_text_is_read_again(value: Any, leaf: Leaf | None) -> None:
    stored = to_stored(leaf, value)
    if leaf is Leaf.JSON or not isinstance(value, str) or not value.startswith(("{", "[", "null")):
        assert from_stored(leaf, stored) == value


def test_text_that_is_declared_as_such_stays_text() -> None:
    assert from_stored(Leaf.TEXT, "[1]") == "[1]"
    assert from_stored(None, "[not a list") == "[not a list"
    assert from_stored(Leaf.JSON, "plain") == "plain"


def test_what_lies_in_the_way_of_others_is_left_out() -> None:
    assert nest([("a", 1), ("a.b", 2), ("c.d", 3), ("c", 4)])[Section.ATTRIBUTES] == {"a": {"b": 2}, "c": {"d": 3}}


def test_sensors_of_components_are_attributes_within_an_object() -> None:
    nested = nest([("motor/temperature", 21.5), ("motor/phases[1]", 2), ("configuration/led", "on"), ("x[9999999]", 1)])
    assert nested == {
        Section.ATTRIBUTES: {"motor": {"temperature": 21.5, "phases": [None, 2]}, "x[9999999]": 1},
        Section.CONFIGURATION: {"led": "on"},
    }
    assert spellings("motor.phase.a") == ["motor.phase.a", "motor/phase.a", "motor.phase/a"]
    assert spellings("configuration/led.a") == ["configuration/led.a"]
    assert spellings("configuration.led") == ["configuration.led"]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("$.attributes.people", "people"),
        ("$.attributes.air.co2", "air.co2"),
        ("$.attributes.zones[0]", "zones[0]"),
        ("$.attributes['a.b'].c", "a~2b.c"),
        ('$.configuration["led"]', "configuration/led"),
        ("$.configuration.a-b c", "configuration/a-b c"),
        ("$.attributes", None),
        ("$.attributes.", None),
        ("$.attributes[0]", None),
        ("$.attributes.zones[*]", None),
        ("$.attributes..co2", None),
        ("$.events.crowded", None),
        ("attributes.people", None),
        ("", None),
    ],
)
def test_a_json_path_names_one_value(text: str, path: str | None) -> None:
    assert parse_json_path(text) == path
