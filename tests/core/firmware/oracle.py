"""What a rollout should come to, in plain Python: one device after the other, without rows, batches or crashes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

OPEN = {"PENDING", "SENT", "DOWNLOADING", "INSTALLING"}
RETRIED = {"FAILED", "TIMED_OUT", "UNREACHED", "CANCELLED"}


@dataclass
class Subject:
    """One device."""

    wave: int
    status: str = "PENDING"
    attempts: int = 0
    told: bool = False
    """There is a command for it."""
    reach_until: float = 0
    sent_at: float = -1
    not_before: float = 0
    runs: bool = False
    """It reports the release."""


@dataclass
class Oracle:
    """A rollout and its devices. `settle` brings it to rest, as a worker that never fails would."""

    waves: Sequence[int]
    count: int
    limit: int
    ttl: float
    timeout: float
    attempts: int
    now: float = 0
    status: str = "RUNNING"
    wave: int = 1

    def __post_init__(self) -> None:
        ends = [max(1, math.ceil(self.count * percent / 100)) for percent in self.waves]
        self.devices = [
            Subject(next(number for number, end in enumerate(ends, 1) if position < end))
            for position in range(self.count)
        ]

    # --- what happens ------------------------------------------------------------------------------------------------

    def hear(self, index: int) -> bool:
        """The device is connected. Whether something has waited for it."""
        device = self.devices[index]
        if not (device.told and device.status == "PENDING"):
            return False
        device.status, device.sent_at = "SENT", self.now
        return True

    def say(self, index: int, ok: bool) -> None:
        """The device says how it went."""
        device = self.devices[index]
        if device.status in {"SENT", "DOWNLOADING", "INSTALLING"}:
            if ok:
                device.status = "INSTALLED"
            else:
                self._fail(device, "FAILED")

    def fetch(self, index: int, whole: bool) -> None:
        """The device downloads."""
        device = self.devices[index]
        if device.status in {"SENT", "DOWNLOADING"}:
            device.status = "INSTALLING" if whole else "DOWNLOADING"

    def report(self, index: int) -> None:
        """The device runs the release from now on."""
        device = self.devices[index]
        device.runs = True
        doubtful = device.sent_at >= 0 and device.status in {"TIMED_OUT", "CANCELLED"}
        if device.told and (device.status in OPEN or doubtful):
            device.status = "INSTALLED"

    def retry(self) -> bool:
        """Whether it could be."""
        again = [device for device in self.devices if device.status in RETRIED]
        if self.status not in {"RUNNING", "PAUSED", "COMPLETED", "FAILED"} or not again:
            return False
        for device in again:
            device.status, device.told, device.attempts = "PENDING", False, 0
            device.reach_until, device.sent_at, device.not_before = 0, -1, 0
        self.status = "PAUSED" if self.status == "PAUSED" else "RUNNING"
        return True

    # --- coming to rest ----------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Until nothing changes."""
        while self._turn():
            pass

    def _turn(self) -> bool:
        before = repr((self, self.devices))
        for device in self.devices:
            self._end_in_time(device)
        if self.status in {"FAILED", "CANCELLED"}:
            self._end_all()
        if self.status == "PAUSED":
            self._take_back()
        if self.status == "RUNNING":
            self._judge()
        if self.status == "RUNNING":
            for device in self.devices:
                waits = device.status == "PENDING" and not device.told and self.now >= device.not_before
                if waits and device.wave <= self.wave:
                    self._tell(device)
        return repr((self, self.devices)) != before

    def _end_in_time(self, device: Subject) -> None:
        if device.status == "PENDING" and device.told and self.now >= device.reach_until:
            device.status, device.told = "UNREACHED", False
        elif device.status in OPEN - {"PENDING"} and self.now >= device.sent_at + self.timeout:
            self._fail(device, "TIMED_OUT")

    def _end_all(self) -> None:
        for device in self.devices:
            if device.status in OPEN:
                device.status = "CANCELLED"

    def _take_back(self) -> None:
        for device in self.devices:
            if device.status == "PENDING" and device.told:
                device.told, device.reach_until = False, 0
                device.attempts -= 1

    def _tell(self, device: Subject) -> None:
        if device.runs:
            device.status = "SKIPPED"
            return
        if not device.reach_until:
            device.attempts += 1
            device.reach_until = self.now + self.ttl
        if self.now >= device.reach_until:
            device.status = "UNREACHED"
            return
        device.told, device.sent_at = True, -1

    def _fail(self, device: Subject, status: str) -> None:
        if device.attempts >= self.attempts:
            device.status = status
            return
        device.status, device.told, device.reach_until, device.sent_at = "PENDING", False, 0, -1
        device.not_before = self.now + 30 * 2 ** (device.attempts - 1)

    def _judge(self) -> None:
        begun = [device.status for device in self.devices if device.wave <= self.wave]
        counted = [status for status in begun if status not in {"SKIPPED", "CANCELLED"}]
        failed = sum(status in {"FAILED", "TIMED_OUT"} for status in counted)
        if failed * 100 > self.limit * len(counted):
            self.status = "FAILED"
        elif not OPEN & set(begun):
            if self.wave == len(self.waves):
                self.status = "COMPLETED"
            elif counted and set(counted) == {"UNREACHED"}:
                self.status = "FAILED"
            else:
                self.wave += 1
