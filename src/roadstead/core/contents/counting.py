"""How many devices there were, day by day."""

from collections.abc import Sequence
from datetime import date

from roadstead.core.contents import store
from roadstead.core.contents.model import DeviceDay
from roadstead.core.operation import unguarded
from roadstead.core.work import Account, Work
from roadstead.kernel.actor import Actor, Grant
from roadstead.kernel.ids import SpaceId


@unguarded("it looks only where those who ask may read devices")
async def chart_devices(
    asked: Account | Work, places: Sequence[Actor], first: date, last: date, *, space_id: SpaceId | None = None
) -> list[DeviceDay]:
    """The days (UTC) from the first to the last, without those before anything happened."""
    tenants = [each.tenant_id for each in places if Grant.DEVICES_READ in each.grants]
    return await store.select_days(asked.tx, tenants, first, last, space_id)
