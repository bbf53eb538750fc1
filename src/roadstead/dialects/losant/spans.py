"""Spans of time in the query of a request (contract section 6)."""

import re
from datetime import datetime, timedelta

from roadstead.core.ports import Span
from roadstead.dialects.losant.times import MOST_MS, parse_date
from roadstead.kernel import time
from roadstead.kernel.errors import Invalid
from roadstead.kernel.time import from_millis, to_millis
from roadstead.web.edge import AnyRequest

_TICK = timedelta(milliseconds=1)
_NUMBER = re.compile(r"-?\d{1,17}(?:\.\d{1,9})?")
_NOTHING = frozenset({"", "null", "undefined", "None"})


def read_span(request: AnyRequest, *, to_now: bool) -> Span:
    """`start` (of old: `since`), `end` and `duration` of a request, both ends included.

    Milliseconds since 1970, 0 for now, a negative number for so long ago; a text that can be read as a date is as good.
    Without an end the span ends now with `to_now`, else nowhere. Raises `Invalid` with the name of the parameter.
    """
    now = to_millis(time.now())
    end = _read_instant(request, "end", now)
    if end is None and to_now:
        end = now
    start = _read_instant(request, "start", now)
    if start is None:
        start = _read_instant(request, "since", now)
    duration = _read_duration(request)
    if start is None and duration is not None:
        start = (now if end is None else end) - duration
    return make_span(start, end)


def make_span(start: int | None, end: int | None) -> Span:
    """From one instant to another, both included, in ms since 1970; None: open at this side."""
    ends = _instant(MOST_MS if end is None else end) + _TICK
    return Span(min(_instant(start or 0), ends), ends)


def _instant(at: int) -> datetime:
    return from_millis(max(0, min(at, MOST_MS)))


def _read_instant(request: AnyRequest, name: str, now: int) -> int | None:
    text = request.query_params.get(name, "").strip()
    if text in _NOTHING:
        return None
    if _NUMBER.fullmatch(text):
        number = float(text)
        return round(now + number) if number <= 0 else round(number)
    at = parse_date(text)
    if at is None:
        raise Invalid.field(
            name, "takes milliseconds since 1970, 0 for now, or how long ago as a negative number", place="query"
        )
    return at


def _read_duration(request: AnyRequest) -> int | None:
    text = request.query_params.get("duration", "").strip()
    if text in _NOTHING:
        return None
    if not _NUMBER.fullmatch(text) or float(text) < 0:
        raise Invalid.field("duration", "takes milliseconds", place="query")
    return round(float(text))
