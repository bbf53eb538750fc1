"""What a payload must be like to fit a sensor profile."""

import math
from typing import Any

import pytest

from roadstead.core.types import ProfileField, ProfileReference, SensorProfile, ValueType, Version, read_value
from roadstead.kernel import time
from roadstead.kernel.ids import ProfileId, new_id


def profile(*fields: ProfileField) -> SensorProfile:
    """A profile of these fields."""
    return SensorProfile(
        id=ProfileId(new_id()),
        key="p",
        major=1,
        minor=2,
        name="P",
        description=None,
        fields=list(fields),
        config_schema=None,
        pack_id=None,
        deprecated=False,
        created_at=time.now(),
    )


def field(value_type: str = "DOUBLE", **more: Any) -> ProfileField:
    """A field `f`."""
    return ProfileField(name="f", value_type=ValueType(value_type), **more)


@pytest.mark.parametrize(
    ("one", "value", "code"),
    [
        (field(), 1.5, None),
        (field(), 1, None),
        (field(), "1", "TYPE_MISMATCH"),
        (field(), True, "TYPE_MISMATCH"),
        (field(), 10**400, "OUT_OF_RANGE"),
        (field(min=0, max=5), 5, None),
        (field(min=0, max=5), 5.1, "OUT_OF_RANGE"),
        (field(min=0, max=5), -0.1, "OUT_OF_RANGE"),
        (field("BIGINT"), 7, None),
        (field("BIGINT"), 7.0, None),
        (field("BIGINT"), 7.5, "TYPE_MISMATCH"),
        (field("BIGINT"), 2**63, "OUT_OF_RANGE"),
        (field("BIGINT"), -(2**63), None),
        (field("BOOLEAN"), False, None),
        (field("BOOLEAN"), 0, "TYPE_MISMATCH"),
        (field("TEXT"), "x" * 1000, None),
        (field("TEXT"), "x" * 1001, "TOO_LARGE"),
        (field("TEXT"), "\0", "MALFORMED"),
        (field("TEXT"), 5, "TYPE_MISMATCH"),
        (field("TEXT", enum=["on", "off"]), "on", None),
        (field("TEXT", enum=["on", "off"]), "ON", "OUT_OF_RANGE"),
        (field("DOUBLE", enum=[1, 2]), 2.0, None),
        (field(array_size=2), [1, 2], None),
        (field(array_size=2), [1], "ARRAY_SIZE"),
        (field(array_size=2), 1, "TYPE_MISMATCH"),
        (field(array_size=2, max=1), [1, 2], "OUT_OF_RANGE"),
        (field(), None, None),
        (field(required=True), None, "MISSING_FIELD"),
    ],
)
def test_a_value_fits_its_field_or_the_reason_is_given(one: ProfileField, value: object, code: str | None) -> None:
    assert [problem.code for problem in profile(one).check({"f": value})] == ([code] if code else [])


def test_every_problem_of_a_payload_is_told_with_its_place() -> None:
    one = profile(field(required=True), ProfileField(name="g", value_type=ValueType.BIGINT, array_size=2))
    problems = one.check({"g": [1, "x"], "a/b": 1})
    assert sorted((problem.pointer, problem.code) for problem in problems) == [
        ("/a~1b", "UNKNOWN_SENSOR"),
        ("/f", "MISSING_FIELD"),
        ("/g/1", "TYPE_MISMATCH"),
    ]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_no_number(value: float) -> None:
    assert read_value(value, ValueType.DOUBLE) is None
    assert read_value(value, ValueType.BIGINT) is None


def test_a_list_field_has_a_sensor_for_each_item() -> None:
    one = profile(ProfileField(name="axis", value_type=ValueType.DOUBLE, array_size=3, label="Axis", unit="g"))
    assert [(sensor.key, sensor.name, sensor.unit) for sensor in one.sensors()] == [
        ("axis[0]", "Axis[0]", "g"),
        ("axis[1]", "Axis[1]", "g"),
        ("axis[2]", "Axis[2]", "g"),
    ]


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("pump", ProfileReference("pump")),
        ("pump@1.10", ProfileReference("pump", Version(1, 10))),
        ("a@b@2.0", ProfileReference("a@b", Version(2, 0))),
        ("pump@1", None),
        ("pump@01.0", None),
        ("@1.0", None),
    ],
)
def test_a_reference_is_a_key_with_or_without_a_version(text: str, reference: ProfileReference | None) -> None:
    assert ProfileReference.parse(text) == reference
    assert reference is None or str(reference) == text


def test_versions_order_by_number() -> None:
    assert sorted(Version(*numbers) for numbers in [(2, 0), (1, 10), (1, 9)]) == [
        Version(1, 9),
        Version(1, 10),
        Version(2, 0),
    ]
