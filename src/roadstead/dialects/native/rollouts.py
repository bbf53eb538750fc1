"""/firmware/rollouts: firmware on its way to devices."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Response, Router, get, post
from litestar.params import PathParameter, QueryParameter
from msgspec import Meta

from roadstead.core import firmware
from roadstead.core.firmware import (
    Counts,
    DeviceProgress,
    FirmwareId,
    Rollout,
    RolloutDevice,
    RolloutDraft,
    RolloutId,
    RolloutStatus,
    Target,
    Window,
)
from roadstead.core.work import Work
from roadstead.dialects.native.edge import read_id, versioned
from roadstead.dialects.native.firmware import FirmwarePath, read_firmware_id
from roadstead.dialects.native.idempotency import idempotent
from roadstead.dialects.native.pages import PageShape, page_shape
from roadstead.dialects.native.shapes import Body, Shape, read_reference
from roadstead.dialects.native.targets import TargetBody
from roadstead.kernel.filter import In
from roadstead.kernel.ids import DeviceId, parse_uuid
from roadstead.kernel.page import Page, PageQuery
from roadstead.web.edge import AnyRequest

RolloutPath = Annotated[str, PathParameter(name="id")]


# --- shapes ----------------------------------------------------------------------------------------------------------


class RolloutCountsShape(Shape, kw_only=True):
    """How many devices have each status."""

    pending: int
    sent: int
    downloading: int
    installing: int
    installed: int
    failed: int
    timed_out: int
    unreached: int
    skipped: int
    cancelled: int

    @classmethod
    def of(cls, counts: Counts) -> "RolloutCountsShape":
        return cls(**{status.value.lower(): counts.get(status, 0) for status in DeviceProgress})


class RolloutShape(Shape, kw_only=True):
    """Contract schema `FirmwareRollout`."""

    id: str
    firmware_id: str
    firmware_version: str
    target: dict[str, Any]
    status: RolloutStatus
    reason: str | None = None
    waves: list[int]
    current_wave: int
    max_failure_percent: int
    counts: RolloutCountsShape
    force: bool
    ttl_seconds: int
    timeout_seconds: int
    max_attempts: int
    window: Window | None = None
    start_at: datetime | None = None
    completed_at: datetime | None = None
    created_by: str
    created_at: datetime
    updated_at: datetime
    version: int

    @classmethod
    def of(cls, rollout: Rollout, counts: Counts) -> "RolloutShape":
        return cls(
            id=str(rollout.id),
            firmware_id=str(rollout.firmware_id),
            firmware_version=rollout.release,
            target=rollout.target,
            status=rollout.status,
            reason=rollout.reason,
            waves=rollout.waves,
            current_wave=rollout.current_wave,
            max_failure_percent=rollout.max_failure_percent,
            counts=RolloutCountsShape.of(counts),
            force=rollout.force,
            ttl_seconds=rollout.ttl_seconds,
            timeout_seconds=rollout.timeout_seconds,
            max_attempts=rollout.max_attempts,
            window=rollout.window,
            start_at=rollout.start_at,
            completed_at=rollout.completed_at,
            created_by=str(rollout.created_by),
            created_at=rollout.created_at,
            updated_at=rollout.updated_at,
            version=rollout.version,
        )


class RolloutDeviceShape(Shape, kw_only=True):
    """Contract schema `RolloutDevice`."""

    device_id: str
    status: DeviceProgress
    wave: int
    attempts: int
    from_version: str | None = None
    command_id: str | None = None
    error: str | None = None
    updated_at: datetime

    @classmethod
    def of(cls, device: RolloutDevice) -> "RolloutDeviceShape":
        return cls(
            device_id=str(device.device_id),
            status=device.status,
            wave=device.wave,
            attempts=device.attempts,
            from_version=device.from_release,
            command_id=str(device.command_id) if device.command_id else None,
            error=device.error,
            updated_at=device.updated_at,
        )


class RolloutBody(Body, kw_only=True):
    """Body of contract operation `rollout.create`."""

    target: TargetBody
    canary_device_ids: Annotated[list[str], Meta(max_length=100)] = msgspec.field(default_factory=list)
    waves: list[int] = msgspec.field(default_factory=lambda: [100])
    max_failure_percent: Annotated[int, Meta(ge=0, le=100)] = 10
    start_at: Annotated[datetime, Meta(tz=True)] | None = None
    window: Window | None = None
    force: bool = False
    ttl_seconds: Annotated[int, Meta(ge=60, le=604_800)] = 86_400
    timeout_seconds: Annotated[int, Meta(ge=60, le=86_400)] = 3_600
    max_attempts: Annotated[int, Meta(ge=1, le=10)] = 1

    async def draft(self, work: Work) -> RolloutDraft:
        """In words of the core."""
        meant = await self.target.read(work, "/target")
        named = meant if isinstance(meant, Sequence) else None
        where = In(("id",), tuple(meant)) if isinstance(meant, Sequence) else meant
        return RolloutDraft(
            target=Target(where=where, spelled=_spell(self.target), named=named),
            canaries=[
                DeviceId(read_reference(text, f"/canaryDeviceIds/{index}"))
                for index, text in enumerate(self.canary_device_ids)
            ],
            waves=self.waves,
            max_failure_percent=self.max_failure_percent,
            start_at=self.start_at,
            window=self.window,
            force=self.force,
            ttl_s=self.ttl_seconds,
            timeout_s=self.timeout_seconds,
            max_attempts=self.max_attempts,
        )


# --- routes ----------------------------------------------------------------------------------------------------------


@post("/{id:str}/rollouts", operation_id="rollout.create", status_code=201)
@idempotent
async def create_rollout(
    request: AnyRequest, work: Work, firmware_id: FirmwarePath, data: RolloutBody
) -> Response[RolloutShape | None]:
    """Rolls out in waves with UPDATE_FIRMWARE commands, to the devices that the target means at this moment."""
    target = read_firmware_id(firmware_id)
    rollout, counts = await firmware.create_rollout(work, target, await data.draft(work))
    location = f"/api/v1/firmware/rollouts/{rollout.id}"
    return versioned(request, RolloutShape.of(rollout, counts), rollout.version, location=location)


@get("/rollouts", operation_id="rollout.list")
async def list_rollouts(
    work: Work,
    page: PageQuery,
    firmware_id: Annotated[str | None, QueryParameter(name="firmwareId")] = None,
    status: RolloutStatus | None = None,
) -> PageShape[RolloutShape]:
    """Rollouts, newest first."""
    wanted = None if firmware_id is None else parse_uuid(firmware_id)
    if firmware_id is not None and wanted is None:
        return page_shape(Page[Any](items=[], total=0 if page.include_total else None), page, lambda none: none)
    found, counts = await firmware.list_rollouts(
        work, firmware_id=None if wanted is None else FirmwareId(wanted), status=status, page=page
    )
    return page_shape(found, page, lambda rollout: RolloutShape.of(rollout, counts[rollout.id]))


@get("/rollouts/{id:str}", operation_id="rollout.get")
async def get_rollout(request: AnyRequest, work: Work, rollout_id: RolloutPath) -> Response[RolloutShape | None]:
    """One rollout with counters."""
    return _answer(request, *await firmware.get_rollout(work, _read_id(rollout_id)))


@get("/rollouts/{id:str}/devices", operation_id="rollout.devices")
async def list_devices(
    work: Work, page: PageQuery, rollout_id: RolloutPath, status: DeviceProgress | None = None
) -> PageShape[RolloutDeviceShape]:
    """Per device state, in the order in which they have their turns."""
    found = await firmware.list_rollout_devices(work, _read_id(rollout_id), status, page)
    return page_shape(found, page, RolloutDeviceShape.of)


@post("/rollouts/{id:str}/pause", operation_id="rollout.pause", status_code=200)
async def pause_rollout(request: AnyRequest, work: Work, rollout_id: RolloutPath) -> Response[RolloutShape | None]:
    """Pauses the rollout: commands that have not left are taken back, devices that have theirs go on."""
    return _answer(request, *await firmware.pause_rollout(work, _read_id(rollout_id)))


@post("/rollouts/{id:str}/resume", operation_id="rollout.resume", status_code=200)
async def resume_rollout(request: AnyRequest, work: Work, rollout_id: RolloutPath) -> Response[RolloutShape | None]:
    """Resumes the rollout."""
    return _answer(request, *await firmware.resume_rollout(work, _read_id(rollout_id)))


@post("/rollouts/{id:str}/cancel", operation_id="rollout.cancel", status_code=200)
async def cancel_rollout(request: AnyRequest, work: Work, rollout_id: RolloutPath) -> Response[RolloutShape | None]:
    """Cancels the rollout: no device is told any more, and none can fetch the content for it."""
    return _answer(request, *await firmware.cancel_rollout(work, _read_id(rollout_id)))


@post("/rollouts/{id:str}/retry", operation_id="rollout.retry", status_code=200)
async def retry_rollout(request: AnyRequest, work: Work, rollout_id: RolloutPath) -> Response[RolloutShape | None]:
    """All devices that did not get there have their turn again; a rollout that has ended goes on."""
    return _answer(request, *await firmware.retry_rollout(work, _read_id(rollout_id)))


def _answer(request: AnyRequest, rollout: Rollout, counts: Counts) -> Response[RolloutShape | None]:
    return versioned(request, RolloutShape.of(rollout, counts), rollout.version)


def _read_id(text: str) -> RolloutId:
    return RolloutId(read_id(text, "rollout"))


def _spell(target: TargetBody) -> dict[str, Any]:
    """As it was sent, to be shown again."""
    sent: dict[str, Any] = msgspec.to_builtins(target)
    shown = {name: value for name, value in sent.items() if value is not None}
    if target.filter is not None:
        defaults: dict[str, Any] = msgspec.to_builtins(type(target.filter)())
        shown["filter"] = {name: value for name, value in shown["filter"].items() if value != defaults[name]}
    return shown


router = Router(
    "/v1/firmware",
    route_handlers=[
        create_rollout,
        list_rollouts,
        get_rollout,
        list_devices,
        pause_rollout,
        resume_rollout,
        cancel_rollout,
        retry_rollout,
    ],
    tags=["firmware"],
)
