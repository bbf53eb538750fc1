"""Spaces in the organizations of whoever asks."""

from collections.abc import Sequence

import msgspec

from roadstead.core.operation import unguarded
from roadstead.core.registry import space_search_store as store
from roadstead.core.registry.space_model import OwnedSpace
from roadstead.core.work import Account, Work
from roadstead.kernel.actor import Actor, Grant
from roadstead.kernel.ids import SpaceId
from roadstead.kernel.page import Page, PageQuery


@unguarded("it looks only where those who ask may read devices")
async def search_spaces(
    asked: Account | Work,
    places: Sequence[Actor],
    *,
    only: Sequence[SpaceId] | None = None,
    pattern: str | None = None,
    sort: str = "name",
    descending: bool = False,
    page: PageQuery,
) -> Page[OwnedSpace]:
    """The spaces of the organizations in which these actors may read devices.

    `only`: of these. `pattern`: what their names are like, `*` being anything. Sorted by name, id, createdAt,
    updatedAt or organizationId.
    """
    tenants = [each.tenant_id for each in places if Grant.DEVICES_READ in each.grants]
    key = msgspec.structs.replace(store.SORTS[sort], descending=descending)
    return await store.page_spaces(asked.tx, tenants, only=only, pattern=pattern, sort=key, page=page)
