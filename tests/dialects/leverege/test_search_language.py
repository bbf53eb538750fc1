"""The search language against an oracle in plain Python, over generated devices in real PostgreSQL; and its errors."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roadstead.core.registry.device_store import DEVICE_FIELDS
from roadstead.core.telemetry.value_rows import folded, rows_of, words_of
from roadstead.core.types import Section, join_path
from roadstead.db.filters import compile_filter
from roadstead.dialects.leverege.search_fields import Names
from roadstead.dialects.leverege.search_language import read_filter
from roadstead.kernel.errors import Invalid
from roadstead.kernel.ids import to_base62
from tests.dialects.leverege.search_oracle import Thing, is_true

PROJECT = UUID(int=7)
NAMES = Names(project_id=PROJECT)
IDS = [UUID(int=number) for number in range(1, 5)]

TEXTS = st.sampled_from(["", "a", "A", "ab", "AB-1", "ab-x", "na b", "ä1", "aä", "a.b%_\\", "B"])
DATES = st.sampled_from(["2026-01-10", "2026-01-10T05:00:00Z", "2026-01-10T23:30:00+01:00", "2026-03-29T01:30:00"])
MILLIS = st.sampled_from([1768003200000, 1768021200000, 1774747800000])
NUMBERS = st.sampled_from([0, 1, 1.5])
SCALARS = TEXTS | DATES | NUMBERS | MILLIS | st.booleans()
LATITUDES, LONGITUDES = (
    st.sampled_from([-45.0, 0.0, 0.1, 45.0]),
    st.sampled_from([-179.0, -90.0, 0.0, 0.1, 90.0, 179.0]),
)
PLACES = st.fixed_dictionaries({"lat": LATITUDES, "lon": LONGITUDES})
LEAVES = st.sampled_from(["data/a", "data/a", "data/b", "data/sub/c", "data/sub"])
FIELDS = LEAVES | st.sampled_from(["name", "networkAliases/net/key", "networkId"])
DATA = st.fixed_dictionaries(
    {"a": st.none() | SCALARS | st.lists(SCALARS, min_size=1, max_size=3), "when": DATES | MILLIS | NUMBERS},
    optional={
        "b": SCALARS | st.lists(st.fixed_dictionaries({"x": SCALARS}), min_size=1, max_size=2),
        "sub": st.fixed_dictionaries({}, optional={"c": SCALARS, "d": SCALARS}),
        "place": PLACES,
    },
)
THINGS = st.fixed_dictionaries(
    {
        "name": TEXTS.map(lambda text: f"n{text}"),
        "networkAliases": st.sampled_from([{}, {"net": {"key": "AB-1"}}, {"net": {"key": "ab"}, "other": {"k": "x"}}]),
        "networkId": st.none() | TEXTS,
        "data": DATA,
    }
)
PATTERNS = st.sampled_from(["a", "b", "ab.*", "a.*", "[aB]+", "ab?", "n.*", "a|b", "", "AB-1", "(?:a|ä){1,2}.?"])
COMPARATORS = st.sampled_from(["=", "!=", ">", ">=", "<", "<="])
INTERVALS = st.sampled_from(["[]", "()", "[)", "(]", "![]", "!()"])


@st.composite
def leaves(draw: st.DrawFn) -> Any:
    """One node, of any kind."""
    field: Any = {"field": draw(FIELDS)}
    data: Any = {"field": draw(LEAVES)}
    extras = draw(st.sampled_from([{}, {"not": True}, {"empty": True}, {"not": True, "empty": True}]))
    match draw(st.integers(0, 9)):
        case 0:
            return {"type": "equals", **field, "value": draw(TEXTS | st.lists(TEXTS | st.none(), max_size=3)), **extras}
        case 1:
            return {"type": "equals", **data, "value": draw(SCALARS | st.lists(SCALARS, max_size=3)), **extras}
        case 2:
            number = draw(NUMBERS | TEXTS)
            return {"type": "comparison", **data, "comparator": draw(COMPARATORS), "value": number, **extras}
        case 3:
            ends = draw(st.tuples(NUMBERS, NUMBERS) | st.tuples(TEXTS, TEXTS))
            ends_by_name = {"value1": ends[0], "value2": ends[1]}
            return {"type": "comparison", **data, "comparator": draw(INTERVALS), **ends_by_name, **extras}
        case 4:
            zone = {"isDate": True, "timezone": draw(st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]))}
            moment = DATES | MILLIS
            if draw(st.booleans()):
                value: Any = {"comparator": draw(COMPARATORS), "value": draw(moment)}
            else:
                value = {"comparator": draw(INTERVALS), "value1": draw(moment), "value2": draw(moment)}
            return {"type": "comparison", "field": "data/when", **zone, **value, **extras}
        case 5:
            return {"type": "exists", **field, "not": draw(st.booleans())}
        case 6:
            pattern = draw(PATTERNS)
            flags = {"kind": "regexp", "value": pattern, "ignoreCase": draw(st.booleans())}
            return {"type": "expression", **field, **flags, **extras}
        case 7:
            pattern = draw(st.sampled_from(["a*", "*b*", "A?*", "n?", "*-1", "ab-*"]))
            return {"type": "expression", "kind": "queryString", **field, "value": pattern, **extras}
        case 8:
            words = draw(st.lists(st.sampled_from(["a", "nb", "*b*", "ab-", "*1*", "x"]), max_size=2))
            return {"type": "groupedText", "value": " ".join(words)}
        case _:
            return draw(areas()) | ({"not": True} if draw(st.booleans()) else {})


@st.composite
def areas(draw: st.DrawFn) -> Any:
    """Places and ids."""
    match draw(st.integers(0, 3)):
        case 0:
            centre = {"lat": draw(LATITUDES), "lon": draw(LONGITUDES)}
            distance = draw(st.sampled_from([5, 1234, 7777]))
            return {"type": "geoDistance", "field": "data/place", **centre, "distance": distance, "units": "km"}
        case 1:
            south, north = sorted([draw(LATITUDES), draw(LATITUDES)])
            corners = {"topLeft": {"lat": north, "lon": draw(LONGITUDES)}}
            corners["bottomRight"] = {"lat": south, "lon": draw(LONGITUDES)}
            return {"type": "geoBoundingBox", "field": "data/place", **corners}
        case 2:
            shape = {"type": "envelope", "coordinates": [[-10, 40], [100, -1]]}
            relation = draw(st.sampled_from(["intersects", "within", "disjoint"]))
            return {"type": "geoShape", "field": "data/place", "shape": shape, "relation": relation}
        case _:
            return {"type": "idList", "ids": [to_base62(id_) for id_ in draw(st.lists(st.sampled_from(IDS)))] + ["no"]}


TREES = st.recursive(
    leaves(),
    lambda inner: st.builds(
        lambda operator, parts, negated: {"type": "logical", "operator": operator, "conditions": parts, "not": negated},
        st.sampled_from(["and", "or"]),
        st.lists(inner, max_size=3),
        st.booleans(),
    ),
    max_leaves=5,
)

TABLES = """
    CREATE TEMP TABLE device (LIKE roadstead.device INCLUDING DEFAULTS INCLUDING GENERATED);
    CREATE TEMP TABLE device_value (LIKE roadstead.device_value);
    CREATE TEMP TABLE device_value_word (LIKE roadstead.device_value_word);
    CREATE TEMP TABLE device_word (LIKE roadstead.device_word);
    CREATE TEMP TABLE device_network_alias (LIKE roadstead.device_network_alias INCLUDING GENERATED);
"""


@pytest.fixture(scope="module")
def connection(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """Tables like those of the platform, for one test alone."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SET search_path = pg_temp, roadstead")
        connection.execute(TABLES)
        yield connection


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(things=st.lists(THINGS, min_size=2, max_size=4), trees=st.lists(TREES, min_size=6, max_size=16))
def test_a_filter_finds_the_devices_it_is_true_for(
    connection: psycopg.Connection[Any], things: list[Thing], trees: list[Any]
) -> None:
    for id_, thing in zip(IDS, things, strict=False):
        thing["id"] = to_base62(id_)
    _store(connection, things)
    for tree in [None, *trees]:
        condition = compile_filter(read_filter(tree, NAMES), DEVICE_FIELDS, depth=100, nodes=8_000)
        sql = f"SELECT id FROM device WHERE {condition.sql} ORDER BY id"
        found = [to_base62(row[0]) for row in connection.execute(sql, condition.params)]
        assert found == [thing["id"] for thing in things if is_true(tree, thing)], tree


def _store(connection: psycopg.Connection[Any], things: list[Thing]) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    with connection.pipeline(), connection.cursor() as cursor:
        cursor.execute("TRUNCATE device, device_value, device_value_word, device_word, device_network_alias")
        for id_, thing in zip(IDS, things, strict=False):
            cursor.execute(
                """
                INSERT INTO device (tenant_id, id, space_id, ordinal, name, status, network_id, created_at, updated_at)
                VALUES (1, %s, %s, 1, %s, 'ACTIVE', %s, %s, %s)
                """,
                (id_, PROJECT, thing["name"], thing["networkId"], now, now),
            )
            sql = "INSERT INTO device_word SELECT 1, w, %s FROM roadstead.word_starts(ARRAY[%s]::text[]) w"
            cursor.execute(sql, (id_, thing["name"]))
            for network, keys in thing["networkAliases"].items():
                for key, value in keys.items():
                    sql = "INSERT INTO device_network_alias (tenant_id, network_id, key, value, device_id) VALUES"
                    cursor.execute(f"{sql} (1, %s, %s, %s, %s)", (network, key, value, id_))
            rows = rows_of(dict(_body(thing["data"], ())))
            for (path, item), row in rows.items():
                cursor.execute(
                    """
                    INSERT INTO device_value (tenant_id, device_id, path, item, number, flag, text, instant, latitude,
                                              longitude, folded) VALUES (1, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
                    """,
                    (
                        id_,
                        path,
                        item,
                        row.number,
                        row.flag,
                        row.text,
                        row.instant,
                        row.latitude,
                        row.longitude,
                        folded(row),
                    ),
                )
            for word in words_of(rows):
                cursor.execute("INSERT INTO device_value_word VALUES (1, %s, %s)", (word, id_))


def _body(value: Any, steps: tuple[str | int, ...]) -> Iterator[tuple[str, list[Any]]]:
    """A tree as the state of a device, filed value by value."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if parts is None:
        yield join_path(Section.ATTRIBUTES, steps), [value, 1, 1]
        return
    for step, part in parts:
        yield from _body(part, (*steps, step))


DEEP: Any = {"type": "exists", "field": "name"}
for _ in range(20):
    DEEP = {"type": "logical", "operator": "and", "conditions": [DEEP]}
WIDE = {"type": "logical", "operator": "or", "conditions": [{"type": "exists", "field": "name"}] * 1_000}


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ([], "filter: is an object"),
        ({"type": "magic"}, "filter.type: 'magic' is not one of logical, equals"),
        ({"type": "logical", "operator": "xor", "conditions": []}, "filter.operator: 'xor'"),
        (
            {
                "type": "logical",
                "operator": "or",
                "conditions": [
                    {"type": "exists", "field": "name"},
                    {"type": "comparison", "field": "data/a", "comparator": "~", "value": 1},
                ],
            },
            r"filter\.conditions\[1\]\.comparator: '~' is not one of",
        ),
        ({"type": "exists"}, "filter.field: names a field"),
        ({"type": "exists", "field": "colour"}, "filter.field: 'colour' is not one of id, name"),
        ({"type": "exists", "field": "data//a"}, "filter.field: .* nothing between two separators"),
        ({"type": "exists", "field": "name", "not": "yes"}, "filter.not: is true or false"),
        ({"type": "comparison", "field": "data/a", "comparator": "[]", "value1": 1}, "filter.value2: is missing"),
        ({"type": "comparison", "field": "data/a", "comparator": "<", "value": True}, "filter.value: true and false"),
        ({"type": "comparison", "field": "created", "comparator": "<", "value": "soon"}, "filter.value: is ISO 8601"),
        (
            {"type": "comparison", "field": "created", "comparator": "<", "value": 1, "timezone": "Mars"},
            "filter.timezone: is not a time zone",
        ),
        ({"type": "equals", "field": "data/a", "value": "x", "fieldType": "number"}, "filter.value: is not a number"),
        ({"type": "expression", "kind": "magic", "field": "name", "value": "a"}, "filter.kind: 'magic' is neither"),
        ({"type": "expression", "kind": "regexp", "field": "name", "value": "(a"}, "filter.value: is not a regular"),
        (
            {"type": "expression", "kind": "regexp", "field": "name", "value": r"(a)\1"},
            "filter.value: is not a regular",
        ),
        (
            {"type": "expression", "kind": "regexp", "field": "name", "value": "a(?=b)"},
            "filter.value: is not a regular",
        ),
        ({"type": "expression", "kind": "regexp", "field": "name", "value": "a" * 1_001}, "filter.value: .* 1000"),
        ({"type": "expression", "kind": "queryString", "field": "name", "value": "(a"}, r"filter.value: lacks a '\)'"),
        (
            {"type": "expression", "kind": "queryString", "field": "name", "value": "a AND"},
            "filter.value: lacks a word",
        ),
        (
            {"type": "expression", "kind": "queryString", "field": "created", "value": "a"},
            "filter.field: holds no text",
        ),
        (
            {"type": "geoDistance", "field": "data/p", "lat": 91, "lon": 0, "distance": 1},
            "filter.lat: is a number from",
        ),
        ({"type": "geoDistance", "field": "name", "lat": 1, "lon": 0, "distance": 1}, "filter.field: holds no places"),
        ({"type": "geoShape", "field": "data/p", "shape": {"type": "Point"}}, "filter.shape.type: is Polygon"),
        ({"type": "idList", "ids": "x"}, "filter.ids: is a list"),
        (DEEP, r"filter(\.conditions\[0\]){20}: a filter is nested at most 20 deep"),
        (WIDE, r"filter\.conditions\[999\]: a filter has at most 1000 nodes"),
    ],
)
def test_what_is_wrong_is_said_with_the_node(tree: Any, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        read_filter(tree, NAMES)
