"""How device profiles look as device types. Pure."""

from collections.abc import Mapping
from typing import Any

from roadstead.core.messages import ValueType
from roadstead.core.types.model import DeviceProfile, ProfileField, SensorProfile
from roadstead.core.types.type_paths import Section, split_path
from roadstead.core.types.type_schema import ADDITIONAL, REQUIRED, RESERVED

OPEN_SECTIONS: dict[str, dict[str, Any]] = {section.value: {ADDITIONAL: True} for section in Section}
"""Of devices of which nothing is known beforehand."""

_TYPES = {
    ValueType.DOUBLE: "number",
    ValueType.BIGINT: "integer",
    ValueType.BOOLEAN: "boolean",
    ValueType.TEXT: "string",
}


def profile_sections(profile: DeviceProfile, parts: Mapping[str, SensorProfile]) -> dict[str, dict[str, Any]]:
    """The sections of a version of a device profile; `parts`: its sensor profiles by `key@major.minor`.

    Devices may have sensors beside those of their profile, so all sections take more than they name.
    """
    attributes: dict[str, Any] = {}
    for component in profile.components:
        part = parts.get(component.sensor_profile)
        for field in part.fields if part is not None else ():
            _put(attributes, f"{component.key}/{field.name}", _field_schema(field))
    configuration = profile.config_schema or {}
    members = configuration.get("properties")
    actions = {command.type: command.params_schema for command in profile.commands}
    return {
        Section.ATTRIBUTES.value: {**attributes, ADDITIONAL: True},
        Section.CONFIGURATION.value: {
            **(_without_reserved(members) if isinstance(members, Mapping) else {}),
            ADDITIONAL: configuration.get(ADDITIONAL) is not False,
            REQUIRED: configuration.get(REQUIRED) or [],
        },
        Section.EVENTS.value: {ADDITIONAL: True},
        Section.ACTIONS.value: {**_without_reserved(actions), ADDITIONAL: True},
    }


def _put(attributes: dict[str, Any], path: str, schema: dict[str, Any]) -> None:
    first, *steps = [str(step) for step in split_path(path)[1]]
    if first in RESERVED:
        return
    members = attributes
    for name, below in zip((first, *steps), steps, strict=False):
        members = members.setdefault(name, {"type": "object", "properties": {}}).setdefault("properties", {})
        first = below
    members[first] = schema


def _without_reserved(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: schema for name, schema in members.items() if name not in RESERVED}


def _field_schema(field: ProfileField) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": _TYPES[field.value_type]}
    told = {"minimum": field.min, "maximum": field.max, "enum": field.enum, "unit": field.unit}
    schema |= {word: value for word, value in told.items() if value is not None}
    if field.array_size is not None:
        schema = {"type": "array", "items": schema, "minItems": field.array_size, "maxItems": field.array_size}
    if field.description:
        schema["description"] = field.description
    return schema
