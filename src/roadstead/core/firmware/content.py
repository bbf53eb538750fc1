"""The content of firmware as it is kept: parts in order, each a file of the blob store."""

from collections.abc import AsyncIterator, Sequence

from roadstead.core.firmware import store
from roadstead.core.firmware.model import Part
from roadstead.core.ports import Blobs
from roadstead.db import Database

_SWEPT_AT_ONCE = 100


async def read_parts(blobs: Blobs, parts: Sequence[Part], start: int, end: int) -> AsyncIterator[bytes]:
    """Bytes `start` to before `end`, in pieces of a few MB; parts are in order and without a gap."""
    for part in parts:
        first, last = max(start - part.start, 0), min(end - part.start, part.size_bytes)
        if first < last:
            async for piece in blobs.read(part.blob_key, start=first, end=last):
                yield piece


async def sweep_parts(database: Database, blobs: Blobs) -> int:
    """Delete files that are of no use: of uploads that were cut off or began anew, of firmware that was deleted.

    Says how many. For the system duty. The row goes after its file, so whatever is cut off here is done the next time;
    deleting twice does no harm.
    """
    async with database.tx() as tx:
        doomed = await store.lock_doomed_parts(tx, _SWEPT_AT_ONCE)
        for _, _, key in doomed:
            await blobs.delete(key)
        if doomed:
            await store.delete_parts(tx, [(tenant, id_) for tenant, id_, _ in doomed])
    return len(doomed)
