"""A maintenance window: the time of day in which devices may be told to update themselves."""

import re
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

from roadstead.kernel.errors import FieldProblem
from roadstead.kernel.time import is_time_zone

_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d", re.ASCII)


class Window(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Every day from `start` until before `end`, both `HH:MM` in a time zone; over midnight when `end` is earlier."""

    start: str
    end: str
    time_zone: str = "UTC"

    def check(self, pointer: str) -> list[FieldProblem]:
        """What is wrong with it."""
        problems = [
            FieldProblem(f"{pointer}/{name}", "invalid", "is a time of day, for instance 22:30")
            for name, text in (("start", self.start), ("end", self.end))
            if not _TIME.fullmatch(text)
        ]
        if self.start == self.end:
            problems.append(FieldProblem(f"{pointer}/end", "invalid", "is the same as start"))
        if not is_time_zone(self.time_zone):
            problems.append(FieldProblem(f"{pointer}/timeZone", "invalid", "is not a time zone of the IANA database"))
        return problems

    def is_open(self, at: datetime) -> bool:
        """Whether it is open at an instant."""
        local, start, end = at.astimezone(ZoneInfo(self.time_zone)).time(), _read(self.start), _read(self.end)
        return start <= local < end if start < end else local >= start or local < end

    def closes_at(self, at: datetime) -> datetime:
        """When it, being open at an instant, closes."""
        return self._next(_read(self.end), at)

    def opens_at(self, at: datetime) -> datetime:
        """When it, being closed at an instant, opens."""
        return self._next(_read(self.start), at)

    def _next(self, time_of_day: time, at: datetime) -> datetime:
        """The first instant after `at` at which the clocks of the zone show this, or what they jump to instead."""
        zone = ZoneInfo(self.time_zone)
        day = at.astimezone(zone).date()
        instants = (
            datetime.combine(day + timedelta(days=days), time_of_day, zone).astimezone(at.tzinfo) for days in range(3)
        )
        return next(instant for instant in instants if instant > at)


def _read(text: str) -> time:
    return time.fromisoformat(text)
