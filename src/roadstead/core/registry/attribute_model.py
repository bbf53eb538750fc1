"""What the attributes of a device are: its sensors, as programs see them that give each a type of their own."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from roadstead.core.messages import ValueType
from roadstead.core.registry.checks import check_text
from roadstead.core.work import Change
from roadstead.kernel.errors import FieldProblem
from roadstead.kernel.ids import SensorId

MAX_ATTRIBUTES = 256
"""Of one device, when one is added here."""
MAX_NAME = 255

_NAME = re.compile(r"[0-9a-zA-Z_-]{1,255}")
_FOREIGN = re.compile(r"[^0-9a-zA-Z_-]")
_MOST_SYSTEM_BYTES = 262_144


class DataType(StrEnum):
    """What the values of an attribute are."""

    STRING = "string"
    NUMBER = "number"
    GPS = "gps"
    """A place, as text: `latitude,longitude`."""
    BOOLEAN = "boolean"
    BLOB = "blob"

    @property
    def value_type(self) -> ValueType:
        """How its sensor keeps them."""
        return _VALUE_TYPES.get(self, ValueType.TEXT)


_VALUE_TYPES = {DataType.NUMBER: ValueType.DOUBLE, DataType.BOOLEAN: ValueType.BOOLEAN}


class Attribute(msgspec.Struct, frozen=True, kw_only=True):
    """A sensor in use, as an attribute."""

    name: str
    data_type: DataType
    description: str | None = None
    content_type: str | None = None
    attribute_tags: dict[str, str] = {}
    system: dict[str, Any] | None = None
    """What a system works its values out from, as the program has said it."""
    path: str
    """What its readings are filed under: its name, when it was made as an attribute and has kept it."""
    sensor_id: SensorId


class AttributeDraft(msgspec.Struct, frozen=True, kw_only=True):
    """An attribute to be made."""

    name: str
    data_type: DataType
    description: str | None = None
    content_type: str | None = None
    attribute_tags: dict[str, str] = {}
    system: dict[str, Any] | None = None

    def check(self, pointer: str = "") -> list[FieldProblem]:
        """What is wrong with it by itself."""
        problems = check_text(f"{pointer}/description", self.description, most=32_767)
        problems += check_text(f"{pointer}/contentType", self.content_type, most=64)
        if not _NAME.fullmatch(self.name):
            detail = "takes 1 to 255 letters, digits, '_' and '-'"
            problems.append(FieldProblem(f"{pointer}/name", "invalid", detail))
        if not all(_NAME.fullmatch(key) and 1 <= len(value) <= 255 for key, value in self.attribute_tags.items()):
            detail = "takes keys of letters, digits, '_' and '-', and values of 1 to 255 characters"
            problems.append(FieldProblem(f"{pointer}/attributeTags", "invalid", detail))
        if any("\0" in value for value in self.attribute_tags.values()):
            problems.append(FieldProblem(f"{pointer}/attributeTags", "invalid", "must not contain NUL"))
        if self.system is not None and len(msgspec.json.encode(self.system)) > _MOST_SYSTEM_BYTES:
            detail = f"is larger than {_MOST_SYSTEM_BYTES} bytes"
            problems.append(FieldProblem(f"{pointer}/system", "too-large", detail))
        return problems


class AttributeChange(Change, frozen=True, kw_only=True):
    """What shall be different about an attribute; what is sent takes the place of what was there as a whole."""

    name: str | UnsetType = UNSET
    """Its history comes along: programs that know the sensor by its path find it there as before."""
    data_type: DataType | UnsetType = UNSET
    """With another type all its values are gone."""
    description: str | UnsetType | None = UNSET
    content_type: str | UnsetType | None = UNSET
    attribute_tags: Mapping[str, str] | UnsetType = UNSET
    system: Mapping[str, Any] | UnsetType | None = UNSET


def spell_name(path: str) -> str:
    """What a sensor is called as an attribute that was not made as one."""
    return _FOREIGN.sub("_", path)[:MAX_NAME]
