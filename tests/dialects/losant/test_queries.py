"""Advanced queries on devices, against what they mean, on the real database."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from roadstead.core import registry
from roadstead.core.work import Work
from roadstead.dialects.losant.choices import read_choice
from roadstead.dialects.losant.queries import DEVICE_CLASSES, read_device_query
from roadstead.dialects.losant.schemas import check
from roadstead.kernel import time
from roadstead.kernel.errors import Invalid
from roadstead.kernel.filter import And, equals
from roadstead.kernel.ids import DeviceId, SpaceId, from_bytes, new_id, to_hex24
from tests.conftest import Tenant
from tests.dialects.losant.query_oracle import MOMENTS, Sample, is_true

IDS = [to_hex24(from_bytes(bytes([65 + number]) * 12)) for number in range(5)]
NAMES = ["pump", "Pump", "pump 1", "a*b", "a%b", "Ähre", "äHRE", ""]
KEYS = ["line", "Line", "a-b"]
VALUES = ["1", "2", "A", "a"]
ATTRIBUTES = ["temp", "Temp", "hum_1"]
START = 1_760_000_000_000
INSTANTS = [START, START + 1, START + 500, START + 60_000]
PATTERNS = ["$startsWith", "$endsWith", "$contains"]
ORDER = ["$gt", "$gte", "$lt", "$lte"]


# --- random devices --------------------------------------------------------------------------------------------------


@st.composite
def fleets(draw: st.DrawFn) -> list[Sample]:
    """A few devices; parents and gateways come before those that have them."""
    found: list[Sample] = []
    for number in range(draw(st.integers(1, 5))):
        fields: dict[str, Any] = {
            "id": IDS[number],
            "name": draw(st.sampled_from([name for name in NAMES if name])),
            **{name: draw(st.sampled_from(INSTANTS)) for name in ("creationDate", "lastUpdated")},
            "attributeName": draw(st.lists(st.sampled_from(ATTRIBUTES), unique=True, max_size=2)),
            "ancestorId": [],
        }
        for name in ("connectedAt", "disconnectedAt"):
            if draw(st.booleans()):
                fields[name] = draw(st.sampled_from(INSTANTS))
        if draw(st.booleans()) and found:
            parent = draw(st.sampled_from(found)).fields
            fields |= {"parentId": parent["id"], "ancestorId": [*parent["ancestorId"], parent["id"]]}
        if draw(st.booleans()) and found:
            fields["gatewayId"] = draw(st.sampled_from(found)).fields["id"]
        fields["said"] = draw(st.none() | st.sampled_from(DEVICE_CLASSES))
        fields["online"] = draw(st.booleans())
        tags = draw(st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(VALUES)), unique=True, max_size=3))
        found.append(Sample(fields=fields, tags=tuple(tags)))
    return [_complete(each, found) for each in found]


def _complete(device: Sample, fleet: Sequence[Sample]) -> Sample:
    fields = dict(device.fields)
    speaks = any(each.fields.get("gatewayId") == fields["id"] for each in fleet)
    derived = "peripheral" if "gatewayId" in fields else "gateway" if speaks else "standalone"
    fields["deviceClass"] = fields["said"] or derived
    known = "connectedAt" in fields or "disconnectedAt" in fields
    if not known and fields["deviceClass"] in ("peripheral", "floating", "system"):
        status = "invalid"
    elif fields["online"]:
        status = "connected"
    else:
        status = "disconnected" if known else "unknown"
    return Sample(fields=fields | {"connectionStatus": status}, tags=device.tags)


async def store(work: Work, fleet: Sequence[Sample]) -> SpaceId:
    """The devices, in an application of their own."""
    space = await registry.create_space(work, registry.SpaceDraft(name=f"fleet {new_id()}"))
    for number, device in enumerate(fleet):
        fields, tags, repeated = device.fields, dict(reversed(device.tags)), dict[str, list[str]]()
        for key, value in device.tags:
            if tags[key] != value:
                repeated.setdefault(key, []).append(value)
        await work.tx.run(
            """
            INSERT INTO device (tenant_id, id, space_id, ordinal, name, title, status, created_at, updated_at, online,
                                device_class, gateway_id, parent_id, connected_at, disconnected_at, tags, repeated_tags)
            VALUES (%s, %s, %s, %s, %s, %s, 'ACTIVE', %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
            """,
            work.tenant_id,
            _uuid(fields["id"]),
            space.id,
            number + 1,
            f"device {number}",
            fields["name"],
            *(time.from_millis(fields[name]) for name in ("creationDate", "lastUpdated")),
            fields["online"],
            fields["said"],
            *(_uuid(fields[name]) if name in fields else None for name in ("gatewayId", "parentId")),
            *(time.from_millis(fields[name]) if name in fields else None for name in ("connectedAt", "disconnectedAt")),
            Jsonb(tags),
            Jsonb(repeated),
        )
        for name in fields["attributeName"]:
            await work.tx.run(
                """
                INSERT INTO sensor (tenant_id, id, device_id, key, path, name, value_type, created_at, updated_at)
                VALUES (%s, %s, %s, %s, %s, %s, 'DOUBLE', now(), now())
                """,
                work.tenant_id,
                new_id(),
                _uuid(fields["id"]),
                name,
                name,
                name,
            )
    return space.id


def _uuid(text: str) -> DeviceId:
    return DeviceId(from_bytes(bytes.fromhex(text)))


# --- random queries --------------------------------------------------------------------------------------------------


@st.composite
def conditions(draw: st.DrawFn, values: Sequence[str], *, text: bool = True) -> Any:
    """On a text, or on one of a few words."""
    operator = draw(st.sampled_from(["", "$eq", "$ne", "$in", "$nin", "null", *ORDER, *PATTERNS]))
    value = draw(st.sampled_from([each for each in values if each or operator not in PATTERNS]))
    match operator:
        case "":
            return value
        case "null":
            return draw(st.sampled_from([None, {"$eq": None}, {"$ne": None}]))
        case "$in" | "$nin":
            found: dict[str, Any] = {operator: draw(st.lists(st.sampled_from(values), max_size=3))}
        case _ if operator in PATTERNS:
            found = {operator: draw(st.sampled_from([value, value[:2], value[-1:]]))}
        case _:
            found = {operator: value}
    if operator not in ORDER and draw(st.booleans()):
        found["$ci"] = draw(st.booleans())
    if draw(st.integers(0, 3)) == 0:
        found.setdefault("$ne", draw(st.sampled_from(values)))
    return found


@st.composite
def moments(draw: st.DrawFn) -> Any:
    """On a time, in either spelling."""

    def moment() -> Any:
        millis = draw(st.sampled_from(INSTANTS))
        iso = datetime.fromtimestamp(millis / 1000, UTC).isoformat(timespec="milliseconds")
        return draw(st.sampled_from([millis, iso, iso.replace("+00:00", "Z")]))

    operator = draw(st.sampled_from(["", "$eq", "$ne", "$in", "$nin", "null", *ORDER]))
    match operator:
        case "":
            return moment()
        case "null":
            return draw(st.sampled_from([None, {"$ne": None}]))
        case "$in" | "$nin":
            return {operator: [moment() for _ in range(draw(st.integers(0, 2)))]}
    return {operator: moment()}


@st.composite
def ids(draw: st.DrawFn) -> Any:
    """On an id: exactly one operator."""
    operator = draw(st.sampled_from(["", "$eq", "$ne", "$in", "$nin", *ORDER]))
    value = draw(st.sampled_from(IDS))
    match operator:
        case "":
            return draw(st.sampled_from([value, value.upper(), None]))
        case "$in" | "$nin":
            return {operator: draw(st.lists(st.sampled_from(IDS), max_size=3))}
        case "$eq" | "$ne":
            return {operator: draw(st.sampled_from([value, None]))}
    return {operator: value}


def wanted(values: Sequence[str]) -> st.SearchStrategy[Any]:
    """Of a key or a value of tags."""
    several = st.lists(st.sampled_from(values), max_size=2)
    lists = st.one_of(several.map(lambda texts: {"$in": texts}), several.map(lambda texts: {"$nin": texts}))
    return st.none() | st.sampled_from(values) | lists


TAGS = st.one_of(
    st.none(),
    st.dictionaries(st.sampled_from(KEYS), wanted(VALUES), min_size=1, max_size=2),
    st.fixed_dictionaries({"$tagKey": wanted(KEYS)}, optional={"$tagValue": wanted(VALUES)}),
    st.fixed_dictionaries({"$tagValue": wanted(VALUES)}),
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(MOMENTS, moments()),
    **dict.fromkeys(("id", "gatewayId", "parentId", "ancestorId", "experienceUserId", "experienceGroupId"), ids()),
    "name": conditions(NAMES),
    "attributeName": conditions(ATTRIBUTES),
    "deviceClass": conditions([*DEVICE_CLASSES, "none"]),
    "connectionStatus": conditions(["connected", "disconnected", "unknown", "invalid", "none"]),
    "tags": st.one_of(TAGS, TAGS.map(lambda value: {"$eq": value}), TAGS.map(lambda value: {"$ne": value})),
}
MEMBERS = st.one_of([st.tuples(st.just(name), condition) for name, condition in FIELDS.items()])
QUERIES: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.lists(MEMBERS, max_size=2, unique_by=lambda member: member[0]).map(dict),
    lambda inner: st.dictionaries(
        st.sampled_from(["$and", "$or", "$nor"]), st.lists(inner, max_size=3), min_size=1, max_size=2
    ),
    max_leaves=5,
)


class Undo(Exception):
    """Ends a transaction without a trace."""


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fleet=fleets(), queries=st.lists(QUERIES, min_size=4, max_size=4))
async def test_a_query_finds_the_devices_it_is_true_for(
    acme: Tenant, fleet: list[Sample], queries: list[dict[str, Any]]
) -> None:
    with pytest.raises(Undo):
        async with acme.work() as work:
            space_id = await store(work, fleet)
            for query in queries:
                check(query, "advancedDeviceQuery")
                found = await registry.load_device_ids(work, within(space_id, query), limit=100)
                expected = {device.fields["id"] for device in fleet if is_true(query, device)}
                assert {to_hex24(each) for each in found} == expected, query
            undo()


def within(space_id: SpaceId, query: dict[str, Any]) -> And:
    return And((equals("spaceId", space_id), read_device_query(query)))


def undo() -> NoReturn:
    raise Undo


# --- single things ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"colour": "red"}, "query.colour: is not one of"),
        ({"$and": [{"colour": "red"}]}, "query.$and.0.colour"),
        ({"creationDate": "yesterday"}, "query.creationDate: is a time"),
        ({"creationDate": {"$gt": None}}, "neither less nor more"),
        ({"creationDate": True}, "is a time"),
        ({"creationDate": 1e300}, "is a time"),
        ({"creationDate": -1e14}, "is a time"),
        ({"creationDate": {"$startsWith": "2026"}}, "is not for it"),
        ({"creationDate": {"$eq": 0, "$ci": True}}, "is not for it"),
        ({"name": 5}, "is a text"),
        ({"name": {}}, "needs an operator"),
        ({"name": {"$ci": True}}, "needs an operator"),
        ({"name": {"$gt": "a", "$ci": True}}, "does not go with"),
        ({"id": "abc"}, "24 hex digits"),
        ({"experienceUserId": "abc"}, "24 hex digits"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(query: dict[str, Any], told: str) -> None:
    with pytest.raises(Invalid) as caught:
        read_device_query(query)
    assert told in str(caught.value)


def test_a_query_has_limits_of_depth_and_size() -> None:
    deep: dict[str, Any] = {"name": "a"}
    for _ in range(500):
        deep = {"$and": [deep]}
    with pytest.raises(Invalid, match="nested at most"):
        read_device_query(deep)
    with pytest.raises(Invalid, match="at most 1000 conditions"):
        read_device_query({"$or": [{"$and": [{"id": IDS[0]}] * 100}] * 100})


def test_ten_levels_of_any_of_the_three_are_not_too_deep() -> None:
    query: dict[str, Any] = {"tags": {"$ne": {"$tagKey": {"$in": KEYS}, "$tagValue": {"$nin": VALUES}}}}
    for level in range(6):
        query = {("$and", "$or", "$nor")[level % 3]: [query, {"name": "a"}]}
    read_device_query(query)


def test_devices_are_chosen_by_ids_and_tags_or_by_a_query() -> None:
    assert read_choice({"deviceQuery": {"name": "a"}}) == read_device_query({"name": "a"})
    with pytest.raises(Invalid, match="deviceQuery"):
        read_choice({"deviceQuery": {"name": "a"}, "deviceIds": IDS})


async def test_a_choice_is_the_union_of_ids_and_tags_and_nothing_when_nothing_is_said(acme: Tenant) -> None:
    tags: list[tuple[tuple[str, str], ...]] = [(("line", "1"), ("line", "2")), (("Line", "1"),), (), (("a-b", "A"),)]
    blank = {"name": "x", "creationDate": START, "lastUpdated": START, "attributeName": [], "said": None}
    fleet = [
        Sample(fields={**blank, "id": id_, "online": False}, tags=own) for id_, own in zip(IDS, tags, strict=False)
    ]
    choices: dict[str, dict[str, Any]] = {
        "nothing": {},
        "ids": {"deviceIds": [IDS[2]]},
        "any of these": {"deviceIds": [IDS[2]], "deviceTags": [{"key": "line", "value": "2"}]},
        "of a key": {"deviceTags": [{"key": "Line"}]},
        "of a value": {"deviceTags": [{"value": "1"}]},
        "with tags": {"deviceTags": [{}]},
    }
    found = {}
    async with acme.work() as work:
        await store(work, fleet)
        for name, body in choices.items():
            chosen = {to_hex24(each) for each in await registry.load_device_ids(work, read_choice(body), limit=100)}
            found[name] = [IDS.index(each) for each in IDS if each in chosen]

    assert found == {
        "nothing": [],
        "ids": [2],
        "any of these": [0, 2],
        "of a key": [1],
        "of a value": [0, 1],
        "with tags": [0, 1, 3],
    }
