"""The SQL of profiles. Both kinds are kept alike, so most of it is written once."""

from typing import TypeVar

import psycopg
from psycopg.types.json import Jsonb

from roadstead.core.types.model import DeviceProfile, ProfileQuery, ProfileReference, SensorProfile, Version
from roadstead.db import Condition, Listing, SortKey, Tx, parse_sort
from roadstead.db.filters import Column, compile_filter
from roadstead.kernel.filter import Or, contains, equals
from roadstead.kernel.ids import ProfileId
from roadstead.kernel.page import Page, PageQuery

P = TypeVar("P", SensorProfile, DeviceProfile)

_TABLE: dict[type, str] = {SensorProfile: "sensor_profile", DeviceProfile: "device_profile"}
_COLUMNS: dict[type, str] = {
    SensorProfile: "id, key, major, minor, name, description, fields, config_schema, pack_id, deprecated, created_at",
    DeviceProfile: "id, key, major, minor, name, description, components, writable_fields, config_schema, commands, "
    "pack_id, deprecated, created_at",
}
_FIELDS = {"key": Column("profile.key"), "name": Column("profile.name"), "packId": Column("profile.pack_id")}
_SORT = {"key": SortKey("profile.key"), "createdAt": SortKey("profile.created_at", cast="timestamptz")}


async def list_profiles(tx: Tx, kind: type[P], query: ProfileQuery, sort: str | None, page: PageQuery) -> Page[P]:
    """Versions of one key in order of their number; else the newest version of each."""
    listing = Listing(
        columns=", ".join(f"profile.{column}" for column in _COLUMNS[kind].split(", ")),
        source=f"{_TABLE[kind]} profile",
        tie="profile.id",
    )
    where = [Condition("profile.tenant_id = %s", (tx.tenant,))]
    for name, value in (("key", query.key), ("packId", query.pack_id)):
        if value is not None:
            where.append(compile_filter(equals(name, value), _FIELDS))
    if query.text:
        where.append(compile_filter(Or((contains("key", query.text), contains("name", query.text))), _FIELDS))
    if query.slotted:
        where.append(Condition("jsonb_path_exists(profile.fields, '$[*].slot')"))
    if query.version is not None:
        numbers = (query.version.major, query.version.minor)
        where.append(Condition("profile.major = %s AND profile.minor = %s", numbers))
    elif not query.all_versions:
        newer = f"""
            NOT EXISTS (SELECT FROM {_TABLE[kind]} newer WHERE newer.tenant_id = profile.tenant_id
                AND newer.key = profile.key AND (newer.major, newer.minor) > (profile.major, profile.minor))
        """
        where.append(Condition(newer))
    return await listing.page(tx, kind, where, _with_versions(parse_sort(sort, _SORT, "key")), page)


def _with_versions(keys: list[SortKey]) -> list[SortKey]:
    """Versions of one key stand together, in the direction of the key."""
    if keys[-1].sql != "profile.key":
        return keys
    down = keys[-1].descending
    return [*keys, SortKey("profile.major", down, "integer"), SortKey("profile.minor", down, "integer")]


async def select_versions(tx: Tx, kind: type[P], key: str) -> list[P]:
    """All versions of a key, newest first."""
    sql = f"""
        SELECT {_COLUMNS[kind]} FROM {_TABLE[kind]} WHERE tenant_id = %s AND key = %s ORDER BY major DESC, minor DESC
    """
    return await tx.all(kind, sql, tx.tenant, key)


async def select_profile(tx: Tx, kind: type[P], profile_id: ProfileId) -> P | None:
    """One version."""
    sql = f"SELECT {_COLUMNS[kind]} FROM {_TABLE[kind]} WHERE tenant_id = %s AND id = %s"
    return await tx.one(kind, sql, tx.tenant, profile_id)


async def select_profiles(tx: Tx, kind: type[P], profile_ids: list[ProfileId]) -> list[P]:
    """Those of the versions that are there."""
    sql = f"SELECT {_COLUMNS[kind]} FROM {_TABLE[kind]} WHERE tenant_id = %s AND id = ANY(%s)"
    return await tx.all(kind, sql, tx.tenant, profile_ids)


async def select_referenced(tx: Tx, kind: type[P], reference: ProfileReference) -> P | None:
    """The version that is named, or the newest: one that is not deprecated, if there is any."""
    sql = f"SELECT {_COLUMNS[kind]} FROM {_TABLE[kind]} WHERE tenant_id = %s AND key = %s"
    if reference.version is None:
        newest = f"{sql} ORDER BY deprecated, major DESC, minor DESC LIMIT 1"
        return await tx.one(kind, newest, tx.tenant, reference.key)
    exact = f"{sql} AND major = %s AND minor = %s"
    return await tx.one(kind, exact, tx.tenant, reference.key, reference.version.major, reference.version.minor)


async def select_ids(tx: Tx, kind: type[P], reference: ProfileReference) -> list[ProfileId]:
    """The version that is named, or all versions of the key."""
    sql = f"SELECT id FROM {_TABLE[kind]} WHERE tenant_id = %s AND key = %s"
    params: list[object] = [tx.tenant, reference.key]
    if reference.version is not None:
        sql += " AND major = %s AND minor = %s"
        params += [reference.version.major, reference.version.minor]
    return [ProfileId(row[0]) for row in await tx.rows(sql, *params)]


async def select_newest_below(tx: Tx, kind: type[P], key: str, major: int) -> P | None:
    """The newest version of a key up to and including a major number."""
    sql = f"""
        SELECT {_COLUMNS[kind]} FROM {_TABLE[kind]} WHERE tenant_id = %s AND key = %s AND major <= %s
        ORDER BY major DESC, minor DESC LIMIT 1
    """
    return await tx.one(kind, sql, tx.tenant, key, major)


async def has_version(tx: Tx, kind: type[P], key: str, version: Version) -> bool:
    """Whether this version of the key is there."""
    return await select_referenced(tx, kind, ProfileReference(key, version)) is not None


async def insert_profile(tx: Tx, profile: SensorProfile | DeviceProfile) -> bool:
    """False when this version of the key is there already."""
    columns = _COLUMNS[type(profile)]
    values = [getattr(profile, column) for column in columns.split(", ")]
    sql = f"""
        INSERT INTO {_TABLE[type(profile)]} (tenant_id, {columns}) VALUES (%s{", %s" * len(values)})
        ON CONFLICT (tenant_id, key, major, minor) DO NOTHING
    """
    params = [Jsonb(value) if isinstance(value, list | dict) else value for value in values]
    return bool(await tx.run(sql, tx.tenant, *params))


async def deprecate_profile(tx: Tx, kind: type[P], profile_id: ProfileId) -> None:
    """Mark a version."""
    sql = f"UPDATE {_TABLE[kind]} SET deprecated = true WHERE tenant_id = %s AND id = %s"
    await tx.run(sql, tx.tenant, profile_id)


async def delete_profile(tx: Tx, kind: type[P], profile_id: ProfileId) -> bool:
    """False when rows of rooms above refer to it; the transaction is of no more use then."""
    try:
        await tx.run(f"DELETE FROM {_TABLE[kind]} WHERE tenant_id = %s AND id = %s", tx.tenant, profile_id)
    except psycopg.errors.ForeignKeyViolation:
        return False
    return True


async def lock_profile(tx: Tx, kind: type[P], profile_id: ProfileId) -> None:
    """Keep others from starting to refer to it until this transaction ends."""
    await tx.run(f"SELECT FROM {_TABLE[kind]} WHERE tenant_id = %s AND id = %s FOR UPDATE", tx.tenant, profile_id)


async def is_profile_used(tx: Tx, profile: SensorProfile | DeviceProfile) -> bool:
    """Whether a device, or a component or a device profile, refers to it."""
    if isinstance(profile, DeviceProfile):
        sql = "SELECT EXISTS (SELECT FROM device WHERE tenant_id = %s AND profile_id = %s)"
        return bool(await tx.value(sql, tx.tenant, profile.id))
    sql = """
        SELECT EXISTS (SELECT FROM component WHERE tenant_id = %s AND sensor_profile_id = %s)
            OR EXISTS (SELECT FROM device_profile WHERE tenant_id = %s AND components @> %s)
    """
    wanted = Jsonb([{"sensorProfile": profile.reference}])
    return bool(await tx.value(sql, tx.tenant, profile.id, tx.tenant, wanted))
