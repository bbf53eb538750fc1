"""How much is in spaces, and what is called how."""

from collections.abc import Sequence

from roadstead.core import registry
from roadstead.core.contents import store
from roadstead.core.contents.model import Amounts, Found, FoundKind
from roadstead.core.operation import operation, unguarded
from roadstead.core.registry import OwnedSpace
from roadstead.core.work import Account, Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.filter import And, equals, glob
from roadstead.kernel.ids import SpaceId

MOST_FOUND = 100
"""Of each kind."""


@unguarded("for those who have found the spaces")
async def count_contents(asked: Account | Work, spaces: Sequence[OwnedSpace]) -> list[Amounts]:
    """How much is in each of these spaces."""
    tenants = {each.tenant_id for each in spaces}
    found = await store.select_amounts(asked.tx, list(tenants), [each.id for each in spaces])
    return [found.get(each.id, Amounts()) for each in spaces]


@operation(Grant.DEVICES_READ)
async def search_contents(work: Work, space_id: SpaceId, text: str) -> list[Found]:
    """Devices, tokens and events of a space whose names have this text in them, in any case; `*` is any text."""
    plain = text.replace("\\", "\\\\")
    like = plain.replace("%", "\\%").replace("_", "\\_").replace("*", "%")
    within = And((equals("spaceId", space_id), glob("called", f"*{text.lower()}*")))
    devices = await registry.list_device_names(work, within)
    found = [
        Found(kind=FoundKind.DEVICE, id=each.id, name=each.name, device_class=each.device_class)
        for each in devices[:MOST_FOUND]
    ]
    return found + await store.select_called(work.tx, space_id, f"%{like}%", most=MOST_FOUND)
