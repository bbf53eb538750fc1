"""How devices are made and changed: the header in a transaction, then the data on the log (contract section 3)."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from roadstead.core import registry
from roadstead.core.registry import Device
from roadstead.core.telemetry import WrittenValues
from roadstead.core.work import Work
from roadstead.dialects.leverege.access import check
from roadstead.dialects.leverege.devices import DeviceShape, HeaderBody, shape_device
from roadstead.dialects.leverege.patches import PatchOp, PatchWord, patched
from roadstead.dialects.leverege.resolve import read_waiting, store_values
from roadstead.dialects.leverege.values import write_data
from roadstead.kernel.errors import Invalid
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest, BeginWork

_DATA = "data"
_HEADER = frozenset(field.encode_name for field in msgspec.structs.fields(HeaderBody))


async def save(
    request: AnyRequest, begin: BeginWork, body: Any, settle: Callable[[Work], Awaitable[Device]]
) -> DeviceShape:
    """Make or change a device by what is sent: `settle` does what is not data, and says which device it is.

    The data is on the log when this returns, and further on as far as `resolveOnWrite` wants.
    """
    waiting = read_waiting(request, body)
    data = _data_of(body)
    written: WrittenValues | None = None
    async with begin() as work:
        device = await settle(work)
        if data:
            written = await write_data(work, device, data)
        shape = await shape_device(work, device, written=written)
    return msgspec.structs.replace(shape, resolve_on_write=await store_values(request, written, waiting))


async def change_header(work: Work, device: Device, body: Any) -> Device:
    """Change what is sent beside the data: members of an object, or steps of a list."""
    header = _header_of(body)
    if not header:
        return device
    await check(work, "device.update", system_id=device.space_id, device_id=device.id)
    change = patched(HeaderBody.of(device), header).change(device)
    return await registry.change_device(work, device.id, change, expected=None)


def _header_of(body: Any) -> Any:
    if isinstance(body, dict):
        return {name: value for name, value in body.items() if name in _HEADER}
    steps = [step for step in read_as(body, list[PatchOp]) if not _is_data(step)]
    for index, step in enumerate(steps):
        name = _way(step)[0]
        if name not in _HEADER:
            raise Invalid.field(f"{index}/path", f"there is no '{name}' that can be changed")
    return msgspec.to_builtins(steps)


def _data_of(body: Any) -> Any:
    """An object, or a list of `{path, value}`; nothing when no data is sent."""
    if isinstance(body, dict):
        return body.get(_DATA)
    steps = [step for step in read_as(body, list[PatchOp]) if _is_data(step)]
    return [
        {"path": "/".join(_way(step)[1:]), "value": None if step.op is PatchWord.REMOVE else step.value}
        for step in steps
    ]


def _is_data(step: PatchOp) -> bool:
    return _way(step)[0] == _DATA


def _way(step: PatchOp) -> list[str]:
    return step.path.removeprefix("/").split("/")
