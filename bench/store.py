"""Looks at the telemetry store past the platform: how much there is, whether it is what was sent."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import TypeVar
from uuid import UUID

import msgspec

from bench.load.messages import VALUES
from bench.load.plan import Device
from bench.platform import Platform, PlatformFailed
from roadstead.adapters.clickhouse import HttpTransport
from roadstead.bus import UPLINK, connect, pending
from roadstead.kernel import ids
from roadstead.kernel.ids import TenantId

_POLL_S = 0.1
T = TypeVar("T")


class Sizes(msgspec.Struct, frozen=True):
    """How the points lie on disk."""

    parts: int
    points: int
    """Rows; one that was stored twice counts twice until parts are merged."""
    size_bytes: int
    number_bytes: int
    """What the values alone take of it."""


class Check(msgspec.Struct, frozen=True):
    """What was acknowledged against what is there."""

    expected: int
    """Points that were acknowledged."""
    found: int
    """Of them, those that are there: different series and times."""
    beyond: int
    """Points that are there and were not acknowledged."""


async def sizes(store: HttpTransport) -> Sizes:
    """All points of the platform."""
    where = "WHERE database = currentDatabase() AND table = 'point' AND active"
    sql = f"""
        SELECT count(), sum(rows), sum(bytes_on_disk),
               (SELECT sum(column_data_compressed_bytes) FROM system.parts_columns {where} AND column = 'number')
        FROM system.parts {where}
    """
    [row] = await ask(store, sql, {}, tuple[int, int, int, int])
    return Sizes(*row)


async def ask(store: HttpTransport, sql: str, parameters: Mapping[str, str | int], kind: type[T]) -> list[T]:
    """Rows of a query."""
    answer = await store.query(sql, parameters)
    return msgspec.json.Decoder(kind).decode_lines(answer)


async def await_empty_log(platform: Platform, *, timeout_s: float = 300) -> float:
    """Until everything that devices sent is in the store; how long that took."""
    bus = await connect(platform.settings.nats_url, name="benchmark", timeout_s=10)
    try:
        began = time.perf_counter()
        while await pending(bus, UPLINK):
            if time.perf_counter() - began > timeout_s:
                raise PlatformFailed(f"the store has not worked off the log in {timeout_s:.0f} s")
            await asyncio.sleep(_POLL_S)
        return time.perf_counter() - began
    finally:
        await bus.close()


async def check(
    store: HttpTransport, tenant: TenantId, devices: Sequence[Device], acknowledged: Sequence[int], base_ms: int
) -> Check:
    """Every acknowledged message of every device, point by point: message n of a device has the time `base_ms` + n."""
    found = beyond = 0
    for device, count in zip(devices, acknowledged, strict=True):
        parameters: dict[str, str | int] = {
            "tenant": tenant, "device": ids.to_bytes(UUID(device.id)).hex(), "base": base_ms, "end": base_ms + count,
        }  # fmt: skip
        [(there, more)] = await ask(store, _COUNT, parameters, tuple[int, int])
        found, beyond = found + there, beyond + more
    return Check(expected=sum(acknowledged) * VALUES, found=found, beyond=beyond)


_COUNT = """
    SELECT countIf(at_ms < {end:Int64}), countIf(at_ms >= {end:Int64}) FROM (
        SELECT path, toUnixTimestamp64Milli(at) AS at_ms FROM point_of(tenant = {tenant:UInt32})
        WHERE device = toFixedString(unhex({device:String}), 12) AND at >= fromUnixTimestamp64Milli({base:Int64}, 'UTC')
        GROUP BY path, at
    )
"""
