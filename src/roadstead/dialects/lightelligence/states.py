"""/v1/devices/.../state and /v1/devices/states: what devices have reported last (contract section 8)."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Router, get
from msgspec import UNSET, UnsetType

from roadstead.core import telemetry
from roadstead.core.identity import Permission
from roadstead.core.telemetry import ReportedState, Watch
from roadstead.core.work import Work
from roadstead.dialects.lightelligence.device_filters import DeviceFilterBody, asked_of, one_of
from roadstead.dialects.lightelligence.devices import DevicePath
from roadstead.dialects.lightelligence.envelopes import (
    DEFAULT_PAGE_SIZE,
    Data,
    Paged,
    PageNumber,
    PageSize,
    page_query,
    paged,
    read_json,
)
from roadstead.dialects.lightelligence.errors import Service
from roadstead.kernel.ids import DeviceId
from roadstead.web.edge import AnyRequest

_READ = {"service": Service.STATES, "permissions": [Permission.DEVICES_STATES_READ]}
_STATUS = {Watch.ONLINE: "ONLINE", Watch.OFFLINE: "OFFLINE", Watch.NOT_MONITORED: "NOT MONITORED"}


class StateShape(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`DeviceState`; in lists with the device."""

    device_id: UUID | UnsetType = UNSET
    configuration: dict[str, Any]
    attributes: dict[str, Any]
    last_seen: datetime | UnsetType = UNSET
    status: str

    @classmethod
    def of(cls, state: ReportedState) -> "StateShape":
        return cls(
            configuration=state.configuration,
            attributes=state.attributes,
            last_seen=state.last_seen_at or UNSET,
            status=_STATUS[state.watch],
        )

    @classmethod
    def listed(cls, state: ReportedState) -> "StateShape":
        return msgspec.structs.replace(cls.of(state), device_id=state.device_id)


@get("/states", operation_id="listDeviceStates", opt=_READ)
async def list_states(
    request: AnyRequest, work: Work, page: PageNumber = 0, page_size: PageSize = DEFAULT_PAGE_SIZE
) -> Paged[StateShape]:
    """Of the newest device first."""
    where = one_of(asked_of(request), await read_json(request), DeviceFilterBody).read()
    found = await telemetry.list_reported_states(work, where, page=page_query(page, page_size))
    return paged(found, page, page_size, StateShape.listed)


@get("/{deviceId:uuid}/state", operation_id="getDeviceState", opt=_READ)
async def get_state(work: Work, device_id: DevicePath) -> Data[StateShape]:
    """The newest value of everything the device has reported."""
    return Data(StateShape.of(await telemetry.get_reported_state(work, DeviceId(device_id))))


router = Router("/v1/devices", route_handlers=[list_states, get_state])
