"""When timers are due: delays, cron in a time zone, sunrise and sunset at a place. Pure."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import msgspec
from astral import Observer
from astral.sun import sunrise, sunset
from cronsim import CronSim, CronSimError

from roadstead.kernel.errors import Invalid
from roadstead.kernel.time import from_millis, is_time_zone, to_millis

MOST_DELAY_MS = 366 * 86_400_000
LEAST_INTERVAL_MS = 1_000
_MOST_AHEAD = timedelta(days=3_660)
_MOST_OFFSET_MS = 43_200_000
_MOST_CRON_LETTERS = 200
_MOST_DAYS_TRIED = 800
"""So many days of a calendar are tried for one on which the sun rises."""


class Once(msgspec.Struct, frozen=True, kw_only=True, tag="ONCE", tag_field="type"):
    """A single time: some time after the start, or at an instant."""

    delay_ms: int | None = None
    at_ms: int | None = None
    """Since 1970."""

    def check(self, now: datetime) -> None:
        """Raises `Invalid` when it says no time, two, or one that is too far away."""
        if (self.delay_ms is None) == (self.at_ms is None):
            raise Invalid.field("/timer/delay", "a timer of type once takes either delay or when")
        if self.delay_ms is not None:
            _check_range("/timer/delay", self.delay_ms, 0, MOST_DELAY_MS)
        if self.at_ms is not None:
            _check_range("/timer/when", self.at_ms, 0, to_millis(now + _MOST_AHEAD))

    def first(self, now: datetime) -> datetime | None:
        """When it is due if it is started now. An instant that has passed is due at once."""
        if self.at_ms is not None:
            return max(from_millis(self.at_ms), now)
        return now + timedelta(milliseconds=self.delay_ms or 0)

    def next(self, due_at: datetime, now: datetime) -> datetime | None:
        """It was the only time."""
        return None


class Repeating(msgspec.Struct, frozen=True, kw_only=True, tag="REPEATING", tag_field="type"):
    """Again and again after the same time."""

    delay_ms: int
    run_immediately: bool = False

    def check(self, now: datetime) -> None:
        """Raises `Invalid` when it is too often or too seldom."""
        _check_range("/timer/delay", self.delay_ms, LEAST_INTERVAL_MS, MOST_DELAY_MS)

    def first(self, now: datetime) -> datetime | None:
        """When it is due if it is started now."""
        return now if self.run_immediately else now + timedelta(milliseconds=self.delay_ms)

    def next(self, due_at: datetime, now: datetime) -> datetime | None:
        """The first instant of its grid that has not passed: what was missed is not made up for one by one."""
        step = timedelta(milliseconds=self.delay_ms)
        return due_at + step * max(1, (now - due_at) // step + 1)


class Scheduled(msgspec.Struct, frozen=True, kw_only=True, tag="SCHEDULED", tag_field="type"):
    """By cron, of five fields or six with seconds in front, in a time zone.

    Of five fields with a fixed hour, a run whose time does not exist in the night of a change comes right after it, and
    one whose time comes twice is done the first time.
    """

    cron: str
    time_zone: str = "UTC"

    def check(self, now: datetime) -> None:
        """Raises `Invalid` when it is no cron, no time zone, or comes never."""
        _check_cron(self.cron, self.time_zone)
        if self.first(now) is None:
            raise Invalid.field("/timer/cron", "there is no such time")

    def first(self, now: datetime) -> datetime | None:
        """The next time after now."""
        return next(_cron_times(self.cron, self.time_zone, now), None)

    def next(self, due_at: datetime, now: datetime) -> datetime | None:
        """The next time that has not passed."""
        return self.first(max(due_at, now))


class Solar(msgspec.Struct, frozen=True, kw_only=True, tag="SOLAR", tag_field="type"):
    """At sunrise or sunset at a place, earlier or later by an offset, on the days of a calendar."""

    latitude: float
    longitude: float
    from_sunrise: bool = True
    offset_ms: int = 0
    cron: str = "0 0 * * *"
    """On which days; minutes and hours are not looked at."""
    time_zone: str = "UTC"
    """Whose days are meant."""

    def check(self, now: datetime) -> None:
        """Raises `Invalid` for a place that is not on earth, an offset of more than half a day, or no day at all."""
        _check_range("/timer/latitude", self.latitude, -90, 90)
        _check_range("/timer/longitude", self.longitude, -180, 180)
        _check_range("/timer/offset", self.offset_ms, -_MOST_OFFSET_MS, _MOST_OFFSET_MS)
        _check_cron(self.cron, self.time_zone)
        if self.first(now) is None:
            raise Invalid.field("/timer", "the sun does not rise or set there on these days")

    def first(self, now: datetime) -> datetime | None:
        """The next time after now; where the sun stays up or down for months, after that."""
        *_, day, month, weekday = self.cron.split()
        # An offset of half a day reaches into the days before and after.
        days = _cron_times(f"0 0 {day} {month} {weekday}", self.time_zone, now - timedelta(days=3))
        zone = ZoneInfo(self.time_zone)
        for one in islice(days, _MOST_DAYS_TRIED):
            at = self._on(one.astimezone(zone).date(), zone)
            if at is not None and at > now:
                return at
        return None

    def next(self, due_at: datetime, now: datetime) -> datetime | None:
        """The next time that has not passed, on another day."""
        return self.first(max(due_at, now))

    def _on(self, day: date, zone: ZoneInfo) -> datetime | None:
        of_sun = sunrise if self.from_sunrise else sunset
        try:
            at = of_sun(Observer(self.latitude, self.longitude), date=day, tzinfo=zone)
        except ValueError:
            return None  # It stays up or down all day.
        exact = at.astimezone(UTC) + timedelta(milliseconds=self.offset_ms)
        return exact.replace(microsecond=0)


Schedule = Once | Repeating | Scheduled | Solar


def _cron_times(cron: str, time_zone: str, after: datetime) -> Iterator[datetime]:
    # Nights of a change are looked after in crons of five fields only.
    fields = cron.split()
    text = " ".join(fields[1:] if len(fields) == 6 and fields[0] == "0" else fields)
    for at in CronSim(text, after.astimezone(ZoneInfo(time_zone))):
        exact = at.astimezone(UTC)
        if exact > after:
            yield exact


def _check_cron(cron: str, time_zone: str) -> None:
    if not is_time_zone(time_zone):
        raise Invalid.field("/timer/timezone", "is not a time zone of the IANA database")
    if len(cron) > _MOST_CRON_LETTERS:
        raise Invalid.field("/timer/cron", f"takes at most {_MOST_CRON_LETTERS} letters")
    try:
        CronSim(cron, datetime.now(UTC))
    except CronSimError as error:
        raise Invalid.field("/timer/cron", f"is no cron of five or six fields: {error}") from error


def _check_range(pointer: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise Invalid.field(pointer, f"takes {least} to {most}", code="range")
