"""/exports: files with what a part of the fleet has reported."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Response, Router, delete, get, post
from litestar.openapi import ResponseSpec
from litestar.params import PathParameter, QueryParameter
from msgspec import Meta

from roadstead.core import exports
from roadstead.core.exports import Content, Export, ExportDraft, ExportQuery, ExportStatus, FileFormat, ScopeType
from roadstead.core.work import Work
from roadstead.dialects.native.edge import read_id
from roadstead.dialects.native.idempotency import idempotent
from roadstead.dialects.native.pages import PageShape, page_shape
from roadstead.dialects.native.shapes import Body, Shape
from roadstead.dialects.native.spans import read_instant
from roadstead.kernel.actor import ActorKind
from roadstead.kernel.errors import Invalid, NotFound
from roadstead.kernel.ids import ExportId, parse_uuid
from roadstead.kernel.page import Page, PageQuery

ExportPath = Annotated[str, PathParameter(name="id")]
_PREFIX = {ActorKind.API_KEY: "key_", ActorKind.APPLICATION: "application_", ActorKind.USER: "user_"}


class ExportShape(Shape, kw_only=True):
    """Contract schema `ExportJob`; a job that waits has exactly the keys of the vendor's example."""

    id: str
    scope_type: str
    scope_id: str
    start: datetime = msgspec.field(name="from")
    end: datetime = msgspec.field(name="to")
    includes: list[str]
    format: str | None = None
    status: str
    requested_by: str
    created_at: datetime
    started_at: datetime | None = None
    size_bytes: int | None = None
    reading_count: int | None = None
    annotation_count: int | None = None
    completed_at: datetime | None = None
    expires_at: datetime | None = None
    download_url: str | None = None
    error: str | None = None

    @classmethod
    def of(cls, export: Export, download_url: str | None = None) -> "ExportShape":
        has_file = export.status in (ExportStatus.READY, ExportStatus.EXPIRED)
        counts = has_file or export.status is ExportStatus.RUNNING
        return cls(
            id=str(export.id),
            scope_type=export.scope_type,
            scope_id=str(export.scope_id),
            start=export.from_at,
            end=export.to_at,
            includes=list(export.includes),
            format=None if export.format is FileFormat.PARQUET else export.format,
            status=export.status,
            requested_by=f"{_PREFIX.get(export.requested_as, '')}{export.requested_by}",
            created_at=export.created_at,
            started_at=export.started_at,
            size_bytes=export.size_bytes,
            reading_count=export.reading_count if counts else None,
            annotation_count=export.annotation_count if has_file else None,
            completed_at=export.completed_at,
            expires_at=export.expires_at,
            download_url=download_url,
            error=export.error,
        )


class ExportBody(Body, kw_only=True):
    """Contract schema `ExportInput`."""

    scope_type: ScopeType
    scope_id: str
    start: Annotated[str, Meta(extra_json_schema={"format": "date-time"})] = msgspec.field(name="from")
    end: Annotated[str, Meta(extra_json_schema={"format": "date-time"})] = msgspec.field(name="to")
    includes: Annotated[list[Content], Meta(min_length=1, max_length=2)]
    format: FileFormat = FileFormat.PARQUET

    def draft(self) -> ExportDraft:
        """In words of the core. What is wrong with a field comes before what is not there."""
        start, end = read_instant(self.start, "from", place="body"), read_instant(self.end, "to", place="body")
        scope_id = parse_uuid(self.scope_id)
        if start is None or end is None:
            raise Invalid.field("/from", "is required", code="required")
        if scope_id is None:
            raise NotFound(self.scope_type.lower(), self.scope_id)
        return ExportDraft(
            scope_type=self.scope_type,
            scope_id=scope_id,
            start=start,
            end=end,
            includes=self.includes,
            format=self.format,
        )


@post("/", operation_id="export.create", status_code=201)
@idempotent
async def create_export(work: Work, data: ExportBody) -> Response[ExportShape]:
    """Submits an export; 201 with status PENDING. `to` may lie in the future: data up to the run time is taken.

    The ZIP has a table of what was asked for and `manifest.json`. At most five of an organization run at a time (409).
    """
    export = await exports.create_export(work, data.draft())
    return Response(ExportShape.of(export), status_code=201, headers={"Location": f"/api/v1/exports/{export.id}"})


@get("/", operation_id="export.list")
async def list_exports(
    work: Work,
    page: PageQuery,
    sort: Annotated[str | None, QueryParameter(description="createdAt; default -createdAt")] = None,
    status: Annotated[list[ExportStatus] | None, QueryParameter(description="repeatable")] = None,
    scope_type: Annotated[ScopeType | None, QueryParameter(name="scopeType")] = None,
    scope_id: Annotated[str | None, QueryParameter(name="scopeId")] = None,
) -> PageShape[ExportShape]:
    """Own jobs; all jobs of the organization for admins and keys. A downloadUrl comes with the single job."""
    scope = None if scope_id is None else parse_uuid(scope_id)
    if scope_id is not None and scope is None:
        return page_shape(Page(items=[], total=0 if page.include_total else None), page, ExportShape.of)
    query = ExportQuery(statuses=status or [], scope_type=scope_type, scope_id=scope)
    return page_shape(await exports.list_exports(work, query, sort=sort, page=page), page, ExportShape.of)


@get("/{id:str}", operation_id="export.get")
async def get_export(work: Work, export_id: ExportPath) -> ExportShape:
    """State of a job; READY carries a fresh time-limited downloadUrl on every call."""
    export = await exports.get_export(work, _read(export_id))
    url = await exports.get_download_url(work, export.id) if export.status is ExportStatus.READY else None
    return ExportShape.of(export, url)


@get(
    "/{id:str}/download",
    operation_id="export.download",
    status_code=302,
    responses={302: ResponseSpec(None, description="to the file; the URL is good until the file expires")},
)
async def download_export(work: Work, export_id: ExportPath) -> Response[None]:
    """302 to the presigned URL."""
    url = await exports.get_download_url(work, _read(export_id))
    return Response(None, status_code=302, headers={"Location": url, "Cache-Control": "no-store"})


@post("/{id:str}/cancel", operation_id="export.cancel", status_code=200)
async def cancel_export(work: Work, export_id: ExportPath) -> ExportShape:
    """Stops a PENDING or RUNNING job."""
    return ExportShape.of(await exports.cancel_export(work, _read(export_id)))


@delete("/{id:str}", operation_id="export.delete")
async def delete_export(work: Work, export_id: ExportPath) -> None:
    """Removes a finished job and its file."""
    await exports.delete_export(work, _read(export_id))


def _read(text: str) -> ExportId:
    return ExportId(read_id(text, "export"))


router = Router(
    "/v1/exports",
    route_handlers=[create_export, list_exports, get_export, download_export, cancel_export, delete_export],
    tags=["data"],
)
