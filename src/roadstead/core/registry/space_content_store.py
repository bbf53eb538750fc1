"""The SQL of what programs keep with a space."""

from collections.abc import Sequence

from roadstead.core.registry.space_content_model import Global, Readme
from roadstead.db import Tx, storable
from roadstead.kernel.ids import SpaceId


async def select_globals(tx: Tx, space_ids: Sequence[SpaceId]) -> dict[SpaceId, list[Global]]:
    """The shared values of each of these spaces, in order."""
    sql = """
        SELECT space_id, key, value, cloud_only, description FROM space_global
        WHERE space_id = ANY (%s) ORDER BY space_id, position
    """
    keys, values = await tx.keyed(Global, sql, list(space_ids))
    found: dict[SpaceId, list[Global]] = {space_id: [] for space_id in space_ids}
    for space_id, value in zip(keys, values, strict=True):
        found[space_id].append(value)
    return found


async def replace_globals(tx: Tx, space_id: SpaceId, wanted: Sequence[Global]) -> None:
    """These in this order, and no others."""
    await tx.run("DELETE FROM space_global WHERE tenant_id = %s AND space_id = %s", tx.tenant, space_id)
    sql = """
        INSERT INTO space_global (tenant_id, space_id, key, value, cloud_only, description, position)
        VALUES (%s, %s, %s, %s, %s, %s, %s)
    """
    rows = [
        (tx.tenant, space_id, each.key, each.value, each.cloud_only, each.description, position)
        for position, each in enumerate(wanted)
    ]
    if rows:
        await tx.many(sql, rows)


async def select_readme(tx: Tx, space_id: SpaceId) -> Readme | None:
    """What somebody wrote about it."""
    sql = """
        SELECT content, updated_at, updated_by, updated_by_kind FROM space_readme
        WHERE tenant_id = %s AND space_id = %s
    """
    return await tx.one(Readme, sql, tx.tenant, space_id)


async def upsert_readme(tx: Tx, space_id: SpaceId, readme: Readme) -> None:
    """In place of what was written before."""
    sql = """
        INSERT INTO space_readme (tenant_id, space_id, content, updated_at, updated_by, updated_by_kind)
        VALUES (%s, %s, %s, %s, %s, %s)
        ON CONFLICT (tenant_id, space_id) DO UPDATE SET content = excluded.content, updated_at = excluded.updated_at,
            updated_by = excluded.updated_by, updated_by_kind = excluded.updated_by_kind
    """
    row = (storable(readme.content), readme.updated_at, readme.updated_by, readme.updated_by_kind)
    await tx.run(sql, tx.tenant, space_id, *row)
