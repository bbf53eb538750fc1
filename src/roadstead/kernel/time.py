"""Time: UTC instants, milliseconds, and ISO 8601 durations with calendar units."""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

_DURATION = re.compile(
    r"P(?=.)(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?"
    r"(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.(\d{1,3})\d*)?S)?)?"
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def now() -> datetime:
    """This instant, in UTC, to the millisecond (what the wire and the store carry)."""
    instant = datetime.now(UTC)
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def exact_now() -> datetime:
    """This instant, in UTC, to the microsecond: what puts the deeds of one millisecond in order."""
    return datetime.now(UTC)


def to_millis(instant: datetime) -> int:
    """Milliseconds since 1970."""
    return (instant - EPOCH) // timedelta(milliseconds=1)


def from_millis(millis: int) -> datetime:
    """The instant of so many milliseconds since 1970."""
    return EPOCH + timedelta(milliseconds=millis)


def parse_instant(text: str) -> datetime | None:
    """An RFC 3339 instant with any offset, as UTC; None when it is not one (a missing offset included)."""
    try:
        instant = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        return None
    return instant.astimezone(UTC) if instant.tzinfo is not None else None


def spell_instant(instant: datetime) -> str:
    """RFC 3339 in UTC with `Z`, milliseconds only where there are some."""
    text = instant.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00").removesuffix(".000")
    return text + "Z"


def is_time_zone(name: str) -> bool:
    """Whether the IANA database has a zone of this name."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return False
    return True


class Duration(msgspec.Struct, frozen=True):
    """An ISO 8601 duration: calendar months kept apart, because they have no fixed length."""

    months: int
    days: int
    millis: int

    @property
    def is_calendar(self) -> bool:
        """Whether it has days or longer units, whose length depends on the calendar of a time zone."""
        return bool(self.months or self.days)

    def approximate(self) -> timedelta:
        """About how long it is (a month as 30 days, twelve as 365): for limits, never for arithmetic on dates."""
        years, months = divmod(self.months, 12)
        return timedelta(days=years * 365 + months * 30 + self.days, milliseconds=self.millis)


def parse_duration(text: str) -> Duration | None:
    """An ISO 8601 duration such as `PT15M`, `P1D`, `P1M`; None when it is not one."""
    match = _DURATION.fullmatch(text)
    if match is None:
        return None
    years, months, weeks, days, hours, minutes, seconds = (int(part or 0) for part in match.groups()[:7])
    millis = int((match.group(8) or "").ljust(3, "0"))
    clock = ((hours * 60 + minutes) * 60 + seconds) * 1000 + millis
    return Duration(months=years * 12 + months, days=weeks * 7 + days, millis=clock)
