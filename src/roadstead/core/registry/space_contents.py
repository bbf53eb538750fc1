"""What programs keep with a space: values that they share, and a readme."""

from collections.abc import Sequence

import msgspec

from roadstead.core.operation import operation, unguarded
from roadstead.core.registry import space_content_store as store
from roadstead.core.registry import space_store
from roadstead.core.registry.space_content_model import Global, GlobalChange, Readme, applied, check_globals
from roadstead.core.work import Account, Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.ids import SpaceId

_HIDDEN = frozenset({"values", "content"})
"""Programs keep keys of other services there."""


class _Globals(msgspec.Struct, frozen=True):
    keys: list[str]
    values: list[str]


@unguarded("for those who have found the spaces")
async def list_globals(asked: Account | Work, space_ids: Sequence[SpaceId]) -> dict[SpaceId, list[Global]]:
    """The values that the programs of these spaces share, in the order they were given."""
    return await store.select_globals(asked.tx, space_ids)


@operation(Grant.DEVICES_WRITE)
async def replace_globals(work: Work, space_id: SpaceId, wanted: Sequence[Global]) -> None:
    """These, and no others. Raises `Invalid` for more than 100, a key that is there twice, and what is no JSON."""
    check_globals(wanted)
    await space_store.lock_space(work.tx, space_id)
    before = (await store.select_globals(work.tx, [space_id]))[space_id]
    await store.replace_globals(work.tx, space_id, wanted)
    await space_store.touch_space(work.tx, space_id, work.now())
    work.record("space.set-globals", space_id, before=_told(before), after=_told(wanted), hide=_HIDDEN)


@operation(Grant.DEVICES_WRITE)
async def change_globals(work: Work, space_id: SpaceId, changes: Sequence[GlobalChange]) -> None:
    """Add, change and remove some; the others stay. Raises `Invalid` like `replace_globals`."""
    await space_store.lock_space(work.tx, space_id)
    before = (await store.select_globals(work.tx, [space_id]))[space_id]
    await replace_globals(work, space_id, applied(before, changes))


@operation(Grant.DEVICES_READ)
async def find_readme(work: Work, space_id: SpaceId) -> Readme | None:
    """What somebody wrote about the space, if anybody did."""
    return await store.select_readme(work.tx, space_id)


@operation(Grant.DEVICES_WRITE)
async def write_readme(work: Work, space_id: SpaceId, content: str) -> Readme:
    """Write it anew."""
    readme = Readme(content=content, updated_at=work.now(), updated_by=work.actor.id, updated_by_kind=work.actor.kind)
    await store.upsert_readme(work.tx, space_id, readme)
    work.record("space.write-readme", space_id, after=readme, hide=_HIDDEN)
    return readme


def _told(values: Sequence[Global]) -> _Globals:
    return _Globals([each.key for each in values], [each.value for each in values])
