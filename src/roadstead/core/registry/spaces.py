"""Spaces: what some dialects call applications or systems. Every tenant has a default one."""

from roadstead.core.operation import operation
from roadstead.core.registry import device_store
from roadstead.core.registry.model import Space
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import NotFound
from roadstead.kernel.ids import SpaceId, new_id


@operation(Grant.DEVICES_READ)
async def list_spaces(work: Work) -> list[Space]:
    """All spaces, the default one first."""
    return await device_store.select_spaces(work.tx)


@operation(Grant.DEVICES_WRITE)
async def create_space(work: Work, name: str) -> Space:
    """Add a space; names need not be unique."""
    space = Space(id=SpaceId(new_id()), name=name, is_default=False, created_at=work.now())
    await device_store.insert_space(work.tx, space)
    work.record("space.create", space.id, after=space)
    return space


async def load_space(work: Work, space_id: SpaceId) -> Space:
    """One space, without asking for rights."""
    space = await device_store.select_space(work.tx, space_id)
    if space is None:
        raise NotFound("space", space_id)
    return space


async def load_default_space(work: Work) -> Space:
    """The space for those who do not name one; made on first use. Without asking for rights."""
    space_id = await device_store.select_default_space(work.tx)
    if space_id is None:
        space = Space(id=SpaceId(new_id()), name="Default", is_default=True, created_at=work.now())
        await device_store.insert_space(work.tx, space)
        space_id = await device_store.select_default_space(work.tx) or space.id
    return await load_space(work, space_id)
