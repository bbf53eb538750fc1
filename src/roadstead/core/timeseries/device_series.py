"""Series of devices: what is kept of a path that the rules of a device's type name."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from roadstead.core import telemetry, types
from roadstead.core.messages import ValueType
from roadstead.core.operation import operation
from roadstead.core.ports import Span
from roadstead.core.telemetry import Channel
from roadstead.core.timeseries import device_store
from roadstead.core.timeseries.curves import (
    ALL_TIME,
    MOST_RECENT,
    Curve,
    Point,
    list_recent_points,
    walk_frames,
)
from roadstead.core.timeseries.frames import Frames, check_fit
from roadstead.core.types import DeviceType, Leaf, TypeOrigin
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Invalid, NotFound
from roadstead.kernel.ids import DeviceId, TenantId
from roadstead.kernel.time import to_millis


class DevicePath(msgspec.Struct, frozen=True):
    """A path of devices of one type whose values are kept."""

    path: str
    """As `types.parse_json_path` has it."""
    is_json: bool = False
    """Its values are of several types, so they lie in the store as JSON."""


class DeviceGroup(msgspec.Struct, frozen=True):
    """Devices of one type, and which of the paths that were asked for are kept of them."""

    device_ids: list[DeviceId]
    paths: list[DevicePath]


@operation(Grant.READINGS_READ)
async def list_recent_readings(work: Work, device_id: DeviceId, path: str) -> list[Point]:
    """Points of the last hour, newest first, at most 4,000. Raises `Invalid` for a path that no rule keeps."""
    curve = await _find_curve(work, device_id, path)
    return [] if curve is None else await list_recent_points(work.ports.telemetry, curve, work.now())


@operation(Grant.READINGS_READ)
async def frame_readings(work: Work, device_id: DeviceId, path: str, span: Span, frames: Frames) -> list[Point]:
    """Frames with points, newest first; without a size one, which has no value when there is no point.

    Raises `Invalid` when there are more than 4,000, and for an aggregation that means nothing for the values.
    """
    curve = await _find_curve(work, device_id, path)
    points: list[Point] = []
    if curve is not None:
        check_fit(curve.value_type, frames.aggregation)
        async for found in walk_frames(work.ports.telemetry, curve, span, frames):
            points += found
            if len(points) > MOST_RECENT:
                detail = f"gives more than {MOST_RECENT} points: make frames longer or the time shorter"
                raise Invalid.field("frameSize", detail, code="range", place="query")
    if not points and frames.size is None:
        return [Point(to_millis(span.start), None)]
    return points


@operation(Grant.READINGS_DELETE)
async def delete_readings(work: Work, device_id: DeviceId, path: str, span: Span | None) -> None:
    """Delete what was kept of a path, in a span or altogether."""
    await _find_path(work, device_id, path)
    channel = await _load_channel(work, device_id, path)
    if channel is not None:
        await telemetry.purge_readings(work, channel.sensor_id, span or ALL_TIME)


# --- for this room ---------------------------------------------------------------------------------------------------


async def load_group(work: Work, device_id: DeviceId, path: str) -> DeviceGroup:
    """One path of one device. Raises `NotFound`, and `Invalid` for a path that no rule keeps."""
    if not await device_store.has_device(work.tx, work.tenant_id, device_id):
        raise NotFound("device", device_id)
    groups = await group_devices(work, [device_id], [path])
    if not groups:
        spelled = types.spell_json_path(path)
        raise Invalid.field("path", f"no reporting rule of the device's type keeps {spelled}", place="query")
    return groups[0]


async def group_devices(work: Work, device_ids: Sequence[DeviceId], paths: Sequence[str]) -> list[DeviceGroup]:
    """Those of these devices that keep some of the paths, by type."""
    by_type = await device_store.select_types(work.tx, work.tenant_id, device_ids, work.actor.organization_id)
    types_ = await types.load_device_types(work, list(by_type))
    blueprints = await types.made_as_blueprints(work, list(by_type))
    groups = []
    for type_id, members in by_type.items():
        type_ = types_.get(type_id)
        kept = [] if type_ is None else _kept_paths(type_, paths, is_blueprint=type_id in blueprints)
        if kept:
            groups.append(DeviceGroup(members, kept))
    return groups


def find_channel(channels: Mapping[tuple[DeviceId, str], Channel], device_id: DeviceId, path: str) -> Channel | None:
    """Where a device keeps a path: as it is spelled, or as a sensor of a component."""
    known = (channels.get((device_id, spelling)) for spelling in types.spellings(path))
    return next((channel for channel in known if channel is not None), None)


def curve_of(tenant: TenantId, channel: Channel, wanted: DevicePath) -> Curve:
    """How the values of a channel are read."""
    read = partial(_read_json if wanted.is_json else telemetry.value_of, channel.value_type)
    return Curve(tenant, channel.series, channel.value_type, read)


async def _find_curve(work: Work, device_id: DeviceId, path: str) -> Curve | None:
    """None: nothing was reported there so far."""
    wanted = await _find_path(work, device_id, path)
    channel = await _load_channel(work, device_id, path)
    return None if channel is None else curve_of(work.tenant_id, channel, wanted)


async def _load_channel(work: Work, device_id: DeviceId, path: str) -> Channel | None:
    channels = await telemetry.load_channels(work.tx, work.tenant_id, [device_id], types.spellings(path))
    return find_channel(channels, device_id, path)


async def _find_path(work: Work, device_id: DeviceId, path: str) -> DevicePath:
    return (await load_group(work, device_id, path)).paths[0]


def _kept_paths(type_: DeviceType, paths: Sequence[str], *, is_blueprint: bool) -> list[DevicePath]:
    kept = type_.series_paths()
    schema = type_.compiled()
    # What shows a profile, or devices without one, has no rules, and blueprints know of none: everything is kept.
    has_rules = type_.origin is TypeOrigin.DEFINED and not (is_blueprint and not type_.reporting_rules)
    return [DevicePath(path, schema.leaf(path) is Leaf.JSON) for path in paths if not has_rules or path in kept]


def _read_json(value_type: ValueType, number: float | None, text: str) -> Any:
    """A value of several types; an object or a list stays the text that it lies there as."""
    stored = telemetry.value_of(value_type, number, text)
    value = types.from_stored(Leaf.JSON, stored)
    return value if isinstance(value, bool | int | float | str) else stored
