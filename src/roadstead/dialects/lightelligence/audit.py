"""/v1/audit-logs: who has changed what, as pages or as one CSV file (contract section 19)."""

import csv
import io
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Response, Router, get
from litestar.response import Stream

import roadstead
from roadstead.core import audit, identity
from roadstead.core.audit import AuditEntry, AuditFilter
from roadstead.core.identity import Permission
from roadstead.core.work import Work
from roadstead.dialects.lightelligence.envelopes import (
    DEFAULT_PAGE_SIZE,
    Paged,
    PageNumber,
    StrictPageSize,
    page_query,
    paged,
)
from roadstead.dialects.lightelligence.errors import Service
from roadstead.kernel.actor import ActorKind
from roadstead.kernel.page import Page, PageQuery
from roadstead.web.edge import AnyRequest, Edge

_JSON, _CSV = "application/json", "text/csv"
_PRODUCER = "roadstead"
_AT_ONCE = 500
_ALL = AuditFilter()
_FILE = {"Content-Disposition": 'attachment; filename="audit-logs.csv"'}

_ENTITIES = {"organization": "tenant", "invitation": "invite", "mailing": "notification", "member": "user"}
"""Where the original has another word for a thing; the others are called as they are."""
_CREATED = ("created", ("create", "issue", "register", "add"))
_DELETED = ("deleted", ("delete", "remove", "purge"))
_VERBS = {verb: told for told, verbs in (_CREATED, _DELETED) for verb in verbs} | {
    "accept": "accepted",
    "decline": "declined",
    "install": "installed",
    "uninstall": "uninstalled",
}
"""Everything else that can be done to a thing is a change of it."""
_CLIENTS = (ActorKind.APPLICATION, ActorKind.API_KEY)
"""Actors that are programs: they are the client themselves."""


class AuditLogShape(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    """`AuditLog`."""

    id: UUID
    producer: str
    producer_version: str
    user_id: UUID
    user_email: str | None = None
    client_id: str
    """Empty for people who came through none: by the native API."""
    tenant_id: UUID
    action: str
    action_timestamp: datetime
    log_timestamp: datetime
    audit_message: str
    message_payload: dict[str, Any]
    created_at: datetime

    @classmethod
    def of(cls, entry: AuditEntry, organization_id: UUID, emails: Mapping[UUID, str]) -> "AuditLogShape":
        action = spell_action(entry.action)
        payload = {
            "action": entry.action,
            "actorType": entry.actor_type,
            "resourceType": entry.resource_type,
            "resourceId": entry.resource_id,
            "changes": entry.changes,
            "requestId": entry.request_id,
            "address": entry.address,
        }
        return cls(
            id=entry.id,
            producer=_PRODUCER,
            producer_version=roadstead.__version__,
            user_id=entry.actor_id,
            user_email=emails.get(entry.actor_id),
            client_id=str(entry.actor_id) if entry.actor_type in _CLIENTS else entry.client_id or "",
            tenant_id=organization_id,
            action=action,
            action_timestamp=entry.at,
            log_timestamp=entry.at,
            audit_message=_spell_message(entry, action),
            message_payload={name: value for name, value in payload.items() if value},
            created_at=entry.at,
        )


_COLUMNS = msgspec.structs.fields(AuditLogShape)


def spell_action(action: str) -> str:
    """`device.set-status` as `device.updated`: what is done to a thing is one of a few words."""
    entity, _, verb = action.partition(".")
    first = re.split(r"[-_]", verb)[0]
    return f"{_ENTITIES.get(entity, entity)}.{_VERBS.get(first, 'updated')}"


def _spell_message(entry: AuditEntry, action: str) -> str:
    entity, _, told = action.partition(".")
    actor = f"{entry.actor_type.lower().replace('_', ' ')} {entry.actor_name} [{entry.actor_id}]"
    thing = entity.replace("-", " ") + (f" [{entry.resource_id}]" if entry.resource_id else "")
    return f"{actor} {told} {thing}"


@get(
    "/",
    operation_id="listAuditLogs",
    opt={"service": Service.AUDIT, "permissions": [Permission.AUDIT_LOGS_READ]},
)
async def list_audit_logs(
    request: AnyRequest, work: Work, number: PageNumber = 0, size: StrictPageSize = DEFAULT_PAGE_SIZE
) -> Response[Any]:
    """Newest first; all of it, whatever the page, for those who would rather have `text/csv`."""
    if request.accept.best_match([_JSON, _CSV]) == _CSV:
        first = await _read(work, None)
        edge: Edge = request.app.state.edge
        return Stream(_write(edge, work, first), media_type=_CSV, headers=_FILE)
    found = await audit.list_entries(work, _ALL, page_query(number, size))
    emails = await _find_emails(work, found.items)
    shown: Paged[AuditLogShape] = paged(
        found, number, size, lambda entry: AuditLogShape.of(entry, work.actor.organization_id, emails)
    )
    return Response(shown, media_type=_JSON)


async def _write(edge: Edge, work: Work, first: tuple[Page[AuditEntry], bytes]) -> AsyncIterator[bytes]:
    """The lines of the file; the transaction of the request is over when they are written."""
    page, lines = first
    yield _spell_lines([[column.encode_name for column in _COLUMNS]]) + lines
    while page.next_cursor is not None:
        async with edge.tenant_database.tx(work.tenant_id) as tx:
            page, lines = await _read(Work(work.actor, tx, work.ports), page.next_cursor)
        yield lines


async def _read(work: Work, cursor: str | None) -> tuple[Page[AuditEntry], bytes]:
    page = await audit.list_entries(work, _ALL, PageQuery(limit=_AT_ONCE, cursor=cursor))
    emails = await _find_emails(work, page.items)
    shapes = [AuditLogShape.of(entry, work.actor.organization_id, emails) for entry in page.items]
    return page, _spell_lines([[_spell_cell(getattr(shape, column.name)) for column in _COLUMNS] for shape in shapes])


async def _find_emails(work: Work, entries: Sequence[AuditEntry]) -> Mapping[UUID, str]:
    people = {entry.actor_id for entry in entries if entry.actor_type == ActorKind.USER}
    return await identity.load_emails(work, sorted(people))


def _spell_lines(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _spell_cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode().strip('"')


router = Router("/v1/audit-logs", route_handlers=[list_audit_logs])
