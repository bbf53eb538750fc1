"""/v1/devices/.../last-diagnostics: what went wrong in the last hour (contract section 14)."""

from datetime import datetime
from uuid import UUID

import msgspec
from litestar import Router, get

from roadstead.core import diagnostics
from roadstead.core.identity import Permission
from roadstead.core.work import Work
from roadstead.dialects.lightelligence.devices import DevicePath
from roadstead.dialects.lightelligence.envelopes import Data
from roadstead.dialects.lightelligence.errors import Service
from roadstead.dialects.lightelligence.events import LAST
from roadstead.kernel.ids import DeviceId


class DiagnosticsShape(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`DiagnosticsEvent`."""

    device_id: UUID
    tenant_id: UUID
    message: str
    time: datetime


@get(
    "/{deviceId:uuid}/last-diagnostics",
    operation_id="listLastDiagnostics",
    opt={"service": Service.DIAGNOSTICS, "permissions": [Permission.DEVICES_BASE_DATA_READ]},
)
async def list_last_diagnostics(work: Work, device_id: DevicePath) -> Data[list[DiagnosticsShape]]:
    """What was refused, and when the device came and went; newest first, at most 1,000 lines."""
    lines = await diagnostics.list_lines(work, DeviceId(device_id), since=work.now() - LAST)
    tenant = work.actor.organization_id
    return Data(
        [DiagnosticsShape(device_id=device_id, tenant_id=tenant, message=line.message, time=line.at) for line in lines]
    )


router = Router("/v1/devices", route_handlers=[list_last_diagnostics])
