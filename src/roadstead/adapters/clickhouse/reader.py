"""Runs queries and turns their rows into structs."""

from collections.abc import Awaitable, Hashable
from functools import cache
from typing import Any, TypeVar, cast

import msgspec

from roadstead.adapters.clickhouse.queries import Query
from roadstead.adapters.clickhouse.transport import StatementFailed, Transport
from roadstead.core.ports import StoredPoint
from roadstead.kernel.errors import TooLarge, Unavailable
from roadstead.kernel.ids import DeviceId, from_bytes

T = TypeVar("T")

_TOO_MUCH = {158, 159, 160, 241, 307, 396}  # rows, time, speed, memory, bytes, result: over the limit of one query
_NO_ROOM = {75, 243}  # cannot write; not enough space
_OVERLOADED = {202, 203, 209, 210, 242, 252, 319, 439, 745}  # over what the server can do now


class PointRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A row of `queries.select_points`."""

    device: str
    path: str
    at: int
    number: float | None
    text: str
    meta: str
    received: int

    def point(self) -> StoredPoint:
        """The same for the port."""
        device = device_of(self.device)
        return StoredPoint(device, self.path, self.at, self.number, self.text, self.meta, self.received)


class ContentRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a point says, where its series is known."""

    at: int
    number: float | None
    text: str
    meta: str
    received: int

    def point(self, device: DeviceId, path: str) -> StoredPoint:
        """The same for the port."""
        return StoredPoint(device, path, self.at, self.number, self.text, self.meta, self.received)


async def rows(transport: Transport, query: Query, kind: type[T]) -> list[T]:
    """The rows of a query, each an array-like struct or a tuple."""
    return decode(await reach(transport.query(query.sql, query.parameters)), kind)


def decode(body: bytes, kind: type[T]) -> list[T]:
    """Rows as they came."""
    decoded: list[T] = _decoder(cast(Hashable, kind)).decode_lines(body)
    return decoded


async def reach(call: Awaitable[T]) -> T:
    """What a transport answers, with failures that a caller can be told where they are of that kind."""
    try:
        return await call
    except StatementFailed as error:
        if error.code in _TOO_MUCH:
            raise TooLarge(
                "this needs more time or memory than one query may have: ask for a shorter time or fewer series"
            ) from error
        if error.code in _OVERLOADED:
            raise Unavailable("the telemetry store is overloaded") from error
        if error.code in _NO_ROOM or "No space left on device" in str(error):
            raise Unavailable("the telemetry store has no room on its disk") from error
        raise


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    # Not strict: a server may be set up to spell 64-bit integers in quotes.
    return msgspec.json.Decoder(kind, strict=False)


def device_of(digits: str) -> DeviceId:
    """The id behind 24 hex digits."""
    known = _devices.get(digits)
    if known is None:
        if len(_devices) >= 10_000:
            _devices.clear()
        known = _devices[digits] = DeviceId(from_bytes(bytes.fromhex(digits)))
    return known


_devices: dict[str, DeviceId] = {}
"""Most results are about a few devices, each named in every row."""
