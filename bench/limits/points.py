"""The least a store can do: the same points, made ready beforehand, inserted straight into it by one writer."""

import math
import random
import time
from collections.abc import Sequence
from uuid import UUID

from bench.load.messages import COMPONENT, FIELDS
from bench.load.plan import Device
from roadstead.adapters.clickhouse import ClickHouseStore, HttpTransport
from roadstead.core.messages import Reading
from roadstead.core.ports import PointColumns
from roadstead.kernel import ids
from roadstead.kernel.ids import TenantId

SOMEBODY_ELSE = TenantId(2_000_000_000)
"""Whom these points belong to, so that they are not among those that are counted."""

_BATCH_MESSAGES = 12_000


async def insert_rate(transport: HttpTransport, devices: Sequence[Device], base_ms: int, *, seconds: float) -> float:
    """Points a second, in batches of 60,000 with fsync, as the platform makes them. Building them is not counted."""
    store = ClickHouseStore(transport)
    keys = [ids.to_bytes(UUID(device.id)) for device in devices]
    points, took, number = 0, 0.0, 0
    while took < seconds:
        batch = _batch(store, keys, base_ms, number)
        number += _BATCH_MESSAGES
        count = batch.count
        began = time.perf_counter()
        await store.insert(batch)
        took += time.perf_counter() - began
        points += count
    return points / took


def _batch(store: ClickHouseStore, keys: Sequence[bytes], base_ms: int, first: int) -> PointColumns:
    """Like what devices send: one message after the other, device by device."""
    columns, noise = store.columns(), random.Random(first).random
    for number in range(first, first + _BATCH_MESSAGES):
        turn, device = divmod(number, len(keys))
        wave = math.sin(turn / 500 + device)
        columns.add(
            SOMEBODY_ELSE, keys[device], base_ms + turn,
            [
                Reading(f"{COMPONENT}/{name}", base_ms + turn, round(30 + 10 * position + 8 * wave + noise(), 2))
                for position, name in enumerate(FIELDS)
            ],
        )  # fmt: skip
    return columns
