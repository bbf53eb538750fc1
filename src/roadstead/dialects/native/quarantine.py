"""/admin/quarantine: what devices sent and was not taken."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, Router, delete, get, post
from litestar.di import Provide
from litestar.openapi import ResponseSpec
from litestar.params import PathParameter, QueryParameter
from msgspec import Meta

from roadstead.core import diagnostics
from roadstead.core.diagnostics import QuarantineEntry, QuarantineQuery, ReplayResult
from roadstead.core.ports import RefusalReason, Span
from roadstead.core.work import Work
from roadstead.dialects.native.edge import read_id
from roadstead.dialects.native.idempotency import idempotent
from roadstead.dialects.native.pages import PageShape, page_shape
from roadstead.dialects.native.problems import FieldErrorShape, Problem, problem_of, spell_field
from roadstead.dialects.native.shapes import Body, Shape
from roadstead.dialects.native.spans import provide_span, read_instant
from roadstead.kernel.errors import Invalid, NotFound, RoadsteadError
from roadstead.kernel.ids import ComponentId, DeviceId, parse_uuid
from roadstead.kernel.page import PageQuery
from roadstead.web.edge import AnyRequest, Edge

EntryPath = Annotated[str, PathParameter(name="id")]
Reasons = Annotated[list[RefusalReason] | None, QueryParameter(description="repeatable")]


# --- shapes ----------------------------------------------------------------------------------------------------------


class QuarantineEntryShape(Shape, kw_only=True):
    """Contract schema `QuarantineEntry`."""

    id: str
    device_id: str | None = None
    component_id: str | None = None
    sensor_ref: str | None = None
    reason: str
    detail: str
    errors: list[FieldErrorShape] | None = None
    payload: Any
    source: str
    received_at: datetime
    attempts: int
    expires_at: datetime

    @classmethod
    def of(cls, entry: QuarantineEntry) -> "QuarantineEntryShape":
        return cls(
            id=str(entry.id),
            device_id=str(entry.device_id) if entry.device_id else None,
            component_id=str(entry.component_id) if entry.component_id else None,
            sensor_ref=entry.sensor_ref,
            reason=entry.reason,
            detail=entry.detail,
            errors=[spell_field(field) for field in entry.errors] or None,
            payload=entry.content,
            source=entry.source,
            received_at=entry.received_at,
            attempts=entry.attempts,
            expires_at=entry.expires_at,
        )


class DeviceCountShape(Shape):
    """How many entries a device has."""

    device_id: str
    count: int


class QuarantineStatsShape(Shape):
    """Answer of contract operation `quarantine.stats`."""

    total: int
    by_reason: dict[str, int]
    by_device: list[DeviceCountShape]


class DiscardedShape(Shape):
    """Answer of contract operation `quarantine.purge`."""

    deleted: int


class FilterBody(Body):
    """Which entries to replay: as the parameters of `quarantine.list`."""

    reason: list[RefusalReason] | RefusalReason | None = None
    device_id: UUID | None = None
    component_id: UUID | None = None
    start: str | None = msgspec.field(default=None, name="from")
    end: str | None = msgspec.field(default=None, name="to")

    def read(self) -> QuarantineQuery:
        """In words of the core."""
        reasons = [self.reason] if isinstance(self.reason, RefusalReason) else self.reason or []
        return QuarantineQuery(
            reasons=reasons,
            device_id=_device(self.device_id),
            component_id=_component(self.component_id),
            received_from=read_instant(self.start, "filter/from", place="body"),
            received_before=read_instant(self.end, "filter/to", place="body"),
        )


class ReplayBody(Body):
    """Body of contract operation `quarantine.replay`: ids or a filter."""

    ids: Annotated[list[str], Meta(max_length=1_000)] | None = None
    filter: FilterBody | None = None


class ReplayLineShape(Shape):
    """One line of contract schema `BulkResult`."""

    index: int
    id: str
    status: int
    problem: Problem | None = None


class ReplayShape(Shape):
    """Contract schema `BulkResult`, with how many entries of the filter were left for the next time."""

    succeeded: int
    failed: int
    results: list[ReplayLineShape]
    remaining: int = 0


# --- routes ----------------------------------------------------------------------------------------------------------


@get("/", operation_id="quarantine.list")
async def list_entries(
    work: Work,
    page: PageQuery,
    reason: Reasons = None,
    device_id: Annotated[UUID | None, QueryParameter(name="deviceId")] = None,
    component_id: Annotated[UUID | None, QueryParameter(name="componentId")] = None,
    start: Annotated[str | None, QueryParameter(name="from", format="date-time", description="inclusive")] = None,
    end: Annotated[str | None, QueryParameter(name="to", format="date-time", description="exclusive")] = None,
) -> PageShape[QuarantineEntryShape]:
    """Rejected payloads, newest first."""
    query = QuarantineQuery(
        reasons=reason or [],
        device_id=_device(device_id),
        component_id=_component(component_id),
        received_from=read_instant(start, "from"),
        received_before=read_instant(end, "to"),
    )
    return page_shape(await diagnostics.list_entries(work, query, page), page, QuarantineEntryShape.of)


@get("/stats", operation_id="quarantine.stats")
async def get_stats(work: Work, span: Span) -> QuarantineStatsShape:
    """Counts by reason and device; of devices the hundred with most entries."""
    query = QuarantineQuery(received_from=span.start, received_before=span.end)
    found = await diagnostics.get_statistics(work, query)
    return QuarantineStatsShape(
        total=found.total,
        by_reason=found.by_reason,
        by_device=[DeviceCountShape(device_id=str(device), count=count) for device, count in found.by_device],
    )


@get("/{id:str}", operation_id="quarantine.get")
async def get_entry(work: Work, entry_id: EntryPath) -> QuarantineEntryShape:
    """One entry with the payload."""
    return QuarantineEntryShape.of(await diagnostics.get_entry(work, read_id(entry_id, "quarantine entry")))


@delete("/{id:str}", operation_id="quarantine.delete")
async def discard_entry(work: Work, entry_id: EntryPath) -> None:
    """Discards one."""
    await diagnostics.discard_entry(work, read_id(entry_id, "quarantine entry"))


@delete("/", operation_id="quarantine.purge", status_code=200)
async def discard_entries(
    work: Work,
    reason: Reasons = None,
    device_id: Annotated[UUID | None, QueryParameter(name="deviceId")] = None,
    before: Annotated[str | None, QueryParameter(format="date-time", description="received before")] = None,
) -> DiscardedShape:
    """Discards by filter; a filter is required."""
    query = QuarantineQuery(
        reasons=reason or [], device_id=_device(device_id), received_before=read_instant(before, "before")
    )
    return DiscardedShape(deleted=await diagnostics.discard_entries(work, query))


@post(
    "/replay",
    operation_id="quarantine.replay",
    status_code=200,
    responses={207: ResponseSpec(ReplayShape, generate_examples=False)},
)
@idempotent
async def replay(request: AnyRequest, work: Work, data: ReplayBody) -> Response[ReplayShape]:
    """Validates again, for example after a profile upgrade; what passes is stored and leaves quarantine.

    Readings keep the time at which they were first received, and raise no alerts. A filter takes 1,000 entries at a
    time, those that were tried least first; `remaining` says how many are left.
    """
    edge: Edge = request.app.state.edge
    known = None if data.ids is None else [parse_uuid(text) for text in data.ids]
    done = await diagnostics.replay_entries(
        work,
        edge.intake,
        entry_ids=None if known is None else [id_ for id_ in known if id_ is not None],
        query=data.filter.read() if data.filter is not None else None,
    )
    if done.uplinks:
        await edge.uplinks.put(*done.uplinks)
    results = {result.id: result for result in done.results}
    order = [str(result.id) for result in done.results] if data.ids is None else data.ids
    lines = [_spell_line(request, index, text, results) for index, text in enumerate(order)]
    failed = sum(line.problem is not None for line in lines)
    shape = ReplayShape(succeeded=len(lines) - failed, failed=failed, results=lines, remaining=done.remaining)
    return Response(shape, status_code=207 if failed else 200)


def _spell_line(request: AnyRequest, index: int, text: str, results: Mapping[UUID, ReplayResult]) -> ReplayLineShape:
    id_ = parse_uuid(text)
    result = results.get(id_) if id_ else None
    error: RoadsteadError | None = None
    if result is None or not result.found:
        error = NotFound("quarantine entry", text)
    elif result.refusal is not None:
        code = code_of_reason(result.refusal.reason)
        error = Invalid(result.refusal.detail, code=code, fields=result.refusal.problems)
    if error is None:
        return ReplayLineShape(index=index, id=text, status=200)
    problem = problem_of(request, error)
    return ReplayLineShape(index=index, id=text, status=problem.status, problem=problem)


def code_of_reason(reason: RefusalReason) -> str:
    """A reason of quarantine as the code of a problem: `OUT_OF_RANGE` is `out-of-range`."""
    return reason.value.lower().replace("_", "-")


def _device(id_: UUID | None) -> DeviceId | None:
    return None if id_ is None else DeviceId(id_)


def _component(id_: UUID | None) -> ComponentId | None:
    return None if id_ is None else ComponentId(id_)


router = Router(
    "/v1/admin/quarantine",
    route_handlers=[list_entries, get_stats, get_entry, discard_entry, discard_entries, replay],
    dependencies={"span": Provide(provide_span, sync_to_thread=False)},
    tags=["data"],
)
