"""What becomes of deliveries, said in the plainest way (contract section 4)."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

WAITS = [10, 60, 300, 1_800, 7_200]
"""Seconds after each failed attempt; a failure after the last of them is final."""
LEASE_S = 120
DIGEST_MINUTES = 5
QUIET_FROM, QUIET_UNTIL = 22, 7
PLAIN, DIGEST, QUIET, BOTH = CHANNELS = range(4)
"""What comes goes at once; it is collected; what is not critical waits for the morning; both of that."""
COLLECTING, SLEEPING = (DIGEST, BOTH), (QUIET, BOTH)


class Sent(msgspec.Struct):
    """One delivery."""

    channel: int
    due: datetime
    critical: bool = False
    test: bool = False
    collected: bool = False
    digest: int | None = None
    held: bool = False
    status: str = "PENDING"
    attempts: int = 0
    leased: bool = False
    posts: int = 0


class Seen(msgspec.Struct, frozen=True):
    """The same, as its row has it."""

    status: str
    attempts: int
    leased: bool
    due: datetime
    posts: int


class Oracle:
    """All that the channels were to tell."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now
        self.all: list[Sent] = []
        self.enabled = [True for _ in CHANNELS]
        self.endpoints = ["up" for _ in CHANNELS]
        self._digests = 0

    def announce(self, channel: int, *, critical: bool) -> bool:
        """Whether the channel takes it."""
        if not self.enabled[channel]:
            return False
        collects = channel in COLLECTING
        collecting = [one.due for one in self._collected(channel) if not one.held]
        due = min(collecting, default=self.now() + timedelta(minutes=DIGEST_MINUTES)) if collects else self.now()
        self.all.append(Sent(channel, due, critical, collected=collects))
        return True

    def _collected(self, channel: int) -> list[Sent]:
        waiting = [one for one in self.all if one.channel == channel and one.status == "PENDING"]
        return [one for one in waiting if one.collected and one.digest is None]

    def test(self, channel: int) -> None:
        """Somebody tries the channel, whatever it is set to."""
        self.all.append(Sent(channel, self.now(), test=True))

    def resend(self, index: int) -> bool:
        """Whether it can be sent again."""
        one = self.all[index]
        if not self.enabled[one.channel]:
            return False
        self.all[index] = Sent(one.channel, self.now(), one.critical, one.test, posts=one.posts)
        return True

    def switch(self, channel: int, *, enabled: bool) -> None:
        """What a channel that is switched off has not sent is not sent any more."""
        self.enabled[channel] = enabled
        for one in self.all:
            if not enabled and one.channel == channel and one.status == "PENDING":
                one.status, one.leased = "CANCELLED", False

    def look(self) -> None:
        """Whoever sends looks, and does what is due."""
        while parcel := self._next():
            self._try(parcel)

    def survive(self, seen: Mapping[int, Seen]) -> None:
        """Whoever was sending has died: each parcel is done with, leased, or untouched; one at most is leased."""
        leases = 0
        untouched: list[Sent] = []
        while parcel := self._next(but=untouched):
            found = [seen[self.all.index(one)] for one in parcel]
            moved = {one.attempts - old.attempts for one, old in zip(found, parcel, strict=True)}
            assert len(moved) == 1 and moved <= {0, 1}, "a part of a parcel"
            if moved == {0}:
                untouched += parcel
            elif found[0].leased:
                leases += 1
                for one, row in zip(parcel, found, strict=True):
                    assert row.posts - one.posts in (0, 1)
                    one.attempts, one.leased, one.held, one.posts = row.attempts, True, False, row.posts
                    one.due = self.now() + timedelta(seconds=LEASE_S)
            else:
                self._try(parcel)
        assert leases <= 1

    def _next(self, but: Sequence[Sent] = ()) -> list[Sent] | None:
        now = self.now()
        morning = _morning(now)
        due = [one for one in self.all if one.status == "PENDING" and one.due <= now]
        for one in due:
            if morning and one.channel in SLEEPING and one.digest is None and not (one.critical or one.test):
                one.due, one.held = morning, True
        for one in due:
            if one.due > now or any(one is other for other in but):
                continue
            parcel = self._parcel(one, morning)
            if morning and one.channel in SLEEPING and not any(other.critical or other.test for other in parcel):
                for other in parcel:
                    other.due, other.held = morning, True
            elif one.attempts >= (1 if one.test else 1 + len(WAITS)):
                for other in parcel:
                    other.status, other.leased = "FAILED", False
            else:
                return parcel
        return None

    def _parcel(self, one: Sent, morning: datetime | None) -> list[Sent]:
        if not one.collected:
            return [one]
        if one.digest is None:
            self._digests += 1
            for other in self._collected(one.channel):
                if not (other.held and morning):
                    other.digest = self._digests
        return [other for other in self.all if other.digest == one.digest and other.status == "PENDING"]

    def _try(self, parcel: list[Sent]) -> None:
        endpoint = self.endpoints[parcel[0].channel]
        for one in parcel:
            one.attempts += 1
            one.posts += 1
            one.leased = one.held = False
            last = one.test or one.attempts > len(WAITS)
            if endpoint == "up":
                one.status = "SENT"
            elif endpoint == "refused" or last:
                one.status = "FAILED"
            else:
                one.due = self.now() + timedelta(seconds=WAITS[one.attempts - 1])


def _morning(now: datetime) -> datetime | None:
    """When the quiet hours end that it is now."""
    if QUIET_UNTIL <= now.hour < QUIET_FROM:
        return None
    day = now.replace(hour=QUIET_UNTIL, minute=0, second=0, microsecond=0)
    return day if now.hour < QUIET_UNTIL else day + timedelta(days=1)
