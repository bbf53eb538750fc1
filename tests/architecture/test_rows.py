"""A tenant sees its own rows only: the catalogue says so, and a handler that forgets the tenant finds out."""

from roadstead.db import Database
from tests.conftest import Tenant

# Tables without rows of a tenant: only the system duty may touch them, except for the columns granted below.
# This list may only get shorter.
WITHOUT_TENANT = {
    "person",  # belongs to no tenant; its policy shows members only
    "password_reset",
    "sign_in_failure",
    "signing_key",
    "realm_key",
    "realm_session",  # belongs to a person, who may enter several tenants with it, or none
    "authorization_code",
    "realm_token",
    "id_token",  # of a session of the realm
    "person_token",  # of a person, for all their organizations
    "certificate_authority",
    "projection",
    "gateway_lease",
}
_TABLES = """
    SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity,
           EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND a.attnotnull),
           ARRAY(SELECT p.polname::text FROM pg_policy p WHERE p.polrelid = c.oid ORDER BY 1)
    FROM pg_class c WHERE c.relnamespace = 'roadstead'::regnamespace AND c.relkind IN ('r', 'p')
      AND c.relname NOT LIKE '\\_yoyo%%' AND c.relname NOT LIKE 'yoyo%%'
"""


async def test_every_table_has_a_tenant_and_a_forced_policy(system_database: Database) -> None:
    async with system_database.tx() as tx:
        tables = {name: rest for name, *rest in await tx.rows(_TABLES)}

    assert tables.keys() >= WITHOUT_TENANT
    for name, (forced, has_tenant, policies) in tables.items():
        if name not in WITHOUT_TENANT:
            assert (forced, has_tenant, policies) == (True, True, ["all_rows", "own_rows"]), name


async def test_every_foreign_key_between_tables_of_a_tenant_includes_the_tenant(system_database: Database) -> None:
    sql = """
        SELECT conrelid::regclass::text, conname FROM pg_constraint f
        WHERE contype = 'f' AND connamespace = 'roadstead'::regnamespace
          AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = f.confrelid AND a.attname = 'tenant_id')
          AND NOT EXISTS (
              SELECT FROM pg_attribute a
              WHERE a.attrelid = f.conrelid AND a.attnum = ANY (f.conkey) AND a.attname = 'tenant_id'
          )
    """
    async with system_database.tx() as tx:
        found = {f"{table}.{name}" for table, name in await tx.rows(sql)}

    assert found == {"person.person_last_tenant_id_fkey"}  # a hint which organization to open, checked by membership


async def test_the_tenant_duty_cannot_touch_tables_without_tenant(tenant_database: Database, acme: Tenant) -> None:
    sql = """
        SELECT table_name FROM information_schema.role_table_grants
        WHERE grantee = 'roadstead_tenant' AND table_schema = 'roadstead'
    """
    async with tenant_database.tx(acme.tenant_id) as tx:
        granted = {name for (name,) in await tx.rows(sql)}

    assert not granted & WITHOUT_TENANT


async def test_a_query_that_forgets_the_tenant_sees_nothing(
    tenant_database: Database, acme: Tenant, globex: Tenant
) -> None:
    async with tenant_database.tx(acme.tenant_id) as tx:
        assert await tx.rows("SELECT slug FROM tenant") == [(acme.slug,)]
    async with tenant_database.tx() as tx:
        assert await tx.rows("SELECT slug FROM tenant") == []
        assert await tx.rows("SELECT prefix FROM api_key") == []


async def test_a_row_cannot_be_written_for_another_tenant(
    tenant_database: Database, acme: Tenant, globex: Tenant
) -> None:
    async with tenant_database.tx(acme.tenant_id) as tx:
        changed = await tx.run("UPDATE tenant SET name = 'stolen' WHERE tenant_id = %s", globex.tenant_id)
    assert changed == 0
