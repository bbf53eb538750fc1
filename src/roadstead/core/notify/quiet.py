"""Quiet hours: a span of the day, by the clock on somebody's wall."""

import re
from datetime import UTC, datetime, timedelta
from datetime import time as clock_time
from zoneinfo import ZoneInfo

import msgspec

from roadstead.kernel.errors import FieldProblem
from roadstead.kernel.time import is_time_zone

_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d")


class QuietHours(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """When nothing is sent. `end` before `start` means the next day."""

    start: str
    """Local time, `22:00`."""
    end: str
    time_zone: str
    allow_critical: bool = True
    """What is CRITICAL is sent all the same."""

    def check(self, pointer: str) -> list[FieldProblem]:
        """What is wrong with them."""
        problems = [
            FieldProblem(f"{pointer}/{name}", "invalid", "is not a time of day such as 22:00")
            for name, text in (("start", self.start), ("end", self.end))
            if not _CLOCK.fullmatch(text)
        ]
        if not problems and self.start == self.end:
            problems.append(FieldProblem(f"{pointer}/end", "invalid", "is the same as start"))
        if not is_time_zone(self.time_zone):
            problems.append(FieldProblem(f"{pointer}/timeZone", "invalid", "is not a time zone of the IANA database"))
        return problems

    def end_at(self, now: datetime) -> datetime | None:
        """When the quiet hours that it is now come to their end; None when it is not quiet.

        Where the clock is put forward or back they never begin late and never end early: of a time that comes twice,
        the first one begins and the second one ends them, and one that is left out lies as long after the gap as it
        would have come after its beginning.
        """
        zone = ZoneInfo(self.time_zone)
        today = now.astimezone(zone).date()
        start, end = clock_time.fromisoformat(self.start), clock_time.fromisoformat(self.end)
        for days_ago in (1, 0):
            first_day = today - timedelta(days=days_ago)
            last_day = first_day + timedelta(days=1 if end < start else 0)
            begins = min(_instants(datetime.combine(first_day, start, zone)))
            ends = max(_instants(datetime.combine(last_day, end, zone)))
            if begins <= now < ends:
                return ends
        return None


def _instants(local: datetime) -> list[datetime]:
    return [local.replace(fold=fold).astimezone(UTC) for fold in (0, 1)]
