"""What becomes of commands, said in the plainest way (contract section 3)."""

from collections import Counter

import msgspec

TTL, TIMEOUT = 300.0, 60.0
NEXT = {
    "PENDING": {"SENT", "TIMEOUT", "CANCELLED"},
    "SENT": {"ACKNOWLEDGED", "SUCCESS", "FAILED", "TIMEOUT"},
    "ACKNOWLEDGED": {"SUCCESS", "FAILED", "TIMEOUT"},
}
"""What is not named here is final."""


class Told(msgspec.Struct):
    """A command."""

    device: int
    leaves: float
    awaits: bool = True
    batch: int | None = None
    status: str = "PENDING"
    session: int = 0
    due: float = 0.0
    delivered: bool = False
    acknowledged: bool = False

    @property
    def is_over(self) -> bool:
        """Nothing more happens to it."""
        return self.status not in NEXT


class Bulk(msgspec.Struct):
    """One command to many devices."""

    total: int
    limit: int | None
    status: str = "RUNNING"


class Oracle:
    """Commands to some devices, in the order in which they were given."""

    def __init__(self) -> None:
        self.now = 0.0
        self.commands: list[Told] = []
        self.bulks: list[Bulk] = []
        self.quarantined: Counter[str] = Counter()

    def give(self, device: int, *, awaits: bool = True, batch: int | None = None, wait: float = 0.0) -> None:
        """A command that may leave after a while."""
        leaves = self.now + wait
        self.commands.append(Told(device, leaves, awaits, batch, due=leaves + TTL))

    def reach(self, device: int, session: int, *, arrives: bool) -> list[int]:
        """The device hears, in this session: what it is told."""
        told = [
            index
            for index, one in enumerate(self.commands)
            if one.device == device and one.status in ("PENDING", "SENT") and one.leaves <= self.now
            if not one.delivered and one.session != session
        ]
        for one in map(self.commands.__getitem__, told):
            if one.status == "PENDING" and one.awaits:
                one.due = self.now + TIMEOUT
            one.status, one.session, one.delivered = "SENT", session, arrives
            if arrives and not one.awaits:
                one.status = "SUCCESS"
        return told

    def answer(self, index: int, said: str) -> None:
        """The device says so; what contradicts what is known goes to quarantine."""
        one = self.commands[index]
        if said in NEXT.get(one.status, ()):
            one.status, one.acknowledged = said, one.acknowledged or said == "ACKNOWLEDGED"
            one.delivered = True  # what is answered has arrived
        elif one.status == "PENDING":
            self.quarantined["UNKNOWN_COMMAND"] += 1
        elif said != one.status and not (
            said == "ACKNOWLEDGED" and (one.acknowledged or one.status in ("SUCCESS", "FAILED"))
        ):
            self.quarantined["LATE_ANSWER"] += 1

    def cancel(self, index: int) -> bool:
        """Whether it can be."""
        one = self.commands[index]
        if one.status != "PENDING":
            return False
        one.status = "CANCELLED"
        return True

    def stop(self, index: int, status: str = "CANCELLED") -> bool:
        """End a bulk; what has not left will not. Whether it ran."""
        bulk = self.bulks[index]
        if bulk.status != "RUNNING":
            return False
        bulk.status = status
        for number in self.of_bulk(index):
            self.cancel(number)
        return True

    def look(self) -> None:
        """What time alone does."""
        for one in self.commands:
            if not one.is_over and one.due <= self.now:
                one.status = "TIMEOUT"
        for index, bulk in enumerate(self.bulks):
            own = [self.commands[number] for number in self.of_bulk(index)]
            failed = sum(one.status in ("FAILED", "TIMEOUT") for one in own)
            if bulk.limit is not None and failed * 100 > bulk.limit * bulk.total:
                self.stop(index, "ABORTED")
            elif bulk.status == "RUNNING" and all(one.is_over for one in own):
                bulk.status = "COMPLETED"

    def of_bulk(self, index: int) -> list[int]:
        """Its commands."""
        return [number for number, one in enumerate(self.commands) if one.batch == index]
