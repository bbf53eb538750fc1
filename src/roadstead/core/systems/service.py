"""A turn of systems: whose time has come, what they say, and when they come again."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from roadstead.core.messages import Uplink
from roadstead.core.ports import Reported
from roadstead.core.systems import store
from roadstead.core.systems.model import Due, Place, Said, fit_value, read_recipe
from roadstead.core.telemetry import spell_uplinks
from roadstead.db import Tx
from roadstead.kernel.ids import to_bytes
from roadstead.kernel.time import to_millis


async def take_due(tx: Tx, now: datetime, *, most: int, most_of_tenant: int) -> list[Due]:
    """Systems whose time has come; they are the caller's until the transaction ends."""
    return await store.lock_due(tx, now, most=most, most_of_tenant=most_of_tenant)


async def work_out(tx: Tx, due: Sequence[Due]) -> dict[Place, list[Said]]:
    """What these systems say, from the newest values of the devices below them.

    An attribute for which none of them has a value, or that cannot have what they come to, is left out.
    """
    targets = await store.select_targets(tx, due)
    wanted = [(target, recipe) for target in targets if (recipe := read_recipe(target.told)) is not None]
    said: dict[Place, list[Said]] = {}
    for number, value in (await store.aggregate(tx, wanted)).items():
        target, _ = wanted[number]
        fitting = fit_value(target.data_type, value)
        if fitting is not None:
            said.setdefault(target.place, []).append(Said(target.sensor_id, target.path, fitting))
    return said


def spell_said(due: Sequence[Due], said: Mapping[Place, Sequence[Said]], now: datetime) -> list[Uplink]:
    """The same as messages of these devices, to be put on the log before the turn is settled.

    Of one turn they are always of the same instant: when they are put there twice, the store keeps one.
    """
    uplinks = []
    for each in due:
        at = to_millis(each.instant(now))
        items = [Reported(str(one.sensor_id), at, one.value) for one in said.get(each.place, ())]
        uplinks += spell_uplinks(each.tenant_id, to_bytes(each.device_id), items, received=to_millis(now))
    return uplinks


async def settle(tx: Tx, due: Sequence[Due], said: Mapping[Place, Sequence[Said]], now: datetime) -> None:
    """Their turn is over. What was missed before it is not made up for: they come again at the next instant."""
    await store.settle(tx, due, said, now)
