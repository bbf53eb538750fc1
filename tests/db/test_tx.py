"""Transactions: they begin when something changes, hold together from there on, and never see another tenant."""

import psycopg
import pytest
from psycopg.types.json import Jsonb

from roadstead.core.messages import OrganizationChanged, encode_fact
from roadstead.db import Database
from roadstead.db.tx import _only_reads
from roadstead.kernel import time
from roadstead.kernel.errors import Invalid
from tests.conftest import Tenant
from tests.fleet import add_device

_MINE = "SELECT count(*) FROM device"
_RENAME = "UPDATE device SET name = %s WHERE name <> %s"


async def names(database: Database, tenant: Tenant) -> set[str]:
    """What the devices of a tenant are called."""
    async with database.tx(tenant.tenant_id) as tx:
        return {name for (name,) in await tx.rows("SELECT name FROM device")}


async def test_what_only_reads_needs_no_transaction_and_sees_its_own_tenant(
    acme: Tenant, globex: Tenant, tenant_database: Database, system_database: Database
) -> None:
    for tenant in (acme, acme, globex):
        await add_device(system_database, tenant.tenant_id)
    async with tenant_database.tx(acme.tenant_id) as tx:
        assert await tx.value(_MINE) == 2
        assert tx.connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        assert await tx.value(_MINE) == 2
    # The same connections, and nothing of the tenant before is left on them.
    for _ in range(10):
        async with tenant_database.tx(globex.tenant_id) as tx:
            assert await tx.value(_MINE) == 1
        async with tenant_database.tx() as tx:
            assert await tx.value(_MINE) == 0
            assert await tx.run(_RENAME, "nobody's", "") == 0


async def test_from_the_first_change_on_everything_is_kept_together_or_not_at_all(
    acme: Tenant, tenant_database: Database, system_database: Database
) -> None:
    device = await add_device(system_database, acme.tenant_id)
    with pytest.raises(RuntimeError):
        async with tenant_database.tx(acme.tenant_id) as tx:
            assert await tx.value(_MINE) == 1
            assert await tx.run(_RENAME, "changed", "") == 1
            assert await tx.value("SELECT name FROM device") == "changed"
            assert await names(system_database, acme) >= {str(device)}
            raise RuntimeError
    assert await names(tenant_database, acme) == {str(device)}

    async with tenant_database.tx(acme.tenant_id) as tx:
        await tx.value("UPDATE device SET name = 'first' WHERE name <> '' RETURNING name")
        await tx.run(_RENAME, "second", "")
    assert await names(tenant_database, acme) == {"second"}


async def test_a_statement_that_fails_leaves_nothing_behind(
    acme: Tenant, tenant_database: Database, system_database: Database
) -> None:
    await add_device(system_database, acme.tenant_id)
    for first in ("SELECT 1 / 0", "UPDATE device SET ordinal = 1 / 0"):
        with pytest.raises(psycopg.errors.DivisionByZero):
            async with tenant_database.tx(acme.tenant_id) as tx:
                await tx.rows(first)
        with pytest.raises(psycopg.errors.DivisionByZero):
            async with tenant_database.tx(acme.tenant_id) as tx:
                await tx.run(_RENAME, "lost", "")
                await tx.rows(first)
    assert "lost" not in await names(tenant_database, acme)


async def test_a_fact_leaves_although_nothing_was_changed_beside_it(
    acme: Tenant, tenant_database: Database, system_database: Database
) -> None:
    for reads in (True, False):
        async with tenant_database.tx(acme.tenant_id) as tx:
            if reads:
                await tx.value(_MINE)
            tx.emit(acme.tenant_id, time.now(), encode_fact(OrganizationChanged()))
    async with system_database.tx() as tx:
        assert await tx.value("SELECT count(*) FROM outbox WHERE tenant_id = %s", acme.tenant_id) == 2


async def test_a_part_can_be_undone_by_itself(
    acme: Tenant, tenant_database: Database, system_database: Database
) -> None:
    await add_device(system_database, acme.tenant_id)
    async with tenant_database.tx(acme.tenant_id) as tx:
        with pytest.raises(psycopg.errors.DivisionByZero):
            async with tx.savepoint():
                await tx.run(_RENAME, "undone", "")
                await tx.value("SELECT 1 / 0")
        await tx.run(_RENAME, "kept", "")
    assert await names(tenant_database, acme) == {"kept"}


@pytest.mark.parametrize(
    ("sql", "reads"),
    [
        ("SELECT 1", True),
        ("\n  WITH a AS (SELECT 1) SELECT updated_at FROM a", True),
        ("SELECT 1 FOR UPDATE", False),
        ("SELECT 1 FOR NO KEY UPDATE OF device SKIP LOCKED", False),
        ("SELECT 1 FOR KEY SHARE", False),
        ("SELECT 1 FOR SHARE", False),
        ("SELECT pg_advisory_xact_lock(1)", False),
        ("SELECT pg_try_advisory_xact_lock(1)", False),
        ("SELECT pg_notify('a', '')", False),
        ("SELECT nextval('a')", False),
        ("SELECT set_config('roadstead.tenant', '1', true)", False),
        ("WITH a AS (DELETE FROM device RETURNING id) SELECT * FROM a", False),
        ("INSERT INTO device SELECT 1", False),
        ("EXPLAIN SELECT 1", False),
        ("SET LOCAL work_mem = '1MB'", False),
    ],
)
def test_what_changes_or_locks_something_is_told_from_what_reads(sql: str, reads: bool) -> None:
    assert _only_reads(sql) is reads


@pytest.mark.parametrize("value", ["a\0b", Jsonb({"name": "a\0b"})])
async def test_text_with_a_zero_byte_is_no_fault_of_ours(
    tenant_database: Database, acme: Tenant, value: object
) -> None:
    with pytest.raises(Invalid, match="zero byte"):
        async with tenant_database.tx(acme.tenant_id) as tx:
            await tx.value("SELECT %s::jsonb ->> 'name'" if isinstance(value, Jsonb) else "SELECT %s::text", value)


async def test_what_can_wait_is_there_for_the_next_statement_and_after_the_commit(
    acme: Tenant, globex: Tenant, tenant_database: Database, system_database: Database
) -> None:
    for tenant in (acme, globex):
        await add_device(system_database, tenant.tenant_id)
    async with tenant_database.tx(acme.tenant_id) as tx:
        tx.later(_RENAME, "first", "")
        assert await tx.value("SELECT name FROM device") == "first"
        tx.later(_RENAME, "second", "")
        assert await tx.run(_RENAME, "third", "second") == 0
        tx.later(_RENAME, "last", "")
        with pytest.raises(RuntimeError):
            async with tx.savepoint():
                tx.later(_RENAME, "undone", "")
                raise RuntimeError
    assert await names(tenant_database, acme) == {"last"}
    assert "last" not in await names(tenant_database, globex)
    with pytest.raises(psycopg.errors.DivisionByZero):
        async with tenant_database.tx(acme.tenant_id) as tx:
            tx.later(_RENAME, "lost", "")
            tx.later("SELECT 1 / 0")
    assert await names(tenant_database, acme) == {"last"}
