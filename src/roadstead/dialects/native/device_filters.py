"""The filters of /devices: as query parameters, and as an object in bulk operations."""

import math
from datetime import datetime
from typing import Annotated, TypeVar

from litestar.params import QueryParameter
from msgspec import Meta

from roadstead.core.registry import DeviceStatus
from roadstead.dialects.native.shapes import Body
from roadstead.kernel.errors import Invalid
from roadstead.kernel.filter import (
    NOTHING,
    And,
    Box,
    Circle,
    Compare,
    Exists,
    Filter,
    In,
    Match,
    MatchKind,
    Operator,
    Within,
    equals,
)
from roadstead.kernel.ids import parse_uuid

Instant = Annotated[datetime, Meta(tz=True)]

S = TypeVar("S", bound=str)

_FARTHEST_M = 20_100_000
"""A little more than half way round the globe."""


class DeviceFilter(Body):
    """The filters of contract operation `device.list`; those that are absent ask for nothing."""

    status: list[DeviceStatus] | DeviceStatus | None = None
    online: bool | None = None
    site_id: list[str] | str | None = None
    include_subsites: bool = True
    group_id: str | None = None
    device_profile: str | None = None
    tag: list[str] | str | None = None
    parent_device_id: str | None = None
    firmware_version: str | None = None
    q: str | None = None
    external_id: str | None = None
    last_seen_before: Instant | None = None
    last_seen_after: Instant | None = None
    near: str | None = None
    bbox: str | None = None

    def read(self) -> Filter:
        """In words of the core. Raises `Invalid` that names a filter that makes no sense."""
        parts: list[Filter] = [*self._read_attributes(), *self._read_relations()]
        parts += [_read_tag(tag) for tag in _many(self.tag)]
        if self.q is not None:
            parts.append(Match(("text",), MatchKind.TEXT, self.q))
        if self.last_seen_before is not None:
            parts.append(Compare(("lastSeenAt",), Operator.LT, self.last_seen_before))
        if self.last_seen_after is not None:
            parts.append(Compare(("lastSeenAt",), Operator.GE, self.last_seen_after))
        if self.near is not None:
            parts.append(Within(("location",), _read_circle(self.near)))
        if self.bbox is not None:
            parts.append(Within(("location",), _read_box(self.bbox)))
        return And(tuple(parts))

    def _read_attributes(self) -> list[Filter]:
        parts: list[Filter] = []
        if self.status is not None:
            parts.append(In(("status",), tuple(_many(self.status))))
        if self.online is not None:
            parts.append(equals("online", self.online))
        for name, value in (
            ("firmwareVersion", self.firmware_version),
            ("externalId", self.external_id),
            ("deviceProfile", self.device_profile),
        ):
            if value is not None:
                parts.append(equals(name, value))
        return parts

    def _read_relations(self) -> list[Filter]:
        parts: list[Filter] = []
        if self.site_id is not None:
            sites = [site for text in _many(self.site_id) if (site := parse_uuid(text)) is not None]
            parts.append(In(("siteTree" if self.include_subsites else "siteId",), tuple(sites)))
        for name, text in (("groupId", self.group_id), ("parentDeviceId", self.parent_device_id)):
            if text is not None:
                # What cannot be an id of ours is nobody's.
                id_ = parse_uuid(text)
                parts.append(NOTHING if id_ is None else equals(name, id_))
        return parts


def provide_filter(
    status: Annotated[list[DeviceStatus] | None, QueryParameter(description="repeat it to or")] = None,
    online: Annotated[bool | None, QueryParameter(description="connected at present")] = None,
    site_id: Annotated[list[str] | None, QueryParameter(name="siteId", description="repeat it to or")] = None,
    include_subsites: Annotated[
        bool, QueryParameter(name="includeSubsites", description="with siteId: also what is below")
    ] = True,
    group_id: Annotated[str | None, QueryParameter(name="groupId", description="members of a device group")] = None,
    device_profile: Annotated[
        str | None, QueryParameter(name="deviceProfile", description="key, or key@major.minor")
    ] = None,
    tag: Annotated[list[str] | None, QueryParameter(description="key or key:value; repeat it to and")] = None,
    parent_device_id: Annotated[str | None, QueryParameter(name="parentDeviceId")] = None,
    firmware_version: Annotated[str | None, QueryParameter(name="firmwareVersion")] = None,
    q: Annotated[
        str | None,
        QueryParameter(description="each word begins a word of name, external id or serial number", max_length=200),
    ] = None,
    external_id: Annotated[str | None, QueryParameter(name="externalId")] = None,
    last_seen_before: Annotated[
        Instant | None, QueryParameter(name="lastSeenBefore", description="to the minute; exclusive")
    ] = None,
    last_seen_after: Annotated[
        Instant | None, QueryParameter(name="lastSeenAfter", description="to the minute; inclusive")
    ] = None,
    near: Annotated[str | None, QueryParameter(description="latitude,longitude,meters")] = None,
    bbox: Annotated[
        str | None, QueryParameter(description="minLon,minLat,maxLon,maxLat; minLon > maxLon crosses the date line")
    ] = None,
) -> DeviceFilter:
    """The filters of a request."""
    return DeviceFilter(
        status=status,
        online=online,
        site_id=site_id,
        include_subsites=include_subsites,
        group_id=group_id,
        device_profile=device_profile,
        tag=tag,
        parent_device_id=parent_device_id,
        firmware_version=firmware_version,
        q=q,
        external_id=external_id,
        last_seen_before=last_seen_before,
        last_seen_after=last_seen_after,
        near=near,
        bbox=bbox,
    )


def _many(value: list[S] | S | None) -> list[S]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _read_tag(text: str) -> Filter:
    key, colon, value = text.partition(":")
    if not key:
        raise Invalid.field("tag", "is 'key' or 'key:value'", place="query")
    return Compare(("tags", key), Operator.EQ, value) if colon else Exists(("tags", key))


def _read_circle(text: str) -> Circle:
    numbers = _numbers(text, 3)
    if numbers is None or not _is_place(*numbers[:2]) or not 0 < numbers[2] <= _FARTHEST_M:
        raise Invalid.field("near", "is 'latitude,longitude,meters', for instance 52.52,13.41,500", place="query")
    return Circle(*numbers)


def _read_box(text: str) -> Box:
    numbers = _numbers(text, 4)
    if numbers is not None:
        west, south, east, north = numbers
        if _is_place(south, west) and _is_place(north, east) and south <= north:
            return Box(south, west, north, east)
    raise Invalid.field("bbox", "is 'minLon,minLat,maxLon,maxLat', for instance 13.0,52.3,13.8,52.7", place="query")


def _is_place(latitude: float, longitude: float) -> bool:
    return -90 <= latitude <= 90 and -180 <= longitude <= 180


def _numbers(text: str, count: int) -> list[float] | None:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        return None
    return numbers if len(numbers) == count and all(map(math.isfinite, numbers)) else None
