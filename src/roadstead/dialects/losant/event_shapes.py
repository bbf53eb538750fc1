"""Events as they are asked for and answered (contract section 13)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from roadstead.core import events
from roadstead.core.events import (
    Changed,
    Event,
    EventDraft,
    EventSource,
    EventUpdate,
    IncidentChange,
    Level,
    LifecycleStatus,
    Shift,
)
from roadstead.core.messages import Severity
from roadstead.core.work import Work
from roadstead.dialects.losant.envelopes import spell_time
from roadstead.dialects.losant.queries import Choice, Fields, Id, Instant, Never, Tags, Text, read_query
from roadstead.dialects.losant.times import read_time
from roadstead.dialects.losant.wire import DIALECT
from roadstead.kernel import time
from roadstead.kernel.actor import NOBODY
from roadstead.kernel.errors import Invalid
from roadstead.kernel.filter import (
    EVERYTHING,
    NOTHING,
    And,
    Filter,
    In,
    Match,
    MatchKind,
    Not,
    equals,
    escape_wildcard,
)
from roadstead.kernel.ids import DeviceId, SpaceId, parse_hex24, to_hex24
from roadstead.kernel.time import from_millis, to_millis

TYPE = "incident"
"""The type of events made here, for those who tell them apart by that."""
STATES = {
    "new": LifecycleStatus.ACTIVE,
    "acknowledged": LifecycleStatus.ACKNOWLEDGED,
    "resolved": LifecycleStatus.RESOLVED,
}
_STATE_OF = {status: word for word, status in STATES.items()}
_SOURCES = {EventSource.USER: "user", EventSource.EXTERNAL: "apiToken", EventSource.DEVICE: "device"}
_BY_THE_PLATFORM = tuple(source.value for source in EventSource if source not in _SOURCES)

FIELDS: Fields = {
    "id": Id("id"),
    "creationDate": Instant("occurredAt"),
    "lastUpdated": Instant("updatedAt"),
    "sourceId": Id("sourceId"),
    "sourceType": Choice(
        {
            "flow": In(("source",), _BY_THE_PLATFORM),
            **{word: equals("source", source.value) for source, word in _SOURCES.items()},
            "experienceUser": NOTHING,
            "public": NOTHING,
        }
    ),
    "level": Choice(
        {
            "info": equals("severity", Severity.INFO.value),
            "warning": equals("severity", Severity.WARNING.value),
            "error": equals("isError", True),
            "critical": And((equals("severity", Severity.CRITICAL.value), Not(equals("isError", True)))),
        }
    ),
    "state": Choice({word: equals("status", status.value) for word, status in STATES.items()}),
    "subject": Text("subject"),
    "deviceId": Id("deviceId"),
    "experienceUserId": Never(),
    "experienceGroupId": Never(),
    "eventTags": Tags("tags", keys="tagKey", values="tagValue"),
}


class Asked(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which events of an application are meant; a query goes before the rest."""

    query: dict[str, Any] | None = None
    state: str | None = None
    filter: str | None = None
    """Of subjects, with `*` for anything, in any case."""

    def shown(self) -> dict[str, str]:
        """What the log of a job says of it."""
        return {} if self.query is None else {"query": msgspec.json.encode(self.query).decode()}

    def where(self) -> Filter:
        """As the core has it. Raises `Invalid` with the name of what is wrong."""
        if self.query is not None:
            return read_query(self.query, FIELDS)
        parts: list[Filter] = []
        if self.state is not None:
            if self.state not in STATES:
                raise Invalid.field("state", f"is one of {', '.join(STATES)}", place="query")
            parts.append(equals("status", STATES[self.state].value))
        if self.filter is not None:
            pattern = "*".join(map(escape_wildcard, self.filter.split("*")))
            parts.append(Match(("subject",), MatchKind.WILDCARD, pattern, ignore_case=True))
        return And(tuple(parts)) if parts else EVERYTHING


# --- what is sent ----------------------------------------------------------------------------------------------------


class EventBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`eventPost`."""

    level: str
    subject: str
    message: str = ""
    state: str = "new"
    data: Any = UNSET
    device_id: str | None = None
    event_tags: dict[str, str] = {}
    creation_date: Any = None
    disable_tag_change_tracking: bool = False

    def draft(self, space_id: SpaceId) -> EventDraft:
        """As the core has it. What is no object, and that there is no message, is noted."""
        level = Level(self.level.upper())
        plain = isinstance(self.data, dict)
        notes: dict[str, Any] = {} if plain or self.data is UNSET else {"data": self.data}
        if not self.message:
            notes["message"] = None
        return EventDraft(
            type=TYPE,
            message=self.message or self.subject,
            severity=level.severity,
            is_error=level.is_error,
            device_id=None if self.device_id is None else read_device_id(self.device_id),
            occurred_at=_read_creation(self.creation_date),
            data=self.data if plain else None,
            requires_action=True,
            status=STATES[self.state],
            space_id=space_id,
            subject=self.subject,
            tags=self.event_tags,
            tracks_tags=not self.disable_tag_change_tracking,
            notes={DIALECT: notes} if notes else {},
        )


class EventPatchBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`eventPatch`."""

    state: str | UnsetType = UNSET
    level: str | UnsetType = UNSET
    subject: str | UnsetType = UNSET
    device_id: str | UnsetType | None = UNSET
    event_tags: dict[str, str] | UnsetType = UNSET
    comment: str | None = None
    data: Any = None

    def change(self) -> IncidentChange:
        """As the core has it."""
        device_id: DeviceId | UnsetType | None = UNSET
        if self.device_id is not UNSET:
            device_id = None if self.device_id is None else read_device_id(self.device_id)
        return IncidentChange(
            status=UNSET if self.state is UNSET else STATES[self.state],
            level=UNSET if self.level is UNSET else Level(self.level.upper()),
            subject=self.subject,
            device_id=device_id,
            tags=self.event_tags,
            comment=self.comment,
            data=self.data,
        )


def read_device_id(text: str) -> DeviceId:
    """The id of a device in a body. Raises `Invalid`."""
    id_ = parse_hex24(text)
    if id_ is None:
        raise Invalid.field("deviceId", "is an id of 24 hex digits")
    return DeviceId(id_)


def _read_creation(said: Any) -> datetime | None:
    return None if said is None else from_millis(read_time(said, to_millis(time.now())))


# --- what is answered ------------------------------------------------------------------------------------------------


async def spell_events(work: Work, found: Sequence[Event], *, with_updates: bool = True) -> list[dict[str, Any]]:
    """Events without their envelopes; fields that are None are none."""
    names = await events.load_device_names(work, [one.device_id for one in found if one.device_id is not None])
    lines = await events.list_updates(work, [one.id for one in found]) if with_updates else {}
    spelled = [_spell(one, names) for one in found]
    if with_updates:
        for event, fields in zip(found, spelled, strict=True):
            fields["updates"] = [_spell_update(event, update) for update in lines.get(event.id, ())]
    return spelled


def _spell(event: Event, names: Mapping[DeviceId, str]) -> dict[str, Any]:
    assert event.lifecycle is not None
    notes = event.notes.get(DIALECT, {})
    name = None if event.device_id is None else names.get(event.device_id)
    source_id, source_name = _source_of(event, name)
    return {
        "creationDate": spell_time(event.occurred_at),
        "lastUpdated": spell_time(event.updated_at or event.created_at),
        "sourceType": _SOURCES.get(event.source, "flow"),
        "sourceId": source_id,
        "sourceName": source_name,
        "level": event.level.lower(),
        "state": _STATE_OF[event.lifecycle.status],
        "subject": event.subject or event.message[:255],
        "message": None if "message" in notes else event.message,
        "data": notes.get("data", event.data),
        "deviceId": _spell_id(event.device_id),
        "deviceName": name,
        "eventTags": event.tags,
        "disableTagChangeTracking": not event.tracks_tags,
    }


def _source_of(event: Event, device_name: str | None) -> tuple[str | None, str | None]:
    """Who has made it, by id and name: the rule of an alert, the device that has reported it, or whoever it was."""
    if event.source is EventSource.ALERT_RULE:
        data = event.data or {}
        return to_hex24(UUID(data["ruleId"])), data.get("ruleName")
    if event.source is EventSource.DEVICE and event.created_by is None:
        return _spell_id(event.device_id), device_name
    return _spell_id(event.created_by), event.created_by_name


def _spell_update(event: Event, update: EventUpdate) -> dict[str, Any]:
    of_rule = _source_of(event, None) if update.source is EventSource.ALERT_RULE else None
    source_id, source_name = of_rule or (_spell_id(update.actor_id), update.actor_name)
    fields = {
        "sourceType": _SOURCES.get(update.source, "flow"),
        "sourceId": source_id,
        "sourceName": source_name or None,
        "creationDate": spell_time(update.at),
        "comment": update.comment,
        "data": update.data,
        **_spell_changed(update.changed),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _spell_changed(changed: Changed) -> dict[str, Any]:
    device = changed.device
    spelled: dict[str, Any] = {
        "subjectChange": _spell_shift(changed.subject),
        "tagsChange": {key: _spell_shift(shift) for key, shift in changed.tags.items()} or None,
    }
    if changed.status is not None:
        spelled["stateChange"] = {
            side: _STATE_OF[LifecycleStatus(status)] for side, status in _sides(changed.status).items()
        }
    if changed.level is not None:
        spelled["levelChange"] = {side: level.lower() for side, level in _sides(changed.level).items()}
    if device is not None:
        spelled["deviceIdChange"] = _present(
            old=_spell_id(device.old),
            oldDeviceName=device.old_name,
            new=_spell_id(device.new),
            newDeviceName=device.new_name,
        )
    return spelled


def _spell_shift(shift: Shift | None) -> dict[str, str] | None:
    return None if shift is None else _sides(shift)


def _sides(shift: Shift) -> dict[str, str]:
    return _present(old=shift.old, new=shift.new)


def _present(**fields: str | None) -> dict[str, str]:
    return {name: value for name, value in fields.items() if value is not None}


def _spell_id(id_: UUID | None) -> str | None:
    return None if id_ is None or id_ == NOBODY else to_hex24(id_)
