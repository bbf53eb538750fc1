"""Points as rows, for whoever takes many of them out."""

import math
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from roadstead.adapters.clickhouse import ClickHouseStore, Transport
from roadstead.adapters.clickhouse.tables import read_rows
from roadstead.core.messages import Reading, ValueType
from roadstead.core.ports import RowColumn
from roadstead.kernel.ids import DeviceId, new_id, to_bytes
from tests.adapters.conftest import Owner, instant, millis, span

DAY = span("2026-01-10", "2026-01-11")
COLUMNS = [
    RowColumn("motor/rpm", "rpm", ValueType.DOUBLE),
    RowColumn("motor/starts", "starts", ValueType.BIGINT),
    RowColumn("motor/on", "on", ValueType.BOOLEAN),
    RowColumn("motor/state", "state", ValueType.TEXT),
]


async def tables(pieces: AsyncIterator[bytes]) -> list[list[dict[str, Any]]]:
    """The rows of each piece."""
    return [pa.ipc.open_stream(piece).read_all().to_pylist() async for piece in pieces]


async def test_each_instant_is_a_row_with_each_path_in_its_type(
    store: ClickHouseStore, acme: Owner, globex: Owner
) -> None:
    await acme.write("motor/rpm", ("2026-01-10 08:00", 900.5), ("2026-01-10 08:01", math.nan), meta='{"q":1}')
    await acme.write("motor/starts", ("2026-01-10 08:00", 2**62 + 1), ("2026-01-10 08:02", -3))
    await acme.write("motor/on", ("2026-01-10 08:00", True), ("2026-01-10 08:02", False))
    await acme.write("motor/state", ("2026-01-10 08:00", "fein\n\"'"), ("2026-01-10 08:01", ""), meta='{"z":2}')
    await acme.write("motor/other", ("2026-01-10 08:03", 1.0))
    await acme.write("motor/rpm", ("2026-01-11 00:00", 5.0), ("2026-01-09 23:59", 5.0))
    await globex.write("motor/rpm", ("2026-01-10 08:00", 1.0))

    [rows] = await tables(store.rows(acme.id, [acme.device], COLUMNS, DAY))
    device = to_bytes(acme.device).hex()
    assert math.isnan(rows[1].pop("0"))
    assert rows == [
        {"digits": device, "at": instant("2026-01-10 08:00"), "0": 900.5, "1": 2**62 + 1, "2": True, "3": "fein\n\"'"}
        | {"metadata": '{"rpm":{"q":1},"state":{"z":2}}'},
        {"digits": device, "at": instant("2026-01-10 08:01"), "1": None, "2": None, "3": ""}
        | {"metadata": '{"rpm":{"q":1},"state":{"z":2}}'},
        {
            "digits": device,
            "at": instant("2026-01-10 08:02"),
            "0": None,
            "1": -3,
            "2": False,
            "3": None,
            "metadata": None,
        },
    ]


async def test_of_a_point_written_twice_the_later_one_counts(store: ClickHouseStore, acme: Owner) -> None:
    await acme.write("motor/state", ("2026-01-10 08:00", "new"), received="2026-01-10 09:00")
    await acme.write("motor/state", ("2026-01-10 08:00", "old"), received="2026-01-10 08:30", meta='{"old":true}')
    [[row]] = await tables(store.rows(acme.id, [acme.device], COLUMNS, DAY))
    assert (row["3"], row["metadata"]) == ("new", None)


async def test_pieces_are_small_and_together_all_that_there_is(transport: Transport, acme: Owner) -> None:
    random.seed(7)
    devices = [DeviceId(new_id()) for _ in range(6)]
    columns = acme.store.columns()
    written: dict[tuple[str, datetime], dict[str, float]] = {}
    for place, device in enumerate(devices):
        # The first sends evenly, the second all in one hour, the others little.
        count = 3_000 if place < 2 else 20
        width_ms = 86_400_000 if place != 1 else 1_800_000
        for at in random.sample(range(width_ms), count):
            readings = [Reading(path, millis("2026-01-10") + at, float(at)) for path in ("a", "b")]
            columns.add(acme.id, to_bytes(device), 0, readings)
            moment = datetime(2026, 1, 10, tzinfo=UTC) + timedelta(milliseconds=at)
            written[to_bytes(device).hex(), moment] = {"0": float(at), "1": float(at)}
    await acme.store.insert(columns)

    two = [RowColumn("a", "a", ValueType.DOUBLE), RowColumn("b", "b", ValueType.DOUBLE)]
    start, end = millis("2026-01-10"), millis("2026-01-11")
    pieces = await tables(read_rows(transport, acme.id, devices, two, start, end, most_weight=40_000))

    rows = [row for piece in pieces for row in piece]
    assert {(row["digits"], row["at"]): {"0": row["0"], "1": row["1"]} for row in rows} == written
    assert len(rows) == len(written)
    assert [(row["digits"], row["at"]) for row in rows] == sorted(written)
    assert max(map(len, pieces)) < 1_500
    assert len(pieces) < 40


async def test_nothing_is_nothing(store: ClickHouseStore, acme: Owner) -> None:
    assert await tables(store.rows(acme.id, [acme.device], COLUMNS, DAY)) == []
    assert await tables(store.rows(acme.id, [], COLUMNS, DAY)) == []
    assert await tables(store.rows(acme.id, [acme.device], [], DAY)) == []
    assert await tables(store.rows(acme.id, [acme.device], COLUMNS, span("2026-01-10", "2026-01-10"))) == []
