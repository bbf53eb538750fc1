"""Lists of events and alerts stay fast: among very many, no documented filter reads the whole table."""

import re
from typing import Any, cast
from uuid import UUID

import psycopg
import pytest
import pytest_asyncio

from roadstead.core import events, rules
from roadstead.core.events import EventQuery, EventSource, LifecycleStatus
from roadstead.core.messages import Severity
from roadstead.core.rules import AlertQuery
from roadstead.core.work import Work
from roadstead.db import Database, Tx
from roadstead.kernel import time
from roadstead.kernel.actor import system_actor
from roadstead.kernel.ids import DeviceId, SensorId, SiteId, TenantId, UserId, new_id
from roadstead.kernel.page import PageQuery
from tests.core.registry.test_plans import ExplainingTx

ROWS = 20_000
SCANS = re.compile(r"Seq Scan on (event|event_word|alert)\b")
RARE = UUID("20000000-0000-0000-0000-000000000007")

RARE_OF = "('20000000-0000-0000-0000-' || lpad((i %% 2000)::text, 12, '0'))::uuid"
SITE = f"""
    INSERT INTO site (tenant_id, id, lineage, name, created_at, updated_at)
    VALUES (%(tenant)s, '{RARE}', ARRAY['{RARE}'::uuid], 'site', now(), now())
"""
EVENTS = f"""
    INSERT INTO event (tenant_id, id, type, source, severity, message, device_id, sensor_id, site_id, occurred_at,
                       created_at)
    SELECT %(tenant)s, gen_random_uuid(), 'kind-' || i %% 1500, CASE i %% 1000 WHEN 0 THEN 'USER' ELSE 'EXTERNAL' END,
           CASE i %% 1000 WHEN 0 THEN 'CRITICAL' ELSE 'INFO' END, 'message ' || i, {RARE_OF}, {RARE_OF}, {RARE_OF},
           now() - i * interval '1 second', now()
    FROM generate_series(1, {ROWS}) i
"""
WORDS = """
    INSERT INTO event_word (tenant_id, word, event_id)
    SELECT DISTINCT tenant_id, w, id FROM event, regexp_split_to_table(lower(type || ' ' || message), '[ -]') w
    WHERE tenant_id = %(tenant)s
"""
ALERTS = f"""
    INSERT INTO alert (tenant_id, id, ordinal, event_id, rule_id, rule_name, severity, status, device_id, sensor_id,
                       site_id, message, triggered_at, last_seen_at, assignee_id)
    SELECT %(tenant)s, gen_random_uuid(), i, gen_random_uuid(), {RARE_OF}, 'rule',
           CASE i %% 1000 WHEN 0 THEN 'CRITICAL' ELSE 'INFO' END,
           CASE i %% 1000 WHEN 1 THEN 'ACTIVE' ELSE 'RESOLVED' END,
           {RARE_OF}, gen_random_uuid(), {RARE_OF}, 'm', now() - i * interval '1 second', now(),
           CASE i %% 1000 WHEN 0 THEN {RARE_OF} END
    FROM generate_series(1, {ROWS}) i
"""


@pytest_asyncio.fixture(scope="module")
async def crowd(database_url: str) -> TenantId:
    """A tenant in which much has happened."""
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        await connection.execute("SET search_path = roadstead")
        await connection.execute("SET session_replication_role = replica")
        made = await connection.execute(
            """
            INSERT INTO tenant (public_id, name, slug, created_at, updated_at)
            VALUES (gen_random_uuid(), 'Crowd', 'crowd', now(), now()) RETURNING tenant_id
            """
        )
        (tenant_id,) = await made.fetchone() or (0,)
        for statement in (SITE, EVENTS, WORDS, ALERTS):
            await connection.execute(statement, {"tenant": tenant_id})
        for table in ("event", "event_word", "alert"):
            await connection.execute(f"ANALYZE {table}")
    return TenantId(tenant_id)


class _Explaining(ExplainingTx):
    """Other questions are answered."""

    audit: tuple[()] = ()

    async def rows(self, sql: str, *params: Any) -> Any:
        return await self._tx.rows(sql, *params)


LATE = time.now()
EVENT_QUERIES = {
    "none": EventQuery(),
    "type": EventQuery(types=["kind-7"]),
    "kind of type": EventQuery(types=["kind-77*"]),
    "source": EventQuery(source=EventSource.USER),
    "no such source": EventQuery(source=EventSource.MEDIA),
    "severity": EventQuery(severities=[Severity.CRITICAL]),
    "device": EventQuery(device_id=DeviceId(RARE)),
    "sensor": EventQuery(sensor_id=SensorId(RARE)),
    "site": EventQuery(site_id=SiteId(RARE)),
    "span": EventQuery(occurred_from=LATE, occurred_before=LATE),
    "word": EventQuery(text="4711"),
    "common word": EventQuery(text="message"),
    "no such word": EventQuery(text="zebra"),
}
ALERT_QUERIES = {
    "none": AlertQuery(),
    "status": AlertQuery(statuses=[LifecycleStatus.ACTIVE, LifecycleStatus.ACKNOWLEDGED]),
    "severity": AlertQuery(severities=[Severity.CRITICAL]),
    "rule": AlertQuery(rule_id=RARE),
    "device": AlertQuery(device_id=DeviceId(RARE)),
    "sensor": AlertQuery(sensor_id=SensorId(new_id())),
    "site": AlertQuery(site_id=SiteId(RARE)),
    "assignee": AlertQuery(assignee_id=UserId(RARE)),
    "span": AlertQuery(triggered_from=LATE, triggered_before=LATE),
}


@pytest.mark.parametrize("sort", ["-occurredAt", "occurredAt"])
async def test_no_filter_of_events_reads_the_whole_table(crowd: TenantId, tenant_database: Database, sort: str) -> None:
    scans = []
    async with tenant_database.tx(crowd) as tx:
        for name, query in EVENT_QUERIES.items():
            explaining = _Explaining(tx)
            work = Work(system_actor(crowd, new_id()), cast(Tx, explaining), cast(Any, None))
            await events.list_events(work, query, sort=sort, page=PageQuery())
            scans += [(name, plan) for plan in explaining.plans if SCANS.search(plan)]
    assert scans == []


@pytest.mark.parametrize("sort", ["-triggeredAt", "-severity"])
async def test_no_filter_of_alerts_reads_the_whole_table(crowd: TenantId, tenant_database: Database, sort: str) -> None:
    scans = []
    async with tenant_database.tx(crowd) as tx:
        for name, query in ALERT_QUERIES.items():
            explaining = _Explaining(tx)
            work = Work(system_actor(crowd, new_id()), cast(Tx, explaining), cast(Any, None))
            await rules.list_alerts(work, query, sort=sort, page=PageQuery())
            scans += [(name, plan) for plan in explaining.plans if SCANS.search(plan)]
    assert scans == []
