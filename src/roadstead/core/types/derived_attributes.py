"""How device types look as attributes of blueprints. Pure."""

from uuid import UUID, uuid5

from roadstead.core.types.blueprint_model import Attribute
from roadstead.core.types.device_type_model import DeviceType
from roadstead.core.types.type_paths import Section, split_path
from roadstead.core.types.type_schema import Leaf

_TYPES = {
    Leaf.DOUBLE: "number",
    Leaf.BIGINT: "integer",
    Leaf.BOOLEAN: "boolean",
    Leaf.TEXT: "string",
    Leaf.JSON: "object",
}


def derived_attributes(type_: DeviceType) -> list[Attribute]:
    """One for each value that devices of a type are known to report; items of lists are not told one by one."""
    found = []
    for path, leaf in type_.compiled().leaves():
        section, steps = split_path(path)
        if section is Section.ATTRIBUTES and all(isinstance(step, str) for step in steps):
            found.append(_attribute(type_, "/".join(map(str, steps)), leaf))
    return found


def _attribute(type_: DeviceType, path: str, leaf: Leaf) -> Attribute:
    return Attribute(
        id=_id(type_.id, path),
        blueprint_id=type_.id,
        path=path,
        name=None,
        type=_TYPES[leaf],
        units=None,
        relationship=None,
        target_id=None,
        inverse_of=None,
        forward_data=False,
        choices=None,
        notes={},
        created_at=type_.created_at,
        updated_at=type_.updated_at,
    )


def _id(type_id: UUID, path: str) -> UUID:
    """Always the same. Nothing is stored under it."""
    return uuid5(type_id, path)
