"""The SQL of bindings, and of how far their entries are."""

from collections.abc import Sequence
from uuid import UUID

from roadstead.core.configuration.model import Binding, BindingId, BindingQuery, Entry, EntryStatus, TargetType
from roadstead.db import Condition, Listing, SortKey, Tx, parse_sort
from roadstead.kernel.page import Page, PageQuery

_BINDINGS = Listing(
    columns="""
        binding.id, binding.target_type, binding.target_id, binding.artefact_id, binding.artefact_name,
        binding.desired_version, binding.priority, binding.created_at, binding.updated_at, binding.version,
        rollup.status, rollup.pending, rollup.in_progress, rollup.accepted, rollup.rejected, rollup.failed,
        rollup.drifting,
        NOT EXISTS (SELECT FROM config_sweep sweep WHERE sweep.tenant_id = binding.tenant_id AND sweep.kind <> 'RESEND'
            AND (sweep.binding_id = binding.id OR sweep.target_id = binding.target_id)) AS is_settled,
        entry.reported_version, entry.reported_hash, entry.reported_at
    """,
    source="""
        config_binding binding
        JOIN config_rollup rollup ON rollup.tenant_id = binding.tenant_id AND rollup.binding_id = binding.id
        LEFT JOIN LATERAL (
            SELECT e.reported_version, e.reported_hash, e.reported_at FROM config_entry e
            WHERE binding.target_type IN ('DEVICE', 'COMPONENT') AND e.tenant_id = binding.tenant_id
              AND e.binding_id = binding.id LIMIT 1
        ) entry ON true
    """,
    tie="binding.id",
)
_SORT = {
    "createdAt": SortKey("binding.created_at", cast="timestamptz"),
    "updatedAt": SortKey("binding.updated_at", cast="timestamptz"),
}
ENTRY_COLUMNS = """
    entry.id, entry.device_id, entry.component_id, entry.component_key, entry.artefact_name, entry.binding_id,
    entry.target_type, entry.target_id, entry.artefact_id, entry.desired_version, entry.hash, entry.status,
    entry.reported_version, entry.reported_hash, entry.reported_at, entry.message, entry.updated_at
"""
_ENTRIES = Listing(columns=ENTRY_COLUMNS, source="config_entry entry", tie="entry.id")


async def select_binding(tx: Tx, binding_id: BindingId) -> Binding | None:
    """One binding."""
    sql = f"SELECT {_BINDINGS.columns} FROM {_BINDINGS.source} WHERE binding.tenant_id = %s AND binding.id = %s"
    return await tx.one(Binding, sql, tx.tenant, binding_id)


async def lock_binding(tx: Tx, binding_id: BindingId) -> Binding | None:
    """One binding, which nobody else changes until this transaction ends."""
    await tx.run("SELECT FROM config_binding WHERE tenant_id = %s AND id = %s FOR UPDATE", tx.tenant, binding_id)
    return await select_binding(tx, binding_id)


async def lock_binding_of(tx: Tx, target_type: TargetType, target_id: UUID, name: str) -> Binding | None:
    """The binding of this name to this target, which nobody else changes until this transaction ends."""
    sql = """
        SELECT id FROM config_binding
        WHERE tenant_id = %s AND target_type = %s AND target_id = %s AND artefact_name = %s FOR UPDATE
    """
    binding_id = await tx.value(sql, tx.tenant, target_type, target_id, name)
    return None if binding_id is None else await select_binding(tx, BindingId(binding_id))


async def select_content_of(tx: Tx, target_type: TargetType, target_id: UUID, name: str) -> bytes | None:
    """The inline content of what is bound to this target under this name."""
    sql = """
        SELECT a.content FROM config_binding b
        JOIN config_artefact a ON a.tenant_id = b.tenant_id AND a.id = b.artefact_id
        WHERE b.tenant_id = %s AND b.target_type = %s AND b.target_id = %s AND b.artefact_name = %s
    """
    content: bytes | None = await tx.value(sql, tx.tenant, target_type, target_id, name)
    return content


async def list_bindings(tx: Tx, query: BindingQuery, sort: str | None, page: PageQuery) -> Page[Binding]:
    """Bindings, newest first unless told otherwise."""
    where = [Condition("binding.tenant_id = %s", (tx.tenant,))]
    for column, value in (
        ("binding.target_type", query.target_type),
        ("binding.artefact_id", query.artefact_id),
        ("binding.artefact_name", query.artefact_name),
    ):
        if value is not None:
            where.append(Condition(f"{column} = %s", (value,)))
    if query.target_ids is not None:
        where.append(Condition("binding.target_id = ANY(%s)", (query.target_ids,)))
    if query.statuses:
        where.append(Condition("rollup.status = ANY(%s)", ([str(status) for status in query.statuses],)))
    return await _BINDINGS.page(tx, Binding, where, parse_sort(sort, _SORT, "-createdAt"), page)


async def insert_binding(tx: Tx, binding: Binding) -> bool:
    """False when something of this name has just been bound to the target."""
    sql = """
        INSERT INTO config_binding (tenant_id, id, target_type, target_id, artefact_id, artefact_name, desired_version,
                                    priority, created_at, updated_at, version)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (tenant_id, target_type, target_id, artefact_name) DO NOTHING
    """
    inserted = await tx.run(
        sql,
        tx.tenant,
        binding.id,
        binding.target_type,
        binding.target_id,
        binding.artefact_id,
        binding.artefact_name,
        binding.desired_version,
        binding.priority,
        binding.created_at,
        binding.updated_at,
        binding.version,
    )
    if inserted:
        await tx.run("INSERT INTO config_rollup (tenant_id, binding_id) VALUES (%s, %s)", tx.tenant, binding.id)
    return bool(inserted)


async def update_binding(tx: Tx, binding: Binding) -> None:
    """Everything about it that can change."""
    sql = """
        UPDATE config_binding SET artefact_id = %s, desired_version = %s, priority = %s, updated_at = %s, version = %s
        WHERE tenant_id = %s AND id = %s
    """
    await tx.run(
        sql,
        binding.artefact_id,
        binding.desired_version,
        binding.priority,
        binding.updated_at,
        binding.version,
        tx.tenant,
        binding.id,
    )


async def delete_binding(tx: Tx, binding_id: BindingId) -> None:
    """Forget a binding; its entries go when their devices are worked out."""
    await tx.run("DELETE FROM config_binding WHERE tenant_id = %s AND id = %s", tx.tenant, binding_id)


async def count_names(tx: Tx, target_type: TargetType, target_id: UUID) -> int:
    """How many artefacts are bound to a target."""
    sql = "SELECT count(*) FROM config_binding WHERE tenant_id = %s AND target_type = %s AND target_id = %s"
    return int(await tx.value(sql, tx.tenant, target_type, target_id))


# --- entries ---------------------------------------------------------------------------------------------------------


async def list_entries(
    tx: Tx, binding_id: BindingId, statuses: Sequence[EntryStatus], drifting: bool | None, page: PageQuery
) -> Page[Entry]:
    """The entries of a binding, in the order in which they came to be."""
    where = [Condition("entry.tenant_id = %s AND entry.binding_id = %s", (tx.tenant, binding_id))]
    if statuses:
        where.append(Condition("entry.status = ANY(%s)", ([str(status) for status in statuses],)))
    if drifting is not None:
        where.append(Condition("entry.drifts" if drifting else "NOT entry.drifts"))
    return await _ENTRIES.page(tx, Entry, where, [], page)


async def fold_tallies(tx: Tx, bindings: Sequence[tuple[int, UUID]]) -> None:
    """Add what has come to the counts of these bindings (tenant, id); those that somebody else is at are left out."""
    sql = """
        WITH wanted AS (SELECT DISTINCT * FROM unnest(%s::int[], %s::uuid[]) AS w (tenant_id, binding_id)),
        held AS (
            SELECT r.tenant_id, r.binding_id FROM config_rollup r JOIN wanted USING (tenant_id, binding_id)
            FOR UPDATE OF r SKIP LOCKED
        ), gone AS (
            DELETE FROM config_tally t USING held
            WHERE t.tenant_id = held.tenant_id AND t.binding_id = held.binding_id RETURNING t.*
        ), come AS (
            SELECT tenant_id, binding_id, sum(pending) AS pending, sum(in_progress) AS in_progress,
                sum(accepted) AS accepted, sum(rejected) AS rejected, sum(failed) AS failed, sum(drifting) AS drifting
            FROM gone GROUP BY tenant_id, binding_id
        )
        UPDATE config_rollup r SET pending = r.pending + come.pending, in_progress = r.in_progress + come.in_progress,
            accepted = r.accepted + come.accepted, rejected = r.rejected + come.rejected,
            failed = r.failed + come.failed, drifting = r.drifting + come.drifting
        FROM come WHERE r.tenant_id = come.tenant_id AND r.binding_id = come.binding_id
    """
    if bindings:
        await tx.run(sql, [tenant for tenant, _ in bindings], [binding_id for _, binding_id in bindings])


async def select_tallied(tx: Tx, most: int) -> list[tuple[int, UUID]]:
    """Some bindings, of all tenants, whose counts have something to be added."""
    sql = "SELECT DISTINCT tenant_id, binding_id FROM (SELECT * FROM config_tally LIMIT %s) AS few"
    return [(tenant, binding_id) for tenant, binding_id in await tx.rows(sql, most)]


async def clear_tallies(tx: Tx, bindings: Sequence[tuple[int, UUID]]) -> None:
    """Forget what counts for bindings that are gone."""
    sql = """
        DELETE FROM config_tally t USING unnest(%s::int[], %s::uuid[]) AS w (tenant_id, binding_id)
        WHERE t.tenant_id = w.tenant_id AND t.binding_id = w.binding_id
          AND NOT EXISTS (SELECT FROM config_binding b WHERE b.tenant_id = t.tenant_id AND b.id = t.binding_id)
    """
    await tx.run(sql, [tenant for tenant, _ in bindings], [binding_id for _, binding_id in bindings])
