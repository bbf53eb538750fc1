"""Points: how they and their times are spelled, in answers and in files; which span and frames are asked for."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar.params import QueryParameter
from litestar.response import Stream
from msgspec import Meta

from roadstead.core import types
from roadstead.core.ports import Span
from roadstead.core.timeseries import Piece, Point, PointsFile, PointsSpeller, read_span
from roadstead.core.work import Work
from roadstead.kernel.errors import Invalid
from roadstead.kernel.time import from_millis, parse_instant

StartTime = Annotated[str | None, QueryParameter(name="startTime")]
EndTime = Annotated[str | None, QueryParameter(name="endTime")]
JsonPath = Annotated[str, QueryParameter(name="path")]
Instant = Annotated[datetime, Meta(tz=True)]

_BEGINNING = len("2020-01-01T00:00:00")

Pieces = AsyncIterator[Piece]
FindNext = Callable[[], UUID | None]


class PointShape(msgspec.Struct, frozen=True, gc=False):
    """`DeviceDataPoint`, `TimeseriesInsightDataPoint`, `TimeseriesDataPoint`."""

    value: Any
    time: str

    @classmethod
    def of(cls, point: Point) -> "PointShape":
        return cls(point.value, spell_time(point.at))

    @classmethod
    def of_frame(cls, point: Point) -> "PointShape":
        return cls(point.value, spell_frame(point.at))


class OwnedPointShape(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """`TimeseriesBulkDataPoint`."""

    timeseries_id: UUID
    value: Any
    time: str


def spell_time(at: int) -> str:
    """When a point was measured: no more digits than it takes."""
    fraction = f"{at % 1000:03d}".rstrip("0")
    return from_millis(at).isoformat()[:_BEGINNING] + (f".{fraction}Z" if fraction else "Z")


def spell_frame(at: int) -> str:
    """When a frame begins: with milliseconds."""
    return f"{from_millis(at).isoformat()[:_BEGINNING]}.{at % 1000:03d}Z"


def read_query_span(start: str | None, end: str | None) -> Span | None:
    """The span of a query, open where nothing was sent; None when neither was. Raises `Invalid`."""
    if start is None and end is None:
        return None
    return read_span(_read_time(start, "startTime"), _read_time(end, "endTime"))


def read_path(text: str) -> str:
    """A JSON path as the core has it. Raises `Invalid`."""
    path = types.parse_json_path(text)
    if path is None:
        detail = "is no JSON path of one value, from $.attributes. or $.configuration. on"
        raise Invalid.field("path", detail, place="query")
    return path


def _read_time(text: str | None, name: str) -> datetime | None:
    if text is None:
        return None
    # A plus that was not percent-encoded arrives as a space.
    instant = parse_instant(text.replace(" ", "+"))
    if instant is None:
        raise Invalid.field(name, "is no RFC 3339 time with an offset, such as 2020-01-07T08:15:00Z", place="query")
    return instant


# --- files -----------------------------------------------------------------------------------------------------------

DUMP, BULK_DUMP, BULK_AGGREGATION, FILE = (
    f"lightelligence/{form}" for form in ("dump", "bulk-dump", "bulk-aggregation", "file")
)


async def send_points(work: Work, key: str) -> Stream:
    """A file as it lies in the blob store."""
    blob = await work.ports.blobs.head(key)
    headers = {"Content-Length": str(blob.size_bytes), "Cache-Control": "private"}
    return Stream(work.ports.blobs.read(key), media_type="application/json", headers=headers)


async def _spell_dump(file: PointsFile, pieces: Pieces, find_next: FindNext) -> AsyncIterator[bytes]:
    """An array of points."""
    lead = b"["
    async for piece in pieces:
        if piece.points:
            yield lead + _join([PointShape.of(point) for point in piece.points])
            lead = b","
    yield b"]" if lead == b"," else b"[]"


async def _spell_devices(file: PointsFile, pieces: Pieces, find_next: FindNext) -> AsyncIterator[bytes]:
    """An array with an entry for each device and path, that has an array of points."""
    spell = PointShape.of if file.wanted.frames is None else PointShape.of_frame
    current: tuple[UUID, str] | None = None
    lead = b""
    async for piece in pieces:
        if current != (piece.owner, piece.path):
            path = msgspec.json.encode(types.spell_json_path(piece.path)).decode()
            yield b"[" if current is None else b"]},"
            yield f'{{"deviceId":"{piece.owner}","path":{path},"datapoints":['.encode()
            current, lead = (piece.owner, piece.path), b""
        if piece.points:
            yield lead + _join([spell(point) for point in piece.points])
            lead = b","
    yield b"[]" if current is None else b"]}]"


async def _spell_file(file: PointsFile, pieces: Pieces, find_next: FindNext) -> AsyncIterator[bytes]:
    """An object with an array of points of several series, and the URL that leads to the rest."""
    spell = spell_time if file.wanted.frames is None else spell_frame
    yield b'{"data":['
    lead = b""
    async for piece in pieces:
        if piece.points:
            yield lead + _join([OwnedPointShape(piece.owner, one.value, spell(one.at)) for one in piece.points])
            lead = b","
    next_id = find_next()
    url = f"{file.base_url}/v1/timeseries/requests/{next_id}" if next_id else ""
    yield b'],"meta":' + msgspec.json.encode({"nextRequestUrl": url}) + b"}"


def _join(shapes: Sequence[msgspec.Struct]) -> bytes:
    return msgspec.json.encode(shapes)[1:-1]


POINTS_SPELLERS: Mapping[str, PointsSpeller] = {
    DUMP: _spell_dump,
    BULK_DUMP: _spell_devices,
    BULK_AGGREGATION: _spell_devices,
    FILE: _spell_file,
}
"""By the form of a file."""
