"""Reads what is in a file of points, series by series. Memory holds a page of one of them."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from itertools import islice
from uuid import UUID

import msgspec

from roadstead.core import telemetry, types
from roadstead.core.ports import Span, TelemetryStore
from roadstead.core.timeseries import service, store
from roadstead.core.timeseries.curves import Curve, Point, walk_frames, walk_points
from roadstead.core.timeseries.device_series import DeviceGroup, curve_of, find_channel
from roadstead.core.timeseries.frames import fits
from roadstead.core.timeseries.job_model import Piece, Wanted
from roadstead.db import Database
from roadstead.kernel import time
from roadstead.kernel.ids import DeviceId, TenantId
from roadstead.kernel.time import from_millis

MOST_IN_FILE = 100_000
"""Points of the tenant's own series in one file, about: the rest goes into another."""
_AHEAD = timedelta(hours=1)
_AT_ONCE = 200
"""Devices or series that are looked up together."""


class PointsReader:
    """One walk through what is wanted."""

    def __init__(self, database: Database, points: TelemetryStore, tenant: TenantId, wanted: Wanted) -> None:
        self._database = database
        self._points = points
        self._tenant = tenant
        self._wanted = wanted
        self.readings = 0
        """Points so far."""
        self.rest: Wanted | None = None
        """What did not fit in, once there are no more pieces."""

    async def pieces(self) -> AsyncIterator[Piece]:
        """All of it, newest first within each series; no transaction is open while the caller works."""
        for group in self._wanted.groups:
            for first in range(0, len(group.device_ids), _AT_ONCE):
                async for piece in self._of_devices(group, group.device_ids[first : first + _AT_ONCE]):
                    yield piece
        async for piece in self._of_tenant():
            yield piece

    async def _of_devices(self, group: DeviceGroup, device_ids: Sequence[DeviceId]) -> AsyncIterator[Piece]:
        # Devices do not speak of the future: nobody looks there.
        span = Span(self._wanted.span.start, min(self._wanted.span.end, time.now() + _AHEAD))
        spellings = [spelling for wanted in group.paths for spelling in types.spellings(wanted.path)]
        async with self._database.tx(self._tenant) as tx:
            channels = await telemetry.load_channels(tx, self._tenant, device_ids, spellings)
        for device_id in device_ids:
            for wanted in group.paths:
                channel = find_channel(channels, device_id, wanted.path)
                told = False
                if channel is not None:
                    async for points in self._walk(curve_of(self._tenant, channel, wanted), span):
                        yield _piece(device_id, wanted.path, points)
                        told = True
                if not told:
                    yield Piece(device_id, wanted.path, [])

    async def _of_tenant(self) -> AsyncIterator[Piece]:
        series_ids = self._wanted.series_ids
        before = self._wanted.before
        for first in range(0, len(series_ids), _AT_ONCE):
            async with self._database.tx(self._tenant) as tx:
                known = await store.select_many(tx, self._tenant, series_ids[first : first + _AT_ONCE])
            for position, series_id in enumerate(islice(series_ids, first, first + _AT_ONCE), first):
                series = known.get(series_id)
                if series is None:
                    continue
                span = self._wanted.span if before is None or position else Span(self._wanted.span.start, before)
                async for points in self._walk(service.curve_of(self._tenant, series), span):
                    yield _piece(series_id, "", points)
                    if self.readings >= MOST_IN_FILE and points:
                        self.rest = msgspec.structs.replace(
                            self._wanted, series_ids=series_ids[position:], before=from_millis(points[-1].at)
                        )
                        return

    async def _walk(self, curve: Curve, span: Span) -> AsyncIterator[list[Point]]:
        """Nothing where the values cannot be boiled down like that."""
        frames = self._wanted.frames
        if frames is not None and not fits(curve.value_type, frames.aggregation):
            return
        if frames is None:
            walk = walk_points(self._points, curve, span)
        else:
            walk = walk_frames(self._points, curve, span, frames)
        async for points in walk:
            self.readings += len(points)
            yield points


def _piece(owner: UUID, path: str, points: Sequence[Point]) -> Piece:
    """Frames without a number have nothing to tell."""
    return Piece(owner, path, [point for point in points if point.value is not None])
