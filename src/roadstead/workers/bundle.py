"""A ZIP with tables and a manifest, written piece by piece: however large it is, memory holds a part of one table."""

import asyncio
import threading
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from enum import StrEnum
from typing import BinaryIO

import msgspec
from arro3.core import RecordBatch, RecordBatchReader, Schema
from arro3.io import write_csv, write_ndjson, write_parquet

from roadstead.kernel import time

_ROW_GROUP_CELLS = 16_000_000
_LEAST_ROW_GROUP, _MOST_ROW_GROUP = 16_384, 1_048_576


class TableFormat(StrEnum):
    """How tables are spelled."""

    PARQUET = "PARQUET"
    CSV = "CSV"
    NDJSON = "NDJSON"

    @property
    def suffix(self) -> str:
        """Of the name of a file."""
        return f".{self.lower()}"


class Sheet(msgspec.Struct, frozen=True):
    """One table: its name in the ZIP, without a suffix, and its rows."""

    name: str
    schema: Schema
    batches: AsyncIterator[RecordBatch]
    """Each of the schema. What they raise, `write_bundle` raises."""


class _Stopped(Exception):
    """Nobody wants the rest."""


async def write_bundle(
    file: BinaryIO, sheets: Sequence[Sheet], format_: TableFormat, manifest: Callable[[], bytes]
) -> None:
    """Write the ZIP to a file that can seek: the sheets in their order, then `manifest.json`, asked for last.

    Parquet packs its columns itself and is stored as it is; the others are deflated. Works in a thread of its own and
    asks for batches on the loop.
    """
    stopped = threading.Event()
    loop = asyncio.get_running_loop()
    thread = asyncio.ensure_future(asyncio.to_thread(_write, file, sheets, format_, manifest, loop, stopped))
    try:
        await asyncio.shield(thread)
    except asyncio.CancelledError:
        stopped.set()
        await asyncio.wait([thread])  # The file is still in its hands.
        thread.exception()
        raise


def _write(
    file: BinaryIO,
    sheets: Sequence[Sheet],
    format_: TableFormat,
    manifest: Callable[[], bytes],
    loop: asyncio.AbstractEventLoop,
    stopped: threading.Event,
) -> None:
    with zipfile.ZipFile(file, "w") as bundle:
        for sheet in sheets:
            with bundle.open(_entry(sheet.name + format_.suffix, format_), "w", force_zip64=True) as member:
                failed: list[Exception] = []
                reader = RecordBatchReader.from_batches(sheet.schema, _pull(sheet.batches, loop, stopped, failed))
                try:
                    _spell(reader, member, format_, len(sheet.schema))  # type: ignore[arg-type]
                except Exception as error:
                    raise (failed[0] if failed else error) from None  # The library's own only repeats it as text.
        bundle.writestr(_entry("manifest.json", TableFormat.NDJSON), manifest())


def _entry(name: str, format_: TableFormat) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, time.now().timetuple()[:6])
    entry.compress_type = zipfile.ZIP_STORED if format_ is TableFormat.PARQUET else zipfile.ZIP_DEFLATED
    return entry


def _spell(reader: RecordBatchReader, member: BinaryIO, format_: TableFormat, columns: int) -> None:
    match format_:
        case TableFormat.PARQUET:
            rows = max(_LEAST_ROW_GROUP, min(_MOST_ROW_GROUP, _ROW_GROUP_CELLS // columns))
            write_parquet(reader, member, compression="zstd(3)", max_row_group_size=rows)
        case TableFormat.CSV:
            write_csv(reader, member)
        case TableFormat.NDJSON:
            write_ndjson(reader, member)


def _pull(
    batches: AsyncIterator[RecordBatch],
    loop: asyncio.AbstractEventLoop,
    stopped: threading.Event,
    failed: list[Exception],
) -> Iterator[RecordBatch]:
    """The batches of the loop, for a thread."""
    try:
        while not stopped.is_set():
            batch = asyncio.run_coroutine_threadsafe(_next(batches), loop).result()
            if batch is None:
                return
            yield batch
        raise _Stopped
    except Exception as error:
        failed.append(error)
        raise


async def _next(batches: AsyncIterator[RecordBatch]) -> RecordBatch | None:
    return await anext(batches, None)
