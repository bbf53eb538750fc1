"""What a file of points is, and what shall be in it."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

import msgspec

from roadstead.core.ports import Span
from roadstead.core.timeseries.curves import Point
from roadstead.core.timeseries.device_series import DeviceGroup
from roadstead.core.timeseries.frames import Frames
from roadstead.core.timeseries.model import SeriesId


class Wanted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is in a file: series of devices or of the tenant's own, in a span, as they are or boiled down."""

    groups: list[DeviceGroup] = []
    series_ids: list[SeriesId] = []
    """In order."""
    span: Span
    frames: Frames | None = None
    before: datetime | None = None
    """Of the first of `series_ids` only what lies before this: the rest is in the file before."""


class PointsFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of points, or what will be one."""

    id: UUID
    form: str
    """What it looks like: the name of a `PointsSpeller`."""
    base_url: str
    """What URLs in it begin with."""
    wanted: Wanted
    status: str
    created_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    lease: UUID | None = None

    @property
    def is_ready(self) -> bool:
        """Whether it is there."""
        return self.status == "READY"

    @property
    def changed_at(self) -> datetime:
        """When its status has changed last."""
        return self.completed_at or self.started_at or self.created_at


def file_name(job_id: UUID, lease: UUID | None) -> str:
    """Where the file of one try lies within the organization."""
    return f"{job_id}/{lease}/points.json"


class Piece(msgspec.Struct, frozen=True):
    """Some points of one series, newest first. The pieces of a series follow each other; there is at least one."""

    owner: UUID
    """The device, or the series of the tenant's own."""
    path: str
    """Of the device."""
    points: list[Point]


PointsSpeller: TypeAlias = Callable[[PointsFile, AsyncIterator[Piece], Callable[[], UUID | None]], AsyncIterator[bytes]]
"""How a dialect spells a file. The last argument says, once there are no more pieces, which file has the rest."""
