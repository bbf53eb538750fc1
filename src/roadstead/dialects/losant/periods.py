"""How much there was in a period, day by day or hour by hour (contract sections 20 and 27)."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import UTC, date, datetime, timedelta
from typing import Any

from roadstead.core import contents, metering
from roadstead.core.contents import DeviceDay
from roadstead.core.ports import Span
from roadstead.core.work import Account, Work
from roadstead.dialects.losant.envelopes import read_flag, spell_time
from roadstead.dialects.losant.spans import read_span
from roadstead.kernel.actor import Actor
from roadstead.kernel.errors import Invalid
from roadstead.kernel.ids import DeviceId, SpaceId
from roadstead.web.edge import AnyRequest

_USUAL = timedelta(days=30)
_RESOLUTIONS = {"86400000": timedelta(days=1), "3600000": timedelta(hours=1)}
_MOST_STRETCHES = 10_000


def read_period(request: AnyRequest) -> Span:
    """`start` and `end`: without a start the thirty days before the end, without an end until now."""
    span = read_span(request, to_now=True)
    return span if request.query_params.get("start") else Span(span.end - _USUAL, span.end)


def read_resolution(request: AnyRequest) -> timedelta:
    """`resolution`: a day or an hour. Raises `Invalid` for another."""
    text = request.query_params.get("resolution") or "86400000"
    if text not in _RESOLUTIONS:
        raise Invalid.field("resolution", f"is one of {', '.join(_RESOLUTIONS)}", place="query")
    return _RESOLUTIONS[text]


async def device_counts(
    request: AnyRequest, asked: Account | Work, places: Sequence[Actor], *, space_id: SpaceId | None = None
) -> dict[str, Any]:
    """`deviceCounts`: of an application, or of all organizations."""
    span = read_period(request)
    first, last = span.start.astimezone(UTC).date(), span.end.astimezone(UTC).date()
    days = await contents.chart_devices(asked, places, first, last, space_id=space_id)
    return _spell_period(span, [_spell_day(each) for each in days])


async def payload_counts(
    request: AnyRequest, works: AsyncGenerator[Work], *, space_id: SpaceId | None = None
) -> dict[str, dict[str, int]]:
    """`payloadStats`: by kind, then by where they came from."""
    span, in_bytes = read_period(request), read_flag(request, "asBytes")
    whole: dict[str, dict[str, int]] = {}
    # Left alone after a failure, it would keep its transaction open until it is collected as garbage.
    async with aclosing(works):
        async for work in works:
            totals = await metering.count_payloads(work, span, space_id=space_id, in_bytes=in_bytes)
            for kind, sources in totals.items():
                there = whole.setdefault(kind, {})
                for source, number in sources.items():
                    there[source] = there.get(source, 0) + number
    return whole


async def payload_breakdown(
    request: AnyRequest,
    works: AsyncGenerator[Work],
    *,
    space_id: SpaceId | None = None,
    device_id: DeviceId | None = None,
) -> dict[str, Any]:
    """`payloadCountsBreakdown`. Nothing is billed here, so that all of it is counted either way."""
    span, step, in_bytes = read_period(request), read_resolution(request), read_flag(request, "asBytes")
    found: dict[datetime, int] = {}
    async with aclosing(works):
        async for work in works:
            chart = await metering.chart_payloads(
                work, span, step, space_id=space_id, device_id=device_id, in_bytes=in_bytes
            )
            for start, number in chart:
                found[start] = found.get(start, 0) + number
    starts = sorted(found.keys() | _stretches(span, step))
    return _spell_period(span, [{"date": spell_time(start), "value": found.get(start, 0)} for start in starts])


async def alone(work: Work) -> AsyncGenerator[Work]:
    """One work, where there might be several."""
    yield work


def notebook_minutes(request: AnyRequest) -> dict[str, Any]:
    """`notebookMinuteCounts`: there are no notebooks, so that none has run."""
    span = read_period(request)
    nothing = {"minutes": 0, "completed": 0, "canceled": 0, "errored": 0, "timeout": 0}
    days = sorted(_stretches(span, timedelta(days=1)))
    return _spell_period(span, [{"date": spell_time(day), **nothing} for day in days])


def _stretches(span: Span, step: timedelta) -> set[datetime]:
    """The beginnings of all, unless they are too many to be told one by one."""
    whole = span.start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    start = whole.replace(hour=0) if step.days else whole
    count = (span.end - start) // step + 1
    return {start + number * step for number in range(count)} if count <= _MOST_STRETCHES else set()


def _spell_period(span: Span, counts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"start": spell_time(span.start), "end": spell_time(span.end), "counts": list(counts)}


def _spell_day(each: DeviceDay) -> dict[str, Any]:
    told = {"created": each.created, "deleted": each.deleted, "total": each.total}
    return {"date": _spell_date(each.day), **told}


def _spell_date(day: date) -> str:
    return spell_time(datetime(day.year, day.month, day.day, tzinfo=UTC))
