"""Ranges of time: `from` inclusive, `to` exclusive, the last 24 hours unless told otherwise."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from litestar.params import QueryParameter

from roadstead.core.ports import Span
from roadstead.kernel import time
from roadstead.kernel.errors import Invalid
from roadstead.kernel.time import parse_duration, parse_instant

_USUAL = timedelta(hours=24)
_LONGEST_WINDOW = timedelta(days=366)
_OLDEST = datetime(1970, 1, 1, tzinfo=UTC)

From = Annotated[
    str | None, QueryParameter(name="from", format="date-time", description="inclusive; default: 24 hours before `to`")
]
To = Annotated[str | None, QueryParameter(name="to", format="date-time", description="exclusive; default: now")]


def provide_span(start: From = None, end: To = None) -> Span:
    """The range that a request is about. Raises `Invalid` for what is no time."""
    return read_span(start, end)


def read_span(start: str | None, end: str | None, *, place: str = "query") -> Span:
    """The same for a range in a body, with `place`."""
    until = read_instant(end, "to", place=place) or time.now()
    since = read_instant(start, "from", place=place) or until - _USUAL
    return Span(max(since, _OLDEST), max(until, _OLDEST))


def read_window(duration: str, end: str | None) -> Span:
    """The range of so long a time (at most P366D) before an end, or before now."""
    length = parse_duration(duration)
    if length is None:
        raise Invalid.field("duration", "is no ISO 8601 duration such as PT1H", place="query")
    if not timedelta() < length.approximate() <= _LONGEST_WINDOW:
        raise Invalid.field("duration", "must be more than nothing and at most P366D", code="range", place="query")
    until = read_instant(end, "end") or time.now()
    return Span(max(until - length.approximate(), _OLDEST), until)


def read_instant(text: str | None, name: str, *, place: str = "query") -> datetime | None:
    """An RFC 3339 time, or None when there is none. Raises `Invalid` that names the parameter."""
    if text is None:
        return None
    # A plus that was not percent-encoded in a query arrives as a space.
    instant = parse_instant(text.replace(" ", "+") if place == "query" else text)
    if instant is None:
        pointer = name if place == "query" else f"/{name}"
        raise Invalid.field(
            pointer, "is not an RFC 3339 time with an offset, such as 2024-05-01T00:00:00Z", place=place
        )
    return instant
