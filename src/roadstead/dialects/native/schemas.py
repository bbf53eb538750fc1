"""/schemas: profiles as DTDL-style JSON-LD interfaces, for tools that speak digital twins.

What DTDL version 3 has a word for is said in it; ranges, units and the like are terms of a vocabulary of our own, which
the context of each document declares.
"""

import hashlib
import re
from typing import Any

import msgspec
from litestar import Response, Router, get

from roadstead.core import types
from roadstead.core.messages import ValueType
from roadstead.core.types import (
    CommandTemplate,
    ComponentTemplate,
    DeviceProfile,
    ProfileField,
    ProfileQuery,
    ProfileReference,
    SensorProfile,
)
from roadstead.core.work import Work
from roadstead.dialects.native.edge import read_id
from roadstead.dialects.native.shapes import Shape
from roadstead.kernel.ids import ProfileId
from roadstead.kernel.page import Page, PageQuery
from roadstead.web.edge import AnyRequest

MEDIA_TYPE = "application/ld+json"
CONTEXT = ["dtmi:dtdl:context;3", {"profile": "urn:roadstead:profile:"}]

_SCHEMA = {
    ValueType.DOUBLE: "double",
    ValueType.BIGINT: "long",
    ValueType.BOOLEAN: "boolean",
    ValueType.TEXT: "string",
}
_NO_NAME = re.compile(r"[^A-Za-z0-9_]")


class SchemaLineShape(Shape, kw_only=True):
    """One schema in the index."""

    id: str
    kind: str
    key: str
    version: str
    href: str

    @classmethod
    def of(cls, kind: str, profile: SensorProfile | DeviceProfile) -> "SchemaLineShape":
        return cls(
            id=str(profile.id),
            kind=kind,
            key=profile.key,
            version=str(profile.version),
            href=f"/api/schemas/{kind}/{profile.id}",
        )


class SchemaIndexShape(Shape, kw_only=True):
    """Answer of `schema.index`."""

    items: list[SchemaLineShape]


@get("/", operation_id="schema.index")
async def list_schemas(work: Work) -> SchemaIndexShape:
    """Index of schema exports: every version of every profile."""
    items: list[SchemaLineShape] = []
    for kind, list_profiles in (
        ("sensor-profile", types.list_sensor_profiles),
        ("device-profile", types.list_device_profiles),
    ):
        page = PageQuery(limit=200)
        while True:
            found: Page[Any] = await list_profiles(work, ProfileQuery(all_versions=True), sort=None, page=page)
            items += [SchemaLineShape.of(kind, profile) for profile in found.items]
            if found.next_cursor is None:
                break
            page = PageQuery(limit=200, cursor=found.next_cursor)
    return SchemaIndexShape(items=items)


@get("/sensor-profile/{id:str}", operation_id="schema.sensor-profile", media_type=MEDIA_TYPE)
async def get_sensor_schema(request: AnyRequest, work: Work, id: str) -> Response[bytes]:
    """Sensor profile as DTDL-style JSON-LD interface."""
    profile = await types.get_sensor_profile(work, ProfileId(read_id(id, "sensor profile")))
    return _respond(request, spell_sensor_profile(profile))


@get("/device-profile/{id:str}", operation_id="schema.device-profile", media_type=MEDIA_TYPE)
async def get_device_schema(request: AnyRequest, work: Work, id: str) -> Response[bytes]:
    """Device profile as DTDL-style JSON-LD interface with components."""
    profile = await types.get_device_profile(work, ProfileId(read_id(id, "device profile")))
    return _respond(request, spell_device_profile(profile))


def _respond(request: AnyRequest, document: dict[str, Any]) -> Response[bytes]:
    """The document with an ETag of its content; 304 without it when the caller has it already."""
    body = msgspec.json.encode(document)
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    known = {tag.strip() for tag in request.headers.get("if-none-match", "").split(",")}
    if etag in known or "*" in known:
        return Response(b"", status_code=304, headers={"ETag": etag}, media_type=MEDIA_TYPE)
    return Response(body, headers={"ETag": etag}, media_type=MEDIA_TYPE)


# --- spelling --------------------------------------------------------------------------------------------------------


def spell_sensor_profile(profile: SensorProfile) -> dict[str, Any]:
    """An interface with a telemetry for each field; writable ones are properties."""
    return _interface(profile, "sensor", [_field(field) for field in profile.fields])


def spell_device_profile(profile: DeviceProfile) -> dict[str, Any]:
    """An interface with its components, writable fields and commands."""
    contents = [_component(component) for component in profile.components]
    contents += [_field(msgspec.structs.replace(field, writable=True)) for field in profile.writable_fields]
    contents += [_command(command) for command in profile.commands]
    return _interface(profile, "device", contents)


def _interface(profile: SensorProfile | DeviceProfile, kind: str, contents: list[dict[str, Any]]) -> dict[str, Any]:
    return _present(
        {
            "@context": CONTEXT,
            "@id": _model_id(kind, profile.key, str(profile.version)),
            "@type": "Interface",
            "displayName": profile.name,
            "description": profile.description,
            "profile:key": profile.key,
            "contents": contents,
        }
    )


def _model_id(kind: str, key: str, version: str) -> str:
    # A segment of a DTMI begins with a letter and has no other signs, so that some keys would be alike: hence the hash.
    name = _NO_NAME.sub("_", key).rstrip("_")
    plain = name if name == key and key[0].isalpha() else f"k_{name}_{hashlib.sha256(key.encode()).hexdigest()[:8]}"
    return f"dtmi:roadstead:{kind}:{plain};{version}"


def _field(field: ProfileField) -> dict[str, Any]:
    schema: Any = _SCHEMA[field.value_type]
    if field.enum is not None and field.value_type in (ValueType.TEXT, ValueType.BIGINT):
        values = [{"name": _enum_name(value, index), "enumValue": value} for index, value in enumerate(field.enum)]
        value_schema = "string" if field.value_type is ValueType.TEXT else "integer"
        schema = {"@type": "Enum", "valueSchema": value_schema, "enumValues": values}
    if field.array_size is not None:
        schema = {"@type": "Array", "elementSchema": schema}
    return _present(
        {
            "@type": "Property" if field.writable else "Telemetry",
            "name": field.name,
            "displayName": field.label,
            "description": field.description,
            "schema": schema,
            "writable": True if field.writable else None,
            "profile:unit": field.unit,
            "profile:min": field.min,
            "profile:max": field.max,
            "profile:required": True if field.required else None,
            "profile:arraySize": field.array_size,
        }
    )


def _enum_name(value: object, index: int) -> str:
    name = _NO_NAME.sub("_", str(value))
    return name if name[:1].isalpha() and len(name) <= 64 and not name.endswith("_") else f"value{index}"


def _component(component: ComponentTemplate) -> dict[str, Any]:
    reference = ProfileReference.parse(component.sensor_profile)
    key, version = (reference.key, str(reference.version)) if reference else (component.sensor_profile, "")
    return _present(
        {
            "@type": "Component",
            "name": _NO_NAME.sub("_", component.key),
            "displayName": component.name,
            "schema": _model_id("sensor", key, version),
            "profile:key": component.key,
            "profile:required": True if component.required else None,
        }
    )


def _command(command: CommandTemplate) -> dict[str, Any]:
    return {
        "@type": "Command",
        "name": _NO_NAME.sub("_", command.type),
        "profile:type": command.type,
        "profile:paramsSchema": command.params_schema,
    }


def _present(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


router = Router("/schemas", route_handlers=[list_schemas, get_sensor_schema, get_device_schema], tags=["profiles"])
