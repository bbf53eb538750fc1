"""Values that can be searched: from the first search of a tenant on, with every state that is written."""

from collections.abc import Sequence

from roadstead.core.operation import unguarded
from roadstead.core.telemetry import value_store
from roadstead.core.telemetry.value_store import DeviceKey
from roadstead.core.work import Work
from roadstead.db import Tx
from roadstead.kernel.errors import Unavailable

_CHUNK = 1_000
_AT_ONCE = 200
"""Devices of one step: their states are locked for as long as it takes."""


@unguarded("tells nothing, and changes nothing that anybody sees")
async def make_searchable(work: Work) -> bool:
    """See to it that filters find the tenant's devices by what they have reported; says whether they do already.

    From the commit on whoever writes a state writes what is searched, too. A tenant with few devices can be searched at
    once; for others a worker goes through what is there (`index_next`).
    """
    ready = await value_store.select_readiness(work.tx)
    if ready is not None:
        return ready
    await value_store.insert_searched(work.tx)
    bodies = await value_store.lock_bodies(work.tx, work.tenant_id, None, _AT_ONCE)
    if len(bodies) == _AT_ONCE:
        return False
    await value_store.replace_values(work.tx, bodies)
    await value_store.mark_ready(work.tx)
    return True


@unguarded("tells nothing, and changes nothing that anybody sees")
async def await_searchable(work: Work) -> None:
    """The same for a search. Raises `Unavailable` while the worker is at it; what was begun is committed then."""
    if not await make_searchable(work):
        await work.tx.commit()
        raise Unavailable("what the devices have reported is being indexed for searches; try again", retry_after_s=5)


async def index_next(tx: Tx) -> bool:
    """One step for a tenant that is to be searched; False when there is nothing to do at present.

    A transaction that was under way when the tenant became searched has not seen that, and may have written a state
    without its values. So the first step waits until those have ended; what is written later follows by itself.
    States are locked before they are read: whoever is writing one has either committed, or writes its values then.
    """
    step = await value_store.lock_step(tx)
    if step is None:
        return False
    if not step.begun:
        await value_store.begin_indexing(tx, step.tenant)
        return True
    bodies = await value_store.lock_bodies(tx, step.tenant, step.indexed_to, _AT_ONCE)
    await value_store.replace_values(tx, bodies)
    *_, (_, last) = [(step.tenant, step.indexed_to), *bodies]
    await value_store.note_indexed(tx, step.tenant, last, settled=len(bodies) < _AT_ONCE)
    return True


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
