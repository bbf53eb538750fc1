"""What becomes of alerts, said in the plainest way (contract sections 3 and 4)."""

from collections import Counter
from itertools import pairwise

import msgspec


class Rule(msgspec.Struct, frozen=True):
    """Fires above a threshold."""

    threshold: float
    cooldown_ms: int
    auto_resolve: bool


RULES = (Rule(30.0, 100_000, auto_resolve=True), Rule(50.0, 0, auto_resolve=False))
NEXT = {"ACTIVE": {"ACKNOWLEDGED", "RESOLVED"}, "ACKNOWLEDGED": {"RESOLVED"}}
"""What is not named here is final."""


class Raised(msgspec.Struct):
    """An alert."""

    rule: int
    device: int
    at: int
    silenced_until: int = 0
    status: str = "ACTIVE"
    by: int | None = None
    occurrences: int = 1
    resolution: str | None = None
    seen: int = 0
    steps: list[str] = msgspec.field(default_factory=lambda: ["RAISED"])


class Pair(msgspec.Struct):
    """A rule looking at the sensor of a device."""

    truth: bool | None = None
    seen: int | None = None


class Oracle:
    """Two rules about two devices, two people, and time in ms."""

    def __init__(self) -> None:
        self.alerts: list[Raised] = []
        self.muted = [False, False]
        self.told: Counter[tuple[int, str]] = Counter()
        """How often channels were told of an alert, by what was told."""
        self.repeated = 0
        self._pairs = {(rule, device): Pair() for rule in range(2) for device in range(2)}

    def say(self, device: int, value: float, at: int) -> None:
        """A reading."""
        for number, rule in enumerate(RULES):
            pair = self._pairs[number, device]
            was, pair.truth = pair.truth, value > rule.threshold
            alert = self.open_about(number, device)
            if alert is None:
                waits = pair.seen is not None and at - pair.seen < rule.cooldown_ms
                if pair.truth and not self.muted[device] and not waits:
                    pair.seen = at
                    self._raise(number, device, at)
            elif pair.truth:
                pair.seen = alert.seen = at
                if was is False and not rule.auto_resolve:
                    alert.occurrences += 1
                    self.repeated += 1
            elif rule.auto_resolve:
                self._resolve(alert, "CONDITION_CLEARED", at)

    def acknowledge(self, index: int, person: int, now: int) -> bool:
        """Whether it can be theirs."""
        alert = self.alerts[index]
        if alert.status == "ACKNOWLEDGED" and alert.by == person:
            return True
        if alert.status != "ACTIVE":
            return False
        alert.status, alert.by = "ACKNOWLEDGED", person
        alert.steps.append("ACKNOWLEDGED")
        self._tell(alert, "ACKNOWLEDGED", now)
        return True

    def resolve(self, index: int, now: int) -> bool:
        """Whether it was open."""
        alert = self.alerts[index]
        if alert.status == "RESOLVED":
            return False
        self._resolve(alert, "OTHER", now)
        return True

    def silence(self, index: int, until: int) -> None:
        """Tell nobody until then."""
        self.alerts[index].silenced_until = until
        self.alerts[index].steps.append("SILENCED")

    def delete(self, rule: int, now: int) -> None:
        """Its open alerts are over."""
        for alert in self.alerts:
            if alert.rule == rule and alert.status != "RESOLVED":
                self._resolve(alert, "RULE_DELETED", now)

    def open_about(self, rule: int, device: int) -> Raised | None:
        """The alert that nobody has resolved."""
        found = [one for one in self.alerts if (one.rule, one.device) == (rule, device) and one.status != "RESOLVED"]
        assert len(found) <= 1
        return found[0] if found else None

    def _raise(self, rule: int, device: int, at: int) -> None:
        silenced = [one.silenced_until for one in self.alerts if (one.rule, one.device) == (rule, device)]
        until = max(silenced, default=0)
        alert = Raised(rule, device, at, until if until > at else 0, seen=at)
        self.alerts.append(alert)
        self._tell(alert, "FIRED", at)

    def _resolve(self, alert: Raised, resolution: str, now: int) -> None:
        alert.status, alert.resolution = "RESOLVED", resolution
        alert.steps.append("RESOLVED")
        self._tell(alert, "RESOLVED", now)

    def _tell(self, alert: Raised, kind: str, now: int) -> None:
        if alert.silenced_until <= now:
            index = next(index for index, one in enumerate(self.alerts) if one is alert)
            self.told[index, kind] += 1


def path_is_legal(statuses: list[str]) -> bool:
    """Whether an alert may have come this way; what says the same again says nothing."""
    return all(after == before or after in NEXT.get(before, ()) for before, after in pairwise(statuses))
