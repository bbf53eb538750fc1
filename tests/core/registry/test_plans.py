"""Lists of devices stay fast: with tens of thousands of them, no documented filter reads the whole table."""

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

import psycopg
import pytest
import pytest_asyncio

from roadstead.core.registry import device_store
from roadstead.db import Database, Tx
from roadstead.kernel import time
from roadstead.kernel.actor import NOBODY
from roadstead.kernel.filter import (
    EVERYTHING,
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
    Within,
    equals,
    glob,
)
from roadstead.kernel.ids import TenantId, new_id
from roadstead.kernel.page import PageQuery, encode_cursor

DEVICES = 40_000
SITE = UUID("10000000-0000-0000-0000-000000000007")
TYPE = UUID("20000000-0000-0000-0000-000000000005")
GATEWAY = UUID("30000000-0000-0000-0000-000000000001")
LARGE_TABLES = re.compile(r"Seq Scan on (device|device_state|device_tag|device_word|device_alias)\b")

FLEET = f"""
    INSERT INTO device (tenant_id, id, space_id, ordinal, name, external_id, serial_number, status, online, site_id,
                        latitude, longitude, tags, firmware_version, last_seen_at, created_at, updated_at, type_id,
                        gateway_id)
    SELECT %(tenant)s, gen_random_uuid(), %(space)s, i, 'unit ' || i, 'ext-' || i, 'SN' || i,
           (ARRAY['ACTIVE', 'ACTIVE', 'ACTIVE', 'OFFLINE'])[1 + i %% 4], i %% 3 = 0,
           ('10000000-0000-0000-0000-' || lpad((i %% 200)::text, 12, '0'))::uuid, (i %% 180) - 90 + (i %% 97) / 97.0,
           (i %% 360) - 180 + (i %% 89) / 89.0, jsonb_build_object('line', (i %% 500)::text, 'model', 'm'),
           '1.' || (i %% 50), now() - i * interval '1 minute', now(), now(),
           CASE WHEN i %% 4 = 0
               THEN uuid(concat('20000000-0000-0000-0000-', lpad((1 + i %% 20)::text, 12, '0'))) END,
           CASE WHEN i %% 100 = 0 THEN '{GATEWAY}'::uuid END
    FROM generate_series(1, {DEVICES}) i
"""
SITES = """
    INSERT INTO site (tenant_id, id, lineage, name, created_at, updated_at)
    SELECT %(tenant)s, id, ARRAY[id], 'site ' || i, now(), now()
    FROM generate_series(0, 199) i, uuid(concat('10000000-0000-0000-0000-', lpad(i::text, 12, '0'))) id
"""
TYPES = """
    INSERT INTO device_type (tenant_id, id, name, sections, created_at, updated_at)
    SELECT %(tenant)s, id, 'type ' || i, '{}', now(), now()
    FROM generate_series(1, 20) i, uuid(concat('20000000-0000-0000-0000-', lpad(i::text, 12, '0'))) id
"""
ALIASES = """
    INSERT INTO device_alias (tenant_id, alias, device_id, position)
    SELECT tenant_id, 'alias-' || ordinal, id, 1 FROM device WHERE tenant_id = %(tenant)s
"""
PROFILES = """
    INSERT INTO device_profile (tenant_id, id, key, major, minor, name, components, created_at)
    SELECT %(tenant)s, gen_random_uuid(), 'profile ' || i, 1, 0, '', '[]', now() FROM generate_series(1, 20) i
"""
STATES = """
    INSERT INTO device_state (tenant_id, device_id)
    SELECT tenant_id, id FROM device WHERE tenant_id = %(tenant)s
"""
# What the triggers do row by row, in one go: they and the foreign keys are off while this loads.
TAGS = """
    INSERT INTO device_tag (tenant_id, key, value, device_id)
    SELECT tenant_id, key, value, id FROM device, jsonb_each_text(tags) WHERE tenant_id = %(tenant)s
"""
WORDS = """
    INSERT INTO device_word (tenant_id, word, device_id)
    SELECT tenant_id, word, id FROM device, word_starts(ARRAY[name, external_id, serial_number]) word
    WHERE tenant_id = %(tenant)s
"""


class ExplainingTx:
    """Looks like a transaction and collects the plans of what it is asked."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self.tenant = tx.tenant
        self.plans: list[str] = []

    async def keyed(self, kind: type[Any], sql: str, *params: Any) -> tuple[list[Any], list[Any]]:
        """The plan instead of rows."""
        self.plans.append("\n".join(row[0] for row in await self._tx.rows(f"EXPLAIN {sql}", *params)))
        return [], []


@pytest_asyncio.fixture(scope="module")
async def fleet(database_url: str) -> TenantId:
    """A tenant with many devices."""
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        await connection.execute("SET search_path = roadstead")
        await connection.execute("SET session_replication_role = replica")
        made = await connection.execute(
            """
            INSERT INTO tenant (public_id, name, slug, created_at, updated_at)
            VALUES (gen_random_uuid(), 'Fleet', 'fleet', now(), now()) RETURNING tenant_id
            """
        )
        (tenant_id,) = await made.fetchone() or (0,)
        named = {"tenant": tenant_id, "space": new_id()}
        await connection.execute(
            "INSERT INTO space (tenant_id, id, name, created_at) VALUES (%(tenant)s, %(space)s, 'All', now())", named
        )
        for statement in (SITES, PROFILES, TYPES, FLEET, STATES, TAGS, WORDS, ALIASES):
            await connection.execute(statement, named)
        await connection.execute("ANALYZE")
    return TenantId(tenant_id)


FILTERS: dict[str, Filter] = {
    "none": EVERYTHING,
    "status": In(("status",), ("OFFLINE",)),
    "several statuses": In(("status",), ("OFFLINE", "PENDING")),
    "online": equals("online", True),
    "offline": equals("online", False),
    "site": In(("siteId",), (SITE,)),
    "profile": In(("profileId",), (new_id(),)),
    "type": In(("kindId",), (TYPE,)),
    "no type": In(("kindId",), (NOBODY,)),
    "several types": In(("kindId",), (TYPE, new_id(), NOBODY)),
    "gateway": In(("gatewayId",), (GATEWAY,)),
    "no gateway": In(("gatewayId",), (new_id(),)),
    "class": equals("ownClass", "system"),
    "name of an attribute": equals("attributeName", "nope"),
    "top of a tree": Not(Exists(("parentDeviceId",))),
    "what it is called": glob("called", "unit 77"),
    "beginning of what it is called": glob("called", "unit 77*"),
    "alias": glob("alias", "alias-77"),
    "beginning of an alias": glob("alias", "alias-77*"),
    "rare key of tags": In(("tagKey",), ("nope",)),
    "keys of tags": In(("tagKey",), ("line", "nope")),
    "rare tag": Compare(("tags", "line"), Operator.EQ, "7"),
    "common tag": Compare(("tags", "model"), Operator.EQ, "m"),
    "tag key": Exists(("tags", "line")),
    "unknown tag key": Exists(("tags", "nope")),
    "parent": equals("parentDeviceId", new_id()),
    "firmware": equals("firmwareVersion", "1.7"),
    "rare text": Match(("text",), MatchKind.TEXT, "sn1234"),
    "common text": Match(("text",), MatchKind.TEXT, "unit"),
    "two words": Match(("text",), MatchKind.TEXT, "unit 777"),
    "external id": equals("externalId", "ext-77"),
    "seen before": Compare(("lastSeenAt",), Operator.LT, time.now() - timedelta(minutes=DEVICES - 500)),
    "seen after": Compare(("lastSeenAt",), Operator.GE, time.now() - timedelta(minutes=500)),
    "near": Within(("location",), Circle(10, 10, 20_000)),
    "box": Within(("location",), Box(10, 10, 11, 11)),
}


@pytest.mark.parametrize("sort", ["name", "-lastSeenAt", "createdAt", "-createdAt", "updatedAt", "status"])
async def test_no_filter_reads_the_whole_table(fleet: TenantId, tenant_database: Database, sort: str) -> None:
    scans = []
    async with tenant_database.tx(fleet) as tx:
        for name, where in FILTERS.items():
            explaining = ExplainingTx(tx)
            await device_store.list_devices(cast(Tx, explaining), where, sort, PageQuery())
            scans += [(name, plan) for plan in explaining.plans if LARGE_TABLES.search(plan)]
    assert scans == []


@pytest.mark.parametrize(
    ("sort", "values"),
    [
        ("name", ["unit 3"]),
        ("-lastSeenAt", [str(time.now() - timedelta(minutes=DEVICES // 2))]),
        ("status", ["ACTIVE", "unit 3"]),
    ],
)
async def test_the_thousandth_page_is_found_by_index_and_without_sorting(
    fleet: TenantId, tenant_database: Database, sort: str, values: Sequence[str]
) -> None:
    async with tenant_database.tx(fleet) as tx:
        explaining = ExplainingTx(tx)
        cursor = encode_cursor([*values, str(new_id())])
        await device_store.list_devices(cast(Tx, explaining), EVERYTHING, sort, PageQuery(cursor=cursor))
    (plan,) = explaining.plans
    assert "Sort" not in plan
    assert not LARGE_TABLES.search(plan)
