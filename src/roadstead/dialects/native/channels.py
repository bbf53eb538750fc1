"""/notification-channels: where notifications go, and what became of them."""

import asyncio
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, Router, delete, get, patch, post, put
from litestar.params import PathParameter, QueryParameter
from msgspec import UNSET, Meta, UnsetType

from roadstead.core import notify
from roadstead.core.messages import Severity
from roadstead.core.notify import ChannelType, DeliveryStatus, QuietHours
from roadstead.core.work import Work
from roadstead.dialects.native.edge import read_id, versioned
from roadstead.dialects.native.idempotency import idempotent
from roadstead.dialects.native.pages import PageShape, page_shape
from roadstead.dialects.native.shapes import Body, Shape
from roadstead.kernel.page import PageQuery
from roadstead.web.edge import AnyRequest, BeginWork

Name = Annotated[str, Meta(min_length=1, max_length=120)]
Minutes = Annotated[int, Meta(ge=1, le=notify.LONGEST_DIGEST_MINUTES)]
DeliveryPath = Annotated[str, PathParameter(name="deliveryId")]

_TEST_S = 30.0
_LOOK_EVERY_S = 0.1


class ChannelShape(Shape, kw_only=True):
    """Contract schema `NotificationChannel`, with `secret` where one was made and is shown this once."""

    id: str
    name: str
    type: str
    enabled: bool
    config: dict[str, Any]
    min_severity: str
    digest_minutes: int | None = None
    quiet_hours: QuietHours | None = None
    last_delivery_at: datetime | None = None
    last_error: str | None = None
    created_at: datetime
    updated_at: datetime
    version: int
    secret: str | None = None

    @classmethod
    def of(cls, channel: notify.Channel, secret: str | None = None) -> "ChannelShape":
        return cls(
            id=str(channel.id),
            name=channel.name,
            type=channel.type,
            enabled=channel.enabled,
            config=channel.config,
            min_severity=channel.min_severity,
            digest_minutes=channel.digest_minutes,
            quiet_hours=channel.quiet_hours,
            last_delivery_at=channel.last_delivery_at,
            last_error=channel.last_error,
            created_at=channel.created_at,
            updated_at=channel.updated_at,
            version=channel.version,
            secret=secret,
        )


class ChannelBody(Body, kw_only=True):
    """Contract schema `NotificationChannelInput`."""

    name: Name
    type: ChannelType
    enabled: bool = True
    config: dict[str, Any]
    min_severity: Severity = Severity.INFO
    digest_minutes: Minutes | None = None
    quiet_hours: QuietHours | None = None

    def draft(self) -> notify.ChannelDraft:
        """In words of the core."""
        return notify.ChannelDraft(
            name=self.name,
            type=self.type,
            enabled=self.enabled,
            config=self.config,
            min_severity=self.min_severity,
            digest_minutes=self.digest_minutes,
            quiet_hours=self.quiet_hours,
        )


class ChannelPatch(Body, kw_only=True):
    """Contract schema `NotificationChannelInput`, all optional; a merge patch."""

    name: Name | UnsetType = UNSET
    type: ChannelType | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    config: dict[str, Any] | UnsetType = UNSET
    min_severity: Severity | UnsetType = UNSET
    digest_minutes: Minutes | UnsetType | None = UNSET
    quiet_hours: QuietHours | UnsetType | None = UNSET

    def change(self) -> notify.ChannelChange:
        """In words of the core."""
        return notify.ChannelChange(
            name=self.name,
            type=self.type,
            enabled=self.enabled,
            config=self.config,
            min_severity=self.min_severity,
            digest_minutes=self.digest_minutes,
            quiet_hours=self.quiet_hours,
        )


class DeliveryShape(Shape, kw_only=True):
    """Contract schema `NotificationDelivery`."""

    id: str
    channel_id: str
    alert_id: str | None = None
    kind: str
    severity: str
    title: str
    status: str
    attempts: int
    next_attempt_at: datetime | None = None
    last_status_code: int | None = None
    error: str | None = None
    created_at: datetime
    sent_at: datetime | None = None

    @classmethod
    def of(cls, delivery: notify.Delivery) -> "DeliveryShape":
        pending = delivery.status is DeliveryStatus.PENDING
        return cls(
            id=str(delivery.id),
            channel_id=str(delivery.channel_id),
            alert_id=str(delivery.alert_id) if delivery.alert_id else None,
            kind=delivery.kind,
            severity=delivery.severity,
            title=delivery.title,
            status=delivery.status,
            attempts=delivery.attempts,
            next_attempt_at=delivery.due_at if pending else None,
            last_status_code=delivery.last_status_code,
            error=delivery.error,
            created_at=delivery.created_at,
            sent_at=delivery.sent_at,
        )


@get("/", operation_id="channel.list")
async def list_channels(
    work: Work,
    page: PageQuery,
    sort: Annotated[str | None, QueryParameter(description="name (default), createdAt; -field descends")] = None,
    type_: Annotated[ChannelType | None, QueryParameter(name="type")] = None,
    enabled: bool | None = None,
) -> PageShape[ChannelShape]:
    """Lists delivery channels of the organization."""
    found = await notify.list_channels(work, type_=type_, enabled=enabled, sort=sort, page=page)
    return page_shape(found, page, ChannelShape.of)


@post("/", operation_id="channel.create", status_code=201)
@idempotent
async def create_channel(request: AnyRequest, work: Work, data: ChannelBody) -> Response[ChannelShape | None]:
    """Creates one. Secrets are write-only; a webhook without a secret gets one, which is in this answer only."""
    made = await notify.create_channel(work, data.draft())
    place = f"/api/v1/notification-channels/{made.channel.id}"
    return versioned(request, ChannelShape.of(made.channel, made.secret), made.channel.version, location=place)


@get("/{id:str}", operation_id="channel.get")
async def get_channel(request: AnyRequest, work: Work, id: str) -> Response[ChannelShape | None]:
    """One of them, with ETag; If-None-Match gives 304."""
    channel = await notify.get_channel(work, read_channel_id(id))
    return versioned(request, ChannelShape.of(channel), channel.version)


@put("/{id:str}", operation_id="channel.replace")
async def replace_channel(
    request: AnyRequest, work: Work, id: str, expected: int | None, data: ChannelBody
) -> Response[ChannelShape | None]:
    """Replaces all writable fields; a field left out goes back to its default, a secret left out stays."""
    after = await notify.replace_channel(work, read_channel_id(id), data.draft(), expected=expected)
    return versioned(request, ChannelShape.of(after.channel, after.secret), after.channel.version)


@patch("/{id:str}", operation_id="channel.patch")
async def change_channel(
    request: AnyRequest, work: Work, id: str, expected: int | None, data: ChannelPatch
) -> Response[ChannelShape | None]:
    """JSON merge patch of the writable fields. A `config.secret` that is null is made anew and shown this once."""
    after = await notify.change_channel(work, read_channel_id(id), data.change(), expected=expected)
    return versioned(request, ChannelShape.of(after.channel, after.secret), after.channel.version)


@delete("/{id:str}", operation_id="channel.delete")
async def delete_channel(work: Work, id: str, expected: int | None) -> None:
    """Deletes it. Rules lose the channel; what it has not sent is cancelled."""
    await notify.delete_channel(work, read_channel_id(id), expected=expected)


@post("/{id:str}/test", operation_id="channel.test", status_code=200)
async def test_channel(begin: BeginWork, id: str) -> DeliveryShape:
    """Sends a test message and answers the outcome: SENT or FAILED; PENDING when it takes longer than 30 seconds.

    It is sent whatever the channel's hours, digest and severity, and even when it is disabled; it is tried once.
    """
    channel_id = read_channel_id(id)
    async with begin() as work:
        delivery_id = await notify.begin_test(work, channel_id)
    loop = asyncio.get_running_loop()
    until = loop.time() + _TEST_S
    while True:
        async with begin() as work:
            delivery = await notify.load_delivery(work, channel_id, delivery_id)
        if delivery.status is not DeliveryStatus.PENDING or loop.time() > until:
            return DeliveryShape.of(delivery)
        await asyncio.sleep(_LOOK_EVERY_S)


@get("/{id:str}/deliveries", operation_id="channel.deliveries")
async def list_deliveries(
    work: Work,
    id: str,
    page: PageQuery,
    status: Annotated[list[DeliveryStatus] | None, QueryParameter(description="repeat it to or")] = None,
) -> PageShape[DeliveryShape]:
    """Recent deliveries, newest first; they are kept for 30 days."""
    found = await notify.list_channel_deliveries(work, read_channel_id(id), status or [], page)
    return page_shape(found, page, DeliveryShape.of)


@post("/{id:str}/deliveries/{deliveryId:str}/resend", operation_id="channel.resend", status_code=202)
async def resend_delivery(work: Work, id: str, delivery_id: DeliveryPath) -> DeliveryShape:
    """Sends one again, with all its attempts, under the same id; one that waits goes at once."""
    channel_id = read_channel_id(id)
    return DeliveryShape.of(await notify.resend_delivery(work, channel_id, read_id(delivery_id, "delivery")))


def read_channel_id(text: str) -> UUID:
    """The id of a channel in a path."""
    return read_id(text, "notification channel")


router = Router(
    "/v1/notification-channels",
    route_handlers=[
        list_channels,
        create_channel,
        get_channel,
        replace_channel,
        change_channel,
        delete_channel,
        test_channel,
        list_deliveries,
        resend_delivery,
    ],
    tags=["alerting"],
)
