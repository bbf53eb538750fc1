"""When systems are due, and what their attributes can be: without a server."""

from datetime import UTC, datetime, timedelta

import pytest

from roadstead.core.registry import DataType
from roadstead.core.systems import Due
from roadstead.core.systems.model import fit_value, read_recipe
from roadstead.kernel.ids import DeviceId, TenantId, new_id

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(("late_s", "instant_s"), [(0, 0), (0.4, 0), (29.9, 0), (30, 30), (601, 600), (-5, 0)])
def test_a_turn_is_of_the_last_instant_and_what_was_missed_is_not_made_up_for(late_s: float, instant_s: float) -> None:
    due = Due(TenantId(1), DeviceId(new_id()), 30, NOON)
    now = NOON + timedelta(seconds=late_s)
    assert due.instant(now) == NOON + timedelta(seconds=instant_s)
    assert due.next(now) == NOON + timedelta(seconds=instant_s + 30)


@pytest.mark.parametrize(
    ("data_type", "value", "fitting"),
    [
        (DataType.NUMBER, 1.5, 1.5),
        (DataType.NUMBER, True, 1),
        (DataType.NUMBER, "1.5", None),
        (DataType.NUMBER, float("inf"), None),
        (DataType.BOOLEAN, 1.0, True),
        (DataType.BOOLEAN, False, False),
        (DataType.BOOLEAN, 0.5, None),
        (DataType.STRING, "on", "on"),
        (DataType.STRING, 3.0, "3"),
        (DataType.STRING, 2.5, "2.5"),
        (DataType.STRING, True, "true"),
        (DataType.GPS, "51.5,-0.1", "51.5,-0.1"),
        (DataType.GPS, "here", None),
        (DataType.GPS, 51.5, None),
        (DataType.BLOB, "sha256:00", None),
    ],
)
def test_a_value_takes_the_type_of_the_attribute_or_is_none(
    data_type: DataType, value: object, fitting: object
) -> None:
    found = fit_value(data_type, value)
    assert (found, type(found)) == (fitting, type(fitting))


def test_a_recipe_that_says_too_little_is_none() -> None:
    assert read_recipe({}) is None
    assert read_recipe({"aggregation": "MODE"}) is None
    assert read_recipe({"aggregation": "MEAN", "childAttributes": [{"name": "a"}]}) is None
    found = read_recipe({"aggregation": "MEAN", "aggregationOptions": [], "childAttributes": []})
    assert found is not None and found.child_attributes == []
    chosen = {"name": "a", "mode": "whitelist", "deviceIds": ["nobody", "0" * 24]}
    one = read_recipe({"aggregation": "MEAN", "childAttributes": [chosen]})
    assert one is not None and len(one.child_attributes[0].named) == 1
