"""States as devices spell them, from bytes to values (contract section 9)."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from roadstead.core.messages import Uplink
from roadstead.core.ports import RefusalReason, Reported
from roadstead.dialects.losant.times import read_time
from roadstead.dialects.losant.wire import LosantCodec, read_meta, spell_meta, split_states
from roadstead.kernel.ids import TenantId

NOW = 1_700_000_000_000
CODEC = LosantCodec()
DAY_MS = 86_400_000


def uplink(said: Any, channel: str = "state") -> Uplink:
    """A message of a device."""
    payload = said if isinstance(said, bytes) else msgspec.json.encode(said)
    return Uplink(TenantId(1), b"\1" * 12, "losant", channel, NOW, payload)


# --- times -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "at"),
    [
        (1_465_790_400_123, 1_465_790_400_123),
        (1_465_790_400, 1_465_790_400_000),
        (1_465_790_400.123, 1_465_790_400_123),
        ("1465790400123", 1_465_790_400_123),
        (-60_000, NOW - 60_000),
        ({"$date": "2016-06-13T04:00:00.123Z"}, 1_465_790_400_123),
        ({"$date": 1_465_790_400_123}, 1_465_790_400_123),
        ("2016-06-13T04:00:00.123Z", 1_465_790_400_123),
        ("2016-06-13T06:00:00+02:00", 1_465_790_400_000),
        ("2016-06-13T04:00:00", 1_465_790_400_000),
        ("2016-06-13 04:00:00", 1_465_790_400_000),
        ("2016-06-13", 1_465_776_000_000),
        ("2016-06", 1_464_739_200_000),
        ("Mon, 13 Jun 2016 04:00:00 GMT", 1_465_790_400_000),
        ("Mon Jun 13 2016 06:00:00 GMT+0200 (Central European Summer Time)", 1_465_790_400_000),
        ("June 13, 2016", 1_465_776_000_000),
        ("6/13/2016 4:00:00 AM", 1_465_790_400_000),
    ],
)
def test_a_time_is_told_in_many_ways(said: Any, at: int) -> None:
    assert read_time(said, NOW) == at


@pytest.mark.parametrize(
    "said",
    [None, "", "soon", True, [], {}, {"$date": None}, {"$date": "x", "b": 1}, 0, 1e300, "9" * 400, "99999-01-01"],
)
def test_a_time_that_cannot_be_read_is_that_of_receipt(said: Any) -> None:
    assert read_time(said, NOW) == NOW


_instants = some.datetimes(datetime(1980, 1, 1), datetime(2100, 1, 1), timezones=some.just(UTC))


@given(_instants)
def test_one_instant_is_the_same_however_it_is_spelled(instant: datetime) -> None:
    instant = instant.replace(microsecond=instant.microsecond // 1000 * 1000)
    millis = (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    seconds = millis // 1000 * 1000
    iso = instant.isoformat(timespec="milliseconds")
    assert {read_time(said, NOW) for said in (millis, iso, iso.replace("+00:00", "Z"), {"$date": iso})} == {millis}
    assert {read_time(said, NOW) for said in (millis // 1000, format_datetime(instant))} == {seconds}


@given(some.recursive(some.none() | some.booleans() | some.floats() | some.integers() | some.text(), some.lists))
def test_no_time_is_too_strange(said: Any) -> None:
    at = read_time(said, NOW)
    assert isinstance(at, int) and not isinstance(at, bool)


# --- states ----------------------------------------------------------------------------------------------------------


def test_a_plain_state_is_seen_at_a_glance() -> None:
    assert CODEC.glance(uplink({"data": {"a": 1, "b": "x"}, "time": NOW - 5})) == (("a", "b"), NOW - 5, (1, "x"))
    states = [{"data": {"a": 1}, "time": NOW - 5}, {"data": {"a": True}}]
    assert CODEC.glance(uplink(states)) == (("a", "a"), [NOW - 5, NOW], (1, True))


@pytest.mark.parametrize(
    "said",
    [
        {"data": {"a": 1}, "meta": None},
        {"data": {"a": 1}, "flowVersion": "x"},
        {"data": {"a": [1]}},
        {"data": {"a": 1}, "time": NOW - 31 * DAY_MS},
        [{"data": {"a": 1}}, {"data": {"a": 2}}],
        {"data": {}},
        b"{",
    ],
)
def test_others_take_a_closer_look(said: Any) -> None:
    assert CODEC.glance(uplink(said)) is None


_numbers = some.floats(allow_nan=False, allow_infinity=False)
_scalars = some.booleans() | some.integers(-(2**60), 2**60) | _numbers | some.text(max_size=5)
_data = some.dictionaries(some.sampled_from(["a", "b", "c"]), _scalars | some.none() | some.just([1]), max_size=3)
_times = some.none() | some.integers(-DAY_MS, DAY_MS) | some.integers(NOW - 40 * DAY_MS, NOW + 2 * DAY_MS)
_states = some.fixed_dictionaries({"data": _data}, optional={"time": _times, "meta": some.just({"m": 1})})


@given(_states | some.lists(_states, max_size=4))
def test_a_glance_tells_what_a_closer_look_would(said: Any) -> None:
    glance, decoded = CODEC.glance(uplink(said)), CODEC.decode(uplink(said))
    if glance is None:
        return
    names, at, values = glance
    times = [at] * len(names) if isinstance(at, int) else at
    found = [Reported(name, when, value) for name, when, value in zip(names, times, values, strict=True)]
    assert decoded.reported == found and not decoded.refused


@given(some.binary(max_size=40) | some.recursive(_scalars, some.lists).map(msgspec.json.encode))
def test_nothing_that_devices_send_makes_it_fail(payload: bytes) -> None:
    CODEC.glance(uplink(payload))
    CODEC.decode(uplink(payload))


def test_what_is_wrong_with_one_state_of_a_list_is_said_of_that_one() -> None:
    said = [{"data": {"a": 1}}, {"value": 5}, {"data": {"a": 2}, "time": NOW - 31 * DAY_MS}, {"data": {"n" * 256: 1}}]
    decoded = CODEC.decode(uplink(said))
    assert decoded.reported == [Reported("a", NOW, 1)]
    assert [(one.index, one.reason, one.payload) for one in decoded.refused] == [
        (1, RefusalReason.MALFORMED, msgspec.json.encode(said[1])),
        (2, RefusalReason.BAD_TIMESTAMP, msgspec.json.encode(said[2])),
        (3, RefusalReason.TOO_LARGE, msgspec.json.encode(said[3])),
    ]


def test_how_old_states_may_be_is_for_the_settings_to_say() -> None:
    strict = LosantCodec(oldest=timedelta(seconds=10), ahead=timedelta(seconds=5))
    for distance, taken in ((-10_000, True), (-10_001, False), (5_000, True), (5_001, False)):
        said = uplink({"data": {"a": 1}, "time": NOW + distance})
        assert bool(strict.decode(said).reported) is (strict.glance(said) is not None) is taken


def test_metadata_that_is_too_large_is_dropped_and_the_values_stay() -> None:
    decoded = CODEC.decode(uplink({"data": {"a": 1}, "meta": "x" * 11_000}))
    assert decoded.reported == [Reported("a", NOW, 1)]
    assert [one.reason for one in decoded.refused] == [RefusalReason.TOO_LARGE]


def test_there_is_one_channel() -> None:
    assert [one.reason for one in CODEC.decode(uplink({}, "command")).refused] == [RefusalReason.MALFORMED]


_json = some.recursive(
    some.none() | some.booleans() | some.integers(-(2**53), 2**53) | some.text(max_size=5),
    lambda inner: (
        some.lists(inner, max_size=3)
        | some.dictionaries(some.sampled_from(["meta", "flowVersion", "other"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(_json, some.none() | some.text(min_size=1, max_size=5))
def test_meta_and_flow_version_are_read_as_they_were_said(meta: Any, version: str | None) -> None:
    metadata = msgspec.json.decode(spell_meta(meta, version))
    assert isinstance(metadata, dict)
    assert read_meta(metadata) == {"meta": meta} | ({} if version is None else {"flowVersion": version})


@given(some.lists(_states, max_size=6), some.integers(10, 400))
def test_states_are_split_into_lists_that_say_the_same(states: list[Any], most_bytes: int) -> None:
    lists = split_states(states, most_bytes)
    assert [state for one in lists for state in msgspec.json.decode(one)] == states
    assert all(len(one) <= most_bytes + 2 or len(msgspec.json.decode(one)) == 1 for one in lists)
