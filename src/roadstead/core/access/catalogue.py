"""The permissions that the program itself asks for, and what each lets somebody do in the core. Pure."""

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec

from roadstead.kernel import ids
from roadstead.kernel.actor import GRANTS_OF_ROLE, Grant, Role

COMMON = ("create", "read", "update", "delete", "list")
ON_DEVICES = (
    *COMMON,
    "readData",
    "readHistory",
    "readEvents",
    "updateEvents",
    "sendMessage",
    "runSimulation",
    "readByNetworkAlias",
    "createRelationship",
    "deleteRelationship",
    "updateData",
    "updateAnyData",
)
DEVICE = "device"
PERMISSIONS_OF_MODULE: dict[str, tuple[str, ...]] = {
    "project": COMMON,
    "system": COMMON,
    DEVICE: ON_DEVICES,
    "blueprint": COMMON,
    "user": (*COMMON, "assignRoles"),
    "role": COMMON,
    "network": COMMON,
    "apiAccess": COMMON,
    "oidcClient": COMMON,
    "messageRoute": COMMON,
    "script": COMMON,
    "scenario": COMMON,
    "template": COMMON,
    "timer": COMMON,
    "service": COMMON,
}
"""The modules of the program in the order of their numbers: append only."""

PERMISSIONS = frozenset(f"{module}.{name}" for module, names in PERMISSIONS_OF_MODULE.items() for name in names)
EVERY_GRANT = GRANTS_OF_ROLE[Role.ADMIN]

_G = Grant
_SEE = frozenset({_G.DEVICES_READ, _G.PROFILES_READ, _G.READINGS_READ, _G.ORGANIZATION_READ})
_REPORT = frozenset({_G.DEVICES_WRITE, _G.READINGS_WRITE})
_READ: dict[str, frozenset[Grant]] = {
    "user": _SEE,
    "apiAccess": _SEE | {_G.API_KEYS_READ},
    "template": _SEE | {_G.ALERTS_READ},
    "timer": _SEE | {_G.ALERTS_READ},
}
_WRITE: dict[str, frozenset[Grant]] = {
    "project": _SEE | {_G.ORGANIZATION_WRITE},
    "blueprint": _SEE | {_G.PROFILES_WRITE},
    "user": _SEE | {_G.MEMBERS_WRITE},
    "role": _SEE | {_G.MEMBERS_WRITE},
    "apiAccess": _SEE | {_G.API_KEYS_READ, _G.API_KEYS_WRITE},
    "oidcClient": _SEE | {_G.ORGANIZATION_WRITE},
    "messageRoute": _SEE | {_G.ORGANIZATION_WRITE},
    "template": _SEE | {_G.ALERTS_READ, _G.ALERTS_WRITE},
    "timer": _SEE | {_G.ALERTS_READ, _G.ALERTS_WRITE},
}
_DEVICE: dict[str, frozenset[Grant]] = {
    "read": _SEE,
    "list": _SEE,
    "readData": _SEE,
    "readHistory": _SEE,
    "readByNetworkAlias": _SEE,
    "readEvents": _SEE | {_G.EVENTS_READ},
    "updateEvents": _SEE | {_G.EVENTS_READ, _G.EVENTS_WRITE},
    "sendMessage": _SEE | {_G.COMMANDS_READ, _G.COMMANDS_WRITE},
    "runSimulation": _SEE | _REPORT,
    "create": _SEE | _REPORT,
    "update": _SEE | _REPORT,
    "delete": _SEE | _REPORT,
    "createRelationship": _SEE | _REPORT,
    "deleteRelationship": _SEE | _REPORT,
    "updateData": _SEE | _REPORT,
    "updateAnyData": _SEE | _REPORT,
}


GRANTS_ON_DEVICES = frozenset[Grant]().union(*_DEVICE.values())


def grants_of(permission: str) -> frozenset[Grant]:
    """What a permission `module.name` lets somebody do in the core; the module of a blueprint is its id."""
    module, _, name = permission.partition(".")
    if module == DEVICE or ids.parse_base62(module) is not None:
        return _DEVICE.get(name.partition("/")[0], frozenset())
    if name not in PERMISSIONS_OF_MODULE.get(module, ()):
        return frozenset()
    if name in ("read", "list"):
        return _READ.get(module, _SEE)
    return _WRITE.get(module, _SEE | _REPORT)


class KnownPermission(msgspec.Struct, frozen=True, kw_only=True):
    """A permission that roles can be given, with the number it has in the project."""

    number: int
    module: str
    name: str
    category: str
    """`imagine`: the program's; `project`: of a blueprint; `custom`: of the project's own making."""
    display_name: str | None = None
    description: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


def program_permissions() -> list[KnownPermission]:
    """Those that every project has."""
    everything = [(module, name) for module, names in PERMISSIONS_OF_MODULE.items() for name in names]
    return [
        KnownPermission(number=number, module=module, name=name, category="imagine", display_name=_words(name, module))
        for number, (module, name) in enumerate(everything, start=1)
    ]


def blueprint_permissions(blueprint_id: UUID, name: str, relations: Mapping[str, str]) -> list[KnownPermission]:
    """Those that there are because of a blueprint; `relations`: by path the name of the blueprint of the children."""
    module = ids.to_base62(blueprint_id)
    told = {verb: _words(verb, name) for verb in ON_DEVICES}
    for path, children in relations.items():
        told |= {f"{verb}/{path}": f"{_words(verb, children)} from {name}" for verb in ON_DEVICES}
    return [
        KnownPermission(
            number=_number_of(module, word), module=module, name=word, category="project", display_name=words
        )
        for word, words in told.items()
    ]


def _words(verb: str, noun: str) -> str:
    spaced = re.sub(r"([A-Z])", r" \1", verb).lower()
    return f"{spaced} {noun}"


def _number_of(module: str, name: str) -> int:
    """Always the same for the same name, far above those that are counted, and exact in JavaScript."""
    digest = hashlib.sha256(f"{module}.{name}".encode()).digest()
    return (1 << 52) | (int.from_bytes(digest[:7], "big") & ((1 << 52) - 1))
