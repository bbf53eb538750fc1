"""The newest values of a device, put together: what is merged, and what newer values replace."""

from datetime import timedelta
from typing import Any

import pytest

from roadstead.core.telemetry import Watch, put_together
from roadstead.core.telemetry.sections import watch
from roadstead.core.types import Section, TypeSchema
from roadstead.kernel.time import EPOCH

_SCHEMA = TypeSchema(
    {
        "attributes": {
            "air": {"type": "object"},
            "zones": {"type": "array", "items": {"type": "boolean"}},
            "mood": {"type": ["string", "null"]},
            "label": {"type": "string"},
            "additionalProperties": True,
        }
    }
)


def put(*reports: dict[str, Any], schema: TypeSchema | None = _SCHEMA) -> dict[str, Any]:
    """What the attributes are after reports, each a moment after the one before."""
    body: dict[str, Any] = {}
    for at, report in enumerate(reports):
        body |= {path: [value, at, at] for path, value in report.items()}
    return put_together(body, schema)[Section.ATTRIBUTES]


def test_configuration_stands_beside_attributes_and_what_is_the_platforms_own_is_not_told() -> None:
    body: dict[str, list[Any]] = {
        "people": [4, 1, 1],
        "configuration/led.mode": ["on", 1, 1],
        "$health/uptimeSeconds": [7, 1, 1],
    }
    assert put_together(body, _SCHEMA) == {
        Section.ATTRIBUTES: {"people": 4},
        Section.CONFIGURATION: {"led": {"mode": "on"}},
    }


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        ([{"air.co2": 1, "air.voc": 2}, {"air.co2": 3}], {"air": {"co2": 3, "voc": 2}}),
        ([{"zones[0]": True, "zones[1]": True}, {"zones[0]": False}], {"zones": [False]}),
        ([{"zones[0]": True, "zones[1]": True}, {"zones": "[]"}], {"zones": []}),
        ([{"zones": "[]"}, {"zones[0]": True}], {"zones": [True]}),
        ([{"air.co2": 1, "air.voc": 2}, {"air": "{}"}], {"air": {"co2": 1, "voc": 2}}),
        ([{"air": "{}"}], {"air": {}}),
        ([{"x.a": 1, "x.b": 2}, {"x": 5}, {"x.a": 3}], {"x": {"a": 3}}),
        ([{"x.a": 1, "x.b": 2}, {"x": 5}], {"x": 5}),
        ([{"x.a": 1}, {"x[0]": 2}], {"x": [2]}),
        ([{"x[0]": 1}, {"x.a": 2}], {"x": {"a": 2}}),
        ([{"x[0]": 1}, {"x": "{}"}], {"x": {}}),
        ([{"mood": "null"}], {"mood": None}),
        ([{"mood": '"null"'}], {"mood": "null"}),
        ([{"label": "null"}], {"label": "null"}),
        ([{"free": '[{"a":1}]'}], {"free": [{"a": 1}]}),
    ],
)
def test_objects_are_merged_and_everything_else_is_replaced(reports: list[Any], expected: dict[str, Any]) -> None:
    assert put(*reports) == expected


def test_what_replaces_what_is_the_same_without_a_type_and_for_the_configuration() -> None:
    body: dict[str, list[Any]] = {
        "zones[0]": [1, 2, 2],
        "zones[1]": [1, 1, 1],
        "configuration/days[0]": ["mo", 2, 2],
        "configuration/days[1]": ["tu", 1, 1],
    }
    assert put_together(body, None) == {
        Section.ATTRIBUTES: {"zones": [1]},
        Section.CONFIGURATION: {"days": ["mo"]},
    }


def test_sensors_of_components_look_like_members_and_their_lists_may_come_one_by_one() -> None:
    body: dict[str, Any] = {"motor/temperature": 60.5, "motor/coils[0]": 1, "motor/coils[1]": 2}
    assert put(body, {"motor/coils[0]": 3}, schema=None) == {"motor": {"temperature": 60.5, "coils": [3, 2]}}


def test_a_device_is_on_line_when_it_was_heard_within_its_interval() -> None:
    heard = EPOCH + timedelta(hours=1)
    assert watch(heard, 60, heard + timedelta(seconds=59)) is Watch.ONLINE
    assert watch(heard, 60, heard + timedelta(seconds=60)) is Watch.OFFLINE
    assert watch(heard, None, heard) is Watch.NOT_MONITORED
    assert watch(heard, 0, heard) is Watch.NOT_MONITORED
    assert watch(None, 60, heard) is Watch.NOT_MONITORED
