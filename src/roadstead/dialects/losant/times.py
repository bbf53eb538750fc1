"""Times as devices spell them (contract section 9). Pure."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import mktime_tz, parsedate_tz
from typing import Any

from roadstead.kernel.time import EPOCH, to_millis

_MOST_SECONDS = 100_000_000_000
"""Numbers below are seconds (up to the year 5138); from there on they are milliseconds (from 1973 on)."""
MOST_MS = 253_370_764_800_000
"""The year 9999."""
_NUMBER = re.compile(r"[+-]?\d{5,17}(?:\.\d{1,9})?")
_MONTH = re.compile(r"(\d{4})-(\d{2})")
_ZONE = re.compile(r"(?:GMT|UTC)([+-]\d{4})")
_COMMENT = re.compile(r"\([^()]{0,100}\)")
_FORMS = (
    "%B %d, %Y",
    "%b %d, %Y",
    "%B %d, %Y %H:%M:%S",
    "%b %d, %Y %H:%M:%S",
    "%B %d, %Y, %H:%M:%S",
    "%m/%d/%Y",
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %I:%M:%S %p",
    "%m/%d/%Y, %I:%M:%S %p",
    "%Y/%m/%d",
    "%Y/%m/%d %H:%M:%S",
)
"""What `Date.parse` reads besides ISO and the forms of mails; read as UTC."""


def read_time(said: Any, received: int) -> int:
    """When something was so, in ms since 1970: `received` when nothing is said about it, or nothing that can be read.

    Numbers are seconds or milliseconds, told apart by their size; negative ones are milliseconds before `received`.
    """
    match said:
        case {"$date": inner, **rest} if not rest:
            said = inner
    if isinstance(said, str):
        text = said.strip()
        if not _NUMBER.fullmatch(text):
            at = parse_date(text)
            return received if at is None else at
        said = float(text)
    if isinstance(said, bool) or not isinstance(said, (int, float)) or said == 0:
        return received
    # Comparisons first: there are numbers that no whole one stands for.
    if said < 0:
        return int(received + said) if said > -received else 0
    if said < _MOST_SECONDS:
        return int(said * 1000)
    return int(said) if said < MOST_MS else received


def parse_date(text: str) -> int | None:
    """A text that `Date.parse` reads, in ms since 1970; None for another. Without an offset it is UTC."""
    month = _MONTH.fullmatch(text)
    instant = _parse_iso(f"{text}-01" if month else text) or _parse_mail(text) or _parse_other(text)
    if instant is None:
        return None
    try:
        at = to_millis(instant if instant.tzinfo else instant.replace(tzinfo=UTC))
    except OverflowError:
        return None
    return at if abs(at) < MOST_MS else None


def _parse_iso(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text.upper())
    except ValueError:
        return None


def _parse_mail(text: str) -> datetime | None:
    """As in mails, and as JavaScript spells dates."""
    plain = _COMMENT.sub("", _ZONE.sub(r"\1", text)).strip()
    try:
        parts = parsedate_tz(plain)
        return None if parts is None else EPOCH + timedelta(seconds=mktime_tz(parts))
    except (ValueError, OverflowError, IndexError, TypeError):
        return None


def _parse_other(text: str) -> datetime | None:
    for form in _FORMS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None
