"""Files in a bucket, through `obstore`; reading is the same for a folder."""

from collections.abc import AsyncIterable, AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from roadstead.core.ports import BlobInfo, check_blob_key
from roadstead.kernel.errors import NotFound, Unavailable

if TYPE_CHECKING:
    from obstore import ObjectMeta

_PIECE_BYTES = 4 * 1024 * 1024
_PART_BYTES = 8 * 1024 * 1024
_PARTS_AT_ONCE = 2
"""So an upload holds at most three parts in memory, and a file has at most 80 GB, which are 10,000 parts."""


class BucketBlobs:
    """`Blobs` over anything `obstore` can reach."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def put(self, key: str, content: bytes | AsyncIterable[bytes]) -> BlobInfo:
        """Store, whole or not at all; the cloud has it durably when it says so."""
        check_blob_key(key)
        failed: list[BaseException] = []
        with _failures(key, failed):
            await obstore.put_async(
                self._store,
                key,
                content if isinstance(content, bytes) else _noting(content, failed),
                chunk_size=_PART_BYTES,
                max_concurrency=_PARTS_AT_ONCE,
            )
        return await self.head(key)

    async def head(self, key: str) -> BlobInfo:
        """What is known of it. Raises `NotFound` when there is none."""
        check_blob_key(key)
        with _failures(key):
            return _info(await obstore.head_async(self._store, key))

    async def read(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The content in pieces. Each is a request of its own, so a slow reader holds no connection to the store."""
        size = (await self.head(key)).size_bytes
        end = size if end is None else min(end, size)
        while start < end:
            stop = min(start + _PIECE_BYTES, end)
            with _failures(key):
                piece = await obstore.get_range_async(self._store, key, start=start, end=stop)
            yield piece.to_bytes()
            start = stop

    async def delete(self, key: str) -> None:
        """Forget it; nothing happens when there is none."""
        check_blob_key(key)
        try:
            with _failures(key):
                await obstore.delete_async(self._store, key)
        except NotFound:
            return

    async def list(self, prefix: str) -> AsyncIterator[BlobInfo]:
        """All whose key begins with the prefix."""
        with _failures(prefix):
            async for found in obstore.list(self._store, prefix or None):
                for one in found:
                    yield _info(one)

    async def ready(self) -> None:
        """Raises `Unavailable` when the store cannot be reached."""
        with _failures(""):
            await obstore.list_with_delimiter_async(self._store, "ready")


async def _noting(content: AsyncIterable[bytes], failed: list[BaseException]) -> AsyncIterator[bytes]:
    """The same, and what it raises."""
    try:
        async for piece in content:
            yield piece
    except BaseException as error:
        failed.append(error)
        raise


@contextmanager
def _failures(key: str, others: Sequence[BaseException] = ()) -> Iterator[None]:
    """The failures of the library, but not those of others, in our words.

    Its own may hold secrets on all lines but the first.
    """
    try:
        yield
    except (BaseError, OSError) as error:
        if error in others:
            raise
        if isinstance(error, FileNotFoundError):
            raise NotFound("file", key) from None
        reason = str(error).partition("\n")[0]
        raise Unavailable("the blob store cannot be reached") from RuntimeError(reason)


def _info(meta: "ObjectMeta") -> BlobInfo:
    return BlobInfo(meta["path"], meta["size"], (meta["e_tag"] or "").strip('"'), meta["last_modified"])
