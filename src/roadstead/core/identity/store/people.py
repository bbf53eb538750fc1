"""The SQL of people and of what they prove themselves with."""

from datetime import datetime

import msgspec
from psycopg.types.json import Jsonb

from roadstead.core.identity.model import Membership, Person, Secrets
from roadstead.core.identity.store.roles import HELD_BY_MEMBER
from roadstead.db import Tx
from roadstead.kernel.ids import TenantId, UserId

_COLUMNS = "id, email, name, locale, time_zone, preferences, totp_confirmed_at"


async def select_person(tx: Tx, person: UserId) -> Person | None:
    """Somebody by id."""
    return await tx.one(Person, f"SELECT {_COLUMNS} FROM person WHERE id = %s", person)


async def select_person_named(tx: Tx, email: str) -> Person | None:
    """Somebody by address, upper and lower case alike."""
    return await tx.one(Person, f"SELECT {_COLUMNS} FROM person WHERE lower(email) = lower(%s)", email)


async def insert_person(tx: Tx, person: Person, password_hash: str | None, created_at: datetime) -> bool:
    """False when somebody has this address already."""
    sql = """
        INSERT INTO person (id, email, name, password_hash, created_at, updated_at) VALUES (%s, %s, %s, %s, %s, %s)
        ON CONFLICT (lower(email)) DO NOTHING
    """
    row = (person.id, person.email, person.name, password_hash, created_at, created_at)
    return await tx.run(sql, *row) == 1


async def update_person(tx: Tx, person: Person, at: datetime) -> None:
    """Name, locale, time zone and preferences as they shall be."""
    sql = """
        UPDATE person SET name = %s, locale = %s, time_zone = %s, preferences = %s, updated_at = %s WHERE id = %s
    """
    await tx.run(sql, person.name, person.locale, person.time_zone, Jsonb(person.preferences), at, person.id)


async def select_memberships(tx: Tx, person: UserId) -> list[Membership]:
    """The organizations of a person, the one used last first, then in the order of joining."""
    sql = f"""
        SELECT m.tenant_id, t.public_id AS organization_id, t.status, m.role, {HELD_BY_MEMBER} AS held
        FROM membership m JOIN tenant t USING (tenant_id) JOIN person p ON p.id = m.person_id
        WHERE m.person_id = %s
        ORDER BY m.tenant_id IS NOT DISTINCT FROM p.last_tenant_id DESC, m.joined_at, m.tenant_id
    """
    return await tx.all(Membership, sql, person)


async def remember_organization(tx: Tx, person: UserId, tenant: TenantId) -> None:
    """The one to open the next time."""
    await tx.run("UPDATE person SET last_tenant_id = %s WHERE id = %s", tenant, person)


# --- secrets ---------------------------------------------------------------------------------------------------------


async def select_secrets(tx: Tx, person: UserId) -> Secrets | None:
    """What somebody can prove themselves with."""
    return await tx.one(
        Secrets, "SELECT password_hash, totp_secret, totp_confirmed_at FROM person WHERE id = %s", person
    )


async def update_password(tx: Tx, person: UserId, password_hash: str, at: datetime) -> None:
    """A new password, or the old one at a new cost."""
    await tx.run("UPDATE person SET password_hash = %s, updated_at = %s WHERE id = %s", password_hash, at, person)


async def update_totp(tx: Tx, person: UserId, sealed: bytes | None) -> None:
    """A second factor that has yet to be confirmed, or none; recovery codes go with the old one."""
    sql = """
        UPDATE person SET totp_secret = %s, totp_confirmed_at = NULL, totp_last_step = NULL, recovery_hashes = '{}'
        WHERE id = %s
    """
    await tx.run(sql, sealed, person)


async def confirm_totp(tx: Tx, person: UserId, recovery_hashes: list[bytes], at: datetime) -> None:
    """From now on it is asked for."""
    sql = "UPDATE person SET totp_confirmed_at = %s, recovery_hashes = %s WHERE id = %s"
    await tx.run(sql, at, recovery_hashes, person)


async def use_totp_step(tx: Tx, person: UserId, step: int) -> bool:
    """False when this code, or a later one, was used before."""
    sql = """
        UPDATE person SET totp_last_step = %s WHERE id = %s AND (totp_last_step IS NULL OR totp_last_step < %s)
    """
    return await tx.run(sql, step, person, step) == 1


async def use_recovery_code(tx: Tx, person: UserId, code_hash: bytes) -> bool:
    """False when it is not one of those that are left."""
    sql = """
        UPDATE person SET recovery_hashes = array_remove(recovery_hashes, %s)
        WHERE id = %s AND %s = ANY (recovery_hashes)
    """
    return await tx.run(sql, code_hash, person, code_hash) == 1


# --- password resets -------------------------------------------------------------------------------------------------


class PasswordReset(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody was mailed a token with which a new password can be set once."""

    person_id: UserId
    expires_at: datetime
    used_at: datetime | None


async def insert_reset(
    tx: Tx, person: UserId, token_hash: bytes, *, created_at: datetime, expires_at: datetime, unless_since: datetime
) -> bool:
    """False when there is one that was made after `unless_since`."""
    sql = """
        INSERT INTO password_reset (token_hash, person_id, created_at, expires_at)
        SELECT %s, %s, %s, %s
        WHERE NOT EXISTS (SELECT FROM password_reset WHERE person_id = %s AND created_at > %s)
    """
    return await tx.run(sql, token_hash, person, created_at, expires_at, person, unless_since) == 1


async def select_reset(tx: Tx, token_hash: bytes) -> PasswordReset | None:
    """The reset of a token, locked until the end of the transaction."""
    sql = "SELECT person_id, expires_at, used_at FROM password_reset WHERE token_hash = %s FOR UPDATE"
    return await tx.one(PasswordReset, sql, token_hash)


async def use_resets(tx: Tx, person: UserId, at: datetime) -> None:
    """No token that was mailed to this person is good any more."""
    await tx.run("UPDATE password_reset SET used_at = %s WHERE person_id = %s AND used_at IS NULL", at, person)


# --- attempts to sign in ---------------------------------------------------------------------------------------------


async def select_failures(tx: Tx, account: str, address: str, since: datetime) -> list[datetime]:
    """When attempts failed, oldest first."""
    sql = "SELECT at FROM sign_in_failure WHERE account = %s AND address = %s AND at > %s ORDER BY at"
    return [at for (at,) in await tx.rows(sql, account, address, since)]


async def insert_failure(tx: Tx, account: str, address: str, at: datetime) -> None:
    """Count an attempt."""
    await tx.run("INSERT INTO sign_in_failure (account, address, at) VALUES (%s, %s, %s)", account, address, at)


async def delete_failures(tx: Tx, account: str, address: str | None) -> None:
    """Forget attempts from an address, or from all."""
    sql = "DELETE FROM sign_in_failure WHERE account = %s AND (%s::text IS NULL OR address = %s)"
    await tx.run(sql, account, address, address)
