"""/commands and /devices/{deviceId}/commands: what devices are told to do."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from litestar import Response, Router, get, post
from litestar.params import PathParameter, QueryParameter
from msgspec import Meta

from roadstead.core import commands
from roadstead.core.commands import (
    BatchDraft,
    BatchId,
    BatchStatus,
    Command,
    CommandDraft,
    CommandId,
    CommandQuery,
    CommandStatus,
    CommandType,
    Progress,
    Queued,
)
from roadstead.core.work import Work
from roadstead.dialects.native.edge import read_id
from roadstead.dialects.native.idempotency import idempotent
from roadstead.dialects.native.pages import PageShape, page_shape
from roadstead.dialects.native.shapes import Body, Shape
from roadstead.dialects.native.spans import read_instant
from roadstead.dialects.native.targets import TargetBody
from roadstead.kernel.errors import Invalid
from roadstead.kernel.ids import DeviceId, parse_uuid
from roadstead.kernel.page import PageQuery
from roadstead.kernel.time import parse_duration
from roadstead.kernel.waiting import happens
from roadstead.web.edge import AnyRequest, BeginWork, Edge

DevicePath = Annotated[str, PathParameter(name="deviceId")]
CommandPath = Annotated[str, PathParameter(name="commandId")]
BatchPath = Annotated[str, PathParameter(name="batchId")]
Statuses = Annotated[list[CommandStatus] | None, QueryParameter(description="repeat it to or")]
Types = Annotated[list[str] | None, QueryParameter(description="repeat it to or")]
From = Annotated[str | None, QueryParameter(name="from", format="date-time", description="created; inclusive")]
To = Annotated[str | None, QueryParameter(name="to", format="date-time", description="created; exclusive")]

_LONGEST_WAIT = timedelta(seconds=30)
_LOOK_ANYWAY_S = 1.0


# --- shapes ----------------------------------------------------------------------------------------------------------


class CommandShape(Shape, kw_only=True):
    """Contract schema `Command`."""

    id: str
    device_id: str
    type: str
    params: Any
    status: CommandStatus
    result: Any = None
    error: str | None = None
    batch_id: str | None = None
    requested_by: str
    created_at: datetime
    sent_at: datetime | None = None
    delivered_at: datetime | None = None
    acknowledged_at: datetime | None = None
    completed_at: datetime | None = None
    expires_at: datetime

    @classmethod
    def of(cls, command: Command) -> "CommandShape":
        return cls(
            id=str(command.id),
            device_id=str(command.device_id),
            type=command.type,
            params={} if command.payload is None else command.payload,
            status=command.status,
            result=command.result,
            error=command.error,
            batch_id=str(command.batch_id) if command.batch_id else None,
            requested_by=str(command.requested_by),
            created_at=command.created_at,
            sent_at=command.sent_at,
            delivered_at=command.delivered_at,
            acknowledged_at=command.acknowledged_at,
            completed_at=command.completed_at,
            expires_at=command.expires_at,
        )


class CommandBody(Body, kw_only=True):
    """Contract schema `CommandInput`."""

    type: Annotated[str, Meta(min_length=1, max_length=64)]
    params: dict[str, Any] = msgspec.field(default_factory=dict)
    timeout_seconds: Annotated[int, Meta(ge=1, le=86_400)] = 60
    ttl_seconds: Annotated[int, Meta(ge=1, le=604_800)] = 3_600

    def draft(self) -> CommandDraft:
        """In words of the core."""
        return CommandDraft(type=self.type, payload=self.params, timeout_s=self.timeout_seconds, ttl_s=self.ttl_seconds)


class CommandTypeShape(Shape, kw_only=True):
    """Contract schema `CommandType`."""

    type: str
    built_in: bool
    device_profile: str | None = None
    params_schema: dict[str, Any]

    @classmethod
    def of(cls, known: CommandType) -> "CommandTypeShape":
        return cls(
            type=known.type, built_in=known.profile is None, device_profile=known.profile, params_schema=known.schema
        )


class BulkCommandBody(Body, kw_only=True):
    """Body of `command.bulk`."""

    target: TargetBody
    command: CommandBody
    per_minute: Annotated[int, Meta(ge=1, le=60_000)] | None = None
    max_failure_percent: Annotated[int, Meta(ge=0, le=100)] | None = None

    def draft(self) -> BatchDraft:
        """In words of the core."""
        return BatchDraft(
            command=self.command.draft(), per_minute=self.per_minute, max_failure_percent=self.max_failure_percent
        )


class RejectedShape(Shape, kw_only=True):
    """A device that does not get the command."""

    device_id: str
    code: str


class QueuedShape(Shape, kw_only=True):
    """Answer of `command.bulk`."""

    batch_id: str
    accepted: int
    rejected: list[RejectedShape]

    @classmethod
    def of(cls, queued: Queued) -> "QueuedShape":
        return cls(
            batch_id=str(queued.batch.id),
            accepted=queued.batch.total,
            rejected=[RejectedShape(device_id=str(device), code=code) for device, code in queued.rejected],
        )


class CommandCountsShape(Shape, kw_only=True):
    """How many commands of a bulk have each status."""

    pending: int
    sent: int
    acknowledged: int
    success: int
    failed: int
    timeout: int
    cancelled: int


class CommandBatchShape(Shape, kw_only=True):
    """Contract schema `CommandBatch`."""

    batch_id: str
    status: BatchStatus
    type: str
    params: Any
    total: int
    counts: CommandCountsShape
    per_minute: int | None = None
    max_failure_percent: int | None = None
    requested_by: str
    created_at: datetime
    completed_at: datetime | None = None

    @classmethod
    def of(cls, progress: Progress) -> "CommandBatchShape":
        batch = progress.batch
        return cls(
            batch_id=str(batch.id),
            status=batch.status,
            type=batch.type,
            params=batch.payload,
            total=batch.total,
            counts=CommandCountsShape(
                **{status.value.lower(): progress.counts.get(status, 0) for status in CommandStatus}
            ),
            per_minute=batch.per_minute,
            max_failure_percent=batch.max_failure_percent,
            requested_by=str(batch.requested_by),
            created_at=batch.created_at,
            completed_at=batch.completed_at,
        )


# --- commands of one device ------------------------------------------------------------------------------------------


@post("/", operation_id="command.create", status_code=201)
@idempotent
async def create_command(work: Work, device_id: DevicePath, data: CommandBody) -> Response[CommandShape]:
    """Queues a command. PENDING until a session of the device that hears it has taken it, then SENT."""
    command = await commands.create_command(work, _read_device(device_id), data.draft())
    location = f"/api/v1/devices/{command.device_id}/commands/{command.id}"
    return Response(CommandShape.of(command), status_code=201, headers={"Location": location})


@get("/", operation_id="command.list")
async def list_device_commands(
    work: Work,
    page: PageQuery,
    device_id: DevicePath,
    status: Statuses = None,
    type_: Annotated[list[str] | None, QueryParameter(name="type", description="repeat it to or")] = None,
    start: From = None,
    end: To = None,
) -> PageShape[CommandShape]:
    """Commands of the device, newest first."""
    id_ = _read_device(device_id)
    query = _read_query([id_], None, status, type_, start, end)
    return page_shape(await commands.list_device_commands(work, id_, query, page), page, CommandShape.of)


@get("/{commandId:str}", operation_id="command.get")
async def get_command(
    request: AnyRequest,
    begin: BeginWork,
    device_id: DevicePath,
    command_id: CommandPath,
    wait: Annotated[str | None, QueryParameter(description="ISO 8601 duration, at most PT30S")] = None,
) -> CommandShape:
    """One command; `wait` holds the answer until it has ended or the time is over."""
    edge: Edge = request.app.state.edge
    device, id_ = _read_device(device_id), CommandId(read_id(command_id, "command"))
    loop = asyncio.get_running_loop()
    until = loop.time() + _read_wait(wait)
    with edge.command_news.of(id_) as ended:
        while True:
            ended.clear()
            async with begin() as work:
                command = await commands.get_command(work, device, id_)
            left_s = until - loop.time()
            if command.is_final or left_s <= 0:
                return CommandShape.of(command)
            await happens(ended, min(left_s, _LOOK_ANYWAY_S))


@post("/{commandId:str}/cancel", operation_id="command.cancel", status_code=200)
async def cancel_command(work: Work, device_id: DevicePath, command_id: CommandPath) -> CommandShape:
    """Cancels a PENDING command."""
    id_ = CommandId(read_id(command_id, "command"))
    return CommandShape.of(await commands.cancel_command(work, _read_device(device_id), id_))


# --- commands of all devices -----------------------------------------------------------------------------------------


@get("/", operation_id="command.search")
async def search_commands(
    work: Work,
    page: PageQuery,
    device_id: Annotated[list[str] | None, QueryParameter(name="deviceId", description="repeat it to or")] = None,
    batch_id: Annotated[str | None, QueryParameter(name="batchId", description="of one bulk")] = None,
    status: Statuses = None,
    type_: Annotated[list[str] | None, QueryParameter(name="type", description="repeat it to or")] = None,
    start: From = None,
    end: To = None,
) -> PageShape[CommandShape]:
    """Commands of all devices, newest first."""
    # What cannot be an id of ours is nobody's.
    devices = None if device_id is None else [DeviceId(id_) for text in device_id if (id_ := parse_uuid(text))]
    query = _read_query(devices, batch_id, status, type_, start, end)
    return page_shape(await commands.list_commands(work, query, page), page, CommandShape.of)


@post("/bulk", operation_id="command.bulk", status_code=202)
@idempotent
async def send_in_bulk(work: Work, data: BulkCommandBody) -> QueuedShape:
    """One command to up to 1,000 devices named by id, group, site, profile or filter; the answer carries a batchId.

    `perMinute` spreads them over time. When more than `maxFailurePercent` of them have ended as FAILED or TIMEOUT, what
    has not been sent is cancelled.
    """
    targets = await data.target.read(work, "/target")
    return QueuedShape.of(await commands.send_in_bulk(work, targets, data.draft()))


@get("/bulk/{batchId:str}", operation_id="command.bulk-get")
async def get_batch(work: Work, batch_id: BatchPath) -> CommandBatchShape:
    """A bulk and how far it has come; its commands are listed by `command.search` with batchId."""
    return CommandBatchShape.of(await commands.get_batch(work, BatchId(read_id(batch_id, "bulk"))))


@post("/bulk/{batchId:str}/cancel", operation_id="command.bulk-cancel", status_code=200)
async def cancel_batch(work: Work, batch_id: BatchPath) -> CommandBatchShape:
    """Cancels the commands of a bulk that are still PENDING."""
    return CommandBatchShape.of(await commands.cancel_batch(work, BatchId(read_id(batch_id, "bulk"))))


@get("/", operation_id="command-type.list")
async def list_types(work: Work) -> PageShape[CommandTypeShape]:
    """Built-in and profile-defined command types with the JSON schema of their params, all on one page.

    Of each device profile the newest version counts.
    """
    return PageShape(items=[CommandTypeShape.of(known) for known in await commands.list_command_types(work)])


# --- what was asked --------------------------------------------------------------------------------------------------


def _read_device(text: str) -> DeviceId:
    return DeviceId(read_id(text, "device"))


def _read_query(
    devices: Sequence[DeviceId] | None,
    batch: str | None,
    statuses: Sequence[CommandStatus] | None,
    types: Sequence[str] | None,
    start: str | None,
    end: str | None,
) -> CommandQuery:
    batch_id = None if batch is None else parse_uuid(batch)
    return CommandQuery(
        device_ids=[] if batch is not None and batch_id is None else devices,
        batch_id=None if batch_id is None else BatchId(batch_id),
        statuses=statuses or (),
        types=types or (),
        created_from=read_instant(start, "from"),
        created_before=read_instant(end, "to"),
    )


def _read_wait(text: str | None) -> float:
    if text is None:
        return 0.0
    duration = parse_duration(text)
    if duration is None or duration.approximate() > _LONGEST_WAIT:
        raise Invalid.field("wait", "is an ISO 8601 duration of at most PT30S", place="query")
    return duration.approximate().total_seconds()


router = Router(
    "/v1/commands", route_handlers=[search_commands, send_in_bulk, get_batch, cancel_batch], tags=["config"]
)
device_router = Router(
    "/v1/devices/{deviceId:str}/commands",
    route_handlers=[create_command, list_device_commands, get_command, cancel_command],
    tags=["config"],
)
type_router = Router("/v1/command-types", route_handlers=[list_types], tags=["config"])
