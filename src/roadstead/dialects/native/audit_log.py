"""/audit-log: who changed what."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Router, get
from litestar.params import QueryParameter

from roadstead.core import audit
from roadstead.core.audit import AuditFilter
from roadstead.core.work import Work
from roadstead.dialects.native.pages import PageShape, page_shape
from roadstead.dialects.native.shapes import Shape
from roadstead.kernel.errors import Invalid
from roadstead.kernel.page import PageQuery
from roadstead.kernel.time import parse_instant


class AuditEntryShape(Shape):
    """Contract schema `AuditEntry`."""

    id: str
    at: datetime
    actor_type: str
    actor_id: str
    actor_name: str
    action: str
    resource_type: str
    resource_id: str | None = None
    changes: list[dict[str, Any]] | None = None
    request_id: str | None = None
    ip: str | None = None

    @classmethod
    def of(cls, entry: audit.AuditEntry) -> "AuditEntryShape":
        return cls(
            id=str(entry.id),
            at=entry.at,
            actor_type=entry.actor_type,
            actor_id=str(entry.actor_id),
            actor_name=entry.actor_name,
            action=entry.action,
            resource_type=entry.resource_type,
            resource_id=entry.resource_id,
            changes=[{**change, "path": _camel(change["path"])} for change in entry.changes] or None,
            request_id=entry.request_id or None,
            ip=entry.address or None,
        )


@get("/", operation_id="audit.list")
async def list_entries(
    work: Work,
    page: PageQuery,
    actor_id: Annotated[list[UUID] | None, QueryParameter(name="actorId")] = None,
    action: Annotated[
        list[str] | None, QueryParameter(description="e.g. device.create; what an action begins with")
    ] = None,
    resource_type: Annotated[list[str] | None, QueryParameter(name="resourceType")] = None,
    resource_id: Annotated[list[str] | None, QueryParameter(name="resourceId")] = None,
    start: Annotated[str | None, QueryParameter(name="from", format="date-time", description="inclusive")] = None,
    end: Annotated[str | None, QueryParameter(name="to", format="date-time", description="exclusive")] = None,
) -> PageShape[AuditEntryShape]:
    """Who changed what, newest first. A repeated parameter is or-ed, different ones are and-ed."""
    wanted = AuditFilter(
        actor_ids=actor_id or [],
        actions=action or [],
        resource_types=resource_type or [],
        resource_ids=resource_id or [],
        start=_read_instant("from", start),
        end=_read_instant("to", end),
    )
    return page_shape(await audit.list_entries(work, wanted, page), page, AuditEntryShape.of)


def _camel(path: str) -> str:
    """A field of the core as this API names it."""
    first, *rest = path.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _read_instant(name: str, text: str | None) -> datetime | None:
    instant = None if text is None else parse_instant(text)
    if text is not None and instant is None:
        raise Invalid.field(name, "is not an RFC 3339 time with an offset, such as 2024-05-01T00:00:00Z", place="query")
    return instant


router = Router("/v1/audit-log", route_handlers=[list_entries], tags=["access"])
