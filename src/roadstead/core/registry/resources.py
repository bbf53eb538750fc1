"""Documents that are kept beside a device, in a tree: what a node is called on each level is its path."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from roadstead.core.operation import operation
from roadstead.core.registry import resource_store
from roadstead.core.registry.devices import load_device
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Invalid, NotFound, TooLarge
from roadstead.kernel.ids import DeviceId

MAX_DEPTH = 20
MAX_KEY = 255
MAX_BYTES = 65_536
MAX_NODES = 10_000
"""Of one device."""


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """A document beside a device."""

    path: list[str]
    type: str
    data: dict[str, Any]
    created_at: datetime
    updated_at: datetime


@operation(Grant.DEVICES_READ)
async def get_resource(work: Work, device_id: DeviceId, path: Sequence[str]) -> Resource:
    """One of them."""
    found = await resource_store.select_resource(work.tx, Resource, device_id, path)
    if found is None:
        raise NotFound("resource", "/".join(path))
    return found


@operation(Grant.DEVICES_READ)
async def list_resources(
    work: Work, device_id: DeviceId, path: Sequence[str], *, offset: int, limit: int
) -> tuple[list[Resource], int]:
    """So many of all that lie below a path, by path, and how many there are."""
    await load_device(work, device_id)
    found = await resource_store.select_below(work.tx, Resource, device_id, path, offset=offset, limit=limit)
    return found, await resource_store.count_below(work.tx, device_id, path)


@operation(Grant.DEVICES_WRITE)
async def put_resource(
    work: Work, device_id: DeviceId, path: Sequence[str], *, type: str, data: dict[str, Any]
) -> Resource:
    """Make one, or put it in the place of what is there. What lies above it need not be there."""
    if not 1 <= len(path) <= MAX_DEPTH or any(not 1 <= len(key) <= MAX_KEY or "\0" in key for key in path):
        raise Invalid(f"the path has 1 to {MAX_DEPTH} keys of 1 to {MAX_KEY} characters, no NUL")
    if not 1 <= len(type) <= MAX_KEY or "\0" in type:
        raise Invalid.field("/type", f"takes 1 to {MAX_KEY} characters, no NUL")
    content = msgspec.json.encode(data)
    if len(content) > MAX_BYTES:
        raise TooLarge(f"a resource takes at most {MAX_BYTES} bytes")
    if b"\\u0000" in content:
        raise Invalid.field("/data", "must not contain NUL")
    await load_device(work, device_id)
    if await resource_store.count_below(work.tx, device_id, ()) >= MAX_NODES:
        raise TooLarge(f"a device has at most {MAX_NODES} resources")
    await resource_store.upsert_resource(work.tx, device_id, path, type, data, work.now())
    work.record("resource.put", device_id, after=_Place("/".join(path)))
    return await get_resource(work, device_id, path)


@operation(Grant.DEVICES_WRITE)
async def delete_resource(work: Work, device_id: DeviceId, path: Sequence[str]) -> None:
    """Delete one with all that lies below. `NotFound` when there is nothing."""
    if not await resource_store.delete_tree(work.tx, device_id, path):
        raise NotFound("resource", "/".join(path))
    work.record("resource.delete", device_id, before=_Place("/".join(path)))


class _Place(msgspec.Struct, frozen=True):
    path: str
