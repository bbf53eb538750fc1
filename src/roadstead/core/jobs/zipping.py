"""Files in one ZIP archive, written as they are made: memory holds a piece of one of them."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from typing import IO, cast
from zipfile import ZIP_DEFLATED, ZipFile

_PIECE_BYTES = 1 << 20


async def zip_files(files: AsyncIterable[tuple[str, AsyncIterable[bytes]]]) -> AsyncIterator[bytes]:
    """The archive of these files, by name, in pieces."""
    pipe = _Pipe()
    with ZipFile(cast(IO[bytes], pipe), "w", ZIP_DEFLATED) as archive:
        async for name, content in files:
            with archive.open(name, "w", force_zip64=True) as entry:
                async for piece in content:
                    await asyncio.to_thread(entry.write, piece)
                    if pipe.size_bytes >= _PIECE_BYTES:
                        yield pipe.take()
    yield pipe.take()


class _Pipe:
    """What is written into it can be taken out; there is no way back in it."""

    def __init__(self) -> None:
        self._written: list[bytes] = []
        self.size_bytes = 0

    def write(self, data: bytes) -> int:
        self._written.append(bytes(data))
        self.size_bytes += len(data)
        return len(data)

    def flush(self) -> None:
        """All is written already."""

    def take(self) -> bytes:
        taken = b"".join(self._written)
        self._written.clear()
        self.size_bytes = 0
        return taken
