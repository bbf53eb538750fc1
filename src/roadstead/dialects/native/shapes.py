"""How the native API spells structs: camelCase, absent instead of null, unknown fields refused."""

from uuid import UUID

import msgspec

from roadstead.kernel.errors import Invalid
from roadstead.kernel.ids import parse_uuid


class Body(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What a route receives."""


class Shape(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    """What a route answers. A field that is None has the default None and is left out."""


def read_reference(text: str, pointer: str) -> UUID:
    """The id of something else in a body. What cannot be an id of ours does not exist: `Invalid` at the pointer."""
    value = parse_uuid(text)
    if value is None:
        raise Invalid.field(pointer, "there is none of this id")
    return value
