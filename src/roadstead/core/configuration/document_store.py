"""The SQL of documents: what devices are, what is bound for them, and what they shall have."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from roadstead.core.configuration.binding_store import ENTRY_COLUMNS
from roadstead.core.configuration.model import (
    ArtefactId,
    BindingId,
    Entry,
    ForProfile,
    ProfileKind,
    ReportedEntry,
    TargetType,
)
from roadstead.core.configuration.precedence import Bound, Unit
from roadstead.core.downlinks import Hearer
from roadstead.db import Tx
from roadstead.kernel.ids import DeviceId, GroupId, TenantId


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """The document of a device, without its entries."""

    tenant_id: TenantId
    device_id: DeviceId
    document_version: int
    digest: bytes
    changed_at: datetime | None
    reported: list[ReportedEntry]
    reported_version: int | None
    reported_at: datetime | None
    sent_at: datetime | None
    arrived_version: int | None
    arrived_at: datetime | None


_DOCUMENT = """
    document.tenant_id, document.device_id, document.document_version, document.digest, document.changed_at,
    document.reported, document.reported_version, document.reported_at, document.sent_at, document.arrived_version,
    document.arrived_at
"""


async def lock_documents(tx: Tx, devices: Iterable[tuple[TenantId, DeviceId]]) -> list[Document]:
    """The documents of these devices, made where there are none, which nobody else changes until we end.

    Always in the same order, so that nobody waits in a circle. A device that is just being deleted is left out.
    """
    ordered = sorted(set(devices))
    tenants, ids = [tenant for tenant, _ in ordered], [device for _, device in ordered]
    sql = """
        INSERT INTO device_configuration (tenant_id, device_id)
        SELECT tenant_id, id FROM (
            SELECT d.tenant_id, d.id FROM device d
            JOIN unnest(%s::int[], %s::uuid[]) AS w (tenant_id, device_id)
              ON w.tenant_id = d.tenant_id AND w.device_id = d.id
            WHERE NOT EXISTS (SELECT FROM device_configuration c WHERE c.tenant_id = d.tenant_id AND c.device_id = d.id)
            ORDER BY d.tenant_id, d.id FOR KEY SHARE OF d SKIP LOCKED
        ) lacking ORDER BY tenant_id, id ON CONFLICT DO NOTHING
    """
    await tx.run(sql, tenants, ids)
    sql = f"""
        SELECT {_DOCUMENT} FROM device_configuration document
        JOIN unnest(%s::int[], %s::uuid[]) AS w (tenant_id, device_id)
          ON w.tenant_id = document.tenant_id AND w.device_id = document.device_id
        ORDER BY document.tenant_id, document.device_id FOR NO KEY UPDATE OF document
    """
    return await tx.all(Document, sql, tenants, ids)


async def select_document(tx: Tx, device_id: DeviceId) -> Document | None:
    """The document of a device, if it ever had one or has reported one."""
    sql = f"SELECT {_DOCUMENT} FROM device_configuration document WHERE tenant_id = %s AND device_id = %s"
    return await tx.one(Document, sql, tx.tenant, device_id)


async def select_units(tx: Tx, device_ids: Sequence[DeviceId]) -> list[Unit]:
    """The devices with their profiles and components; their groups are asked for elsewhere."""
    sql = """
        SELECT device.id, device.profile_id,
            CASE WHEN profile.id IS NOT NULL THEN jsonb_build_array(profile.key, profile.major) END AS profile,
            coalesce((
                SELECT jsonb_agg(jsonb_build_object('id', c.id, 'key', c.key, 'profile_id', c.sensor_profile_id,
                    'profile', jsonb_build_array(p.key, p.major)))
                FROM component c
                JOIN sensor_profile p ON p.tenant_id = c.tenant_id AND p.id = c.sensor_profile_id
                WHERE c.tenant_id = device.tenant_id AND c.device_id = device.id
            ), '[]') AS parts
        FROM device
        LEFT JOIN device_profile profile ON profile.tenant_id = device.tenant_id AND profile.id = device.profile_id
        WHERE device.tenant_id = %s AND device.id = ANY(%s)
    """
    return await tx.all(Unit, sql, tx.tenant, list(device_ids))


async def select_bound_groups(tx: Tx) -> list[GroupId]:
    """The groups that anything is bound to."""
    sql = "SELECT DISTINCT group_id FROM config_binding WHERE tenant_id = %s AND group_id IS NOT NULL ORDER BY 1"
    return [group_id for (group_id,) in await tx.rows(sql, tx.tenant)]


class _BoundRow(msgspec.Struct, frozen=True, kw_only=True):
    binding_id: BindingId
    target_type: TargetType
    target_id: UUID
    priority: int
    created_at: datetime
    desired_version: int
    artefact_id: ArtefactId
    artefact_name: str
    hash: str
    profile_kind: ProfileKind | None
    profile_key: str | None
    profile_major: int | None
    profile_minor: int | None

    def read(self) -> Bound:
        profile = None
        if self.profile_kind is not None and self.profile_key is not None:
            profile = ForProfile(self.profile_kind, self.profile_key, self.profile_major or 0, self.profile_minor or 0)
        fields = {name: getattr(self, name) for name in Bound.__struct_fields__ if name != "profile"}
        return Bound(**fields, profile=profile)


async def select_bound(tx: Tx, targets: Sequence[tuple[TargetType, UUID]]) -> list[Bound]:
    """All that is bound to these targets."""
    sql = """
        SELECT b.id AS binding_id, b.target_type, b.target_id, b.priority, b.created_at, b.desired_version,
            b.artefact_id, b.artefact_name, a.sha256 AS hash, a.profile_kind, a.profile_key, a.profile_major,
            a.profile_minor
        FROM unnest(%s::text[], %s::uuid[]) AS w (target_type, target_id)
        JOIN config_binding b ON b.tenant_id = %s AND b.target_type = w.target_type AND b.target_id = w.target_id
        JOIN config_artefact a ON a.tenant_id = b.tenant_id AND a.id = b.artefact_id
    """
    types, ids = [str(type_) for type_, _ in targets], [id_ for _, id_ in targets]
    return [row.read() for row in await tx.all(_BoundRow, sql, types, ids, tx.tenant)]


# --- entries ---------------------------------------------------------------------------------------------------------


async def select_entries(tx: Tx, devices: Sequence[tuple[TenantId, DeviceId]]) -> list[tuple[TenantId, Entry]]:
    """What these devices shall have, in the order of their documents."""
    sql = f"""
        SELECT entry.tenant_id, {ENTRY_COLUMNS} FROM config_entry entry
        JOIN unnest(%s::int[], %s::uuid[]) AS w (tenant_id, device_id)
          ON w.tenant_id = entry.tenant_id AND w.device_id = entry.device_id
        ORDER BY entry.tenant_id, entry.device_id, entry.component_key, entry.artefact_name
    """
    tenants, entries = await tx.keyed(Entry, sql, [tenant for tenant, _ in devices], [device for _, device in devices])
    return list(zip(tenants, entries, strict=True))


_FIELDS = {
    "component_id": "uuid",
    "component_key": "text",
    "artefact_name": "text",
    "binding_id": "uuid",
    "target_type": "text",
    "target_id": "uuid",
    "artefact_id": "uuid",
    "desired_version": "int",
    "hash": "text",
    "status": "text",
    "reported_version": "int",
    "reported_hash": "text",
    "reported_at": "timestamptz",
    "message": "text",
    "updated_at": "timestamptz",
}
_UNNEST = ", ".join(f"%s::{type_}[]" for type_ in _FIELDS.values())


def _columns(entries: Sequence[Entry]) -> list[list[Any]]:
    return [[getattr(entry, name) for entry in entries] for name in _FIELDS]


async def insert_entries(tx: Tx, entries: Sequence[Entry]) -> None:
    """Add entries."""
    names = ", ".join(_FIELDS)
    sql = f"""
        INSERT INTO config_entry (tenant_id, id, device_id, {names})
        SELECT %s, * FROM unnest(%s::uuid[], %s::uuid[], {_UNNEST})
    """
    if entries:
        ids, devices = [entry.id for entry in entries], [entry.device_id for entry in entries]
        await tx.run(sql, tx.tenant, ids, devices, *_columns(entries))


async def update_entries(tx: Tx, entries: Sequence[tuple[TenantId, Entry]]) -> None:
    """Everything about them that can change."""
    sets = ", ".join(f"{name} = n.{name}" for name in _FIELDS)
    sql = f"""
        UPDATE config_entry entry SET {sets}
        FROM unnest(%s::int[], %s::uuid[], {_UNNEST}) AS n (tenant_id, id, {", ".join(_FIELDS)})
        WHERE entry.tenant_id = n.tenant_id AND entry.id = n.id
    """
    if entries:
        only = [entry for _, entry in entries]
        await tx.run(sql, [tenant for tenant, _ in entries], [entry.id for entry in only], *_columns(only))


async def delete_entries(tx: Tx, entry_ids: Sequence[UUID]) -> None:
    """Forget entries."""
    if entry_ids:
        await tx.run("DELETE FROM config_entry WHERE tenant_id = %s AND id = ANY(%s)", tx.tenant, list(entry_ids))


async def update_digests(tx: Tx, digests: Sequence[tuple[DeviceId, bytes]], at: datetime) -> None:
    """These documents say something else now: their next versions."""
    sql = """
        UPDATE device_configuration document
        SET digest = n.digest, document_version = document_version + 1, changed_at = %s
        FROM unnest(%s::uuid[], %s::bytea[]) AS n (device_id, digest)
        WHERE document.tenant_id = %s AND document.device_id = n.device_id
    """
    if digests:
        await tx.run(sql, at, [device for device, _ in digests], [digest for _, digest in digests], tx.tenant)


async def update_reports(tx: Tx, documents: Sequence[Document]) -> None:
    """What the devices said last."""
    sql = """
        UPDATE device_configuration document
        SET reported = n.reported, reported_version = n.reported_version, reported_at = n.reported_at
        FROM unnest(%s::int[], %s::uuid[], %s::jsonb[], %s::int[], %s::timestamptz[])
            AS n (tenant_id, device_id, reported, reported_version, reported_at)
        WHERE document.tenant_id = n.tenant_id AND document.device_id = n.device_id
    """
    await tx.run(
        sql,
        [document.tenant_id for document in documents],
        [document.device_id for document in documents],
        [Jsonb(msgspec.to_builtins(document.reported)) for document in documents],
        [document.reported_version for document in documents],
        [document.reported_at for document in documents],
    )


# --- delivery --------------------------------------------------------------------------------------------------------


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A document that a session gets."""

    tenant_id: TenantId
    device_id: DeviceId
    document_version: int
    is_news: bool
    """The session had an older one."""


async def claim_documents(tx: Tx, hearers: Sequence[Hearer], at: datetime) -> list[Claimed]:
    """The documents of these devices that their sessions do not have; from the commit on they count as sent.

    Those who remember get none that has arrived before, unless it is to be sent once more (`forget_sent`).
    """
    sql = """
        WITH due AS (
            SELECT c.tenant_id, c.device_id, h.session, c.sent_session IS NOT DISTINCT FROM h.session AS is_news
            FROM device_configuration c
            JOIN unnest(%s::int[], %s::uuid[], %s::text[], %s::boolean[])
                AS h (tenant_id, device_id, session, remembers)
              ON h.tenant_id = c.tenant_id AND h.device_id = c.device_id
            WHERE c.document_version > 0
              AND (c.sent_session IS DISTINCT FROM h.session OR c.sent_version IS DISTINCT FROM c.document_version)
              AND NOT (h.remembers AND c.arrived_version IS NOT DISTINCT FROM c.document_version
                       AND c.sent_session IS NOT NULL)
            ORDER BY c.tenant_id, c.device_id FOR NO KEY UPDATE OF c
        )
        UPDATE device_configuration c SET sent_session = due.session, sent_version = c.document_version, sent_at = %s
        FROM due WHERE c.tenant_id = due.tenant_id AND c.device_id = due.device_id
        RETURNING c.tenant_id, c.device_id, c.document_version, due.is_news
    """
    tenants, devices = [hearer.tenant for hearer in hearers], [hearer.device for hearer in hearers]
    sessions, remember = [hearer.session for hearer in hearers], [hearer.manners.remembers for hearer in hearers]
    return await tx.all(Claimed, sql, tenants, devices, sessions, remember, at)


async def update_arrived(tx: Tx, versions: Mapping[tuple[TenantId, DeviceId], int], at: datetime) -> None:
    """These devices have acknowledged these versions."""
    sql = """
        WITH arrived AS (
            SELECT c.tenant_id, c.device_id, n.version FROM device_configuration c
            JOIN unnest(%s::int[], %s::uuid[], %s::int[]) AS n (tenant_id, device_id, version)
              ON n.tenant_id = c.tenant_id AND n.device_id = c.device_id
            ORDER BY c.tenant_id, c.device_id FOR NO KEY UPDATE OF c
        )
        UPDATE device_configuration c SET arrived_version = arrived.version, arrived_at = %s
        FROM arrived WHERE c.tenant_id = arrived.tenant_id AND c.device_id = arrived.device_id
    """
    places = list(versions)
    tenants, devices = [tenant for tenant, _ in places], [device for _, device in places]
    await tx.run(sql, tenants, devices, list(versions.values()), at)


class ContentRow(msgspec.Struct, frozen=True, kw_only=True):
    """An artefact, as far as whoever delivers it asks."""

    tenant_id: TenantId
    id: ArtefactId
    content: bytes | None
    file: str | None
    file_name: str
    content_type: str


async def select_contents(tx: Tx, artefacts: Sequence[tuple[TenantId, ArtefactId]]) -> list[ContentRow]:
    """The contents of artefacts."""
    sql = """
        SELECT a.tenant_id, a.id, a.content, a.file, a.file_name, a.content_type FROM config_artefact a
        JOIN unnest(%s::int[], %s::uuid[]) AS w (tenant_id, id) ON w.tenant_id = a.tenant_id AND w.id = a.id
    """
    return await tx.all(ContentRow, sql, [tenant for tenant, _ in artefacts], [id_ for _, id_ in artefacts])
