"""The SQL of registration tokens, certificates and authorities.

Every statement names its tenant, because a device at the door is looked up in a transaction that sees all of them.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from roadstead.core.provisioning.authority import Revocation
from roadstead.core.provisioning.model import (
    Candidate,
    Credential,
    HeldToken,
    RegistrationToken,
    TokenStatus,
)
from roadstead.db import Condition, Listing, SortKey, Tx
from roadstead.kernel.ids import DeviceId, TenantId
from roadstead.kernel.page import Page, PageQuery

# --- registration tokens ---------------------------------------------------------------------------------------------

_STATE = """
    CASE WHEN t.revoked_at IS NOT NULL THEN 'REVOKED' WHEN t.used_at IS NOT NULL THEN 'USED'
         WHEN t.expires_at <= now() THEN 'EXPIRED' ELSE 'PENDING' END
"""
_TOKENS = Listing(
    f"t.id, t.device_id, d.name AS device_name, {_STATE} AS status, t.created_by, t.created_at, t.expires_at, "
    "t.used_at, t.used_address, t.revoked_at",
    "registration_token t JOIN device d ON d.tenant_id = t.tenant_id AND d.id = t.device_id",
    tie="t.id",
)
_TOKEN_HAS_STATUS = {
    TokenStatus.PENDING: "t.used_at IS NULL AND t.revoked_at IS NULL AND t.expires_at > now()",
    TokenStatus.USED: "t.used_at IS NOT NULL AND t.revoked_at IS NULL",
    TokenStatus.EXPIRED: "t.used_at IS NULL AND t.revoked_at IS NULL AND t.expires_at <= now()",
    TokenStatus.REVOKED: "t.revoked_at IS NOT NULL",
}
_NEWEST_TOKEN = [SortKey("t.created_at", descending=True, cast="timestamptz")]


class TokenRow(msgspec.Struct, frozen=True):
    """A token as it is stored."""

    tenant_id: TenantId
    id: UUID
    device_id: DeviceId
    secret_hash: bytes
    created_by: UUID
    created_at: datetime
    expires_at: datetime


async def insert_tokens(tx: Tx, rows: Sequence[TokenRow]) -> None:
    """Add tokens, in one round trip."""
    sql = """
        INSERT INTO registration_token (tenant_id, id, device_id, secret_hash, created_by, created_at, expires_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s)
    """
    await tx.many(sql, [msgspec.structs.astuple(row) for row in rows])


async def select_tokens(
    tx: Tx, tenant: TenantId, status: TokenStatus, device_id: DeviceId | None, query: PageQuery
) -> Page[RegistrationToken]:
    """Newest first."""
    where = [Condition("t.tenant_id = %s", (tenant,)), Condition(_TOKEN_HAS_STATUS[status])]
    if device_id is not None:
        where.append(Condition("t.device_id = %s", (device_id,)))
    return await _TOKENS.page(tx, RegistrationToken, where, _NEWEST_TOKEN, query)


async def select_token(tx: Tx, tenant: TenantId, id_: UUID) -> RegistrationToken | None:
    """One token."""
    sql = f"SELECT {_TOKENS.columns} FROM {_TOKENS.source} WHERE t.tenant_id = %s AND t.id = %s"
    return await tx.one(RegistrationToken, sql, tenant, id_)


async def select_held_token(tx: Tx, id_: UUID) -> HeldToken | None:
    """The token with this id, whoever's it is."""
    sql = f"""
        SELECT t.tenant_id, o.public_id AS organization_id, o.status AS organization_status, t.device_id,
               d.name AS device_name, t.secret_hash, {_STATE} AS status
        FROM registration_token t
        JOIN device d ON d.tenant_id = t.tenant_id AND d.id = t.device_id
        JOIN tenant o ON o.tenant_id = t.tenant_id
        WHERE t.id = %s
    """
    return await tx.one(HeldToken, sql, id_)


async def use_token(tx: Tx, tenant: TenantId, id_: UUID, *, at: datetime, address: str) -> bool:
    """False when it is not pending any more. A second caller waits for the first to commit, and is told False."""
    sql = """
        UPDATE registration_token SET used_at = %s, used_address = %s
        WHERE tenant_id = %s AND id = %s AND used_at IS NULL AND revoked_at IS NULL AND expires_at > now()
    """
    return await tx.run(sql, at, address, tenant, id_) == 1


async def revoke_token(tx: Tx, tenant: TenantId, id_: UUID, *, at: datetime) -> bool:
    """False when it has been used or revoked already."""
    sql = """
        UPDATE registration_token SET revoked_at = %s
        WHERE tenant_id = %s AND id = %s AND used_at IS NULL AND revoked_at IS NULL
    """
    return await tx.run(sql, at, tenant, id_) == 1


async def revoke_open_tokens(tx: Tx, tenant: TenantId, device_id: DeviceId, *, at: datetime) -> None:
    """Revoke every token of a device that could still be used."""
    sql = """
        UPDATE registration_token SET revoked_at = %s
        WHERE tenant_id = %s AND device_id = %s AND used_at IS NULL AND revoked_at IS NULL
    """
    await tx.run(sql, at, tenant, device_id)


# --- certificates ----------------------------------------------------------------------------------------------------

_CREDENTIALS = Listing(
    "id, device_id, dialect, fingerprint, serial_number, subject, issued_here, not_before, not_after, created_at, "
    "superseded_at, revoked_at, revoke_reason, withheld, der",
    "certificate",
)
_NEWEST = [SortKey("created_at", descending=True, cast="timestamptz")]


async def insert_certificate(tx: Tx, tenant: TenantId, credential: Credential) -> bool:
    """False when any tenant has a certificate with this fingerprint."""
    sql = """
        INSERT INTO certificate (tenant_id, id, device_id, dialect, fingerprint, serial_number, subject, issued_here,
                                 not_before, not_after, created_at, revoked_at, withheld, der)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (fingerprint) DO NOTHING
    """
    inserted = await tx.run(
        sql,
        tenant,
        credential.id,
        credential.device_id,
        credential.dialect,
        credential.fingerprint,
        credential.serial_number,
        credential.subject,
        credential.issued_here,
        credential.not_before,
        credential.not_after,
        credential.created_at,
        credential.revoked_at,
        credential.withheld,
        credential.der,
    )
    return inserted == 1


async def select_credentials(tx: Tx, tenant: TenantId, device_id: DeviceId, query: PageQuery) -> Page[Credential]:
    """Those of one device, newest first."""
    where = [Condition("tenant_id = %s AND device_id = %s", (tenant, device_id))]
    return await _CREDENTIALS.page(tx, Credential, where, _NEWEST, query)


async def select_credential(tx: Tx, tenant: TenantId, device_id: DeviceId, id_: UUID) -> Credential | None:
    """One certificate of a device."""
    sql = f"SELECT {_CREDENTIALS.columns} FROM certificate WHERE tenant_id = %s AND device_id = %s AND id = %s"
    return await tx.one(Credential, sql, tenant, device_id, id_)


async def lock_credential(tx: Tx, tenant: TenantId, device_id: DeviceId, id_: UUID) -> Credential | None:
    """One certificate of a device, which nobody else changes until this transaction ends."""
    sql = f"""
        SELECT {_CREDENTIALS.columns} FROM certificate
        WHERE tenant_id = %s AND device_id = %s AND id = %s FOR NO KEY UPDATE
    """
    return await tx.one(Credential, sql, tenant, device_id, id_)


async def update_credential(tx: Tx, tenant: TenantId, credential: Credential) -> None:
    """Everything about it that can change by somebody's word."""
    sql = "UPDATE certificate SET revoked_at = %s, revoke_reason = %s, withheld = %s WHERE tenant_id = %s AND id = %s"
    await tx.run(sql, credential.revoked_at, credential.revoke_reason, credential.withheld, tenant, credential.id)


async def delete_credential(tx: Tx, tenant: TenantId, id_: UUID) -> None:
    """Forget a certificate; what we have signed ourselves stays on the revocation list."""
    await tx.run("DELETE FROM certificate WHERE tenant_id = %s AND id = %s", tenant, id_)


async def supersede(tx: Tx, tenant: TenantId, device_id: DeviceId, *, but: UUID, at: datetime) -> list[bytes]:
    """From `at` on the certificates we gave this device, all `but` one, are superseded. Fingerprints of those."""
    sql = """
        UPDATE certificate SET superseded_at = least(superseded_at, %s)
        WHERE tenant_id = %s AND device_id = %s AND id <> %s AND issued_here AND revoked_at IS NULL AND not_after > %s
          AND (superseded_at IS NULL OR superseded_at > %s)
        RETURNING fingerprint
    """
    return [bytes(row[0]) for row in await tx.rows(sql, at, tenant, device_id, but, at, at)]


async def revoke_certificates(
    tx: Tx, tenant: TenantId, device_id: DeviceId, *, serial_number: str | None, at: datetime, reason: str | None
) -> list[bytes]:
    """Revoke those of a device (with this serial number) that are not revoked yet. Their fingerprints."""
    sql = """
        UPDATE certificate SET revoked_at = %s, revoke_reason = %s
        WHERE tenant_id = %s AND device_id = %s AND (%s::text IS NULL OR serial_number = %s) AND revoked_at IS NULL
        RETURNING fingerprint
    """
    rows = await tx.rows(sql, at, reason, tenant, device_id, serial_number, serial_number)
    return [bytes(row[0]) for row in rows]


async def has_serial(tx: Tx, tenant: TenantId, device_id: DeviceId, serial_number: str) -> bool:
    """Whether the device has, or had, a certificate with this serial number."""
    sql = """
        SELECT EXISTS (SELECT FROM certificate WHERE tenant_id = %s AND device_id = %s AND serial_number = %s)
    """
    return bool(await tx.value(sql, tenant, device_id, serial_number))


async def has_certificate(tx: Tx, tenant: TenantId, device_id: DeviceId) -> bool:
    """Whether the device ever got or brought a certificate."""
    sql = "SELECT EXISTS (SELECT FROM certificate WHERE tenant_id = %s AND device_id = %s)"
    return bool(await tx.value(sql, tenant, device_id))


BY_FINGERPRINT = """
    SELECT c.tenant_id, o.public_id AS organization_id, o.status AS organization_status, c.device_id,
           d.name AS device_name, d.status AS device_status, c.dialect, c.fingerprint, c.not_after,
           c.superseded_at, c.revoked_at, c.revoke_reason, c.withheld
    FROM certificate c
    JOIN device d ON d.tenant_id = c.tenant_id AND d.id = c.device_id
    JOIN tenant o ON o.tenant_id = c.tenant_id
    WHERE c.fingerprint = %s
"""


async def select_by_fingerprint(tx: Tx, fingerprint: bytes) -> Candidate | None:
    """The device whose certificate this is, whoever's it is. Asked at every connection."""
    return await tx.one(Candidate, BY_FINGERPRINT, fingerprint)


async def select_device(tx: Tx, tenant: TenantId, device_id: DeviceId) -> Candidate | None:
    """A device of one tenant."""
    sql = """
        SELECT d.tenant_id, o.public_id AS organization_id, o.status AS organization_status, d.id AS device_id,
               d.name AS device_name, d.status AS device_status
        FROM device d JOIN tenant o ON o.tenant_id = d.tenant_id
        WHERE d.tenant_id = %s AND d.id = %s
    """
    return await tx.one(Candidate, sql, tenant, device_id)


async def select_connected(tx: Tx, tenant: TenantId, gateway: DeviceId, *, most: int) -> list[DeviceId]:
    """The devices that a gateway connects, at most so many."""
    sql = "SELECT id FROM device WHERE tenant_id = %s AND gateway_id = %s ORDER BY id LIMIT %s"
    return [DeviceId(id_) for (id_,) in await tx.rows(sql, tenant, gateway, most)]


_REVOCATIONS = """
    SELECT serial_number, least(revoked_at, superseded_at) AS revoked_at, revoked_at IS NULL AS superseded
    FROM certificate
    WHERE issued_here AND (revoked_at IS NOT NULL OR superseded_at IS NOT NULL) AND not_after > %s
      AND (revoked_at IS NOT NULL OR superseded_at <= %s)
    UNION ALL
    SELECT serial_number, revoked_at, false FROM revoked_certificate WHERE not_after > %s
"""


async def select_revocations(tx: Tx, *, now: datetime) -> list[Revocation]:
    """Everything we have signed that is refused although it has not expired, of all tenants."""
    return await tx.all(Revocation, _REVOCATIONS, now, now, now)


async def select_revocation_mark(tx: Tx, *, now: datetime) -> str:
    """Another one when `select_revocations` has anything else to say. Costs a look at each, and no more."""
    sql = f"""
        SELECT count(*) || '/' || coalesce(bit_xor(hashtextextended(serial_number || '/' || superseded, 0)), 0)
        FROM ({_REVOCATIONS}) AS r
    """
    return str(await tx.value(sql, now, now, now))


# --- authorities -----------------------------------------------------------------------------------------------------


class AuthorityRow(msgspec.Struct, frozen=True):
    """An authority as it is stored."""

    id: UUID
    kind: str
    """`ROOT` or `INTERMEDIATE`."""
    certificate: str
    """PEM."""
    private_key: bytes | None
    """Sealed; None when it is kept elsewhere."""
    created_at: datetime


async def lock_authorities(tx: Tx) -> None:
    """One process at a time looks after the authorities, until its transaction ends."""
    await tx.run("SELECT pg_advisory_xact_lock(hashtext('roadstead certificate authority'))")


async def select_authorities(tx: Tx) -> dict[str, AuthorityRow]:
    """Those in use, by kind."""
    sql = "SELECT id, kind, certificate, private_key, created_at FROM certificate_authority WHERE retired_at IS NULL"
    return {row.kind: row for row in await tx.all(AuthorityRow, sql)}


async def insert_authority(tx: Tx, row: AuthorityRow) -> None:
    """Add one; there is none of its kind in use."""
    sql = """
        INSERT INTO certificate_authority (id, kind, certificate, private_key, created_at)
        VALUES (%s, %s, %s, %s, %s)
    """
    await tx.run(sql, *msgspec.structs.astuple(row))


async def select_revocation_list(tx: Tx, id_: UUID, *, mark: str, at: datetime) -> bytes | None:
    """The list that an authority has signed last, if it has this mark and may be handed out at this time."""
    sql = "SELECT list FROM certificate_authority WHERE id = %s AND list_mark = %s AND list_until > %s"
    listing: bytes | None = await tx.value(sql, id_, mark, at)
    return listing


async def keep_revocation_list(tx: Tx, id_: UUID, listing: bytes, *, mark: str, until: datetime) -> None:
    """Remember what an authority has signed."""
    sql = "UPDATE certificate_authority SET list = %s, list_mark = %s, list_until = %s WHERE id = %s"
    await tx.run(sql, listing, mark, until, id_)


async def retire_authority(tx: Tx, id_: UUID, *, at: datetime) -> None:
    """It signs no more."""
    await tx.run("UPDATE certificate_authority SET retired_at = %s WHERE id = %s", at, id_)


async def update_private_key(tx: Tx, id_: UUID, sealed: bytes | None) -> None:
    """From now on the key of this authority is kept here, or elsewhere (None)."""
    await tx.run("UPDATE certificate_authority SET private_key = %s WHERE id = %s", sealed, id_)
