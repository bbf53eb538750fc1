"""What blueprints are: device types that name their attributes one by one. The rules that need no database."""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from roadstead.core.types.device_type_model import TypeOrigin
from roadstead.core.types.type_paths import Section
from roadstead.core.types.type_schema import ADDITIONAL, MAX_DEPTH, RESERVED
from roadstead.core.work import Change
from roadstead.kernel.errors import Conflict, Invalid
from roadstead.kernel.ids import TypeId

MOST_ATTRIBUTES = 1_000
MOST_NOTES = 65_536

_ALIAS = re.compile(r"[a-z][A-Za-z0-9]{0,99}")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9]{0,99}")
_MOST_TEXT = 255
_WHERE: dict[str, Any] = {"lat": {"type": "number"}, "lon": {"type": "number"}}
_SCHEMAS: dict[str, dict[str, Any]] = {
    "string": {"type": "string"},
    "ip": {"type": "string"},
    "enum": {"type": "string"},
    "resourceEnum": {"type": "string"},
    "int": {"type": "integer"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "percent": {"type": "number"},
    "boolean": {"type": "boolean"},
    "object": {"type": "object"},
    "geoPoint": {"type": "object", "properties": _WHERE},
    # One value each, as JSON.
    "array": {"type": "array"},
    "geoJson": {"type": ["object", "array"]},
    "shape": {"type": ["object", "array"]},
}
_CHOOSING = ("enum", "resourceEnum")
_QUANTITIES = frozenset(
    {"length", "volume", "speed", "time", "acceleration", "temperature", "pressure", "electricPotential"}
)
"""Types whose values are numbers of a unit; others are taken when the unit is named."""


class BlueprintKind(StrEnum):
    """Whether it stands for things or for groups of them."""

    DEVICE = "DEVICE"
    GROUP = "GROUP"


class RelationKind(StrEnum):
    """How many children a parent has, and how many parents a child."""

    ONE_TO_ONE = "ONE_TO_ONE"
    ONE_TO_MANY = "ONE_TO_MANY"
    MANY_TO_ONE = "MANY_TO_ONE"
    MANY_TO_MANY = "MANY_TO_MANY"

    @property
    def is_group(self) -> bool:
        """Whether the children are told as a list."""
        return self is not RelationKind.ONE_TO_ONE

    @property
    def has_one_child(self) -> bool:
        """Whether a parent has at most one child."""
        return self in (RelationKind.ONE_TO_ONE, RelationKind.MANY_TO_ONE)

    @property
    def has_one_parent(self) -> bool:
        """Whether a child has at most one parent."""
        return self in (RelationKind.ONE_TO_ONE, RelationKind.ONE_TO_MANY)


class AttributeType(StrEnum):
    """Types of attributes that mean more than how their value is written. There are others: `check_type`."""

    TIMESTAMP = "timestamp"
    RELATION = "relationship"
    PARENT = "parentRelationship"


class Blueprint(msgspec.Struct, frozen=True, kw_only=True):
    """A device type as programs of blueprints see it; those that were made otherwise are shown, to be read only."""

    id: TypeId
    origin: TypeOrigin
    defined: bool
    """Whether it was made as a blueprint: all others are shown, with what their device type says, and read only."""
    name: str
    description: str | None
    alias: str | None
    kind: BlueprintKind
    notes: dict[str, Any]
    created_at: datetime
    updated_at: datetime


class Attribute(msgspec.Struct, frozen=True, kw_only=True):
    """A value that devices of a blueprint have, or a relation that they are in."""

    id: UUID
    blueprint_id: TypeId
    path: str
    """With `/` for depth; `type_paths` files the value where the same path with dots lies."""
    name: str | None
    type: str
    units: str | None
    relationship: RelationKind | None
    target_id: TypeId | None
    """The blueprint of the children, or for a `parentRelationship` that of the parents."""
    inverse_of: UUID | None
    """For a `parentRelationship`: the attribute of the parents' blueprint that it belongs to."""
    forward_data: bool
    """What the child reports is stored with the parent as well."""
    choices: list[Any] | None
    """The values that an `enum` takes; None: any text."""
    notes: dict[str, Any]
    created_at: datetime
    updated_at: datetime

    @property
    def steps(self) -> tuple[str, ...]:
        """The names on the way to the value."""
        return tuple(self.path.split("/"))

    @property
    def is_relation(self) -> bool:
        """Whether it leads to children."""
        return self.type == AttributeType.RELATION

    @property
    def has_value(self) -> bool:
        """Whether devices report it."""
        return self.type not in (AttributeType.RELATION, AttributeType.PARENT)


class BlueprintDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A blueprint to be made."""

    name: str
    alias: str | None = None
    """None: made from the name."""
    description: str | None = None
    kind: BlueprintKind = BlueprintKind.DEVICE
    notes: dict[str, Any] = {}


class BlueprintChange(Change, frozen=True, kw_only=True):
    """What shall be different about a blueprint."""

    name: str | UnsetType = UNSET
    alias: str | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    kind: BlueprintKind | UnsetType = UNSET
    notes: dict[str, Any] | UnsetType = UNSET


class AttributeDraft(msgspec.Struct, frozen=True, kw_only=True):
    """An attribute to be made."""

    path: str
    type: str
    name: str | None = None
    units: str | None = None
    relationship: RelationKind | None = None
    target_id: TypeId | None = None
    forward_data: bool = False
    choices: list[Any] | None = None
    """What an `enum` takes; None: any text."""
    notes: dict[str, Any] = {}

    def check(self) -> None:
        """Raises `Invalid` for what is wrong with it by itself."""
        check_path(self.path)
        check_type(self.type, self.units)
        check_name(self.name)
        check_notes(self.notes)
        if self.type == AttributeType.RELATION:
            if self.relationship is None:
                raise Invalid.field("/relationshipType", "says how many belong to how many")
            if self.target_id is None:
                raise Invalid.field("/targetBlueprintId", "names the blueprint of the children")
        elif self.relationship is not None or self.target_id is not None or self.forward_data:
            raise Invalid.field("/type", "only a relationship has a kind, a target and data to forward")
        check_choices(self.type, self.choices)


class AttributeChange(Change, frozen=True, kw_only=True):
    """What shall be different about an attribute; path, type and unit stay."""

    name: str | UnsetType | None = UNSET
    forward_data: bool | UnsetType = UNSET
    choices: list[Any] | UnsetType | None = UNSET
    notes: dict[str, Any] | UnsetType = UNSET


# --- rules -----------------------------------------------------------------------------------------------------------


def check_alias(alias: str) -> None:
    """Raises `Invalid`: an alias is camelCase."""
    if not _ALIAS.fullmatch(alias):
        raise Invalid.field("/alias", "takes 1 to 100 letters and digits, a small letter first")


def alias_from(name: str) -> str:
    """An alias that resembles a name: `Air Sensor 2` gives `airSensor2`."""
    words = re.findall(r"[A-Za-z0-9]+", name)
    joined = "".join(word[:1].upper() + word[1:] for word in words).lstrip("0123456789")[:100]
    return joined[:1].lower() + joined[1:] if joined else "blueprint"


def check_name(name: str | None) -> None:
    """Raises `Invalid` for what no attribute is called."""
    if name is not None and (len(name) > _MOST_TEXT or "\0" in name):
        raise Invalid.field("/name", f"takes at most {_MOST_TEXT} characters, no NUL")


def check_notes(notes: dict[str, Any]) -> None:
    """Raises `Invalid` for what is too much to be kept, or cannot be."""
    content = msgspec.json.encode(notes)
    if len(content) > MOST_NOTES:
        raise Invalid.field("/metadata", f"takes at most {MOST_NOTES} bytes of JSON, with tags and the like")
    if b"\\u0000" in content:
        raise Invalid.field("/metadata", "must not contain NUL")


def check_path(path: str) -> None:
    """Raises `Invalid` for what cannot be the path of an attribute."""
    steps = path.split("/")
    if len(path) > _MOST_TEXT or "\0" in path or not all(steps):
        raise Invalid.field("/path", f"takes 1 to {_MOST_TEXT} characters: names with '/' between them")
    if len(steps) > MAX_DEPTH:
        raise Invalid.field("/path", f"is more than {MAX_DEPTH} names deep")
    if steps[0] in RESERVED:
        raise Invalid.field("/path", f"does not begin with one of {', '.join(sorted(RESERVED))}")


def check_type(type_: str, units: str | None) -> None:
    """Raises `Invalid` for a type that no attribute has."""
    if units is not None and (len(units) > _MOST_TEXT or "\0" in units):
        raise Invalid.field("/units", f"takes at most {_MOST_TEXT} characters, no NUL")
    if type_ == AttributeType.PARENT:
        raise Invalid.field("/type", "a parentRelationship is made with the relationship of the parent's blueprint")
    known = {AttributeType.TIMESTAMP.value, AttributeType.RELATION.value, *_SCHEMAS, *_QUANTITIES}
    if type_ not in known and (units is None or not _WORD.fullmatch(type_)):
        raise Invalid.field("/type", f"is not known; there are {', '.join(sorted(known))}, and others with units")


def check_choices(type_: str, choices: Sequence[Any] | None) -> None:
    """Raises `Invalid` for values that no enum takes."""
    if choices is None:
        return
    if type_ not in _CHOOSING:
        raise Invalid.field("/metadata/values", f"only an attribute of type {' or '.join(_CHOOSING)} has values")
    if not choices or not all(isinstance(choice, str | int | float) for choice in choices):
        raise Invalid.field("/metadata/values", "is a list of strings, numbers, true or false")
    check_notes({"values": choices})


def check_room(draft: AttributeDraft, others: Sequence[Attribute]) -> None:
    """Raises `Conflict` when the path is taken, or lies below or above what is one value."""
    if len(others) >= MOST_ATTRIBUTES:
        raise Conflict(f"a blueprint has at most {MOST_ATTRIBUTES} attributes")
    steps = tuple(draft.path.split("/"))
    for other in others:
        if other.path == draft.path:
            raise Conflict.taken("attribute", "path", draft.path)
        above, below = (other.type, steps), (draft.type, other.steps)
        for (type_, longer), shorter in ((above, other.steps), (below, steps)):
            if longer[: len(shorter)] == shorter and not _has_members(type_):
                raise Conflict(f"path: '{'/'.join(longer)}' would lie within '{'/'.join(shorter)}', a {type_}")


def sections_from(attributes: Iterable[Attribute]) -> dict[str, dict[str, Any]]:
    """The sections of the device type: devices may report more than the blueprint names.

    Timestamps are numbers or text, whichever comes, and not named.
    """
    members: dict[str, Any] = {}
    for attribute in sorted(attributes, key=lambda each: each.path):
        if not attribute.has_value or attribute.type == AttributeType.TIMESTAMP:
            continue
        *way, last = attribute.steps
        place = members
        for step in way:
            place = place.setdefault(step, {"type": "object"}).setdefault("properties", {})
        place[last] = _schema(attribute)
    return {
        Section.ATTRIBUTES.value: {**members, ADDITIONAL: True},
        Section.CONFIGURATION.value: {ADDITIONAL: True},
        Section.EVENTS.value: {ADDITIONAL: True},
        Section.ACTIONS.value: {ADDITIONAL: True},
    }


def _has_members(type_: str) -> bool:
    return _SCHEMAS.get(type_, {}).get("type") == "object"


def _schema(attribute: Attribute) -> dict[str, Any]:
    schema = dict(_SCHEMAS.get(attribute.type, {"type": "number"}))
    if "properties" in schema:  # members of other attributes may join them
        schema["properties"] = dict(schema["properties"])
    if attribute.choices is not None:
        schema = {"enum": attribute.choices}
    if attribute.units is not None:
        schema["unit"] = attribute.units
    if attribute.name is not None:
        schema["title"] = attribute.name
    return schema
