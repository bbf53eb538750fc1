"""Files in a folder. Written by ourselves, because the library does not sync what it has written to disk."""

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable
from pathlib import Path
from typing import BinaryIO, ParamSpec, TypeVar

from obstore.store import LocalStore

from roadstead.adapters.blobs.bucket import BucketBlobs
from roadstead.core.ports import BlobInfo, check_blob_key
from roadstead.kernel.errors import Unavailable

P = ParamSpec("P")
T = TypeVar("T")

_FORGOTTEN_S = 24 * 3600
"""What has been arriving for so long was left behind by a process that died."""


class FolderBlobs(BucketBlobs):
    """`Blobs` under one folder: `files` has them by key, `arriving` those that are not whole yet."""

    def __init__(self, folder: Path) -> None:
        self._files = folder.absolute() / "files"
        self._arriving = folder.absolute() / "arriving"
        for path in (self._files, self._arriving):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        _sweep(self._arriving)
        super().__init__(LocalStore(self._files))

    async def put(self, key: str, content: bytes | AsyncIterable[bytes]) -> BlobInfo:
        """Store, whole or not at all, replacing what was there; file and folders are synced when it returns."""
        check_blob_key(key)
        draft = self._arriving / secrets.token_hex(16)
        file = await _on_disk(draft.open, "xb")
        try:
            with file:
                async for piece in _pieces(content):
                    await _on_disk(file.write, piece)
                await _on_disk(_settle, file, draft, self._files / key, self._files)
        finally:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
        return await self.head(key)

    async def ready(self) -> None:
        """Raises `Unavailable` when the folder cannot be written to."""
        if not os.access(self._arriving, os.W_OK):
            raise Unavailable(f"{self._arriving} cannot be written to")


async def _pieces(content: bytes | AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    async for piece in content:
        yield piece


async def _on_disk(deed: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return await asyncio.to_thread(deed, *args, **kwargs)
    except OSError as error:
        raise Unavailable(f"the file cannot be stored: {error.strerror}") from error


def _settle(file: BinaryIO, draft: Path, place: Path, root: Path) -> None:
    """Sync the content, then give it its name, then sync the name: in this order a crash leaves all or nothing."""
    file.flush()
    os.fsync(file.fileno())
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft.replace(place)
    for folder in place.parents:
        _sync_folder(folder)
        if folder == root:
            break


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(arriving: Path) -> None:
    for draft in arriving.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another process sweeps as well
            if draft.stat().st_mtime < time.time() - _FORGOTTEN_S:
                draft.unlink()
