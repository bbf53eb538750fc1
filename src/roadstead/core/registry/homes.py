"""In which of somebody's tenants a thing is that they name."""

from collections.abc import Sequence

from roadstead.core.operation import unguarded
from roadstead.core.registry import home_store as store
from roadstead.core.work import Entry
from roadstead.kernel.ids import SpaceId, TenantId, parse_base62


@unguarded("it tells nothing but which of their own tenants it is")
async def find_home(entry: Entry, kind: str, name: str, among: Sequence[TenantId]) -> TenantId | None:
    """The tenant with this thing of a kind (`system`, `device`, ...), by its id, and for systems by their alias."""
    id_ = parse_base62(name)
    if id_ is not None:
        return await store.select_home(entry.tx, kind, id_, among)
    if kind == "system":
        return await store.select_home_of_alias(entry.tx, name, among)
    return None


@unguarded("it tells nothing but which of their own tenants it is")
async def find_home_of_space(entry: Entry, space_id: SpaceId, among: Sequence[TenantId]) -> TenantId | None:
    """The tenant with this space."""
    return await store.select_home(entry.tx, "system", space_id, among)
