"""Values that can be searched: from the first search of a tenant on, with every state that is written."""

from collections.abc import Sequence

from roadstead.core.operation import unguarded
from roadstead.core.telemetry import value_store
from roadstead.core.telemetry.value_store import DeviceKey
from roadstead.core.work import Work
from roadstead.db import Tx
from roadstead.kernel.ids import DeviceId

_CHUNK = 1_000


@unguarded("tells nothing, and changes nothing that anybody sees")
async def make_searchable(work: Work) -> None:
    """See to it that filters find the tenant's devices by what they have reported. Long only the first time.

    States are locked before they are read. Whoever is writing one has either committed by then, or waits, and finds
    afterwards that the tenant is searched.
    """
    if await value_store.select_searched(work.tx) or not await value_store.insert_searched(work.tx):
        return
    after: DeviceId | None = None
    while bodies := await value_store.lock_bodies(work.tx, after, _CHUNK):
        await value_store.replace_values(work.tx, bodies)
        *_, (_, after) = bodies


async def follow_patches(tx: Tx) -> None:
    """States were just merged from `state_patch`: what is searched follows in the same transaction."""
    searched = await value_store.select_searched(tx)
    if searched:
        await _follow(tx, await value_store.select_patched(tx, searched))


async def follow_states(tx: Tx, devices: Sequence[DeviceKey]) -> None:
    """The same for the states of these devices, which were just written by other means."""
    searched = set(await value_store.select_searched(tx))
    await _follow(tx, [device for device in devices if device[0] in searched])


async def _follow(tx: Tx, devices: Sequence[DeviceKey]) -> None:
    for start in range(0, len(devices), _CHUNK):
        chunk = devices[start : start + _CHUNK]
        await value_store.replace_values(tx, await value_store.select_bodies_of(tx, chunk))
