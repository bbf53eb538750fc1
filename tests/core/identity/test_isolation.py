"""What belongs to an organization is seen there only, even by a query that forgets to ask for it."""

import pytest

from roadstead.core import identity
from roadstead.db import Database
from roadstead.kernel.actor import Role
from tests.conftest import Tenant
from tests.people import add_person, client_of, sign_in

TABLES = ["membership", "invitation", "session", "refresh_token", "api_key", "audit_log", "idempotency"]


async def fill(tenant: Tenant) -> str:
    """A row in each table; the address of a member."""
    person = await add_person(tenant)
    me = client_of(tenant, await sign_in(tenant, person))
    await me.post("/api/v1/api-keys", json={"name": "x"}, headers={"Idempotency-Key": "once"})
    async with tenant.work() as work:
        await identity.create_invitation(work, email=f"guest@{tenant.slug}.test", role=Role.MEMBER)
    return person.email


async def test_a_query_that_forgets_the_tenant_sees_its_own_rows_only(
    tenant_database: Database, acme: Tenant, globex: Tenant
) -> None:
    ours, theirs = await fill(acme), await fill(globex)
    for tenant, email in ((acme, ours), (globex, theirs)):
        async with tenant_database.tx(tenant.tenant_id) as tx:
            for table in TABLES:
                found = await tx.rows(f"SELECT DISTINCT tenant_id FROM {table}")
                assert found == [(tenant.tenant_id,)], table
            assert await tx.rows("SELECT email FROM person") == [(email,)]
    async with tenant_database.tx() as tx:
        for table in TABLES:
            assert await tx.value(f"SELECT count(tenant_id) FROM {table}") == 0, table
        assert await tx.value("SELECT count(id) FROM person") == 0


@pytest.mark.parametrize("column", ["password_hash", "totp_secret", "recovery_hashes"])
async def test_what_people_prove_themselves_with_is_out_of_reach(
    tenant_database: Database, acme: Tenant, column: str
) -> None:
    async with tenant_database.tx(acme.tenant_id) as tx:
        assert not await tx.value("SELECT has_column_privilege('person', %s, 'SELECT')", column)


@pytest.mark.parametrize("table", ["password_reset", "sign_in_failure", "signing_key"])
async def test_what_is_nobodys_is_out_of_reach(tenant_database: Database, acme: Tenant, table: str) -> None:
    async with tenant_database.tx(acme.tenant_id) as tx:
        assert not await tx.value("SELECT has_table_privilege(%s, 'SELECT, INSERT, UPDATE, DELETE')", table)
