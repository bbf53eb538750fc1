"""What channels, announcements and deliveries are."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from roadstead.core.messages import Severity
from roadstead.core.notify.quiet import QuietHours
from roadstead.core.work import Change
from roadstead.kernel.errors import FieldProblem
from roadstead.kernel.ids import TenantId

LONGEST_DIGEST_MINUTES = 1_440
RETRY_AFTER = tuple(timedelta(seconds=seconds) for seconds in (10, 60, 300, 1_800, 7_200))
"""How long to wait after each failed attempt; after the last of these the next failure is final."""


class ChannelType(StrEnum):
    """How a channel reaches people or programs."""

    EMAIL = "EMAIL"
    WEBHOOK = "WEBHOOK"
    APPRISE = "APPRISE"
    """One of the chat and SMS services that apprise speaks to."""


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """Where notifications go."""

    id: UUID
    name: str
    type: ChannelType
    enabled: bool
    config: dict[str, Any]
    """As it may be shown: what is secret is hidden or absent."""
    min_severity: Severity
    digest_minutes: int | None
    """Collect for so long, then send one message; None: each by itself."""
    quiet_hours: QuietHours | None
    last_delivery_at: datetime | None
    last_error: str | None
    """Why the last attempt failed; None when it went well."""
    created_at: datetime
    updated_at: datetime
    version: int


class Secrets(msgspec.Struct, frozen=True, kw_only=True):
    """What of a channel's configuration is sealed."""

    secret: str | None = None
    """WEBHOOK: what signatures are made with."""
    headers: dict[str, str] = {}
    """WEBHOOK: sent with each request."""
    url: str | None = None
    """APPRISE: the service with its tokens."""


class NewSecret(msgspec.Struct, frozen=True):
    """A channel, with the signing secret that was made for it and is shown this once, if one was."""

    channel: Channel
    secret: str | None


class ChannelDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A channel to be made."""

    name: str
    type: ChannelType
    config: Mapping[str, Any]
    enabled: bool = True
    min_severity: Severity = Severity.INFO
    digest_minutes: int | None = None
    quiet_hours: QuietHours | None = None

    def check(self) -> list[FieldProblem]:
        """What is wrong with it besides its configuration."""
        problems = []
        if not 1 <= len(self.name) <= 120 or not self.name.isprintable():
            problems.append(FieldProblem("/name", "invalid", "takes 1 to 120 characters, no control characters"))
        if self.digest_minutes is not None and not 1 <= self.digest_minutes <= LONGEST_DIGEST_MINUTES:
            detail = f"takes 1 to {LONGEST_DIGEST_MINUTES} minutes"
            problems.append(FieldProblem("/digestMinutes", "invalid", detail))
        return problems + (self.quiet_hours.check("/quietHours") if self.quiet_hours else [])


class ChannelChange(Change, frozen=True, kw_only=True):
    """What shall be different about a channel."""

    name: str | UnsetType = UNSET
    type: ChannelType | UnsetType = UNSET
    config: Mapping[str, Any] | UnsetType = UNSET
    """A merge patch."""
    enabled: bool | UnsetType = UNSET
    min_severity: Severity | UnsetType = UNSET
    digest_minutes: int | UnsetType | None = UNSET
    quiet_hours: QuietHours | UnsetType | None = UNSET


class Kind(StrEnum):
    """What is announced."""

    FIRED = "FIRED"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    RESOLVED = "RESOLVED"
    TEST = "TEST"
    EVENT = "EVENT"
    """An event of which somebody wants to be told in words of their own."""


class Announcement(msgspec.Struct, frozen=True, kw_only=True):
    """Something that people shall hear of."""

    alert_id: UUID | None
    event_id: UUID | None
    kind: Kind
    severity: Severity
    title: str
    """One line, which says by itself how bad it is or that it is over."""
    text: str
    occurred_at: datetime
    payload: dict[str, Any] = {}
    """What programs may want to know besides: JSON."""


class DeliveryStatus(StrEnum):
    """What became of a delivery."""

    PENDING = "PENDING"
    SENT = "SENT"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    """Its channel was deleted or disabled before it was sent."""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One announcement on its way through one channel."""

    id: UUID
    channel_id: UUID
    alert_id: UUID | None
    kind: Kind
    severity: Severity
    title: str
    status: DeliveryStatus
    attempts: int
    """Since it was last asked for."""
    due_at: datetime
    """Of a pending one: when it is sent, or tried again if the attempt that is being made has failed."""
    last_status_code: int | None
    error: str | None
    created_at: datetime
    sent_at: datetime | None


# --- on the way out --------------------------------------------------------------------------------------------------


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A channel that has something to send now."""

    tenant_id: TenantId
    channel_id: UUID
    type: ChannelType
    failing: bool
    """The last attempt has failed."""
    ready: int
    """So many deliveries are due, counted up to what one channel may send at a time."""


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """An announcement in a parcel."""

    delivery_id: UUID
    announcement: Announcement


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """What goes out in one message: one delivery, or a digest of several. Leased to whoever sends it."""

    id: UUID
    """The same at each attempt: receivers drop repeats by it."""
    lease: UUID
    tenant_id: TenantId
    organization_id: UUID
    organization: str
    """Its name."""
    channel: Channel
    sealed: bytes | None
    attempts: int
    """With this one."""
    items: list[Item]
    is_digest: bool


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an attempt."""

    sent: bool
    status_code: int | None = None
    error: str | None = None
    """Why it failed; of a sent one, which recipients were not reached."""
    final: bool = False
    """Trying again cannot help."""
