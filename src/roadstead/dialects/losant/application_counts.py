"""/applications/{applicationId}/deviceCounts and its kin, /applications/periodSummaries (contract section 20)."""

from typing import Any

from litestar import get
from litestar.di import Provide

from roadstead.core.registry import OwnedSpace, Space
from roadstead.core.work import Work
from roadstead.dialects.losant.applications import SORTS, find_applications
from roadstead.dialects.losant.envelopes import collection, read_listing
from roadstead.dialects.losant.periods import alone, device_counts, notebook_minutes, payload_breakdown, payload_counts
from roadstead.dialects.losant.places import Places, provide_places
from roadstead.dialects.losant.summaries import read_names
from roadstead.kernel.ids import to_hex24
from roadstead.web.edge import AnyRequest

_PLACE = "/applications/{applicationId:str}"
_PARTS = frozenset({"deviceCounts", "notebookMinuteCounts", "payloadCounts"})


@get(f"{_PLACE}/deviceCounts", operation_id="application.deviceCounts")
async def get_device_counts(request: AnyRequest, work: Work, application: Space) -> dict[str, Any]:
    """How many devices came and went, by day."""
    return await device_counts(request, work, [work.actor], space_id=application.id)


@get(f"{_PLACE}/payloadCounts", operation_id="application.payloadCounts")
async def get_payload_counts(request: AnyRequest, work: Work, application: Space) -> dict[str, dict[str, int]]:
    """How many messages there were, by kind and where they came from."""
    return await payload_counts(request, alone(work), space_id=application.id)


@get(f"{_PLACE}/payloadCountsBreakdown", operation_id="application.payloadCountsBreakdown")
async def get_payload_breakdown(request: AnyRequest, work: Work, application: Space) -> dict[str, Any]:
    """The same by day or hour."""
    return await payload_breakdown(request, alone(work), space_id=application.id)


@get(f"{_PLACE}/notebookMinuteCounts", operation_id="application.notebookMinuteCounts")
async def get_notebook_minutes(request: AnyRequest, work: Work, application: Space) -> dict[str, Any]:
    """None: there are no notebooks."""
    return notebook_minutes(request)


@get(
    "/applications/periodSummaries",
    operation_id="applications.periodSummaries",
    dependencies={"places": Provide(provide_places)},
)
async def list_period_summaries(request: AnyRequest, places: Places) -> dict[str, Any]:
    """All of these of many applications."""
    listing = read_listing(request, list(SORTS))
    included = read_names(request, "include", _PARTS)
    wanted = (_PARTS if included is None else included) - (read_names(request, "exclude", _PARTS) or frozenset())
    found = await find_applications(request, places)
    items = [await _summarise(request, places, each, wanted) for each in found.items]
    return collection(request, "periodSummaries", items, listing, found.total or 0)


async def _summarise(request: AnyRequest, places: Places, space: OwnedSpace, wanted: frozenset[str]) -> dict[str, Any]:
    actor = places.first(to_hex24(space.organization_id))
    summary: dict[str, Any] = {}
    async with places.work(actor) as work:
        if "deviceCounts" in wanted:
            summary["deviceCounts"] = await device_counts(request, work, [actor], space_id=space.id)
        if "payloadCounts" in wanted:
            summary["payloadCounts"] = await payload_breakdown(request, alone(work), space_id=space.id)
    if "notebookMinuteCounts" in wanted:
        summary["notebookMinuteCounts"] = notebook_minutes(request)
    id_ = to_hex24(space.id)
    return {"id": id_, "applicationId": id_, "name": space.name, "summary": summary}


handlers = [
    get_device_counts,
    get_payload_counts,
    get_payload_breakdown,
    get_notebook_minutes,
    list_period_summaries,
]
