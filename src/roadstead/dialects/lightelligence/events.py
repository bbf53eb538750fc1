"""/v1/devices/.../last-events: what devices have told in the last hour (contract section 14)."""

import re
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Router, get
from litestar.params import QueryParameter
from msgspec import UNSET, UnsetType

from roadstead.core import events
from roadstead.core.events import Event, EventQuery
from roadstead.core.identity import Permission
from roadstead.core.work import Work
from roadstead.dialects.lightelligence.device_filters import read_list
from roadstead.dialects.lightelligence.devices import DevicePath
from roadstead.dialects.lightelligence.envelopes import Data
from roadstead.dialects.lightelligence.errors import Service
from roadstead.kernel.errors import Invalid
from roadstead.kernel.ids import DeviceId
from roadstead.kernel.page import PageQuery

LAST = timedelta(hours=1)

_MOST = 1_000
_TYPE = re.compile("[a-zA-Z0-9_]+")

_READ = {"service": Service.DEVICES, "permissions": [Permission.DEVICES_HISTORICAL_DATA_READ]}

EventTypes = Annotated[str | None, QueryParameter(name="eventTypes")]


class EventShape(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`DeviceEvent`."""

    id: UUID
    type: str
    value: dict[str, Any] | UnsetType
    created_at: datetime

    @classmethod
    def of(cls, event: Event) -> "EventShape":
        value = UNSET if event.data is None else event.data
        return cls(id=event.id, type=event.type, value=value, created_at=event.occurred_at)


@get("/{deviceId:uuid}/last-events", operation_id="listLastEvents", opt=_READ)
async def list_last_events(work: Work, device_id: DevicePath, event_types: EventTypes = None) -> Data[list[EventShape]]:
    """Newest first, at most 1,000; events of other APIs too, where their types can be spelled here."""
    return await _list_last(work, device_id, event_types)


@get("/{deviceId:uuid}/events", operation_id="legacyListEvents", opt=_READ)
async def list_events(work: Work, device_id: DevicePath, event_types: EventTypes = None) -> Data[list[EventShape]]:
    """The same under its old path."""
    return await _list_last(work, device_id, event_types)


async def _list_last(work: Work, device_id: UUID, event_types: str | None) -> Data[list[EventShape]]:
    query = EventQuery(types=_read_types(event_types), occurred_from=work.now() - LAST)
    found = await events.list_device_events(work, DeviceId(device_id), query, PageQuery(limit=_MOST))
    return Data([EventShape.of(event) for event in found.items if _TYPE.fullmatch(event.type)])


def _read_types(text: str | None) -> list[str]:
    types = read_list(text) or []
    for type_ in types:
        if not _TYPE.fullmatch(type_):
            raise Invalid.field("eventTypes", f"'{type_}' is no type of an event", place="query")
    return types


router = Router("/v1/devices", route_handlers=[list_last_events, list_events])
