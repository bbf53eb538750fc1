"""Events that need work: what can be changed about them, and their time line."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from roadstead.core.events.model import (
    MAX_MESSAGE,
    Event,
    EventSource,
    Level,
    LifecycleStatus,
    check_data,
    check_subject,
    check_tags,
)
from roadstead.kernel.errors import Conflict, FieldProblem
from roadstead.kernel.ids import DeviceId

MOST_UPDATES = 100
"""How many entries a time line has; the newest stay."""


class Shift(msgspec.Struct, frozen=True, omit_defaults=True):
    """What something was before and what it is now; None: nothing."""

    old: str | None = None
    new: str | None = None


class DeviceShift(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which device it was about and which it is about now, and what they were called then."""

    old: DeviceId | None = None
    old_name: str | None = None
    new: DeviceId | None = None
    new_name: str | None = None


class Changed(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Which fields of an event were changed."""

    status: Shift | None = None
    level: Shift | None = None
    subject: Shift | None = None
    device: DeviceShift | None = None
    tags: dict[str, Shift] = {}


NOTHING_CHANGED = Changed()


class EventUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the time line of an event."""

    at: datetime
    source: EventSource
    actor_id: UUID | None
    """None: the platform itself."""
    actor_name: str
    comment: str | None = None
    data: Any = None
    changed: Changed = NOTHING_CHANGED


class IncidentChange(msgspec.Struct, frozen=True, kw_only=True):
    """What shall be different about an event that needs work (absent is not null), and what is said about it."""

    status: LifecycleStatus | UnsetType = UNSET
    level: Level | UnsetType = UNSET
    subject: str | UnsetType = UNSET
    device_id: DeviceId | UnsetType | None = UNSET
    tags: Mapping[str, str] | UnsetType = UNSET
    """All that it has from then on."""
    comment: str | None = None
    data: Any = None

    def check(self) -> list[FieldProblem]:
        """What is wrong with it by itself."""
        problems = [] if self.subject is UNSET else check_subject(self.subject)
        problems += [] if self.tags is UNSET else check_tags(self.tags)
        if self.comment is not None and (len(self.comment) > MAX_MESSAGE or "\0" in self.comment):
            problems.append(FieldProblem("/comment", "invalid", f"takes {MAX_MESSAGE} characters, and no NUL"))
        return problems + check_data(self.data)


def check_way(before: LifecycleStatus, after: LifecycleStatus) -> None:
    """Raises `Conflict` for a way back."""
    if after.rank < before.rank:
        raise Conflict(f"state: it is {before} and does not become {after} again", code="invalid-state")


def shifted(old: str | None, new: str | None) -> Shift | None:
    """None when nothing was changed."""
    return None if old == new else Shift(old, new)


def shifted_tags(event: Event, tags: Mapping[str, str]) -> dict[str, Shift]:
    """Which tags were changed, as far as the event's time line says so."""
    if not event.tracks_tags:
        return {}
    keys = sorted({*event.tags, *tags})
    shifts = {key: shifted(event.tags.get(key), tags.get(key)) for key in keys}
    return {key: shift for key, shift in shifts.items() if shift is not None}
