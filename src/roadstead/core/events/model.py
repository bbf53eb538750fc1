"""What events are."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from roadstead.core.messages import Severity
from roadstead.kernel.actor import ActorKind
from roadstead.kernel.errors import FieldProblem
from roadstead.kernel.ids import ComponentId, DeviceId, SensorId, SiteId, SpaceId
from roadstead.kernel.time import EPOCH

MAX_DATA_BYTES = 16_384
MAX_MESSAGE = 32_767
MAX_SUBJECT = 255
MAX_TAGS = 100
MAX_AHEAD = timedelta(minutes=5)

_BREAKS = re.compile(r"[\s!-/:-@\[-`{-~]+")


class EventSource(StrEnum):
    """Who says that something has happened."""

    ALERT_RULE = "ALERT_RULE"
    DEVICE = "DEVICE"
    SYSTEM = "SYSTEM"
    USER = "USER"
    ANALYTICS = "ANALYTICS"
    MEDIA = "MEDIA"
    EXTERNAL = "EXTERNAL"
    """A program, with an API key."""


_SOURCES = {
    ActorKind.USER: EventSource.USER,
    ActorKind.API_KEY: EventSource.EXTERNAL,
    ActorKind.APPLICATION: EventSource.EXTERNAL,
    ActorKind.DEVICE: EventSource.DEVICE,
    ActorKind.SYSTEM: EventSource.SYSTEM,
}


def source_of(kind: ActorKind) -> EventSource:
    """What somebody who says something about an event is."""
    return _SOURCES[kind]


class Level(StrEnum):
    """A severity, finer by one: what is an error is CRITICAL for those who know three kinds."""

    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"

    @property
    def severity(self) -> Severity:
        """The severity it is one of."""
        return Severity.CRITICAL if self.is_error else Severity(self.value)

    @property
    def is_error(self) -> bool:
        """Whether its severity says more than it means."""
        return self is Level.ERROR


class LifecycleStatus(StrEnum):
    """How far something that needs work has come (contract section 3). Nothing leads out of RESOLVED."""

    ACTIVE = "ACTIVE"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    RESOLVED = "RESOLVED"

    @property
    def rank(self) -> int:
        """Grows on the way."""
        return list(LifecycleStatus).index(self)


class Lifecycle(msgspec.Struct, frozen=True, kw_only=True):
    """What was done about an event that needs work."""

    status: LifecycleStatus
    acknowledged_at: datetime | None = None
    acknowledged_by: UUID | None = None
    resolved_at: datetime | None = None
    resolved_by: UUID | None = None


class Acknowledgement(msgspec.Struct, frozen=True, kw_only=True):
    """That somebody has seen an event, whether or not it needs work."""

    at: datetime
    by: UUID | None = None
    data: dict[str, Any] | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that has happened."""

    id: UUID
    type: str
    source: EventSource
    severity: Severity
    message: str
    device_id: DeviceId | None
    component_id: ComponentId | None
    sensor_id: SensorId | None
    site_id: SiteId | None
    """Where the device stood when it happened."""
    occurred_at: datetime
    data: dict[str, Any] | None
    lifecycle: Lifecycle | None
    """None: nobody needs to act on it."""
    created_at: datetime
    created_by: UUID | None = None
    """Who has written it down, when that was a person or a program."""
    acknowledgement: Acknowledgement | None = None
    space_id: SpaceId | None = None
    """Where it belongs; None of one that is not written down yet: where its device is, or the default space."""
    subject: str | None = None
    """What it is about in a few words; None: the message says it."""
    is_error: bool = False
    created_by_name: str | None = None
    updated_at: datetime | None = None
    """None: it was never changed."""
    tracks_tags: bool = True
    """Its time line says which tags were changed."""
    tags: dict[str, str] = {}
    notes: dict[str, Any] = {}

    @property
    def level(self) -> Level:
        """How bad it is, finely."""
        return Level.ERROR if self.is_error else Level(self.severity.value)


class EventDraft(msgspec.Struct, frozen=True, kw_only=True):
    """An event to be written down."""

    type: str
    message: str
    severity: Severity = Severity.INFO
    device_id: DeviceId | None = None
    sensor_id: SensorId | None = None
    site_id: SiteId | None = None
    occurred_at: datetime | None = None
    """None: now."""
    data: dict[str, Any] | None = None
    requires_action: bool = False
    status: LifecycleStatus = LifecycleStatus.ACTIVE
    """How far it has come already, of one that needs work."""
    space_id: SpaceId | None = None
    """None: that of its device, or the default one."""
    subject: str | None = None
    is_error: bool = False
    """It is an error, and not as bad as CRITICAL says."""
    tags: Mapping[str, str] = {}
    tracks_tags: bool = True
    notes: Mapping[str, Any] = {}

    def check(self, now: datetime) -> list[FieldProblem]:
        """What is wrong with it by itself."""
        problems = [] if self.subject is None else check_subject(self.subject)
        for pointer, text, most in (("/type", self.type, 80), ("/message", self.message, MAX_MESSAGE)):
            if not 1 <= len(text) <= most or "\0" in text:
                problems.append(FieldProblem(pointer, "invalid", f"takes 1 to {most} characters, and no NUL"))
        if self.occurred_at is not None and not EPOCH <= self.occurred_at <= now + MAX_AHEAD:
            detail = "lies before 1970 or more than five minutes ahead"
            problems.append(FieldProblem("/occurredAt", "range", detail))
        problems += check_tags(self.tags) + check_data(self.notes)
        return problems + ([] if self.data is None else check_data(self.data))


class EventQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which events are wanted; an empty list and None mean any."""

    types: Sequence[str] = ()
    """With `*` at the end: what a type begins with."""
    source: EventSource | None = None
    severities: Sequence[Severity] = ()
    device_id: DeviceId | None = None
    sensor_id: SensorId | None = None
    site_id: SiteId | None = None
    """There or in a site below."""
    occurred_from: datetime | None = None
    occurred_before: datetime | None = None
    text: str | None = None
    """Words, in any case: each begins a word of the type or the message."""


class EventOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one event of many: it is written down, or why it is not."""

    event: Event | None = None
    error: Exception | None = None


def check_subject(subject: str) -> list[FieldProblem]:
    """What is wrong with a subject."""
    if 1 <= len(subject) <= MAX_SUBJECT and "\0" not in subject:
        return []
    return [FieldProblem("/subject", "invalid", f"takes 1 to {MAX_SUBJECT} characters, and no NUL")]


def check_tags(tags: Mapping[str, str]) -> list[FieldProblem]:
    """What is wrong with tags."""
    if len(tags) > MAX_TAGS:
        return [FieldProblem("/eventTags", "too-large", f"there are at most {MAX_TAGS}")]
    for key, value in tags.items():
        if not 1 <= len(key) <= 255 or not 1 <= len(value) <= 255 or "\0" in key + value:
            return [FieldProblem("/eventTags", "invalid", "keys and values take 1 to 255 characters, and no NUL")]
    return []


def check_data(data: Any) -> list[FieldProblem]:
    """What is wrong with what is said about an event."""
    problems = []
    content = msgspec.json.encode(data)
    if len(content) > MAX_DATA_BYTES:
        problems.append(FieldProblem("/data", "too-large", f"is larger than {MAX_DATA_BYTES} bytes"))
    if b"\\u0000" in content:
        problems.append(FieldProblem("/data", "invalid", "must not contain NUL"))
    return problems


def words_of(text: str) -> list[str]:
    """The words that a text search asks for, cut as the index cuts them (`index_new_events`)."""
    return [word[:64] for word in _BREAKS.split(text.lower()) if word]
