"""How much is in a space, and what is found in it by name."""

from collections.abc import Iterable
from datetime import date
from enum import StrEnum
from uuid import UUID

import msgspec


class Amounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many things of each kind are in a space."""

    devices: int = 0
    events: int = 0
    keys: int = 0
    tokens: int = 0

    @classmethod
    def of_all(cls, amounts: Iterable["Amounts"]) -> "Amounts":
        """All of them together."""
        each = list(amounts)
        return cls(**{name: sum(getattr(one, name) for one in each) for name in cls.__struct_fields__})


class FoundKind(StrEnum):
    """What can be found by name."""

    DEVICE = "device"
    EVENT = "event"
    ACCESS = "access"
    """A token of a program."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Something in a space whose name was looked for."""

    kind: FoundKind
    id: UUID
    name: str
    device_class: str | None = None
    """Of a device."""


class DeviceDay(msgspec.Struct, frozen=True, kw_only=True):
    """How many devices came and went on a day, and how many there were at its end."""

    day: date
    created: int
    deleted: int
    total: int
