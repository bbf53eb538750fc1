"""How the content of a firmware arrives: in order, in pieces that are kept, checked while it passes through.

What has arrived lies in parts, each a file of its own with a row. The row is written before the file and goes after it,
so a crash at any point leaves at most a file that `sweep_parts` takes away. An upload that was cut off goes on where
it ended; one that begins anew voids what was there.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterable, AsyncIterator, Callable
from datetime import timedelta

from roadstead.core.firmware import store
from roadstead.core.firmware.artifacts import digest
from roadstead.core.firmware.content import read_parts
from roadstead.core.firmware.model import Firmware, FirmwareStatus, Part, Token, UploadState
from roadstead.core.ports import Blobs
from roadstead.db import Database
from roadstead.kernel import time
from roadstead.kernel.errors import Conflict, Gone, Invalid, Malformed, NotFound, TooLarge
from roadstead.kernel.ids import new_id

PART_BYTES = 16 * 1024 * 1024
"""What a crash of ours can cost an upload. A connection that breaks costs nothing."""
PART_LIFE = timedelta(hours=6)
"""How long a part may take to arrive."""


class Interrupted(Exception):
    """The sender is gone; what has come before is kept."""


class Uploads:
    """Takes contents in. Each step is a transaction of its own, for an upload may last hours."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        """`database` has the system duty: a token says whose firmware it is."""
        self._database = database
        self._blobs = blobs

    async def find(self, secret: str) -> Token:
        """The grant of this secret. Raises `NotFound` when there is none, and `Gone` when it has expired."""
        async with self._database.tx() as tx:
            token = await store.select_token(tx, digest(secret))
        if token is None or not token.brings:
            raise NotFound("upload")
        if token.expires_at <= time.now():
            raise Gone("this upload URL has expired: ask for another one")
        return token

    async def get_state(self, token: Token) -> UploadState:
        """How far the upload is. What a crash has left to be done after the last byte is done here."""
        firmware = await self._load(token)
        if firmware.uploaded_at is None and firmware.received_bytes == firmware.size_bytes:
            hasher = await self._hash_stored(token, firmware, firmware.size_bytes)
            await self._complete(token, firmware, hasher.digest())
            firmware = await self._load(token)
        return UploadState(
            received_bytes=firmware.received_bytes,
            size_bytes=firmware.size_bytes,
            is_complete=firmware.uploaded_at is not None,
        )

    async def receive(
        self, token: Token, content: AsyncIterable[bytes], *, start: int = 0, total: int | None = None
    ) -> UploadState:
        """Take in what comes, from byte `start` of the content on; 0 begins anew.

        `total`: how long the sender says the whole is. When the last byte has arrived the checksum is compared; if it
        is wrong all that has arrived is void and `Malformed` is raised. Raises `Conflict` when the upload stands
        elsewhere than at `start`, or goes on elsewhere at the same time; `Interrupted` passes through after what came
        before it is kept.
        """
        firmware = await self._begin(token, start, total)
        hasher = await self._hash_stored(token, firmware, start)
        at = start
        pieces = Pieces(content, firmware.size_bytes - start, hasher.update)
        while not pieces.is_over:
            at += await self._store_part(token, firmware, pieces, at)
        if isinstance(pieces.failure, TooLarge):
            await self._void(token, firmware)
        if pieces.failure is not None:
            raise pieces.failure
        if at == firmware.size_bytes:
            await self._complete(token, firmware, hasher.digest())
        return await self.get_state(token)

    async def _begin(self, token: Token, start: int, total: int | None) -> Firmware:
        async with self._database.tx(token.tenant_id) as tx:
            firmware = await store.lock_firmware(tx, token.firmware_id)
            if firmware is None:
                raise NotFound("upload")
            if firmware.uploaded_at is not None or firmware.status is not FirmwareStatus.DRAFT:
                raise Conflict("its content is complete", code="invalid-state")
            if total is not None and total != firmware.size_bytes:
                raise Invalid.field("Content-Range", f"the content has {firmware.size_bytes} bytes", place="header")
            if start == 0:
                await store.void_run(tx, firmware.id, run=firmware.upload_run)
            elif start != firmware.received_bytes:
                detail = f"{firmware.received_bytes} bytes have arrived: go on there, or begin anew"
                raise Conflict(detail, code="upload-offset")
            begun = await store.select_firmware(tx, firmware.id)
        if begun is None:
            raise NotFound("upload")
        return begun

    async def _hash_stored(self, token: Token, firmware: Firmware, end: int) -> "hashlib._Hash":
        """Of what has arrived before, read back from where it is kept."""
        hasher = hashlib.sha256()
        if end:
            async with self._database.tx(token.tenant_id) as tx:
                parts = await store.select_parts(tx, firmware.id, firmware.upload_run)
            async for piece in read_parts(self._blobs, parts, 0, end):
                await asyncio.to_thread(hasher.update, piece)
        return hasher

    async def _store_part(self, token: Token, firmware: Firmware, pieces: "Pieces", start: int) -> int:
        """One part: its row, its file, then the upload is so much further, all in this order. Says how long it is."""
        id_ = new_id()
        part = Part(id_, start, 0, f"{token.organization_id}/firmware/{firmware.id}/{id_}")
        async with self._database.tx(token.tenant_id) as tx:
            await store.insert_part(tx, firmware.id, part, run=firmware.upload_run, due_at=time.now() + PART_LIFE)
        size = (await self._blobs.put(part.blob_key, pieces.take(PART_BYTES))).size_bytes
        async with self._database.tx(token.tenant_id) as tx:
            if size and not (
                await store.keep_part(tx, id_, size)
                and await store.advance_upload(tx, firmware.id, run=firmware.upload_run, start=start, size_bytes=size)
            ):
                raise Conflict("the same content is being uploaded elsewhere", code="upload-offset")
        return size

    async def _complete(self, token: Token, firmware: Firmware, sha256: bytes) -> None:
        async with self._database.tx(token.tenant_id) as tx:
            if sha256 == firmware.sha256:
                await store.complete_upload(tx, firmware.id, run=firmware.upload_run, at=time.now())
                return
        await self._void(token, firmware)
        detail = f"the SHA-256 of what has arrived is {sha256.hex()}, not {firmware.sha256.hex()}"
        raise Malformed(f"{detail}: nothing of it was kept", code="checksum-mismatch")

    async def _void(self, token: Token, firmware: Firmware) -> None:
        async with self._database.tx(token.tenant_id) as tx:
            await store.void_run(tx, firmware.id, run=firmware.upload_run)

    async def _load(self, token: Token) -> Firmware:
        async with self._database.tx(token.tenant_id) as tx:
            firmware = await store.select_firmware(tx, token.firmware_id)
        if firmware is None:
            raise NotFound("upload")
        return firmware


class Pieces:
    """What comes from the network, cut into parts. Holds one piece at most."""

    def __init__(self, content: AsyncIterable[bytes], most: int, note: Callable[[bytes], None]) -> None:
        self._content = aiter(content)
        self._rest = b""
        self._room = most
        self._note = note
        self.is_over = False
        self.failure: Exception | None = None
        """Why it has ended before its time."""

    async def take(self, most: int) -> AsyncIterator[bytes]:
        """The next part, of at most so many bytes. A sender who goes away ends it, and what has come is kept."""
        while most:
            piece = self._rest or await self._next()
            if piece is None:
                self.is_over = True
                return
            taken, self._rest = piece[:most], piece[most:]
            self._note(taken)
            most -= len(taken)
            yield taken

    async def _next(self) -> bytes | None:
        try:
            piece = await anext(self._content, None)
        except Interrupted as failure:
            self.failure = failure
            return None
        if piece is not None:
            self._room -= len(piece)
            if self._room < 0:
                self.failure = TooLarge("more has come than the firmware is long: nothing of it was kept")
                return None
        return piece
