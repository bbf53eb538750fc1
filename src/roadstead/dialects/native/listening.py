"""What a live stream needs, however it travels: who may hear what, for how long, and how events are spelled."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

import msgspec

from roadstead.core import identity, telemetry
from roadstead.core.messages import (
    AlertChanged,
    BindingChanged,
    CommandChanged,
    ConfigurationReported,
    DesiredStateChanged,
    EventRaised,
    ExportChanged,
)
from roadstead.core.streams import (
    GRANTS,
    REPORT_TOPICS,
    UNSERVED_TOPICS,
    DeviceEvent,
    Event,
    FactEvent,
    Gap,
    OccurrenceEvent,
    Parcel,
    ReadingEvent,
    ReportEvent,
    StreamFilter,
    StreamWish,
    Subscription,
    Topic,
)
from roadstead.core.work import Entry
from roadstead.dialects.native.edge import read_id
from roadstead.dialects.native.readings import ReadingShape
from roadstead.dialects.native.shapes import Shape
from roadstead.kernel.actor import Actor, Grant
from roadstead.kernel.errors import Forbidden, Invalid
from roadstead.kernel.ids import DeviceId, SensorId, SiteId
from roadstead.kernel.time import from_millis
from roadstead.web.edge import Edge
from roadstead.web.listening import follow

_TOPICS = [topic for topic in Topic if topic not in REPORT_TOPICS]


class Listening(msgspec.Struct, frozen=True):
    """A stream that was granted: who hears it, with which credential, and what."""

    edge: Edge
    actor: Actor
    credential: str
    wanted: StreamFilter
    subscription: Subscription

    async def parcels(self) -> AsyncIterator[list[Parcel]]:
        """What there is to tell; an empty list every 15 s in which there is nothing.

        Ends by raising what ends it: the credential is not good any more, or the listener is too slow.
        """
        async for parcels in follow(self.edge, self.subscription, self._check):
            yield parcels

    async def _check(self) -> None:
        actor = await self.edge.vigil.check(
            f"{self.credential} {self.actor.address}",
            lambda: identify(self.edge, self.credential, self.actor.address, self.actor.request_id),
        )
        needed = {Grant.READINGS_READ, *(GRANTS[topic] for topic in self.wanted.topics)}
        if not needed <= actor.grants or actor.tenant_id != self.actor.tenant_id:
            raise Forbidden("the rights that this stream needs were taken away", code="scope-missing")


async def identify(edge: Edge, credential: str, address: str, request_id: str) -> Actor:
    """Whose API key or session token this is."""
    async with edge.system_database.tx() as tx:
        entry = Entry(tx, edge.ports, address=address, request_id=request_id)
        return await identity.authenticate(entry, credential)


# --- what is asked for -----------------------------------------------------------------------------------------------


def read_wish(topics: str, device_ids: Sequence[str], sensor_ids: Sequence[str], site_id: str | None) -> StreamWish:
    """The parameters of a stream. Raises `Invalid` that names the one that is wrong."""
    return StreamWish(
        topics=_read_topics(topics),
        device_ids=[DeviceId(read_id(text, "device")) for text in device_ids],
        sensor_ids=[SensorId(read_id(text, "sensor")) for text in sensor_ids],
        site_id=None if site_id is None else SiteId(read_id(site_id, "site")),
    )


def _read_topics(text: str) -> frozenset[Topic]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name in UNSERVED_TOPICS:
            raise Invalid.field("topics", f"nothing is told about '{name}' yet", code="not-served", place="query")
        if name not in _TOPICS:
            raise Invalid.field("topics", f"'{name}' is not one of {', '.join(_TOPICS)}", place="query")
    if not names:
        raise Invalid.field("topics", "is required", code="required", place="query")
    return frozenset(map(Topic, names))


# --- what is told ----------------------------------------------------------------------------------------------------


class ReadingEventShape(ReadingShape, kw_only=True):
    """Data of an event `reading`: contract schema `Reading`, and the device."""

    device_id: str


class DeviceEventShape(Shape, kw_only=True):
    """Data of an event `device`."""

    type: str
    device_id: str
    timestamp: datetime
    status: str | None = None
    online: bool | None = None


class CommandEventShape(Shape, kw_only=True):
    """Data of an event `command`: it has this status now."""

    command_id: str
    device_id: str
    status: str
    timestamp: datetime


class AlertEventShape(Shape, kw_only=True):
    """Data of an event `alert`: it was raised, or has this status now."""

    alert_id: str
    rule_id: str
    device_id: str
    sensor_id: str
    status: str
    resolution: str | None = None
    timestamp: datetime


class EventEventShape(Shape, kw_only=True):
    """Data of an event `event`: it was written down, or its life cycle went on."""

    event_id: str
    device_id: str | None = None
    timestamp: datetime


class BindingEventShape(Shape, kw_only=True):
    """Data of an event `binding`: `changed`, with the binding; `desired` or `reported`, with the device."""

    type: str
    binding_id: str | None = None
    device_id: str | None = None
    timestamp: datetime


class ExportEventShape(Shape, kw_only=True):
    """Data of an event `export`: it has this status now."""

    export_id: str
    status: str
    timestamp: datetime


class GapShape(Shape):
    """Data of an event `gap`: what happened before is not kept any more; the stream goes on from here."""

    start: datetime = msgspec.field(name="from")


def name_of(event: Event) -> str:
    """The type of an event."""
    match event.body:
        case ReadingEvent():
            return "reading"
        case DeviceEvent():
            return "device"
        case FactEvent() as body:
            return body.topic
        case Gap():
            return "gap"
        case ReportEvent() | OccurrenceEvent():
            raise _not_ours()


def data_of(event: Event) -> bytes:
    """What an event says, as one line of JSON."""
    return msgspec.json.encode(_shape_of(event))


def _shape_of(event: Event) -> Shape:
    match event.body:
        case ReadingEvent() as body:
            return ReadingEventShape(
                sensor_id=str(body.sensor_id),
                device_id=str(body.device_id),
                timestamp=from_millis(body.reading.at),
                value=body.reading.value,
                value_type=body.value_type,
                metadata=telemetry.read_metadata(body.reading.meta),
                received_at=from_millis(body.received),
            )
        case DeviceEvent() as body:
            return DeviceEventShape(
                type=body.type,
                device_id=str(body.device_id),
                timestamp=body.at,
                status=body.status,
                online=body.online,
            )
        case FactEvent() as body:
            return _shape_of_fact(body)
        case Gap() as body:
            return GapShape(start=body.since)
        case ReportEvent() | OccurrenceEvent():
            raise _not_ours()


def _not_ours() -> TypeError:
    return TypeError("topics of this API do not tell this")


def _shape_of_fact(body: FactEvent) -> Shape:
    at = body.at
    match body.fact:
        case CommandChanged(device_id, command_id, status):
            return CommandEventShape(command_id=str(command_id), device_id=str(device_id), status=status, timestamp=at)
        case AlertChanged() as alert:
            return AlertEventShape(
                alert_id=str(alert.alert_id),
                rule_id=str(alert.rule_id),
                device_id=str(alert.device_id),
                sensor_id=str(alert.sensor_id),
                status=alert.status,
                resolution=alert.resolution,
                timestamp=at,
            )
        case EventRaised(event_id, device_id):
            spelled = None if device_id is None else str(device_id)
            return EventEventShape(event_id=str(event_id), device_id=spelled, timestamp=at)
        case BindingChanged(binding_id):
            return BindingEventShape(type="changed", binding_id=str(binding_id), timestamp=at)
        case DesiredStateChanged(device_id):
            return BindingEventShape(type="desired", device_id=str(device_id), timestamp=at)
        case ConfigurationReported(device_id):
            return BindingEventShape(type="reported", device_id=str(device_id), timestamp=at)
        case ExportChanged(export_id, status):
            return ExportEventShape(export_id=str(export_id), status=status, timestamp=at)
