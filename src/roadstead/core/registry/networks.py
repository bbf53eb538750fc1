"""What can be done with networks."""

from uuid import UUID

import msgspec

from roadstead.core.operation import operation
from roadstead.core.registry import network_store
from roadstead.core.registry.network_model import Network, NetworkChange, NetworkDraft
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Conflict, Invalid, NotFound
from roadstead.kernel.ids import new_id, parse_base62


@operation(Grant.DEVICES_READ)
async def list_networks(work: Work) -> list[Network]:
    """All, by name."""
    return await network_store.select_networks(work.tx)


@operation(Grant.DEVICES_READ)
async def get_network(work: Work, name: str) -> Network:
    """The one with this id in Base62, or that messages name so."""
    id_ = parse_base62(name)
    network = await network_store.select_network(work.tx, id_) if id_ is not None else None
    network = network or await network_store.select_network_called(work.tx, name)
    if network is None:
        raise NotFound("network", name)
    return network


@operation(Grant.DEVICES_WRITE)
async def create_network(work: Work, draft: NetworkDraft) -> Network:
    """Add a network. `Conflict` when another one of the platform has its name, whosever it is."""
    draft.check()
    now = work.now()
    network = Network(id=new_id(), created_at=now, updated_at=now, **msgspec.structs.asdict(draft))
    if not await network_store.insert_network(work.tx, network):
        raise Conflict.taken("network", "networkId", network.network_id)
    work.record("network.create", network.id, after=network)
    return network


@operation(Grant.DEVICES_WRITE)
async def change_network(work: Work, id_: UUID, change: NetworkChange) -> Network:
    """Change a network; its name in messages stays, since devices and programs go by it."""
    before = await _lock(work, id_)
    after = msgspec.structs.replace(before, **change.sent(), updated_at=work.now())
    if after.network_id != before.network_id:
        raise Invalid.field("/networkId", "stays as it was made")
    fields = {name: getattr(after, name) for name in NetworkDraft.__struct_fields__}
    NetworkDraft(**fields).check()
    await network_store.update_network(work.tx, after)
    work.record("network.update", id_, before=before, after=after)
    return after


@operation(Grant.DEVICES_WRITE)
async def delete_network(work: Work, id_: UUID) -> None:
    """Delete a network that no device has a name in; `Conflict` (`in-use`) for another."""
    network = await _lock(work, id_)
    if await network_store.is_network_used(work.tx, network.network_id):
        raise Conflict(f"network '{network.name}' is in use: devices have names in it", code="in-use")
    await network_store.delete_network(work.tx, id_)
    work.record("network.delete", id_, before=network)


async def _lock(work: Work, id_: UUID) -> Network:
    network = await network_store.lock_network(work.tx, id_)
    if network is None:
        raise NotFound("network", id_)
    return network
