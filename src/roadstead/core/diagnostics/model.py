"""What a quarantined payload is."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from roadstead.core.messages import Uplink
from roadstead.core.ports import Refusal, RefusalReason
from roadstead.kernel.errors import FieldProblem
from roadstead.kernel.ids import ComponentId, DeviceId

MOST_REPLAYED = 1_000
"""Entries of one replay."""


class QuarantineEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A payload in quarantine."""

    id: UUID
    device_id: DeviceId | None
    component_id: ComponentId | None
    sensor_ref: str | None
    reason: RefusalReason
    detail: str
    errors: list[FieldProblem]
    dialect: str
    channel: str
    payload: bytes
    source: str
    received_at: datetime
    attempts: int
    expires_at: datetime

    @property
    def content(self) -> Any:
        """The payload as the JSON it is, or as text when it is none."""
        try:
            return msgspec.json.decode(self.payload)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self.payload.decode(errors="replace")


class QuarantineQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries are meant: all conditions that are given hold."""

    reasons: Sequence[RefusalReason] = ()
    device_id: DeviceId | None = None
    component_id: ComponentId | None = None
    received_from: datetime | None = None
    received_before: datetime | None = None

    @property
    def is_empty(self) -> bool:
        """Whether it means all of them."""
        given = (self.device_id, self.component_id, self.received_from, self.received_before)
        return not self.reasons and all(value is None for value in given)


class QuarantineStatistics(msgspec.Struct, frozen=True):
    """How much is in quarantine."""

    total: int
    by_reason: dict[str, int]
    by_device: list[tuple[DeviceId, int]]
    """The 100 devices with most entries."""


class ReplayResult(msgspec.Struct, frozen=True):
    """What became of one entry. Without a refusal it passed; `found` is False for one that is not there."""

    id: UUID
    found: bool = True
    refusal: Refusal | None = None


class Replay(msgspec.Struct, frozen=True):
    """What became of the entries that were tried again."""

    results: list[ReplayResult]
    uplinks: list[Uplink]
    """What passed: to be put on the log before this is committed."""
    remaining: int
    """Entries that the filter means and that were not tried, because one replay takes 1,000."""


class Line(msgspec.Struct, frozen=True):
    """One thing that went wrong with a device, or that it came or went."""

    at: datetime
    message: str


class Tally(msgspec.Struct, frozen=True):
    """What the audit log says about many entries at once."""

    passed: int | None = None
    failed: int | None = None
    discarded: int | None = None
