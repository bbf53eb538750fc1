"""The SQL of OpenID providers, of browsers that are there, and of who somebody is there."""

from datetime import datetime
from uuid import UUID

from roadstead.core.identity.oidc_model import Journey, OidcClient
from roadstead.db import Tx
from roadstead.kernel.ids import TenantId, UserId

_COLUMNS = "id, name, alias, discovery_url, client_id, redirect_urls, created_at, updated_at"


async def select_clients(tx: Tx, tenant: TenantId) -> list[OidcClient]:
    """All of a tenant, by name."""
    sql = f"SELECT {_COLUMNS} FROM oidc_client WHERE tenant_id = %s ORDER BY name, id"
    return await tx.all(OidcClient, sql, tenant)


async def select_client(tx: Tx, tenant: TenantId, client: UUID) -> OidcClient | None:
    """One of them."""
    sql = f"SELECT {_COLUMNS} FROM oidc_client WHERE tenant_id = %s AND id = %s"
    return await tx.one(OidcClient, sql, tenant, client)


async def select_client_of(
    tx: Tx, project: UUID, client: UUID | None, alias: str
) -> tuple[TenantId, OidcClient] | None:
    """The one of a project with this id or alias, with its tenant."""
    sql = f"""
        SELECT tenant_id, {_COLUMNS} FROM oidc_client
        WHERE tenant_id = (SELECT tenant_id FROM tenant WHERE public_id = %s) AND (id = %s OR alias = %s)
    """
    tenants, clients = await tx.keyed(OidcClient, sql, project, client, alias)
    return (tenants[0], clients[0]) if clients else None


async def insert_client(tx: Tx, tenant: TenantId, client: OidcClient, secret: bytes) -> bool:
    """Add one; the secret is sealed. False when another one has its alias."""
    sql = """
        INSERT INTO oidc_client (tenant_id, id, name, alias, discovery_url, client_id, client_secret, redirect_urls,
                                 created_at, updated_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
    """
    values = (client.id, client.name, client.alias, client.discovery_url, client.client_id, secret)
    return await tx.run(sql, tenant, *values, client.redirect_urls, client.created_at, client.updated_at) == 1


async def is_alias_taken(tx: Tx, tenant: TenantId, client: OidcClient) -> bool:
    """Whether another one has its alias."""
    sql = "SELECT EXISTS (SELECT FROM oidc_client WHERE tenant_id = %s AND alias = %s AND id <> %s)"
    return bool(await tx.value(sql, tenant, client.alias, client.id))


async def update_client(tx: Tx, tenant: TenantId, client: OidcClient, secret: bytes | None) -> None:
    """As it shall be; without a secret the one it has stays."""
    sql = """
        UPDATE oidc_client
        SET name = %s, alias = %s, discovery_url = %s, client_id = %s, client_secret = coalesce(%s, client_secret),
            redirect_urls = %s, updated_at = %s
        WHERE tenant_id = %s AND id = %s
    """
    values = (client.name, client.alias, client.discovery_url, client.client_id, secret, client.redirect_urls)
    await tx.run(sql, *values, client.updated_at, tenant, client.id)


async def delete_client(tx: Tx, tenant: TenantId, client: UUID) -> None:
    """Away with it, and with what it has said about anybody."""
    await tx.run("DELETE FROM oidc_client WHERE tenant_id = %s AND id = %s", tenant, client)


# --- browsers --------------------------------------------------------------------------------------------------------


async def insert_journey(
    tx: Tx,
    tenant: TenantId,
    client: UUID,
    *,
    state_hash: bytes,
    verifier: bytes,
    nonce: str,
    success_url: str,
    failure_url: str,
    expires_at: datetime,
) -> None:
    """A browser is sent to a provider."""
    sql = """
        INSERT INTO oidc_sign_in (tenant_id, client_id, state_hash, verifier, nonce, success_url, failure_url,
                                  expires_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
    """
    await tx.run(sql, tenant, client, state_hash, verifier, nonce, success_url, failure_url, expires_at)


async def take_journey(tx: Tx, state_hash: bytes) -> Journey | None:
    """A browser has come back, for the first and only time."""
    sql = """
        WITH taken AS (DELETE FROM oidc_sign_in WHERE state_hash = %s RETURNING *)
        SELECT s.tenant_id, t.public_id AS organization_id, c.client_secret, s.verifier, s.nonce, s.success_url,
               s.failure_url, s.expires_at,
               jsonb_build_object(
                   'id', c.id, 'name', c.name, 'alias', c.alias, 'discovery_url', c.discovery_url,
                   'client_id', c.client_id, 'redirect_urls', c.redirect_urls,
                   'created_at', c.created_at, 'updated_at', c.updated_at
               ) AS client
        FROM taken s JOIN tenant t USING (tenant_id)
        JOIN oidc_client c ON c.tenant_id = s.tenant_id AND c.id = s.client_id
    """
    return await tx.one(Journey, sql, state_hash)


# --- who somebody is -------------------------------------------------------------------------------------------------


async def select_person_of_subject(tx: Tx, tenant: TenantId, client: UUID, subject: str) -> UserId | None:
    """Who this is here."""
    sql = "SELECT person_id FROM oidc_identity WHERE tenant_id = %s AND client_id = %s AND subject = %s"
    person: UserId | None = await tx.value(sql, tenant, client, subject)
    return person


async def insert_subject(tx: Tx, tenant: TenantId, client: UUID, subject: str, person: UserId) -> None:
    """From now on we know who it is."""
    sql = """
        INSERT INTO oidc_identity (tenant_id, client_id, subject, person_id) VALUES (%s, %s, %s, %s)
        ON CONFLICT DO NOTHING
    """
    await tx.run(sql, tenant, client, subject, person)


async def lock_subject(tx: Tx, tenant: TenantId, subject: str) -> None:
    """Until the end of the transaction nobody else signs in as the same."""
    await tx.run("SELECT pg_advisory_xact_lock(hashtextextended(%s, %s))", f"roadstead/oidc/{subject}", tenant)
