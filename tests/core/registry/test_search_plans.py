"""Searches by what devices have reported read few rows: with 20,000 of them, every kind of filter finds by index."""

import re
from typing import Any
from uuid import UUID

import psycopg
import pytest
import pytest_asyncio

from roadstead.core.registry.device_search_store import Order, select_counts, select_page
from roadstead.core.registry.device_store import DEVICE_FIELDS
from roadstead.db import Condition, Database
from roadstead.db.filters import Source, compile_filter
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
    Operator,
    Or,
    Polygon,
    Within,
    equals,
)
from roadstead.kernel.ids import TenantId, new_id
from roadstead.kernel.page import PageQuery
from roadstead.kernel.time import from_millis

DEVICES = 20_000
ATTRIBUTE = UUID(int=9)
MOST_BLOCKS = 400
"""A device, its values and the ways to them are some blocks each; all of the tenant's values are some thousand."""

FLEET = f"""
    INSERT INTO device (tenant_id, id, space_id, ordinal, name, status, created_at, updated_at)
    SELECT %(tenant)s, gen_random_uuid(), %(space)s, i, 'unit ' || i, 'ACTIVE', now() - i * interval '1 minute', now()
    FROM generate_series(1, {DEVICES}) i
"""
VALUES = """
    INSERT INTO device_value (tenant_id, device_id, path, item, text, folded, number, instant, flag, latitude,
                              longitude)
    SELECT d.tenant_id, d.id, v.* FROM device d, LATERAL (VALUES
        ('serial', 0, 'ZSD-' || d.ordinal, 'zsd-' || d.ordinal, NULL::float8, NULL::timestamptz, NULL::boolean,
            NULL::float8, NULL::float8),
        ('speed', 0, NULL, NULL, d.ordinal, NULL, NULL, NULL, NULL),
        ('seen', 0, 'some day', 'some day', NULL, to_timestamp(1700000000 + d.ordinal * 60), NULL, NULL, NULL),
        ('docked', 0, NULL, NULL, NULL, NULL, d.ordinal %% 2000 = 0, NULL, NULL),
        ('position', 0, NULL, NULL, NULL, NULL, NULL, (d.ordinal %% 180) - 90 + (d.ordinal %% 97) / 97.0,
            (d.ordinal %% 360) - 180 + (d.ordinal %% 89) / 89.0)
    ) v WHERE d.tenant_id = %(tenant)s
    UNION ALL SELECT tenant_id, id, 'rare', 0, 'x', 'x', NULL, NULL, NULL, NULL, NULL FROM device
    WHERE tenant_id = %(tenant)s AND ordinal %% 2000 = 1
"""
REST = (
    "INSERT INTO device_state (tenant_id, device_id) SELECT tenant_id, id FROM device WHERE tenant_id = %(tenant)s",
    """
    INSERT INTO device_word SELECT tenant_id, word, id FROM device, word_starts(ARRAY[name]) word
    WHERE tenant_id = %(tenant)s
    """,
    """
    INSERT INTO device_value_word SELECT tenant_id, 'zsd-' || ordinal, id FROM device WHERE tenant_id = %(tenant)s
    UNION ALL SELECT tenant_id, ordinal::text, id FROM device WHERE tenant_id = %(tenant)s
    """,
    """
    INSERT INTO device_network_alias (tenant_id, network_id, key, value, device_id)
    SELECT tenant_id, 'net', 'key', 'AL-' || ordinal, id FROM device WHERE tenant_id = %(tenant)s
    """,
    f"""
    INSERT INTO device_relation (tenant_id, attribute_id, parent_id, child_id, created_at)
    SELECT p.tenant_id, '{ATTRIBUTE}', p.id, c.id, now() FROM device p JOIN device c
        ON c.tenant_id = p.tenant_id AND c.ordinal = p.ordinal + {DEVICES // 2} WHERE p.tenant_id = %(tenant)s
    """,
)


@pytest_asyncio.fixture(scope="module")
async def fleet(database_url: str) -> TenantId:
    """A tenant with many devices that have reported."""
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        await connection.execute("SET search_path = roadstead")
        await connection.execute("SET session_replication_role = replica")
        made = await connection.execute(
            """
            INSERT INTO tenant (public_id, name, slug, created_at, updated_at)
            VALUES (gen_random_uuid(), 'Boats', 'boats', now(), now()) RETURNING tenant_id
            """
        )
        (tenant_id,) = await made.fetchone() or (0,)
        named = {"tenant": tenant_id, "space": new_id()}
        await connection.execute(
            "INSERT INTO space (tenant_id, id, name, created_at) VALUES (%(tenant)s, %(space)s, 'All', now())", named
        )
        for statement in (FLEET, "ANALYZE device", VALUES, *REST):
            await connection.execute(statement, named)
        await connection.execute("ANALYZE")
    return TenantId(tenant_id)


AT = ("childData", str(ATTRIBUTE), "serial")
TRIANGLE = Polygon(((10.0, 10.0), (10.5, 10.0), (10.0, 10.5)))
FILTERS: dict[str, Filter] = {
    "equals": Compare(("data", "serial"), Operator.EQ, "ZSD-77"),
    "any of": In(("data", "serial"), ("ZSD-77", "ZSD-78")),
    "a number": Compare(("data", "speed"), Operator.EQ, 77),
    "more than": Compare(("data", "speed"), Operator.GT, DEVICES - 5),
    "between": Between(("data", "speed"), 70, 75),
    "true": Compare(("data", "docked"), Operator.EQ, True),
    "a date": Compare(("data", "seen"), Operator.LT, from_millis(1700000300000)),
    "dates": Between(("data", "seen"), from_millis(1700000300000), from_millis(1700000600000)),
    "exists": Exists(("data", "rare")),
    "one or the other": Or((Compare(("data", "serial"), Operator.EQ, "ZSD-77"), Exists(("data", "rare")))),
    "regular expression": Match(("data", "serial"), MatchKind.REGEX, "ZSD-77[0-9]"),
    "its beginning in any case": Match(("data", "serial"), MatchKind.REGEX, "zsd-77[0-9]", ignore_case=True),
    "wildcard": Match(("data", "serial"), MatchKind.WILDCARD, "ZSD-77?", ignore_case=True),
    "words of values": Match(("anyText",), MatchKind.TEXT, "zsd-777"),
    "words of names": Match(("anyText",), MatchKind.TEXT, "unit 777"),
    "network aliases": Match(("anyText",), MatchKind.TEXT, "al-777"),
    "near": Within(("data", "position"), Circle(10, 10, 20_000)),
    "box": Within(("data", "position"), Box(10, 10, 10.5, 10.5)),
    "shape": Within(("data", "position"), TRIANGLE),
    "network alias": Compare(("networkAlias", "net", "key"), Operator.EQ, "AL-77"),
    "data of a child": Compare(AT, Operator.EQ, f"ZSD-{DEVICES // 2 + 77}"),
    "child": Compare(("childId", str(ATTRIBUTE)), Operator.EQ, new_id()),
    "name": And((In(("called",), ("unit 77",)), In(("shownName",), ("unit 77",)))),
    "id": equals("id", new_id()),
}


@pytest.mark.parametrize("kind", FILTERS)
async def test_a_selective_filter_reads_few_blocks(fleet: TenantId, tenant_database: Database, kind: str) -> None:
    source = Source("device", Condition("device.tenant_id = %s", (fleet,)))
    condition = compile_filter(FILTERS[kind], DEVICE_FIELDS, source=source)
    sql = f"EXPLAIN (ANALYZE, BUFFERS) SELECT count(*) FROM device WHERE device.tenant_id = %s AND ({condition.sql})"
    async with tenant_database.tx(fleet) as tx:
        plan = "\n".join(row[0] for row in await tx.rows(sql, fleet, *condition.params))
    assert not re.search(r"Seq Scan on device", plan), plan
    found = re.search(r"Buffers: shared (?:hit=(\d+))?(?: ?read=(\d+))?", plan)
    assert found is not None and sum(int(blocks or 0) for blocks in found.groups()) < MOST_BLOCKS, plan


async def test_values_are_sorted_and_counted_for_all_devices(fleet: TenantId, tenant_database: Database) -> None:
    few = Compare(("data", "speed"), Operator.LE, 3)
    async with tenant_database.tx(fleet) as tx:
        order = [Order(field=("data", "speed"), descending=True)]
        page = await select_page(tx, few, order, PageQuery(limit=10))
        counts: list[tuple[Any, int]] = await select_counts(tx, few, ("data", "serial"), 10, None, [])
    assert [device.name for device in page.items] == ["unit 3", "unit 2", "unit 1"]
    assert sorted(counts) == [("ZSD-1", 1), ("ZSD-2", 1), ("ZSD-3", 1)]
