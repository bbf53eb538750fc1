"""History as rows: what devices have reported, one row for each device and instant, filtered, grouped and reckoned."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from roadstead.core import registry, types
from roadstead.core.history import (
    MOST_ROWS,
    Cell,
    Field,
    HistoryQuery,
    Kind,
    Node,
    Place,
    Reported,
    RowField,
    Tree,
    walk,
)
from roadstead.core.operation import operation
from roadstead.core.ports import Span
from roadstead.core.telemetry import store
from roadstead.core.types import Section, TypeOrigin, TypeSchema
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Invalid
from roadstead.kernel.filter import Filter
from roadstead.kernel.ids import DeviceId, TypeId, from_bytes

MOST_DEVICES = 10_000
"""That one query may be about, unless it is about all of the organization."""


class HistoryRows(msgspec.Struct, frozen=True):
    """A page of rows, a cell for each of the query's columns, and how many rows there are altogether.

    A time is milliseconds, a device its id; what was reported is as it was said, objects and lists included.
    """

    rows: list[list[Any]]
    total: int


@operation(Grant.READINGS_READ)
async def list_history(work: Work, where: Filter | None, span: Span, query: HistoryQuery) -> HistoryRows:
    """Rows of the devices that a filter is true for; None: of all. A `limit` of zero: all rows, of at most `MOST_ROWS`.

    Raises `Invalid` for what does not go together, and for more devices or rows than one answer may have.
    """
    query.check()
    if span.start >= span.end:
        raise Invalid.field("start", "must be before 'end'", code="range")
    devices = None if where is None else await registry.load_device_ids(work, where, limit=MOST_DEVICES + 1)
    if devices is not None and len(devices) > MOST_DEVICES:
        raise Invalid(f"a history query may be about {MOST_DEVICES} devices: ask for fewer")
    is_typed = not query.is_grouped and any(node.kind in (Kind.VALUE, Kind.TREE) for node in query.columns)
    asked = msgspec.structs.replace(
        query,
        columns=(*query.columns, RowField(Field.DEVICE)) if is_typed else query.columns,
        limit=query.limit or MOST_ROWS + 1,
    )
    found = await work.ports.telemetry.history(work.tenant_id, devices, span, asked)
    if not query.limit and len(found) > MOST_ROWS:
        raise Invalid.field("perPage", f"there are more than {MOST_ROWS} rows: ask for pages", code="range")
    total = query.start_index + len(found)
    if len(found) == asked.limit or (not found and query.start_index):
        total = await work.ports.telemetry.count_history(work.tenant_id, devices, span, query)
    schemas = await _load_schemas(work, {str(row[-1]) for row in found}) if is_typed else {}
    return HistoryRows([_read_row(query.columns, row, schemas) for row in found], total)


async def _load_schemas(work: Work, digits: set[str]) -> dict[str, TypeSchema]:
    """The schemas of the types of devices, where they have any."""
    ids = {DeviceId(from_bytes(bytes.fromhex(one))): one for one in digits}
    type_ids = await store.select_type_ids(work.tx, work.tenant_id, list(ids))
    known = await types.load_device_types(work, sorted(set(type_ids.values())))
    compiled: dict[TypeId, TypeSchema] = {
        type_id: type_.compiled() for type_id, type_ in known.items() if type_.origin is TypeOrigin.DEFINED
    }
    return {ids[id_]: compiled[type_id] for id_, type_id in type_ids.items() if type_id in compiled}


def _read_row(columns: Sequence[Node], row: Sequence[Cell], schemas: Mapping[str, TypeSchema]) -> list[Any]:
    schema = schemas.get(str(row[-1]))
    return [_read_cell(node, cell, schema) for node, cell in zip(columns, row, strict=False)]


def _read_cell(node: Node, cell: Cell, schema: TypeSchema | None) -> Any:
    if cell is None:
        return None
    if isinstance(cell, Place):
        return _read_tree(node, cell.values, schema)
    if node.kind is Kind.DEVICE:
        return DeviceId(from_bytes(bytes.fromhex(str(cell))))
    if node.kind is Kind.VALUE:
        path = next((one.paths[0] for one in walk(node) if isinstance(one, Reported)), "")
        return _from_stored(path, cell, schema)
    return cell


def _read_tree(node: Node, values: Mapping[str, Any], schema: TypeSchema | None) -> Any:
    """What lies at or below the path of a tree; None when nothing does."""
    read = [(path, _from_stored(path, value, schema)) for path, value in values.items()]
    tree: Any = types.nest(read)[Section.ATTRIBUTES]
    if not isinstance(node, Tree) or not node.paths:
        return tree
    for step in types.split_path(node.paths[0])[1]:
        tree = tree.get(str(step)) if isinstance(tree, dict) else None
    return tree


def _from_stored(path: str, stored: Any, schema: TypeSchema | None) -> Any:
    leaf = schema.leaf(path) if schema is not None and isinstance(stored, str) else None
    return types.from_stored(leaf, stored)
