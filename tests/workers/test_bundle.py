"""A bundle is written piece by piece."""

import asyncio
import io
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator

import pyarrow.parquet as pq
import pytest
from arro3.core import Array, DataType, Field, RecordBatch, Schema

from roadstead.workers.bundle import Sheet, TableFormat, write_bundle

SCHEMA = Schema([Field("n", DataType.int64())])

MEASURE = """
import asyncio, io, resource, sys, tempfile
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa

from roadstead.adapters.blobs import FolderBlobs
from roadstead.core import exports
from roadstead.core.exports import Field, Plan, Strand, StrandPage
from roadstead.core.messages import ValueType
from roadstead.core.ports import RowColumn
from roadstead.kernel.ids import DeviceId, new_id, to_bytes
from roadstead.workers import export_course
from roadstead.workers.bundle import Sheet, TableFormat, write_bundle
from roadstead.workers.export_pieces import Gathering
from roadstead.workers.export_tables import ReadingsTable

ROWS, DEVICE, START = 100_000, DeviceId(new_id()), datetime(1970, 1, 1, tzinfo=UTC)

class Store:
    async def rows(self, tenant, devices, columns, span):
        values = pa.array([n * 7919 % 104729 / 8 for n in range(ROWS)])
        digits = pa.array([to_bytes(DEVICE).hex()] * ROWS)
        nothing = pa.nulls(ROWS, pa.string())
        for piece in range(int(sys.argv[1])):
            at = pa.array(range(piece * ROWS, (piece + 1) * ROWS), pa.timestamp("ms", "UTC"))
            table = pa.record_batch([digits, at, values, nothing], ["digits", "at", "0", "metadata"])
            with io.BytesIO() as file:
                with pa.ipc.new_stream(file, table.schema) as stream:
                    stream.write_batch(table)
                yield file.getvalue()

class Nowhere:
    @asynccontextmanager
    async def tx(self):
        yield None

async def strands(database, job, after):
    yield StrandPage([Strand({DEVICE: "pump"}, None, [RowColumn("rpm", "rpm", ValueType.DOUBLE)])], DEVICE)

async def add_piece(*_, **__):
    return True

async def main():
    export_course.iterate_strands, exports.add_piece = strands, add_piece
    plan = Plan(scope_name="pump", fields=[Field("rpm", ValueType.DOUBLE)], until=datetime.now(UTC))
    job = SimpleNamespace(
        tenant_id=1, organization_id=new_id(), id=new_id(), lease=new_id(), pieces=[], plan=plan,
        export=SimpleNamespace(from_at=START),
    )
    ports = SimpleNamespace(telemetry=Store(), blobs=FolderBlobs(Path(sys.argv[2])))
    gathering, table = Gathering(Nowhere(), ports, job), ReadingsTable(plan.fields)
    await gathering.run()
    with tempfile.TemporaryFile(dir=sys.argv[2]) as file:
        sheet = Sheet("readings", table.schema, table.batches(gathering.answers()))
        await write_bundle(file, [sheet], TableFormat.PARQUET, lambda: b"{}")
    assert gathering.readings == table.readings
    print(table.readings, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)

asyncio.run(main())
"""


async def numbers(*pieces: range) -> AsyncIterator[RecordBatch]:
    """Some rows."""
    for piece in pieces:
        yield RecordBatch.from_arrays([Array(list(piece), type=DataType.int64())], schema=SCHEMA)


async def test_a_bundle_has_its_sheets_and_a_manifest_that_was_asked_for_last() -> None:
    told: list[str] = []

    async def counted() -> AsyncIterator[RecordBatch]:
        async for batch in numbers(range(3), range(3, 5)):
            told.append("batch")
            yield batch

    def manifest() -> bytes:
        told.append("manifest")
        return b"{}"

    file = io.BytesIO()
    sheets = [Sheet("a", SCHEMA, counted()), Sheet("b", SCHEMA, numbers())]
    await write_bundle(file, sheets, TableFormat.PARQUET, manifest)

    assert told == ["batch", "batch", "manifest"]
    with zipfile.ZipFile(file) as bundle:
        entries = {entry.filename: entry.compress_type for entry in bundle.infolist()}
        assert entries == {
            "a.parquet": zipfile.ZIP_STORED,
            "b.parquet": zipfile.ZIP_STORED,
            "manifest.json": zipfile.ZIP_DEFLATED,
        }
        assert pq.read_table(io.BytesIO(bundle.read("a.parquet")))["n"].to_pylist() == [0, 1, 2, 3, 4]
        assert pq.read_table(io.BytesIO(bundle.read("b.parquet"))).num_rows == 0


async def test_what_a_source_raises_comes_out_as_it_is() -> None:
    async def broken() -> AsyncIterator[RecordBatch]:
        async for batch in numbers(range(3)):
            yield batch
        raise LookupError("gone")

    for format_ in TableFormat:
        with pytest.raises(LookupError, match="gone"):
            await write_bundle(io.BytesIO(), [Sheet("a", SCHEMA, broken())], format_, lambda: b"{}")


async def test_whoever_is_cancelled_has_left_the_file_alone_when_it_is_over() -> None:
    asked = 0

    async def endless() -> AsyncIterator[RecordBatch]:
        nonlocal asked
        while True:
            async for batch in numbers(range(1_000)):
                asked += 1
                yield batch

    file = io.BytesIO()
    writing = asyncio.create_task(write_bundle(file, [Sheet("a", SCHEMA, endless())], TableFormat.CSV, lambda: b"{}"))
    async with asyncio.timeout(20):
        while asked < 10:
            await asyncio.sleep(0.001)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    size, before = len(file.getvalue()), asked
    await asyncio.sleep(0.05)
    assert (len(file.getvalue()), asked) == (size, before)


def test_memory_does_not_grow_with_the_rows(tmp_path: object) -> None:
    def measure(pieces: int) -> int:
        """The most memory of a process that exports so many times a hundred thousand readings, in MB."""
        command = [sys.executable, "-c", MEASURE, str(pieces), str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
        readings, most_kib = map(int, done.stdout.split())
        assert readings == pieces * 100_000
        return most_kib // 1024

    assert measure(30) < measure(10) + 40, "two million readings more are 100 MB"
