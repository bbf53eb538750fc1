"""All that attributes of many devices hold, row by row: for files. Memory holds a piece of it."""

import io
from collections.abc import AsyncIterator, Mapping, Sequence

import msgspec
from arro3.core import DataType
from arro3.io import read_ipc_stream

from roadstead.core.messages import Value
from roadstead.core.ports import RowColumn, Span, TelemetryStore
from roadstead.core.registry import Attribute
from roadstead.kernel.ids import DeviceId, TenantId, from_bytes


class AttributeRow(msgspec.Struct, frozen=True):
    """What a device has reported at one instant, by the names of its attributes."""

    device_id: DeviceId
    at: int
    """In ms since 1970."""
    values: dict[str, Value]


async def walk_attributes(
    points: TelemetryStore, tenant: TenantId, attributes: Mapping[DeviceId, Sequence[Attribute]], span: Span
) -> AsyncIterator[list[AttributeRow]]:
    """Rows of devices in pieces, those of a device together and in order of time. No transaction is open meanwhile."""
    alike: dict[tuple[tuple[str, RowColumn], ...], list[DeviceId]] = {}
    for device_id, own in attributes.items():
        form = tuple((each.name, RowColumn(each.path, each.name, each.data_type.value_type)) for each in own)
        alike.setdefault(form, []).append(device_id)
    for form, device_ids in alike.items():
        names, columns = [name for name, _ in form], [column for _, column in form]
        async for piece in points.rows(tenant, device_ids, columns, span):
            for rows in _read(piece, names):
                yield rows


def _read(piece: bytes, names: Sequence[str]) -> list[list[AttributeRow]]:
    found = []
    for batch in read_ipc_stream(io.BytesIO(piece)):
        devices = [DeviceId(from_bytes(bytes.fromhex(digits))) for digits in batch["digits"].to_pylist()]
        instants = batch["at"].cast(DataType.int64()).to_pylist()
        columns = [batch[str(position)].to_pylist() for position in range(len(names))]
        found.append(
            [
                AttributeRow(
                    device, at, {name: cell for name, cell in zip(names, cells, strict=True) if cell is not None}
                )
                for device, at, *cells in zip(devices, instants, *columns, strict=True)
            ]
        )
    return found
