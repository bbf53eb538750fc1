"""Points of a tenant's own series: which fit, and how their values lie in the store."""

from datetime import UTC, datetime
from typing import Any

import pytest

from roadstead.core.timeseries.model import (
    MOST_POINTS,
    Kind,
    PointDraft,
    SeriesId,
    Timeseries,
    check_points,
    from_stored,
    to_stored,
)
from roadstead.kernel.errors import Invalid
from roadstead.kernel.ids import new_id

NOW = datetime(2024, 5, 1, tzinfo=UTC)


def series(**data_type: Any) -> Timeseries:
    """One of a type."""
    return Timeseries(
        id=SeriesId(new_id()), name="load", data_type=data_type, metadata=None, created_at=NOW, updated_at=NOW
    )


@pytest.mark.parametrize(
    ("kind", "value", "number", "text"),
    [
        (Kind.NUMBER, 1.5, 1.5, ""),
        (Kind.INTEGER, 3.0, 3.0, ""),
        (Kind.INTEGER, 2**62 + 1, float(2**62 + 1), str(2**62 + 1)),
        (Kind.BOOLEAN, True, 1.0, "true"),
        (Kind.STRING, "true", None, "true"),
        (Kind.OBJECT, {"b": [1, None], "a": "ü"}, None, '{"b":[1,null],"a":"ü"}'),
    ],
)
def test_a_value_is_the_same_after_it_was_stored(kind: Kind, value: Any, number: float | None, text: str) -> None:
    stored = to_stored(kind, value)

    assert stored == (text if number is None else value)
    assert from_stored(kind, number, text) == value


def test_what_was_stored_as_another_type_is_told_as_it_lies_there() -> None:
    assert from_stored(Kind.OBJECT, 1.5, "") == 1.5
    assert from_stored(Kind.OBJECT, None, "no JSON") == "no JSON"
    assert from_stored(Kind.STRING, 0.0, "false") is False
    assert from_stored(Kind.NUMBER, None, "a word") == "a word"


def test_the_first_point_that_does_not_fit_is_named() -> None:
    drafts = [PointDraft(1), PointDraft("two"), PointDraft("three")]

    with pytest.raises(Invalid, match="data/1/value"):
        check_points(series(type="number"), drafts)
    with pytest.raises(Invalid, match="data/0/time"):
        check_points(series(type="number"), [PointDraft(1, datetime(2299, 1, 1, tzinfo=UTC))])
    with pytest.raises(Invalid, match=f"1 to {MOST_POINTS}"):
        check_points(series(type="number"), [PointDraft(1)] * (MOST_POINTS + 1))


def test_members_that_an_object_must_have_are_asked_for() -> None:
    place = series(type="object", properties={"lat": {"type": "number"}}, required=["lat"], additionalProperties=False)

    check_points(place, [PointDraft({"lat": 1})])
    for wrong in ({}, {"lat": "1"}, {"lat": 1, "lon": 2}):
        with pytest.raises(Invalid, match="data/0/value"):
            check_points(place, [PointDraft(wrong)])
