"""What systems work out from the devices below them. Pure."""

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from roadstead.core.messages import Value
from roadstead.core.registry import DataType
from roadstead.core.telemetry import read_place
from roadstead.kernel.ids import DeviceId, SensorId, TenantId, parse_hex24

Place = tuple[TenantId, DeviceId]
"""Which system."""


class Function(StrEnum):
    """What the values of many devices are boiled down to."""

    FIRST = "FIRST"
    """The one that was measured longest ago."""
    LAST = "LAST"
    COUNT = "COUNT"
    MAX = "MAX"
    MIN = "MIN"
    MEDIAN = "MEDIAN"
    MEAN = "MEAN"
    SUM = "SUM"
    STD_DEV = "STD_DEV"
    """Of a sample."""


class Mode(StrEnum):
    """Which of the devices below count."""

    ALL = "all"
    WHITELIST = "whitelist"
    """Those that are named, or have one of the tags."""
    BLACKLIST = "blacklist"
    """All others."""


class ChildAttribute(msgspec.Struct, frozen=True, rename="camel"):
    """An attribute of devices below that is looked at."""

    name: str
    mode: Mode
    device_ids: list[str] = []
    device_tags: list[dict[str, str]] = []

    @property
    def named(self) -> list[UUID]:
        """The devices that are named, as far as they can be some."""
        return [id_ for text in self.device_ids if (id_ := parse_hex24(text)) is not None]


class Recipe(msgspec.Struct, frozen=True, rename="camel"):
    """How an attribute of a system comes about: `Attribute.system`."""

    aggregation: Function
    child_attributes: list[ChildAttribute] = []


def read_recipe(told: Mapping[str, Any]) -> Recipe | None:
    """None when it does not say enough: such an attribute is not worked out."""
    try:
        return msgspec.convert(told, Recipe)
    except msgspec.ValidationError:
        return None


class Due(msgspec.Struct, frozen=True):
    """A system whose time has come."""

    tenant_id: TenantId
    device_id: DeviceId
    interval_s: int
    due_at: datetime

    @property
    def place(self) -> Place:
        """Which one."""
        return self.tenant_id, self.device_id

    def instant(self, now: datetime) -> datetime:
        """What it says is of the last time that has come: what was missed before is not made up for."""
        interval = timedelta(seconds=self.interval_s)
        return self.due_at + max((now - self.due_at) // interval, 0) * interval

    def next(self, now: datetime) -> datetime:
        """When it is due again."""
        return self.instant(now) + timedelta(seconds=self.interval_s)


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """An attribute that a system works out."""

    tenant_id: TenantId
    device_id: DeviceId
    sensor_id: SensorId
    path: str
    data_type: DataType
    told: dict[str, Any]
    """`Attribute.system`."""

    @property
    def place(self) -> Place:
        """Of which system."""
        return self.tenant_id, self.device_id


class Said(msgspec.Struct, frozen=True):
    """What a system says about one of its attributes."""

    sensor_id: SensorId
    path: str
    value: Value


def fit_value(data_type: DataType, value: object) -> Value | None:
    """The value as an attribute of this type has it; None when it cannot have it: then it says nothing."""
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        value = int(value) if value.is_integer() and abs(value) < _EXACT else value
    match data_type, value:
        case DataType.NUMBER, int() | float():
            return value + 0  # of yes and no 1 and 0
        case DataType.BOOLEAN, 0 | 1:
            return bool(value)
        case DataType.STRING, str():
            return value
        case DataType.STRING, int() | float():
            return msgspec.json.encode(value).decode()
        case DataType.GPS, str():
            return read_place(value)
    return None


_EXACT = 2.0**53
