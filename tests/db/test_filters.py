"""The filter compiler against an oracle in plain Python, on real PostgreSQL."""

import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from roadstead.db.filters import Column, ColumnType, Fields, Json, Place, Rows, Words, compile_filter
from roadstead.kernel.errors import Invalid
from roadstead.kernel.filter import (
    And,
    Between,
    Box,
    Circle,
    Compare,
    Exists,
    Filter,
    In,
    Match,
    MatchKind,
    Not,
    Operator,
    Or,
    Path,
    Scalar,
    Within,
    contains,
    equals,
    glob,
    starts_with,
)
from tests.db.oracle import Thing, at, distance_m, is_true

FIELDS: Fields = {
    "name": Column("thing.name"),
    "size": Column("thing.size", ColumnType.NUMBER),
    "on": Column("thing.is_on", ColumnType.BOOLEAN),
    "seen": Column("thing.seen", ColumnType.INSTANT, absent="'epoch'"),
    "ref": Column("thing.ref", ColumnType.ID),
    "data": Json("thing.data"),
    "tags": Rows("tag WHERE tag.thing = thing.id", keys=("tag.key",), value=Column("tag.value")),
    "text": Words("word WHERE word.thing = thing.id", "word.word"),
    "place": Place("thing.latitude", "thing.longitude"),
}
TABLES = """
    CREATE TEMP TABLE thing (id integer, name text, size float8, is_on boolean, seen timestamptz, ref uuid, data jsonb,
                             latitude float8, longitude float8);
    CREATE TEMP TABLE tag (thing integer, key text, value text);
    CREATE TEMP TABLE word (thing integer, word text COLLATE "C");
"""

TEXTS = st.text(st.sampled_from("abAB äÄ.*?%_\\-1"), max_size=4)
NUMBERS = st.sampled_from([-2, 0, 1, 1.0, 1.5, 2, 10])
REFS = st.sampled_from([UUID(int=1), UUID(int=2)])
INSTANTS = st.integers(0, 3).map(at)
SCALARS: st.SearchStrategy[Scalar] = TEXTS | NUMBERS | st.booleans() | INSTANTS | REFS
MOMENTS = st.sampled_from(
    [
        1767225600000,
        "2026-01-01T01:00:00Z",
        "2026-01-01T03:00:00+01:00",
        "2026-01-01",
        "2026-13-01",
        "00000000-0000-0000-0000-000000000001",
    ]
)
STEPS = st.sampled_from(["a", "b", 'c"$.\\'])
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | TEXTS | NUMBERS | st.booleans() | MOMENTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(STEPS, inner, max_size=3),
    max_leaves=8,
)
LATITUDES = st.sampled_from([-90.0, -45.0, 0.0, 0.1, 45.0, 89.9, 90.0])
LONGITUDES = st.sampled_from([-180.0, -179.9, -90.0, 0.0, 0.1, 90.0, 179.9, 180.0])
THINGS = st.builds(
    Thing,
    name=st.none() | TEXTS,
    size=st.none() | NUMBERS.map(float),
    on=st.none() | st.booleans(),
    seen=st.none() | INSTANTS,
    ref=st.none() | REFS,
    data=JSON,
    tags=st.dictionaries(st.sampled_from(["k", "l/m"]), TEXTS, max_size=2),
    place=st.none() | st.tuples(LATITUDES, LONGITUDES),
)
OPERATORS = st.sampled_from(list(Operator))
REGEXES = st.sampled_from(["a.*", "[ab]+", "a|b", r"\.", "(?:a|B)*1?", "", r"\w+", r"a{1,2}", "ä"])
JSON_FIELDS = st.lists(STEPS, max_size=2).map(lambda steps: ("data", *steps))
TEXT_FIELDS: st.SearchStrategy[Path] = st.sampled_from([("name",), ("tags", "k"), ("tags", "l/m")]) | JSON_FIELDS
TYPED: st.SearchStrategy[tuple[Path, st.SearchStrategy[Any]]] = st.one_of(
    st.tuples(TEXT_FIELDS, st.just(TEXTS)),
    st.just((("size",), NUMBERS)),
    st.just((("seen",), INSTANTS)),
    st.just((("ref",), REFS)),
    st.tuples(JSON_FIELDS, st.just(SCALARS)),
)


@st.composite
def leaves(draw: st.DrawFn) -> Filter:
    field, values = draw(TYPED)
    match draw(st.integers(0, 9)):
        case 0:
            return Exists(draw(st.sampled_from([("on",), ("place",), field])))
        case 1:
            return In(field, tuple(draw(st.lists(values, max_size=3))))
        case 2:
            low, high = draw(values), draw(values)
            assume(not isinstance(low, bool) and not isinstance(high, bool))
            return Between(field, low, high, draw(st.booleans()), draw(st.booleans()))
        case 3:
            return Match(draw(TEXT_FIELDS), MatchKind.REGEX, draw(REGEXES), draw(st.booleans()))
        case 4:
            return Match(draw(TEXT_FIELDS), MatchKind.WILDCARD, draw(TEXTS), draw(st.booleans()))
        case 5:
            return Match(("text",), MatchKind.TEXT, draw(TEXTS))
        case 6:
            return Within(("place",), Circle(draw(LATITUDES), draw(LONGITUDES), draw(RADII)))
        case 7:
            return Within(("place",), Box(*(draw(each) for each in (LATITUDES, LONGITUDES, LATITUDES, LONGITUDES))))
        case 8:
            return draw(st.sampled_from([starts_with, contains, glob]))("name", draw(TEXTS))
        case _:
            value = draw(values)
            operator = Operator.EQ if isinstance(value, bool) else draw(OPERATORS)
            return draw(st.sampled_from([Compare(field, operator, value), equals("on", draw(st.booleans()))]))


RADII = st.sampled_from([1.0, 1000.0, 20_000.0, 1e6, 1e7, 1.5e7, 2.001e7])
TREES: st.SearchStrategy[Filter] = st.recursive(
    leaves(),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda parts: And(tuple(parts)))
        | st.lists(inner, max_size=3).map(lambda parts: Or(tuple(parts)))
        | inner.map(Not)
    ),
    max_leaves=6,
)


@given(name=TEXTS, pattern=TEXTS)
def test_a_star_is_any_text_and_nothing_else_is_special(name: str, pattern: str) -> None:
    thing = Thing(name=name, size=None, on=None, seen=None, ref=None, data=None, tags={}, place=None)
    wanted = ".*".join(map(re.escape, pattern.split("*")))
    assert is_true(glob("name", pattern), thing) == bool(re.fullmatch(wanted, name, re.DOTALL))


@pytest.fixture(scope="module")
def connection(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SET search_path = roadstead, pg_temp")
        connection.execute(TABLES)
        yield connection


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(things=st.lists(THINGS, min_size=1, max_size=4), tree=TREES)
def test_a_filter_selects_the_rows_it_is_true_for(
    connection: psycopg.Connection[Any], things: list[Thing], tree: Filter
) -> None:
    _assume_clear_distances(tree, things)
    _store(connection, things)
    condition = compile_filter(tree, FIELDS)
    found = connection.execute(f"SELECT id FROM thing WHERE {condition.sql} ORDER BY id", condition.params).fetchall()

    assert [row[0] for row in found] == [index for index, thing in enumerate(things) if is_true(tree, thing)]


def _store(connection: psycopg.Connection[Any], things: list[Thing]) -> None:
    with connection.pipeline(), connection.cursor() as cursor:
        cursor.execute("TRUNCATE thing, tag, word")
        for index, thing in enumerate(things):
            cursor.execute(
                "INSERT INTO thing VALUES (%s, %s, %s, %s, coalesce(%s, 'epoch'::timestamptz), %s, %s, %s, %s)",
                (
                    index,
                    thing.name,
                    thing.size,
                    thing.on,
                    thing.seen,
                    thing.ref,
                    Jsonb(thing.data),
                    *(thing.place or (None, None)),
                ),
            )
            cursor.execute("INSERT INTO word SELECT %s, w FROM word_starts(ARRAY[%s]::text[]) w", (index, thing.name))
            for key, value in thing.tags.items():
                cursor.execute("INSERT INTO tag VALUES (%s, %s, %s)", (index, key, value))


def _assume_clear_distances(tree: Filter, things: list[Thing]) -> None:
    """On the edge of a circle, either answer is right."""
    match tree:
        case And(parts) | Or(parts):
            for part in parts:
                _assume_clear_distances(part, things)
        case Not(part):
            _assume_clear_distances(part, things)
        case Within(_, Circle(latitude, longitude, radius_m)):
            for thing in things:
                if thing.place is not None:
                    assume(abs(distance_m(latitude, longitude, *thing.place) - radius_m) > 1)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (equals("colour", "red"), "colour: is not one of name"),
        (equals("size", "big"), "size: is a number"),
        (equals("size", True), "size: is a number"),
        (equals("on", 1), "on: is a boolean"),
        (Compare(("on",), Operator.GT, True), "on: is true or false"),
        (Compare(("data", "a"), Operator.LT, False), "true and false are neither"),
        (equals("size", float("nan")), "infinite"),
        (equals("name", "a\0"), "zero byte"),
        (Exists(("name", "first")), "name/first: has nothing"),
        (Exists(("tags",)), "tags: has nothing"),
        (equals("place", 1.0), "place: is a place"),
        (Within(("name",), Circle(0, 0, 1)), "name: is a text"),
        (Match(("size",), MatchKind.WILDCARD, "*"), "size: is a number"),
        (Match(("name",), MatchKind.TEXT, "a"), "not made for text search"),
        (Match(("name",), MatchKind.REGEX, r"(a)\1"), "no back-references"),
        (Match(("name",), MatchKind.REGEX, "a(?=b)"), "no back-references, look-around"),
        (Match(("name",), MatchKind.REGEX, "(?i)a"), "or options"),
        (Match(("name",), MatchKind.REGEX, "a)|(b"), "not a regular expression"),
        (Match(("name",), MatchKind.REGEX, "a" * 1001), "at most 1000 characters"),
        (And(tuple(Exists(("name",)) for _ in range(1001))), "at most 1000 conditions"),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused_by_name(tree: Filter, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        compile_filter(tree, FIELDS)


def test_a_filter_is_nested_at_most_20_deep() -> None:
    tree: Filter = Exists(("name",))
    for _ in range(19):
        tree = Not(tree)
    compile_filter(tree, FIELDS)
    with pytest.raises(Invalid, match="at most 20 deep"):
        compile_filter(Not(tree), FIELDS)


def test_no_value_or_step_becomes_part_of_the_sql() -> None:
    evil = "'; DROP TABLE thing; --"
    for tree in (
        equals("name", evil),
        Exists(("data", evil)),
        Exists(("tags", evil)),
        Match(("name",), MatchKind.WILDCARD, evil),
        Match(("text",), MatchKind.TEXT, evil),
    ):
        assert "DROP" not in compile_filter(tree, FIELDS).sql
