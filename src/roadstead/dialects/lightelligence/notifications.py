"""/v1/notifications: mail about events of devices, and what has led to some (contract section 19)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Router, delete, get, patch, post, put
from litestar.params import PathParameter, QueryParameter
from msgspec import Meta

from roadstead.core import mailings, notify, registry
from roadstead.core.identity import Permission
from roadstead.core.mailings import Hit, Mailing, MailingDraft
from roadstead.core.work import Work
from roadstead.dialects.lightelligence.device_filters import DeviceFilterBody, Texts
from roadstead.dialects.lightelligence.envelopes import (
    DEFAULT_PAGE_SIZE,
    Data,
    Paged,
    PageNumber,
    StrictPageSize,
    page_query,
    paged,
    read_json,
)
from roadstead.dialects.lightelligence.errors import Service
from roadstead.kernel.errors import Invalid, NotFound
from roadstead.kernel.filter import EVERYTHING
from roadstead.web.bodies import read_as
from roadstead.web.edge import AnyRequest

NotificationPath = Annotated[str, PathParameter(name="notificationId")]

_LIST = {"service": Service.NOTIFICATION_LISTS, "permissions": [Permission.NOTIFICATION_READ]}
_READ = {"service": Service.NOTIFICATIONS, "permissions": [Permission.NOTIFICATION_READ]}
_WRITE = {"service": Service.NOTIFICATIONS, "permissions": [Permission.NOTIFICATION_WRITE]}
_NOTES = "lightelligence"
_DEBOUNCE = Meta(ge=2, le=2_147_483_647)


class TemplateShape(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    """`NotificationTemplate`."""

    notification_recipient: str
    """Up to 100 mail addresses, by comma."""
    notification_payload: str
    notification_topic: str | None = None
    debounce_duration: Annotated[int, _DEBOUNCE] | Annotated[float, _DEBOUNCE] | None = None
    """Minutes."""


class EventFilterShape(msgspec.Struct, rename="camel", omit_defaults=True, forbid_unknown_fields=True):
    """`NotificationEventFilter`."""

    device_event: Texts
    rule_id: UUID | None = None


class FilterShape(msgspec.Struct, rename="camel", omit_defaults=True, forbid_unknown_fields=True):
    """`NotificationFilter`; the device filter is kept as it was sent."""

    event_filter: EventFilterShape
    device_filter: Annotated[dict[str, Any], Meta(min_length=1)] | None = None


class CreateBody(msgspec.Struct, rename="camel", kw_only=True):
    """Body of `createNotification`."""

    notification_template: TemplateShape
    notification_filter: FilterShape
    active: bool = True

    def draft(self) -> MailingDraft:
        """What the core is asked for."""
        template, wanted = self.notification_template, self.notification_filter
        recipients = [address.strip() for address in template.notification_recipient.split(",")]
        notify.check_recipients(recipients, "notificationTemplate/notificationRecipient")
        devices = None
        if wanted.device_filter is not None:
            body = read_as(wanted.device_filter, DeviceFilterBody)
            body.check_plain()
            if body.device_type_name is not None:
                raise Invalid.field("deviceFilter/deviceTypeName", "is not a member of this filter")
            devices = body.read()
        return MailingDraft(
            recipients=recipients,
            body=template.notification_payload,
            event_types=wanted.event_filter.device_event,
            active=self.active,
            subject=template.notification_topic,
            debounce_minutes=template.debounce_duration,
            rule_id=wanted.event_filter.rule_id,
            devices=None if devices == EVERYTHING else devices,
            notes={_NOTES: {"deviceFilter": wanted.device_filter}} if wanted.device_filter else {},
        )


class ReplaceBody(CreateBody, rename="camel", kw_only=True):
    """Body of `replaceNotification`."""

    active: bool


class NotificationShape(msgspec.Struct, rename="camel", kw_only=True):
    """A definition, as it is answered."""

    notification_id: UUID
    active: bool
    notification_template: TemplateShape
    notification_filter: FilterShape

    @classmethod
    def of(cls, mailing: Mailing) -> "NotificationShape":
        return cls(
            notification_id=mailing.id,
            active=mailing.active,
            notification_template=TemplateShape(
                notification_recipient=",".join(mailing.recipients),
                notification_payload=mailing.body,
                notification_topic=mailing.subject,
                debounce_duration=_spell_minutes(mailing.debounce_minutes),
            ),
            notification_filter=FilterShape(
                EventFilterShape(mailing.event_types, mailing.rule_id),
                mailing.notes.get(_NOTES, {}).get("deviceFilter"),
            ),
        )


def _spell_minutes(minutes: float | None) -> int | float | None:
    return int(minutes) if minutes is not None and minutes == int(minutes) else minutes


class TriggerShape(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    """The event that has led to a notification."""

    id: UUID
    type: str
    created_at: datetime
    tenant_id: UUID
    device_id: UUID
    value: dict[str, Any] | None = None


class HistoryShape(msgspec.Struct, rename="camel", kw_only=True):
    """An item of the history."""

    history_id: UUID
    notification_id: UUID
    timestamp: datetime
    notification_trigger: TriggerShape

    @classmethod
    def of(cls, hit: Hit, organization_id: UUID) -> "HistoryShape":
        return cls(
            history_id=hit.id,
            notification_id=hit.mailing_id,
            timestamp=hit.at,
            notification_trigger=TriggerShape(
                id=hit.event_id,
                type=hit.event_type,
                created_at=hit.occurred_at,
                tenant_id=organization_id,
                device_id=hit.device_id,
                value=hit.data,
            ),
        )


@get("/", operation_id="listNotifications", opt=_LIST)
async def list_notifications(
    work: Work, number: PageNumber = 0, size: StrictPageSize = DEFAULT_PAGE_SIZE
) -> Paged[NotificationShape]:
    """Newest first."""
    return paged(await mailings.list_mailings(work, page_query(number, size)), number, size, NotificationShape.of)


@post("/", operation_id="createNotification", opt=_WRITE, status_code=200)
async def create_notification(request: AnyRequest, work: Work) -> Data[NotificationShape]:
    """Active from the beginning, unless the body says otherwise."""
    body = read_as(await read_json(request), CreateBody)
    return Data(NotificationShape.of(await mailings.create_mailing(work, body.draft())))


@get("/history", operation_id="listNotificationHistory", opt=_LIST)
async def list_history(
    work: Work,
    number: PageNumber = 0,
    size: StrictPageSize = DEFAULT_PAGE_SIZE,
    notification_id: Annotated[list[str] | None, QueryParameter(name="notificationId")] = None,
) -> Paged[HistoryShape]:
    """Newest first, with those that were debounced."""
    wanted = [part.strip() for text in notification_id or () for part in text.split(",")]
    mailing_ids = read_as(wanted, list[UUID])
    found = await mailings.list_hits(work, mailing_ids, page_query(number, size))
    return paged(found, number, size, lambda hit: HistoryShape.of(hit, work.actor.organization_id))


@get("/{notificationId:str}", operation_id="getNotification", opt=_READ)
async def get_notification(work: Work, notification_id: NotificationPath) -> Data[NotificationShape]:
    """One definition."""
    return Data(NotificationShape.of(await mailings.get_mailing(work, _read_id(notification_id))))


@put("/{notificationId:str}", operation_id="replaceNotification", opt=_WRITE, status_code=204)
async def replace_notification(request: AnyRequest, work: Work, notification_id: NotificationPath) -> None:
    """As a whole, `active` included."""
    body = read_as(await read_json(request), ReplaceBody)
    await mailings.replace_mailing(work, _read_id(notification_id), body.draft())


@patch("/{notificationId:str}", operation_id="updateNotification", opt=_WRITE, status_code=204)
async def update_notification(request: AnyRequest, work: Work, notification_id: NotificationPath) -> None:
    """Members within members too; null removes one."""
    change: Mapping[str, Any] = await read_json(request)
    before = await mailings.hold_mailing(work, _read_id(notification_id))
    known = msgspec.to_builtins(NotificationShape.of(before))
    body = read_as(registry.merge(known, change), ReplaceBody)
    await mailings.replace_mailing(work, before.id, body.draft())


@delete("/{notificationId:str}", operation_id="deleteNotification", opt=_WRITE, status_code=204)
async def delete_notification(work: Work, notification_id: NotificationPath) -> None:
    """Its history stays."""
    await mailings.delete_mailing(work, _read_id(notification_id))


def _read_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise NotFound("notification", text) from error


router = Router(
    "/v1/notifications",
    route_handlers=[
        list_notifications,
        create_notification,
        list_history,
        get_notification,
        replace_notification,
        update_notification,
        delete_notification,
    ],
)
