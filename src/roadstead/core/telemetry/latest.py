"""The newest readings, out of the state of the devices."""

from collections.abc import Collection, Sequence

from roadstead.core.messages import ValueType
from roadstead.core.operation import operation
from roadstead.core.ports import Span
from roadstead.core.telemetry import store
from roadstead.core.telemetry.model import Channel, Selection, SensorReading, read_metadata, value_of
from roadstead.core.telemetry.searching import follow_states
from roadstead.core.work import Work
from roadstead.kernel.actor import Grant
from roadstead.kernel.errors import Invalid, NotFound
from roadstead.kernel.ids import DeviceId, SensorId
from roadstead.kernel.time import from_millis

MOST_LATEST = 5_000
"""Sensors whose newest readings are told at once."""


@operation(Grant.READINGS_READ)
async def get_latest(work: Work, sensor_id: SensorId) -> SensorReading:
    """The newest reading of a sensor. Raises `NotFound` when there is none yet."""
    stated = await store.select_states(work.tx, work.tenant_id, Selection(sensor_ids=[sensor_id]), 1)
    if not stated:
        raise NotFound("reading of sensor", sensor_id)
    return read_state(stated[0])


@operation(Grant.READINGS_READ)
async def list_latest(work: Work, selection: Selection) -> list[SensorReading]:
    """The newest reading of each sensor of a selection that has one, by device and path.

    Raises `Invalid` for a selection of everything or of more than 5,000 sensors, and `NotFound` for a device, component
    or site that does not exist.
    """
    if selection.is_empty:
        raise Invalid.field("sensorId", "one of sensorId, deviceId, componentId, siteId is needed", place="query")
    await _check_places(work, selection)
    stated = await store.select_states(work.tx, work.tenant_id, selection, MOST_LATEST + 1)
    if len(stated) > MOST_LATEST:
        name = "deviceId" if selection.site_id is None else "siteId"
        raise Invalid.field(name, f"has more than {MOST_LATEST} sensors: ask for less", code="range", place="query")
    return [read_state(item) for item in stated]


async def renew_latest(work: Work, channel: Channel, deleted: Span) -> None:
    """After readings of a range were deleted: the newest value is the newest that is left."""
    selection = Selection(sensor_ids=[channel.sensor_id])
    await _renew(work, await store.select_states(work.tx, work.tenant_id, selection, 1), deleted)


async def renew_values(work: Work, device_id: DeviceId, paths: Collection[str], deleted: Span) -> None:
    """The same for some paths of a device."""
    stated = await store.select_states_of_many(work.tx, work.tenant_id, [device_id])
    await _renew(work, [item for item in stated if item.channel.path in paths], deleted)


async def _renew(work: Work, stated: Sequence[store.StatedChannel], deleted: Span) -> None:
    gone = [item for item in stated if deleted.start <= from_millis(item.state[1]) < deleted.end]
    if not gone:
        return
    left = await work.ports.telemetry.latest(work.tenant_id, [item.channel.series for item in gone])
    points = {(point.device, point.path): point for point in left}
    for item in gone:
        channel = item.channel
        point = points.get((channel.device_id, channel.path))
        newest: store.State | None = None
        if point is not None:
            value = value_of(channel.value_type, point.number, point.text)
            newest = [value, point.at, point.received, *filter(None, [point.meta])]
        await store.update_state(work.tx, work.tenant_id, channel, before=item.state, after=newest)
    await follow_states(work.tx, list({(work.tenant_id, item.channel.device_id) for item in gone}))


def read_state(stated: store.StatedChannel) -> SensorReading:
    """An entry of a device's state as a reading."""
    channel = stated.channel
    value, at, received, *meta = stated.state
    return SensorReading(
        sensor_id=channel.sensor_id,
        at=from_millis(at),
        # JSON does not tell 21.0 from 21.
        value=float(value) if channel.value_type is ValueType.DOUBLE and type(value) is int else value,
        value_type=channel.value_type,
        metadata=read_metadata(meta[0]) if meta else None,
        received_at=from_millis(received),
    )


async def _check_places(work: Work, selection: Selection) -> None:
    tx, tenant = work.tx, work.tenant_id
    if selection.device_id is not None and not await store.has_device(tx, tenant, selection.device_id):
        raise NotFound("device", selection.device_id)
    if selection.component_id is not None and not await store.has_component(tx, tenant, selection.component_id):
        raise NotFound("component", selection.component_id)
    if selection.site_id is not None and not await store.has_site(tx, tenant, selection.site_id):
        raise NotFound("site", selection.site_id)
