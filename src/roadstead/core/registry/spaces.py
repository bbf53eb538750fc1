"""Spaces: what some dialects call applications or systems. Every tenant has a default one."""

from uuid import UUID

import msgspec

from roadstead.core.operation import operation
from roadstead.core.registry import space_store
from roadstead.core.registry.space_model import Contact, ContactDraft, Space, SpaceChange, SpaceDraft
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Conflict, NotFound
from roadstead.kernel.ids import SpaceId, new_id, parse_base62

_PRIVATE = frozenset({"name", "email", "phone", "notes"})
"""Of a contact: nothing for the audit log."""


@operation(Grant.DEVICES_READ)
async def list_spaces(work: Work) -> list[Space]:
    """All spaces, the default one first."""
    return await space_store.select_spaces(work.tx)


@operation(Grant.DEVICES_READ)
async def get_space(work: Work, name: str) -> Space:
    """The space with this id in Base62, or this alias."""
    return await load_space_called(work, name)


@operation(Grant.DEVICES_WRITE)
async def create_space(work: Work, draft: SpaceDraft) -> Space:
    """Add a space. `Conflict` when the alias is taken, or the slug by anybody of the platform."""
    draft.check()
    await _check_endpoint_slug(work, draft.endpoint_slug, besides=None)
    fields, now = msgspec.structs.asdict(draft), work.now()
    space = Space(id=SpaceId(new_id()), is_default=False, created_at=now, updated_at=now, **fields)
    if not await space_store.insert_space(work.tx, space):
        raise Conflict.taken("system", "alias", space.alias)
    work.record("space.create", space.id, after=space)
    return space


@operation(Grant.DEVICES_WRITE)
async def change_space(work: Work, space_id: SpaceId, change: SpaceChange) -> Space:
    """Change what was sent. `Conflict` when the alias is taken, or the slug by anybody of the platform."""
    before = await lock_space(work, space_id)
    after = msgspec.structs.replace(before, updated_at=work.now(), **change.sent())
    SpaceDraft(**{name: getattr(after, name) for name in SpaceDraft.__struct_fields__}).check()
    await _check_endpoint_slug(work, after.endpoint_slug, besides=space_id)
    if after.alias is not None and await space_store.is_alias_taken(work.tx, after.alias, besides=space_id):
        raise Conflict.taken("system", "alias", after.alias)
    if not await space_store.update_space(work.tx, after):
        raise Conflict.taken("space", "endpointSlug", after.endpoint_slug)
    work.record("space.update", space_id, before=before, after=after)
    return after


@operation(Grant.DEVICES_WRITE)
async def delete_space(work: Work, space_id: SpaceId) -> None:
    """Delete a space without devices, with its contacts; `Conflict` (`in-use`) for another, and for the default one."""
    space = await lock_space(work, space_id)
    if space.is_default:
        raise Conflict(f"'{space.name}' is for devices that name no system, and stays", code="in-use")
    if await space_store.has_devices(work.tx, space_id) or not await space_store.delete_space(work.tx, space_id):
        raise Conflict(f"system '{space.name}' is in use: there are devices in it", code="in-use")
    work.record("space.delete", space_id, before=space)


@operation(Grant.DEVICES_READ)
async def list_contacts(work: Work, space_id: SpaceId) -> list[Contact]:
    """Whom to call about a space, oldest first."""
    return await space_store.select_contacts(work.tx, space_id)


@operation(Grant.DEVICES_WRITE)
async def create_contact(work: Work, space_id: SpaceId, draft: ContactDraft) -> Contact:
    """Add somebody to call about a space."""
    draft.check()
    fields = msgspec.structs.asdict(draft)
    contact = Contact(id=new_id(), space_id=space_id, created_at=work.now(), **fields)
    await space_store.insert_contact(work.tx, contact)
    work.record("contact.create", contact.id, after=contact, hide=_PRIVATE)
    return contact


@operation(Grant.DEVICES_WRITE)
async def delete_contact(work: Work, space_id: SpaceId, contact_id: UUID) -> None:
    """Take somebody off the list."""
    if not await space_store.delete_contact(work.tx, space_id, contact_id):
        raise NotFound("contact", contact_id)
    work.record("contact.delete", contact_id)


async def load_space(work: Work, space_id: SpaceId) -> Space:
    """One space, without asking for rights."""
    space = await space_store.select_space(work.tx, space_id)
    if space is None:
        raise NotFound("space", space_id)
    return space


async def load_space_called(work: Work, name: str) -> Space:
    """The space with this id in Base62, or this alias, without asking for rights."""
    id_ = parse_base62(name)
    space = await space_store.select_space(work.tx, SpaceId(id_)) if id_ is not None else None
    space = space or await space_store.select_space_called(work.tx, name)
    if space is None:
        raise NotFound("system", name)
    return space


async def load_default_space(work: Work) -> Space:
    """The space for those who do not name one; made on first use. Without asking for rights."""
    space_id = await space_store.select_default_space(work.tx)
    if space_id is None:
        now = work.now()
        space = Space(id=SpaceId(new_id()), name="Default", is_default=True, created_at=now, updated_at=now)
        await space_store.insert_space(work.tx, space)
        space_id = await space_store.select_default_space(work.tx) or space.id
    return await load_space(work, space_id)


async def lock_space(work: Work, space_id: SpaceId) -> Space:
    """One that nobody else changes, and that gets no device, until this transaction ends. Without asking for rights."""
    space = await space_store.lock_space(work.tx, space_id)
    if space is None:
        raise NotFound("space", space_id)
    return space


async def _check_endpoint_slug(work: Work, slug: str | None, *, besides: SpaceId | None) -> None:
    if slug is not None and await space_store.is_endpoint_slug_taken(work.tx, slug, besides):
        raise Conflict.taken("space", "endpointSlug", slug)
