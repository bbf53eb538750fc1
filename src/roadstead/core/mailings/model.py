"""What mailings are, and what they have been told."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from roadstead.core.events import Event, EventSource
from roadstead.kernel.errors import FieldProblem, Invalid
from roadstead.kernel.filter import Filter
from roadstead.kernel.ids import DeviceId

MOST_TYPES = 100
_MOST_SUBJECT, _MOST_BODY = 200, 100_000
_LEAST_DEBOUNCE, _MOST_DEBOUNCE = 2, 2_147_483_647


class Mailing(msgspec.Struct, frozen=True, kw_only=True):
    """Which events of which devices lead to which mail."""

    id: UUID
    channel_id: UUID
    """The notification channel it goes through."""
    recipients: list[str]
    """Of the channel; nobody, when it was made to be something else than mail."""
    active: bool
    """Whether the channel is enabled."""
    subject: str | None
    """None: the type of the event."""
    body: str
    debounce_minutes: float | None
    """So long after one mail, further events lead to none."""
    event_types: list[str]
    rule_id: UUID | None
    """Only events of this alert rule."""
    devices: dict[str, Any] | None
    """A filter of devices as `kernel.filter_json` spells it; None: all."""
    notes: dict[str, Any]
    """What only one dialect knows, under its name."""
    last_sent_at: datetime | None
    """When the newest event that has led to mail was written down."""
    created_at: datetime
    updated_at: datetime

    def wants(self, event: Event) -> bool:
        """Whether it is about an event, whose device is looked at elsewhere."""
        if event.type not in self.event_types or event.created_at < self.created_at:
            return False
        if self.rule_id is None:
            return True
        return event.source is EventSource.ALERT_RULE and (event.data or {}).get("ruleId") == str(self.rule_id)

    def is_debounced(self, event: Event, last: datetime | None) -> bool:
        """Whether an event comes too soon after the one that has led to mail."""
        if self.debounce_minutes is None or last is None:
            return False
        return event.created_at - last < timedelta(minutes=self.debounce_minutes)


class MailingDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A mailing to be."""

    recipients: list[str]
    body: str
    event_types: list[str]
    active: bool = True
    subject: str | None = None
    debounce_minutes: float | None = None
    rule_id: UUID | None = None
    devices: Filter | None = None
    notes: dict[str, Any] = {}

    def check(self) -> None:
        """Raises `Invalid` with everything that is wrong with it besides its recipients."""
        problems = []
        if not 1 <= len(self.event_types) <= MOST_TYPES or not all(1 <= len(one) <= 255 for one in self.event_types):
            detail = f"takes 1 to {MOST_TYPES} types of 1 to 255 characters"
            problems.append(FieldProblem("/eventTypes", "invalid", detail))
        texts = (("/subject", self.subject or "", _MOST_SUBJECT), ("/body", self.body, _MOST_BODY))
        for pointer, text, most in texts:
            if len(text) > most or "\0" in text:
                problems.append(FieldProblem(pointer, "invalid", f"takes at most {most} characters, and no NUL"))
        if self.debounce_minutes is not None and not _LEAST_DEBOUNCE <= self.debounce_minutes <= _MOST_DEBOUNCE:
            detail = f"takes {_LEAST_DEBOUNCE} to {_MOST_DEBOUNCE} minutes"
            problems.append(FieldProblem("/debounceMinutes", "range", detail))
        if any("\0" in one for one in self.event_types):
            problems.append(FieldProblem("/eventTypes", "invalid", "must not contain NUL"))
        if problems:
            raise Invalid(f"{problems[0].pointer.lstrip('/')}: {problems[0].detail}", fields=problems)


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """An event that a mailing is about. It outlives both."""

    id: UUID
    mailing_id: UUID
    event_id: UUID
    event_type: str
    device_id: DeviceId
    occurred_at: datetime
    data: dict[str, Any] | None
    debounced: bool
    """It came too soon after another one and has led to no mail."""
    at: datetime
    """When it was seen."""
