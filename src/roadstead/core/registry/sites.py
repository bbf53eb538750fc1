"""What can be done with sites."""

from collections.abc import Sequence
from uuid import UUID

import msgspec
from msgspec import UNSET

from roadstead.core.messages import SitesChanged
from roadstead.core.operation import operation
from roadstead.core.registry import device_store, site_store
from roadstead.core.registry.checks import merge, merge_location
from roadstead.core.registry.site_model import MAX_SITE_DEPTH, Site, SiteChange, SiteDraft, SiteNode
from roadstead.core.work import Work, check_version
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Conflict, Invalid, NotFound
from roadstead.kernel.filter import And, Exists, Filter, Not, contains, equals
from roadstead.kernel.ids import SiteId, new_id
from roadstead.kernel.page import Page, PageQuery


@operation(Grant.DEVICES_READ)
async def list_sites(
    work: Work, *, parent: SiteId | None, top_level: bool, text: str | None, sort: str | None, page: PageQuery
) -> Page[Site]:
    """Sites, sorted by `name` or `createdAt`: those right below `parent`, those of the top level, or all.

    `text` is part of the name, in any case.
    """
    parts: list[Filter] = []
    if parent is not None:
        parts.append(equals("parentId", parent))
    if top_level:
        parts.append(Not(Exists(("parentId",))))
    if text:
        parts.append(contains("name", text))
    return await site_store.list_sites(work.tx, And(tuple(parts)), sort, page)


@operation(Grant.DEVICES_READ)
async def get_site(work: Work, site_id: SiteId) -> Site:
    """One site."""
    return await load_site(work, site_id)


@operation(Grant.DEVICES_READ)
async def get_site_tree(work: Work) -> list[SiteNode]:
    """The sites of the top level with everything below, by name."""
    rows = await site_store.select_tree(work.tx)
    below: dict[SiteId | None, list[site_store.SiteRow]] = {}
    for row in rows:
        below.setdefault(row.parent_id, []).append(row)

    def grow(parent: SiteId | None) -> list[SiteNode]:
        nodes = []
        for row in below.get(parent, ()):
            children = grow(row.id)
            count = row.devices + sum(child.device_count for child in children)
            nodes.append(SiteNode(id=row.id, name=row.name, device_count=count, children=children))
        return nodes

    return grow(None)


@operation(Grant.DEVICES_WRITE)
async def create_site(work: Work, draft: SiteDraft) -> Site:
    """Add a site. Its name is free under its parent, and the tree stays within 8 levels."""
    draft.check()
    await device_store.lock_tree(work.tx, "site")
    site_id, now = SiteId(new_id()), work.now()
    above = await _lineage(work, draft.parent_id)
    _check_depth(len(above) + 1)
    site = Site(
        id=site_id,
        parent_id=draft.parent_id,
        lineage=[*above, site_id],
        path=[],
        name=draft.name,
        location=draft.location,
        time_zone=draft.time_zone,
        address=draft.address,
        tags=draft.tags,
        metadata=draft.metadata,
        device_count=0,
        created_at=now,
        updated_at=now,
        version=1,
    )
    if not await site_store.insert_site(work.tx, site):
        raise Conflict.taken("site", "name", site.name)
    made = await load_site(work, site_id)
    work.record("site.create", site_id, after=made)
    return made


@operation(Grant.DEVICES_WRITE)
async def change_site(work: Work, site_id: SiteId, change: SiteChange, *, expected: int | None) -> Site:
    """Change some fields; tags and metadata are merged. A site that moves takes along all below it."""
    before = await _lock(work, site_id, expected)
    sent = change.sent()
    if change.tags is not UNSET:
        sent["tags"] = merge(before.tags, change.tags)
    if change.metadata is not UNSET:
        sent["metadata"] = merge(before.metadata, change.metadata)
    if change.location is not UNSET:
        sent["location"] = merge_location(before.location, change.location)
    if change.address is not UNSET:
        sent["address"] = None if change.address is None else merge(before.address or {}, change.address)
    fields = {name: sent.get(name, getattr(before, name)) for name in SiteDraft.__struct_fields__}
    return await _write(work, before, SiteDraft(**fields))


@operation(Grant.DEVICES_WRITE)
async def replace_site(work: Work, site_id: SiteId, draft: SiteDraft, *, expected: int | None) -> Site:
    """Change all fields; what the draft leaves out goes back to its default."""
    return await _write(work, await _lock(work, site_id, expected), draft)


@operation(Grant.DEVICES_WRITE)
async def delete_site(work: Work, site_id: SiteId, *, reassign_to: SiteId | None, expected: int | None) -> None:
    """Delete a site. What is in it goes to `reassign_to`; without that, `Conflict` when there is something."""
    site = await _lock(work, site_id, expected)
    children = await site_store.select_children(work.tx, site_id)
    if children or await site_store.has_devices(work.tx, site_id):
        if reassign_to is None:
            raise Conflict("the site has devices or sites below it; say reassignTo another site", code="in-use")
        await _reassign(work, site, children, reassign_to)
    await site_store.delete_site(work.tx, site_id)
    work.record("site.delete", site_id, before=site)


async def _reassign(work: Work, site: Site, children: Sequence[SiteId], target: SiteId) -> None:
    above = await site_store.select_lineage(work.tx, target)
    if above is None:
        raise Invalid.field("reassignTo", "there is no such site", place="query")
    if site.id in above:
        raise Invalid.field("reassignTo", "is the site itself or below it", place="query")
    await site_store.move_devices(work.tx, site.id, target, work.now())
    for child_id in children:
        child = await load_site(work, child_id)
        await _write(work, child, _draft(child, parent_id=target))
    work.emit(SitesChanged())


def _draft(site: Site, *, parent_id: SiteId) -> SiteDraft:
    fields = {name: getattr(site, name) for name in SiteDraft.__struct_fields__}
    return SiteDraft(**{**fields, "parent_id": parent_id})


async def _lock(work: Work, site_id: SiteId, expected: int | None) -> Site:
    await device_store.lock_tree(work.tx, "site")
    site = await site_store.lock_site(work.tx, site_id)
    if site is None:
        raise NotFound("site", site_id)
    check_version(site.version, expected)
    return site


async def _write(work: Work, before: Site, draft: SiteDraft) -> Site:
    draft.check()
    above = await _lineage(work, draft.parent_id)
    moved = draft.parent_id != before.parent_id
    if moved:
        if before.id in above:
            raise Invalid.field("/parentId", "is the site itself or below it")
        _check_depth(len(above) + await site_store.select_height(work.tx, before.id))
    if await site_store.is_name_taken(work.tx, draft.parent_id, draft.name, before.id):
        raise Conflict.taken("site", "name", draft.name)
    fields = {name: getattr(draft, name) for name in SiteDraft.__struct_fields__}
    fields |= {"lineage": [*above, before.id], "updated_at": work.now(), "version": before.version + 1}
    if not await site_store.update_site(work.tx, msgspec.structs.replace(before, **fields)):
        raise Conflict.taken("site", "name", draft.name)
    if moved:
        await site_store.trace_lineages(work.tx, before.id)
        work.emit(SitesChanged())
    after = await load_site(work, before.id)
    work.record("site.update", before.id, before=before, after=after)
    return after


def _check_depth(depth: int) -> None:
    if depth > MAX_SITE_DEPTH:
        raise Invalid.field("/parentId", f"would make the tree deeper than {MAX_SITE_DEPTH} levels")


async def _lineage(work: Work, parent_id: SiteId | None) -> list[SiteId]:
    if parent_id is None:
        return []
    lineage = await site_store.select_lineage(work.tx, parent_id)
    if lineage is None:
        raise Invalid.field("/parentId", "there is no such site")
    return lineage


# --- for neighbours and the rooms above ------------------------------------------------------------------------------


async def load_site(work: Work, site_id: SiteId) -> Site:
    """One site, without asking for rights."""
    site = await site_store.select_site(work.tx, site_id)
    if site is None:
        raise NotFound("site", site_id)
    return site


async def load_sites(work: Work, site_ids: Sequence[SiteId]) -> dict[SiteId, Site]:
    """Those of the sites that are there, without asking for rights."""
    return {site.id: site for site in await site_store.select_sites(work.tx, site_ids)}


async def sites_below(work: Work, site_ids: Sequence[UUID]) -> list[SiteId]:
    """These sites, as far as they are there, and all below them."""
    return await site_store.select_below(work.tx, site_ids)


async def check_site(work: Work, site_id: SiteId | None) -> None:
    """Raises `Invalid` that names `siteId` when there is no such site."""
    if site_id is not None and await site_store.select_lineage(work.tx, site_id) is None:
        raise Invalid.field("/siteId", "there is no such site")
