"""Attributes of many devices as points: raw or boiled down, an answer for all of them from one query of the store."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from roadstead.core import registry
from roadstead.core.messages import Value
from roadstead.core.operation import operation
from roadstead.core.ports import Curve, Function, Series, Span, TimeAt
from roadstead.core.registry import Attribute, DataType, TaggedDevice
from roadstead.core.telemetry.model import value_of
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Invalid
from roadstead.kernel.filter import Filter
from roadstead.kernel.ids import DeviceId
from roadstead.kernel.time import from_millis

MOST_DEVICES = 10_000
"""That one query may be about."""
MOST_POINTS = 750_000
"""Values in one answer."""

_COUNTED = frozenset({Function.COUNT, Function.FIRST, Function.LAST})
_RECKONED = _COUNTED | {
    Function.AVG, Function.MIN, Function.MAX, Function.SUM, Function.MEDIAN, Function.STDDEV,
}  # fmt: skip
_AS_REPORTED = frozenset({Function.FIRST, Function.LAST, None})


class CurvesQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted of some devices."""

    span: Span
    step_ms: int | None = None
    """How long a bucket is; None: the span is one."""
    function: Function | TimeAt | None = None
    """None: points as they are."""
    attributes: Sequence[str] | None = None
    """None: all that the function says something of."""
    limit: int | None = None
    """Of the points of each device, from the beginning of the order."""
    descending: bool = False

    def check(self) -> None:
        """Raises `Invalid` with the name of what does not go."""
        if self.step_ms is not None and self.step_ms < 1:
            raise Invalid.field("resolution", "takes a positive number of milliseconds", code="range")
        if self.limit is not None and self.limit < 1:
            raise Invalid.field("limit", "takes a positive number", code="range")


class DevicePoints(msgspec.Struct, frozen=True):
    """What of one device was found, in columns: most answers are many numbers of one attribute."""

    device: TaggedDevice
    at: list[int]
    """In ms since 1970; of buckets when they begin."""
    values: dict[str, list[Value | None]]
    """By attribute, as long as `at`; None: nothing of it at that instant."""
    blobs: dict[str, Attribute] = {}
    """Attributes of which values stand for files, by name, where these are values as they were reported."""


class LastValue(msgspec.Struct, frozen=True):
    """The newest point of an attribute."""

    attribute: Attribute
    at: int
    """In ms since 1970."""
    value: Value


@operation(Grant.READINGS_READ)
async def read_curves(work: Work, where: Filter, query: CurvesQuery) -> list[DevicePoints]:
    """Attributes of the devices that a filter is true for; devices without a point have none.

    Raises `Invalid` for an attribute of which the function says nothing on any of them, and for too many devices;
    `TooLarge` for too many points.
    """
    query.check()
    devices = await load_curve_devices(work, where)
    attributes = await _choose_attributes(work, devices, query)
    by_series = {
        Series(device_id, attribute.path): attribute for device_id, chosen in attributes.items() for attribute in chosen
    }
    raw = query.function is None
    curves = await work.ports.telemetry.curves(
        work.tenant_id,
        list(by_series),
        query.span,
        step_ms=query.step_ms,
        function=query.function,
        newest=query.limit if raw and query.descending else None,
        oldest=query.limit if raw and not query.descending else None,
        most=MOST_POINTS,
    )
    found: dict[DeviceId, list[tuple[Attribute, Curve]]] = {device.id: [] for device in devices}
    for curve in curves:
        found[curve.series.device].append((by_series[curve.series], curve))
    return [
        DevicePoints(device, *_columns(found[device.id], query), _blobs(attributes[device.id], query))
        for device in devices
    ]


@operation(Grant.READINGS_READ)
async def read_last_values(
    work: Work, where: Filter, attribute: str, before: datetime | None
) -> dict[DeviceId, LastValue]:
    """The newest point of an attribute of each device that a filter is true for and that has one, until `before`."""
    devices = await load_curve_devices(work, where)
    known = await registry.find_attributes(work, [device.id for device in devices], {attribute})
    by_series = {Series(device_id, each.path): each for device_id, own in known.items() for each in own}
    if before is None:
        points = await work.ports.telemetry.latest(work.tenant_id, list(by_series))
        newest = {Series(point.device, point.path): (point.at, point.number, point.text) for point in points}
    else:
        span = Span(from_millis(0), before)
        curves = await work.ports.telemetry.curves(
            work.tenant_id, list(by_series), span, step_ms=None, function=None, newest=1, most=MOST_POINTS
        )
        newest = {curve.series: (curve.at[-1], curve.numbers[-1], curve.texts[-1]) for curve in curves}
    last = {}
    for series, (at, number, text) in newest.items():
        attribute_ = by_series[series]
        last[series.device] = LastValue(attribute_, at, value_of(attribute_.data_type.value_type, number, text))
    return last


async def load_curve_devices(work: Work, where: Filter) -> list[TaggedDevice]:
    """The devices that a filter is true for. Raises `Invalid` when they are more than one query may be about."""
    found = await registry.list_tagged_devices(work, where, most=MOST_DEVICES + 1)
    if len(found) > MOST_DEVICES:
        raise Invalid.field("devices", f"may be {MOST_DEVICES} at most in one query", code="range")
    return found


async def _choose_attributes(
    work: Work, devices: Sequence[TaggedDevice], query: CurvesQuery
) -> dict[DeviceId, list[Attribute]]:
    wanted = None if query.attributes is None else set(query.attributes)
    known = await registry.find_attributes(work, [device.id for device in devices], wanted)
    chosen = {id_: [each for each in own if _fits(each, query.function)] for id_, own in known.items()}
    there, fitting = _names(known), _names(chosen)
    for name in query.attributes or ():
        if name in there and name not in fitting:
            detail = f"'{name}' is no number: there is only its COUNT, FIRST and LAST"
            raise Invalid.field("attributes", detail, code="function-does-not-fit")
    return chosen


def _names(attributes: Mapping[DeviceId, Sequence[Attribute]]) -> set[str]:
    return {each.name for all_ in attributes.values() for each in all_}


def _fits(attribute: Attribute, function: Function | TimeAt | None) -> bool:
    if function is None or isinstance(function, TimeAt):
        return True
    return function in (_RECKONED if attribute.data_type in (DataType.NUMBER, DataType.BOOLEAN) else _COUNTED)


def _columns(
    curves: Sequence[tuple[Attribute, Curve]], query: CurvesQuery
) -> tuple[list[int], dict[str, list[Value | None]]]:
    """Points of one instant together, in the order of the query."""
    if len(curves) == 1:
        [(attribute, curve)] = curves
        at = list(curve.at)
        values = {attribute.name: _values(attribute, curve, query.function)}
    else:
        said = {
            attribute.name: dict(zip(curve.at, _values(attribute, curve, query.function), strict=True))
            for attribute, curve in curves
        }
        at = sorted({instant for values in said.values() for instant in values})
        values = {name: [known.get(instant) for instant in at] for name, known in said.items()}
    if query.descending:
        at.reverse()
        for column in values.values():
            column.reverse()
    if query.limit is None:
        return at, values
    return at[: query.limit], {name: column[: query.limit] for name, column in values.items()}


def _blobs(attributes: Sequence[Attribute], query: CurvesQuery) -> dict[str, Attribute]:
    if query.function not in _AS_REPORTED:
        return {}
    return {each.name: each for each in attributes if each.data_type is DataType.BLOB}


def _values(attribute: Attribute, curve: Curve, function: Function | TimeAt | None) -> list[Value | None]:
    if function in _AS_REPORTED:
        type_ = attribute.data_type.value_type
        return [value_of(type_, number, text) for number, text in zip(curve.numbers, curve.texts, strict=True)]
    if function is Function.COUNT or isinstance(function, TimeAt):
        return [int(number or 0) for number in curve.numbers]
    return list[Value | None](curve.numbers)
